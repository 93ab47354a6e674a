//! From files to a checked zone: directives, owners, TTLs, and every mistake with its place.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::check;
use super::fields::{Fields, RecordError, name_error, shown};
use super::rdata;
use super::scan::{Scanner, Token};
use super::store::{Builder, Full, Oddity, Record, Zone};
use super::ttl::{TTL_MAX, parse_ttl};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::limits;
use crate::wire::name::{Name, is_at_or_below, parse_into};
use crate::wire::rtype::{CLASS_IN, Rtype};

/// Where files come from: the loader's disk, or a test.
pub trait Files {
    /// The content of a file.
    ///
    /// # Errors
    /// When it can't be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// A zone as read and checked.
#[derive(Debug)]
pub struct Loaded {
    /// The zone.
    pub zone: Zone,
    /// What is odd about it.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a zone from its file and all that this includes. `has_routed_addresses` tells which
/// names get addresses from a route, so that they don't count as lacking any.
///
/// # Errors
/// Everything that is wrong, at most [`limits::DIAGNOSTICS`] findings; warnings are among them.
pub fn load(
    path: &Path,
    apex: &Name,
    files: &dyn Files,
    has_routed_addresses: &dyn Fn(&Name) -> bool,
) -> Result<Loaded, Vec<Diagnostic>> {
    let mut reader = Reader {
        files,
        apex,
        directory: path.parent().unwrap_or(Path::new("")),
        texts: Vec::new(),
        open: Vec::new(),
        builder: Builder::default(),
        findings: Vec::new(),
        uncounted: 0,
        owner: Vec::new(),
        default_ttl: None,
        last_ttl: None,
        soa_minimum: None,
        octets: 0,
    };
    if let Err(message) = reader.file(path, apex.as_wire().to_vec(), 0) {
        return Err(vec![Diagnostic::error(path, message)]);
    }
    reader.finish(has_routed_addresses)
}

struct Reader<'a> {
    files: &'a dyn Files,
    apex: &'a Name,
    /// Nothing outside of this is included.
    directory: &'a Path,
    texts: Vec<(PathBuf, Vec<u8>)>,
    /// The file being read behind those that include it.
    open: Vec<PathBuf>,
    builder: Builder,
    findings: Vec<Diagnostic>,
    /// Findings beyond the limit.
    uncounted: usize,
    /// The owner of the record before, in wire form; empty before the first.
    owner: Vec<u8>,
    /// `$TTL`.
    default_ttl: Option<u32>,
    /// The TTL that was written last (RFC 1035 5.1).
    last_ttl: Option<u32>,
    /// MINIMUM of the SOA, where no TTL was written at all.
    soa_minimum: Option<u32>,
    octets: u64,
}

impl Reader<'_> {
    /// Reads a file to its end; why that can't be, if it can't.
    fn file(&mut self, path: &Path, origin: Vec<u8>, depth: usize) -> Result<(), String> {
        let text =
            self.files.read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        self.octets += text.len() as u64;
        if self.octets > limits::ZONE_TEXT_OCTETS {
            return Err("the zone's files are larger than 4 GiB together".to_owned());
        }
        let file =
            u16::try_from(self.texts.len()).map_err(|_| "the zone has more than 65535 files".to_owned())?;
        // The scanner borrows the text while records are added, so it is put away afterwards.
        self.texts.push((path.to_owned(), Vec::new()));
        self.builder.reserve(text.len());
        self.open.push(path.to_owned());
        self.entries(file, &text, origin, depth);
        self.open.pop();
        self.texts[usize::from(file)].1 = text;
        Ok(())
    }

    fn entries(&mut self, file: u16, text: &[u8], mut origin: Vec<u8>, depth: usize) {
        let mut scanner = Scanner::new(text);
        let mut tokens = Vec::new();
        while let Some(result) = scanner.next(&mut tokens) {
            let outcome = match result {
                Ok(is_blank) => self.entry(file, is_blank, &tokens, &mut origin, depth),
                Err(error) => Err(RecordError::new(error.at, error.message).help(error.help)),
            };
            if let Err(error) = outcome {
                self.report(file, text, error, true);
            }
        }
    }

    fn entry(
        &mut self,
        file: u16,
        is_blank: bool,
        tokens: &[Token<'_>],
        origin: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), RecordError> {
        let first = tokens[0];
        if first.text.starts_with(b"$") && !first.quoted && !is_blank {
            return self.directive(tokens, origin, depth);
        }
        let mut rest = tokens;
        if !is_blank {
            self.owner.clear();
            parse_into(first.text, Some(origin), &mut self.owner)
                .map_err(|error| name_error(first, error))?;
            rest = &tokens[1..];
        } else if self.owner.is_empty() {
            return Err(RecordError::new(
                first.at,
                "the line begins with a blank, and there is no owner before it",
            )
            .help("write the owner's name, or @ for the zone itself, at the very beginning of the line"));
        }
        if !is_at_or_below(&self.owner, self.apex.as_wire()) {
            let owner = wire_text(&self.owner);
            return Err(RecordError::new(first.at, format!("{owner} is outside of the zone {}", self.apex))
                .help("a zone file holds names at and below its apex alone; is a final dot too much?"));
        }
        self.record(file, first, rest, origin)
    }

    fn record(
        &mut self,
        file: u16,
        first: Token<'_>,
        tokens: &[Token<'_>],
        origin: &[u8],
    ) -> Result<(), RecordError> {
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
        let at = u32::try_from(first.at)
            .map_err(|_| RecordError::new(first.at, "the file is longer than 4 GiB"))?;
        let mut fields = Fields::new(rest, end, origin);
        let added = self
            .builder
            .add(&self.owner, rtype, ttl, (file, at), |out| rdata::write(rtype, &mut fields, out))?;
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
            self.last_ttl = Some(ttl);
            return Ok(ttl);
        }
        if rtype == Rtype::SOA {
            self.soa_minimum =
                data.get(6).and_then(|token| parse_ttl(token.text)).filter(|ttl| *ttl <= TTL_MAX);
        }
        self.default_ttl.or(self.last_ttl).or(self.soa_minimum).ok_or_else(|| {
            RecordError::new(first.at, "the record has no TTL, and nothing before it gives one")
                .help("write $TTL 300 at the beginning of the file")
        })
    }

    fn directive(
        &mut self,
        tokens: &[Token<'_>],
        origin: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), RecordError> {
        let name = tokens[0];
        let argument = |place: usize, what: &str| {
            let last = tokens[tokens.len() - 1];
            let missing = || RecordError::new(last.at + last.text.len(), format!("{what} is missing here"));
            tokens.get(place).copied().ok_or_else(missing)
        };
        let most = match name.text.to_ascii_uppercase().as_slice() {
            b"$ORIGIN" => {
                let token = argument(1, "the origin")?;
                let mut wire = Vec::new();
                parse_into(token.text, Some(origin), &mut wire).map_err(|error| name_error(token, error))?;
                *origin = wire;
                2
            }
            b"$TTL" => {
                let token = argument(1, "the TTL")?;
                let seconds = parse_ttl(token.text).ok_or_else(|| {
                    RecordError::new(token.at, format!("{} isn't a TTL", shown(token.text)))
                        .help("write seconds, or units as 1h30m")
                })?;
                self.default_ttl = Some(ttl_in_range(token, seconds)?);
                2
            }
            b"$INCLUDE" => {
                self.include(argument(1, "the file")?, tokens.get(2).copied(), origin, depth)?;
                3
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
        };
        match tokens.get(most) {
            None => Ok(()),
            Some(token) => Err(RecordError::new(
                token.at,
                format!("{} is more than {} takes", shown(token.text), shown(name.text)),
            )),
        }
    }

    fn include(
        &mut self,
        path: Token<'_>,
        new_origin: Option<Token<'_>>,
        origin: &[u8],
        depth: usize,
    ) -> Result<(), RecordError> {
        let wrong = |message: &str| RecordError::new(path.at, format!("{}: {message}", shown(path.text)));
        let text = std::str::from_utf8(path.text).map_err(|_| wrong("the file's name isn't UTF-8"))?;
        let is_inside =
            Path::new(text).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !is_inside {
            return Err(wrong("only files in the zone directory are included")
                .help("put the file there, and write its name without a leading / and without .."));
        }
        let included = self.directory.join(text);
        // Found here and not by the depth: a file that includes itself twice would be read 2^16 times.
        if self.open.contains(&included) {
            return Err(wrong("the file includes itself, here or by way of another"));
        }
        if depth >= limits::INCLUDE_DEPTH {
            return Err(wrong("files include each other too deeply"));
        }
        let mut wire = origin.to_vec();
        if let Some(token) = new_origin {
            wire.clear();
            parse_into(token.text, Some(origin), &mut wire).map_err(|error| name_error(token, error))?;
        }
        // RFC 1035 5.1: neither the origin nor the owner of the included file lives on.
        let owner = self.owner.clone();
        let result = self.file(&included, wire, depth + 1);
        self.owner = owner;
        result.map_err(|message| RecordError::new(path.at, message))
    }

    fn finish(mut self, has_routed_addresses: &dyn Fn(&Name) -> bool) -> Result<Loaded, Vec<Diagnostic>> {
        let (zone, oddities) = match self.builder.build(self.apex) {
            Ok(built) => built,
            Err(Full) => {
                let path = self.texts.first().map(|(path, _)| path.clone()).unwrap_or_default();
                self.keep(Diagnostic::error(
                    path,
                    "the zone is larger than 4 GiB, or one RRset than 65535 records",
                ));
                return Err(self.findings);
            }
        };
        for oddity in oddities {
            let (number, message, help) = match oddity {
                Oddity::Duplicate(number) => {
                    (number, "the same record was there already", "take one of them out")
                }
                Oddity::Ttl(number) => (
                    number,
                    "the TTL differs from other records of this owner and type (RFC 2181 5.2)",
                    "give them one TTL; the lowest is served for all",
                ),
            };
            let record = self.builder.records()[number];
            self.report_record(record, false, message, Some(help));
        }
        // With records missing, what the others lack says little.
        if !self.findings.iter().any(Diagnostic::is_error) {
            let findings = check::zone(&zone, has_routed_addresses);
            for found in findings {
                let record = match found.rtype {
                    Some(rtype) => self.builder.first(&found.owner, rtype),
                    None => self.builder.first_of(&found.owner),
                };
                match record {
                    Some(record) => self.report_record(record, found.is_error, &found.message, found.help),
                    None => {
                        let path = self.texts[0].0.clone();
                        let found =
                            Diagnostic::error(path, found.message).help(found.help.unwrap_or_default());
                        self.keep(found);
                    }
                }
            }
        }
        if self.uncounted > 0 {
            let path = self.texts[0].0.clone();
            self.findings.push(Diagnostic::warning(path, format!("and {} more", self.uncounted)));
        }
        if self.findings.iter().any(Diagnostic::is_error) {
            return Err(self.findings);
        }
        Ok(Loaded { zone, warnings: self.findings })
    }

    fn report_record(&mut self, record: Record, is_error: bool, message: &str, help: Option<&str>) {
        let text = std::mem::take(&mut self.texts[usize::from(record.file)].1);
        let mut error = RecordError::new(record.at as usize, message);
        error.help = help.map(str::to_owned);
        self.report(record.file, &text, error, is_error);
        self.texts[usize::from(record.file)].1 = text;
    }

    fn report(&mut self, file: u16, text: &[u8], error: RecordError, is_error: bool) {
        if !self.has_room(is_error) {
            self.uncounted += 1;
            return;
        }
        let path = &self.texts[usize::from(file)].0;
        let found = if is_error {
            Diagnostic::error(path, error.message)
        } else {
            Diagnostic::warning(path, error.message)
        };
        // Positions are octets; lines are shown as far as they are UTF-8.
        let at = error.at.min(text.len());
        let line_start =
            text[..at].iter().rposition(|&octet| octet == b'\n').map_or(0, |newline| newline + 1);
        let line_end =
            text[at..].iter().position(|&octet| octet == b'\n').map_or(text.len(), |length| at + length);
        let before = String::from_utf8_lossy(&text[line_start..at]);
        let line = format!("{before}{}", String::from_utf8_lossy(&text[at..line_end]));
        let mut found = found.at(&line, before.len());
        let lines_before = text[..line_start].iter().filter(|&&octet| octet == b'\n').count();
        found.line = u32::try_from(lines_before + 1).unwrap_or(u32::MAX);
        found.help = error.help;
        self.keep(found);
    }

    /// Whether a finding would be kept.
    fn has_room(&self, is_error: bool) -> bool {
        self.findings.len() < limits::DIAGNOSTICS
            || is_error && !self.findings.iter().all(Diagnostic::is_error)
    }

    /// Keeps a finding. An error takes the place of a warning when there are too many: a zone
    /// must not pass because its errors stand behind a hundred warnings.
    fn keep(&mut self, found: Diagnostic) {
        if self.findings.len() >= limits::DIAGNOSTICS {
            self.uncounted += 1;
            match self.findings.iter().rposition(|kept| !kept.is_error()) {
                Some(warning) if found.is_error() => drop(self.findings.remove(warning)),
                _ => return,
            }
        }
        self.findings.push(found);
    }
}

fn class(text: &[u8]) -> Option<u16> {
    match text.to_ascii_uppercase().as_slice() {
        b"IN" => Some(CLASS_IN),
        b"CH" => Some(3),
        b"HS" => Some(4),
        b"ANY" => Some(255),
        upper => std::str::from_utf8(upper.strip_prefix(b"CLASS")?).ok()?.parse().ok(),
    }
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

fn wire_text(wire: &[u8]) -> String {
    Name::from_wire(wire).map_or_else(|_| String::new(), |name| name.to_string())
}
