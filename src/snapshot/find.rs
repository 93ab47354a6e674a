//! The search of RFC 1034 4.3.2: the owner itself, or its closest encloser and what that implies.

use super::Snapshot;
use super::entry::{Entry, Flags};
use crate::wire::query::LowerName;

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

impl Snapshot {
    /// Finds what answers for a name; nothing if it lies in no zone of this server.
    ///
    /// Stripping labels from the left finds the closest encloser first, whichever zone it is in,
    /// so a zone and its parent can both be here. No owner has more labels than `labels_max`, so
    /// a flood of long random names costs no more look-ups than short ones.
    #[must_use]
    pub fn find(&self, name: &LowerName) -> Option<Lookup<'_>> {
        let labels = name.label_count();
        let first = labels.saturating_sub(self.tree.labels_max());
        for stripped in first..=labels {
            let Some(entry) = self.tree.find(name.suffix(stripped)).and_then(Entry::read) else { continue };
            let flags = entry.flags();
            if flags.has(Flags::CUT) {
                return Some(Lookup {
                    entry,
                    found: if stripped == 0 { Found::Exact } else { Found::Referral },
                });
            }
            let found = match stripped {
                0 => Found::Exact,
                _ if flags.has(Flags::DNAME) => Found::Dname,
                _ if flags.has(Flags::WILDCARD_BELOW) => {
                    return self
                        .wildcard(name.suffix(stripped))
                        .or(Some(Lookup { entry, found: Found::Nothing }));
                }
                _ => Found::Nothing,
            };
            return Some(Lookup { entry, found });
        }
        None
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
