//! Address and CNAME routes: the first tier of the region's chain with an eligible target answers.
//!
//! ```text
//! 1  the first tier with an eligible target        3  fail open: the first tier, as though healthy
//! 2  the first tier with a waiting target          4  the same, with what the operator took out
//! ```
//! Where the route says how much of a tier must be eligible, tiers with less are passed over in
//! step 1; if none has enough, the one with the greatest share of it answers.
//!
//! A region's clients leave its chain only when no target of it can give the type at all; then
//! the route's other targets, in order of mention, are the chain (see [`super::types`]).

use super::decide::{Alternative, Decision, Pick};
use super::judge::{Judge, Judged, Wanted};
use super::minimum;
use super::trail::Step;
use super::{Family, TargetId};
use crate::geo::RegionId;
use crate::health::Tick;

/// The addresses of one family that `region`'s clients get.
pub(super) fn addresses(judge: &Judge<'_>, region: RegionId, family: Family) -> Decision {
    let mut walk = walk(judge, region, Wanted::Address(family));
    let together = |placed: &[Placed]| placed.iter().map(|placed| placed.judged.target).collect::<Vec<_>>();
    let alternatives = if walk.answering.iter().all(|placed| placed.weight == 0) {
        vec![Alternative { weight: 1, targets: together(&walk.answering) }]
    } else {
        shared(judge, &walk.answering)
    };
    let alternatives = walk.fill_up(alternatives, judge.route.answers);
    walk.into_decision(judge, Pick::Addresses(alternatives))
}

/// An alternative for each member that has a weight; the addresses of one member are answered
/// together.
fn shared(judge: &Judge<'_>, answering: &[Placed]) -> Vec<Alternative> {
    let mut alternatives: Vec<Alternative> = Vec::new();
    let mut before = None;
    for placed in answering.iter().filter(|placed| placed.weight > 0) {
        let whole = judge.routing.whole(placed.judged.target);
        match alternatives.last_mut().filter(|_| before == Some(whole)) {
            Some(alternative) => alternative.targets.push(placed.judged.target),
            None => {
                let targets = vec![placed.judged.target];
                alternatives.push(Alternative { weight: placed.weight, targets });
            }
        }
        before = Some(whole);
    }
    alternatives
}

/// The one host that `region`'s clients get. Members without weights take turns: a name has one
/// CNAME (RFC 2181 10.1).
pub(super) fn cname(judge: &Judge<'_>, region: RegionId) -> Decision {
    let walk = walk(judge, region, Wanted::Host);
    let turns = walk.answering.iter().all(|placed| placed.weight == 0);
    let alternatives = walk.answering.iter().filter_map(|placed| {
        let weight = if turns { 1 } else { placed.weight };
        (weight > 0).then(|| Alternative { weight, targets: vec![placed.judged.target] })
    });
    let alternatives = alternatives.collect();
    walk.into_decision(judge, Pick::Cname(alternatives))
}

/// What walking the chain found.
#[derive(Default)]
struct Walk {
    /// Accepted members of the answering tier; empty if no target can give the type.
    answering: Vec<Placed>,
    /// Accepted members of the tiers behind it, in order.
    following: Vec<Placed>,
    failed_open: bool,
    /// When the first waiting target is due.
    recheck_at: Option<Tick>,
    /// Members of the tiers that were looked at, up to the answering one.
    consulted: Vec<Judged>,
    trail: Vec<Step>,
}

#[derive(Clone, Copy)]
struct Placed {
    judged: Judged,
    weight: u16,
    /// From 1.
    tier: usize,
}

/// A member of a tier, judged.
pub(super) struct Candidate {
    pub(super) judged: Judged,
    /// The target that the chain names, of which it may be one address of several.
    pub(super) member: TargetId,
    pub(super) weight: u16,
}

fn walk(judge: &Judge<'_>, region: RegionId, wanted: Wanted) -> Walk {
    let mut walk = Walk::default();
    let mut tiers = region_tiers(judge, region, wanted);
    if !tiers.iter().flatten().any(|candidate| candidate.judged.has()) {
        walk.pass_over(tiers.iter().flatten());
        tiers = all_tiers(judge, wanted);
        walk.trail.push(Step::LeftChain);
    }
    walk.recheck_at = tiers.iter().flatten().filter_map(|candidate| candidate.judged.recheck_at()).min();
    let passes: [fn(&Judged) -> bool; 4] = [
        Judged::is_eligible,
        Judged::is_waiting,
        |judged| judged.has() && !judged.is_held_out(),
        Judged::has,
    ];
    for (pass, accepts) in passes.into_iter().enumerate() {
        let accepted = |candidate: &&Candidate| accepts(&candidate.judged);
        let found = match judge.route.min_healthy {
            Some(minimum) if pass == 0 => minimum::answering(&tiers, minimum, &mut walk.trail),
            _ => tiers.iter().position(|tier| tier.iter().any(|c| accepts(&c.judged))),
        };
        let Some(answering) = found else { continue };
        let looked_at = if pass == 0 { &tiers[..=answering] } else { &tiers[..] };
        walk.pass_over(looked_at.iter().flatten());
        walk.consulted = looked_at.iter().flatten().map(|candidate| candidate.judged).collect();
        walk.failed_open = pass >= 2;
        if walk.failed_open {
            walk.trail.push(Step::FailedOpen);
        }
        let place = |tier: usize| {
            tiers[tier].iter().filter(accepted).map(move |candidate| Placed {
                judged: candidate.judged,
                weight: candidate.weight,
                tier: tier + 1,
            })
        };
        walk.answering = place(answering).collect();
        walk.following = (answering + 1..tiers.len()).flat_map(place).collect();
        for placed in &walk.answering {
            walk.trail.push(Step::Served {
                target: placed.judged.target,
                tier: placed.tier,
                suspect: placed.judged.moving,
                weight: placed.weight,
            });
        }
        break;
    }
    walk
}

/// The region's chain, judged. A target that stands in it twice counts where it stands first.
fn region_tiers(judge: &Judge<'_>, region: RegionId, wanted: Wanted) -> Vec<Vec<Candidate>> {
    let mut seen: Vec<TargetId> = Vec::new();
    let tiers = judge.route.chain(region).iter().map(|tier| {
        let mut candidates = Vec::new();
        for member in &tier.members {
            if !seen.contains(&member.target) {
                seen.push(member.target);
                candidates.extend(member_candidates(judge, member.target, member.weight, wanted));
            }
        }
        candidates
    });
    tiers.collect()
}

/// Every target of the route in a tier of its own.
fn all_tiers(judge: &Judge<'_>, wanted: Wanted) -> Vec<Vec<Candidate>> {
    let targets = judge.route.targets().into_iter();
    targets.map(|target| member_candidates(judge, target, 0, wanted)).collect()
}

/// A member, judged: each of its addresses that can give the type; itself, if none can.
fn member_candidates(judge: &Judge<'_>, target: TargetId, weight: u16, wanted: Wanted) -> Vec<Candidate> {
    let candidate = |id| Candidate { judged: judge.judge(id, wanted), member: target, weight };
    let itself = || vec![candidate(target)];
    let has_parts = judge.routing.targets.get(target.0 as usize).is_some_and(|one| !one.parts.is_empty());
    if matches!(wanted, Wanted::Host) || !has_parts {
        return itself();
    }
    let able: Vec<Candidate> =
        judge.routing.answering(target).map(candidate).filter(|one| one.judged.has()).collect();
    if able.is_empty() { itself() } else { able }
}

impl Walk {
    fn pass_over<'a>(&mut self, candidates: impl Iterator<Item = &'a Candidate>) {
        for candidate in candidates {
            if let Some(reason) = candidate.judged.reason() {
                self.trail.push(Step::PassedOver { target: candidate.judged.target, reason });
            }
        }
    }

    /// Adds targets of the following tiers until each alternative has `answers` of them.
    fn fill_up(&mut self, mut alternatives: Vec<Alternative>, answers: usize) -> Vec<Alternative> {
        let fewest = alternatives.iter().map(|alternative| alternative.targets.len()).min().unwrap_or(0);
        let missing = answers.saturating_sub(fewest);
        for placed in self.following.iter().take(missing) {
            for alternative in &mut alternatives {
                if alternative.targets.len() < answers {
                    alternative.targets.push(placed.judged.target);
                }
            }
            self.consulted.push(placed.judged);
            self.trail.push(Step::FilledUp { target: placed.judged.target, tier: placed.tier });
        }
        alternatives
    }

    fn into_decision(mut self, judge: &Judge<'_>, pick: Pick) -> Decision {
        if self.answering.is_empty() {
            self.trail.push(Step::Nothing);
            return Decision {
                pick: Pick::Nothing,
                ttl: judge.route.ttl.normal,
                short: false,
                failed_open: false,
                recheck_at: None,
                trail: self.trail,
            };
        }
        let short = self.failed_open || self.consulted.iter().any(|judged| judged.moving);
        let ttl = if short { judge.route.ttl.short } else { judge.route.ttl.normal };
        self.trail.push(Step::Ttl { seconds: ttl, short });
        Decision {
            pick,
            ttl,
            short,
            failed_open: self.failed_open,
            recheck_at: self.recheck_at,
            trail: self.trail,
        }
    }
}
