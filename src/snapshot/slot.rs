//! Variants of a route's answers: what each region's clients get now.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::network::{Buckets, ClientNetwork};
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Rendered answers, each with the sum of weights up to and with its own. Never empty.
    pub alternatives: Box<[(u32, Box<[u8]>)]>,
    /// Which alternative each bucket of networks gets, where the choice is sticky; otherwise each
    /// query gets one by weight. Routes with the same shares have the same ones.
    pub buckets: Option<Arc<Buckets>>,
}

impl Hash for Variant {
    /// Buckets tell few variants apart that answers don't, and are long.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.alternatives.hash(state);
    }
}

/// The answer for a client.
#[derive(Clone, Copy, Debug)]
pub struct Picked<'s> {
    /// The answer.
    pub rendered: Rendered<'s>,
    /// Whether another network of the same region may get another one.
    pub by_network: bool,
}

impl Slot {
    /// The answer for a region's client. Among several alternatives its network chooses, or
    /// `entropy` where the choice isn't sticky.
    #[must_use]
    pub fn pick(&self, region: RegionId, network: ClientNetwork, entropy: u32) -> Option<Picked<'_>> {
        let variant = self.regions.get(usize::from(region.0)).copied().unwrap_or(0);
        let Variant { alternatives, buckets } = self.variants.get(usize::from(variant))?;
        let read = |octets, by_network| Some(Picked { rendered: Rendered::read(octets)?, by_network });
        let (total, first) = match &**alternatives {
            [(_, only)] => return read(only, false),
            [(_, first), .., (total, _)] => (*total, first),
            [] => return None,
        };
        if let Some(buckets) = buckets {
            let chosen = alternatives.get(usize::from(buckets[network.bucket()]));
            return read(chosen.map_or(first, |(_, octets)| octets), true);
        }
        // Multiplying by the fraction spreads without a division (Lemire).
        let point = ((u64::from(entropy) * u64::from(total)) >> 32) as u32;
        let chosen = alternatives.iter().find(|(upto, _)| point < *upto);
        read(chosen.map_or(first, |(_, octets)| octets), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: &str = "192.0.2.1";

    fn picked(slot: &Slot, region: u16, network: &str, entropy: u32) -> (u16, bool) {
        let network = ClientNetwork::of(network.parse().unwrap());
        let picked = slot.pick(RegionId(region), network, entropy).unwrap();
        (picked.rendered.answers, picked.by_network)
    }

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
        let default = Variant { alternatives: [(1, vec![0, 99].into())].into(), buckets: None };
        let weighted = Variant { alternatives, buckets: None };
        Slot { regions: [0, 1].into(), variants: [default, weighted].into(), ecs: true }
    }

    #[test]
    fn weights_share_the_clients() {
        let slot = slot(&[1, 3, 6]);
        let mut counts = [0; 3];
        for step in 0..10_000u32 {
            let (picked, by_network) = picked(&slot, 1, NETWORK, step.wrapping_mul(429_496));
            assert!(!by_network);
            counts[usize::from(picked)] += 1;
        }
        for (count, expected) in counts.into_iter().zip([1_000, 3_000, 6_000]) {
            assert!((expected - 10..=expected + 10).contains(&count), "{counts:?}");
        }
    }

    #[test]
    fn unknown_regions_have_the_default() {
        let slot = slot(&[1]);
        assert_eq!(picked(&slot, 0, NETWORK, 0).0, 99);
        assert_eq!(picked(&slot, 1, NETWORK, u32::MAX).0, 0);
        assert_eq!(picked(&slot, 7, NETWORK, 0).0, 99);
    }

    #[test]
    fn a_network_keeps_its_answer_whatever_chance_says() {
        let mut slot = slot(&[1, 1]);
        let mut buckets = [0; super::super::network::BUCKETS];
        buckets[ClientNetwork::of("192.0.2.0".parse().unwrap()).bucket()] = 1;
        slot.variants[1].buckets = Some(Arc::new(buckets));
        for entropy in [0, 1 << 31, u32::MAX] {
            assert_eq!(picked(&slot, 1, NETWORK, entropy), (1, true));
            assert_eq!(picked(&slot, 1, "198.51.100.1", entropy), (0, true));
            // With one answer for all there is nothing to choose.
            assert_eq!(picked(&slot, 0, NETWORK, entropy), (99, false));
        }
    }
}
