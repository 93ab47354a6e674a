//! MX and SRV routes: the whole set of targets in every region and state; only the order moves.
//!
//! A sender that finds no MX delivers to the owner's address (RFC 5321 5.1), MTA-STS policies
//! and DANE name every exchanger, and a cache without ECS gives one region's set to another: so
//! the set is one, and what is dead stands behind all that lives, in the operator's order.
//!
//! ```text
//! eligible: of the chain, others    waiting: of the chain, others    out: of the chain, others
//! ```

use super::TargetId;
use super::decide::{Decision, Pick, Preference, Service};
use super::judge::{Judge, Judged, Verdict, Wanted};
use super::trail::Step;
use crate::geo::RegionId;

/// Distance between two ranks, as operators write preferences.
const RANK_STEP: u16 = 10;

/// The exchangers of `region`'s clients.
pub(super) fn mx(judge: &Judge<'_>, region: RegionId) -> Decision {
    decision(judge, region, |ranked| {
        Pick::Mx(ranked.iter().map(|r| Preference { preference: r.rank, target: r.judged.target }).collect())
    })
}

/// The servers of `region`'s clients.
pub(super) fn srv(judge: &Judge<'_>, region: RegionId, port: u16) -> Decision {
    decision(judge, region, |ranked| {
        let service =
            |r: &Ranked| Service { priority: r.rank, weight: r.weight, port, target: r.judged.target };
        Pick::Srv(ranked.iter().map(service).collect())
    })
}

struct Ranked {
    judged: Judged,
    weight: u16,
    /// Place in the operator's order: the tier of the chain, or behind it.
    place: usize,
    rank: u16,
}

fn decision(judge: &Judge<'_>, region: RegionId, pick: impl Fn(&[Ranked]) -> Pick) -> Decision {
    let ranked = rank(judge, region);
    let mut trail = Vec::new();
    for entry in &ranked {
        if let Some(reason) = entry.judged.reason() {
            trail.push(Step::Demoted { target: entry.judged.target, reason });
        }
    }
    let failed_open = !ranked.iter().any(|entry| entry.judged.is_eligible() || entry.judged.is_waiting());
    if ranked.is_empty() {
        trail.push(Step::Nothing);
    } else if failed_open {
        trail.push(Step::FailedOpen);
    }
    for entry in &ranked {
        let suspect = entry.judged.moving;
        trail.push(Step::Ranked { target: entry.judged.target, rank: entry.rank, suspect });
    }
    let failed_open = failed_open && !ranked.is_empty();
    let short = failed_open || ranked.iter().any(|entry| entry.judged.moving);
    let ttl = if short { judge.route.ttl.short } else { judge.route.ttl.normal };
    trail.push(Step::Ttl { seconds: ttl, short });
    Decision {
        pick: if ranked.is_empty() { Pick::Nothing } else { pick(&ranked) },
        ttl,
        short,
        failed_open,
        recheck_at: ranked.iter().filter_map(|entry| entry.judged.recheck_at()).min(),
        trail,
    }
}

fn rank(judge: &Judge<'_>, region: RegionId) -> Vec<Ranked> {
    let mut ranked: Vec<Ranked> = Vec::new();
    let mut add = |target: TargetId, weight: u16, place: usize| {
        let judged = judge.judge(target, Wanted::Host);
        if judged.has() && !ranked.iter().any(|entry| entry.judged.target == target) {
            ranked.push(Ranked { judged, weight, place, rank: 0 });
        }
    };
    let chain = judge.route.chain(region);
    for (place, tier) in chain.iter().enumerate() {
        tier.members.iter().for_each(|member| add(member.target, member.weight, place));
    }
    for (behind, target) in judge.route.targets().into_iter().enumerate() {
        add(target, weight_elsewhere(judge, target), chain.len() + behind);
    }
    // Stable: members of one tier keep their order.
    ranked.sort_by_key(|entry| (class(&entry.judged), entry.place));
    let mut rank = 0u16;
    let mut before = None;
    for entry in &mut ranked {
        let here = (class(&entry.judged), entry.place);
        if before != Some(here) {
            rank = rank.saturating_add(RANK_STEP);
            before = Some(here);
        }
        entry.rank = rank;
    }
    ranked
}

fn class(judged: &Judged) -> u8 {
    match judged.verdict {
        Verdict::Eligible => 0,
        Verdict::Waiting { .. } => 1,
        Verdict::Out(_) | Verdict::Lacks(_) => 2,
    }
}

/// The weight of a target that the region's own chain doesn't name.
fn weight_elsewhere(judge: &Judge<'_>, target: TargetId) -> u16 {
    let chains = judge.route.regions.iter().map(|(_, chain)| chain).chain([&judge.route.default]);
    let mut members = chains.flatten().flat_map(|tier| &tier.members);
    members.find(|member| member.target == target).map_or(0, |member| member.weight)
}
