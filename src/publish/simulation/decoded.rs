//! Rendered answers, read back.

use std::collections::HashMap;
use std::rc::Rc;

use crate::snapshot::slot::Variant;
use crate::wire::rendered::{Place, Rendered};
use crate::wire::rtype::Rtype;
use crate::zone::rdata_text;

/// One of a variant's alternatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alternative {
    pub(super) weight: u32,
    pub(super) records: Rc<[Record]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) ttl: u32,
    /// In presentation format.
    pub(super) data: String,
}

/// Answers that were read before: most come again and again.
#[derive(Default)]
pub(super) struct Reader {
    known: HashMap<Box<[u8]>, Rc<[Record]>>,
}

impl Reader {
    pub(super) fn alternatives(&mut self, variant: &Variant) -> Result<Vec<Alternative>, String> {
        let mut before = 0;
        let mut alternatives = Vec::new();
        for (sum, octets) in &variant.alternatives {
            let records = match self.known.get(octets) {
                Some(known) => Rc::clone(known),
                None => {
                    let records: Rc<[Record]> = records(octets).ok_or("an answer can't be read")?.into();
                    self.known.insert(octets.clone(), Rc::clone(&records));
                    records
                }
            };
            alternatives.push(Alternative { weight: sum - before, records });
            before = *sum;
        }
        Ok(alternatives)
    }
}

/// Where the name of the question lies, and its octets: `\1q\0`.
const QUESTION: (usize, [u8; 3]) = (12, [1, b'q', 0]);

fn records(octets: &[u8]) -> Option<Vec<Record>> {
    let rendered = Rendered::read(octets)?;
    let (owner_at, name) = QUESTION;
    let body_at = owner_at + name.len() + 4;
    let mut message = vec![0; body_at + rendered.octets()];
    message[owner_at..owner_at + name.len()].copy_from_slice(&name);
    let place = Place { owner_at, owner_octets: name.len(), body_at };
    rendered.write(&mut message, place, rendered.octets())?;
    let mut at = body_at;
    let mut records = Vec::new();
    for _ in 0..rendered.answers {
        let (owner, after) = read_name(&message, at)?;
        let fixed = message.get(after..after + 10)?;
        let rtype = Rtype(u16::from_be_bytes([fixed[0], fixed[1]]));
        let ttl = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        let end = after + 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let rdata = message.get(after + 10..end)?;
        let whole = match rtype {
            Rtype::MX => [&rdata[..2], &read_name(&message, after + 12)?.0].concat(),
            _ => rdata.to_vec(),
        };
        records.push(Record { ttl, data: rdata_text(rtype, &whole) });
        (owner == name).then_some(())?;
        at = end;
    }
    (at == message.len()).then_some(records)
}

/// The name at a place, uncompressed, and where it ends there.
fn read_name(message: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut name = Vec::new();
    let mut end = None;
    for _ in 0..128 {
        let length = *message.get(at)?;
        match length {
            0 => {
                name.push(0);
                return Some((name, end.unwrap_or(at + 1)));
            }
            0xc0.. => {
                end.get_or_insert(at + 2);
                at = usize::from(u16::from_be_bytes([length & 0x3f, *message.get(at + 1)?]));
            }
            _ => {
                name.extend(message.get(at..at + 1 + usize::from(length))?);
                at += 1 + usize::from(length);
            }
        }
    }
    None
}
