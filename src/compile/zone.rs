//! A zone's owners as entries: every answer rendered, delegations as referrals.
//!
//! What an owner's entry holds depends on little beyond the owner: the cuts and DNAMEs above it,
//! whether a `*` is below it, and the glue of a cut. [`Shape`] has these for the whole zone, so
//! that a change of few owners compiles few entries.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::shape::{Shape, is_wildcard};
use super::signer::{Signatures, Signing, Unsigned};
use crate::snapshot::denial::{Denial, Order};
use crate::snapshot::edit::{Answer, Edits, Entries};
use crate::snapshot::entry::{Flags, SIGNED_GLUE, SIGNED_REFERRAL};
use crate::snapshot::{Row, SlotId, ZoneAnswers, ZoneId};
use crate::wire::name::{Name, is_at_or_below, parent};
use crate::wire::render::{self, Renderer, Section, TooLarge};
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
    pub parent: Option<&'z Above>,
    /// What signs it; none in a zone that isn't signed.
    pub signing: Option<&'z Signing>,
}

/// The zone above another.
#[derive(Clone, Debug)]
pub struct Above {
    /// Its records.
    pub zone: Arc<Zone>,
    /// What signs it.
    pub signing: Option<Signing>,
}

/// An RRset that its zone signs.
pub(super) struct Signed<'a> {
    pub(super) rtype: Rtype,
    ttl: u32,
    rdatas: Vec<&'a [u8]>,
}

/// A zone with up to so many owners is written at once, while it is in the caches: of ten thousand
/// small ones, each owner would be waited for once more when its shard is built.
const SMALL_OWNERS_MAX: usize = 256;

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
    parent: Option<Above>,
    signing: Option<Signing>,
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
    /// Puts entries of all owners into `edits`.
    ///
    /// # Errors
    /// [`RrsetTooLarge`] for the first RRset that no message can hold; `edits` are as before then.
    pub fn all(&self, shape: &Arc<Shape>, edits: &mut Edits) -> Result<(), RrsetTooLarge> {
        let before = edits.mark();
        self.lay(shape, edits).inspect_err(|_| edits.take_back(before))
    }

    fn lay(&self, shape: &Arc<Shape>, edits: &mut Edits) -> Result<(), RrsetTooLarge> {
        let is_small = self.zone.owner_count() <= SMALL_OWNERS_MAX;
        if !is_small {
            self.check_sizes(shape)?;
        }
        let bare = shape.nonterminals().filter(|lower| !self.routed.contains_key(*lower));
        for lower in self.routed.keys().map(|lower| &**lower).chain(bare) {
            if self.zone.owner(lower).is_none() {
                self.entry(shape, lower, None, edits)?;
            }
        }
        if is_small {
            for owner in self.zone.owners() {
                self.entry(shape, &owner.lower(), Some(owner), edits)?;
            }
            return Ok(());
        }
        edits.lay(Arc::new(Laid {
            zone: Arc::clone(self.zone),
            id: self.id,
            routed: Arc::clone(self.routed),
            shape: Arc::clone(shape),
            children: self.children.to_vec(),
            parent: self.parent.cloned(),
            signing: self.signing.cloned(),
        }));
        Ok(())
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

    /// Puts the entry of the apex into `edits`.
    ///
    /// # Errors
    /// [`RrsetTooLarge`], as for all.
    pub fn apex(&self, shape: &Shape, edits: &mut Edits) -> Result<(), RrsetTooLarge> {
        let lower = self.zone.apex().to_lower();
        self.entry(shape, lower.as_wire(), self.zone.owner(lower.as_wire()), edits)
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
        let names = self.with_names_above(lower.iter().map(|name| &**name));
        let mut edits = Edits::default();
        for name in names {
            self.entry(shape, name, self.zone.owner(name), &mut edits)?;
        }
        Ok(Some(edits))
    }

    /// Entries of some owners that haven't changed but in their signatures.
    ///
    /// # Errors
    /// [`RrsetTooLarge`], as for all.
    pub fn some_alone(&self, shape: &Shape, names: &[Name]) -> Result<Edits, RrsetTooLarge> {
        let mut edits = Edits::default();
        for name in names {
            let lower = name.to_lower();
            self.entry(shape, lower.as_wire(), self.zone.owner(lower.as_wire()), &mut edits)?;
        }
        Ok(edits)
    }

    /// The chain with the links of such owners signed anew.
    #[must_use]
    pub fn denial_renewed(&self, shape: &Shape, before: &Denial, names: &[Name]) -> Denial {
        let lower: Vec<Name> = names.iter().map(Name::to_lower).collect();
        let names: Vec<&[u8]> = lower.iter().map(Name::as_wire).collect();
        self.chain_amended(shape, before, &names)
    }

    /// What all names of the zone share, with the chain that denies others; a signed zone has one.
    ///
    /// # Errors
    /// [`RrsetTooLarge`] never happens with one SOA.
    pub fn common(&self, denial: Option<Denial>) -> Result<ZoneAnswers, RrsetTooLarge> {
        let apex = self.zone.apex();
        let negative = negative(self.zone, self.signing)
            .map_err(|TooLarge| self.too_large(apex.as_wire(), Rtype::SOA))?;
        Ok(ZoneAnswers { apex: apex.clone(), negative: Some(negative.into()), denial, row: Row::OTHERS })
    }

    /// The chain that denies names and types, of all names or, after a change of some of them (and
    /// what is above them), from the chain before. Nothing if the zone isn't signed.
    #[must_use]
    pub fn denial(&self, shape: &Shape, before: Option<(&Denial, &[Name])>) -> Option<Denial> {
        match before {
            None => self.chain(shape),
            Some((old, changed)) => {
                self.signing?;
                let lower: Vec<Name> = changed.iter().map(Name::to_lower).collect();
                let names: Vec<&[u8]> = self.with_names_above(lower.iter().map(Name::as_wire));
                Some(self.chain_amended(shape, old, &names))
            }
        }
    }

    /// RRsets at a name that the zone signs, those of routes aside: neither NS at a cut nor glue
    /// (RFC 4035 2.2).
    pub(super) fn authoritative(&self, shape: &Shape, lower: &[u8]) -> Vec<Signed<'_>> {
        self.authoritative_of(shape, lower, self.zone.owner(lower))
    }

    /// Likewise of an owner that is known, if there is one of that name.
    fn authoritative_of<'o>(
        &'o self,
        shape: &Shape,
        lower: &[u8],
        owner: Option<Owner<'o>>,
    ) -> Vec<Signed<'o>> {
        let is_cut = shape.is_cut(lower);
        let routed = self.routed.get(lower);
        let mut all: Vec<Signed<'_>> = owner
            .iter()
            .flat_map(|owner| owner.rrsets())
            .filter(|rrset| !is_cut || rrset.rtype() == Rtype::DS)
            .filter(|rrset| !routed.is_some_and(|routed| routed.contains_key(&rrset.rtype())))
            .map(|rrset| Signed { rtype: rrset.rtype(), ttl: rrset.ttl(), rdatas: rrset.rdata().collect() })
            .collect();
        if lower.len() == self.zone.apex().as_wire().len() {
            all.extend(self.of_keys());
        }
        all
    }

    /// RRsets that a signed zone has at its apex beside its records.
    fn of_keys(&self) -> Vec<Signed<'_>> {
        let Some(signing) = self.signing else { return Vec::new() };
        let keyring = signing.signer.keyring();
        let ttl = keyring.dnskey_ttl();
        let mut all = vec![
            Signed { rtype: Rtype::DNSKEY, ttl, rdatas: keyring.dnskeys().collect() },
            Signed { rtype: Rtype::CDS, ttl, rdatas: keyring.cds().collect() },
            Signed { rtype: Rtype::CDNSKEY, ttl, rdatas: keyring.cdnskeys().collect() },
        ];
        if signing.signer.order() == Order::Hashes {
            // SHA-1, no flags, no further rounds, no salt (RFC 5155 4.2).
            all.push(Signed { rtype: Rtype::NSEC3PARAM, ttl: 0, rdatas: vec![&[1, 0, 0, 0, 0]] });
        }
        all.retain(|set| !set.rdatas.is_empty());
        all
    }

    /// An RRset that couldn't be signed since this was asked last.
    pub fn take_unsigned(&self) -> Option<Unsigned> {
        self.signing?.signer.take_unsigned()
    }

    /// Signatures of RRsets at a name, and of whatever its routes may answer.
    pub(super) fn sign_all(&self, sets: &[Signed<'_>], lower: &[u8]) -> Vec<Signatures> {
        let Some(signing) = self.signing else { return Vec::new() };
        let sign = |rtype, ttl, rdatas: &[&[u8]]| signing.signer.sign(lower, rtype, ttl, rdatas, signing.now);
        let mut all: Vec<Signatures> = sets.iter().map(|set| sign(set.rtype, set.ttl, &set.rdatas)).collect();
        for outcomes in signing.outcomes.get(lower).into_iter().flatten() {
            for rrset in &outcomes.rrsets {
                let rdatas: Vec<&[u8]> = rrset.iter().map(Vec::as_slice).collect();
                all.push(sign(outcomes.rtype, outcomes.ttl, &rdatas));
            }
        }
        all
    }

    /// Names and all names above them within the zone.
    fn with_names_above<'n>(&self, names: impl Iterator<Item = &'n [u8]>) -> Vec<&'n [u8]> {
        let apex_octets = self.zone.apex().as_wire().len();
        let mut all: HashSet<&[u8]> = HashSet::new();
        for name in names {
            let mut at = Some(name);
            while let Some(name) = at.filter(|name| name.len() >= apex_octets) {
                all.insert(name);
                at = parent(name);
            }
        }
        all.into_iter().collect()
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
        if let Some(owner) = owner.filter(|_| !is_apex && !is_cut && routed.is_none())
            && self.is_plain(owner)
        {
            let flags = Flags::default()
                .with(Flags::CNAME, owner.rrset(Rtype::CNAME).is_some())
                .with(Flags::WILDCARD_BELOW, shape.has_wildcard_below(lower));
            let mut entry = edits.begin(lower, flags, self.id);
            for rrset in owner.rrsets() {
                entry.plain(rrset.rtype(), rrset.ttl(), rrset.rdata());
            }
            entry.finish();
            return Ok(());
        }
        let mut answers: BTreeMap<Rtype, Answer> = BTreeMap::new();
        let error = |rtype| move |TooLarge| self.too_large(lower, rtype);
        for set in self.authoritative_of(shape, lower, owner) {
            let rtype = set.rtype;
            let renderer = if rtype == Rtype::DNAME && !is_wildcard(lower) {
                Renderer::anchored(lower)
            } else {
                Renderer::new(lower)
            };
            let octets = answer_section(renderer, lower, &set, self.signing);
            answers.insert(rtype, Answer::Rendered(octets.map_err(error(rtype))?));
        }
        if let Some(servers) = owner.and_then(|owner| owner.rrset(Rtype::NS)).filter(|_| is_cut) {
            for rtype in [Rtype::NS, SIGNED_REFERRAL, SIGNED_GLUE] {
                if rtype == Rtype::NS || self.signing.is_some() {
                    let octets = self.referral(lower, servers, rtype).map_err(error(Rtype::NS))?;
                    answers.insert(rtype, Answer::Rendered(octets));
                }
            }
        }
        if let Some(above) = self.parent.filter(|_| is_apex) {
            let signing = above.signing.as_ref();
            let octets = match above.zone.owner(lower).and_then(|owner| owner.rrset(Rtype::DS)) {
                Some(rrset) => {
                    let rdatas = rrset.rdata().collect();
                    let set = Signed { rtype: Rtype::DS, ttl: rrset.ttl(), rdatas };
                    answer_section(Renderer::new(lower), lower, &set, signing)
                }
                None => negative(&above.zone, signing),
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

    /// Whether all answers of an owner are of the plain form, and surely fit: most of a large zone.
    fn is_plain(&self, owner: Owner<'_>) -> bool {
        self.signing.is_none()
            && owner.rrsets().all(|rrset| {
                rrset.octets() <= SURELY_FITS_OCTETS && render::is_plain(rrset.rtype(), rrset.count())
            })
    }

    /// A referral (RFC 1034 4.3.2): the cut's NS, glue within it (RFC 9471 3.1: needed), and what
    /// else is known of the servers' addresses. Of a signed zone's in two parts, the first comes with
    /// DS (RFC 4035 3.1.4).
    fn referral(&self, cut: &[u8], servers: Rrset<'_>, part: Rtype) -> Result<Vec<u8>, TooLarge> {
        let mut renderer = Renderer::anchored(cut);
        if part != SIGNED_GLUE {
            for rdata in servers.rdata() {
                renderer.own_record(Section::Authority, Rtype::NS, servers.ttl(), rdata);
            }
        }
        if part == SIGNED_REFERRAL {
            let signers = self.zone.owner(cut).and_then(|owner| owner.rrset(Rtype::DS)).zip(self.signing);
            if let Some((rrset, signing)) = signers {
                let rdatas: Vec<&[u8]> = rrset.rdata().collect();
                let made = signing.signer.sign(cut, Rtype::DS, rrset.ttl(), &rdatas, signing.now);
                let rrsigs = made.rrsigs.iter().map(|rrsig| (Rtype::RRSIG, rrsig));
                for (rtype, rdata) in rdatas.into_iter().map(|rdata| (Rtype::DS, rdata)).chain(rrsigs) {
                    renderer.own_record(Section::Authority, rtype, rrset.ttl(), rdata);
                }
            }
            return renderer.finish();
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
        let Laid { zone, id, routed, shape, children, parent, signing } = self;
        let (parent, signing) = (parent.as_ref(), signing.as_ref());
        let source = Source { zone, id: *id, routed, children, parent, signing };
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
    (edits, ZoneAnswers { apex: apex.clone(), negative: None, denial: None, row: Row::OTHERS })
}

fn answer_section(
    mut renderer: Renderer<'_>,
    owner: &[u8],
    set: &Signed<'_>,
    signing: Option<&Signing>,
) -> Result<Vec<u8>, TooLarge> {
    let Signed { rtype, ttl, rdatas } = set;
    for rdata in rdatas {
        renderer.own_record(Section::Answer, *rtype, *ttl, rdata);
    }
    if let Some(signing) = signing {
        let made = signing.signer.sign(owner, *rtype, *ttl, rdatas, signing.now);
        renderer.begin_signatures();
        for rrsig in made.rrsigs.iter() {
            renderer.own_record(Section::Answer, Rtype::RRSIG, *ttl, rrsig);
        }
    }
    renderer.finish()
}

/// The SOA for negative answers, with the lesser of its TTL and MINIMUM (RFC 2308 3).
fn negative(zone: &Zone, signing: Option<&Signing>) -> Result<Vec<u8>, TooLarge> {
    let soa = zone.soa();
    let ttl = soa.ttl().min(soa.minimum());
    let mut renderer = Renderer::anchored(zone.apex().as_wire());
    renderer.own_record(Section::Authority, Rtype::SOA, ttl, soa.rdata());
    if let Some(signing) = signing {
        let apex = zone.apex().to_lower();
        let made = signing.signer.sign(apex.as_wire(), Rtype::SOA, soa.ttl(), &[soa.rdata()], signing.now);
        renderer.begin_signatures();
        for rrsig in made.rrsigs.iter() {
            renderer.own_record(Section::Authority, Rtype::RRSIG, ttl, rrsig);
        }
    }
    renderer.finish()
}
