//! Which owners differ between two versions of a zone.

use super::{Owner, Zone};
use crate::wire::name::Name;

/// Names of owners that were added, removed or have other records.
///
/// Versions of a zone are mostly alike, so both are walked side by side first; only from where
/// their orders part on, owners are looked up.
#[must_use]
pub fn diff(old: &Zone, new: &Zone) -> Vec<Name> {
    let mut changed = Vec::new();
    let mut note = |owner: Owner<'_>| changed.extend(Name::from_wire(owner.name()));
    let mut olds = old.owners().peekable();
    let mut news = new.owners().peekable();
    while let (Some(before), Some(after)) = (olds.peek(), news.peek()) {
        if !before.name().eq_ignore_ascii_case(after.name()) {
            break;
        }
        if !before.is_same(*after) {
            note(*after);
        }
        olds.next();
        news.next();
    }
    for before in olds {
        if new.owner(&before.lower()).is_none() {
            note(before);
        }
    }
    for after in news {
        if !old.owner(&after.lower()).is_some_and(|before| before.is_same(after)) {
            note(after);
        }
    }
    changed
}
