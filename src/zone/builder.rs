//! Collects records in the order of the text, and writes them owner by owner in canonical form.

use hashbrown::HashTable;

use super::check;
use super::owner::{Full, Owner, Rrset, hash};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// A record while its stretch is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// Its owner, by number.
    owner: u32,
    pub(super) rtype: Rtype,
    pub(super) ttl: u32,
    /// Where it was written, by the count of whoever added it.
    pub(super) at: usize,
    rdata_at: u32,
    rdata_octets: u16,
    /// The next record of the owner, by number; `NONE` at the end.
    next: u32,
}

const NONE: u32 = u32::MAX;

/// Collects records.
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

/// What a builder made of its records.
#[derive(Debug, Default)]
pub(super) struct Built {
    /// Owners, in the order of their first records; see [`Owner`].
    pub(super) arena: Box<[u8]>,
    /// Hash and place in the arena of each owner.
    pub(super) owners: Vec<(u64, u32)>,
    /// Places of owners that have to be checked one by one.
    pub(super) notable: Box<[u32]>,
    /// How many records there are, duplicates not counted.
    pub(super) records: usize,
    /// Octets of the largest RRset's records.
    pub(super) largest_rrset: usize,
    pub(super) oddities: Vec<(OddityKind, Record)>,
}

/// Something odd about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OddityKind {
    /// The same record was there already.
    Duplicate,
    /// Its TTL differs from that of the RRset's first record (RFC 2181 5.2).
    Ttl,
}

impl Builder {
    /// Forgets all records, and keeps the memory for others.
    pub(super) fn clear(&mut self) {
        self.data.clear();
        self.records.clear();
        self.owners.clear();
        self.table.clear();
    }

    /// Adds a record; RDATA is what `write` puts behind the octets that it is given.
    pub(super) fn add<E>(
        &mut self,
        name: &[u8],
        rtype: Rtype,
        ttl: u32,
        at: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Result<(), Full>, E> {
        let rdata_at = self.data.len();
        if let Err(error) = write(&mut self.data) {
            self.data.truncate(rdata_at);
            return Err(error);
        }
        Ok(self.place(name, rtype, ttl, at, rdata_at))
    }

    fn place(&mut self, name: &[u8], rtype: Rtype, ttl: u32, at: usize, rdata_at: usize) -> Result<(), Full> {
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
        self.records.push(Record { owner, rtype, ttl, at, rdata_at, rdata_octets, next: NONE });
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

    /// The owner of a record, as its first record wrote it.
    pub(super) fn name_of(&self, record: Record) -> &[u8] {
        self.name(record.owner)
    }

    pub(super) fn rdata(&self, record: Record) -> &[u8] {
        &self.data[record.rdata_at as usize..][..usize::from(record.rdata_octets)]
    }

    /// Records of an owner in the order of the text.
    pub(super) fn records_of(&self, owner: &[u8]) -> impl Iterator<Item = Record> {
        let known = self.known(hash(&owner.to_ascii_lowercase()), owner);
        let mut next = known.map_or(NONE, |number| self.owners[number as usize].first);
        std::iter::from_fn(move || {
            let record = *self.records.get(next as usize)?;
            next = record.next;
            Some(record)
        })
    }

    fn known(&self, name_hash: u64, name: &[u8]) -> Option<u32> {
        self.table.find(name_hash, |&number| self.name(number).eq_ignore_ascii_case(name)).copied()
    }

    /// All owners with their records in canonical order.
    pub(super) fn build(&self, apex: &Name) -> Result<Built, Full> {
        let mut arena = Vec::with_capacity(self.data.len() + self.owners.len() * 8);
        let mut owners = Vec::with_capacity(self.owners.len());
        let mut notable = Vec::new();
        let mut built = Built::default();
        let mut chain: Vec<u32> = Vec::new();
        let mut rrsets = Vec::new();
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
            let mut is_notable = check::is_notable_name(name, apex);
            rrsets.clear();
            for group in
                chain.chunk_by(|a, b| self.records[*a as usize].rtype == self.records[*b as usize].rtype)
            {
                is_notable |= check::is_notable_type(self.records[group[0] as usize].rtype);
                let before = rrsets.len();
                built.records += self.rrset(group, &mut rrsets, &mut built.oddities)?;
                built.largest_rrset = built.largest_rrset.max(rrsets.len() - before);
            }
            let start = u32::try_from(arena.len()).map_err(|_| Full)?;
            Owner::write(name, &rrsets, &mut arena)?;
            owners.push((owner.hash, start));
            if is_notable {
                notable.push(start);
            }
        }
        Ok(Built { arena: arena.into(), owners, notable: notable.into(), ..built })
    }

    /// Writes an RRset of records in canonical order; how many there are without duplicates.
    fn rrset(
        &self,
        group: &[u32],
        out: &mut Vec<u8>,
        oddities: &mut Vec<(OddityKind, Record)>,
    ) -> Result<usize, Full> {
        let record = |number: &u32| self.records[*number as usize];
        let first = group.iter().min().map_or(0, |number| record(number).ttl);
        let ttl = group.iter().map(|number| record(number).ttl).min().unwrap_or(0);
        // Equal ones stand side by side.
        let is_repeat =
            |at: usize| at > 0 && self.rdata(record(&group[at - 1])) == self.rdata(record(&group[at]));
        let count = (0..group.len()).filter(|at| !is_repeat(*at)).count();
        Rrset::write_header(record(&group[0]).rtype, ttl, u16::try_from(count).map_err(|_| Full)?, out);
        for (at, record) in group.iter().map(record).enumerate() {
            if is_repeat(at) {
                oddities.push((OddityKind::Duplicate, record));
                continue;
            }
            if record.ttl != first {
                oddities.push((OddityKind::Ttl, record));
            }
            Rrset::write_rdata(self.rdata(record), out);
        }
        Ok(count)
    }
}
