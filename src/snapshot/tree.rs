//! A copy-on-write tree of shards, 64 x 64, by the hash of the owner's name.
//!
//! A flat array of 4,096 pointers would have to be copied whole, reference counts and all, for
//! one changed owner; of two levels only one array of 64 at each is. A small set has all its
//! owners in 64 shards, so that what queries touch lies together and stays in the caches; when it
//! has grown, it is laid anew over all.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::edit::{Edits, Item};
use super::shard::{Shard, ShardEdit};
use crate::cores;
use crate::wire::name::labels;

/// Pointers at each level.
const FAN_OUT: usize = 64;
/// Shards of a set with up to [`SMALL_OWNERS_MAX`] owners, and of a larger one.
const SMALL_SHARDS: usize = FAN_OUT;
const LARGE_SHARDS: usize = FAN_OUT * FAN_OUT;
/// About 250 owners a shard then, as a million have in the large tree.
const SMALL_OWNERS_MAX: usize = 16_384;
/// Below so many changes a second thread costs more than it saves.
const PARALLEL_CHANGES_MIN: usize = 20_000;
/// How many changes, or parts of a zone, one thread takes at a time: a part of a large zone has about
/// a thousand owners.
const PIECES_TOGETHER: usize = 32;

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
        Tree { seed: self.seed, shards: LARGE_SHARDS, ..Tree::default() }.edited(&edits)
    }

    /// This tree with owners changed. Of several changes of one owner the last one counts.
    pub(super) fn edited(&self, edits: &Edits) -> Tree {
        let (changes, labels_max) = self.changes(edits);
        let count: usize = changes.iter().map(Vec::len).sum();
        if self.shards == SMALL_SHARDS && self.len() + count > SMALL_OWNERS_MAX {
            return self.enlarged().built(edits, &changes, labels_max);
        }
        self.built(edits, &changes, labels_max)
    }

    fn built(&self, edits: &Edits, changes: &[Vec<Change>], labels_max: u8) -> Tree {
        let count: usize = changes.iter().map(Vec::len).sum();
        let (changes, ends) = self.by_shard(changes);
        let build = |place: usize, scratch: &mut Edits| {
            let start = place.checked_sub(1).map_or(0, |before| ends[before]);
            let own = &changes[start..ends[place]];
            (!own.is_empty()).then(|| (place, self.edited_shard(place, edits, own, scratch)))
        };
        let built = if count < PARALLEL_CHANGES_MIN {
            let mut scratch = Edits::default();
            (0..self.shards).map(|place| build(place, &mut scratch)).collect()
        } else {
            cores::share(self.shards, Edits::default, build)
        };
        let mut root = Arc::clone(&self.root);
        for (place, shard) in built.into_iter().flatten() {
            let mids = Arc::make_mut(&mut root);
            Arc::make_mut(&mut mids[place / FAN_OUT])[place % FAN_OUT] = Arc::new(shard);
        }
        Tree { root, labels_max: self.labels_max.max(labels_max), ..*self }
    }

    /// Every change, in groups one behind the other, with the most labels of a name.
    fn changes(&self, edits: &Edits) -> (Vec<Vec<Change>>, u8) {
        // In their order: single changes as they come, and each part of many.
        let mut pieces = Vec::new();
        for (item, edit) in edits.items().iter().enumerate() {
            match edit {
                Item::Put(_) | Item::Remove(_) => pieces.push((item, 0)),
                Item::Lay(entries) => pieces.extend((0..entries.part_count()).map(|part| (item, part))),
            }
        }
        let of_piece = |changes: &mut Vec<Change>, &(item, part): &(usize, usize)| {
            let mut labels_max = 0;
            let mut add = |number, name: &[u8]| {
                labels_max = labels_max.max(labels(name).count());
                changes.push(Change { hash: self.hash(name), item: item as u32, number });
            };
            match &edits.items()[item] {
                Item::Put(at) | Item::Remove(at) => add(0, edits.name(*at)),
                Item::Lay(entries) => entries.names(part, &mut add),
            }
            labels_max as u8
        };
        let of_group = |group: usize| {
            let pieces = &pieces[group * PIECES_TOGETHER..];
            let mut changes = Vec::new();
            let pieces = &pieces[..pieces.len().min(PIECES_TOGETHER)];
            let labels_max = pieces.iter().map(|piece| of_piece(&mut changes, piece)).max();
            (changes, labels_max.unwrap_or_default())
        };
        let groups: Vec<_> = match pieces.len().div_ceil(PIECES_TOGETHER) {
            count @ ..=1 => (0..count).map(of_group).collect(),
            count => cores::share(count, || (), |group, ()| of_group(group)),
        };
        let labels_max = groups.iter().map(|(_, labels)| *labels).max().unwrap_or_default();
        (groups.into_iter().map(|(changes, _)| changes).collect(), labels_max)
    }

    /// Changes by shard, in their order, and where those of each shard end.
    fn by_shard(&self, changes: &[Vec<Change>]) -> (Vec<Change>, Vec<usize>) {
        let mut ends = vec![0; self.shards];
        for change in changes.iter().flatten() {
            ends[self.place(change.hash)] += 1;
        }
        let mut next = Vec::with_capacity(self.shards);
        let mut end = 0;
        for count in &mut ends {
            next.push(end);
            end += *count;
            *count = end;
        }
        let mut sorted = vec![Change::default(); end];
        for change in changes.iter().flatten() {
            let place = self.place(change.hash);
            sorted[next[place]] = *change;
            next[place] += 1;
        }
        (sorted, ends)
    }

    /// A shard with its changes, which are in their order.
    fn edited_shard(&self, place: usize, edits: &Edits, changes: &[Change], scratch: &mut Edits) -> Shard {
        scratch.clear();
        let mut hashes = Vec::with_capacity(changes.len());
        // A shard's owners come from all over a zone: they are waited for together.
        for change in changes {
            edits.fetch(change.item as usize, change.number);
        }
        for change in changes {
            scratch.copy(edits, change.item as usize, change.number);
            // One whose entry is another zone's writes nothing.
            hashes.resize(scratch.len(), change.hash);
        }
        let mut items: Vec<ShardEdit<'_>> = hashes
            .iter()
            .zip(scratch.iter())
            .map(|(&hash, (name, entry))| ShardEdit { hash, name, entry })
            .collect();
        // Stable, so that the last change of an owner stays behind the earlier ones.
        items.sort_by_key(|edit| edit.hash);
        let mut last: Vec<ShardEdit<'_>> = Vec::with_capacity(items.len());
        for edit in items {
            let mut same_hash = last.iter_mut().rev().take_while(|other| other.hash == edit.hash);
            match same_hash.find(|other| other.name == edit.name) {
                Some(other) => *other = edit,
                None => last.push(edit),
            }
        }
        self.root[place / FAN_OUT][place % FAN_OUT].edited(&last, |name| self.hash(name))
    }
}

/// One change of one owner.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    hash: u64,
    /// Which of the edits.
    item: u32,
    /// Which of its entries, where it lays many.
    number: u32,
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
            tree = tree.edited(&edits);
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
                tree = tree.edited(&edits);
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
