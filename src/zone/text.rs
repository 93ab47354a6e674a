//! RDATA in presentation format, for people.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinDecoder, Restrict};

use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// RDATA in uncompressed wire form as text; what isn't known as `\# LENGTH HEX` (RFC 3597 5).
#[must_use]
pub fn rdata_text(rtype: Rtype, rdata: &[u8]) -> String {
    match rtype {
        Rtype::A => {
            if let Some(octets) = rdata.first_chunk::<4>().filter(|_| rdata.len() == 4) {
                return Ipv4Addr::from(*octets).to_string();
            }
        }
        Rtype::AAAA => {
            if let Some(octets) = rdata.first_chunk::<16>().filter(|_| rdata.len() == 16) {
                return Ipv6Addr::from(*octets).to_string();
            }
        }
        Rtype::TXT | Rtype::SPF | Rtype::HINFO => return strings(rdata),
        // hickory-proto doesn't read it.
        Rtype::DNAME => {
            if let Ok(target) = Name::from_wire(rdata) {
                return target.to_string();
            }
        }
        _ => {
            if let Some(text) = known(rtype, rdata) {
                return text;
            }
        }
    }
    let mut text = format!("\\# {}", rdata.len());
    for (place, octet) in rdata.iter().enumerate() {
        let _ = write!(text, "{}{octet:02x}", if place == 0 { " " } else { "" });
    }
    text
}

/// Through hickory-proto.
fn known(rtype: Rtype, rdata: &[u8]) -> Option<String> {
    let rtype = RecordType::from(rtype.0);
    if matches!(rtype, RecordType::Unknown(_)) {
        return None;
    }
    let length = u16::try_from(rdata.len()).ok()?;
    let mut decoder = BinDecoder::new(rdata);
    match RData::read(&mut decoder, rtype, Restrict::new(length)).ok()? {
        RData::Unknown { .. } | RData::NULL(_) => None,
        rdata => Some(rdata.to_string()),
    }
}

fn strings(rdata: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = rdata;
    while let Some((&length, after)) = rest.split_first() {
        let (string, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        if !text.is_empty() {
            text.push(' ');
        }
        text.push('"');
        for &octet in string {
            match octet {
                b'"' | b'\\' => {
                    text.push('\\');
                    text.push(char::from(octet));
                }
                0x20..=0x7e => text.push(char::from(octet)),
                _ => {
                    let _ = write!(text, "\\{octet:03}");
                }
            }
        }
        text.push('"');
    }
    text
}
