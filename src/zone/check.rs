//! What records of a zone must not be to each other, as `named-checkzone` has it.

use std::collections::HashSet;

use super::check_values::{is_host_name, values};
use super::{Owner, Zone};
use crate::wire::name::{Name, is_at_or_below, parent};
use crate::wire::rtype::Rtype;

/// One thing that is wrong or odd.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// The owner, in wire form, at whose record it shows.
    pub(super) owner: Vec<u8>,
    /// The type of that record; none for any.
    pub(super) rtype: Option<Rtype>,
    pub(super) is_error: bool,
    pub(super) message: String,
    pub(super) help: Option<&'static str>,
}

/// Looks a zone over.
pub(super) fn zone(zone: &Zone, has_routed_addresses: &dyn Fn(&Name) -> bool) -> Vec<Finding> {
    let mut checker = Checker {
        zone,
        has_routed_addresses,
        findings: Vec::new(),
        cuts: HashSet::new(),
        dnames: HashSet::new(),
    };
    checker.apex();
    for owner in zone.notable() {
        if owner.rrset(Rtype::NS).is_some() && !checker.is_apex(owner) {
            checker.cuts.insert(owner.lower().into_owned());
        }
        if owner.rrset(Rtype::DNAME).is_some() {
            checker.dnames.insert(owner.lower().into_owned());
        }
    }
    for owner in zone.notable() {
        checker.owner(owner);
    }
    if !checker.cuts.is_empty() || !checker.dnames.is_empty() {
        for owner in zone.owners() {
            checker.hidden(owner);
        }
    }
    checker.findings.extend(values(zone));
    checker.findings
}

/// Whether an owner with records of a type has to be looked at by itself; others are only looked
/// for below delegations.
pub(super) fn is_notable_type(rtype: Rtype) -> bool {
    matches!(
        rtype,
        Rtype::SOA
            | Rtype::NS
            | Rtype::DS
            | Rtype::CNAME
            | Rtype::DNAME
            | Rtype::MX
            | Rtype::SRV
            | Rtype::PTR
            | Rtype::RRSIG
    )
}

/// Likewise for its name.
pub(super) fn is_notable_name(name: &[u8], apex: &Name) -> bool {
    has_apex_twice(name, apex.as_wire()) || !is_host_name(name)
}

struct Checker<'a> {
    zone: &'a Zone,
    has_routed_addresses: &'a dyn Fn(&Name) -> bool,
    findings: Vec<Finding>,
    cuts: HashSet<Vec<u8>>,
    dnames: HashSet<Vec<u8>>,
}

/// How a name in RDATA fares as a host.
enum Host {
    /// It has addresses, or is somebody else's to give.
    Fine,
    Cname,
    NoAddress,
}

impl Checker<'_> {
    fn error(&mut self, owner: &[u8], rtype: impl Into<Option<Rtype>>, message: String, help: &'static str) {
        self.findings.push(Finding {
            owner: owner.to_vec(),
            rtype: rtype.into(),
            is_error: true,
            message,
            help: Some(help),
        });
    }

    fn warning(
        &mut self,
        owner: &[u8],
        rtype: impl Into<Option<Rtype>>,
        message: String,
        help: &'static str,
    ) {
        self.findings.push(Finding {
            owner: owner.to_vec(),
            rtype: rtype.into(),
            is_error: false,
            message,
            help: Some(help),
        });
    }

    fn is_apex(&self, owner: Owner<'_>) -> bool {
        owner.name().eq_ignore_ascii_case(self.zone.apex().as_wire())
    }

    fn apex(&mut self) {
        let apex = self.zone.apex().to_lower();
        let found = self.zone.owner(apex.as_wire());
        let count = |rtype| found.and_then(|owner| owner.rrset(rtype)).map_or(0, |rrset| rrset.count());
        match count(Rtype::SOA) {
            0 => self.error(
                apex.as_wire(),
                None,
                format!("the zone has no SOA record at {}", self.zone.apex()),
                "write: @ SOA ns1 hostmaster 1 3600 600 86400 60",
            ),
            1 => {}
            _ => self.error(
                apex.as_wire(),
                Rtype::SOA,
                "the zone has several SOA records".to_owned(),
                "keep one of them",
            ),
        }
        if count(Rtype::NS) == 0 {
            self.error(
                apex.as_wire(),
                None,
                format!("the zone has no NS record at {}", self.zone.apex()),
                "name its servers: @ NS ns1",
            );
        }
    }

    fn owner(&mut self, owner: Owner<'_>) {
        let name = owner.name();
        if owner.rrset(Rtype::SOA).is_some() && !self.is_apex(owner) {
            self.error(
                name,
                Rtype::SOA,
                "SOA stands below the apex".to_owned(),
                "a zone's SOA is its apex's: @ SOA ...",
            );
        }
        self.repeated_apex(name, None);
        if name.starts_with(b"\x01*") {
            self.wildcard_cut(owner);
        }
        self.aliases(owner);
        let is_cut = self.cuts.contains(&*owner.lower());
        if owner.rrset(Rtype::DS).is_some() && self.is_apex(owner) {
            self.error(
                name,
                Rtype::DS,
                "DS stands at the apex (RFC 4035 2.4)".to_owned(),
                "it belongs into the parent zone",
            );
        } else if owner.rrset(Rtype::DS).is_some() && !is_cut {
            self.warning(
                name,
                Rtype::DS,
                "DS without NS at the same name".to_owned(),
                "a DS belongs to a delegation",
            );
        }
        for (rtype, behind) in
            [(Rtype::NS, 0), (Rtype::MX, 2), (Rtype::SRV, 6), (Rtype::CNAME, 0), (Rtype::PTR, 0)]
        {
            for rdata in owner.rrset(rtype).into_iter().flat_map(|rrset| rrset.rdata()) {
                self.target(name, rtype, &rdata[behind.min(rdata.len())..]);
            }
        }
    }

    /// RFC 4592 4.2 and 4.4: what such records mean is undefined.
    fn wildcard_cut(&mut self, owner: Owner<'_>) {
        for rtype in [Rtype::NS, Rtype::DNAME].into_iter().filter(|rtype| owner.rrset(*rtype).is_some()) {
            self.warning(
                owner.name(),
                rtype,
                format!("{rtype} at a wildcard has no defined meaning (RFC 4592 4)"),
                "write it at each name that it is meant for",
            );
        }
    }

    fn aliases(&mut self, owner: Owner<'_>) {
        let name = owner.name();
        for rtype in [Rtype::CNAME, Rtype::DNAME] {
            if owner.rrset(rtype).is_some_and(|rrset| rrset.count() > 1) {
                self.error(name, rtype, format!("several {rtype} records at one name"), "keep one of them");
            }
        }
        if owner.rrset(Rtype::DNAME).is_some() && owner.rrset(Rtype::NS).is_some() && !self.is_apex(owner) {
            self.warning(
                name,
                Rtype::DNAME,
                "DNAME stands beside NS (RFC 6672 2.3)".to_owned(),
                "a delegation's names are others' to redirect: keep one of the two",
            );
        }
        if owner.rrset(Rtype::CNAME).is_none() {
            return;
        }
        // RFC 2181 10.1, RFC 4034 2.5, 3 and 4.
        let allowed = [Rtype::CNAME, Rtype::RRSIG, Rtype::NSEC];
        if let Some(other) = owner.rrsets().map(|rrset| rrset.rtype()).find(|rtype| !allowed.contains(rtype))
        {
            self.error(
                name,
                Rtype::CNAME,
                format!("CNAME stands beside {other} at the same name (RFC 1034 3.6.2)"),
                "a CNAME is alone at its name; at the apex it can't be: write A and AAAA, or a route",
            );
        }
    }

    fn hidden(&mut self, owner: Owner<'_>) {
        let lower = owner.lower();
        let apex_octets = self.zone.apex().as_wire().len();
        let mut above = parent(&lower);
        while let Some(name) = above.filter(|name| name.len() >= apex_octets) {
            if self.dnames.contains(name) {
                let message = "the name lies below a DNAME, which redirects it (RFC 6672 2.4)".to_owned();
                self.error(owner.name(), None, message, "take it out, or the DNAME");
                return;
            }
            if self.cuts.contains(name) {
                let is_glue = owner.rrsets().all(|rrset| [Rtype::A, Rtype::AAAA].contains(&rrset.rtype()));
                if !is_glue {
                    let message = "the name lies below a delegation: others answer for it".to_owned();
                    self.warning(owner.name(), None, message, "put it into the delegated zone");
                }
                return;
            }
            above = parent(name);
        }
    }

    fn target(&mut self, owner: &[u8], rtype: Rtype, target: &[u8]) {
        self.repeated_apex(target, Some((owner, rtype)));
        if matches!(rtype, Rtype::CNAME | Rtype::PTR) || target == [0] {
            return;
        }
        let shown = Name::from_wire(target).map_or_else(|_| String::new(), |name| name.to_string());
        match self.host(target) {
            Host::Fine => {}
            Host::Cname if rtype == Rtype::SRV => self.warning(
                owner,
                rtype,
                format!("SRV names {shown}, which is a CNAME (RFC 2782)"),
                "name the host that the CNAME leads to",
            ),
            Host::Cname => self.error(
                owner,
                rtype,
                format!("{rtype} names {shown}, which is a CNAME (RFC 2181 10.3)"),
                "name the host that the CNAME leads to",
            ),
            Host::NoAddress if rtype == Rtype::SRV => self.warning(
                owner,
                rtype,
                format!("SRV names {shown}, which has no address in this zone"),
                "give it an A or AAAA record",
            ),
            Host::NoAddress => self.error(
                owner,
                rtype,
                format!("{rtype} names {shown}, which has no address in this zone"),
                "give it an A or AAAA record, or an address route",
            ),
        }
    }

    fn host(&self, target: &[u8]) -> Host {
        let apex = self.zone.apex();
        if !is_at_or_below(target, apex.as_wire()) {
            return Host::Fine;
        }
        let lower = target.to_ascii_lowercase();
        let is_routed = Name::from_wire(&lower).is_ok_and(|name| (self.has_routed_addresses)(&name));
        let found = self.zone.owner(&lower).or_else(|| self.wildcard(&lower));
        if let Some(owner) = found {
            if owner.rrset(Rtype::CNAME).is_some() {
                return Host::Cname;
            }
            if owner.rrset(Rtype::A).is_some() || owner.rrset(Rtype::AAAA).is_some() {
                return Host::Fine;
            }
        }
        if is_routed || self.is_elsewhere(&lower) { Host::Fine } else { Host::NoAddress }
    }

    /// Whether a delegation or DNAME above gives the name to others. A server within the very
    /// zone that it serves needs glue here, and doesn't count.
    fn is_elsewhere(&self, lower: &[u8]) -> bool {
        let mut above = parent(lower);
        while let Some(name) = above.filter(|name| name.len() > self.zone.apex().as_wire().len()) {
            if self.dnames.contains(name) {
                return true;
            }
            if self.cuts.contains(name) {
                let servers = self.zone.owner(name).and_then(|owner| owner.rrset(Rtype::NS));
                return !servers
                    .is_some_and(|servers| servers.rdata().any(|server| server.eq_ignore_ascii_case(lower)));
            }
            above = parent(name);
        }
        false
    }

    fn wildcard(&self, lower: &[u8]) -> Option<Owner<'_>> {
        let mut above = parent(lower);
        while let Some(name) = above.filter(|name| name.len() >= self.zone.apex().as_wire().len()) {
            if let Some(owner) = self.zone.owner(&[b"\x01*", name].concat()) {
                return Some(owner);
            }
            if self.zone.owner(name).is_some() {
                return None;
            }
            above = parent(name);
        }
        None
    }

    /// `example.com.example.com`: a final dot that was forgotten.
    fn repeated_apex(&mut self, name: &[u8], named_by: Option<(&[u8], Rtype)>) {
        if !has_apex_twice(name, self.zone.apex().as_wire()) {
            return;
        }
        let shown = Name::from_wire(name).map_or_else(|_| String::new(), |name| name.to_string());
        let message = format!("{shown} has the zone's name twice");
        let (owner, rtype) = named_by.map_or((name, None), |(owner, rtype)| (owner, Some(rtype)));
        self.warning(owner, rtype, message, "is the final dot of the name forgotten?");
    }
}

fn has_apex_twice(name: &[u8], apex: &[u8]) -> bool {
    let Some(before) = name.len().checked_sub(2 * apex.len() - 1).filter(|_| apex.len() > 1) else {
        return false;
    };
    let (first, second) = name[before..].split_at(apex.len() - 1);
    first.eq_ignore_ascii_case(&apex[..apex.len() - 1])
        && second.eq_ignore_ascii_case(apex)
        // Labels must begin there, or a name such as xexample.com.example.com would count.
        && is_at_or_below(name, &name[before..])
}
