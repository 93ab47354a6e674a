//! Changes of owners, collected before they are published at once.

use std::fmt;
use std::sync::Arc;

use super::entry::{Flags, Writer, name_of, octets_of};
use super::{SlotId, ZoneId};
use crate::wire::rtype::Rtype;

/// Owners to put in or take out, one after the other; of several changes of one owner the last
/// one counts.
#[derive(Debug, Default)]
pub struct Edits {
    octets: Vec<u8>,
    items: Vec<Item>,
}

/// One change, or many.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// An entry that begins there in `octets`.
    Put(usize),
    /// An owner that goes; an empty entry there has its name.
    Remove(usize),
    /// Entries that are written when their shards are built.
    Lay(Arc<dyn Entries>),
}

/// Entries of many owners, each written when its shard is built: all at once, beside the shards
/// that they end up in, they would take the memory twice.
pub trait Entries: fmt::Debug + Send + Sync {
    /// How many parts [`names`](Self::names) has, for several threads.
    fn part_count(&self) -> usize;

    /// Calls `each` with number and name, in lower case, of every owner of a part.
    fn names(&self, part: usize, each: &mut dyn FnMut(u32, &[u8]));

    /// Brings an owner into the cache, before it is written.
    fn fetch(&self, number: u32);

    /// Puts the entry of an owner into `edits`; or nothing, if another zone answers for it.
    fn write(&self, number: u32, edits: &mut Edits);
}

/// A place between changes.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    items: usize,
    octets: usize,
}

/// One type's answer, on its way into an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Rendered octets.
    Rendered(Vec<u8>),
    /// A route's slot.
    Slot(SlotId),
}

impl Edits {
    /// Puts an owner in, or another entry in its place. `name` is in lower case, `answers` in
    /// ascending order of types.
    pub fn put<'a>(
        &mut self,
        name: &[u8],
        flags: Flags,
        zone: ZoneId,
        answers: impl IntoIterator<Item = (Rtype, &'a Answer)>,
    ) {
        let mut writer = self.begin(name, flags, zone);
        for (rtype, answer) in answers {
            match answer {
                Answer::Rendered(octets) => writer.rendered(rtype, octets),
                Answer::Slot(slot) => writer.slot(rtype, *slot),
            }
        }
        writer.finish();
    }

    /// Likewise; the answers are written by the caller, who must finish the entry.
    pub fn begin(&mut self, name: &[u8], flags: Flags, zone: ZoneId) -> Writer<'_> {
        self.items.push(Item::Put(self.octets.len()));
        Writer::new(&mut self.octets, name, flags, zone)
    }

    /// Puts in an entry that was written before.
    pub(super) fn put_entry(&mut self, entry: &[u8]) {
        self.items.push(Item::Put(self.octets.len()));
        self.octets.extend_from_slice(entry);
    }

    /// Takes an owner out.
    pub fn remove(&mut self, name: &[u8]) {
        self.items.push(Item::Remove(self.octets.len()));
        Writer::new(&mut self.octets, name, Flags::default(), ZoneId(0)).finish();
    }

    /// Puts in owners that are written later.
    pub fn lay(&mut self, entries: Arc<dyn Entries>) {
        self.items.push(Item::Lay(entries));
    }

    /// Adds the changes of `other` behind these.
    pub fn append(&mut self, other: Edits) {
        if self.items.is_empty() {
            *self = other;
            return;
        }
        let base = self.octets.len();
        self.octets.extend(other.octets);
        self.items.extend(other.items.into_iter().map(|item| match item {
            Item::Put(at) => Item::Put(base + at),
            Item::Remove(at) => Item::Remove(base + at),
            Item::Lay(entries) => Item::Lay(entries),
        }));
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// The name of an entry in the buffer.
    pub(super) fn name(&self, at: usize) -> &[u8] {
        name_of(&self.octets[at..])
    }

    /// Brings what [`copy`](Self::copy) will read into the cache.
    pub(super) fn fetch(&self, item: usize, number: u32) {
        if let Item::Lay(entries) = &self.items[item] {
            entries.fetch(number);
        }
    }

    /// Repeats a change of others; those that are laid are written.
    pub(super) fn copy(&mut self, others: &Edits, item: usize, number: u32) {
        match &others.items[item] {
            Item::Put(at) => self.put_entry(&others.octets[*at..][..octets_of(&others.octets[*at..])]),
            Item::Remove(at) => self.remove(others.name(*at)),
            Item::Lay(entries) => entries.write(number, self),
        }
    }

    /// Takes back what was added behind a place.
    pub fn take_back(&mut self, Mark { items, octets }: Mark) {
        self.items.truncate(items);
        self.octets.truncate(octets);
    }

    /// Where the next change begins.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { items: self.items.len(), octets: self.octets.len() }
    }

    /// How many changes there are, each laid set counting as one.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn clear(&mut self) {
        self.octets.clear();
        self.items.clear();
    }

    /// Each owner's name and its entry, none for one taken out. Nothing may be laid.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.items.iter().filter_map(|item| {
            let (at, is_put) = match item {
                Item::Put(at) => (*at, true),
                Item::Remove(at) => (*at, false),
                Item::Lay(_) => return None,
            };
            let entry = &self.octets[at..][..octets_of(&self.octets[at..])];
            Some((name_of(entry), is_put.then_some(entry)))
        })
    }
}
