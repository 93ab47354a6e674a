//! A hash table of 32-bit offsets into an arena of entries.

use super::entry::{name_of, octets_of};
use super::groups::Groups;
use crate::prefetch::prefetch;

/// Octets of a line of the cache.
const LINE_OCTETS: usize = 64;

/// Some of the owners.
///
/// Invariant `entry-inside`: every offset in `groups` starts a whole entry of `arena`.
#[derive(Clone, Debug, Default)]
pub(super) struct Shard {
    groups: Groups,
    arena: Box<[u8]>,
}

impl Shard {
    /// The octets from an owner's entry on.
    #[inline]
    pub(super) fn find(&self, hash: u64, name: &[u8]) -> Option<&[u8]> {
        let at = self.groups.find(hash, |at| name_of(&self.arena[at as usize..]) == name)?;
        Some(&self.arena[at as usize..])
    }

    /// Fetches what tells where the entry of a name with this hash is.
    #[inline]
    pub(super) fn fetch_place(&self, hash: u64) {
        self.groups.fetch(hash);
    }

    /// Fetches the first lines of the entry itself.
    #[inline]
    pub(super) fn fetch_entry(&self, hash: u64, lines: usize) {
        let Some(at) = self.groups.candidate(hash).map(|at| at as usize) else { return };
        for octet in self.arena[at..].iter().step_by(LINE_OCTETS).take(lines) {
            prefetch(octet);
        }
    }

    /// How many owners it has.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// The octets of every entry.
    pub(super) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.groups.iter().map(|at| {
            let whole = &self.arena[at as usize..];
            &whole[..octets_of(whole)]
        })
    }

    /// This shard with entries put in, in place of those of the same name, and others taken out.
    /// Edits are sorted by hash, each name once; `hash` is the tree's hash of a name.
    pub(super) fn edited(&self, edits: &[ShardEdit<'_>], hash: impl Fn(&[u8]) -> u64) -> Shard {
        let is_edited = |name: &[u8], name_hash: u64| {
            let from = edits.partition_point(|edit| edit.hash < name_hash);
            edits[from..].iter().take_while(|edit| edit.hash == name_hash).any(|edit| edit.name == name)
        };
        let mut octets = edits.iter().filter_map(|edit| edit.entry).map(<[u8]>::len).sum::<usize>();
        let mut kept = Vec::new();
        for whole in self.entries() {
            let name_hash = hash(name_of(whole));
            if !is_edited(name_of(whole), name_hash) {
                octets += whole.len();
                kept.push((name_hash, whole));
            }
        }
        let mut arena = Vec::with_capacity(octets);
        let added = edits.iter().filter_map(|edit| edit.entry.map(|entry| (edit.hash, entry)));
        let mut offsets = Vec::with_capacity(kept.len() + edits.len());
        for (name_hash, entry) in kept.into_iter().chain(added) {
            let at = u32::try_from(arena.len()).expect("a shard is far below 4 GiB");
            arena.extend_from_slice(entry);
            offsets.push((name_hash, at));
        }
        Shard { groups: Groups::new(&offsets), arena: arena.into() }
    }
}

/// One owner's change.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShardEdit<'e> {
    pub(super) hash: u64,
    pub(super) name: &'e [u8],
    /// The new entry; none to take the owner out.
    pub(super) entry: Option<&'e [u8]>,
}
