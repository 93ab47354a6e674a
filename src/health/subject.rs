//! Who is judged, by what, and what was seen.

use std::time::Duration;

use super::{State, Tick};
use crate::route::model::Family;
use crate::wire::name::Name;

/// One address of one target of one zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// Apex of the zone whose target it is.
    pub zone: Name,
    /// Name of the target, as in the zone's `[targets]`.
    pub target: String,
    /// Which of its addresses.
    pub family: Family,
}

/// One probe of a subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeKey {
    /// Who is probed.
    pub subject: Subject,
    /// Name of the probe, as in the zone's `[probes]`.
    pub probe: String,
}

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The target was as wanted.
    Healthy,
    /// It wasn't.
    Failed,
    /// The prober was turned away by policy, as by a block list or a rate limit. That says nothing
    /// of the target: it moves no state, and going on for long it leaves the verdict stale.
    Blocked,
}

/// What a probe says of the network between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Contact {
    /// Something came back from the target.
    Answered,
    /// Nothing came back in time, or nothing can be sent there. This server may be cut off as well.
    Silent,
    /// It looked at what is here: a file, a word that was told, a program's result.
    Local,
}

/// What one probe saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Whether anything came back.
    pub contact: Contact,
    /// How long the whole probe took.
    pub latency: Duration,
    /// What was seen, one short printable line: `HTTP 503`, `connection refused`,
    /// `220 mx.example.com`.
    pub evidence: String,
    /// What was measured, by name: `certificate_days`, a plugin's performance data.
    pub figures: Vec<(String, f64)>,
}

/// A report, and when it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// When it came.
    pub at: Tick,
    /// What it said.
    pub report: Report,
}

/// A prober that is being turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Since when, without any other outcome between.
    pub since: Tick,
    /// What the newest refusal said.
    pub evidence: String,
}

/// A subject went from one state to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Who.
    pub subject: Subject,
    /// The state before.
    pub from: State,
    /// The state now.
    pub to: State,
    /// When.
    pub at: Tick,
    /// The probe whose report did it; none if the configuration did.
    pub probe: Option<String>,
    /// What that probe saw, or what changed.
    pub evidence: String,
}
