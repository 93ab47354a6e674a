//! Lengths of time, as people write them.

use std::time::Duration;

/// `5s`, `300ms`, `1h 30m`; nothing if it isn't a time.
pub(super) fn parse(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

/// The shortest text that reads back.
pub(super) fn show(span: Duration) -> String {
    humantime::format_duration(span).to_string()
}
