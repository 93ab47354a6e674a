//! A zone's owners as entries: every answer rendered, delegations as referrals.
//!
//! What an owner's entry holds depends on little beyond the owner: the cuts and DNAMEs above it,
//! whether a `*` is below it, and the glue of a cut. [`Shape`] has these for the whole zone, so
//! that a change of few owners compiles few entries.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use crate::snapshot::edit::{Answer, Edits};
use crate::snapshot::entry::Flags;
use crate::snapshot::{SlotId, ZoneAnswers, ZoneId};
use crate::wire::name::{Name, is_at_or_below, parent};
use crate::wire::render::{Renderer, Section, TooLarge};
use crate::wire::rtype::Rtype;
use crate::zone::{Owner, Rrset, Zone};

/// Routed types of owners: name in lower-case wire form -> type -> slot.
pub type RoutedOwners = HashMap<Box<[u8]>, BTreeMap<Rtype, SlotId>>;

/// A zone among the others of the server, ready to be compiled.
#[derive(Clone, Copy, Debug)]
pub struct Source<'z> {
    /// The zone's records.
    pub zone: &'z Zone,
    /// Its place in the snapshot.
    pub id: ZoneId,
    /// Its routed owners.
    pub routed: &'z RoutedOwners,
    /// Apexes of other zones of this server that lie below this one's.
    pub children: &'z [Name],
    /// The parent zone, if it is on this server: it answers for DS at our apex
    /// (RFC 4035 3.1.4.1).
    pub parent: Option<&'z Zone>,
}

/// An RRset that no message can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RrsetTooLarge {
    /// Its owner.
    pub owner: Name,
    /// Its type.
    pub rtype: Rtype,
}

impl fmt::Display for RrsetTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} records of {} don't fit in a message's 65535 octets", self.rtype, self.owner)
    }
}

impl std::error::Error for RrsetTooLarge {}

/// What owners of a zone imply for each other.
#[derive(Debug, Default)]
pub struct Shape {
    /// Owners of NS below the apex.
    cuts: HashSet<Box<[u8]>>,
    /// Owners of DNAME.
    dnames: HashSet<Box<[u8]>>,
    /// Names that exist only because others are below them (RFC 4592 2.2.2), and all others that
    /// have names below.
    nonterminals: HashSet<Box<[u8]>>,
    /// Parents of wildcards.
    wildcard_parents: HashSet<Box<[u8]>>,
    /// Targets of the cuts' NS records.
    nameservers: HashSet<Box<[u8]>>,
}

impl Shape {
    /// Whether a name below `apex` lies below a cut or a DNAME of its zone, so that others answer
    /// for it.
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

impl Source<'_> {
    /// Looks over all owners.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let apex = self.zone.apex().as_wire();
        let mut shape = Shape::default();
        let mut add = |lower: &[u8]| {
            if is_wildcard(lower) {
                shape.wildcard_parents.extend(parent(lower).map(Into::into));
            }
            let mut above = parent(lower);
            while let Some(name) = above.filter(|name| name.len() > apex.len()) {
                if shape.nonterminals.contains(name) {
                    break;
                }
                shape.nonterminals.insert(name.into());
                above = parent(name);
                // RFC 4592 4.9: a `*` that exists by names below it alone answers too.
                if name.starts_with(b"\x01*") {
                    shape.wildcard_parents.extend(above.map(Into::into));
                }
            }
        };
        for owner in self.zone.owners() {
            add(&owner.lower());
        }
        for lower in self.routed.keys() {
            add(lower);
        }
        for owner in self.zone.owners() {
            // RFC 4592 4.2 and 4.4 leave NS and DNAME at a wildcard open: here they are answered like
            // any other data.
            if owner.name().len() == apex.len() || is_wildcard(owner.name()) {
                continue;
            }
            if let Some(servers) = owner.rrset(Rtype::NS) {
                shape.cuts.insert((*owner.lower()).into());
                shape.nameservers.extend(servers.rdata().map(|name| name.to_ascii_lowercase().into()));
            }
            if owner.rrset(Rtype::DNAME).is_some() {
                shape.dnames.insert((*owner.lower()).into());
            }
        }
        if self.zone.owner(&apex.to_ascii_lowercase()).is_some_and(|apex| apex.rrset(Rtype::DNAME).is_some())
        {
            shape.dnames.insert(apex.to_ascii_lowercase().into());
        }
        shape
    }

    /// Entries of all owners.
    ///
    /// # Errors
    /// [`RrsetTooLarge`] for the first RRset that no message can hold.
    pub fn all(&self, shape: &Shape) -> Result<Edits, RrsetTooLarge> {
        let mut edits = Edits::default();
        for owner in self.zone.owners() {
            self.entry(shape, &owner.lower(), Some(owner), &mut edits)?;
        }
        let bare = shape.nonterminals.iter().filter(|lower| !self.routed.contains_key(*lower));
        for lower in self.routed.keys().chain(bare) {
            if self.zone.owner(lower).is_none() {
                self.entry(shape, lower, None, &mut edits)?;
            }
        }
        Ok(edits)
    }

    /// The entry of the apex.
    ///
    /// # Errors
    /// [`RrsetTooLarge`], as for all.
    pub fn apex(&self, shape: &Shape) -> Result<Edits, RrsetTooLarge> {
        let mut edits = Edits::default();
        let lower = self.zone.apex().to_lower();
        self.entry(shape, lower.as_wire(), self.zone.owner(lower.as_wire()), &mut edits)?;
        Ok(edits)
    }

    /// Entries of some owners and of the names above them, when nothing else can have changed;
    /// nothing when a cut or a DNAME came or went, or glue moved: then compile [`all`](Self::all)
    /// over a removal of what was.
    ///
    /// # Errors
    /// [`RrsetTooLarge`], as for all.
    pub fn some(
        &self,
        shape: &Shape,
        old_shape: &Shape,
        changed: &[Name],
    ) -> Result<Option<Edits>, RrsetTooLarge> {
        let same_cuts = shape.cuts == old_shape.cuts && shape.dnames == old_shape.dnames;
        let is_glue = |lower: &[u8]| shape.nameservers.contains(lower);
        let lower: Vec<Box<[u8]>> =
            changed.iter().map(|name| name.as_wire().to_ascii_lowercase().into()).collect();
        if !same_cuts || lower.iter().any(|name| is_glue(name)) {
            return Ok(None);
        }
        let apex_octets = self.zone.apex().as_wire().len();
        let mut names: HashSet<&[u8]> = HashSet::new();
        for name in &lower {
            let mut at = Some(&**name);
            while let Some(name) = at.filter(|name| name.len() >= apex_octets) {
                names.insert(name);
                at = parent(name);
            }
        }
        let mut edits = Edits::default();
        for name in names {
            self.entry(shape, name, self.zone.owner(name), &mut edits)?;
        }
        Ok(Some(edits))
    }

    /// What all names of the zone share.
    ///
    /// # Errors
    /// [`RrsetTooLarge`] never happens with one SOA.
    pub fn common(&self) -> Result<ZoneAnswers, RrsetTooLarge> {
        let apex = self.zone.apex();
        let negative = negative(self.zone).map_err(|TooLarge| self.too_large(apex.as_wire(), Rtype::SOA))?;
        Ok(ZoneAnswers { apex: apex.clone(), negative: Some(negative.into()) })
    }

    /// Puts one name's entry in, or takes it out if it doesn't exist or is hidden.
    fn entry(
        &self,
        shape: &Shape,
        lower: &[u8],
        owner: Option<Owner<'_>>,
        edits: &mut Edits,
    ) -> Result<(), RrsetTooLarge> {
        let routed = self.routed.get(lower);
        if self.children.iter().any(|child| is_at_or_below(lower, child.as_wire())) {
            // The other zone's entry stands there.
            return Ok(());
        }
        let exists = owner.is_some() || routed.is_some() || shape.nonterminals.contains(lower);
        if !exists || shape.hides(self.zone.apex(), lower) {
            edits.remove(lower);
            return Ok(());
        }
        let is_apex = lower.len() == self.zone.apex().as_wire().len();
        let is_cut = shape.cuts.contains(lower);
        let mut answers: BTreeMap<Rtype, Answer> = BTreeMap::new();
        let error = |rtype| move |TooLarge| self.too_large(lower, rtype);
        for rrset in owner.iter().flat_map(|owner| owner.rrsets()) {
            let rtype = rrset.rtype();
            let octets = if is_cut {
                match rtype {
                    Rtype::NS => self.referral(lower, rrset),
                    Rtype::DS => plain(lower, rrset),
                    _ => continue,
                }
            } else if rtype == Rtype::DNAME && !is_wildcard(lower) {
                anchored(lower, rrset)
            } else {
                plain(lower, rrset)
            };
            answers.insert(rtype, Answer::Rendered(octets.map_err(error(rtype))?));
        }
        if let Some(above) = self.parent.filter(|_| is_apex) {
            let octets = match above.owner(lower).and_then(|owner| owner.rrset(Rtype::DS)) {
                Some(rrset) => plain(lower, rrset),
                None => negative(above),
            };
            answers.insert(Rtype::DS, Answer::Rendered(octets.map_err(error(Rtype::DS))?));
        }
        if !is_cut {
            for (&rtype, &slot) in routed.into_iter().flatten() {
                answers.insert(rtype, Answer::Slot(slot));
            }
        }
        let flags = Flags::default()
            .with(Flags::APEX, is_apex)
            .with(Flags::CUT, is_cut)
            .with(Flags::CNAME, answers.contains_key(&Rtype::CNAME))
            .with(Flags::DNAME, answers.contains_key(&Rtype::DNAME) && !is_wildcard(lower))
            .with(Flags::WILDCARD_BELOW, shape.wildcard_parents.contains(lower));
        edits.put(lower, flags, self.id, answers.iter().map(|(rtype, answer)| (*rtype, answer)));
        Ok(())
    }

    /// A referral (RFC 1034 4.3.2): the cut's NS, glue within it (RFC 9471 3.1: needed), and what
    /// else is known of the servers' addresses.
    fn referral(&self, cut: &[u8], servers: Rrset<'_>) -> Result<Vec<u8>, TooLarge> {
        let mut renderer = Renderer::anchored(cut);
        for rdata in servers.rdata() {
            renderer.own_record(Section::Authority, Rtype::NS, servers.ttl(), rdata);
        }
        for section in [Section::Additional, Section::Optional] {
            for target in servers.rdata() {
                let is_within = is_at_or_below(target, cut);
                if is_within != (section == Section::Additional) {
                    continue;
                }
                let Some(owner) = self.zone.owner(&target.to_ascii_lowercase()) else { continue };
                for rrset in [Rtype::A, Rtype::AAAA].into_iter().filter_map(|rtype| owner.rrset(rtype)) {
                    for rdata in rrset.rdata() {
                        renderer.record(section, target, rrset.rtype(), rrset.ttl(), rdata);
                    }
                }
            }
        }
        renderer.finish()
    }

    fn too_large(&self, owner: &[u8], rtype: Rtype) -> RrsetTooLarge {
        RrsetTooLarge { owner: Name::from_wire(owner).unwrap_or_else(|_| self.zone.apex().clone()), rtype }
    }
}

/// The names that a zone's entries have, to take them out of the snapshot.
pub fn names<'z>(zone: &'z Zone, routed: &'z RoutedOwners, shape: &'z Shape) -> Edits {
    let mut edits = Edits::default();
    for owner in zone.owners() {
        edits.remove(&owner.lower());
    }
    for lower in routed.keys().chain(&shape.nonterminals) {
        edits.remove(lower);
    }
    edits
}

/// An entry that makes a whole zone SERVFAIL: one that was configured and never loaded.
#[must_use]
pub fn broken(apex: &Name, id: ZoneId) -> (Edits, ZoneAnswers) {
    let mut edits = Edits::default();
    edits.put(apex.to_lower().as_wire(), Flags::APEX, id, []);
    (edits, ZoneAnswers { apex: apex.clone(), negative: None })
}

fn is_wildcard(name: &[u8]) -> bool {
    name.starts_with(b"\x01*")
}

fn plain(owner: &[u8], rrset: Rrset<'_>) -> Result<Vec<u8>, TooLarge> {
    answer_section(Renderer::new(owner), rrset)
}

fn anchored(owner: &[u8], rrset: Rrset<'_>) -> Result<Vec<u8>, TooLarge> {
    answer_section(Renderer::anchored(owner), rrset)
}

fn answer_section(mut renderer: Renderer<'_>, rrset: Rrset<'_>) -> Result<Vec<u8>, TooLarge> {
    for rdata in rrset.rdata() {
        renderer.own_record(Section::Answer, rrset.rtype(), rrset.ttl(), rdata);
    }
    renderer.finish()
}

/// The SOA for negative answers, with the lesser of its TTL and MINIMUM (RFC 2308 3).
fn negative(zone: &Zone) -> Result<Vec<u8>, TooLarge> {
    let soa = zone.soa();
    let mut renderer = Renderer::anchored(zone.apex().as_wire());
    renderer.own_record(Section::Authority, Rtype::SOA, soa.ttl().min(soa.minimum()), soa.rdata());
    renderer.finish()
}
