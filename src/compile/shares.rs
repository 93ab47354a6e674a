//! Which of several weighted alternatives each bucket of client networks gets.
//!
//! Weighted rendezvous hashing: each alternative draws a number for each bucket, the draws are
//! scaled by the weights, and the best draw has the bucket. A draw depends on the alternative's
//! key and the bucket alone. So whoever leaves loses its buckets and nobody else any, they spread
//! over all others by weight, and a weight that grows takes from all others and moves nothing
//! between them.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use crate::limits;
use crate::snapshot::network::{BUCKETS, Buckets, mixed};

/// Tables that were made, so that the routes of one mail system share theirs.
#[derive(Debug, Default)]
pub struct Shares {
    known: HashMap<Vec<(u64, u32)>, Arc<Buckets>>,
}

impl Shares {
    /// The buckets of alternatives, each with a key that it keeps and its weight. Nothing if they
    /// are more than a bucket can tell apart.
    #[must_use]
    pub fn buckets(&mut self, alternatives: &[(u64, u32)]) -> Option<Arc<Buckets>> {
        if alternatives.len() > limits::STICKY_ALTERNATIVES {
            return None;
        }
        if let Some(known) = self.known.get(alternatives) {
            return Some(Arc::clone(known));
        }
        if self.known.len() >= limits::STICKY_TABLES {
            self.known.clear();
        }
        let buckets = Arc::new(buckets(alternatives));
        self.known.insert(alternatives.to_vec(), Arc::clone(&buckets));
        Some(buckets)
    }
}

/// Every draw, as an exponential variable: the place of a bucket in an alternative's order stands
/// for the quantile, so that each alternative has each quantile once and shares are closer to the
/// weights than with draws by chance.
static DRAWS: LazyLock<Box<[f64]>> = LazyLock::new(|| {
    let quantile = |place: usize| (place as f64 + 0.5) / BUCKETS as f64;
    (0..BUCKETS).map(|place| -quantile(place).ln()).collect()
});

fn buckets(alternatives: &[(u64, u32)]) -> Buckets {
    let mut winners = [0; BUCKETS];
    // The lowest draw wins; of equal ones the lower key, wherever it stands in the tier.
    let mut best = vec![(f64::INFINITY, u64::MAX); BUCKETS];
    for (number, (key, weight)) in (0..=u8::MAX).zip(alternatives) {
        for ((winner, best), place) in winners.iter_mut().zip(&mut best).zip(order(*key)) {
            let draw = (DRAWS[usize::from(place)] / f64::from(*weight), *key);
            if draw < *best {
                *best = draw;
                *winner = number;
            }
        }
    }
    winners
}

/// All places, in an order that belongs to the key (Fisher-Yates).
fn order(key: u64) -> Vec<u16> {
    let mut places: Vec<u16> = (0..).take(BUCKETS).collect();
    let mut state = key;
    for last in (1..BUCKETS).rev() {
        state = mixed(state);
        // Multiplying by the fraction spreads without a division (Lemire).
        let other = ((u128::from(state) * (last as u128 + 1)) >> u64::BITS) as usize;
        places.swap(last, other);
    }
    places
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(buckets: &Buckets, number: usize) -> f64 {
        buckets.iter().filter(|winner| usize::from(**winner) == number).count() as f64 / BUCKETS as f64
    }

    /// Keys of the winners.
    fn winners(alternatives: &[(u64, u32)]) -> Vec<u64> {
        buckets(alternatives).iter().map(|winner| alternatives[usize::from(*winner)].0).collect()
    }

    fn any_alternatives() -> impl Strategy<Value = Vec<(u64, u32)>> {
        let weights = prop::collection::vec(1u32..100, 2..6);
        (any::<u64>(), weights).prop_map(|(seed, weights)| {
            weights.into_iter().zip(seed..).map(|(weight, at)| (mixed(at), weight)).collect()
        })
    }

    #[test]
    fn five_per_cent_are_five_per_cent() {
        for seed in 0..50 {
            let table = buckets(&[(mixed(seed), 95), (mixed(seed + 1000), 5)]);
            assert!((share(&table, 1) - 0.05).abs() < 0.01, "{}", share(&table, 1));
        }
    }

    #[test]
    fn tables_are_shared_and_bounded() {
        let mut shares = Shares::default();
        let first = shares.buckets(&[(1, 1), (2, 1)]).unwrap();
        assert!(Arc::ptr_eq(&first, &shares.buckets(&[(1, 1), (2, 1)]).unwrap()));
        let many: Vec<(u64, u32)> = (0..=limits::STICKY_ALTERNATIVES as u64).map(|key| (key, 1)).collect();
        assert_eq!(shares.buckets(&many), None);
        assert!(shares.buckets(&many[1..]).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn shares_follow_weights(alternatives in any_alternatives()) {
            let sum: u32 = alternatives.iter().map(|(_, weight)| weight).sum();
            let table = buckets(&alternatives);
            for (number, (_, weight)) in alternatives.iter().enumerate() {
                let expected = f64::from(*weight) / f64::from(sum);
                let got = share(&table, number);
                prop_assert!((got - expected).abs() < 0.02, "{} of {}: {}", weight, sum, got);
            }
        }

        #[test]
        fn who_dies_moves_its_own_clients_alone(alternatives in any_alternatives(), dead in 0usize..5) {
            let dead = dead % alternatives.len();
            let mut rest = alternatives.clone();
            let (key, weight) = rest.remove(dead);
            for (before, after) in winners(&alternatives).into_iter().zip(winners(&rest)) {
                prop_assert!(before == after || before == key);
            }
            // They go to all others by weight.
            let sum: u32 = rest.iter().map(|(_, weight)| weight).sum();
            if rest.len() > 1 && f64::from(weight) / f64::from(sum) > 0.2 {
                let (old, new) = (winners(&alternatives), winners(&rest));
                for (other, weight) in &rest {
                    let gained = old.iter().zip(&new).filter(|(old, new)| **old == key && *new == other).count();
                    let moved = old.iter().filter(|old| **old == key).count();
                    let expected = f64::from(*weight) / f64::from(sum);
                    prop_assert!((gained as f64 / moved as f64 - expected).abs() < 0.12);
                }
            }
        }

        #[test]
        fn a_changed_weight_moves_what_it_must(alternatives in any_alternatives(), more in 1u32..100) {
            let mut changed = alternatives.clone();
            changed[0].1 += more;
            let key = changed[0].0;
            // Nothing moves but to the one that has more now.
            for (before, after) in winners(&alternatives).into_iter().zip(winners(&changed)) {
                prop_assert!(before == after || after == key);
            }
        }

        #[test]
        fn the_order_in_the_file_moves_nobody(alternatives in any_alternatives()) {
            let mut reversed = alternatives.clone();
            reversed.reverse();
            prop_assert_eq!(winners(&alternatives), winners(&reversed));
        }
    }
}
