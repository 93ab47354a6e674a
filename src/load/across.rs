//! What no zone shows alone: delegations among zones here, aliases that lead nowhere, addresses
//! whose names don't lead back, nameservers and records that routes contradict.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;

use super::{LoadedZone, ZoneFiles};
use crate::diagnostic::Diagnostic;
use crate::limits::CNAME_CHAIN;
use crate::model::{Model, ZoneModel};
use crate::route::{Family, Kind};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::zone::{Owner, Zone};

/// Checks the zones of a model against each other; all findings are warnings.
pub(super) fn across(model: &Model, zones: &[(Arc<ZoneFiles>, LoadedZone)]) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (files, _) in zones {
        let Some(zone) = model.zones.get(&files.apex) else { continue };
        let mut checker = Checker { model, zone, path: &files.zone, findings: &mut findings };
        checker.above();
        checker.nameservers();
        checker.static_records();
        checker.exchangers();
        for owner in zone.zone.owners() {
            checker.cut(owner);
            checker.alias(owner);
            checker.reverse(owner);
        }
    }
    findings
}

struct Checker<'a> {
    model: &'a Model,
    zone: &'a ZoneModel,
    path: &'a Path,
    findings: &'a mut Vec<Diagnostic>,
}

impl Checker<'_> {
    fn say(&mut self, message: String, help: String) {
        self.findings.push(Diagnostic::warning(self.path, message).help(help));
    }

    fn apex(&self) -> &Name {
        self.zone.zone.apex()
    }

    /// The zone above, if that is here too: it must delegate this one, to the same servers, with
    /// their addresses (RFC 1034 4.2.2, RFC 9471).
    fn above(&mut self) {
        let apex = self.apex().clone();
        let Some(above) = apex.parent().and_then(|name| self.model.zone_of(&name)) else { return };
        let parent = above.zone.apex();
        let (here, there) = (names(&self.zone.zone, &apex, Rtype::NS), names(&above.zone, &apex, Rtype::NS));
        let help = || format!("`waypost delegation {apex} --parent {parent}` prints what it must hold");
        if there.is_empty() {
            self.say(format!("{parent} is here too, and doesn't delegate {apex}"), help());
            return;
        }
        if here != there {
            let message =
                format!("{parent} delegates {apex} to {}, its own NS are {}", list(&there), list(&here));
            self.say(message, help());
        }
        for server in here.iter().filter(|server| server.is_at_or_below(&apex)) {
            let (own, glue) = (addresses(&self.zone.zone, server), addresses(&above.zone, server));
            if own != glue {
                let message = format!("{server} has {} here, and {} in {parent}", list(&own), list(&glue));
                self.say(message, help());
            }
        }
    }

    /// A nameserver that a route moves is found where it was: the parent's addresses stay.
    fn nameservers(&mut self) {
        for server in names(&self.zone.zone, &self.apex().clone(), Rtype::NS) {
            let is_routed = server.is_at_or_below(self.apex())
                && self.zone.routes_of(&server).any(|route| route.kind == Kind::Address);
            if is_routed {
                let message = format!("{server} is a nameserver of the zone, and a route moves it");
                self.say(
                    message,
                    "its addresses in the parent don't move: name servers by fixed addresses".into(),
                );
            }
        }
    }

    /// What others answer who serve the file alone should be a place that clients can be sent to.
    fn static_records(&mut self) {
        let routing = &self.zone.routing;
        for route in routing.routes.iter().filter(|route| route.kind == Kind::Address) {
            let targets: Vec<_> =
                route.targets().iter().filter_map(|id| routing.targets.get(id.0 as usize)).collect();
            let known = |address: &IpAddr| {
                targets
                    .iter()
                    .any(|target| Family::BOTH.iter().any(|family| target.address(*family) == Some(*address)))
            };
            for owner in &route.owners {
                let strangers: BTreeSet<IpAddr> =
                    addresses(&self.zone.zone, owner).into_iter().filter(|address| !known(address)).collect();
                if !strangers.is_empty() {
                    let message = format!(
                        "{owner} has {} in the zone file, no target of route \"{}\"",
                        list(&strangers),
                        route.label
                    );
                    self.say(
                        message,
                        "servers without routes answer with it: write a target's address".into(),
                    );
                }
            }
        }
    }

    /// Receivers of mail want a sender's address to have a name (RFC 1912 2.1).
    fn exchangers(&mut self) {
        let zone = self.zone;
        let mut hosts = BTreeSet::new();
        for owner in zone.zone.owners() {
            for rdata in owner.rrset(Rtype::MX).into_iter().flat_map(|rrset| rrset.rdata()) {
                hosts.extend(rdata.get(2..).and_then(|host| Name::from_wire(host).ok()));
            }
        }
        for route in zone.routing.routes.iter().filter(|route| route.kind == Kind::Mx) {
            let targets = route.targets();
            let targets = targets.iter().filter_map(|id| zone.routing.targets.get(id.0 as usize));
            hosts.extend(targets.filter_map(|target| target.host.clone()));
        }
        for host in hosts {
            let Some(home) = self.model.zone_of(&host) else { continue };
            for address in addresses(&home.zone, &host) {
                let reverse = Name::reverse(address);
                let Some(tree) = self.model.zone_of(&reverse) else { continue };
                if !exists(tree, &reverse) {
                    let message = format!("{host} has {address}, which has no name in {}", tree.zone.apex());
                    self.say(message, format!("many servers refuse its mail: write {reverse} PTR {host}"));
                }
            }
        }
    }

    /// A cut that leads to this zone's own servers needs its zone there.
    fn cut(&mut self, owner: Owner<'_>) {
        let Some(name) = owner.rrset(Rtype::NS).and_then(|_| Name::from_wire(owner.name()).ok()) else {
            return;
        };
        if name == *self.apex() || self.model.zones.contains_key(&name) {
            return;
        }
        let own = names(&self.zone.zone, &self.apex().clone(), Rtype::NS);
        let there = names(&self.zone.zone, &name, Rtype::NS);
        if let Some(server) = there.intersection(&own).next() {
            let message =
                format!("{name} is delegated to {server}, which serves this zone, and no such zone is here");
            self.say(
                message,
                "put the zone here, or take the delegation out: its names don't resolve".into(),
            );
        }
    }

    /// An alias should lead somewhere, and not back to itself.
    fn alias(&mut self, owner: Owner<'_>) {
        let Some(first) = owner.rrset(Rtype::CNAME).and_then(|_| Name::from_wire(owner.name()).ok()) else {
            return;
        };
        let mut at = first.clone();
        for _ in 0..=CNAME_CHAIN {
            let Some(zone) = self.model.zone_of(&at) else { return };
            if at != first && !exists(zone, &at) {
                self.say(
                    format!("CNAME {first} leads to {at}, which isn't there"),
                    "is the name misspelt?".into(),
                );
                return;
            }
            match names(&zone.zone, &at, Rtype::CNAME).pop_first() {
                Some(next) if next == first => {
                    self.say(format!("CNAME {first} leads to itself"), "name a host with addresses".into());
                    return;
                }
                Some(next) => at = next,
                None => return,
            }
        }
    }

    /// The name of an address must have the address, or mail from it is refused.
    fn reverse(&mut self, owner: Owner<'_>) {
        let Some(names) = owner.rrset(Rtype::PTR) else { return };
        let Some(address) = address_of(owner.name()) else { return };
        for host in names.rdata().filter_map(|rdata| Name::from_wire(rdata).ok()) {
            let Some(home) = self.model.zone_of(&host) else { continue };
            let routed = home.routes_of(&host).filter(|route| route.kind == Kind::Address).any(|route| {
                let targets = route.targets();
                let mut targets = targets.iter().filter_map(|id| home.routing.targets.get(id.0 as usize));
                targets
                    .any(|target| Family::BOTH.iter().any(|family| target.address(*family) == Some(address)))
            });
            if !routed && !addresses(&home.zone, &host).contains(&address) && !is_elsewhere(home, &host) {
                let message = format!("{address} has the name {host}, which hasn't this address");
                self.say(
                    message,
                    "servers that compare the two refuse its mail: name the host that has it".into(),
                );
            }
        }
    }
}

/// Names in a name's records of a type that holds nothing but one.
fn names(zone: &Zone, owner: &Name, rtype: Rtype) -> BTreeSet<Name> {
    let lower = owner.to_lower();
    let rrset = zone.owner(lower.as_wire()).and_then(|owner| owner.rrset(rtype));
    rrset.iter().flat_map(|rrset| rrset.rdata()).filter_map(|rdata| Name::from_wire(rdata).ok()).collect()
}

fn addresses(zone: &Zone, owner: &Name) -> BTreeSet<IpAddr> {
    let lower = owner.to_lower();
    let Some(owner) = zone.owner(lower.as_wire()) else { return BTreeSet::new() };
    let rdata = |rtype| owner.rrset(rtype).into_iter().flat_map(|rrset| rrset.rdata());
    let ipv4 =
        rdata(Rtype::A).filter_map(|octets| Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?).into()));
    let ipv6 = rdata(Rtype::AAAA)
        .filter_map(|octets| Some(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into()));
    ipv4.chain(ipv6).collect()
}

/// Whether a name has anything: records, a route, a wildcard above it, or other servers to ask.
fn exists(zone: &ZoneModel, name: &Name) -> bool {
    let is_there = |name: &Name| zone.zone.owner(name.to_lower().as_wire()).is_some();
    if is_there(name) || zone.routes_of(name).next().is_some() || is_elsewhere(zone, name) {
        return true;
    }
    let mut above = name.parent();
    while let Some(encloser) = above.filter(|encloser| encloser.is_at_or_below(zone.zone.apex())) {
        if encloser.child(b"*").is_ok_and(|wildcard| is_there(&wildcard)) {
            return true;
        }
        if is_there(&encloser) {
            return false;
        }
        above = encloser.parent();
    }
    false
}

/// Whether a delegation or DNAME above a name gives it to others.
fn is_elsewhere(zone: &ZoneModel, name: &Name) -> bool {
    let apex = zone.zone.apex();
    let mut at = Some(name.clone());
    while let Some(here) = at.filter(|here| here.is_at_or_below(apex)) {
        let lower = here.to_lower();
        let owner = zone.zone.owner(lower.as_wire());
        let has = |rtype| owner.is_some_and(|owner| owner.rrset(rtype).is_some());
        if has(Rtype::NS) && here != *apex || has(Rtype::DNAME) && here != *name {
            return true;
        }
        at = here.parent();
    }
    false
}

/// The address of a reverse name; of a part of a /24 (RFC 2317) by its first label.
fn address_of(name: &[u8]) -> Option<IpAddr> {
    let lower = name.to_ascii_lowercase();
    let labels: Vec<&str> =
        crate::wire::name::labels(&lower).map(std::str::from_utf8).collect::<Result<_, _>>().ok()?;
    match labels.as_slice() {
        [d, rest @ .., "in-addr", "arpa"] if rest.len() == 3 || rest.len() == 4 => {
            let [c, b, a] = rest.last_chunk()?;
            format!("{a}.{b}.{c}.{d}").parse().ok()
        }
        [nibbles @ .., "ip6", "arpa"] if nibbles.len() == 32 => {
            let hex: String = nibbles.iter().rev().copied().collect();
            Some(Ipv6Addr::from(u128::from_str_radix(&hex, 16).ok()?).into())
        }
        _ => None,
    }
}

fn list<T: ToString>(items: &BTreeSet<T>) -> String {
    if items.is_empty() {
        return "nothing".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
