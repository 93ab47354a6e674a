//! Signatures by content, close together: a large zone has millions, and each as an allocation of its
//! own with a place in a map takes twice the memory.
//!
//! ```text
//! table  place u32 ...                                                          by content
//! pages  { content | generation u8 | octets u32 | RRSIGs } ...                  none crosses a page's end
//! ```

use hashbrown::HashTable;

use crate::dnssec::{Content, Rrsigs};

/// Octets of a page. The first one of a small zone grows up to there.
const PAGE_OCTETS: usize = 1 << 14;
/// Octets of an entry before its RRSIGs.
const HEAD_OCTETS: usize = size_of::<Content>() + 1 + 4;

/// Some of the signatures of a zone.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Number of a page, times [`PAGE_OCTETS`], and offset there.
    table: HashTable<u32>,
    pages: Vec<Vec<u8>>,
}

impl Kept {
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Signatures of a content; from now on they are of this generation.
    pub(super) fn find(&mut self, content: &Content, generation: u8) -> Option<Rrsigs> {
        let place = self.place(content)?;
        let (page, at) = split(place);
        let entry = &mut self.pages[page][at..];
        entry[size_of::<Content>()] = generation;
        Some(Rrsigs::from_octets(rrsigs_of(entry)))
    }

    /// Keeps signatures, in place of others of the same content.
    pub(super) fn insert(&mut self, content: &Content, rrsigs: &Rrsigs, generation: u8) {
        let rrsigs = rrsigs.as_octets();
        if let Some(place) = self.place(content) {
            let (page, at) = split(place);
            let entry = &mut self.pages[page][at..];
            if rrsigs_of(entry).len() == rrsigs.len() {
                entry[size_of::<Content>()] = generation;
                entry[HEAD_OCTETS..HEAD_OCTETS + rrsigs.len()].copy_from_slice(rrsigs);
                return;
            }
            // The octets of the others stay until the next sweep. It is a rare case: keys that
            // sign a content are always the same, and so is the length of what they make.
            if let Ok(other) = self.table.find_entry(hash(content), |other| *other == place) {
                other.remove();
            }
        }
        let Some(place) = self.append(content, rrsigs, generation) else { return };
        let pages = &self.pages;
        self.table.insert_unique(hash(content), place, |place| hash(&content_at(pages, *place)));
    }

    /// Forgets what isn't of this generation.
    pub(super) fn retain(&mut self, generation: u8) {
        let is_of_it = |entry: &[u8]| entry[size_of::<Content>()] == generation;
        if self.table.iter().all(|place| is_of_it(entry_at(&self.pages, *place))) {
            return;
        }
        let old = std::mem::take(self);
        for entry in old.entries().filter(|entry| is_of_it(entry)) {
            let rrsigs = Rrsigs::from_octets(rrsigs_of(entry));
            self.insert(&content_of(entry), &rrsigs, generation);
        }
    }

    /// All that is kept, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Content, Rrsigs)> {
        self.entries().map(|entry| (content_of(entry), Rrsigs::from_octets(rrsigs_of(entry))))
    }

    fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.table.iter().map(|place| entry_at(&self.pages, *place))
    }

    fn place(&self, content: &Content) -> Option<u32> {
        let is_it = |place: &u32| content_at(&self.pages, *place) == *content;
        self.table.find(hash(content), is_it).copied()
    }

    /// Nothing if no place is left: then it is signed again when it is wanted.
    fn append(&mut self, content: &Content, rrsigs: &[u8], generation: u8) -> Option<u32> {
        let octets = HEAD_OCTETS + rrsigs.len();
        let length = u32::try_from(rrsigs.len()).ok()?;
        if self.pages.last().is_none_or(|page| page.len() + octets > PAGE_OCTETS) {
            let first = if self.pages.is_empty() { octets } else { PAGE_OCTETS };
            self.pages.push(Vec::with_capacity(first.max(octets)));
        }
        let number = self.pages.len() - 1;
        let page = &mut self.pages[number];
        let place = u32::try_from(number * PAGE_OCTETS + page.len()).ok()?;
        if page.capacity() < page.len() + octets {
            // Twice as much, but no more than a page.
            let wanted = (2 * page.capacity()).clamp(page.len() + octets, PAGE_OCTETS);
            page.reserve_exact(wanted - page.len());
        }
        page.extend_from_slice(content);
        page.push(generation);
        page.extend(length.to_ne_bytes());
        page.extend_from_slice(rrsigs);
        Some(place)
    }
}

fn split(place: u32) -> (usize, usize) {
    (place as usize / PAGE_OCTETS, place as usize % PAGE_OCTETS)
}

/// From an entry's first octet on.
fn entry_at(pages: &[Vec<u8>], place: u32) -> &[u8] {
    let (page, at) = split(place);
    &pages[page][at..]
}

fn content_at(pages: &[Vec<u8>], place: u32) -> Content {
    content_of(entry_at(pages, place))
}

fn content_of(entry: &[u8]) -> Content {
    let mut content = Content::default();
    content.copy_from_slice(&entry[..size_of::<Content>()]);
    content
}

fn rrsigs_of(entry: &[u8]) -> &[u8] {
    let (head, rrsigs) = entry.split_at(HEAD_OCTETS);
    let length = head.last_chunk().map_or(0, |octets| u32::from_ne_bytes(*octets));
    &rrsigs[..length as usize]
}

/// A content is a digest: octets of it that tell nothing of its part.
fn hash(content: &Content) -> u64 {
    content.last_chunk().map_or(0, |octets| u64::from_ne_bytes(*octets))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn content(number: u8) -> Content {
        let mut content = Content::default();
        // Many have the same hash.
        content[0] = number;
        content[15] = number / 4;
        content
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, usize),
        Find(u8),
        Sweep,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (any::<u8>(), prop_oneof![Just(97usize), Just(97), 0..3000usize, Just(40_000)])
                .prop_map(|(number, octets)| Step::Insert(number, octets)),
            4 => any::<u8>().prop_map(Step::Find),
            1 => Just(Step::Sweep),
        ]
    }

    proptest! {
        #[test]
        fn keeps_what_a_map_keeps(steps in prop::collection::vec(step(), 1..300)) {
            let mut kept = Kept::default();
            let mut model: BTreeMap<Content, (Rrsigs, u8)> = BTreeMap::new();
            let mut generation = 0u8;
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert(of, octets) => {
                        let rrsigs: Rrsigs = [vec![number as u8; octets]].into_iter().collect();
                        kept.insert(&content(of), &rrsigs, generation);
                        model.insert(content(of), (rrsigs, generation));
                    }
                    Step::Find(of) => {
                        let expected = model.get_mut(&content(of)).map(|(rrsigs, last)| {
                            *last = generation;
                            rrsigs.clone()
                        });
                        prop_assert_eq!(kept.find(&content(of), generation), expected);
                    }
                    Step::Sweep => {
                        kept.retain(generation);
                        model.retain(|_, (_, last)| *last == generation);
                        generation = generation.wrapping_add(1);
                    }
                }
                prop_assert_eq!(kept.len(), model.len());
            }
            let all: BTreeMap<Content, Rrsigs> = kept.iter().collect();
            let expected = model.into_iter().map(|(content, (rrsigs, _))| (content, rrsigs));
            prop_assert_eq!(all, expected.collect::<BTreeMap<_, _>>());
        }
    }

    #[test]
    fn pages_hold_no_more_than_they_say() {
        let mut kept = Kept::default();
        let rrsigs: Rrsigs = [vec![7; 95]].into_iter().collect();
        for number in 0..2_000u32 {
            let mut content = Content::default();
            content[..4].copy_from_slice(&number.to_ne_bytes());
            content[12..].copy_from_slice(&number.to_ne_bytes());
            kept.insert(&content, &rrsigs, 0);
        }
        let (full, octets) = (kept.pages.len() - 1, HEAD_OCTETS + 97);
        assert!(kept.pages.iter().all(|page| page.capacity() <= PAGE_OCTETS));
        assert!(kept.pages[..full].iter().all(|page| page.len() + octets > PAGE_OCTETS));
        assert_eq!(kept.pages.iter().map(Vec::len).sum::<usize>(), 2_000 * octets);
    }
}
