//! What the board keeps over a restart: plain data, for a file.

use serde::{Deserialize, Serialize};

use super::doubt::Doubt;
use super::machine::Memory;
use super::pushed::SavedPush;
use super::{Orders, State, Tick};
use crate::route::model::Family;

/// Every verdict of a board.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// In the order of their subjects.
    pub subjects: Vec<SavedSubject>,
    /// Why verdicts are held, while they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
    /// Whether a person said that the failures are real, while there is reason to doubt them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_accepted: bool,
    /// What operators ordered. A board saves none: they are its writer's.
    #[serde(default)]
    pub orders: Orders,
    /// What others told of targets; likewise.
    #[serde(default)]
    pub pushed: Vec<SavedPush>,
}

impl Saved {
    /// The newest moment in it.
    #[must_use]
    pub fn latest(&self) -> Tick {
        let of_subject = |subject: &SavedSubject| {
            let probes = subject.probes.iter().map(|probe| probe.memory.since());
            probes.chain(subject.recovered).fold(subject.since, Tick::max)
        };
        let subjects = self.subjects.iter().map(of_subject);
        let orders = self.orders.iter().map(|order| order.since);
        let words = self.pushed.iter().map(|saved| saved.pushed.at);
        subjects.chain(orders).chain(words).max().unwrap_or_default()
    }
}

/// The verdict on one subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSubject {
    /// Apex of the zone, absolute.
    pub zone: String,
    /// Name of the target.
    pub target: String,
    /// Which of its addresses.
    pub family: Family,
    /// The verdict.
    pub state: State,
    /// When it began.
    pub since: Tick,
    /// When it came back from DOWN, while that hasn't been released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Tick>,
    /// When it left UP, until it is UP again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Tick>,
    /// While its silent death is held: after which moment somebody else has to be heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<Tick>,
    /// The verdict of each probe.
    pub probes: Vec<SavedProbe>,
}

/// The verdict of one probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedProbe {
    /// Name of the probe.
    pub probe: String,
    /// What its machine remembers.
    #[serde(flatten)]
    pub memory: Memory,
}
