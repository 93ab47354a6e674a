//! The zone itself: parts, one for each stretch of its text, and an index over all owners.
//!
//! A part never changes. Another version of the zone has the parts of all stretches that are
//! still there, and new ones of the others: a changed record costs one stretch to read, and what
//! differs between two versions is looked for where their parts differ.
//!
//! Owners of which several parts have records are put together in one part more, behind the
//! others.
//!
//! A map of boxed records takes three times the memory; here a million addresses take about 60
//! octets each.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use super::builder::{Builder, Built, OddityKind};
use super::index::{Index, Item, Place};
use super::owner::{Full, Owner, hash};
use super::state::Reading;
use crate::prefetch::prefetch;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// A zone's records, checked: it has an apex with one SOA, and RDATA is well-formed.
pub struct Zone {
    apex: Name,
    /// In the order of the text; behind them one of owners that several have parts of, if there are
    /// such.
    pieces: Vec<Piece>,
    places: Places,
    index: Index,
    /// Places of owners that stand together in the last piece.
    partial: HashSet<Place>,
    records: usize,
}

/// A part at its place.
#[derive(Clone, Debug)]
struct Piece {
    /// Places of its owners begin with this.
    base: Place,
    part: Arc<Part>,
}

/// The owners of one stretch.
///
/// Invariant `owner-whole`: `arena` is whole owners, one behind the other, and places of the
/// index point at their beginnings.
#[derive(Debug)]
pub(super) struct Part {
    arena: Box<[u8]>,
    notable: Box<[u32]>,
    records: usize,
    largest_rrset: usize,
    pub(super) oddities: Box<[Oddity]>,
    /// What text it was read from, and how; none for that of owners that several parts have.
    pub(super) reading: Option<Reading>,
}

/// Something odd about a record of a stretch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Oddity {
    /// Offset of the record in the stretch.
    pub(super) at: usize,
    pub(super) kind: OddityKind,
}

/// One stretch of the text, for [`Zone::assemble`].
#[derive(Debug)]
pub(super) enum Stretch {
    /// As a piece of the version before, by number.
    Kept(usize),
    /// Read now; with hash and offset of each owner.
    Fresh(Arc<Part>, Vec<(u64, u32)>),
}

/// A record that is odd beside those of other stretches.
#[derive(Debug)]
pub(super) struct Repeat {
    /// Number of its stretch.
    pub(super) stretch: usize,
    pub(super) owner: Box<[u8]>,
    pub(super) rtype: Rtype,
    pub(super) rdata: Box<[u8]>,
    pub(super) kind: OddityKind,
}

/// The SOA record (RFC 1035 3.3.13).
#[derive(Clone, Copy, Debug)]
pub struct Soa<'z> {
    ttl: u32,
    rdata: &'z [u8],
}

impl Part {
    /// The part that was built of a stretch at an offset of its file.
    pub(super) fn new(built: Built, at: usize, reading: Reading) -> (Arc<Part>, Vec<(u64, u32)>) {
        let oddities =
            built.oddities.iter().map(|(kind, record)| Oddity { at: record.at - at, kind: *kind }).collect();
        let Built { arena, owners, notable, records, largest_rrset, .. } = built;
        let part = Part { arena, notable, records, largest_rrset, oddities, reading: Some(reading) };
        (Arc::new(part), owners)
    }

    fn owner(&self, at: u32) -> Owner<'_> {
        Owner::read(&self.arena[at as usize..]).expect("the invariant owner-whole").0
    }

    /// Each owner with its offset.
    fn owners(&self) -> impl Iterator<Item = (u32, Owner<'_>)> {
        let mut rest = &*self.arena;
        std::iter::from_fn(move || {
            let offset = self.arena.len() - rest.len();
            let (owner, after) = Owner::read(rest)?;
            rest = after;
            Some((offset as u32, owner))
        })
    }
}

impl Piece {
    /// The base of a piece behind it.
    fn end(&self) -> Result<Place, Full> {
        // One more, so that an empty part has a base of its own.
        let octets = u32::try_from(self.part.arena.len() + 1).map_err(|_| Full)?;
        self.base.checked_add(octets).ok_or(Full)
    }
}

/// Parts by their bases, to find owners by place.
struct Places(Vec<(Place, usize, Arc<Part>)>);

impl Places {
    /// Over the pieces of a zone, with their numbers, and any others.
    fn new(pieces: &[Piece], others: &[&Piece]) -> Places {
        let others = others.iter().map(|piece| (usize::MAX, *piece));
        let all = pieces.iter().enumerate().chain(others);
        let mut places: Vec<_> =
            all.map(|(number, piece)| (piece.base, number, Arc::clone(&piece.part))).collect();
        places.sort_unstable_by_key(|(base, ..)| *base);
        Places(places)
    }

    fn find(&self, place: Place) -> &(Place, usize, Arc<Part>) {
        &self.0[self.0.partition_point(|(base, ..)| *base <= place) - 1]
    }

    fn owner(&self, place: Place) -> Owner<'_> {
        let (base, _, part) = self.find(place);
        part.owner(place - base)
    }

    /// The number of the piece that a place is in.
    fn number(&self, place: Place) -> usize {
        self.find(place).1
    }
}

impl Zone {
    /// A zone of stretches in the order of the text, and what is odd about records of several of
    /// them. `old` is the version that [`Stretch::Kept`] refers to.
    pub(super) fn assemble(
        apex: &Name,
        stretches: Vec<Stretch>,
        old: Option<&Zone>,
    ) -> Result<(Zone, Vec<Repeat>), Full> {
        let kept = stretches.iter().filter(|stretch| matches!(stretch, Stretch::Kept(_))).count();
        if let Some(old) = old.filter(|_| kept * 2 > stretches.len())
            && let Some(amended) = Zone::amended(apex, &stretches, old)
        {
            return Ok(amended);
        }
        let mut pieces = Vec::with_capacity(stretches.len() + 1);
        let mut items = Vec::new();
        let mut base = 0;
        for stretch in stretches {
            let (part, owners) = match stretch {
                Stretch::Fresh(part, owners) => (part, owners),
                Stretch::Kept(number) => {
                    let part =
                        Arc::clone(&old.expect("stretches are kept of an older version").pieces[number].part);
                    let owners = part.owners().map(|(at, owner)| (hash(&owner.lower()), at)).collect();
                    (part, owners)
                }
            };
            items.extend(owners.into_iter().map(|(hash, at)| Item { hash, place: base + at }));
            let piece = Piece { base, part };
            base = piece.end()?;
            pieces.push(piece);
        }
        let places = Places::new(&pieces, &[]);
        let index = Index::new(&items, |place| places.owner(place));
        Zone::joined(apex, pieces, base, index, &[])
    }

    /// The version before with few pieces exchanged; nothing if that doesn't pay, or places have
    /// run out: then all is indexed anew.
    fn amended(apex: &Name, stretches: &[Stretch], old: &Zone) -> Option<(Zone, Vec<Repeat>)> {
        let mut base = old.pieces.iter().map(|piece| piece.end().unwrap_or(Place::MAX)).max()?;
        let mut is_kept = vec![false; old.pieces.len()];
        let mut pieces = Vec::with_capacity(stretches.len() + 1);
        let mut added = Vec::new();
        for stretch in stretches {
            match stretch {
                Stretch::Kept(number) => {
                    is_kept[*number] = true;
                    pieces.push(old.pieces[*number].clone());
                }
                Stretch::Fresh(part, owners) => {
                    added.extend(owners.iter().map(|&(hash, at)| Item { hash, place: base + at }));
                    let piece = Piece { base, part: Arc::clone(part) };
                    base = piece.end().ok()?;
                    pieces.push(piece);
                }
            }
        }
        let gone: Vec<&Piece> = old
            .pieces
            .iter()
            .zip(&is_kept)
            .filter(|(_, is_kept)| !**is_kept)
            .map(|(piece, _)| piece)
            .collect();
        let places = Places::new(&pieces, &gone);
        let owner = |place| places.owner(place);
        let mut index = old.index.clone();
        // The last one's owners are in the index by way of those that have parts of them.
        for piece in gone.iter().filter(|piece| piece.part.reading.is_some()) {
            for (at, gone) in piece.part.owners() {
                index.remove(Item { hash: hash(&gone.lower()), place: piece.base + at }, owner);
            }
        }
        for item in added {
            index.insert(item, owner);
        }
        if !index.suits(index.len()) {
            return None;
        }
        Zone::joined(apex, pieces, base, index, &gone).ok()
    }

    /// Puts owners together that several pieces have parts of. `gone` are pieces that the index
    /// may still point at.
    fn joined(
        apex: &Name,
        mut pieces: Vec<Piece>,
        base: Place,
        mut index: Index,
        gone: &[&Piece],
    ) -> Result<(Zone, Vec<Repeat>), Full> {
        let places = Places::new(&pieces, gone);
        let mut split: Vec<Vec<(usize, Place)>> = Vec::new();
        for (_, of_owner) in index.split() {
            let mut of_owner: Vec<_> = of_owner.iter().map(|&place| (places.number(place), place)).collect();
            of_owner.sort_unstable();
            split.push(of_owner);
        }
        split.sort_unstable();
        let mut records: usize = pieces.iter().map(|piece| piece.part.records).sum();
        if split.is_empty() {
            let places = if gone.is_empty() { places } else { Places::new(&pieces, &[]) };
            let zone = Zone { apex: apex.clone(), pieces, places, index, partial: HashSet::new(), records };
            return Ok((zone, Vec::new()));
        }
        let mut builder = Builder::default();
        for (number, place) in split.into_iter().flatten() {
            let owner = places.owner(place);
            for rrset in owner.rrsets() {
                records -= rrset.count();
                for rdata in rrset.rdata() {
                    let added: Result<_, Infallible> =
                        builder.add(owner.name(), rrset.rtype(), rrset.ttl(), number, |out| {
                            out.extend_from_slice(rdata);
                            Ok(())
                        });
                    let Ok(added) = added;
                    added?;
                }
            }
        }
        let built = builder.build(apex)?;
        let repeats = built.oddities.iter().map(|&(kind, record)| Repeat {
            stretch: record.at,
            owner: builder.name_of(record).into(),
            rtype: record.rtype,
            rdata: builder.rdata(record).into(),
            kind,
        });
        let repeats = repeats.collect();
        records += built.records;
        let part = Part {
            arena: built.arena,
            notable: built.notable,
            records: built.records,
            largest_rrset: built.largest_rrset,
            oddities: Box::default(),
            reading: None,
        };
        for &(hash, at) in &built.owners {
            index.join(Item { hash, place: base + at }, |place| {
                if place >= base { part.owner(place - base) } else { places.owner(place) }
            });
        }
        let last = Piece { base, part: Arc::new(part) };
        last.end()?;
        pieces.push(last);
        let partial = index.partial();
        let places = Places::new(&pieces, &[]);
        Ok((Zone { apex: apex.clone(), pieces, places, index, partial, records }, repeats))
    }

    /// The apex.
    #[must_use]
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// The SOA record.
    #[must_use]
    pub fn soa(&self) -> Soa<'_> {
        let rrset = self.owner(self.apex.to_lower().as_wire()).and_then(|apex| apex.rrset(Rtype::SOA));
        // A zone without SOA isn't made; see `load`.
        let (ttl, rdata) =
            rrset.map_or((0, &[][..]), |soa| (soa.ttl(), soa.rdata().next().unwrap_or_default()));
        Soa { ttl, rdata }
    }

    /// How many records it has.
    #[must_use]
    pub fn record_count(&self) -> usize {
        self.records
    }

    /// How many owners it has.
    #[must_use]
    pub fn owner_count(&self) -> usize {
        self.index.len()
    }

    /// An owner by its name in lower-case wire form.
    #[must_use]
    pub fn owner(&self, lower: &[u8]) -> Option<Owner<'_>> {
        let owner = |place| self.places.owner(place);
        self.index.find(lower, owner).map(owner)
    }

    /// Every owner once, roughly in the order of first mention.
    pub fn owners(&self) -> impl Iterator<Item = Owner<'_>> {
        self.pieces.iter().flat_map(|piece| self.owners_of(piece)).map(|(_, owner)| owner)
    }

    /// How many parts it has, for work on several at once.
    #[must_use]
    pub fn part_count(&self) -> usize {
        self.pieces.len()
    }

    /// The owners of one part, with the places at which [`owner_at`](Self::owner_at) finds them.
    pub fn owners_in(&self, part: usize) -> impl Iterator<Item = (u32, Owner<'_>)> {
        self.owners_of(&self.pieces[part])
    }

    /// The owner at a place of this version.
    #[must_use]
    pub fn owner_at(&self, place: u32) -> Owner<'_> {
        self.places.owner(place)
    }

    /// Brings the owner at a place into the processor's cache.
    pub fn fetch(&self, place: u32) {
        let (base, _, part) = self.places.find(place);
        if let Some(octet) = part.arena.get((place - base) as usize) {
            prefetch(octet);
        }
    }

    /// Octets of its largest RRset, without owner and type.
    #[must_use]
    pub fn largest_rrset(&self) -> usize {
        self.pieces.iter().map(|piece| piece.part.largest_rrset).max().unwrap_or(0)
    }

    fn owners_of<'z>(&'z self, piece: &'z Piece) -> impl Iterator<Item = (Place, Owner<'z>)> {
        let owners = piece.part.owners().map(|(at, owner)| (piece.base + at, owner));
        owners.filter(|(place, _)| !self.is_partial(*place))
    }

    fn is_partial(&self, place: Place) -> bool {
        !self.partial.is_empty() && self.partial.contains(&place)
    }

    /// Owners of parts that another version doesn't have, which are all those that may differ.
    pub(super) fn owners_beside<'z>(&'z self, other: &Zone) -> impl Iterator<Item = Owner<'z>> + use<'z> {
        let shared: HashSet<*const Part> =
            other.pieces.iter().map(|piece| Arc::as_ptr(&piece.part)).collect();
        let own = self.pieces.iter().filter(move |piece| !shared.contains(&Arc::as_ptr(&piece.part)));
        own.flat_map(|piece| self.owners_of(piece)).map(|(_, owner)| owner)
    }

    /// Owners that have to be checked one by one.
    pub(super) fn notable(&self) -> impl Iterator<Item = Owner<'_>> {
        self.pieces.iter().flat_map(move |piece| {
            let offsets = piece.part.notable.iter().filter(|at| !self.is_partial(piece.base + **at));
            offsets.map(|at| piece.part.owner(*at))
        })
    }

    /// Numbers of the stretches that have records of an owner, in the order of the text.
    pub(super) fn stretches_of(&self, lower: &[u8]) -> Vec<usize> {
        let mut numbers: Vec<usize> =
            self.index.split_of(lower).iter().map(|place| self.places.number(*place)).collect();
        if numbers.is_empty() {
            let place = self.index.find(lower, |place| self.places.owner(place));
            numbers.extend(place.map(|place| self.places.number(place)));
        }
        numbers.sort_unstable();
        numbers
    }

    /// The stretches that it was read from, by number.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Arc<Part>> {
        self.pieces.iter().map(|piece| &piece.part).filter(|part| part.reading.is_some())
    }

    /// Octets of memory that the records take.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.pieces.iter().map(|piece| piece.part.arena.len()).sum::<usize>() + self.index.octets()
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zone")
            .field("apex", &self.apex)
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

impl<'z> Soa<'z> {
    /// Its TTL.
    #[must_use]
    pub fn ttl(self) -> u32 {
        self.ttl
    }

    /// RDATA in wire form.
    #[must_use]
    pub fn rdata(self) -> &'z [u8] {
        self.rdata
    }

    /// SERIAL.
    #[must_use]
    pub fn serial(self) -> u32 {
        self.number(0)
    }

    /// REFRESH: how often secondaries look for another version.
    #[must_use]
    pub fn refresh(&self) -> u32 {
        self.number(1)
    }

    /// RETRY: when they look again after a failure.
    #[must_use]
    pub fn retry(&self) -> u32 {
        self.number(2)
    }

    /// EXPIRE: when they give the zone up.
    #[must_use]
    pub fn expire(&self) -> u32 {
        self.number(3)
    }

    /// MINIMUM: how long negative answers are kept (RFC 2308 4).
    #[must_use]
    pub fn minimum(self) -> u32 {
        self.number(4)
    }

    /// One of the five numbers at the end.
    fn number(self, place: usize) -> u32 {
        let at = self.rdata.len().checked_sub(20 - 4 * place);
        let octets = at.and_then(|at| self.rdata[at..].first_chunk());
        octets.map_or(0, |octets| u32::from_be_bytes(*octets))
    }
}
