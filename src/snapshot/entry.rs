//! One owner's octets in a shard's arena: its name, and an answer or a slot for each type.
//!
//! ```text
//! name's octets u8 | flags u8 | zone u32 | octets of the types u32 | name, lower case
//!     | { type u16 | octets u16 | rendered answer, which never begins with 2  or  2, slot u32 } ...
//! ```
//!
//! Two reserved types (RFC 6895 3.1) stand at a cut of a signed zone, where they can't be asked
//! for: the referral, in the two parts between which a proof may come.

use super::{SlotId, ZoneId};
use crate::wire::render;
use crate::wire::rendered::Rendered;
use crate::wire::rtype::Rtype;

/// Octets of an entry before its name.
const HEADER_OCTETS: usize = 10;
/// Octets before a type's payload.
const TYPE_OCTETS: usize = 4;
/// First octet of a payload that is a slot's number; rendered answers begin with another.
const SLOT: u8 = 2;

/// A signed zone's referral up to its glue: NS, and DS with its signatures if there is one.
pub const SIGNED_REFERRAL: Rtype = Rtype(0);
/// The glue of that referral.
pub const SIGNED_GLUE: Rtype = Rtype(0xffff);

/// What an owner is, beyond its types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// A zone's apex.
    pub const APEX: Flags = Flags(1);
    /// A delegation: its NS answer is the referral (RFC 1034 4.2.1).
    pub const CUT: Flags = Flags(2);
    /// Its CNAME answers all types.
    pub const CNAME: Flags = Flags(4);
    /// Its DNAME answers all names below (RFC 6672).
    pub const DNAME: Flags = Flags(8);
    /// There is a `*` below it (RFC 4592).
    pub const WILDCARD_BELOW: Flags = Flags(16);

    /// Whether all flags of `other` are set.
    #[must_use]
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets the flags of `other` if `condition` holds.
    #[must_use]
    pub fn with(self, other: Flags, condition: bool) -> Flags {
        if condition { Flags(self.0 | other.0) } else { self }
    }
}

/// An owner, read from its octets.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    flags: Flags,
    zone: ZoneId,
    types: &'a [u8],
    name_octets: u8,
}

/// What answers one type.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// A rendered answer.
    Rendered(Rendered<'a>),
    /// A route's variants.
    Slot(SlotId),
}

impl<'a> Entry<'a> {
    /// Reads the entry that begins at the first octet.
    #[must_use]
    pub fn read(octets: &'a [u8]) -> Option<Entry<'a>> {
        let header = octets.first_chunk::<HEADER_OCTETS>()?;
        let name_octets = usize::from(header[0]);
        let types_octets = u32::from_be_bytes([header[6], header[7], header[8], header[9]]) as usize;
        let types = octets.get(HEADER_OCTETS + name_octets..HEADER_OCTETS + name_octets + types_octets)?;
        Some(Entry {
            flags: Flags(header[1]),
            zone: ZoneId(u32::from_be_bytes([header[2], header[3], header[4], header[5]])),
            types,
            name_octets: header[0],
        })
    }

    /// What the owner is.
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// The zone that it belongs to.
    #[must_use]
    pub fn zone(&self) -> ZoneId {
        self.zone
    }

    /// Octets of its name.
    #[must_use]
    pub fn name_octets(&self) -> usize {
        usize::from(self.name_octets)
    }

    /// What answers a type.
    #[must_use]
    pub fn find(&self, rtype: Rtype) -> Option<Payload<'a>> {
        self.types().find(|(found, _)| *found == rtype).and_then(|(_, payload)| Payload::read(payload))
    }

    /// What answers the first type that has data (RFC 8482 4.1).
    #[must_use]
    pub fn first(&self) -> Option<Payload<'a>> {
        self.types().next().and_then(|(_, payload)| Payload::read(payload))
    }

    fn types(&self) -> impl Iterator<Item = (Rtype, &'a [u8])> {
        let mut rest = self.types;
        std::iter::from_fn(move || {
            let (header, after) = rest.split_first_chunk::<TYPE_OCTETS>()?;
            let octets = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let (payload, after) = after.split_at_checked(octets)?;
            rest = after;
            Some((Rtype(u16::from_be_bytes([header[0], header[1]])), payload))
        })
    }
}

impl<'a> Payload<'a> {
    fn read(octets: &'a [u8]) -> Option<Payload<'a>> {
        match octets {
            [SLOT, number @ ..] => Some(Payload::Slot(SlotId(u32::from_be_bytes(*number.first_chunk()?)))),
            _ => Rendered::read(octets).map(Payload::Rendered),
        }
    }
}

/// The name of the entry that begins at the first octet.
pub(super) fn name_of(octets: &[u8]) -> &[u8] {
    let name_octets = octets.first().map_or(0, |&octets| usize::from(octets));
    octets.get(HEADER_OCTETS..HEADER_OCTETS + name_octets).unwrap_or(&[])
}

/// Octets of the whole entry that begins at the first octet.
pub(super) fn octets_of(octets: &[u8]) -> usize {
    let Some(header) = octets.first_chunk::<HEADER_OCTETS>() else { return octets.len() };
    let types_octets = u32::from_be_bytes([header[6], header[7], header[8], header[9]]) as usize;
    HEADER_OCTETS + usize::from(header[0]) + types_octets
}

/// Writes one entry behind whatever `out` holds.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    types_at: usize,
}

impl<'o> Writer<'o> {
    /// Begins the entry of `name`, in lower case.
    #[must_use]
    pub fn new(out: &'o mut Vec<u8>, name: &[u8], flags: Flags, zone: ZoneId) -> Writer<'o> {
        let start = out.len();
        out.extend([name.len() as u8, flags.0]);
        out.extend(zone.0.to_be_bytes());
        out.extend([0; 4]);
        out.extend(name);
        let types_at = out.len();
        Writer { out, start, types_at }
    }

    /// Adds a type's rendered answer. Types come in ascending order, each once.
    pub fn rendered(&mut self, rtype: Rtype, octets: &[u8]) {
        self.out.extend(rtype.0.to_be_bytes());
        self.out.extend((octets.len() as u16).to_be_bytes());
        self.out.extend(octets);
    }

    /// Adds a type's answer, of records that [`is_plain`](crate::wire::render::is_plain) says it of.
    pub fn plain<'r>(&mut self, rtype: Rtype, ttl: u32, rdatas: impl Iterator<Item = &'r [u8]>) {
        self.out.extend(rtype.0.to_be_bytes());
        let octets_at = self.out.len();
        self.out.extend([0; 2]);
        render::plain(rtype, ttl, rdatas, self.out);
        let octets = (self.out.len() - octets_at - 2) as u16;
        self.out[octets_at..octets_at + 2].copy_from_slice(&octets.to_be_bytes());
    }

    /// Adds a routed type.
    pub fn slot(&mut self, rtype: Rtype, slot: SlotId) {
        self.out.extend(rtype.0.to_be_bytes());
        self.out.extend(5u16.to_be_bytes());
        self.out.push(SLOT);
        self.out.extend(slot.0.to_be_bytes());
    }

    /// Ends the entry.
    pub fn finish(self) {
        let types_octets = (self.out.len() - self.types_at) as u32;
        self.out[self.start + 6..self.start + HEADER_OCTETS].copy_from_slice(&types_octets.to_be_bytes());
    }
}
