//! The server's events, each told once.

use crate::demo::Demo;
use crate::health::tick::rfc3339;
use crate::publish::Event;

/// Remembers which event was told last.
#[derive(Debug, Default)]
pub(super) struct Events {
    last: Option<Event>,
}

impl Events {
    /// What happened since the last call, a line each.
    pub(super) fn new_lines(&mut self, demo: &Demo) -> Vec<String> {
        let events = demo.status().events();
        let told = self
            .last
            .as_ref()
            .and_then(|last| events.iter().rposition(|event| event == last))
            .map_or(0, |place| place + 1);
        self.last = events.back().cloned().or(self.last.take());
        events.iter().skip(told).map(|event| format!("{} {}", rfc3339(event.at), event.text)).collect()
    }
}
