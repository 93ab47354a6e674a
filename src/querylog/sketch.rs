//! What occurs most often in a stream, in bounded memory: the Space-Saving sketch (Metwally,
//! Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k Elements in Data Streams, 2005).
//!
//! A newcomer that finds no room takes the place of the rarest and inherits its count, which may
//! then be too high by that much, and never too low. Whatever makes up more than one of as many as
//! there are places is in it.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// The most frequent keys, with what is noted of each.
#[derive(Debug)]
pub(super) struct Sketch<K, N> {
    places: usize,
    counted: HashMap<K, Counted<N>>,
    /// The same by count, the rarest first.
    by_count: BTreeSet<(u64, K)>,
}

/// How often a key occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted<N> {
    /// This often at most.
    pub(super) count: u64,
    /// And at least so much less: what was inherited.
    pub(super) inherited: u64,
    /// What is noted of it since it has its place.
    pub(super) note: N,
}

impl<K: Copy + Ord + Hash, N: Default> Sketch<K, N> {
    /// One with so many places, of which there is one at least.
    pub(super) fn new(places: usize) -> Sketch<K, N> {
        Sketch { places: places.max(1), counted: HashMap::new(), by_count: BTreeSet::new() }
    }

    /// A key occurred: counts it, and gives its note to be written.
    pub(super) fn count(&mut self, key: K) -> &mut N {
        let inherited = match self.counted.get(&key) {
            Some(known) => {
                self.by_count.remove(&(known.count, key));
                0
            }
            None if self.counted.len() < self.places => 0,
            None => self.by_count.pop_first().map_or(0, |(count, rarest)| {
                self.counted.remove(&rarest);
                count
            }),
        };
        let counted = self.counted.entry(key).or_insert_with(|| Counted {
            count: inherited,
            inherited,
            note: N::default(),
        });
        counted.count += 1;
        self.by_count.insert((counted.count, key));
        &mut counted.note
    }

    /// All that have a place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, &Counted<N>)> {
        self.counted.iter().map(|(key, counted)| (*key, counted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_while_there_is_room() {
        let mut sketch: Sketch<u32, u32> = Sketch::new(3);
        for key in [1, 2, 1, 3, 1, 2] {
            *sketch.count(key) += 10;
        }
        let mut all: Vec<_> =
            sketch.iter().map(|(key, one)| (key, one.count, one.inherited, one.note)).collect();
        all.sort_unstable();
        assert_eq!(all, [(1, 3, 0, 30), (2, 2, 0, 20), (3, 1, 0, 10)]);
    }

    #[test]
    fn the_frequent_stay_among_a_flood_of_others_and_errors_are_told() {
        let mut sketch: Sketch<u32, ()> = Sketch::new(50);
        // 10,000 keys once each, and one of ten times a key of three that are frequent.
        let (mut others, mut true_count) = (1_000.., [0; 3]);
        for at in 0..11_000 {
            if at % 11 == 0 {
                let key = at / 11 % 3;
                true_count[key] += 1;
                sketch.count(key as u32);
            } else {
                sketch.count(others.next().unwrap());
            }
        }
        assert_eq!(sketch.counted.len(), 50, "bounded");
        assert_eq!(sketch.by_count.len(), 50);
        assert_eq!(sketch.iter().map(|(_, one)| one.count).sum::<u64>(), 11_000, "nothing is lost");
        for (key, true_count) in (0..).zip(true_count) {
            let one = &sketch.counted[&key];
            assert!((one.count - one.inherited..=one.count).contains(&true_count), "{key}: {one:?}");
            let rank = sketch.by_count.iter().rev().position(|(_, other)| *other == key);
            assert!(rank.unwrap() < 3, "{key} is among the first three");
        }
    }
}
