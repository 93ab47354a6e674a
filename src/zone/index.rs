//! Finds owners by name over all parts of a zone, and knows which owners several parts have.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use hashbrown::HashTable;

use super::owner::{Owner, hash};
use crate::cores;

/// Where an owner stands: the base of its part, and its offset there.
pub(super) type Place = u32;

/// Owners of a table, about: so many that one of 2^14 places, of which hashbrown fills seven in
/// eight, has room for all of them though some tables get a few more than others. A table is what
/// one core fills, and what a change copies.
const TABLE_OWNERS: usize = 13_800;

/// Owners by the hash of their names.
#[derive(Clone, Debug)]
pub(super) struct Index {
    /// By a part of the hash: so that they are filled side by side, and a change copies few.
    shards: Vec<Arc<Shard>>,
}

#[derive(Clone, Debug, Default)]
struct Shard {
    table: HashTable<Place>,
    /// Owners of which several parts have records: their places there. In the table is the place
    /// of all of them together, once that is made.
    split: BTreeMap<Box<[u8]>, Vec<Place>>,
}

/// One owner that comes or goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) hash: u64,
    pub(super) place: Place,
}

impl Index {
    /// An index over owners, in the order of the text. `owner` reads the owner at a place.
    pub(super) fn new<'z>(items: &[Item], owner: impl Fn(Place) -> Owner<'z> + Sync) -> Index {
        let shards = tables(items.len());
        let mut by_table: Vec<Vec<Item>> = vec![Vec::with_capacity(items.len() / shards * 9 / 8); shards];
        for item in items {
            by_table[number(item.hash, shards)].push(*item);
        }
        let fill = |table: usize| {
            let mut shard = Shard::default();
            shard.table.reserve(by_table[table].len(), |_| 0);
            for item in &by_table[table] {
                shard.insert(*item, &owner);
            }
            Arc::new(shard)
        };
        Index { shards: cores::share(shards, || (), |table, ()| fill(table)) }
    }

    /// Whether so many owners would have about as many tables.
    pub(super) fn suits(&self, owners: usize) -> bool {
        let (wanted, shards) = (tables(owners), self.shards.len());
        wanted <= 2 * shards && shards <= 2 * wanted
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.table.len()).sum()
    }

    /// Octets of memory.
    pub(super) fn octets(&self) -> usize {
        self.shards.iter().map(|shard| shard.table.capacity() * 5).sum()
    }

    /// The place of an owner by its name in lower-case wire form.
    pub(super) fn find<'z>(&self, lower: &[u8], owner: impl Fn(Place) -> Owner<'z>) -> Option<Place> {
        let name_hash = hash(lower);
        let shard = &self.shards[number(name_hash, self.shards.len())];
        shard.table.find(name_hash, |&place| owner(place).name().eq_ignore_ascii_case(lower)).copied()
    }

    /// Places of an owner in several parts; empty for any other.
    pub(super) fn split_of(&self, lower: &[u8]) -> &[Place] {
        let shard = &self.shards[number(hash(lower), self.shards.len())];
        shard.split.get(lower).map_or(&[], Vec::as_slice)
    }

    /// Owners that several parts have, with their places there.
    pub(super) fn split(&self) -> impl Iterator<Item = (&[u8], &[Place])> {
        self.shards.iter().flat_map(|shard| &shard.split).map(|(lower, places)| (&**lower, places.as_slice()))
    }

    /// All places at which a part of an owner's records stands.
    pub(super) fn partial(&self) -> HashSet<Place> {
        self.split().flat_map(|(_, places)| places).copied().collect()
    }

    pub(super) fn insert<'z>(&mut self, item: Item, owner: impl Fn(Place) -> Owner<'z>) {
        self.shard_mut(item.hash).insert(item, owner);
    }

    pub(super) fn remove<'z>(&mut self, item: Item, owner: impl Fn(Place) -> Owner<'z>) {
        self.shard_mut(item.hash).remove(item, owner);
    }

    /// Notes where all records of an owner stand together.
    pub(super) fn join<'z>(&mut self, item: Item, owner: impl Fn(Place) -> Owner<'z>) {
        self.shard_mut(item.hash).set(item, owner);
    }

    fn shard_mut(&mut self, name_hash: u64) -> &mut Shard {
        let number = number(name_hash, self.shards.len());
        Arc::make_mut(&mut self.shards[number])
    }
}

impl Shard {
    fn insert<'z>(&mut self, item: Item, owner: impl Fn(Place) -> Owner<'z>) {
        // Names are looked at when hashes agree alone: each look is a wait for memory.
        let is_same = |place: &Place| owner(*place).name().eq_ignore_ascii_case(owner(item.place).name());
        match self.table.find(item.hash, is_same) {
            None => {
                let rehash = |place: &Place| hash(&owner(*place).lower());
                self.table.insert_unique(item.hash, item.place, rehash);
            }
            Some(&known) => {
                let lower = owner(item.place).lower();
                self.split.entry(lower.into()).or_insert_with(|| vec![known]).push(item.place);
            }
        }
    }

    fn remove<'z>(&mut self, item: Item, owner: impl Fn(Place) -> Owner<'z>) {
        let lower = owner(item.place).lower();
        let Some(places) = self.split.get_mut(&*lower) else {
            if let Ok(entry) = self.table.find_entry(item.hash, |place| *place == item.place) {
                entry.remove();
            }
            return;
        };
        places.retain(|place| *place != item.place);
        if let [last] = places[..] {
            self.split.remove(&*lower);
            self.set(Item { place: last, ..item }, owner);
        }
    }

    fn set<'z>(&mut self, item: Item, owner: impl Fn(Place) -> Owner<'z>) {
        let name = owner(item.place).name();
        let is_same = |place: &Place| owner(*place).name().eq_ignore_ascii_case(name);
        if let Some(place) = self.table.find_mut(item.hash, is_same) {
            *place = item.place;
        }
    }
}

/// How many tables so many owners have.
fn tables(owners: usize) -> usize {
    owners.div_ceil(TABLE_OWNERS).max(1)
}

/// The shard of a hash: by bits that hashbrown uses neither as tag (the top seven) nor, in tables of
/// this size, as bucket (the lowest), mapped by a multiplication.
fn number(name_hash: u64, shards: usize) -> usize {
    ((u64::from((name_hash >> 24) as u32) * shards as u64) >> 32) as usize
}
