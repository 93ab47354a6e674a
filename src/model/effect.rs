//! What a change of standing does to answers: which names change for which regions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Geography, ZoneModel};
use crate::compile::routed::{family_of, records};
use crate::health::{Standing, Tick};
use crate::limits;
use crate::route::{Decision, Family, Route, TargetId, decide, types};
use crate::wire::rtype::Rtype;

/// A name whose answer is another one now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Effect {
    /// The owner; the first of a route's, with the number of the others.
    pub name: String,
    /// The type.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The regions whose clients see it.
    pub regions: Vec<String>,
    /// What they got.
    pub old: String,
    /// What they get.
    pub new: String,
}

/// A route that would have no eligible target in some regions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stranded {
    /// The route's key in the file.
    pub route: String,
    /// The zone.
    pub zone: String,
    /// The type.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The regions.
    pub regions: Vec<String>,
}

/// How targets stand, before or after.
pub type Standings<'a> = &'a dyn Fn(TargetId, Family) -> Standing;

/// What changes for whom between two standings of some targets. At most
/// [`limits::EVENT_EFFECTS`]: an event is read by people.
#[must_use]
pub fn effects(
    zone: &ZoneModel,
    geography: &Geography,
    targets: &[TargetId],
    (before, after): (Standings<'_>, Standings<'_>),
    now: Tick,
) -> Vec<Effect> {
    let mut found: Vec<Effect> = Vec::new();
    for (route, rtype) in concerned(zone, targets) {
        if found.len() >= limits::EVENT_EFFECTS {
            break;
        }
        let first = found.len();
        for region in geography.regions() {
            let show = |standings| {
                let decision = decide(&zone.routing, route, region, family_of(rtype), standings, now);
                shown(zone, rtype, &decision)
            };
            let (old, new) = (show(before), show(after));
            if old == new {
                continue;
            }
            let region = geography.region_name(region).to_owned();
            match found[first..].iter_mut().find(|effect| effect.old == old && effect.new == new) {
                Some(same) => same.regions.push(region),
                None => {
                    let name = owners(route);
                    found.push(Effect { name, rtype: rtype.to_string(), regions: vec![region], old, new });
                }
            }
        }
    }
    found.truncate(limits::EVENT_EFFECTS);
    found
}

/// Which routes lose their last eligible target, and where.
#[must_use]
pub fn stranded(
    zone: &ZoneModel,
    geography: &Geography,
    targets: &[TargetId],
    (before, after): (Standings<'_>, Standings<'_>),
    now: Tick,
) -> Vec<Stranded> {
    let mut found = Vec::new();
    for (route, rtype) in concerned(zone, targets) {
        let is_open = |region, standings| {
            decide(&zone.routing, route, region, family_of(rtype), standings, now).failed_open
        };
        let regions: Vec<String> = geography
            .regions()
            .filter(|region| is_open(*region, after) && !is_open(*region, before))
            .map(|region| geography.region_name(region).to_owned())
            .collect();
        if !regions.is_empty() {
            found.push(Stranded {
                route: route.label.clone(),
                zone: zone.routing.apex.to_string(),
                rtype: rtype.to_string(),
                regions,
            });
        }
    }
    found
}

/// Routes that name one of the targets, with each of their types.
pub(super) fn concerned<'z>(
    zone: &'z ZoneModel,
    targets: &[TargetId],
) -> impl Iterator<Item = (&'z Route, Rtype)> {
    let wholes: Vec<TargetId> = targets.iter().map(|target| zone.routing.whole(*target)).collect();
    let named = move |route: &&Route| route.targets().iter().any(|target| wholes.contains(target));
    let routes = zone.routing.routes.iter().filter(named);
    routes.flat_map(|route| types(&zone.routing, route).into_iter().map(move |rtype| (route, rtype)))
}

fn shown(zone: &ZoneModel, rtype: Rtype, decision: &Decision) -> String {
    let alternatives = records(&zone.routing, rtype, &decision.pick);
    let all = alternatives.iter().flat_map(|(_, records)| records);
    let texts: Vec<String> = all.map(|rdata| crate::zone::rdata_text(rtype, rdata)).collect();
    texts.join(", ")
}

fn owners(route: &Route) -> String {
    match &route.owners[..] {
        [] => route.label.clone(),
        [only] => only.to_string(),
        [first, others @ ..] => format!("{first} and {} more", others.len()),
    }
}
