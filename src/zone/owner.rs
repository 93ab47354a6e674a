//! An owner and its RRsets, as octets in an arena.
//!
//! ```text
//! owner   octets behind the name u32 | name's octets u8 | name, as written | RRset ...
//! RRset   type u16 | TTL u32 | records u16 | octets of the records u32 | { length u16 | RDATA } ...
//! ```

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use crate::wire::rtype::Rtype;

const OWNER_OCTETS: usize = 5;
const RRSET_OCTETS: usize = 12;

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

impl<'z> Owner<'z> {
    /// The owner that begins at the first octet, and what is behind it.
    pub(super) fn read(octets: &'z [u8]) -> Option<(Owner<'z>, &'z [u8])> {
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

/// What stands before the records of an RRset.
pub(super) fn rrset_header(rtype: Rtype, ttl: u32, count: u16, octets: u32) -> [u8; RRSET_OCTETS] {
    let [t0, t1] = rtype.0.to_be_bytes();
    let [l0, l1, l2, l3] = ttl.to_be_bytes();
    let [c0, c1] = count.to_be_bytes();
    let [o0, o1, o2, o3] = octets.to_be_bytes();
    [t0, t1, l0, l1, l2, l3, c0, c1, o0, o1, o2, o3]
}

/// The hash by which owners are found, of a name in lower-case wire form.
pub(super) fn hash(lower: &[u8]) -> u64 {
    let mut hasher = FixedState::with_seed(0x5a6f_6e65).build_hasher();
    hasher.write(lower);
    hasher.finish()
}
