//! The search of RFC 1034 4.3.2: the owner itself, or its closest encloser and what that implies.

use super::Snapshot;
use super::entry::{Entry, Flags};
use crate::prefetch::prefetch;
use crate::wire::query::LowerName;

/// Lines of the cache that most entries fit into, wherever they begin.
const LINES: usize = 2;
/// The same with a signature of ECDSA or Ed25519: some 110 octets more.
const SIGNED_LINES: usize = 4;

/// What answers for a name.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'s> {
    /// The entry that answers.
    pub entry: Entry<'s>,
    /// How it answers.
    pub found: Found,
}

/// How an entry answers for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is the name's own.
    Exact,
    /// It is the `*` below the name's closest encloser (RFC 4592 3.3.1).
    Wildcard,
    /// It delegates the name, or what lies above it, to others.
    Referral,
    /// Its DNAME redirects the name (RFC 6672 3.2).
    Dname,
    /// It is the closest encloser; the name doesn't exist.
    Nothing,
}

/// By what a snapshot finds a name's owner: it means something to that snapshot alone.
#[derive(Clone, Copy, Debug)]
pub struct NameHash(u64);

impl Snapshot {
    /// The hash with which [`find_hashed`](Self::find_hashed) begins. The owner's shard is being
    /// fetched from then on.
    #[must_use]
    #[inline]
    pub fn hash(&self, name: &LowerName) -> NameHash {
        let hash = self.tree.hash(name.suffix(self.stripped_first(name)));
        prefetch(self.tree.shard(hash));
        NameHash(hash)
    }

    /// Fetches what tells where the owner's entry is.
    #[inline]
    pub fn fetch_place(&self, hash: NameHash) {
        self.tree.shard(hash.0).fetch_place(hash.0);
    }

    /// Fetches the owner's entry.
    #[inline]
    pub fn fetch_entry(&self, hash: NameHash) {
        let lines = if self.has_signed { SIGNED_LINES } else { LINES };
        self.tree.shard(hash.0).fetch_entry(hash.0, lines);
    }

    /// Finds what answers for a name; nothing if it lies in no zone of this server.
    ///
    /// Stripping labels from the left finds the closest encloser first, whichever zone it is in,
    /// so a zone and its parent can both be here. No owner has more labels than `labels_max`, so
    /// a flood of long random names costs no more look-ups than short ones.
    #[must_use]
    pub fn find(&self, name: &LowerName) -> Option<Lookup<'_>> {
        let hash = self.tree.hash(name.suffix(self.stripped_first(name)));
        self.find_hashed(name, NameHash(hash))
    }

    /// [`find`](Self::find), with the hash that [`hash`](Self::hash) gave for the name.
    #[must_use]
    pub fn find_hashed(&self, name: &LowerName, hash: NameHash) -> Option<Lookup<'_>> {
        let first = self.stripped_first(name);
        let mut suffixes = name.suffixes(first);
        let (mut stripped, mut suffix) = suffixes.next()?;
        let mut octets = self.tree.shard(hash.0).find(hash.0, suffix);
        let entry = loop {
            if let Some(entry) = octets.and_then(Entry::read) {
                break entry;
            }
            (stripped, suffix) = suffixes.next()?;
            octets = self.tree.find(suffix);
        };
        let flags = entry.flags();
        let found = match stripped {
            0 => Found::Exact,
            _ if flags.has(Flags::CUT) => Found::Referral,
            _ if flags.has(Flags::DNAME) => Found::Dname,
            _ if flags.has(Flags::WILDCARD_BELOW) => {
                return self.wildcard(suffix).or(Some(Lookup { entry, found: Found::Nothing }));
            }
            _ => Found::Nothing,
        };
        Some(Lookup { entry, found })
    }

    /// How many labels of a name have to be stripped before it can be an owner.
    #[inline]
    fn stripped_first(&self, name: &LowerName) -> usize {
        name.label_count().saturating_sub(self.tree.labels_max())
    }

    fn wildcard(&self, encloser: &[u8]) -> Option<Lookup<'_>> {
        let mut octets = [0; 257];
        let end = 2 + encloser.len();
        octets[..2].copy_from_slice(b"\x01*");
        octets[2..end].copy_from_slice(encloser);
        let entry = self.tree.find(&octets[..end]).and_then(Entry::read)?;
        Some(Lookup { entry, found: Found::Wildcard })
    }
}
