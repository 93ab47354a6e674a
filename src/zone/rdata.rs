//! RDATA from tokens to wire format: fast paths here, all other types by hickory-proto.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use super::loc;
use super::scan::Token;
use super::ttl::parse_ttl;
use crate::wire::name::{NameError, parse_into, unescape};
use crate::wire::rtype::Rtype;

/// What is wrong with a record, and where.
#[derive(Debug)]
pub(super) struct RecordError {
    pub(super) at: usize,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl RecordError {
    pub(super) fn new(at: usize, message: impl Into<String>) -> RecordError {
        RecordError { at, message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> RecordError {
        self.help = Some(help.into());
        self
    }
}

/// The tokens of RDATA, read one after the other.
#[derive(Debug)]
pub(super) struct Fields<'a, 't> {
    tokens: &'a [Token<'t>],
    /// Where a field would stand that is missing.
    end: usize,
    /// The origin, in wire form.
    origin: &'a [u8],
}

/// Writes the RDATA of a type, in uncompressed wire form, behind what `out` holds.
pub(super) fn write(rtype: Rtype, fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), RecordError> {
    if let Some(token) = fields.tokens.first().filter(|token| token.text == b"\\#" && !token.quoted) {
        fields.tokens = &fields.tokens[1..];
        return generic(token.at, rtype, fields, out);
    }
    match rtype {
        Rtype::A => out.extend(fields.ipv4()?.octets()),
        Rtype::AAAA => out.extend(fields.ipv6()?.octets()),
        Rtype::NS | Rtype::CNAME | Rtype::PTR | Rtype::DNAME => fields.name("a host name", out)?,
        Rtype::MX => {
            out.extend(fields.number::<u16>("a preference")?.to_be_bytes());
            fields.name("the exchanger's name", out)?;
        }
        Rtype::SRV => {
            for what in ["a priority", "a weight", "a port"] {
                out.extend(fields.number::<u16>(what)?.to_be_bytes());
            }
            fields.name("the server's name", out)?;
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
            while !fields.tokens.is_empty() {
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
        _ => other(rtype, fields, out)?,
    }
    fields.finish(rtype)
}

impl<'a, 't> Fields<'a, 't> {
    pub(super) fn new(tokens: &'a [Token<'t>], end: usize, origin: &'a [u8]) -> Fields<'a, 't> {
        Fields { tokens, end, origin }
    }

    /// The next field, called `what` if it is missing.
    pub(super) fn next(&mut self, what: &str) -> Result<Token<'t>, RecordError> {
        let Some((first, rest)) = self.tokens.split_first() else {
            return Err(RecordError::new(self.end, format!("{what} is missing here")));
        };
        self.tokens = rest;
        Ok(*first)
    }

    /// The next field, if there is one.
    pub(super) fn peek(&self) -> Option<Token<'t>> {
        self.tokens.first().copied()
    }

    fn finish(&self, rtype: Rtype) -> Result<(), RecordError> {
        let Some(token) = self.tokens.first() else { return Ok(()) };
        let text = shown(token.text);
        Err(RecordError::new(token.at, format!("{text} is more than {rtype} takes"))
            .help("one record holds one value: write another line for a second one"))
    }

    fn ipv4(&mut self) -> Result<Ipv4Addr, RecordError> {
        let token = self.next("an IPv4 address")?;
        parsed::<Ipv4Addr>(token.text).ok_or_else(|| {
            let error = RecordError::new(token.at, format!("{} isn't an IPv4 address", shown(token.text)));
            match parsed::<Ipv6Addr>(token.text) {
                Some(_) => error.help("this is an IPv6 address: the type is AAAA"),
                None => error.help("write four numbers up to 255, as 192.0.2.1"),
            }
        })
    }

    fn ipv6(&mut self) -> Result<Ipv6Addr, RecordError> {
        let token = self.next("an IPv6 address")?;
        parsed::<Ipv6Addr>(token.text).ok_or_else(|| {
            let error = RecordError::new(token.at, format!("{} isn't an IPv6 address", shown(token.text)));
            match parsed::<Ipv4Addr>(token.text) {
                Some(_) => error.help("this is an IPv4 address: the type is A"),
                None => error.help("write it as 2001:db8::1"),
            }
        })
    }

    fn name(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let token = self.next(what)?;
        parse_into(token.text, Some(self.origin), out).map_err(|error| name_error(token, error))
    }

    /// A decimal number of a type, from 0 on.
    pub(super) fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, RecordError> {
        let token = self.next(what)?;
        let digits = token.text.iter().all(u8::is_ascii_digit);
        let parsed =
            std::str::from_utf8(token.text).ok().filter(|_| digits).and_then(|text| text.parse().ok());
        parsed.ok_or_else(|| {
            let bits = 8 * size_of::<T>();
            let most = if bits == 32 { u64::from(u32::MAX) } else { (1 << bits) - 1 };
            RecordError::new(token.at, format!("{} isn't {what}", shown(token.text)))
                .help(format!("write a number from 0 to {most}"))
        })
    }

    fn seconds(&mut self, what: &str) -> Result<u32, RecordError> {
        let token = self.next(what)?;
        parse_ttl(token.text).ok_or_else(|| {
            RecordError::new(token.at, format!("{} isn't a time for {what}", shown(token.text)))
                .help("write seconds, or units as 1h30m")
        })
    }

    /// A character-string with its length (RFC 1035 3.3).
    fn string(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let token = self.next(what)?;
        let length_at = out.len();
        out.push(0);
        unescaped(token, out)?;
        let octets = out.len() - length_at - 1;
        out[length_at] = u8::try_from(octets).map_err(|_| {
            RecordError::new(token.at, format!("string has {octets} octets, and one holds 255 at most"))
                .help("split it into several quoted strings, which readers join: \"first\" \"second\"")
        })?;
        Ok(())
    }

    /// Hexadecimal digits up to the end, blanks between them allowed.
    fn hex(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let mut half: Option<u8> = None;
        let mut at = self.end;
        if self.tokens.is_empty() {
            self.next(what)?;
        }
        for token in std::mem::take(&mut self.tokens) {
            for (offset, &digit) in token.text.iter().enumerate() {
                let Some(value) = char::from(digit).to_digit(16) else {
                    return Err(RecordError::new(
                        token.at + offset,
                        format!("{what} has a character that isn't hexadecimal"),
                    )
                    .help("write digits 0-9 and a-f, two for an octet"));
                };
                match half.take() {
                    None => half = Some(value as u8),
                    Some(high) => out.push(high << 4 | value as u8),
                }
            }
            at = token.at;
        }
        match half {
            None => Ok(()),
            Some(_) => Err(RecordError::new(at, format!("{what} has an odd number of hexadecimal digits"))),
        }
    }
}

fn parsed<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

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
    if is_well_formed(rtype, &out[start..]) {
        return Ok(());
    }
    Err(RecordError::new(at, format!("these octets are no RDATA of type {rtype}")))
}

/// Whether octets are RDATA of a type, as far as its form is known: they are sent as they are.
fn is_well_formed(rtype: Rtype, octets: &[u8]) -> bool {
    use crate::wire::name::Name;
    let names = |octets: &[u8], count: usize, rest: usize| {
        let mut at = octets;
        for _ in 0..count {
            let length = crate::wire::name::labels(at).map(|label| label.len() + 1).sum::<usize>() + 1;
            let Some((name, after)) = at.split_at_checked(length) else { return false };
            if Name::from_wire(name).is_err() {
                return false;
            }
            at = after;
        }
        at.len() == rest
    };
    match rtype {
        Rtype::A => octets.len() == 4,
        Rtype::AAAA => octets.len() == 16,
        Rtype::NS | Rtype::CNAME | Rtype::PTR | Rtype::DNAME => names(octets, 1, 0),
        Rtype::MX => octets.len() > 2 && names(&octets[2..], 1, 0),
        Rtype::SRV => octets.len() > 6 && names(&octets[6..], 1, 0),
        Rtype::SOA => names(octets, 2, 20),
        _ => true,
    }
}

/// Types without a fast path, through hickory-proto.
fn other(rtype: Rtype, fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let first = fields.tokens.first().map_or(fields.end, |token| token.at);
    let text = absolute_text(rtype, fields)?;
    fields.tokens = &[];
    let wrong = |error: &dyn std::fmt::Display| {
        RecordError::new(first, format!("this isn't {rtype} data: {error}"))
            .help("see the type's RFC for its fields; any type can be written as \\# LENGTH HEX (RFC 3597)")
    };
    let rdata = RData::try_from_str(RecordType::from(rtype.0), &text).map_err(|error| wrong(&error))?;
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    // RFC 3597 4: these types' names are never compressed, nor folded.
    encoder.set_name_encoding(hickory_proto::serialize::binary::NameEncoding::Uncompressed);
    rdata.emit(&mut encoder).map_err(|error| wrong(&error))?;
    out.extend(octets);
    Ok(())
}

/// The fields as text, names made absolute: hickory-proto is told no origin.
fn absolute_text(rtype: Rtype, fields: &Fields<'_, '_>) -> Result<String, RecordError> {
    let name_field = match rtype {
        Rtype::NAPTR => Some(5),
        Rtype::SVCB | Rtype::HTTPS => Some(1),
        _ => None,
    };
    let mut text = String::new();
    for (number, token) in fields.tokens.iter().enumerate() {
        if number > 0 {
            text.push(' ');
        }
        if name_field == Some(number) {
            let mut wire = Vec::new();
            parse_into(token.text, Some(fields.origin), &mut wire)
                .map_err(|error| name_error(*token, error))?;
            let name =
                crate::wire::name::Name::from_wire(&wire).map_err(|error| name_error(*token, error))?;
            text += &name.to_string();
            continue;
        }
        let word = std::str::from_utf8(token.text)
            .map_err(|_| RecordError::new(token.at, format!("{rtype} takes ASCII text here")))?;
        if token.quoted {
            text.push('"');
            text += word;
            text.push('"');
        } else {
            text += word;
        }
    }
    Ok(text)
}

fn unescaped(token: Token<'_>, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let mut at = 0;
    while let Some(&octet) = token.text.get(at) {
        at += 1;
        if octet != b'\\' {
            out.push(octet);
            continue;
        }
        let Some((octet, used)) = unescape(&token.text[at..]) else {
            return Err(RecordError::new(token.at + at - 1 + usize::from(token.quoted), "bad escape")
                .help("write \\DDD with a decimal number up to 255, or \\ before one character"));
        };
        out.push(octet);
        at += used;
    }
    Ok(())
}

pub(super) fn name_error(token: Token<'_>, error: NameError) -> RecordError {
    RecordError::new(token.at, format!("{}: {error}", shown(token.text)))
}

/// Text of a file in a message: at most 60 characters, nothing that a terminal would obey.
pub(super) fn shown(text: &[u8]) -> String {
    let clean: String = String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(60).collect();
    format!("\"{clean}\"")
}
