//! A target's address as programs are told of it.

use std::net::IpAddr;

use serde::Serialize;
use utoipa::ToSchema;

use crate::health::tick::rfc3339;
use crate::health::{Desired, ProbeRow, Row, State, subject::Outcome};
use crate::wire::name::Name;

/// An address of a target, or a target without any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum HealthDocument {
    /// An address.
    Address(Box<AddressHealth>),
    /// A host name that has no addresses yet: nothing of it can be watched.
    Unresolved(Unresolved),
}

/// One address of a target, or a canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AddressHealth {
    /// Apex of the zone.
    pub zone: String,
    /// Name of the target.
    pub target: String,
    /// The address.
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// What its probes say.
    pub state: State,
    /// What the operator says; wins unless it is `auto`.
    pub desired: Desired,
    /// Who said so, in words.
    pub said: Option<String>,
    /// Whether its death is doubted: it is served as before.
    pub held: bool,
    /// Whether it is a canary.
    pub canary: bool,
    /// Whether it may be served.
    pub eligible: bool,
    /// What it needs and isn't there, so that it isn't served.
    pub lacks: Option<String>,
    /// When the state began.
    pub since: String,
    /// Whether results are overdue: the prober itself is silent.
    pub stale: bool,
    /// When it came back, if it waits for its failback.
    pub recovered: Option<String>,
    /// Its probes.
    pub probes: Vec<ProbeHealth>,
}

/// One probe of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProbeHealth {
    /// Name of the probe.
    pub probe: String,
    /// Its own verdict.
    pub state: State,
    /// Failures in a row.
    pub failures: u32,
    /// Successes in a row.
    pub successes: u32,
    /// Whether it is kept down because it flapped.
    pub damped: bool,
    /// When the newest result came.
    pub at: Option<String>,
    /// How that ended.
    pub outcome: Option<Outcome>,
    /// How long it took.
    pub latency_ms: Option<u64>,
    /// What was seen.
    pub evidence: Option<String>,
    /// Since when the prober is turned away.
    pub blocked_since: Option<String>,
    /// By which words.
    pub blocked: Option<String>,
}

/// A target whose host name has no addresses yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Unresolved {
    /// Apex of the zone.
    pub zone: String,
    /// Name of the target.
    pub target: String,
    /// The host name.
    pub unresolved: String,
}

impl HealthDocument {
    pub(super) fn of(row: &Row<'_>, address: Option<IpAddr>, lacks: Option<&str>) -> HealthDocument {
        HealthDocument::Address(Box::new(AddressHealth {
            zone: row.subject.zone.to_string(),
            target: row.subject.target.clone(),
            address,
            state: row.standing.state,
            desired: row.standing.desired,
            said: row.said.map(str::to_owned),
            held: row.is_held,
            canary: row.is_canary,
            eligible: row.standing.is_eligible(),
            lacks: lacks.map(str::to_owned),
            since: rfc3339(row.standing.since),
            stale: row.standing.stale,
            recovered: row.standing.recovered.map(rfc3339),
            probes: row.probes.iter().map(ProbeHealth::of).collect(),
        }))
    }

    pub(super) fn unresolved(zone: &Name, target: &str, name: &Name) -> HealthDocument {
        let (zone, target, unresolved) = (zone.to_string(), target.to_owned(), name.to_string());
        HealthDocument::Unresolved(Unresolved { zone, target, unresolved })
    }
}

impl ProbeHealth {
    fn of(probe: &ProbeRow<'_>) -> ProbeHealth {
        ProbeHealth {
            probe: probe.probe.to_owned(),
            state: probe.state,
            failures: probe.failures,
            successes: probe.successes,
            damped: probe.damped,
            at: probe.last.map(|seen| rfc3339(seen.at)),
            outcome: probe.last.map(|seen| seen.report.outcome),
            latency_ms: probe
                .last
                .map(|seen| u64::try_from(seen.report.latency.as_millis()).unwrap_or(u64::MAX)),
            evidence: probe.last.map(|seen| seen.report.evidence.clone()),
            blocked_since: probe.blocked.map(|refusal| rfc3339(refusal.since)),
            blocked: probe.blocked.map(|refusal| refusal.evidence.clone()),
        }
    }
}
