//! What owners of a zone imply for each other: names between them, cuts and DNAMEs above them,
//! wildcards below.
//!
//! Everything is counted, so that the shape follows a change of few owners without a look at the
//! others.

use std::collections::{HashMap, HashSet};

use super::zone::RoutedOwners;
use crate::wire::name::{Name, parent};
use crate::wire::rtype::Rtype;
use crate::zone::{Owner, Zone};

/// What owners of a zone imply for each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    /// Owners of NS below the apex.
    cuts: HashSet<Box<[u8]>>,
    /// Owners of DNAME.
    dnames: HashSet<Box<[u8]>>,
    /// Names that exist only because others are below them (RFC 4592 2.2.2), and all others that
    /// have names below: how many.
    nonterminals: Counts,
    /// Parents of wildcards: how often.
    wildcard_parents: Counts,
    /// Targets of the cuts' NS records: how often.
    nameservers: Counts,
}

/// How often each name is meant.
#[derive(Clone, Debug, Default, PartialEq)]
struct Counts(HashMap<Box<[u8]>, usize>);

/// Whether owners come or go.
#[derive(Clone, Copy)]
enum Step {
    Come,
    Go,
}

impl Shape {
    /// Looks over all owners of a zone and its routes.
    #[must_use]
    pub fn of(zone: &Zone, routed: &RoutedOwners) -> Shape {
        let mut shape = Shape::default();
        let apex = zone.apex();
        // Neighbours mostly have one parent: they are counted together.
        let (mut above, mut below): (Vec<u8>, usize) = (Vec::new(), 0);
        for owner in zone.owners() {
            let lower = owner.lower();
            let name = parent(&lower).unwrap_or_default();
            if name != above {
                shape.names_below(apex, &above, below, Step::Come);
                above.clear();
                above.extend_from_slice(name);
                below = 0;
            }
            below += 1;
            if is_wildcard(&lower) {
                shape.wildcard_parents.count(name, 1, Step::Come);
            }
            shape.data(apex, owner, Step::Come);
        }
        shape.names_below(apex, &above, below, Step::Come);
        for lower in routed.keys() {
            shape.name(apex, lower, Step::Come);
        }
        shape
    }

    /// Follows a change of some owners, routes being the same; false if a cut or a DNAME came or
    /// went, so that others may have appeared from below it, or vanish. The other way round, the
    /// shape is what it was.
    #[must_use]
    pub fn follow(&mut self, old: &Zone, new: &Zone, changed: &[Name]) -> bool {
        let apex = new.apex();
        let mut is_calm = true;
        for name in changed {
            let lower = name.to_lower();
            let (before, after) = (old.owner(lower.as_wire()), new.owner(lower.as_wire()));
            for rtype in [Rtype::NS, Rtype::DNAME] {
                let has = |owner: Option<Owner<'_>>| owner.is_some_and(|owner| owner.rrset(rtype).is_some());
                is_calm &= has(before) == has(after);
            }
            for (owner, step) in [(before, Step::Go), (after, Step::Come)] {
                if let Some(owner) = owner {
                    self.name(apex, lower.as_wire(), step);
                    self.data(apex, owner, step);
                }
            }
        }
        is_calm
    }

    /// Counts a name among those below others.
    fn name(&mut self, apex: &Name, lower: &[u8], step: Step) {
        let above = parent(lower).unwrap_or_default();
        if is_wildcard(lower) {
            self.wildcard_parents.count(above, 1, step);
        }
        self.names_below(apex, above, 1, step);
    }

    /// Counts some names below one, and so below all above it.
    fn names_below(&mut self, apex: &Name, above: &[u8], count: usize, step: Step) {
        let mut at = Some(above);
        while let Some(name) = at.filter(|name| name.len() > apex.as_wire().len()) {
            self.nonterminals.count(name, count, step);
            at = parent(name);
            // RFC 4592 4.9: a `*` that exists by names below it alone answers too.
            if is_wildcard(name) {
                self.wildcard_parents.count(at.unwrap_or_default(), count, step);
            }
        }
    }

    /// Counts what an owner's records mean for others. RFC 4592 4.2 and 4.4 leave NS and DNAME at
    /// a wildcard open: here they are answered like any other data.
    fn data(&mut self, apex: &Name, owner: Owner<'_>, step: Step) {
        if is_wildcard(owner.name()) {
            return;
        }
        let is_apex = owner.name().len() == apex.as_wire().len();
        if let Some(servers) = owner.rrset(Rtype::NS).filter(|_| !is_apex) {
            step.set(&mut self.cuts, &owner.lower());
            for server in servers.rdata() {
                self.nameservers.count(&server.to_ascii_lowercase(), 1, step);
            }
        }
        if owner.rrset(Rtype::DNAME).is_some() {
            step.set(&mut self.dnames, &owner.lower());
        }
    }

    /// Names that have others below them.
    pub(super) fn nonterminals(&self) -> impl Iterator<Item = &[u8]> {
        self.nonterminals.0.keys().map(|name| &**name)
    }

    pub(super) fn is_nonterminal(&self, lower: &[u8]) -> bool {
        self.nonterminals.0.contains_key(lower)
    }

    pub(super) fn has_wildcard_below(&self, lower: &[u8]) -> bool {
        self.wildcard_parents.0.contains_key(lower)
    }

    pub(super) fn cuts(&self) -> impl Iterator<Item = &[u8]> {
        self.cuts.iter().map(|name| &**name)
    }

    pub(super) fn is_cut(&self, lower: &[u8]) -> bool {
        self.cuts.contains(lower)
    }

    pub(super) fn is_nameserver(&self, lower: &[u8]) -> bool {
        self.nameservers.0.contains_key(lower)
    }

    /// Whether a name lies below a cut or a DNAME, so that others answer for it.
    #[must_use]
    pub fn hides(&self, apex: &Name, lower: &[u8]) -> bool {
        if self.cuts.is_empty() && self.dnames.is_empty() {
            return false;
        }
        let mut above = parent(lower);
        while let Some(name) = above.filter(|name| name.len() >= apex.as_wire().len()) {
            if self.cuts.contains(name) || self.dnames.contains(name) {
                return true;
            }
            above = parent(name);
        }
        false
    }
}

impl Counts {
    fn count(&mut self, name: &[u8], times: usize, step: Step) {
        match (self.0.get_mut(name), step) {
            (Some(count), Step::Come) => *count += times,
            (Some(count), Step::Go) if *count > times => *count -= times,
            (Some(_), Step::Go) => drop(self.0.remove(name)),
            (None, Step::Come) => drop(self.0.insert(name.into(), times)),
            (None, Step::Go) => {}
        }
    }
}

impl Step {
    fn set(self, names: &mut HashSet<Box<[u8]>>, lower: &[u8]) {
        match self {
            Step::Come => drop(names.insert(lower.into())),
            Step::Go => drop(names.remove(lower)),
        }
    }
}

pub(super) fn is_wildcard(name: &[u8]) -> bool {
    name.starts_with(b"\x01*")
}
