//! Variants of a route's answers: what each region's clients get now.

use crate::geo::RegionId;
use crate::wire::rendered::Rendered;

/// A slot by its place in the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u32);

/// One route's answers of one type. Health transitions publish another slot in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// By region; regions behind its end have the first variant, that of `default`.
    pub regions: Box<[u16]>,
    /// The distinct answers. Never empty, and the first is that of `default`.
    pub variants: Box<[Variant]>,
    /// Whether a client's network in ECS places it; otherwise its source address alone.
    pub ecs: bool,
}

/// What one region's clients get.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Rendered answers, each with the sum of weights up to and with its own. Never empty.
    pub alternatives: Box<[(u32, Box<[u8]>)]>,
}

impl Slot {
    /// The answer for a region's client. `entropy` picks among weighted alternatives.
    #[must_use]
    pub fn pick(&self, region: RegionId, entropy: u32) -> Option<Rendered<'_>> {
        let variant = self.regions.get(usize::from(region.0)).copied().unwrap_or(0);
        let alternatives = &self.variants.get(usize::from(variant))?.alternatives;
        let (total, first) = match &**alternatives {
            [(_, only)] => return Rendered::read(only),
            [(_, first), .., (total, _)] => (*total, first),
            [] => return None,
        };
        // Multiplying by the fraction spreads without a division (Lemire).
        let point = ((u64::from(entropy) * u64::from(total)) >> 32) as u32;
        let chosen = alternatives.iter().find(|(upto, _)| point < *upto);
        Rendered::read(chosen.map_or(first, |(_, octets)| octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(weights: &[u32]) -> Slot {
        let mut sum = 0;
        let alternatives = weights
            .iter()
            .enumerate()
            .map(|(number, weight)| {
                sum += weight;
                (sum, vec![0, number as u8].into())
            })
            .collect();
        let default = Variant { alternatives: [(1, vec![0, 99].into())].into() };
        Slot { regions: [0, 1].into(), variants: [default, Variant { alternatives }].into(), ecs: true }
    }

    #[test]
    fn weights_share_the_clients() {
        let slot = slot(&[1, 3, 6]);
        let mut counts = [0; 3];
        for step in 0..10_000u32 {
            let picked = slot.pick(RegionId(1), step.wrapping_mul(429_496)).unwrap();
            counts[usize::from(picked.answers)] += 1;
        }
        for (count, expected) in counts.into_iter().zip([1_000, 3_000, 6_000]) {
            assert!((expected - 10..=expected + 10).contains(&count), "{counts:?}");
        }
    }

    #[test]
    fn unknown_regions_have_the_default() {
        let slot = slot(&[1]);
        assert_eq!(slot.pick(RegionId(0), 0).unwrap().answers, 99);
        assert_eq!(slot.pick(RegionId(1), u32::MAX).unwrap().answers, 0);
        assert_eq!(slot.pick(RegionId(7), 0).unwrap().answers, 99);
    }
}
