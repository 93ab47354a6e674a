//! One stretch of a file: directives, owners, TTLs, and every mistake with its place.

use std::ops::Range;
use std::sync::Arc;

use super::builder::Builder;
use super::fields::{Fields, RecordError, name_error, shown};
use super::owner::Full;
use super::rdata;
use super::scan::{Scanner, Token};
use super::state::{Reading, State, Ttls};
use super::ttl::{TTL_MAX, parse_ttl};
use crate::diagnostic::did_you_mean;
use crate::limits;
use crate::wire::name::{Name, is_at_or_below, parse_into};
use crate::wire::rtype::{CLASS_IN, Rtype};

/// What became of a stretch.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Where reading ended: at the end of the stretch, behind the entry that reaches beyond it,
    /// or behind an `$INCLUDE`.
    pub(super) end: usize,
    /// The file to be read before what follows.
    pub(super) include: Option<Include>,
    /// Mistakes, in order; places are offsets in the file.
    pub(super) errors: Vec<RecordError>,
    /// Mistakes beyond [`limits::DIAGNOSTICS`].
    pub(super) uncounted: usize,
    pub(super) reading: Reading,
}

/// `$INCLUDE`.
#[derive(Debug)]
pub(super) struct Include {
    /// Where the file's name stands.
    pub(super) at: usize,
    pub(super) file: Vec<u8>,
    pub(super) origin: Arc<[u8]>,
}

/// Reads a stretch, which begins with a line, into `builder`, whose records have their offset in
/// the file. `digest` is that of the stretch.
pub(super) fn stretch(
    apex: &Name,
    text: &[u8],
    (range, digest): (Range<usize>, u64),
    state: &State,
    builder: &mut Builder,
) -> Outcome {
    let mut reader = Reader {
        apex,
        builder,
        origin: Arc::clone(&state.origin),
        owner: state.owner.to_vec(),
        ttls: state.ttls,
        before: state,
        reading: Reading {
            text: None,
            origin: Arc::clone(&state.origin),
            needs_owner: None,
            needs_ttls: None,
            sets_origin: None,
            sets_owner: None,
            sets_ttls: Ttls::default(),
        },
        has_owner: false,
    };
    let mut scanner = Scanner::new(text, range.clone());
    let mut tokens = Vec::new();
    let (mut errors, mut uncounted) = (Vec::new(), 0);
    let mut include = None;
    while include.is_none()
        && let Some(result) = scanner.next(&mut tokens)
    {
        let outcome = match result {
            Ok(is_blank) => reader.entry(is_blank, &tokens),
            Err(error) => Err(RecordError::new(error.at, error.message).help(error.help)),
        };
        match outcome {
            Ok(found) => include = found,
            Err(error) if errors.len() < limits::DIAGNOSTICS => errors.push(error),
            Err(_) => uncounted += 1,
        }
    }
    let end = scanner.position();
    let mut reading = reader.reading;
    if reader.has_owner {
        reading.sets_owner = Some(reader.owner.into());
    }
    if end == range.end && include.is_none() {
        reading.text = Some((digest, range.len()));
    }
    Outcome { end, include, errors, uncounted, reading }
}

/// The states before stretches, as far as directives at `places` tell: a guess, since these may
/// stand inside parentheses, and files that are included set TTLs too.
pub(super) fn guess(apex: &Name, text: &[u8], places: &[usize], first: &State) -> Vec<(usize, State)> {
    let mut state = State { owner: Arc::default(), ..first.clone() };
    let mut guesses = Vec::new();
    for &at in places {
        let range = at..at + 1;
        let outcome = stretch(apex, text, (range, 0), &state, &mut Builder::default());
        outcome.reading.apply(&mut state);
        guesses.push((at, state.clone()));
    }
    guesses
}

struct Reader<'a> {
    apex: &'a Name,
    builder: &'a mut Builder,
    origin: Arc<[u8]>,
    /// Of the record before, in wire form.
    owner: Vec<u8>,
    /// Whether the stretch has set it.
    has_owner: bool,
    ttls: Ttls,
    before: &'a State,
    reading: Reading,
}

impl Reader<'_> {
    fn entry(&mut self, is_blank: bool, tokens: &[Token<'_>]) -> Result<Option<Include>, RecordError> {
        let first = tokens[0];
        if first.text.starts_with(b"$") && !first.quoted && !is_blank {
            return self.directive(tokens);
        }
        let mut rest = tokens;
        if !is_blank {
            self.has_owner = true;
            self.owner.clear();
            parse_into(first.text, Some(&self.origin), &mut self.owner)
                .map_err(|error| name_error(first, error))?;
            rest = &tokens[1..];
        } else {
            if !self.has_owner && self.reading.needs_owner.is_none() {
                self.reading.needs_owner = Some(Arc::clone(&self.before.owner));
            }
            if self.owner.is_empty() {
                return Err(RecordError::new(
                    first.at,
                    "the line begins with a blank, and there is no owner before it",
                )
                .help(
                    "write the owner's name, or @ for the zone itself, at the very beginning of the line",
                ));
            }
        }
        if !is_at_or_below(&self.owner, self.apex.as_wire()) {
            let owner = Name::from_wire(&self.owner).map_or_else(|_| String::new(), |name| name.to_string());
            return Err(RecordError::new(first.at, format!("{owner} is outside of the zone {}", self.apex))
                .help("a zone file holds names at and below its apex alone; is a final dot too much?"));
        }
        self.record(first, rest)?;
        Ok(None)
    }

    fn record(&mut self, first: Token<'_>, tokens: &[Token<'_>]) -> Result<(), RecordError> {
        let mut rest = tokens;
        let mut ttl: Option<u32> = None;
        let mut has_class = false;
        let last = tokens.last().unwrap_or(&first);
        let end = last.at + last.text.len() + if last.quoted { 2 } else { 0 };
        let rtype_token = loop {
            let Some((token, after)) = rest.split_first() else {
                return Err(RecordError::new(end, "the record's type is missing here")
                    .help("write owner, TTL, class and type, then the data: www 300 IN A 192.0.2.1"));
            };
            rest = after;
            if let Some(seconds) = parse_ttl(token.text).filter(|_| ttl.is_none() && !token.quoted) {
                ttl = Some(ttl_in_range(*token, seconds)?);
            } else if let Some(class) = class(token.text).filter(|_| !has_class) {
                has_class = true;
                if class != CLASS_IN {
                    return Err(RecordError::new(
                        token.at,
                        format!("class {} isn't served", shown(token.text)),
                    )
                    .help("take it out, or write IN"));
                }
            } else {
                break *token;
            }
        };
        let rtype = rtype_of(rtype_token)?;
        if rtype.is_meta() {
            return Err(RecordError::new(rtype_token.at, format!("{rtype} is no type of data in a zone")));
        }
        let ttl = self.ttl(ttl, rtype, first, rest)?;
        let mut fields = Fields::new(rest, end, &self.origin);
        let added = self
            .builder
            .add(&self.owner, rtype, ttl, first.at, |out| rdata::write(rtype, &mut fields, out))?;
        added.map_err(|Full| {
            RecordError::new(first.at, "the zone is larger than 4 GiB, or this record than 65535 octets")
        })
    }

    /// The TTL of a record: its own, `$TTL`, the one written last (RFC 1035 5.1), or MINIMUM.
    fn ttl(
        &mut self,
        own: Option<u32>,
        rtype: Rtype,
        first: Token<'_>,
        data: &[Token<'_>],
    ) -> Result<u32, RecordError> {
        if let Some(ttl) = own {
            self.set_ttls(Ttls { last: Some(ttl), ..Ttls::default() });
            return Ok(ttl);
        }
        if rtype == Rtype::SOA {
            let minimum = data.get(6).and_then(|token| parse_ttl(token.text)).filter(|ttl| *ttl <= TTL_MAX);
            self.set_ttls(Ttls { minimum, ..Ttls::default() });
        }
        if self.reading.sets_ttls.default.is_none() && self.reading.needs_ttls.is_none() {
            self.reading.needs_ttls = Some(self.before.ttls);
        }
        self.ttls.inherited().ok_or_else(|| {
            RecordError::new(first.at, "the record has no TTL, and nothing before it gives one")
                .help("write $TTL 300 at the beginning of the file")
        })
    }

    fn set_ttls(&mut self, ttls: Ttls) {
        self.ttls = self.ttls.then(ttls);
        self.reading.sets_ttls = self.reading.sets_ttls.then(ttls);
    }

    fn directive(&mut self, tokens: &[Token<'_>]) -> Result<Option<Include>, RecordError> {
        let name = tokens[0];
        let argument = |place: usize, what: &str| {
            let last = tokens[tokens.len() - 1];
            let missing = || RecordError::new(last.at + last.text.len(), format!("{what} is missing here"));
            tokens.get(place).copied().ok_or_else(missing)
        };
        let at_most = |count: usize| match tokens.get(count) {
            None => Ok(()),
            Some(token) => Err(RecordError::new(
                token.at,
                format!("{} is more than {} takes", shown(token.text), shown(name.text)),
            )),
        };
        match name.text.to_ascii_uppercase().as_slice() {
            b"$ORIGIN" => {
                let origin = self.origin_of(argument(1, "the origin")?)?;
                self.origin = Arc::clone(&origin);
                self.reading.sets_origin = Some(origin);
                at_most(2)?;
            }
            b"$TTL" => {
                let token = argument(1, "the TTL")?;
                let seconds = parse_ttl(token.text).ok_or_else(|| {
                    RecordError::new(token.at, format!("{} isn't a TTL", shown(token.text)))
                        .help("write seconds, or units as 1h30m")
                })?;
                self.set_ttls(Ttls { default: Some(ttl_in_range(token, seconds)?), ..Ttls::default() });
                at_most(2)?;
            }
            b"$INCLUDE" => {
                let file = argument(1, "the file")?;
                at_most(3)?;
                let origin = match tokens.get(2) {
                    Some(token) => self.origin_of(*token)?,
                    None => Arc::clone(&self.origin),
                };
                return Ok(Some(Include { at: file.at, file: file.text.to_vec(), origin }));
            }
            b"$GENERATE" => {
                return Err(RecordError::new(name.at, "$GENERATE isn't standard and isn't read")
                    .help("write the records out, for example from the program that deploys the zone"));
            }
            _ => {
                let text = String::from_utf8_lossy(name.text).to_uppercase();
                let error = RecordError::new(name.at, format!("unknown directive {}", shown(name.text)));
                return Err(match did_you_mean(&text, ["$ORIGIN", "$TTL", "$INCLUDE"]) {
                    Some(help) => error.help(help),
                    None => error.help("there are $ORIGIN, $TTL and $INCLUDE"),
                });
            }
        }
        Ok(None)
    }

    fn origin_of(&self, token: Token<'_>) -> Result<Arc<[u8]>, RecordError> {
        let mut wire = Vec::new();
        parse_into(token.text, Some(&self.origin), &mut wire).map_err(|error| name_error(token, error))?;
        Ok(wire.into())
    }
}

fn class(text: &[u8]) -> Option<u16> {
    for (mnemonic, class) in [("IN", CLASS_IN), ("CH", 3), ("HS", 4), ("ANY", 255)] {
        if text.eq_ignore_ascii_case(mnemonic.as_bytes()) {
            return Some(class);
        }
    }
    let (word, number) = text.split_at_checked(5)?;
    if !word.eq_ignore_ascii_case(b"CLASS") {
        return None;
    }
    std::str::from_utf8(number).ok()?.parse().ok()
}

fn rtype_of(token: Token<'_>) -> Result<Rtype, RecordError> {
    // Most records are of few types.
    match token.text {
        b"A" => return Ok(Rtype::A),
        b"AAAA" => return Ok(Rtype::AAAA),
        _ => {}
    }
    let text = std::str::from_utf8(token.text).unwrap_or_default();
    text.parse().map_err(|_| {
        // No type's mnemonic begins with a digit.
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            return RecordError::new(token.at, format!("{} isn't a TTL, or a second one", shown(token.text)))
                .help("write one TTL before the type: seconds up to 2147483647, or units as 1h30m");
        }
        let error = RecordError::new(token.at, format!("unknown type {}", shown(token.text)));
        match did_you_mean(text, Rtype::MNEMONICS.iter().copied()) {
            Some(help) => error.help(help),
            None => error.help("any type can be written by its number: TYPE65280 \\# 4 0A000001 (RFC 3597)"),
        }
    })
}

fn ttl_in_range(token: Token<'_>, seconds: u32) -> Result<u32, RecordError> {
    if seconds <= TTL_MAX {
        return Ok(seconds);
    }
    Err(RecordError::new(token.at, format!("TTL {} is over 2147483647 (RFC 2181 8)", shown(token.text)))
        .help("a week, 604800 or 1w, is long already"))
}
