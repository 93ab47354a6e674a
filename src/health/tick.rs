//! Time as the model sees it.

use std::ops::{Add, Sub};
use std::time::{Duration, UNIX_EPOCH};

/// Milliseconds since the Unix epoch, as the edges read them from the clock. The model never
/// reads a clock: time is an argument, so that simulations and tests own it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Tick(pub u64);

impl Tick {
    /// How long ago `earlier` was; zero if it lies ahead (a clock that was set back).
    #[must_use]
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Tick {
    type Output = Tick;

    fn add(self, duration: Duration) -> Tick {
        Tick(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Tick {
    type Output = Tick;

    fn sub(self, duration: Duration) -> Tick {
        Tick(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// A moment as in RFC 3339, in UTC, to the second.
#[must_use]
pub fn rfc3339(at: Tick) -> String {
    // A year past 9999 has no RFC 3339 form; only a broken clock gets there.
    let moment = UNIX_EPOCH.checked_add(Duration::from_millis(at.0.min(253_402_300_799_999)));
    humantime::format_rfc3339_seconds(moment.unwrap_or(UNIX_EPOCH)).to_string()
}

/// A length of time by its two largest units: `5s`, `3m 10s`, `2h 5m`, `3days 4h`.
#[must_use]
pub fn short(span: Duration) -> String {
    let whole = humantime::format_duration(Duration::from_secs(span.as_secs())).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_for_people() {
        assert_eq!(rfc3339(Tick(1_795_509_208_999)), "2026-11-24T08:33:28Z");
        assert_eq!(rfc3339(Tick(u64::MAX)), "9999-12-31T23:59:59Z");
        assert_eq!(short(Duration::from_millis(900)), "0s");
        assert_eq!(short(Duration::from_secs(7_325)), "2h 2m");
    }
}
