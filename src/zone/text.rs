//! RDATA in presentation format: for people, and to be read again.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{base64, loc, svcb};
use crate::wire::name::{Name, labels};
use crate::wire::rtype::Rtype;

/// RDATA in uncompressed wire form as text; what isn't known as `\# LENGTH HEX` (RFC 3597 5).
#[must_use]
pub fn rdata_text(rtype: Rtype, rdata: &[u8]) -> String {
    presentation(rtype, rdata).unwrap_or_else(|_| {
        let blank = if rdata.is_empty() { "" } else { " " };
        format!("\\# {}{blank}{}", rdata.len(), hex(rdata))
    })
}

/// Why RDATA has no text of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoText {
    /// The type's form isn't known.
    UnknownType,
    /// The octets haven't the form of the type.
    Malformed,
}

/// RDATA as its type is written. Reading it gives the same octets.
pub(super) fn presentation(rtype: Rtype, rdata: &[u8]) -> Result<String, NoText> {
    let mut rest = Octets(rdata);
    let text = match rtype {
        Rtype::A => rest.array().map(|octets: [u8; 4]| Ipv4Addr::from(octets).to_string()),
        Rtype::AAAA => rest.array().map(|octets: [u8; 16]| Ipv6Addr::from(octets).to_string()),
        Rtype::NS | Rtype::CNAME | Rtype::PTR | Rtype::DNAME => rest.fields("n"),
        Rtype::MX => rest.fields("2n"),
        Rtype::SRV => rest.fields("222n"),
        Rtype::SOA => rest.fields("nn44444"),
        Rtype::HINFO => rest.fields("ss"),
        Rtype::TXT | Rtype::SPF => rest.fields("S"),
        Rtype::NAPTR => rest.fields("22sssn"),
        Rtype::CAA => caa(&mut rest),
        Rtype::LOC => rest.array().and_then(loc::text),
        Rtype::DS | Rtype::CDS => rest.fields("211h"),
        Rtype::SSHFP => rest.fields("11h"),
        Rtype::TLSA | Rtype::SMIMEA => rest.fields("111h"),
        Rtype::ZONEMD => rest.fields("411h"),
        Rtype::OPENPGPKEY => rest.fields("b"),
        Rtype::DNSKEY | Rtype::CDNSKEY => rest.fields("211b"),
        Rtype::NSEC3PARAM => nsec3param(&mut rest),
        Rtype::SVCB | Rtype::HTTPS => {
            let head = rest.fields("2n");
            head.and_then(|head| svcb::text(std::mem::take(&mut rest.0)).map(|parameters| head + &parameters))
        }
        _ => return Err(NoText::UnknownType),
    };
    text.filter(|_| rest.0.is_empty()).ok_or(NoText::Malformed)
}

/// Octets in quotes, as a character-string is written.
pub(super) fn quoted(octets: &[u8]) -> String {
    let mut text = String::from("\"");
    for &octet in octets {
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
    text
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

fn caa(rest: &mut Octets<'_>) -> Option<String> {
    let flags = rest.fields("1")?;
    let tag = rest.string().filter(|tag| !tag.is_empty() && tag.iter().all(u8::is_ascii_alphanumeric))?;
    let value = std::mem::take(&mut rest.0);
    Some(format!("{flags} {} {}", String::from_utf8_lossy(tag), quoted(value)))
}

fn nsec3param(rest: &mut Octets<'_>) -> Option<String> {
    let numbers = rest.fields("112")?;
    let salt = rest.string()?;
    Some(format!("{numbers} {}", if salt.is_empty() { "-".to_owned() } else { hex(salt) }))
}

/// What is left of the octets.
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    /// Fields with blanks between them: numbers of `1`, `2` and `4` octets, a `n`ame, a `s`tring;
    /// all the rest as `S`trings, in `h`exadecimal or in `b`ase64, which isn't empty.
    fn fields(&mut self, pattern: &str) -> Option<String> {
        let mut fields = Vec::new();
        for field in pattern.chars() {
            fields.push(match field {
                '1' => self.array().map(u8::from_be_bytes)?.to_string(),
                '2' => self.array().map(u16::from_be_bytes)?.to_string(),
                '4' => self.array().map(u32::from_be_bytes)?.to_string(),
                'n' => self.name()?.to_string(),
                's' => quoted(self.string()?),
                'S' => {
                    let mut strings = vec![quoted(self.string()?)];
                    while !self.0.is_empty() {
                        strings.push(quoted(self.string()?));
                    }
                    strings.join(" ")
                }
                _ => {
                    let all = Some(std::mem::take(&mut self.0)).filter(|all| !all.is_empty())?;
                    if field == 'h' { hex(all) } else { base64::encode(all) }
                }
            });
        }
        Some(fields.join(" "))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, after) = self.0.split_first_chunk()?;
        self.0 = after;
        Some(*array)
    }

    /// A character-string (RFC 1035 3.3).
    fn string(&mut self) -> Option<&'a [u8]> {
        let (&length, after) = self.0.split_first()?;
        let (string, after) = after.split_at_checked(usize::from(length))?;
        self.0 = after;
        Some(string)
    }

    fn name(&mut self) -> Option<Name> {
        let octets = labels(self.0).map(|label| label.len() + 1).sum::<usize>() + 1;
        let (name, after) = self.0.split_at_checked(octets)?;
        self.0 = after;
        Name::from_wire(name).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_without_the_form_of_their_type() {
        for (rtype, octets) in [
            (Rtype::A, &b"abc"[..]),
            (Rtype::A, b"abcde"),
            (Rtype::MX, b"\0\x01\x01a"),
            (Rtype::MX, b"\0\x01\xc0\x0c"),
            (Rtype::TXT, b""),
            (Rtype::TXT, b"\x01a\x02b"),
            (Rtype::CAA, b"\0\x06issue"),
            (Rtype::CAA, b"\0\x02a b"),
            (Rtype::TLSA, b"\x03\x01\x01"),
            (Rtype::LOC, b"\x01aaaaaaaaaaaaaaa"),
            (Rtype::SVCB, b"\0\x01\0\0\x03\0\x02\x01\xbb\0\x01\0\x03\x02h2"),
            (Rtype::SVCB, b"\0\x01\0\0\x03\0\x03\x01\xbb"),
            (Rtype::SVCB, b"\0\x01\0\0\x03"),
        ] {
            assert_eq!(presentation(rtype, octets), Err(NoText::Malformed), "{rtype} {octets:?}");
        }
        assert_eq!(presentation(Rtype(65_280), b"a"), Err(NoText::UnknownType));
        assert_eq!(rdata_text(Rtype::A, b"abc"), "\\# 3 616263");
        assert_eq!(rdata_text(Rtype(65_280), b""), "\\# 0");
    }
}
