//! All that routes may come to answer, so that it can be signed before it is wanted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::routed::{family_of, records};
use crate::geo::RegionId;
use crate::health::{Desired, Standing, Tick};
use crate::limits::ROUTE_OUTCOMES;
use crate::route::{Route, Routing, TargetId, decide, types};
use crate::wire::rtype::Rtype;

/// Outcomes by owner, in lower-case wire form.
pub type Outcomes = HashMap<Box<[u8]>, Vec<Arc<RouteOutcomes>>>;

/// What one route may answer for one type.
#[derive(Debug, PartialEq, Eq)]
pub struct RouteOutcomes {
    /// The type.
    pub rtype: Rtype,
    /// The TTL that signatures are made with.
    pub ttl: u32,
    /// RDATA of each RRset.
    pub rrsets: HashSet<Vec<Vec<u8>>>,
}

/// The TTL that a route's signatures are made with: received ones may be below it
/// (RFC 4035 5.3.3), so one signature does for the short TTL too.
#[must_use]
pub fn original_ttl(route: &Route) -> u32 {
    route.ttl.normal.max(route.ttl.short)
}

/// What a zone's routes may answer, as far as [`ROUTE_OUTCOMES`] goes.
#[must_use]
pub fn outcomes(routing: &Routing) -> Outcomes {
    let mut all = Outcomes::new();
    for route in &routing.routes {
        for rtype in types(routing, route) {
            let rrsets = of_route(routing, route, rtype);
            let outcomes = Arc::new(RouteOutcomes { rtype, ttl: original_ttl(route), rrsets });
            for owner in &route.owners {
                all.entry(owner.as_wire().to_ascii_lowercase().into())
                    .or_default()
                    .push(Arc::clone(&outcomes));
            }
        }
    }
    all
}

/// What the route decides with these and those targets down: first none, then one, then two. Every
/// other state of theirs (waiting, taken out, failed open) comes to one of these sets again.
fn of_route(routing: &Routing, route: &Route, rtype: Rtype) -> HashSet<Vec<Vec<u8>>> {
    let targets = route.targets();
    let regions: Vec<RegionId> =
        [RegionId::DEFAULT].into_iter().chain(route.regions.iter().map(|(region, _)| *region)).collect();
    let mut rrsets = HashSet::new();
    let states = 1u64.checked_shl(targets.len() as u32).unwrap_or(u64::MAX);
    let mut wanted: Vec<u64> = (0..states.min(1 << 16)).collect();
    wanted.sort_by_key(|down| down.count_ones());
    // All down fails open.
    wanted.insert(1, states - 1);
    for down in wanted.into_iter().take(ROUTE_OUTCOMES) {
        let standing = |target: TargetId, _| {
            let at = targets.iter().position(|other| *other == target);
            let is_down = at.is_some_and(|at| at < 64 && down >> at & 1 == 1);
            Standing::unprobed(Desired::Auto, !is_down)
        };
        for region in &regions {
            let decision = decide(routing, route, *region, family_of(rtype), &standing, Tick(0));
            rrsets.extend(records(routing, rtype, &decision.pick).into_iter().map(|(_, records)| records));
            if rrsets.len() >= ROUTE_OUTCOMES {
                return rrsets;
            }
        }
    }
    rrsets
}
