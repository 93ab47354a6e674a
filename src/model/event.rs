//! Something that happened, as it is told to people and programs and kept on disk.

use serde::{Deserialize, Serialize};

use super::effect::Effect;
use super::severity::Turn;
use crate::health::Tick;
use crate::health::tick::rfc3339;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number. It rises, also over a restart; one that couldn't be written may be given again.
    pub id: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at: Tick,
    /// What kind of thing it is.
    pub kind: Kind,
    /// What, in one line.
    pub text: String,
    /// Whom it is about: `example.com./web-tw`, `site tw`, a zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Who or what brought it about: the probe, the operator, the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What that saw or said, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Whether it begins something bad or ends it; none where it does neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
    /// Which answers changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A target's address went from one state to another.
    Transition,
    /// An operator gave an order, took it back, or its time was over.
    Order,
    /// A recovered target has its clients back.
    Failback,
    /// A prober is silent, or has been turned away for long.
    Stale,
    /// It is heard from again.
    Fresh,
    /// The server doubts what its probes say, or doubts no more.
    Doubt,
    /// Files weren't taken.
    Error,
    /// All else: files loaded, names resolved.
    Notice,
}

impl Event {
    /// An event that is only a line yet. Its number is given when it is told.
    #[must_use]
    pub fn new(at: Tick, kind: Kind, text: impl Into<String>) -> Event {
        let (subject, cause, evidence, turn) = (None, None, None, None);
        Event { id: 0, at, kind, text: text.into(), subject, cause, evidence, turn, effects: Vec::new() }
    }

    /// The event for people: a line, and one more for each changed answer.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{} {} {}", self.id, rfc3339(self.at), self.text)];
        for Effect { name, rtype, regions, old, new } in &self.effects {
            lines.push(format!("    {name} {rtype} for {}: {old} -> {new}", regions.join(" ")));
        }
        lines
    }
}
