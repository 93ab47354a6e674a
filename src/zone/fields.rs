//! The fields of RDATA, read from tokens one after the other.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::base64;
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

    pub(super) fn finish(&self, rtype: Rtype) -> Result<(), RecordError> {
        let Some(token) = self.tokens.first() else { return Ok(()) };
        let text = shown(token.text);
        Err(RecordError::new(token.at, format!("{text} is more than {rtype} takes"))
            .help("one record holds one value: write another line for a second one"))
    }

    pub(super) fn ipv4(&mut self) -> Result<Ipv4Addr, RecordError> {
        let token = self.next("an IPv4 address")?;
        parsed::<Ipv4Addr>(token.text).ok_or_else(|| {
            let error = RecordError::new(token.at, format!("{} isn't an IPv4 address", shown(token.text)));
            match parsed::<Ipv6Addr>(token.text) {
                Some(_) => error.help("this is an IPv6 address: the type is AAAA"),
                None => error.help("write four numbers up to 255, as 192.0.2.1"),
            }
        })
    }

    pub(super) fn ipv6(&mut self) -> Result<Ipv6Addr, RecordError> {
        let token = self.next("an IPv6 address")?;
        parsed::<Ipv6Addr>(token.text).ok_or_else(|| {
            let error = RecordError::new(token.at, format!("{} isn't an IPv6 address", shown(token.text)));
            match parsed::<Ipv4Addr>(token.text) {
                Some(_) => error.help("this is an IPv4 address: the type is A"),
                None => error.help("write it as 2001:db8::1"),
            }
        })
    }

    pub(super) fn name(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let token = self.next(what)?;
        parse_into(token.text, Some(self.origin), out).map_err(|error| name_error(token, error))
    }

    /// The name of a host that is to have addresses, and isn't one itself.
    pub(super) fn host(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), RecordError> {
        if let Some(token) = self.peek()
            // With a final dot it would be a name, and nobody has it.
            && let text = token.text.strip_suffix(b".").unwrap_or(token.text)
            && (parsed::<Ipv4Addr>(text).is_some() || parsed::<Ipv6Addr>(text).is_some())
        {
            return Err(RecordError::new(
                token.at,
                format!("{} is an address, and {what} must be a name", shown(token.text)),
            )
            .help("give the address a name by an A or AAAA record, and write the name here"));
        }
        self.name(what, out)
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

    pub(super) fn seconds(&mut self, what: &str) -> Result<u32, RecordError> {
        let token = self.next(what)?;
        parse_ttl(token.text).ok_or_else(|| {
            RecordError::new(token.at, format!("{} isn't a time for {what}", shown(token.text)))
                .help("write seconds, or units as 1h30m")
        })
    }

    /// A character-string with its length (RFC 1035 3.3).
    pub(super) fn string(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), RecordError> {
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
    pub(super) fn hex(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), RecordError> {
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

    /// Base64 (RFC 4648 4) up to the end, blanks within allowed.
    pub(super) fn base64(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let at = self.peek().map_or(self.end, |token| token.at);
        if self.tokens.is_empty() {
            self.next(what)?;
        }
        let tokens = std::mem::take(&mut self.tokens);
        let text: Vec<u8> = tokens.iter().flat_map(|token| token.text).copied().collect();
        base64::decode(&text, out).ok_or_else(|| {
            RecordError::new(at, format!("{what} isn't Base64"))
                .help("write letters, digits, + and /, filled up with = to a multiple of four")
        })
    }

    /// One field with its escapes resolved, without a length.
    pub(super) fn octets(&mut self, what: &str, out: &mut Vec<u8>) -> Result<(), RecordError> {
        unescaped(self.next(what)?, out)
    }
}

pub(super) fn parsed<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The octets of a field, its escapes resolved, behind what `out` holds.
pub(super) fn unescaped(token: Token<'_>, out: &mut Vec<u8>) -> Result<(), RecordError> {
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
