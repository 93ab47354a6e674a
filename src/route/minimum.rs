//! The first tier of which enough is eligible.

use super::Minimum;
use super::chain::Candidate;
use super::trail::Step;

/// The place of the first tier that has the minimum, or else of the one that comes nearest to it,
/// the first of several; none if no target is eligible at all. Tiers that are passed over although
/// they have eligible targets are told in the trail.
pub(super) fn answering(tiers: &[Vec<Candidate>], minimum: Minimum, trail: &mut Vec<Step>) -> Option<usize> {
    let shares: Vec<Share> = tiers.iter().map(|tier| Share::of(tier, minimum)).collect();
    let alive = || shares.iter().enumerate().filter(|(_, share)| share.eligible > 0);
    let step = |(tier, share): (usize, &Share)| Step::BelowMinimum {
        tier: tier + 1,
        eligible: share.eligible,
        of: share.whole,
        minimum,
    };
    if let Some((place, _)) = alive().find(|(_, share)| share.is_enough()) {
        trail.extend(alive().take_while(|(tier, _)| *tier < place).map(step));
        return Some(place);
    }
    let mut best: Option<(usize, &Share)> = None;
    for (tier, share) in alive() {
        if best.is_none_or(|(_, best)| share.is_nearer_than(best)) {
            best = Some((tier, share));
        }
    }
    let (place, _) = best?;
    trail.extend(alive().map(step));
    trail.push(Step::BestOfAll { tier: place + 1 });
    Some(place)
}

/// How much of a tier is eligible, in the unit of the minimum: weights, or targets.
struct Share {
    eligible: u64,
    whole: u64,
    /// In hundredths of that unit.
    needed: u64,
}

impl Share {
    fn of(tier: &[Candidate], minimum: Minimum) -> Share {
        // What cannot give the type at all isn't missing from the tier. Addresses of one member
        // follow each other, and it is as well as the best of them.
        let able: Vec<&Candidate> = tier.iter().filter(|candidate| candidate.judged.has()).collect();
        let counts_weights = matches!(minimum, Minimum::Percent(_)) && able.iter().any(|one| one.weight > 0);
        let size = |member: &[&Candidate]| {
            member.first().map_or(0, |one| if counts_weights { u64::from(one.weight) } else { 1 })
        };
        let members = || able.chunk_by(|one, next| one.member == next.member);
        let is_eligible = |member: &&[&Candidate]| member.iter().any(|one| one.judged.is_eligible());
        let whole: u64 = members().map(size).sum();
        let eligible = members().filter(is_eligible).map(size).sum();
        let needed = match minimum {
            Minimum::Percent(percent) => whole * u64::from(percent),
            Minimum::Targets(count) => whole.min(count as u64) * 100,
        };
        Share { eligible, whole, needed }
    }

    fn is_enough(&self) -> bool {
        self.eligible * 100 >= self.needed
    }

    /// By the part of what is needed.
    fn is_nearer_than(&self, other: &Share) -> bool {
        self.eligible * other.needed > other.eligible * self.needed
    }
}
