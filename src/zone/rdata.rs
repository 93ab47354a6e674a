//! RDATA from fields to wire format.
//!
//! All types are read here: hickory-proto's text parser passes over fields that are too many,
//! makes UTF-8 of escaped octets, and takes SVCB parameters in one order and without quotes.

use super::fields::{Fields, RecordError, shown};
use super::text::{NoText, presentation};
use super::{loc, svcb};
use crate::wire::rtype::Rtype;

/// Writes the RDATA of a type, in uncompressed wire form, behind what `out` holds.
pub(super) fn write(rtype: Rtype, fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), RecordError> {
    if let Some(token) = fields.peek().filter(|token| token.text == b"\\#" && !token.quoted) {
        fields.next("RDATA")?;
        return generic(token.at, rtype, fields, out);
    }
    match rtype {
        Rtype::A => out.extend(fields.ipv4()?.octets()),
        Rtype::AAAA => out.extend(fields.ipv6()?.octets()),
        Rtype::NS => fields.host("the name server", out)?,
        Rtype::CNAME | Rtype::PTR | Rtype::DNAME => fields.name("a host name", out)?,
        Rtype::MX => {
            out.extend(fields.number::<u16>("a preference")?.to_be_bytes());
            fields.host("the exchanger", out)?;
        }
        Rtype::SRV => {
            for what in ["a priority", "a weight", "a port"] {
                out.extend(fields.number::<u16>(what)?.to_be_bytes());
            }
            fields.host("the server", out)?;
        }
        Rtype::SOA => {
            fields.name("the primary server's name", out)?;
            fields.name("the mailbox of the person in charge, as a name", out)?;
            out.extend(fields.number::<u32>("a serial")?.to_be_bytes());
            for what in ["refresh", "retry", "expire", "minimum"] {
                out.extend(fields.seconds(what)?.to_be_bytes());
            }
        }
        Rtype::TXT | Rtype::SPF => {
            fields.string("a string", out)?;
            while fields.peek().is_some() {
                fields.string("a string", out)?;
            }
        }
        Rtype::LOC => loc::write(fields, out)?,
        Rtype::DS | Rtype::CDS => {
            out.extend(fields.number::<u16>("a key tag")?.to_be_bytes());
            out.push(fields.number::<u8>("an algorithm number")?);
            out.push(fields.number::<u8>("a digest type number")?);
            fields.hex("the digest", out)?;
        }
        Rtype::CAA => caa(fields, out)?,
        Rtype::TLSA | Rtype::SMIMEA => {
            for what in ["a certificate usage", "a selector", "a matching type"] {
                out.push(fields.number::<u8>(what)?);
            }
            fields.hex("the certificate's data", out)?;
        }
        Rtype::SSHFP => {
            out.push(fields.number::<u8>("an algorithm number")?);
            out.push(fields.number::<u8>("a fingerprint type number")?);
            fields.hex("the fingerprint", out)?;
        }
        Rtype::NAPTR => {
            out.extend(fields.number::<u16>("an order")?.to_be_bytes());
            out.extend(fields.number::<u16>("a preference")?.to_be_bytes());
            for what in ["the flags", "the service", "the regular expression"] {
                fields.string(what, out)?;
            }
            fields.name("the replacement's name", out)?;
        }
        Rtype::HINFO => {
            fields.string("the CPU", out)?;
            fields.string("the operating system", out)?;
        }
        Rtype::SVCB | Rtype::HTTPS => {
            out.extend(fields.number::<u16>("a priority")?.to_be_bytes());
            fields.name("the target's name", out)?;
            svcb::write(fields, out)?;
        }
        Rtype::OPENPGPKEY => fields.base64("the key", out)?,
        Rtype::DNSKEY | Rtype::CDNSKEY => {
            out.extend(fields.number::<u16>("a number of flags")?.to_be_bytes());
            out.push(fields.number::<u8>("a protocol number")?);
            out.push(fields.number::<u8>("an algorithm number")?);
            fields.base64("the key", out)?;
        }
        Rtype::NSEC3PARAM => {
            out.push(fields.number::<u8>("a hash algorithm number")?);
            out.push(fields.number::<u8>("a number of flags")?);
            out.extend(fields.number::<u16>("a number of iterations")?.to_be_bytes());
            salt(fields, out)?;
        }
        Rtype::ZONEMD => {
            out.extend(fields.number::<u32>("a serial")?.to_be_bytes());
            out.push(fields.number::<u8>("a scheme number")?);
            out.push(fields.number::<u8>("a hash algorithm number")?);
            fields.hex("the digest", out)?;
        }
        Rtype::RRSIG | Rtype::NSEC | Rtype::NSEC3 => return Err(signed(rtype, fields)?),
        _ => {
            let token = fields.next("RDATA")?;
            return Err(RecordError::new(token.at, format!("{rtype} data isn't read in this form"))
                .help("write it as octets: \\# LENGTH HEX (RFC 3597)"));
        }
    }
    fields.finish(rtype)
}

/// What is said of a file that comes signed.
fn signed(rtype: Rtype, fields: &mut Fields<'_, '_>) -> Result<RecordError, RecordError> {
    let first = fields.next("RDATA")?;
    let mut what = format!("{rtype} of a signed zone");
    if rtype == Rtype::RRSIG {
        // Behind algorithm, labels and TTL stands the expiration (RFC 4034 3.2).
        let end = (0..4).map_while(|_| fields.next("a field").ok()).nth(3);
        let end = end.and_then(|token| std::str::from_utf8(token.text).ok());
        if let Some(end) =
            end.filter(|end| end.len() == 14 && end.bytes().all(|digit| digit.is_ascii_digit()))
        {
            let (year, month, day) = (&end[..4], &end[4..6], &end[6..8]);
            what = format!("a signature of {} until {year}-{month}-{day}", shown(first.text));
        }
    }
    let message = format!("{what}: answers carry no signatures of a zone file");
    Ok(RecordError::new(first.at, message).help(SIGN_HERE))
}

/// What to do with a file that comes signed.
pub(super) const SIGN_HERE: &str = "give the zone without RRSIG, NSEC, NSEC3 and DNSKEY, and have it signed \
     here: `waypost keys import` takes the keys along, and [dnssec] sign = true stands beside the zone";

/// `\# LENGTH HEX` (RFC 3597 5), for any type.
fn generic(
    at: usize,
    rtype: Rtype,
    fields: &mut Fields<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    let length: u16 = fields.number("the number of octets")?;
    let start = out.len();
    if length > 0 {
        fields.hex("the RDATA", out)?;
    }
    fields.finish(rtype)?;
    let octets = out.len() - start;
    if octets != usize::from(length) {
        return Err(RecordError::new(at, format!("RDATA has {octets} octets, {length} were announced")));
    }
    // They are sent as they are, and whoever gets them expects the form of the type.
    match presentation(rtype, &out[start..]) {
        Ok(_) | Err(NoText::UnknownType) => Ok(()),
        Err(NoText::Malformed) => {
            Err(RecordError::new(at, format!("these octets are no RDATA of type {rtype}")))
        }
    }
}

/// Flags, tag, and the value, whose length is what is left (RFC 8659 4.1).
fn caa(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), RecordError> {
    out.push(fields.number::<u8>("a number of flags")?);
    let tag = fields.peek();
    let tag_at = out.len();
    fields.string("a tag such as issue", out)?;
    let is_tag = out.len() > tag_at + 1 && out[tag_at + 1..].iter().all(u8::is_ascii_alphanumeric);
    if let Some(token) = tag.filter(|_| !is_tag) {
        return Err(RecordError::new(token.at, "a tag has letters and digits alone")
            .help("write for example: CAA 0 issue \"ca.example\""));
    }
    fields.octets("the value", out)
}

/// Hexadecimal digits behind their length; a hyphen for none (RFC 5155 4.3).
fn salt(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let length_at = out.len();
    out.push(0);
    let Some(token) = fields.peek().filter(|token| token.text != b"-") else {
        return fields.next("the salt").map(drop);
    };
    fields.hex("the salt", out)?;
    out[length_at] = u8::try_from(out.len() - length_at - 1)
        .map_err(|_| RecordError::new(token.at, "the salt is longer than 255 octets"))?;
    Ok(())
}
