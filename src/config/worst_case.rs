//! How long a route's clients may be sent to a dead target.

use std::fmt;
use std::time::Duration;

use super::zone::ZoneConfig;
use crate::health::Pace;
use crate::route::Route;

/// The parts of the longest failover: what probing takes, and what caches keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorstCase {
    detection: Option<(Duration, Duration)>,
    ttl: Duration,
}

/// The worst case of a route: its slowest probe just missed the death, every confirmation runs
/// into its time-out, and a cache was filled at the last moment.
#[must_use]
pub fn worst_case(config: &ZoneConfig, route: &Route) -> WorstCase {
    let targets = route.targets().into_iter().filter_map(|id| config.routing.targets.get(id.0 as usize));
    let specs =
        targets.flat_map(|target| config.probes.iter().filter(|spec| target.probes.contains(&spec.name)));
    let detection =
        specs.map(|spec| (spec.pace.interval, confirmation(spec.pace))).max_by_key(|(a, b)| *a + *b);
    WorstCase { detection, ttl: Duration::from_secs(u64::from(route.ttl.normal)) }
}

/// From the first failing probe to the verdict. Tries that begin before the first one's time-out end
/// with it; each further one takes a wait and a time-out of its own.
fn confirmation(pace: Pace) -> Duration {
    let beside = (1..pace.fall).take_while(|nth| pace.confirm_interval * *nth < pace.timeout).count();
    let after = (pace.fall - 1).saturating_sub(u32::try_from(beside).unwrap_or(u32::MAX));
    pace.timeout + (pace.confirm_interval + pace.timeout) * after
}

impl WorstCase {
    /// The whole time; none for a route that no probe moves.
    #[must_use]
    pub fn total(&self) -> Option<Duration> {
        self.detection.map(|(interval, confirmation)| interval + confirmation + self.ttl)
    }
}

/// `5 + 1 + 20 = 26 s (interval, confirmation with time-outs, TTL)`.
impl fmt::Display for WorstCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some((interval, confirmation)), Some(total)) = (self.detection, self.total()) else {
            return f.write_str("never: no probe moves it");
        };
        let seconds = |span: Duration| (span.as_secs_f64() * 10.0).round() / 10.0;
        write!(
            f,
            "{} + {} + {} = {} s (interval, confirmation with time-outs, TTL)",
            seconds(interval),
            seconds(confirmation),
            seconds(self.ttl),
            seconds(total)
        )
    }
}
