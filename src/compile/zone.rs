//! A zone's owners as entries: every answer rendered, delegations as referrals.
//!
//! What an owner's entry holds depends on little beyond the owner: the cuts and DNAMEs above it,
//! whether a `*` is below it, and the glue of a cut. [`Shape`] has these for the whole zone, so
//! that a change of few owners compiles few entries.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::shape::{Shape, is_wildcard};
use crate::snapshot::edit::{Answer, Edits, Entries};
use crate::snapshot::entry::Flags;
use crate::snapshot::{Row, SlotId, ZoneAnswers, ZoneId};
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
    pub zone: &'z Arc<Zone>,
    /// Its place in the snapshot.
    pub id: ZoneId,
    /// Its routed owners.
    pub routed: &'z Arc<RoutedOwners>,
    /// Apexes of other zones of this server that lie below this one's.
    pub children: &'z [Name],
    /// The parent zone, if it is on this server: it answers for DS at our apex
    /// (RFC 4035 3.1.4.1).
    pub parent: Option<&'z Arc<Zone>>,
}

/// RRsets with fewer octets fit a message, whatever their owner and its glue.
const SURELY_FITS_OCTETS: usize = 16 << 10;

/// All owners of a zone, to be written when their shards are built.
#[derive(Debug)]
struct Laid {
    zone: Arc<Zone>,
    id: ZoneId,
    routed: Arc<RoutedOwners>,
    shape: Arc<Shape>,
    children: Vec<Name>,
    parent: Option<Arc<Zone>>,
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

impl Source<'_> {
    /// Entries of all owners.
    ///
    /// # Errors
    /// [`RrsetTooLarge`] for the first RRset that no message can hold.
    pub fn all(&self, shape: &Arc<Shape>) -> Result<Edits, RrsetTooLarge> {
        self.check_sizes(shape)?;
        let mut edits = Edits::default();
        let bare = shape.nonterminals().filter(|lower| !self.routed.contains_key(*lower));
        for lower in self.routed.keys().map(|lower| &**lower).chain(bare) {
            if self.zone.owner(lower).is_none() {
                self.entry(shape, lower, None, &mut edits)?;
            }
        }
        edits.lay(Arc::new(Laid {
            zone: Arc::clone(self.zone),
            id: self.id,
            routed: Arc::clone(self.routed),
            shape: Arc::clone(shape),
            children: self.children.to_vec(),
            parent: self.parent.cloned(),
        }));
        Ok(edits)
    }

    /// Writes once, and forgets, what may be too large: large RRsets, and referrals with their glue.
    fn check_sizes(&self, shape: &Shape) -> Result<(), RrsetTooLarge> {
        let mut edits = Edits::default();
        for lower in shape.cuts() {
            self.entry(shape, lower, self.zone.owner(lower), &mut edits)?;
        }
        if self.zone.largest_rrset() > SURELY_FITS_OCTETS {
            for owner in self.zone.owners() {
                self.entry(shape, &owner.lower(), Some(owner), &mut edits)?;
            }
        }
        Ok(())
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
    /// nothing when glue moved: then compile [`all`](Self::all) over a removal of what was. The
    /// shape must have [followed](Shape::follow) without a cut or a DNAME that came or went.
    ///
    /// # Errors
    /// [`RrsetTooLarge`], as for all.
    pub fn some(&self, shape: &Shape, changed: &[Name]) -> Result<Option<Edits>, RrsetTooLarge> {
        let lower: Vec<Box<[u8]>> =
            changed.iter().map(|name| name.as_wire().to_ascii_lowercase().into()).collect();
        if lower.iter().any(|name| shape.is_nameserver(name)) {
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
        Ok(ZoneAnswers { apex: apex.clone(), negative: Some(negative.into()), row: Row::OTHERS })
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
        let exists = owner.is_some() || routed.is_some() || shape.is_nonterminal(lower);
        if !exists || shape.hides(self.zone.apex(), lower) {
            edits.remove(lower);
            return Ok(());
        }
        let is_apex = lower.len() == self.zone.apex().as_wire().len();
        let is_cut = shape.is_cut(lower);
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
            .with(Flags::WILDCARD_BELOW, shape.has_wildcard_below(lower));
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

impl Entries for Laid {
    fn part_count(&self) -> usize {
        self.zone.part_count()
    }

    fn names(&self, part: usize, each: &mut dyn FnMut(u32, &[u8])) {
        for (place, owner) in self.zone.owners_in(part) {
            each(place, &owner.lower());
        }
    }

    fn fetch(&self, number: u32) {
        self.zone.fetch(number);
    }

    fn write(&self, number: u32, edits: &mut Edits) {
        let Laid { zone, id, routed, shape, children, parent } = self;
        let source = Source { zone, id: *id, routed, children, parent: parent.as_ref() };
        let owner = zone.owner_at(number);
        if let Err(error) = source.entry(shape, &owner.lower(), Some(owner), edits) {
            // Sizes were checked before.
            tracing::error!(%error, "an RRset isn't served");
        }
    }
}

/// The names that a zone's entries have, to take them out of the snapshot.
pub fn names<'z>(zone: &'z Zone, routed: &'z RoutedOwners, shape: &'z Shape) -> Edits {
    let mut edits = Edits::default();
    for owner in zone.owners() {
        edits.remove(&owner.lower());
    }
    for lower in routed.keys().map(|lower| &**lower).chain(shape.nonterminals()) {
        edits.remove(lower);
    }
    edits
}

/// An entry that makes a whole zone SERVFAIL: one that was configured and never loaded.
#[must_use]
pub fn broken(apex: &Name, id: ZoneId) -> (Edits, ZoneAnswers) {
    let mut edits = Edits::default();
    edits.put(apex.to_lower().as_wire(), Flags::APEX, id, []);
    (edits, ZoneAnswers { apex: apex.clone(), negative: None, row: Row::OTHERS })
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
