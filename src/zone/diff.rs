//! Which owners differ between two versions of a zone.

use std::collections::HashSet;

use super::{Owner, Zone};
use crate::wire::name::Name;

/// Names of owners that were added, removed or have other records.
///
/// Only parts that the two versions don't share are looked at. These are mostly alike, so both
/// are walked side by side first; only from where their orders part on, owners are looked up.
#[must_use]
pub fn diff(old: &Zone, new: &Zone) -> Vec<Name> {
    let mut changed: Vec<&[u8]> = Vec::new();
    let mut olds = old.owners_beside(new).peekable();
    let mut news = new.owners_beside(old).peekable();
    while let (Some(before), Some(after)) = (olds.peek(), news.peek()) {
        if !before.name().eq_ignore_ascii_case(after.name()) {
            break;
        }
        if !before.is_same(*after) {
            changed.push(after.name());
        }
        olds.next();
        news.next();
    }
    let differs = |owner: Owner<'_>, other: &Zone| {
        !other.owner(&owner.lower()).is_some_and(|other| other.is_same(owner))
    };
    changed.extend(olds.filter(|before| differs(*before, new)).map(Owner::name));
    changed.extend(news.filter(|after| differs(*after, old)).map(Owner::name));
    // An owner with other records is among both.
    let mut known = HashSet::new();
    changed.retain(|name| known.insert(name.to_ascii_lowercase()));
    changed.into_iter().filter_map(|name| Name::from_wire(name).ok()).collect()
}
