//! The zone itself: one arena of owners in canonical wire form, and a table of 32-bit offsets.
//!
//! ```text
//! owner   octets behind the name u32 | name's octets u8 | name, as written | RRset ...
//! RRset   type u16 | TTL u32 | records u16 | octets of the records u32 | { length u16 | RDATA } ...
//! ```
//!
//! A map of boxed records takes three times the memory; here a million addresses take about 55
//! octets each.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

const OWNER_OCTETS: usize = 5;
const RRSET_OCTETS: usize = 12;

/// A zone's records, checked: it has an apex with one SOA, and RDATA is well-formed.
pub struct Zone {
    apex: Name,
    /// Invariant `owner-whole`: every offset in `table` starts a whole owner in `arena`.
    arena: Box<[u8]>,
    table: HashTable<u32>,
    records: usize,
}

/// One owner and its RRsets.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'z> {
    name: &'z [u8],
    rrsets: &'z [u8],
}

/// Records of one type at one owner.
#[derive(Clone, Copy, Debug)]
pub struct Rrset<'z> {
    rtype: Rtype,
    ttl: u32,
    count: u16,
    records: &'z [u8],
}

/// The SOA record (RFC 1035 3.3.13).
#[derive(Clone, Copy, Debug)]
pub struct Soa<'z> {
    ttl: u32,
    rdata: &'z [u8],
}

impl Zone {
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
            rrset.map_or((0, &[][..]), |soa| (soa.ttl, soa.rdata().next().unwrap_or_default()));
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
        self.table.len()
    }

    /// An owner by its name in lower-case wire form.
    #[must_use]
    pub fn owner(&self, lower: &[u8]) -> Option<Owner<'_>> {
        let at = self.table.find(hash(lower), |&at| {
            Owner::read(&self.arena[at as usize..])
                .is_some_and(|(owner, _)| owner.name.eq_ignore_ascii_case(lower))
        })?;
        Owner::read(&self.arena[*at as usize..]).map(|(owner, _)| owner)
    }

    /// Every owner once, in the order of first mention.
    pub fn owners(&self) -> impl Iterator<Item = Owner<'_>> {
        let mut rest = &*self.arena;
        std::iter::from_fn(move || {
            let (owner, after) = Owner::read(rest)?;
            rest = after;
            Some(owner)
        })
    }

    /// Octets of memory that the records take.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.arena.len() + self.table.capacity() * 5
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

impl<'z> Owner<'z> {
    fn read(octets: &'z [u8]) -> Option<(Owner<'z>, &'z [u8])> {
        let header = octets.first_chunk::<OWNER_OCTETS>()?;
        let behind = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let (name, rest) = octets[OWNER_OCTETS..].split_at_checked(usize::from(header[4]))?;
        let (rrsets, rest) = rest.split_at_checked(behind)?;
        Some((Owner { name, rrsets }, rest))
    }

    /// Its name in wire form, in the case as first written.
    #[must_use]
    pub fn name(self) -> &'z [u8] {
        self.name
    }

    /// Its name in lower-case wire form.
    #[must_use]
    pub fn lower(self) -> Cow<'z, [u8]> {
        // Lengths are below any letter.
        if self.name.iter().any(u8::is_ascii_uppercase) {
            Cow::Owned(self.name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(self.name)
        }
    }

    /// Its records of a type.
    #[must_use]
    pub fn rrset(self, rtype: Rtype) -> Option<Rrset<'z>> {
        self.rrsets().find(|rrset| rrset.rtype == rtype)
    }

    /// Its RRsets, by ascending type.
    pub fn rrsets(self) -> impl Iterator<Item = Rrset<'z>> {
        let mut rest = self.rrsets;
        std::iter::from_fn(move || {
            let (header, after) = rest.split_first_chunk::<RRSET_OCTETS>()?;
            let [t0, t1, l0, l1, l2, l3, c0, c1, o0, o1, o2, o3] = *header;
            let octets = u32::from_be_bytes([o0, o1, o2, o3]) as usize;
            let (records, after) = after.split_at_checked(octets)?;
            rest = after;
            Some(Rrset {
                rtype: Rtype(u16::from_be_bytes([t0, t1])),
                ttl: u32::from_be_bytes([l0, l1, l2, l3]),
                count: u16::from_be_bytes([c0, c1]),
                records,
            })
        })
    }

    /// Whether another owner has the same name, but for case, and the same records.
    pub(super) fn is_same(self, other: Owner<'_>) -> bool {
        self.rrsets == other.rrsets && self.name.eq_ignore_ascii_case(other.name)
    }
}

impl<'z> Rrset<'z> {
    /// The type.
    #[must_use]
    pub fn rtype(self) -> Rtype {
        self.rtype
    }

    /// Seconds that caches may keep it.
    #[must_use]
    pub fn ttl(self) -> u32 {
        self.ttl
    }

    /// How many records it has; at least one.
    #[must_use]
    pub fn count(self) -> usize {
        usize::from(self.count)
    }

    /// RDATA in uncompressed wire form, in canonical order (RFC 4034 6.3).
    pub fn rdata(self) -> impl Iterator<Item = &'z [u8]> {
        let mut rest = self.records;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk()?;
            let (rdata, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            rest = after;
            Some(rdata)
        })
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

fn hash(lower: &[u8]) -> u64 {
    let mut hasher = FixedState::with_seed(0x5a6f_6e65).build_hasher();
    hasher.write(lower);
    hasher.finish()
}

/// A record while its zone is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// Its owner, by number.
    pub(super) owner: u32,
    pub(super) rtype: Rtype,
    pub(super) ttl: u32,
    /// Where it was written: file by number, and offset there.
    pub(super) file: u16,
    pub(super) at: u32,
    rdata_at: u32,
    rdata_octets: u16,
    /// The next record of the owner, by number; `NONE` at the end.
    next: u32,
}

const NONE: u32 = u32::MAX;

/// Collects records in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Builder {
    /// Names of owners and RDATA.
    data: Vec<u8>,
    records: Vec<Record>,
    owners: Vec<OwnerChain>,
    table: HashTable<u32>,
    lower: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct OwnerChain {
    /// Of the lower-cased name, so that tables grow without looking at names again.
    hash: u64,
    name_at: u32,
    name_octets: u8,
    first: u32,
    last: u32,
}

/// More than an arena can hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full;

/// Something that building found: about a record, by number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Oddity {
    /// The same record was there already.
    Duplicate(usize),
    /// Its TTL differs from that of the RRset's first record (RFC 2181 5.2).
    Ttl(usize),
}

impl Builder {
    /// Makes room for the records of a text of so many octets: growing later copies them.
    pub(super) fn reserve(&mut self, text_octets: usize) {
        self.data.reserve(text_octets);
        // Short lines have about 40 octets; whoever has shorter ones pays for one more growth.
        let records = text_octets / 40;
        self.records.reserve(records);
        self.owners.reserve(records);
        let owners = &self.owners;
        self.table.reserve(records, |&number| owners[number as usize].hash);
    }

    /// Adds a record; RDATA is what `write` puts behind the octets that it is given.
    pub(super) fn add<E>(
        &mut self,
        name: &[u8],
        rtype: Rtype,
        ttl: u32,
        (file, at): (u16, u32),
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Result<(), Full>, E> {
        let rdata_at = self.data.len();
        if let Err(error) = write(&mut self.data) {
            self.data.truncate(rdata_at);
            return Err(error);
        }
        Ok(self.place(name, rtype, ttl, (file, at), rdata_at))
    }

    fn place(
        &mut self,
        name: &[u8],
        rtype: Rtype,
        ttl: u32,
        (file, at): (u16, u32),
        rdata_at: usize,
    ) -> Result<(), Full> {
        let rdata_octets = u16::try_from(self.data.len() - rdata_at).map_err(|_| Full)?;
        let number = u32::try_from(self.records.len()).ok().filter(|number| *number < NONE).ok_or(Full)?;
        let rdata_at = u32::try_from(rdata_at).map_err(|_| Full)?;
        let owner = self.owner(name)?;
        let chain = &mut self.owners[owner as usize];
        if chain.first == NONE {
            chain.first = number;
        } else {
            self.records[chain.last as usize].next = number;
        }
        chain.last = number;
        self.records.push(Record { owner, rtype, ttl, file, at, rdata_at, rdata_octets, next: NONE });
        Ok(())
    }

    fn owner(&mut self, name: &[u8]) -> Result<u32, Full> {
        // Records of one owner usually follow each other.
        if let Some(last) = self.records.last().filter(|last| self.name(last.owner) == name) {
            return Ok(last.owner);
        }
        self.lower.clear();
        self.lower.extend(name.iter().map(u8::to_ascii_lowercase));
        let name_hash = hash(&self.lower);
        if let Some(known) = self.known(name_hash, name) {
            return Ok(known);
        }
        let number = u32::try_from(self.owners.len()).map_err(|_| Full)?;
        let owners = &self.owners;
        self.table.insert_unique(name_hash, number, |&number| owners[number as usize].hash);
        let name_at = u32::try_from(self.data.len()).map_err(|_| Full)?;
        self.data.extend_from_slice(name);
        let name_octets = name.len() as u8;
        self.owners.push(OwnerChain { hash: name_hash, name_at, name_octets, first: NONE, last: NONE });
        Ok(number)
    }

    fn name(&self, owner: u32) -> &[u8] {
        let chain = self.owners[owner as usize];
        &self.data[chain.name_at as usize..][..usize::from(chain.name_octets)]
    }

    fn rdata(&self, record: Record) -> &[u8] {
        &self.data[record.rdata_at as usize..][..usize::from(record.rdata_octets)]
    }

    /// Records in the order of the file.
    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    /// The record of an owner and type that stands first in the file.
    pub(super) fn first(&self, owner: &[u8], rtype: Rtype) -> Option<Record> {
        let mut record = self.first_of(owner)?;
        while record.rtype != rtype {
            record = *self.records.get(record.next as usize)?;
        }
        Some(record)
    }

    /// The record of an owner that stands first in the file.
    pub(super) fn first_of(&self, owner: &[u8]) -> Option<Record> {
        let number = self.known(hash(&owner.to_ascii_lowercase()), owner)?;
        self.records.get(self.owners[number as usize].first as usize).copied()
    }

    fn known(&self, name_hash: u64, name: &[u8]) -> Option<u32> {
        self.table.find(name_hash, |&number| self.name(number).eq_ignore_ascii_case(name)).copied()
    }

    /// The zone, and what is odd about its records.
    pub(super) fn build(&self, apex: &Name) -> Result<(Zone, Vec<Oddity>), Full> {
        let mut arena = Vec::with_capacity(self.data.len() + self.owners.len() * 24);
        let mut table = HashTable::with_capacity(self.owners.len());
        let mut oddities = Vec::new();
        let mut count = 0;
        let mut chain: Vec<u32> = Vec::new();
        for owner in &self.owners {
            chain.clear();
            let mut at = owner.first;
            while at != NONE {
                chain.push(at);
                at = self.records[at as usize].next;
            }
            // Of equal records the first one stays, since the numbers break the tie.
            chain.sort_unstable_by(|a, b| {
                let (left, right) = (self.records[*a as usize], self.records[*b as usize]);
                left.rtype
                    .cmp(&right.rtype)
                    .then_with(|| self.rdata(left).cmp(self.rdata(right)))
                    .then(a.cmp(b))
            });
            let name = &self.data[owner.name_at as usize..][..usize::from(owner.name_octets)];
            let start = arena.len();
            arena.extend([0; 4]);
            arena.push(owner.name_octets);
            arena.extend_from_slice(name);
            let rrsets_at = arena.len();
            for group in
                chain.chunk_by(|a, b| self.records[*a as usize].rtype == self.records[*b as usize].rtype)
            {
                count += self.rrset(group, &mut arena, &mut oddities)?;
            }
            let behind = u32::try_from(arena.len() - rrsets_at).map_err(|_| Full)?;
            arena[start..start + 4].copy_from_slice(&behind.to_be_bytes());
            let start = u32::try_from(start).map_err(|_| Full)?;
            // Has its capacity already: nothing is hashed again.
            table.insert_unique(owner.hash, start, |_| owner.hash);
        }
        Ok((Zone { apex: apex.clone(), arena: arena.into(), table, records: count }, oddities))
    }

    /// Writes an RRset of records in canonical order; how many there are without duplicates.
    fn rrset(&self, group: &[u32], arena: &mut Vec<u8>, oddities: &mut Vec<Oddity>) -> Result<usize, Full> {
        let record = |number: &u32| self.records[*number as usize];
        let first = group.iter().min().map_or(0, |number| self.records[*number as usize].ttl);
        let ttl = group.iter().map(|number| record(number).ttl).min().unwrap_or(0);
        let rtype = record(&group[0]).rtype;
        arena.extend(rtype.0.to_be_bytes());
        arena.extend(ttl.to_be_bytes());
        let count_at = arena.len();
        arena.extend([0; 6]);
        let records_at = arena.len();
        let mut count = 0u16;
        let mut previous: Option<u32> = None;
        for number in group {
            let rdata = self.rdata(record(number));
            if previous.is_some_and(|previous| self.rdata(record(&previous)) == rdata) {
                oddities.push(Oddity::Duplicate(*number as usize));
                continue;
            }
            if record(number).ttl != first {
                oddities.push(Oddity::Ttl(*number as usize));
            }
            previous = Some(*number);
            count = count.checked_add(1).ok_or(Full)?;
            arena.extend(record(number).rdata_octets.to_be_bytes());
            arena.extend_from_slice(rdata);
        }
        let octets = u32::try_from(arena.len() - records_at).map_err(|_| Full)?;
        arena[count_at..count_at + 2].copy_from_slice(&count.to_be_bytes());
        arena[count_at + 2..records_at].copy_from_slice(&octets.to_be_bytes());
        Ok(usize::from(count))
    }
}
