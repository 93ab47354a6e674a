//! What owners of a zone imply for each other: names between them, cuts and DNAMEs above them,
//! wildcards below.
//!
//! Everything is counted, so that the shape follows a change of few owners without a look at the
//! others.

use std::collections::{HashMap, HashSet};

use super::zone::RoutedOwners;
use crate::cores;
use crate::wire::name::{Name, parent};
use crate::wire::rtype::Rtype;
use crate::zone::{Owner, Zone};

/// Parts of a zone that one core looks over before it takes others; each has about a thousand owners.
const PARTS_TOGETHER: usize = 32;

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
        let apex = zone.apex();
        let parts = zone.part_count();
        let of_group = |group: usize| {
            let end = parts.min((group + 1) * PARTS_TOGETHER);
            Shape::of_owners(apex, (group * PARTS_TOGETHER..end).flat_map(|part| zone.owners_in(part)))
        };
        let mut shape = match parts.div_ceil(PARTS_TOGETHER) {
            ..=1 => of_group(0),
            groups => {
                let shapes = cores::share(groups, || (), |group, ()| of_group(group));
                shapes.into_iter().reduce(Shape::and).unwrap_or_default()
            }
        };
        for lower in routed.keys() {
            shape.name(apex, lower, Step::Come);
        }
        shape
    }

    fn of_owners<'z>(apex: &Name, owners: impl Iterator<Item = (u32, Owner<'z>)>) -> Shape {
        let mut shape = Shape::default();
        // Neighbours mostly have one parent: they are counted together.
        let (mut above, mut below): (Vec<u8>, usize) = (Vec::new(), 0);
        for (_, owner) in owners {
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
        shape
    }

    /// The shape of the owners of both.
    fn and(mut self, other: Shape) -> Shape {
        self.cuts.extend(other.cuts);
        self.dnames.extend(other.dnames);
        for (counts, others) in [
            (&mut self.nonterminals, other.nonterminals),
            (&mut self.wildcard_parents, other.wildcard_parents),
            (&mut self.nameservers, other.nameservers),
        ] {
            for (name, times) in others.0 {
                *counts.0.entry(name).or_default() += times;
            }
        }
        self
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

#[cfg(test)]
mod tests {
    use super::super::tests::try_parse;
    use super::*;

    #[test]
    fn parts_looked_over_apart_are_the_shape_of_all() {
        let mut text = "$TTL 60\n@ SOA ns.test. h.test. 1 1 1 1 60\n@ NS ns.test.\n".to_owned();
        for n in 0..40 {
            text += &format!(
                "a.b{}.c A 192.0.2.1\n*.b{} A 192.0.2.1\nd{n} NS ns.d{}\nns.d{n} A 192.0.2.1\n\
                 e{n} DNAME test.\nf.*.g{} A 192.0.2.1\n",
                n % 7,
                n % 5,
                n % 3,
                n % 2
            );
        }
        let zone = try_parse("example.", &text).unwrap();
        let owners: Vec<_> = (0..zone.part_count()).flat_map(|part| zone.owners_in(part)).collect();
        let of = |owners: &[(u32, Owner<'_>)]| Shape::of_owners(zone.apex(), owners.iter().copied());
        let whole = of(&owners);
        assert!(whole.cuts.len() == 40 && whole.dnames.len() == 40 && whole.nameservers.0.len() == 3);
        for middle in [0, 1, 50, 100, owners.len()] {
            let (first, second) = owners.split_at(middle);
            assert_eq!(of(first).and(of(second)), whole);
        }
        assert_eq!(Shape::of(&zone, &RoutedOwners::new()), whole);
    }
}
