//! An answer in wire format, rendered ahead of its query: all that follows the question.
//!
//! ```text
//! header 12 | question: the client's name, type, class | body: answer, authority, additional | OPT
//!             ^ 12                                      ^ 12 + name + 4
//! ```
//!
//! Rendered names point into the question, which the client has already spelled out, and into the
//! body itself. If the question holds exactly the name that an answer was rendered for, its octets
//! are copied as they are. Wildcards, negative answers, answers shared by several owners and links
//! of a CNAME chain find another name, or another place: then the pointers, listed with what they
//! mean, are written anew.
//!
//! Forms of octets, since most answers are one short RRset:
//!
//! ```text
//! plain  0 | answers u8 | body                      every record begins with a pointer to the owner,
//!                                                   and there are no other pointers
//! full   1 | answers, authority, additional u16 | optional additional u16 | its offset u16
//!          | pointers u16 | owner's octets u8 | anchored u8 | pointers (offset u16, meaning u16) | body
//! signed 3 | octets u16, answers, authority u16: what there is without signatures | plain or full
//! ```
//!
//! Signatures are the last of a body, so clients that don't want them get its beginning.

/// Octets of a full form before its pointers.
const FULL_HEADER_OCTETS: usize = 15;
/// Octets of a plain form before its body.
const PLAIN_HEADER_OCTETS: usize = 2;
/// First octet of a signed form. 2 is left to those who store answers beside other things.
const SIGNED: u8 = 3;
/// Octets of a signed form before the form within.
const SIGNED_HEADER_OCTETS: usize = 7;
/// A pointer's meaning: `BODY | offset into the body`, or else the offset into the owner name.
const BODY: u16 = 0x8000;
/// Highest position that a compression pointer can name (RFC 1035 4.1.4).
pub(crate) const POINTER_MAX: usize = 0x3fff;
/// Octets of a record between its owner and its RDATA: type, class, TTL, RDLENGTH.
const RECORD_FIXED_OCTETS: usize = 10;

/// A rendered answer, read from its octets.
#[derive(Clone, Copy, Debug)]
pub struct Rendered<'a> {
    /// Records in the answer section.
    pub answers: u16,
    /// Records in the authority section.
    pub authority: u16,
    /// Records in the additional section, optional ones included.
    pub additional: u16,
    /// How many of the last additional records may be left out when space is short.
    pub optional: u16,
    /// Where they begin in the body.
    optional_at: u16,
    /// Octets of the name that pointers into the owner were counted in.
    owner_octets: u8,
    /// Whether the records' owner is an ancestor of the question's name: pointers to its start
    /// then count from the end of the question's name, as all others do.
    anchored: bool,
    plain: bool,
    unsigned: Option<Unsigned>,
    pointers: &'a [u8],
    body: &'a [u8],
}

/// What an answer is without its signatures.
#[derive(Clone, Copy, Debug)]
struct Unsigned {
    octets: u16,
    answers: u16,
    authority: u16,
}

/// Where an answer is written.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Position of the owner's name in the message, uncompressed there.
    pub owner_at: usize,
    /// Octets of that name.
    pub owner_octets: usize,
    /// Position of the body.
    pub body_at: usize,
}

/// What a pointer means, apart from any message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// An offset into the owner's name.
    Owner(u8),
    /// An offset into the body.
    Body(u16),
}

impl<'a> Rendered<'a> {
    /// Reads what `encode_plain`, `encode_full` or `encode_signed` wrote.
    #[must_use]
    pub fn read(octets: &'a [u8]) -> Option<Rendered<'a>> {
        let number = |at: usize| Some(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?]));
        let first = *octets.first()?;
        if first == SIGNED {
            let unsigned = Unsigned { octets: number(1)?, answers: number(3)?, authority: number(5)? };
            let within =
                octets.get(SIGNED_HEADER_OCTETS..).filter(|within| within.first() != Some(&SIGNED))?;
            let rendered = Rendered::read(within)?;
            return (usize::from(unsigned.octets) <= rendered.body.len())
                .then_some(Rendered { unsigned: Some(unsigned), ..rendered });
        }
        if first == 0 {
            let body = octets.get(PLAIN_HEADER_OCTETS..)?;
            return Some(Rendered {
                answers: u16::from(octets[1]),
                authority: 0,
                additional: 0,
                optional: 0,
                optional_at: body.len() as u16,
                owner_octets: 0,
                anchored: false,
                plain: true,
                unsigned: None,
                pointers: &[],
                body,
            });
        }
        let pointers_octets = usize::from(number(11)?) * 4;
        let rest = octets.get(FULL_HEADER_OCTETS..)?;
        let (pointers, body) = rest.split_at_checked(pointers_octets)?;
        Some(Rendered {
            answers: number(1)?,
            authority: number(3)?,
            additional: number(5)?,
            optional: number(7)?,
            optional_at: number(9)?,
            owner_octets: octets[13],
            anchored: octets[14] != 0,
            plain: false,
            unsigned: None,
            pointers,
            body,
        })
    }

    /// The answer for clients that don't want signatures. Signed ones have no additional records.
    #[must_use]
    #[inline]
    pub fn without_signatures(self) -> Rendered<'a> {
        match self.unsigned {
            None => self,
            Some(Unsigned { octets, answers, authority }) => {
                let body = &self.body[..usize::from(octets)];
                Rendered { answers, authority, unsigned: None, body, ..self }
            }
        }
    }

    /// The signatures alone, as answers; nothing if there are none. They must be the owner's.
    #[must_use]
    pub fn signatures(self) -> Option<Rendered<'a>> {
        let unsigned = self.unsigned?;
        let body = &self.body[usize::from(unsigned.octets)..];
        let answers = self.answers.checked_sub(unsigned.answers).filter(|count| *count > 0)?;
        let optional_at = body.len() as u16;
        Some(Rendered { answers, authority: 0, plain: true, unsigned: None, optional_at, body, ..self })
    }

    /// Each record from its type on, whatever its owner.
    pub fn records(self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.body;
        std::iter::from_fn(move || {
            loop {
                match usize::from(*rest.first()?) {
                    0 => break rest = &rest[1..],
                    pointer if pointer >= 0xc0 => break rest = rest.get(2..)?,
                    length => rest = rest.get(1 + length..)?,
                }
            }
            let length = rest.get(RECORD_FIXED_OCTETS - 2..RECORD_FIXED_OCTETS)?;
            let end = RECORD_FIXED_OCTETS + usize::from(u16::from_be_bytes([length[0], length[1]]));
            let (record, after) = rest.split_at_checked(end)?;
            rest = after;
            Some(record)
        })
    }

    /// Octets of the whole body.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.body.len()
    }

    /// Octets of the body without its optional additional records.
    #[must_use]
    pub fn octets_needed(&self) -> usize {
        if self.optional == 0 { self.body.len() } else { usize::from(self.optional_at) }
    }

    /// Copies the first `octets` of the body to its place, where they must fit, and sets the
    /// pointers. Nothing if a pointer would have to reach further than pointers can.
    pub fn write(&self, out: &mut [u8], place: Place, octets: usize) -> Option<()> {
        out[place.body_at..place.body_at + octets].copy_from_slice(&self.body[..octets]);
        let at_question = place.owner_at == super::query::HEADER_OCTETS;
        if self.plain {
            return if at_question { Some(()) } else { self.write_owners(out, place, octets) };
        }
        if at_question
            && place.owner_octets == usize::from(self.owner_octets)
            && place.body_at == place.owner_at + place.owner_octets + 4
        {
            return Some(());
        }
        // Where offset 0 of the name that was rendered for lies now, counted from the end of the
        // name that is there: they share their last labels.
        let suffix_at = (place.owner_at + place.owner_octets).checked_sub(usize::from(self.owner_octets));
        for entry in self.pointers.chunks_exact(4) {
            let at = usize::from(u16::from_be_bytes([entry[0], entry[1]]));
            if at + 2 > octets {
                break;
            }
            let to = match Meaning::from_number(u16::from_be_bytes([entry[2], entry[3]])) {
                Meaning::Owner(0) if !self.anchored => place.owner_at,
                Meaning::Owner(offset) => suffix_at? + usize::from(offset),
                Meaning::Body(offset) => place.body_at + usize::from(offset),
            };
            write_pointer(out, place.body_at + at, to)?;
        }
        Some(())
    }

    /// The records' owners in the plain form, one after the other.
    fn write_owners(&self, out: &mut [u8], place: Place, octets: usize) -> Option<()> {
        let mut at = 0;
        while at < octets {
            write_pointer(out, place.body_at + at, place.owner_at)?;
            let length_at = at + RECORD_FIXED_OCTETS;
            let length = u16::from_be_bytes([*self.body.get(length_at)?, *self.body.get(length_at + 1)?]);
            at = length_at + 2 + usize::from(length);
        }
        Some(())
    }

    /// The TTL of the first record, if that record begins with a pointer.
    #[must_use]
    pub fn first_ttl(&self) -> Option<u32> {
        self.body.get(FIRST_TTL_AT..)?.first_chunk().map(|octets| u32::from_be_bytes(*octets))
    }

    /// The RDATA of the first record, if that record begins with a pointer.
    #[must_use]
    pub fn first_rdata(&self) -> Option<&'a [u8]> {
        let length = self.body.get(FIRST_RDATA_AT - 2..)?.first_chunk()?;
        self.body.get(FIRST_RDATA_AT..FIRST_RDATA_AT + usize::from(u16::from_be_bytes(*length)))
    }
}

/// Offset of the first record's RDATA in a body whose first owner is a pointer.
pub const FIRST_RDATA_AT: usize = 2 + RECORD_FIXED_OCTETS;

/// Offset of the first record's TTL, likewise.
const FIRST_TTL_AT: usize = 6;

impl Meaning {
    fn from_number(number: u16) -> Meaning {
        if number & BODY == 0 { Meaning::Owner(number as u8) } else { Meaning::Body(number & !BODY) }
    }

    fn number(self) -> u16 {
        match self {
            Meaning::Owner(offset) => u16::from(offset),
            Meaning::Body(offset) => BODY | offset,
        }
    }
}

fn write_pointer(out: &mut [u8], at: usize, to: usize) -> Option<()> {
    if to > POINTER_MAX {
        return None;
    }
    out.get_mut(at..at + 2)?.copy_from_slice(&(0xc000 | to as u16).to_be_bytes());
    Some(())
}

/// Counts of the sections, as [`encode_full`] takes them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) answers: u16,
    pub(crate) authority: u16,
    pub(crate) additional: u16,
    pub(crate) optional: u16,
    pub(crate) optional_at: u16,
}

/// The plain form.
pub(crate) fn encode_plain(answers: u8, body: &[u8]) -> Vec<u8> {
    [&plain_header(answers)[..], body].concat()
}

/// What a plain form begins with.
pub(crate) fn plain_header(answers: u8) -> [u8; PLAIN_HEADER_OCTETS] {
    [0, answers]
}

/// A form that ends with signatures: what there is without them, and the form of all.
pub(crate) fn encode_signed(octets: u16, answers: u16, authority: u16, all: &[u8]) -> Vec<u8> {
    let numbers: Vec<u8> = [octets, answers, authority].into_iter().flat_map(u16::to_be_bytes).collect();
    [&[SIGNED], &*numbers, all].concat()
}

/// The full form.
pub(crate) fn encode_full(
    counts: Counts,
    owner_octets: u8,
    anchored: bool,
    pointers: &[(u16, Meaning)],
    body: &[u8],
) -> Vec<u8> {
    let mut octets = Vec::with_capacity(FULL_HEADER_OCTETS + pointers.len() * 4 + body.len());
    octets.push(1);
    let Counts { answers, authority, additional, optional, optional_at } = counts;
    for number in [answers, authority, additional, optional, optional_at, pointers.len() as u16] {
        octets.extend(number.to_be_bytes());
    }
    octets.extend([owner_octets, u8::from(anchored)]);
    for (at, meaning) in pointers {
        octets.extend(at.to_be_bytes());
        octets.extend(meaning.number().to_be_bytes());
    }
    octets.extend(body);
    octets
}
