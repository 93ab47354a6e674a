//! Verdicts that others come to and tell: a monitoring system, a script, an alert.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Tick;
use crate::limits::ALERTS_FIRING;
use crate::route::model::Family;

/// The last word on one probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// Whether the target is well.
    pub is_up: bool,
    /// In the words of whoever told.
    pub evidence: String,
    /// When it was told last.
    pub at: Tick,
    /// How long it holds; none: as long as the probe says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
    /// Alerts that fire, by their fingerprints, with their words: while any does it is down.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub firing: BTreeMap<String, String>,
}

impl Pushed {
    /// What is known of a probe by alerts before any has fired.
    #[must_use]
    pub fn quiet(at: Tick) -> Pushed {
        let (evidence, firing) = ("no alert fires".to_owned(), BTreeMap::new());
        Pushed { is_up: true, evidence, at, ttl: None, firing }
    }

    /// An alert fires, or has been resolved. Beyond the limit it isn't kept whose it was: those
    /// that are keep the target down.
    pub fn alert(&mut self, fingerprint: &str, words: &str, fires: bool) {
        if !fires {
            self.firing.remove(fingerprint);
        } else if self.firing.len() < ALERTS_FIRING {
            self.firing.insert(fingerprint.to_owned(), words.to_owned());
        }
        self.is_up = self.firing.is_empty();
        self.evidence = match self.firing.values().next() {
            Some(words) => format!("alert {words}"),
            None => format!("resolved: {words}"),
        };
    }
}

/// The last word on one probe, for a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPush {
    /// Apex of the zone, absolute.
    pub zone: String,
    /// Name of the target.
    pub target: String,
    /// Which of its addresses.
    pub family: Family,
    /// Name of the probe.
    pub probe: String,
    /// What was told.
    #[serde(flatten)]
    pub pushed: Pushed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_down_while_any_fires() {
        let mut pushed = Pushed::quiet(Tick(0));
        pushed.alert("a", "QueueDrowning", true);
        pushed.alert("b", "DiskFull", true);
        pushed.alert("a", "QueueDrowning", false);
        assert_eq!((pushed.is_up, pushed.evidence.as_str()), (false, "alert DiskFull"));
        pushed.alert("b", "DiskFull", false);
        assert_eq!((pushed.is_up, pushed.evidence.as_str()), (true, "resolved: DiskFull"));
        for n in 0..ALERTS_FIRING * 2 {
            pushed.alert(&n.to_string(), "many", true);
        }
        assert_eq!(pushed.firing.len(), ALERTS_FIRING);
    }
}
