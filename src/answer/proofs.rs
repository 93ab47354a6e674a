//! What proves that names and types aren't there (RFC 4035 3.1.3, RFC 5155 7.2).
//!
//! Proofs belong into the authority section, behind all answers of a chain; so they are gathered
//! on the way, each as a place in the snapshot, and written last.

use super::message::Message;
use crate::limits::CNAME_CHAIN;
use crate::snapshot::denial::{Denial, Link, Order};
use crate::wire::name::parent;
use crate::wire::rendered::Place;

/// One for each wildcard of a chain, and three for a name that isn't there.
const PROOFS_MAX: usize = CNAME_CHAIN + 1 + 3;

/// Proofs that wait to be written.
pub(super) struct Proofs<'a> {
    links: [Option<(&'a Link, u16, u8)>; PROOFS_MAX],
    count: usize,
}

/// A name in lower case, and where it stands in the message.
#[derive(Clone, Copy)]
pub(super) struct Denied<'n> {
    pub(super) name: &'n [u8],
    pub(super) place: Place,
}

impl<'a> Proofs<'a> {
    pub(super) fn new() -> Proofs<'a> {
        Proofs { links: [None; PROOFS_MAX], count: 0 }
    }

    /// Whether none was gathered.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The name, or the `*` that answers for it, has no such type (RFC 4035 3.1.3.1). A name that
    /// exists by others below it alone has no NSEC: then the one before it says so.
    pub(super) fn no_data(&mut self, denial: &'a Denial, owner: &[u8], denied: Denied<'_>) {
        self.add(denial.deny(owner), denied.place);
    }

    /// The name isn't there, and no `*` for it (RFC 4035 3.1.3.2, RFC 5155 7.2.2).
    pub(super) fn no_name(&mut self, denial: &'a Denial, encloser_octets: usize, denied: Denied<'_>) {
        self.closer(denial, encloser_octets, denied, true);
        with_wildcard(denied.name, encloser_octets, |wildcard| {
            self.add(denial.deny(wildcard), denied.place);
        });
    }

    /// A `*` answers since nothing closer is there (RFC 4035 3.1.3.3, RFC 5155 7.2.6).
    pub(super) fn expanded(&mut self, denial: &'a Denial, encloser_octets: usize, denied: Denied<'_>) {
        self.closer(denial, encloser_octets, denied, false);
    }

    /// A `*` stands for the name and has no such type (RFC 4035 3.1.3.4, RFC 5155 7.2.5).
    pub(super) fn wildcard_no_data(
        &mut self,
        denial: &'a Denial,
        encloser_octets: usize,
        denied: Denied<'_>,
    ) {
        self.closer(denial, encloser_octets, denied, true);
        with_wildcard(denied.name, encloser_octets, |wildcard| self.no_data(denial, wildcard, denied));
    }

    /// Nothing stands between the name and its closest encloser. Of hashes nobody can see that the
    /// encloser is there, where no answer shows it.
    fn closer(&mut self, denial: &'a Denial, encloser_octets: usize, denied: Denied<'_>, shows: bool) {
        let Denied { name, place } = denied;
        if denial.order() == Order::Names {
            return self.add(denial.deny(name), place);
        }
        let Some(encloser) = name.len().checked_sub(encloser_octets).map(|at| &name[at..]) else { return };
        let mut closer = name;
        while let Some(above) = parent(closer).filter(|above| above.len() > encloser.len()) {
            closer = above;
        }
        if shows {
            self.add(denial.deny(encloser), place);
        }
        self.add(denial.deny(closer), place);
    }

    fn add(&mut self, link: Option<&'a Link>, place: Place) {
        let Some(link) = link else { return };
        let is_there =
            |other: &Option<(&Link, u16, u8)>| other.is_some_and(|(other, ..)| std::ptr::eq(other, link));
        if self.links[..self.count].iter().any(is_there) {
            return;
        }
        if let Some(free) = self.links.get_mut(self.count) {
            *free = Some((link, place.owner_at as u16, place.owner_octets as u8));
            self.count += 1;
        }
    }

    /// Writes what was gathered, unless the message was cut short.
    pub(super) fn write(&mut self, message: &mut Message<'_, '_>) {
        for (link, owner_at, owner_octets) in self.links[..self.count].iter().flatten() {
            if message.is_truncated() {
                break;
            }
            let Some(rendered) = link.rendered() else { continue };
            let (owner_at, owner_octets) = (usize::from(*owner_at), usize::from(*owner_octets));
            message.write(&rendered, Place { owner_at, owner_octets, body_at: message.end() });
        }
        self.count = 0;
    }
}

/// Calls with the `*` below a name's encloser.
fn with_wildcard(name: &[u8], encloser_octets: usize, call: impl FnOnce(&[u8])) {
    let mut octets = [0; 257];
    let (Some(at), Some(end)) =
        (name.len().checked_sub(encloser_octets), octets.get_mut(..2 + encloser_octets))
    else {
        return;
    };
    end[..2].copy_from_slice(b"\x01*");
    end[2..].copy_from_slice(&name[at..]);
    call(end);
}
