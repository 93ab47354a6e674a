//! Whether those who are left can take the clients of those who go.
//!
//! ```text
//! whoever would answer if all were well, and won't      ->  their load has to go somewhere
//! whoever answers these regions' clients instead        ->  what they can take beside their own
//! ```

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::effect::{Standings, concerned};
use super::{Geography, ZoneModel};
use crate::compile::routed::family_of;
use crate::health::{Desired, Standing, Tick};
use crate::route::{Family, Pick, Target, TargetId, decide};

/// A route whose clients would be too many for those who are left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overload {
    /// The route's key in the file.
    pub route: String,
    /// The zone.
    pub zone: String,
    /// Whose clients have to go, by site or name.
    pub gone: Vec<String>,
    /// How many shares these are.
    pub load: u32,
    /// Who would get them, and how many shares each can take.
    pub left: Vec<(String, u32)>,
}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Overload { route, zone, gone, load, left } = self;
        let names: Vec<String> = match &left[..] {
            [(name, _)] => vec![name.clone()],
            _ => left.iter().map(|(name, shares)| format!("{name} ({shares})")).collect(),
        };
        let have: u32 = left.iter().map(|(_, shares)| shares).sum();
        let verbs = |count: usize| if count == 1 { ("has", "serves") } else { ("have", "serve") };
        let (has, serves) = (verbs(left.len()).0, verbs(gone.len()).1);
        write!(
            f,
            "{} {has} {have} of the {load} that {} {serves} (route {route} of {zone})",
            names.join(" and "),
            gone.join(" and ")
        )
    }
}

/// Routes that lose one of the targets to others who can't take all of its clients. A target of
/// which no figure is known can take everything, and has nothing.
#[must_use]
pub fn overloaded(
    zone: &ZoneModel,
    geography: &Geography,
    targets: &[TargetId],
    (before, after): (Standings<'_>, Standings<'_>),
    now: Tick,
) -> Vec<Overload> {
    // By word, not by state: who has no address to probe would be well too.
    let well = |_: TargetId, _: Family| Standing::unprobed(Desired::Up, true);
    let wholes: BTreeSet<TargetId> = targets.iter().map(|target| zone.routing.whole(*target)).collect();
    let target = |id: &TargetId| zone.routing.targets.get(id.0 as usize);
    let mut found: Vec<Overload> = Vec::new();
    for (route, rtype) in concerned(zone, targets) {
        let (mut gone, mut left) = (BTreeSet::new(), BTreeSet::new());
        let mut loses = false;
        for region in geography.regions() {
            let first = |standings| {
                let decision = decide(&zone.routing, route, region, family_of(rtype), standings, now);
                first_of(&decision.pick, zone)
            };
            let (ideal, old, new) = (first(&well), first(before), first(after));
            loses |= old.difference(&new).any(|id| wholes.contains(id));
            if ideal.difference(&new).next().is_some() {
                gone.extend(ideal.difference(&new).copied());
                left.extend(new);
            }
        }
        if !loses || left.iter().any(|id| target(id).is_none_or(|target| target.capacity.is_none())) {
            continue;
        }
        let load: u32 = gone.iter().filter_map(target).filter_map(|one| one.load.or(one.capacity)).sum();
        let spare = |one: &Target| one.capacity.unwrap_or(0).saturating_sub(one.load.unwrap_or(0));
        let left: Vec<(String, u32)> =
            left.iter().filter_map(target).map(|one| (called(one), spare(one))).collect();
        if left.iter().map(|(_, shares)| shares).sum::<u32>() >= load {
            continue;
        }
        let gone: BTreeSet<String> = gone.iter().filter_map(target).map(called).collect();
        let overload = Overload {
            route: route.label.clone(),
            zone: zone.routing.apex.to_string(),
            gone: gone.into_iter().collect(),
            load,
            left,
        };
        if !found.contains(&overload) {
            found.push(overload);
        }
    }
    found
}

fn called(target: &Target) -> String {
    target.site.clone().unwrap_or_else(|| target.name.clone())
}

/// Whom clients go to first.
fn first_of(pick: &Pick, zone: &ZoneModel) -> BTreeSet<TargetId> {
    let ids: Vec<TargetId> = match pick {
        Pick::Nothing => Vec::new(),
        Pick::Addresses(all) | Pick::Cname(all) => all.iter().flat_map(|one| one.targets.clone()).collect(),
        Pick::Mx(all) => {
            let least = all.iter().map(|one| one.preference).min();
            all.iter().filter(|one| Some(one.preference) == least).map(|one| one.target).collect()
        }
        Pick::Srv(all) => {
            let least = all.iter().map(|one| one.priority).min();
            all.iter().filter(|one| Some(one.priority) == least).map(|one| one.target).collect()
        }
    };
    ids.into_iter().map(|id| zone.routing.whole(id)).collect()
}
