//! An owner and its RRsets, as octets in an arena.
//!
//! ```text
//! owner   name's octets u8 | octets of the RRsets n | name, as written | RRset ...
//! RRset   type n | TTL n | records n | { octets n | RDATA } ...
//! ```
//!
//! Each `n` is a number of as few octets as it takes, seven bits in each, the lowest first: most
//! of them have one.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use crate::wire::rtype::Rtype;

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

/// More than an arena can hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full;

impl<'z> Owner<'z> {
    /// The owner that begins at the first octet, and what is behind it.
    pub(super) fn read(octets: &'z [u8]) -> Option<(Owner<'z>, &'z [u8])> {
        let (&name_octets, mut rest) = octets.split_first()?;
        let rrsets_octets = number(&mut rest)?;
        let (name, rest) = rest.split_at_checked(usize::from(name_octets))?;
        let (rrsets, rest) = rest.split_at_checked(rrsets_octets as usize)?;
        Some((Owner { name, rrsets }, rest))
    }

    /// Puts an owner behind what `out` holds.
    pub(super) fn write(name: &[u8], rrsets: &[u8], out: &mut Vec<u8>) -> Result<(), Full> {
        out.push(name.len() as u8);
        push_number(u32::try_from(rrsets.len()).map_err(|_| Full)?, out);
        out.extend_from_slice(name);
        out.extend_from_slice(rrsets);
        Ok(())
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
            let rtype = Rtype(number(&mut rest)? as u16);
            let ttl = number(&mut rest)?;
            let count = number(&mut rest)? as u16;
            let records = rest;
            for _ in 0..count {
                rdata(&mut rest)?;
            }
            let records = &records[..records.len() - rest.len()];
            Some(Rrset { rtype, ttl, count, records })
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

    /// Octets that its records take here, a little more than their RDATA.
    #[must_use]
    pub fn octets(self) -> usize {
        self.records.len()
    }

    /// RDATA in uncompressed wire form, in canonical order (RFC 4034 6.3).
    pub fn rdata(self) -> impl Iterator<Item = &'z [u8]> {
        let mut rest = self.records;
        std::iter::from_fn(move || rdata(&mut rest))
    }

    /// Puts the header of an RRset behind what `out` holds; its records follow.
    pub(super) fn write_header(rtype: Rtype, ttl: u32, count: u16, out: &mut Vec<u8>) {
        push_number(rtype.0.into(), out);
        push_number(ttl, out);
        push_number(count.into(), out);
    }

    /// Puts a record of the RRset behind what `out` holds.
    pub(super) fn write_rdata(rdata: &[u8], out: &mut Vec<u8>) {
        push_number(rdata.len() as u32, out);
        out.extend_from_slice(rdata);
    }
}

/// Takes one record.
fn rdata<'z>(rest: &mut &'z [u8]) -> Option<&'z [u8]> {
    let octets = number(rest)?;
    let (rdata, after) = rest.split_at_checked(octets as usize)?;
    *rest = after;
    Some(rdata)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let mut number = 0;
    for shift in (0..32).step_by(7) {
        let (&octet, after) = rest.split_first()?;
        *rest = after;
        number |= u32::from(octet & 0x7f) << shift;
        if octet < 0x80 {
            return Some(number);
        }
    }
    None
}

fn push_number(mut number: u32, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The hash by which owners are found, of a name in lower-case wire form.
pub(super) fn hash(lower: &[u8]) -> u64 {
    let mut hasher = FixedState::with_seed(0x5a6f_6e65).build_hasher();
    hasher.write(lower);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_read_back(value: u32, behind: Vec<u8>) {
            let mut octets = Vec::new();
            push_number(value, &mut octets);
            octets.extend(&behind);
            let mut rest = &*octets;
            prop_assert_eq!(number(&mut rest), Some(value));
            prop_assert_eq!(rest, &behind);
        }

        #[test]
        fn any_octets_are_an_owner_or_none(octets: Vec<u8>) {
            if let Some((owner, _)) = Owner::read(&octets) {
                for rrset in owner.rrsets().take(1000) {
                    prop_assert_eq!(rrset.rdata().count(), rrset.count());
                }
            }
        }
    }
}
