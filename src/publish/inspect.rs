//! What `dig CH TXT` shows below `waypost.`: a few lines for people, or JSON for programs.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::json;

use super::health_document::HealthDocument;
use super::{Status, now};
use crate::health::{Desired, Row, Tick};
use crate::model::explain::{Asker, explain};
use crate::route::addresses::is_meant;
use crate::snapshot::Inspect;
use crate::wire::name::Name;

/// Events of `events.waypost`: what fits a message. `waypost events` has more.
const EVENTS_SHOWN: usize = 200;

/// Answers from the writer's state.
#[derive(Debug)]
pub struct Inspector {
    status: Arc<Status>,
}

impl Inspector {
    /// Looks at this.
    #[must_use]
    pub fn new(status: Arc<Status>) -> Inspector {
        Inspector { status }
    }

    /// A document for each target's address, or for those of one target; none if there is no such.
    #[must_use]
    pub fn health_documents(&self, target: Option<&str>) -> Option<Vec<HealthDocument>> {
        self.health(target, HealthDocument::of, HealthDocument::unresolved)
    }

    /// `health.waypost`, or one target's: `web-tw.health.waypost`.
    fn health_lines(&self, target: Option<&str>, as_json: bool) -> Option<Vec<String>> {
        if as_json {
            let documents = self.health_documents(target)?;
            return Some(documents.iter().filter_map(|one| serde_json::to_string(one).ok()).collect());
        }
        let now = now();
        self.health(target, |row, address, lacks| health_line(row, address, lacks, now), unresolved_line)
    }

    /// What is shown for each address of all targets, or of one; and for a name without addresses.
    fn health<T>(
        &self,
        target: Option<&str>,
        shown: impl Fn(&Row<'_>, Option<IpAddr>, Option<&str>) -> T,
        unresolved: impl Fn(&Name, &str, &Name) -> T,
    ) -> Option<Vec<T>> {
        let now = now();
        let board = self.status.board();
        let model = self.status.model();
        let rows: Vec<Row<'_>> = board
            .rows(now)
            .filter(|row| target.is_none_or(|target| is_meant(&row.subject.target, target)))
            .collect();
        let is_asked_for = |name: &str| target.is_none_or(|target| name == target);
        let nameless: Vec<T> = model
            .zones
            .values()
            .flat_map(|zone| zone.routing.targets.iter().map(|target| (&zone.routing.apex, target)))
            .filter(|(_, one)| one.parts.is_empty() && is_asked_for(&one.name))
            .filter_map(|(apex, one)| Some(unresolved(apex, &one.name, one.address_of.as_ref()?)))
            .collect();
        if rows.is_empty() && nameless.is_empty() && target.is_some() {
            return None;
        }
        let found = rows.iter().map(|row| {
            let zone = model.zones.get(&row.subject.zone);
            let target = zone.and_then(|zone| {
                zone.routing.targets.iter().find(|target| target.name == row.subject.target)
            });
            let address = target.and_then(|target| target.address(row.subject.family));
            shown(row, address, target.and_then(|target| target.need(row.standing.lacks)))
        });
        Some(found.chain(nameless).collect())
    }

    fn why(&self, name: &Name, asker: Asker, as_json: bool) -> Option<Vec<String>> {
        let now = now();
        let model = self.status.model();
        let board = self.status.board();
        let explanation = explain(&model, &board, name, None, asker, now)?;
        Some(if as_json { vec![serde_json::to_string(&explanation).ok()?] } else { explanation.lines() })
    }

    fn zones(&self, only: Option<&Name>, as_json: bool) -> Option<Vec<String>> {
        let now = now();
        let zones = self.status.zones();
        let mut lines = Vec::new();
        for (apex, zone) in zones.iter().filter(|(apex, _)| only.is_none_or(|only| only == *apex)) {
            if as_json {
                let error = zone.error.as_ref().map(|(text, _)| text);
                let line = json!({
                    "zone": apex.to_string(), "serial": zone.serial, "records": zone.records,
                    "source": zone.source, "loaded": zone.loaded.map(timestamp), "stale": zone.is_stale,
                    "signatures_end": zone.signatures_end.map(timestamp),
                    "bundle_made": zone.bundle_made.map(timestamp),
                    "signer_heard": zone.signer_heard.map(timestamp), "error": error,
                });
                lines.push(line.to_string());
                continue;
            }
            let mut line = format!("{apex} ");
            match zone.serial {
                Some(serial) => {
                    let loaded = zone.loaded.map_or_else(String::new, |at| ago(at, now));
                    let _ = write!(
                        line,
                        "serial {serial}, {} records, {}, loaded {loaded}",
                        zone.records, zone.source
                    );
                }
                None => line.push_str("never loaded: answered with SERVFAIL"),
            }
            if let Some(end) = zone.signatures_end {
                let _ = write!(line, ", signed by a bundle until {}", timestamp(end));
                if let Some(made) = zone.bundle_made {
                    let _ = write!(line, ", made {}", ago(made, now));
                }
                if let Some(heard) = zone.signer_heard {
                    let _ = write!(line, ", its signer heard {}", ago(heard, now));
                }
                if let Some(why) = &zone.signer_silent {
                    let _ = write!(line, ", LAGS: {why}");
                }
            }
            if zone.is_stale {
                line.push_str(", STALE: the last good version");
            }
            if let Some((error, count)) = &zone.error {
                let _ = write!(line, "; error: {error}");
                if *count > 1 {
                    let _ = write!(line, " (and {} more)", count - 1);
                }
            }
            lines.push(line);
        }
        (only.is_none() || !lines.is_empty()).then_some(lines)
    }

    fn events(&self, as_json: bool) -> Vec<String> {
        let events = self.status.journal().since(0);
        let newest_first = events.iter().rev().take(EVENTS_SHOWN);
        if as_json {
            return newest_first.filter_map(|event| serde_json::to_string(&**event).ok()).collect();
        }
        newest_first.map(|event| format!("{} {}", timestamp(event.at), event.text)).collect()
    }
}

impl Inspect for Inspector {
    fn lines(&self, labels: &[&[u8]], client: IpAddr, subnet: Option<u8>) -> Option<Vec<String>> {
        let (as_json, labels) = match labels {
            [b"json", rest @ ..] => (true, rest),
            _ => (false, labels),
        };
        match labels {
            [b"health"] => self.health_lines(None, as_json),
            [target, b"health"] => self.health_lines(Some(std::str::from_utf8(target).ok()?), as_json),
            [b"zones"] => self.zones(None, as_json),
            [name @ .., b"zones"] => self.zones(Some(&joined(name)?), as_json),
            [b"events"] => Some(self.events(as_json)),
            [name @ .., b"why"] => self.why(&joined(name)?, Asker { address: client, subnet }, as_json),
            [] => Some(vec![
                "health.waypost, TARGET.health.waypost: every target's state".to_owned(),
                "NAME.why.waypost +subnet=NETWORK: which answer a client gets, and why".to_owned(),
                "zones.waypost, ZONE.zones.waypost: serial, source, last error".to_owned(),
                "events.waypost: what happened, newest first".to_owned(),
                "json.NAME: the same as JSON".to_owned(),
            ]),
            _ => None,
        }
    }
}

fn joined(labels: &[&[u8]]) -> Option<Name> {
    labels.iter().rev().try_fold(Name::root(), |name, label| name.child(label)).ok()
}

/// `web-tw 198.51.100.10 UP since 2026-11-24T08:33:28Z (5m): https "HTTP 200" 12 ms, 3s ago`.
fn health_line(row: &Row<'_>, address: Option<IpAddr>, lacks: Option<&str>, now: Tick) -> String {
    let standing = &row.standing;
    let address = address.map_or_else(String::new, |address| address.to_string());
    let mut line = format!("{} {address} {}", row.subject.target, state_word(row));
    if standing.since.0 > 0 {
        let _ = write!(line, " since {} ({})", timestamp(standing.since), span(standing.since, now));
    }
    if row.is_held {
        line.push_str(" HELD: its death is doubted, it is served as before");
    }
    if let Some(needed) = lacks {
        let _ = write!(line, " NOT SERVED: needs {needed}");
    }
    if standing.stale {
        line.push_str(" STALE");
    }
    if standing.recovered.is_some() {
        line.push_str(" recovered");
    }
    if let Some(said) = row.said {
        let _ = write!(line, ", {said}");
    }
    for (at, probe) in row.probes.iter().enumerate() {
        line.push_str(if at == 0 { ": " } else { "; " });
        line.push_str(probe.probe);
        match probe.last {
            Some(seen) => {
                let latency = seen.report.latency.as_millis();
                let _ = write!(line, " \"{}\" {latency} ms, {}", seen.report.evidence, ago(seen.at, now));
            }
            None => line.push_str(" not yet answered"),
        }
        if let Some(refusal) = probe.blocked {
            let _ = write!(line, " BLOCKED since {}: {}", timestamp(refusal.since), refusal.evidence);
        }
        if probe.damped {
            line.push_str(", held down because it flapped");
        }
    }
    line
}

/// A target that is a host name without addresses: nothing of it can be watched.
fn unresolved_line(_: &Name, target: &str, name: &Name) -> String {
    format!("{target} not resolved yet: {name}")
}

/// What the operator said wins; what probes say is told beside it.
fn state_word(row: &Row<'_>) -> String {
    let state = row.standing.state;
    match row.standing.desired {
        Desired::Auto => state.to_string(),
        Desired::Drained => format!("DRAINED ({state})"),
        Desired::Up => format!("UP by order ({state})"),
        Desired::Down => format!("DOWN by order ({state})"),
    }
}

/// A moment in RFC 3339, in UTC, to the second.
fn timestamp(at: Tick) -> String {
    crate::health::tick::rfc3339(at)
}

fn ago(at: Tick, now: Tick) -> String {
    format!("{} ago", span(at, now))
}

/// A length of time by its largest unit or two: `5s`, `3m10s`, `2h5m`, `3d4h`.
fn span(from: Tick, to: Tick) -> String {
    crate::health::tick::short(to.since(from))
}
