//! How often a probe asks, and how many results make a verdict.

use std::time::Duration;

/// Pace of one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Time between two probes while nothing moves.
    pub interval: Duration,
    /// Time after which an unanswered probe has failed.
    pub timeout: Duration,
    /// Failures in a row that make it DOWN, the first one included.
    pub fall: u32,
    /// Successes in a row that make it UP again.
    pub rise: u32,
    /// Time between two probes while a failure is being confirmed: the burst.
    pub confirm_interval: Duration,
    /// Time without a failure before it may be UP again.
    pub hold: Duration,
}

impl Default for Pace {
    /// Down within one interval and a second, even where nothing is answered: two more tries,
    /// 300 ms apart, confirm a failure, and don't wait for its time-out.
    fn default() -> Pace {
        Pace {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            fall: 3,
            rise: 2,
            confirm_interval: Duration::from_millis(300),
            hold: Duration::from_secs(10),
        }
    }
}
