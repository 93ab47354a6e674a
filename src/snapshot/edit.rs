//! Changes of owners, collected before they are published at once.

use super::entry::{Flags, Writer, name_of};
use super::{SlotId, ZoneId};
use crate::wire::rtype::Rtype;

/// Owners to put in or take out, one after the other in one buffer.
#[derive(Debug, Default)]
pub struct Edits {
    octets: Vec<u8>,
    /// Start of each in `octets`, and whether it is put in.
    items: Vec<(usize, bool)>,
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
        self.items.push((self.octets.len(), true));
        let mut writer = Writer::new(&mut self.octets, name, flags, zone);
        for (rtype, answer) in answers {
            match answer {
                Answer::Rendered(octets) => writer.rendered(rtype, octets),
                Answer::Slot(slot) => writer.slot(rtype, *slot),
            }
        }
        writer.finish();
    }

    /// Puts in an entry that was written before.
    pub(super) fn put_entry(&mut self, entry: &[u8]) {
        self.items.push((self.octets.len(), true));
        self.octets.extend_from_slice(entry);
    }

    /// Takes an owner out.
    pub fn remove(&mut self, name: &[u8]) {
        self.items.push((self.octets.len(), false));
        Writer::new(&mut self.octets, name, Flags::default(), ZoneId(0)).finish();
    }

    /// How many owners change.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds the changes of `other` behind these.
    pub fn append(&mut self, other: Edits) {
        let base = self.octets.len();
        self.octets.extend(other.octets);
        self.items.extend(other.items.into_iter().map(|(at, put)| (base + at, put)));
    }

    /// Each owner's name and its entry, none for one taken out.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let ends = self.items.iter().skip(1).map(|(at, _)| *at).chain([self.octets.len()]);
        self.items.iter().zip(ends).map(|((at, put), end)| {
            let entry = &self.octets[*at..end];
            (name_of(entry), put.then_some(entry))
        })
    }
}
