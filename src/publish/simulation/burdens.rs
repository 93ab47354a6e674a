//! Whether an order must be refused: who would be left to answer, and how much more they can take.

use std::collections::BTreeSet;

use super::answers::{Candidate, Class, Routed, Scene};
use super::orders::whole_name;
use crate::model::ZoneModel;
use crate::publish::Refused;
use crate::route::{Kind, TargetId};
use crate::wire::rtype::Rtype;

/// What an order brings about.
#[derive(Debug)]
pub(super) struct Burden {
    /// Whether there is anybody of that name.
    is_anybody: bool,
    /// Whether clients of a route have nobody left.
    is_stranded: bool,
    /// Whether those who are left can't take what goes. None: that isn't known.
    is_overloaded: Option<bool>,
}

/// What comes of an order on `whom`, by the scene that there is and the one that it makes.
pub(super) fn of(before: &Scene<'_>, after: &Scene<'_>, whom: &str) -> Burden {
    let mut burden = Burden { is_anybody: false, is_stranded: false, is_overloaded: Some(false) };
    for (zone, good) in before.model.zones.values().zip(before.said.good.values()) {
        let concerned = concerned(zone, whom);
        burden.is_anybody |= !concerned.is_empty();
        for route in &zone.routing.routes {
            let then = Routed { scene: before, zone, good, route };
            let now = Routed { scene: after, zone, good, route };
            let regions = before.model.geography.regions();
            let regions: Vec<&str> = regions.map(|one| before.model.geography.region_name(one)).collect();
            for (rtype, _) in then.types().into_iter().filter(|(_, exists)| *exists) {
                let strands = |region: &&str| now.is_open(region, rtype) && !then.is_open(region, rtype);
                burden.is_stranded |= regions.iter().any(strands);
                let is_heavy = is_too_heavy(&then, &now, &regions, rtype, &concerned);
                burden.is_overloaded = burden.is_overloaded.zip(is_heavy).map(|(one, other)| one || other);
            }
        }
    }
    burden
}

impl Burden {
    /// Whether the order was refused, or wasn't, as it must be.
    pub(super) fn check(&self, refused: Option<&Refused>) -> Result<(), String> {
        let is_right = match refused {
            Some(Refused::Whom(_)) => !self.is_anybody,
            Some(Refused::Stranded(_)) => self.is_stranded,
            Some(Refused::Overloaded(_)) => !self.is_stranded && self.is_overloaded != Some(false),
            None => !self.is_stranded && self.is_overloaded != Some(true),
            Some(_) => false,
        };
        if is_right { Ok(()) } else { Err(format!("refused {refused:?}, and it is {self:?}")) }
    }
}

/// The targets of the file that an order is about, with all that need them.
fn concerned(zone: &ZoneModel, whom: &str) -> BTreeSet<TargetId> {
    let routing = &zone.routing;
    let all = || (0..).map(TargetId).zip(&routing.targets).filter(|(_, target)| target.part_of.is_none());
    let meant = all().filter(|(_, target)| {
        target.site.as_deref() == Some(whom) || whole_name(&routing.apex, &target.name) == whom
    });
    let mut concerned: BTreeSet<TargetId> = meant.map(|(id, _)| id).collect();
    loop {
        let needy = all().filter(|(_, target)| {
            target.needs.iter().any(|need| need.any_of.iter().any(|id| concerned.contains(id)))
        });
        let more: BTreeSet<TargetId> = needy.map(|(id, _)| id).collect();
        if more.is_subset(&concerned) {
            return concerned;
        }
        concerned.extend(more);
    }
}

/// Whether those who answer instead of others can't take what these have. None: that isn't known.
fn is_too_heavy(
    then: &Routed<'_>,
    now: &Routed<'_>,
    regions: &[&str],
    rtype: Rtype,
    concerned: &BTreeSet<TargetId>,
) -> Option<bool> {
    let (mut gone, mut left, mut loses) = (BTreeSet::new(), BTreeSet::new(), false);
    for region in regions {
        let ideal = now.first(region, rtype, true)?;
        let (before, after) = (then.first(region, rtype, false)?, now.first(region, rtype, false)?);
        loses |= before.difference(&after).any(|id| concerned.contains(id));
        if !ideal.is_subset(&after) {
            gone.extend(ideal.difference(&after).copied());
            left.extend(after);
        }
    }
    let file = |id: &TargetId| &now.good.config.routing.targets[id.0 as usize];
    let room: Option<u32> =
        left.iter().map(|id| Some(file(id).capacity?.saturating_sub(file(id).load.unwrap_or(0)))).sum();
    let load: u32 = gone.iter().map(|id| file(id).load.or(file(id).capacity).unwrap_or(0)).sum();
    Some(loses && room.is_some_and(|room| room < load))
}

impl Routed<'_> {
    /// Whether nobody may be served.
    fn is_open(&self, region: &str, rtype: Rtype) -> bool {
        let tiers = match self.route.kind {
            Kind::Address | Kind::Cname => self.tiers(region, rtype),
            Kind::Mx | Kind::Srv { .. } => self.all_tiers(rtype),
        };
        tiers.iter().flatten().map(|one| one.class).min() >= Some(Class::Down)
    }

    /// Whom a region's clients go to first; as it is, or as it would be if all were well.
    fn first(&self, region: &str, rtype: Rtype, are_all_well: bool) -> Option<BTreeSet<TargetId>> {
        let mut tiers = match self.route.kind {
            Kind::Address | Kind::Cname => self.tiers(region, rtype),
            Kind::Mx | Kind::Srv { .. } => self.all_tiers(rtype),
        };
        if are_all_well {
            tiers.iter_mut().flatten().for_each(|one| one.class = Class::Eligible);
        }
        match self.route.kind {
            Kind::Address | Kind::Cname => self.first_of_chain(&tiers),
            Kind::Mx | Kind::Srv { .. } => {
                let chain = self.good.chain(self.route, region);
                let place = |id: TargetId| {
                    let tier = chain.iter().position(|tier| tier.members.iter().any(|one| one.target == id));
                    tier.unwrap_or(chain.len())
                };
                let rank = |one: &Candidate| (one.class.min(Class::Down), place(one.member));
                let least = tiers.iter().flatten().map(rank).min()?;
                // Those that the chain doesn't name have no order that is told.
                (least.1 < chain.len()).then(|| {
                    tiers.iter().flatten().filter(|one| rank(one) == least).map(|one| one.member).collect()
                })
            }
        }
    }

    fn first_of_chain(&self, tiers: &[Vec<Candidate>]) -> Option<BTreeSet<TargetId>> {
        let best = tiers.iter().flatten().map(|one| one.class).min()?;
        let place = self.answering(tiers, best)?;
        let is_best = |one: &&Candidate| one.class == best;
        let mut answering: Vec<&Candidate> = tiers[place].iter().filter(is_best).collect();
        let is_shared = answering.iter().any(|one| one.weight > 0);
        answering.retain(|one| !is_shared || one.weight > 0);
        // Each share has to have as many addresses as the route wants.
        let fewest = match is_shared {
            true => answering.chunk_by(|one, next| one.member == next.member).map(<[_]>::len).min()?,
            false => answering.len(),
        };
        let following = tiers[place + 1..].iter().flatten().filter(is_best);
        let more = following.take(self.route.answers.saturating_sub(fewest));
        Some(answering.into_iter().chain(more).map(|one| one.member).collect())
    }
}
