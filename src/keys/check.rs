//! What is odd about the keys of signed zones, for `waypost check`.

use super::parent::ask_parent;
use super::store::{Held, Store};
use super::turn::Signed;
use crate::diagnostic::Diagnostic;
use crate::dnssec::rollover::{Memory, State};
use crate::dnssec::{DigestType, KeySplit, SIGNATURE_LEFT, ds};
use crate::load::{LoadedZone, Offline, ZoneFiles};
use crate::publish::now;
use crate::wire::rtype::Rtype;

/// Zones that aren't to be signed, and still are.
fn leaving(offline: &Offline, findings: &mut Vec<Diagnostic>) {
    let Some(server) = &offline.server else { return };
    let store = Store::new(&server.keys);
    for (files, loaded) in offline.zones.iter().filter(|(_, loaded)| loaded.config.dnssec.is_none()) {
        if Signed::of_leaving(loaded, &store.zone(loaded.zone.apex())).is_some() {
            let message = "the zone was signed, and goes on being so until the parent has no DS";
            let help = "have the DS taken out at the parent; or write at_once = true beside sign = false, if \
                        it has none";
            findings.push(Diagnostic::warning(&files.routes, message).help(help));
        }
    }
}

/// Looks the keys of all signed zones over, and the DS that other zones here have of them.
#[must_use]
pub fn check(offline: &Offline) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    leaving(offline, &mut findings);
    for (files, loaded, signed, held) in all(offline) {
        match held {
            Ok(held) => {
                times(files, loaded, &signed, &mut findings);
                policy(files, &signed, &held.memory, &mut findings);
                let parent =
                    offline.zones.iter().find(|(other, _)| Some(&other.apex) == closest(offline, files));
                if let Some((parent, zone)) = parent {
                    let owner = zone.zone.owner(signed.apex.as_wire());
                    let rrset = owner.and_then(|owner| owner.rrset(Rtype::DS));
                    let rdatas: Vec<Vec<u8>> =
                        rrset.iter().flat_map(|rrset| rrset.rdata()).map(|rdata| rdata.to_vec()).collect();
                    delegation(parent, &signed, &held, &rdatas, &mut findings);
                }
            }
            Err(error) => {
                findings.push(Diagnostic::error(&error.path, error.message).help(error.help));
            }
        }
    }
    findings
}

/// Asks the parents of all signed zones whether their DS are of keys here.
#[must_use]
pub fn check_parent(offline: &Offline) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (files, _, signed, held) in all(offline) {
        let Ok(held) = held else { continue };
        match ask_parent(&signed.apex, &signed.policy.parent, &held.keys) {
            Ok((said, unknown)) => {
                if said.anywhere.is_empty() && !unknown.is_empty() {
                    let message =
                        "the parent's DS are of no key here: whoever checks signatures gets no answer";
                    let help = "restore the keys, or have the DS taken out";
                    findings.push(Diagnostic::error(&files.routes, message).help(help));
                }
                let wanted =
                    held.memory.keys.iter().filter(|key| {
                        key.state == State::Active && held.memory.duties(key).is_wanted_in_parent
                    });
                for key in wanted.filter(|key| !said.everywhere.contains(&key.id)) {
                    let message = format!("the parent has no DS of key {}", key.id);
                    let help = "give it the lines of `waypost keys ds`";
                    findings.push(Diagnostic::warning(&files.routes, message).help(help));
                }
            }
            Err(error) => {
                let help = "the zone's DS weren't looked at; write `parent` with the addresses to ask";
                findings.push(Diagnostic::warning(&files.routes, error.to_string()).help(help));
            }
        }
    }
    findings
}

type Looked<'o> = (&'o ZoneFiles, &'o LoadedZone, Signed, Result<Held, super::StoreError>);

/// Signed zones that have keys, or whose keys can't be read.
fn all(offline: &Offline) -> Vec<Looked<'_>> {
    let Some(server) = &offline.server else { return Vec::new() };
    let store = Store::new(&server.keys);
    let signed =
        offline.zones.iter().filter_map(|(files, loaded)| Some((&**files, loaded, Signed::of(loaded)?)));
    let read = signed.map(|(files, loaded, signed)| {
        let held = store.zone(&signed.apex).read(now());
        (files, loaded, signed, held)
    });
    read.filter(|(_, _, _, held)| held.as_ref().is_ok_and(|held| !held.keys.is_empty()) || held.is_err())
        .collect()
}

/// The closest zone above one among those here.
fn closest<'o>(offline: &'o Offline, files: &ZoneFiles) -> Option<&'o crate::wire::name::Name> {
    let above = offline.zones.iter().map(|(other, _)| &other.apex);
    above
        .filter(|apex| **apex != files.apex && files.apex.is_at_or_below(apex))
        .max_by_key(|apex| apex.label_count())
}

/// Signatures must outlive what caches and secondaries keep (RFC 6781 4.4.2).
fn times(files: &ZoneFiles, loaded: &LoadedZone, signed: &Signed, findings: &mut Vec<Diagnostic>) {
    let left = SIGNATURE_LEFT.as_secs();
    if u64::from(signed.max_ttl) > left {
        let message = format!("a TTL of {} is longer than signatures hold at least", signed.max_ttl);
        let help = format!("write {left} or less: caches would have records without good signatures");
        findings.push(Diagnostic::warning(&files.zone, message).help(help));
    }
    let (expire, validity) = (loaded.zone.soa().expire(), signed.policy.signature_validity.as_secs());
    if u64::from(expire) > validity {
        let message = format!("SOA EXPIRE {expire} is longer than signatures hold, {validity} seconds");
        let help = "write a shorter one, or a longer signature_validity: secondaries that are cut off would \
                    give signatures that are over";
        findings.push(Diagnostic::warning(&files.zone, message).help(help));
    }
}

/// Keys that aren't as the policy would make them.
fn policy(files: &ZoneFiles, signed: &Signed, memory: &Memory, findings: &mut Vec<Diagnostic>) {
    let active = || memory.keys.iter().filter(|key| key.state == State::Active);
    let is_rolling = memory.keys.iter().any(|key| key.id.algorithm == signed.policy.algorithm);
    if let Some(key) = active().next().filter(|_| !is_rolling) {
        let (wanted, has) = (signed.policy.algorithm, key.id.algorithm);
        let message = format!("the zone's keys are of {has}, and `algorithm` is {wanted}");
        let help = format!("run `waypost keys roll {} --algorithm {wanted}`", signed.apex);
        findings.push(Diagnostic::warning(&files.routes, message).help(help));
    }
    let has_zsk = active().any(|key| !key.role.is_entry());
    let is_split = signed.policy.keys == KeySplit::KskZsk;
    if active().next().is_some() && has_zsk != is_split {
        let message = "the zone has other keys than `keys` says";
        let help = "write `keys` as they are; with the next roll to another algorithm they become as it says";
        findings.push(Diagnostic::warning(&files.routes, message).help(help));
    }
}

/// DS in a zone above that is here too.
fn delegation(
    parent: &ZoneFiles,
    signed: &Signed,
    held: &Held,
    rdatas: &[Vec<u8>],
    findings: &mut Vec<Diagnostic>,
) {
    let matches = |rdata: &&Vec<u8>| {
        held.keys.iter().any(|key| {
            let of = |digest_type| ds(&signed.apex, key.dnskey(), digest_type);
            **rdata == of(DigestType::Sha256) || **rdata == of(DigestType::Sha384)
        })
    };
    let strange: Vec<&Vec<u8>> = rdatas.iter().filter(|rdata| !matches(rdata)).collect();
    for rdata in &strange {
        let tag = rdata.get(..2).map_or(0, |tag| u16::from_be_bytes([tag[0], tag[1]]));
        let message = format!("DS {tag} of {} matches none of its keys", signed.apex);
        let found = if strange.len() == rdatas.len() {
            Diagnostic::error(&parent.zone, message + ": whoever checks signatures gets no answer")
        } else {
            Diagnostic::warning(&parent.zone, message)
        };
        findings.push(found.help(format!("put the lines of `waypost keys ds {}` in its place", signed.apex)));
    }
}
