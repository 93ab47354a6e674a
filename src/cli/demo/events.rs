//! The server's events, each told once.

use crate::demo::Demo;
use crate::health::tick::rfc3339;

/// Remembers which event was told last.
#[derive(Debug, Default)]
pub(super) struct Events {
    last: u64,
}

impl Events {
    /// What happened since the last call, a line each.
    pub(super) fn new_lines(&mut self, demo: &Demo) -> Vec<String> {
        let events = demo.status().journal().since(self.last);
        self.last = events.last().map_or(self.last, |event| event.id);
        events.iter().map(|event| format!("{} {}", rfc3339(event.at), event.text)).collect()
    }
}
