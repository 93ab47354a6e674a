//! Routes against their zone file: what neither of the two shows alone.

use std::path::Path;

use super::zone::ZoneConfig;
use crate::diagnostic::{Diagnostic, Severity};
use crate::route::{Kind, Route, TargetId};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::zone::Zone;

/// Longest MINIMUM of a zone with routes: a name or type that appears isn't found by those who
/// were told for that long that it isn't there (RFC 2308, RFC 9077).
const MINIMUM_MAX: u32 = 60;

/// Checks routes with the zone's static records at hand: `has` tells whether a name has a type.
#[must_use]
pub fn against_zone(
    config: &ZoneConfig,
    has: &dyn Fn(&Name, Rtype) -> bool,
    soa_minimum: u32,
) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    let checker = Checker { config, has };
    for (route, place) in config.routing.routes.iter().zip(&config.route_places) {
        checker.owners(route, place, &mut findings);
        checker.hosts(route, place, &mut findings);
        checker.unresolved(route, place, &mut findings);
    }
    checker.own_names(&mut findings);
    if let Some(place) = config.route_places.first().filter(|_| soa_minimum > MINIMUM_MAX) {
        let message = format!("the zone has routes, and its SOA MINIMUM is {soa_minimum}");
        let help = "write 60 or less: for so long resolvers keep that a name or type isn't there";
        findings.push(said(place, Severity::Warning, message, help));
    }
    findings
}

/// Records that a signed zone gets from its keys, so that its file must not have them.
const MADE: [Rtype; 7] =
    [Rtype::RRSIG, Rtype::NSEC, Rtype::DNSKEY, Rtype::NSEC3, Rtype::NSEC3PARAM, Rtype::CDS, Rtype::CDNSKEY];

/// Checks that a zone to be signed isn't signed in its file already.
#[must_use]
pub fn against_signed(config: &ZoneConfig, path: &Path, zone: &Zone) -> Option<Diagnostic> {
    config.dnssec.as_ref()?;
    let mut rrsets = zone.owners().flat_map(|owner| owner.rrsets().map(move |rrset| (owner, rrset.rtype())));
    let (owner, rtype) = rrsets.find(|(_, rtype)| MADE.contains(rtype))?;
    let owner = Name::from_wire(owner.name()).unwrap_or_else(|_| zone.apex().clone());
    let message = format!("{owner} has {rtype} in the zone file, and [dnssec] signs the zone");
    Some(
        Diagnostic::error(path, message).help(
            "take RRSIG, NSEC, NSEC3, NSEC3PARAM, DNSKEY, CDS and CDNSKEY out of the file: they are made",
        ),
    )
}

struct Checker<'a> {
    config: &'a ZoneConfig,
    has: &'a dyn Fn(&Name, Rtype) -> bool,
}

impl Checker<'_> {
    fn owners(&self, route: &Route, place: &Diagnostic, findings: &mut Vec<Diagnostic>) {
        for owner in &route.owners {
            if let Some(cut) = self.cut_above(owner) {
                let message = format!("{owner} lies in {cut}, which the zone file delegates to others");
                findings.push(said(place, Severity::Error, message, "route it in the delegated zone"));
            }
            if !matches!(route.kind, Kind::Cname) && (self.has)(owner, Rtype::CNAME) {
                let message = format!("{owner} is a CNAME in the zone file");
                findings.push(said(
                    place,
                    Severity::Error,
                    message,
                    "take the CNAME out: the route answers there",
                ));
            }
            if matches!(route.kind, Kind::Cname) {
                let others = Rtype::MNEMONICS.iter().filter_map(|mnemonic| mnemonic.parse().ok());
                let beside =
                    others.into_iter().find(|rtype| *rtype != Rtype::CNAME && (self.has)(owner, *rtype));
                let routed = self.routes_at(owner).find(|other| !matches!(other.kind, Kind::Cname));
                if let Some(rtype) = beside {
                    let message =
                        format!("{owner} has {rtype} in the zone file, beside which no CNAME stands");
                    findings.push(said(
                        place,
                        Severity::Error,
                        message,
                        "take it out, or use type = \"address\"",
                    ));
                } else if let Some(other) = routed {
                    let message =
                        format!("{owner} is routed by \"{}\" too, beside which no CNAME stands", other.label);
                    findings.push(said(place, Severity::Error, message, "use type = \"address\""));
                }
            }
            // Which types a host name will have isn't known here.
            if matches!(route.kind, Kind::Address)
                && !route.targets().into_iter().any(|id| self.is_by_name(id))
            {
                let types = crate::route::types(&self.config.routing, route);
                for rtype in [Rtype::A, Rtype::AAAA] {
                    if !types.contains(&rtype) && (self.has)(owner, rtype) {
                        let message =
                            format!("{owner} has {rtype} in the zone file and no target of the route has");
                        let help = "it is answered whatever health says: give the targets such addresses, or take it out";
                        findings.push(said(place, Severity::Warning, message, help));
                    }
                }
            }
        }
    }

    /// Hosts that a route names must be found: an exchanger without address bounces mail or sends
    /// it to the apex (RFC 5321 5.1).
    fn hosts(&self, route: &Route, route_place: &Diagnostic, findings: &mut Vec<Diagnostic>) {
        if matches!(route.kind, Kind::Address) {
            return;
        }
        for id in route.targets() {
            let Some(target) = self.config.routing.targets.get(id.0 as usize) else { continue };
            let (Some(host), Some(place)) = (&target.host, self.config.target_places.get(id.0 as usize))
            else {
                continue;
            };
            if !host.is_at_or_below(&self.config.routing.apex) {
                if matches!(route.kind, Kind::Cname) {
                    let message = format!("cname route \"{}\" leads out of the zone, to {host}", route.label);
                    let help = "where the other zone ignores client subnets, resolvers mix regions up: \
                                an address route with `address_of` doesn't have that";
                    findings.push(said(route_place, Severity::Warning, message, help));
                }
                continue;
            }
            let is_alias = (self.has)(host, Rtype::CNAME)
                || self.routes_at(host).any(|other| matches!(other.kind, Kind::Cname));
            let is_address = (self.has)(host, Rtype::A)
                || (self.has)(host, Rtype::AAAA)
                || self.routes_at(host).any(|other| matches!(other.kind, Kind::Address));
            let what = if matches!(route.kind, Kind::Mx) { "an MX host" } else { "a host" };
            if is_alias && !matches!(route.kind, Kind::Cname) {
                let message = format!("{host} is a CNAME, and {what} must not be one (RFC 2181 10.3)");
                findings.push(said(place, Severity::Error, message, "name the host that has the addresses"));
            } else if !is_alias && !is_address {
                let message = format!(
                    "{host} has no address in the zone: route \"{}\" would make {what} unresolvable",
                    route.label
                );
                findings.push(said(
                    place,
                    Severity::Error,
                    message,
                    "give it an A or AAAA record in the zone file, or an address route",
                ));
            }
        }
    }

    /// Until its targets' host names have been resolved for the first time, such a route has
    /// nothing to answer with.
    fn unresolved(&self, route: &Route, place: &Diagnostic, findings: &mut Vec<Diagnostic>) {
        let is_static = |owner: &Name| (self.has)(owner, Rtype::A) || (self.has)(owner, Rtype::AAAA);
        if matches!(route.kind, Kind::Address)
            && route.targets().into_iter().all(|id| self.is_by_name(id))
            && !route.owners.iter().all(is_static)
        {
            let message =
                format!("all targets of route \"{}\" are host names that others serve", route.label);
            let help = "until one is resolved for the first time the route has no address: add a target \
                        that has one, or A records in the zone file for that time";
            findings.push(said(place, Severity::Warning, message, help));
        }
    }

    fn is_by_name(&self, id: TargetId) -> bool {
        self.config.routing.targets.get(id.0 as usize).is_some_and(|target| target.address_of.is_some())
    }

    /// A name that this zone answers for would be asked of ourselves, and depend on its own answer.
    fn own_names(&self, findings: &mut Vec<Diagnostic>) {
        for (target, place) in self.config.routing.targets.iter().zip(&self.config.target_places) {
            let Some(name) = &target.address_of else { continue };
            if name.is_at_or_below(&self.config.routing.apex) && self.cut_above(name).is_none() {
                let message = format!("{name} is in this zone itself");
                findings.push(said(place, Severity::Error, message, "write its addresses: ipv4 and ipv6"));
            }
        }
    }

    /// The delegation at or above a name, if there is one.
    fn cut_above(&self, name: &Name) -> Option<Name> {
        let apex = &self.config.routing.apex;
        let mut at = Some(name.clone());
        while let Some(name) = at.filter(|name| name != apex && name.is_at_or_below(apex)) {
            if (self.has)(&name, Rtype::NS) {
                return Some(name);
            }
            at = name.parent();
        }
        None
    }

    fn routes_at<'s>(&'s self, owner: &'s Name) -> impl Iterator<Item = &'s Route> {
        self.config.routing.routes.iter().filter(|route| route.owners.contains(owner))
    }
}

fn said(place: &Diagnostic, severity: Severity, message: String, help: &str) -> Diagnostic {
    Diagnostic { severity, message, help: Some(help.to_owned()), ..place.clone() }
}
