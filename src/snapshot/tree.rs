//! A copy-on-write tree of shards, 64 x 64, by the hash of the owner's name.
//!
//! A flat array of 4,096 pointers would have to be copied whole, reference counts and all, for
//! one changed owner; of two levels only one array of 64 at each is. A small set has all its
//! owners in 64 shards, so that what queries touch lies together and stays in the caches; when it
//! has grown, it is laid anew over all.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::edit::Edits;
use super::shard::{Shard, ShardEdit};

/// Pointers at each level.
const FAN_OUT: usize = 64;
/// Shards of a set with up to [`SMALL_OWNERS_MAX`] owners, and of a larger one.
const SMALL_SHARDS: usize = FAN_OUT;
const LARGE_SHARDS: usize = FAN_OUT * FAN_OUT;
/// About 250 owners a shard then, as a million have in the large tree.
const SMALL_OWNERS_MAX: usize = 16_384;
/// Below so many changes a second thread costs more than it saves.
const PARALLEL_EDITS_MIN: usize = 20_000;

#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// Seeded when the server starts, so that nobody can choose names that collide.
    seed: u64,
    root: Arc<[Arc<Mid>; FAN_OUT]>,
    /// How many of the shards are in use; a power of two.
    shards: usize,
    /// Most labels that any owner has: longer names need not be looked up whole.
    labels_max: u8,
}

type Mid = [Arc<Shard>; FAN_OUT];

impl Default for Tree {
    fn default() -> Tree {
        let shard = Arc::new(Shard::default());
        let mid: Arc<Mid> = Arc::new(std::array::from_fn(|_| Arc::clone(&shard)));
        let seed = std::hash::RandomState::new().hash_one(0u64);
        let root = Arc::new(std::array::from_fn(|_| Arc::clone(&mid)));
        Tree { seed, root, shards: SMALL_SHARDS, labels_max: 0 }
    }
}

impl Tree {
    /// By what a name is found.
    #[inline]
    pub(super) fn hash(&self, name: &[u8]) -> u64 {
        let mut hasher = FixedState::with_seed(self.seed).build_hasher();
        hasher.write(name);
        hasher.finish()
    }

    /// Which shard a hash belongs to: by bits that choose neither group (the lower half) nor tag
    /// (the top eight).
    #[inline]
    fn place(&self, hash: u64) -> usize {
        (hash >> 40) as usize & (self.shards - 1)
    }

    /// Where the owner of that hash would be.
    #[inline]
    pub(super) fn shard(&self, hash: u64) -> &Shard {
        let place = self.place(hash);
        &self.root[place / FAN_OUT][place % FAN_OUT]
    }

    /// The octets from an owner's entry on.
    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<&[u8]> {
        let hash = self.hash(name);
        self.shard(hash).find(hash, name)
    }

    pub(super) fn labels_max(&self) -> usize {
        usize::from(self.labels_max)
    }

    pub(super) fn len(&self) -> usize {
        self.used().map(Shard::len).sum()
    }

    fn used(&self) -> impl Iterator<Item = &Shard> {
        self.root.iter().flat_map(|mid| mid.iter()).map(|shard| &**shard).take(self.shards)
    }

    /// The same owners over all shards.
    fn enlarged(&self) -> Tree {
        let mut edits = Edits::default();
        for entry in self.used().flat_map(Shard::entries) {
            edits.put_entry(entry);
        }
        Tree { seed: self.seed, shards: LARGE_SHARDS, ..Tree::default() }.edited(edits)
    }

    /// This tree with owners changed. Of several changes of one owner the last one counts.
    pub(super) fn edited(&self, edits: Edits) -> Tree {
        if self.shards == SMALL_SHARDS && self.len() + edits.len() > SMALL_OWNERS_MAX {
            return self.enlarged().edited(edits);
        }
        let mut labels_max = self.labels_max;
        let mut items: Vec<ShardEdit<'_>> = edits
            .iter()
            .map(|(name, entry)| {
                labels_max = labels_max.max(crate::wire::name::labels(name).count() as u8);
                ShardEdit { hash: self.hash(name), name, entry }
            })
            .collect();
        // Stable, so that the last change of an owner stays behind the earlier ones.
        items.sort_by_key(|edit| (self.place(edit.hash), edit.hash));
        let halves = if items.len() < PARALLEL_EDITS_MIN { 1 } else { 2 };
        let parts: Vec<Vec<(usize, Shard)>> = std::thread::scope(|scope| {
            let middle = items.partition_point(|edit| self.place(edit.hash) < self.shards / halves);
            let (first, second) = items.split_at(middle);
            let other = (!second.is_empty()).then(|| scope.spawn(|| self.edited_shards(second)));
            let mut parts = vec![self.edited_shards(first)];
            parts.extend(other.map(|thread| thread.join().expect("building shards doesn't panic")));
            parts
        });
        let mut root = Arc::clone(&self.root);
        for (place, shard) in parts.into_iter().flatten() {
            let mids = Arc::make_mut(&mut root);
            Arc::make_mut(&mut mids[place / FAN_OUT])[place % FAN_OUT] = Arc::new(shard);
        }
        Tree { root, labels_max, ..*self }
    }

    fn edited_shards(&self, items: &[ShardEdit<'_>]) -> Vec<(usize, Shard)> {
        let mut shards = Vec::new();
        for group in items.chunk_by(|a, b| self.place(a.hash) == self.place(b.hash)) {
            let place = self.place(group[0].hash);
            let old = &self.root[place / FAN_OUT][place % FAN_OUT];
            let mut last: Vec<ShardEdit<'_>> = Vec::with_capacity(group.len());
            for edit in group {
                let mut same_hash = last.iter_mut().rev().take_while(|other| other.hash == edit.hash);
                match same_hash.find(|other| other.name == edit.name) {
                    Some(other) => *other = *edit,
                    None => last.push(*edit),
                }
            }
            shards.push((place, old.edited(&last, |name| self.hash(name))));
        }
        shards
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::ZoneId;
    use super::super::entry::{Entry, Flags};
    use super::*;
    use crate::wire::name::Name;

    fn name(number: u16) -> Vec<u8> {
        Name::parse(&format!("host-{number}.example."), None).unwrap().as_wire().to_vec()
    }

    #[test]
    fn a_set_that_grows_is_laid_over_all_shards_and_keeps_its_owners() {
        let mut tree = Tree::default();
        let old = tree.clone();
        for round in 0..5u16 {
            let mut edits = Edits::default();
            for number in round * 5_000..(round + 1) * 5_000 {
                edits.put(&name(number), Flags::default(), ZoneId(number.into()), []);
            }
            tree = tree.edited(edits);
        }
        assert_eq!((tree.len(), tree.shards, tree.labels_max()), (25_000, LARGE_SHARDS, 2));
        for number in 0..25_000 {
            let found = tree.find(&name(number)).and_then(Entry::read).unwrap();
            assert_eq!(found.zone(), ZoneId(number.into()));
        }
        assert_eq!((old.len(), old.shards), (0, SMALL_SHARDS));
    }

    proptest! {
        #[test]
        fn holds_what_a_map_holds(rounds in prop::collection::vec(
            prop::collection::vec((0u16..300, any::<bool>(), any::<u32>()), 0..200), 1..6)) {
            let mut tree = Tree::default();
            let mut model: HashMap<u16, u32> = HashMap::new();
            let mut held = Vec::new();
            for round in rounds {
                let mut edits = Edits::default();
                for (number, put, zone) in round {
                    if put {
                        edits.put(&name(number), Flags::default(), ZoneId(zone), []);
                        model.insert(number, zone);
                    } else {
                        edits.remove(&name(number));
                        model.remove(&number);
                    }
                }
                tree = tree.edited(edits);
                held.push((tree.clone(), model.clone()));
            }
            // Older versions hold what they held.
            for (tree, model) in held {
                prop_assert_eq!(tree.len(), model.len());
                for number in 0..300 {
                    let found = tree.find(&name(number)).and_then(Entry::read).map(|entry| entry.zone().0);
                    prop_assert_eq!(found, model.get(&number).copied());
                }
            }
        }
    }
}
