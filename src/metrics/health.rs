//! What is alive, as the writer's board has it.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::family::{Families, Labels};
use crate::health::{Seen, State, Tick};
use crate::probe::CERTIFICATE_DAYS;
use crate::publish::{Status, now};
use crate::route::Family;

#[derive(Debug)]
pub(super) struct Health(pub(super) Arc<Status>);

/// One address of a target, in words.
struct Address {
    zone: String,
    target: String,
    site: String,
    family: &'static str,
    state: State,
    is_eligible: bool,
    is_stale: bool,
    since: Tick,
    changes: [u64; State::ALL.len()],
    probes: Vec<Probe>,
}

struct Probe {
    name: String,
    /// Seconds that the newest result took, and seconds since it came.
    last: Option<(f64, f64)>,
    /// When the certificate ends that it saw, in seconds since 1970.
    certificate: Option<f64>,
}

impl Collector for Health {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let addresses = self.addresses(now());
        let mut families = Families(encoder);
        let gauge = |value: fn(&Address) -> f64| {
            addresses.iter().map(move |address| (address.labels(), value(address)))
        };
        families.gauges(
            "target_eligible",
            "Whether an address of a target may be served: probes and the operator agree",
            None,
            gauge(|address| f64::from(u8::from(address.is_eligible))),
        )?;
        families.gauges(
            "target_stale",
            "Whether results of a target's probes are overdue: the prober itself is silent",
            None,
            gauge(|address| f64::from(u8::from(address.is_stale))),
        )?;
        families.gauges(
            "target_state_since_timestamp",
            "When the verdict on an address of a target began",
            Some(Unit::Seconds),
            gauge(|address| address.since.0 as f64 / 1e3),
        )?;
        let states = addresses.iter().flat_map(|address| {
            STATES.iter().map(|(state, name)| {
                let labels = address.labels().into_iter().chain([("state", *name)]).collect();
                (labels, f64::from(u8::from(address.state == *state)))
            })
        });
        families.gauges(
            "target_state",
            "The verdict on an address of a target: 1 for its state",
            None,
            states,
        )?;
        let changes = addresses.iter().flat_map(|address| {
            STATES.iter().map(|(state, name)| {
                let labels = address.labels().into_iter().chain([("to", *name)]).collect();
                (labels, address.changes[*state as usize])
            })
        });
        families.counters(
            "target_transitions",
            "How often the verdict on an address of a target became a state",
            changes,
        )?;
        let oldest = addresses.iter().flat_map(|address| &address.probes).filter_map(|probe| probe.last);
        families.gauges(
            "probe_result_oldest_age",
            "How long ago the newest result of that probe came whose is the oldest",
            Some(Unit::Seconds),
            oldest.map(|(_, age)| age).max_by(f64::total_cmp).map(|age| (vec![], age)),
        )?;
        families.gauges(
            "doubt",
            "Whether the server doubts its probes, and holds the last states",
            None,
            [(vec![], f64::from(u8::from(self.0.board().doubt().is_some())))],
        )?;
        let certificates = addresses.iter().flat_map(|address| {
            address.probes.iter().filter_map(|probe| {
                let labels = address.labels().into_iter().chain([("probe", probe.name.as_str())]);
                Some((labels.collect(), probe.certificate?))
            })
        });
        families.gauges(
            "target_certificate_expiry_timestamp",
            "When the certificate ends that a probe saw",
            Some(Unit::Seconds),
            certificates,
        )?;
        let probes = |value: fn((f64, f64)) -> f64| {
            addresses
                .iter()
                .flat_map(|address| &address.probes)
                .filter_map(move |probe| probe.last.map(value))
        };
        let labels: Vec<Labels<'_>> = addresses
            .iter()
            .flat_map(|address| {
                let probed = address.probes.iter().filter(|probe| probe.last.is_some());
                probed.map(|probe| {
                    address.labels().into_iter().chain([("probe", probe.name.as_str())]).collect()
                })
            })
            .collect();
        families.gauges(
            "probe_duration",
            "How long the newest probe took",
            Some(Unit::Seconds),
            labels.iter().cloned().zip(probes(|(took, _)| took)),
        )?;
        families.gauges(
            "probe_result_age",
            "How long ago the newest result of a probe came",
            Some(Unit::Seconds),
            labels.iter().cloned().zip(probes(|(_, age)| age)),
        )
    }
}

const STATES: [(State, &str); 4] =
    [(State::Unknown, "unknown"), (State::Up, "up"), (State::Suspect, "suspect"), (State::Down, "down")];

impl Health {
    fn addresses(&self, now: Tick) -> Vec<Address> {
        let board = self.0.board();
        board
            .rows(now)
            .map(|row| Address {
                zone: row.subject.zone.to_string(),
                target: row.subject.target.clone(),
                site: row.site.to_owned(),
                family: match row.subject.family {
                    Family::V4 => "ipv4",
                    Family::V6 => "ipv6",
                },
                state: row.standing.state,
                is_eligible: row.standing.is_eligible(),
                is_stale: row.standing.stale,
                since: row.standing.since,
                changes: row.changes,
                probes: row
                    .probes
                    .iter()
                    .map(|probe| Probe {
                        name: probe.probe.to_owned(),
                        last: probe.last.map(|seen| {
                            (seen.report.latency.as_secs_f64(), now.since(seen.at).as_secs_f64())
                        }),
                        certificate: probe.last.and_then(certificate_end),
                    })
                    .collect(),
            })
            .collect()
    }
}

/// Probes tell days that are left; a moment in time needs no further one to be read.
fn certificate_end(seen: &Seen) -> Option<f64> {
    let (_, days) = seen.report.figures.iter().find(|(name, _)| name == CERTIFICATE_DAYS)?;
    Some(seen.at.0 as f64 / 1e3 + days * 86_400.0)
}

impl Address {
    fn labels(&self) -> Labels<'_> {
        vec![
            ("zone", self.zone.as_str()),
            ("target", self.target.as_str()),
            ("site", self.site.as_str()),
            ("family", self.family),
        ]
    }
}
