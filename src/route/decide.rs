//! The decision: which targets a region's clients get now, for how long, and why.

use super::judge::Judge;
use super::trail::Step;
use super::{Family, Kind, Route, Routing, TargetId, chain, rank};
use crate::geo::RegionId;
use crate::health::{Standing, Tick};
use crate::wire::rtype::Rtype;

/// What a region's clients get, and how that came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The targets.
    pub pick: Pick,
    /// Seconds that caches may keep the answer.
    pub ttl: u32,
    /// Whether `ttl` is the short one, because something is moving or the route failed open.
    pub short: bool,
    /// Whether no target was eligible and the answer stands as though all were healthy.
    pub failed_open: bool,
    /// When time alone may change the decision: a waiting target's failback. Decide again then.
    pub recheck_at: Option<Tick>,
    /// The steps that led here, in order, for people.
    pub trail: Vec<Step>,
}

/// The targets of an answer, in the form that its type needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// No target of the route can give this type: it doesn't exist at the owner, in any region
    /// and in any state (see [`types`]).
    Nothing,
    /// Addresses of the asked family: each query gets one of these alternatives by weight; at
    /// least one. All targets have the address.
    Addresses(Vec<Alternative>),
    /// CNAME: each query gets one of these alternatives by weight; at least one, each with
    /// exactly one target, which has a host.
    Cname(Vec<Alternative>),
    /// MX: every target of the route, by ascending preference.
    Mx(Vec<Preference>),
    /// SRV: every target of the route, by ascending priority.
    Srv(Vec<Service>),
}

/// One answer of several that clients share among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// Its share; never 0. A single alternative has 1.
    pub weight: u16,
    /// The targets that are answered together; never empty.
    pub targets: Vec<TargetId>,
}

/// An exchanger of an MX answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preference {
    /// Lower is tried first (RFC 5321 5.1). Equal ones share the mail.
    pub preference: u16,
    /// The exchanger.
    pub target: TargetId,
}

/// A server of an SRV answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Lower is tried first (RFC 2782).
    pub priority: u16,
    /// Share among equal priorities (RFC 2782).
    pub weight: u16,
    /// Port of the service.
    pub port: u16,
    /// The server.
    pub target: TargetId,
}

/// Decides what `region`'s clients get from `route` at `now`.
///
/// `family` is asked of address routes alone; the others judge a target by both of its addresses.
/// `standing` is asked for addresses that targets have and, with [`Family::V4`], for targets
/// without any, of whom only what the operator says counts.
#[must_use]
pub fn decide(
    routing: &Routing,
    route: &Route,
    region: RegionId,
    family: Family,
    standing: &dyn Fn(TargetId, Family) -> Standing,
    now: Tick,
) -> Decision {
    let judge = Judge { routing, route, standing, now };
    match route.kind {
        Kind::Address => chain::addresses(&judge, region, family),
        Kind::Cname => chain::cname(&judge, region),
        Kind::Mx => rank::mx(&judge, region),
        Kind::Srv { port } => rank::srv(&judge, region, port),
    }
}

/// The types that the route's owners have, in every region and state alike.
///
/// Resolvers keep a negative answer for all their clients (RFC 7871 7.4) and may synthesise
/// others from its NSEC (RFC 8198), so a type that one region lacked would be lost to all.
#[must_use]
pub fn types(routing: &Routing, route: &Route) -> Vec<Rtype> {
    let targets = route.targets();
    // Of a target that is a host name, what the name has now: a family that it gains or loses comes
    // and goes for all regions at once, as with a change of the file.
    let any = |has: &dyn Fn(&super::Target) -> bool| {
        let parts = targets.iter().flat_map(|id| routing.targets.get(id.0 as usize)).flat_map(|t| &t.parts);
        targets.iter().chain(parts).filter_map(|id| routing.targets.get(id.0 as usize)).any(has)
    };
    let host = any(&|target| target.host.is_some());
    match route.kind {
        Kind::Address => [(Family::V4, Rtype::A), (Family::V6, Rtype::AAAA)]
            .into_iter()
            .filter(|(family, _)| any(&|target| target.address(*family).is_some()))
            .map(|(_, rtype)| rtype)
            .collect(),
        Kind::Cname => host.then_some(Rtype::CNAME).into_iter().collect(),
        Kind::Mx => host.then_some(Rtype::MX).into_iter().collect(),
        Kind::Srv { .. } => host.then_some(Rtype::SRV).into_iter().collect(),
    }
}
