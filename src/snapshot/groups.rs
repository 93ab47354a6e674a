//! A hash table of 32-bit offsets in which a look-up reads one line of the cache.
//!
//! ```text
//! group  12 tags: one octet of each hash, 0 where the place is free | 3 unused | full u8 | 12 offsets u32
//! ```
//!
//! A name's group is known from its hash alone, so that it can be fetched ahead. Tables are built
//! once and never changed: there is nothing to take out and nothing to grow.

use crate::prefetch::prefetch;

/// Offsets in a group: what 64 octets hold beside their tags.
const PLACES: usize = 12;
/// How many of them are taken on average. With 8 of 12, one name in a hundred lies in the group
/// behind its own.
const TAKEN: usize = 8;

/// Offsets by hash.
///
/// Invariant `room`: there are more places than offsets, so that a search ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    groups: Box<[Group]>,
    offsets: usize,
}

#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    tags: [u8; PLACES],
    unused: [u8; 3],
    /// Whether an offset of this group lies in the next one, for want of a place.
    full: bool,
    offsets: [u32; PLACES],
}

const _: () = assert!(size_of::<Group>() == 64);

impl Groups {
    /// The table of these offsets, each with its hash.
    pub(super) fn new(items: &[(u64, u32)]) -> Groups {
        let count = items.len().div_ceil(TAKEN);
        let mut table = Groups { groups: vec![Group::default(); count].into(), offsets: items.len() };
        for &(hash, offset) in items {
            let mut at = table.home(hash);
            let place = loop {
                match table.groups[at].tags.iter().position(|&tag| tag == 0) {
                    Some(place) => break place,
                    None => table.groups[at].full = true,
                }
                at = table.next(at);
            };
            table.groups[at].tags[place] = tag(hash);
            table.groups[at].offsets[place] = offset;
        }
        table
    }

    /// The offset with this hash that `is_it` confirms.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        if self.groups.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            let group = &self.groups[at];
            for place in group.places(tag(hash)) {
                if is_it(group.offsets[place]) {
                    return Some(group.offsets[place]);
                }
            }
            if !group.full {
                return None;
            }
            at = self.next(at);
        }
    }

    /// Fetches the group in which a search for this hash begins.
    pub(super) fn fetch(&self, hash: u64) {
        if !self.groups.is_empty() {
            prefetch(&self.groups[self.home(hash)]);
        }
    }

    /// The offset that a search for this hash would try first.
    pub(super) fn candidate(&self, hash: u64) -> Option<u32> {
        let group = self.groups.get(self.home(hash))?;
        group.places(tag(hash)).next().map(|place| group.offsets[place])
    }

    pub(super) fn len(&self) -> usize {
        self.offsets
    }

    /// All offsets.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.groups.iter().flat_map(|group| {
            group.tags.iter().zip(group.offsets).filter(|(tag, _)| **tag != 0).map(|(_, offset)| offset)
        })
    }

    /// Maps the hash's lower half to the groups by a multiplication, without a division.
    fn home(&self, hash: u64) -> usize {
        ((u64::from(hash as u32) * self.groups.len() as u64) >> 32) as usize
    }

    fn next(&self, at: usize) -> usize {
        if at + 1 == self.groups.len() { 0 } else { at + 1 }
    }
}

impl Group {
    /// The places with this tag, found in all octets at once: the difference is zero where they
    /// are equal, and only zeros don't carry into their highest bit.
    #[inline]
    fn places(&self, tag: u8) -> impl Iterator<Item = usize> {
        const LOW_BITS: u128 = u128::from_ne_bytes([0x7f; 16]);
        let mut octets = [0; 16];
        octets[..PLACES].copy_from_slice(&self.tags);
        let difference = u128::from_le_bytes(octets) ^ u128::from_ne_bytes([tag; 16]);
        let mut equal = !(((difference & LOW_BITS) + LOW_BITS) | difference | LOW_BITS);
        std::iter::from_fn(move || {
            let place = (equal != 0).then(|| equal.trailing_zeros() as usize / 8)?;
            equal &= equal - 1;
            Some(place)
        })
        .take_while(|&place| place < PLACES)
    }
}

/// The upper octet, which chooses neither shard nor group; never that of a free place.
fn tag(hash: u64) -> u8 {
    ((hash >> 56) as u8).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64: a hash that spreads.
    fn hash(number: u32) -> u64 {
        let mixed = u64::from(number).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }

    #[test]
    fn finds_what_was_put_in_and_nothing_else() {
        for count in [0, 1, 7, 8, 9, 12, 13, 100, 5_000] {
            let items: Vec<(u64, u32)> = (0..count).map(|number| (hash(number), number)).collect();
            let table = Groups::new(&items);
            for number in 0..count {
                assert_eq!(table.find(hash(number), |offset| offset == number), Some(number));
            }
            assert_eq!(table.find(hash(count), |offset| offset == count), None);
            let mut all: Vec<u32> = table.iter().collect();
            all.sort_unstable();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn names_of_one_hash_overflow_into_the_next_groups() {
        let items: Vec<(u64, u32)> = (0..100).map(|number| (u64::MAX, number)).collect();
        let table = Groups::new(&items);
        for number in 0..100 {
            assert_eq!(table.find(u64::MAX, |offset| offset == number), Some(number));
        }
        assert_eq!(table.find(u64::MAX, |_| false), None);
        assert_eq!(table.find(0, |_| true), None, "tags differ");
    }

    #[test]
    fn the_candidate_is_nearly_always_the_offset_itself() {
        let items: Vec<(u64, u32)> = (0..10_000).map(|number| (hash(number), number)).collect();
        let table = Groups::new(&items);
        let right = (0..10_000).filter(|&number| table.candidate(hash(number)) == Some(number)).count();
        assert!(right > 9_500, "{right}");
    }
}
