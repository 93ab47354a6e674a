//! From files to a checked zone: stretches read side by side or kept from the version before, put
//! in order, and every mistake with its place.
//!
//! What a line means depends on those before it, so stretches are read ahead under a guess of
//! what these set, and once more in the rare case that the guess was wrong. The result is that of
//! reading from the first line to the last.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::builder::{Builder, Built, OddityKind};
use super::check;
use super::cut::{self, LENGTHS, Lengths};
use super::fields::{RecordError, shown};
use super::findings::{Findings, Text};
use super::owner::Full;
use super::read::{self, Include, Outcome};
use super::state::{State, Ttls};
use super::store::{Part, Repeat, Stretch, Zone};
use crate::cores;
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// From so many stretches on, others help to read them.
const PARALLEL_STRETCHES_MIN: usize = 4;

/// Where files come from: the loader's disk, or a test.
pub trait Files {
    /// The content of a file.
    ///
    /// # Errors
    /// When it can't be read.
    fn read(&self, path: &Path) -> io::Result<Bytes>;
}

/// Memory in which records are gathered while they are read, for one zone after another.
#[derive(Debug, Default)]
pub struct Scratch(Builder);

/// A zone as read and checked.
#[derive(Debug)]
pub struct Loaded {
    /// The zone.
    pub zone: Zone,
    /// What is odd about it.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a zone from its file and all that this includes. `old` is an earlier version, if there
/// is one: then only what changed in the text since is read. `has_routed_addresses` tells which
/// names get addresses from a route, so that they don't count as lacking any.
///
/// # Errors
/// Everything that is wrong, at most [`limits::DIAGNOSTICS`] findings; warnings are among them.
pub fn load(
    path: &Path,
    apex: &Name,
    files: &dyn Files,
    old: Option<&Zone>,
    has_routed_addresses: &dyn Fn(&Name) -> bool,
) -> Result<Loaded, Vec<Diagnostic>> {
    load_with(&mut Scratch::default(), path, apex, files, old, has_routed_addresses)
}

/// As [`load`], with memory that was used before.
///
/// # Errors
/// As [`load`].
pub fn load_with(
    scratch: &mut Scratch,
    path: &Path,
    apex: &Name,
    files: &dyn Files,
    old: Option<&Zone>,
    has_routed_addresses: &dyn Fn(&Name) -> bool,
) -> Result<Loaded, Vec<Diagnostic>> {
    load_cut(scratch, path, apex, files, old, has_routed_addresses, LENGTHS)
}

/// As [`load`], with stretches of other lengths.
pub(super) fn load_cut(
    scratch: &mut Scratch,
    path: &Path,
    apex: &Name,
    files: &dyn Files,
    old: Option<&Zone>,
    has_routed_addresses: &dyn Fn(&Name) -> bool,
    lengths: Lengths,
) -> Result<Loaded, Vec<Diagnostic>> {
    let mut loading = Loading {
        files,
        apex,
        directory: path.parent().unwrap_or(Path::new("")),
        lengths,
        kept: Kept::new(old),
        texts: Vec::new(),
        open: Vec::new(),
        state: State { origin: apex.as_wire().into(), owner: Arc::default(), ttls: Ttls::default() },
        placed: Vec::new(),
        stretches: Vec::new(),
        builder: &mut scratch.0,
        findings: Findings::default(),
        octets: 0,
    };
    if let Err(message) = loading.file(path, 0) {
        return Err(vec![Diagnostic::error(path, message)]);
    }
    loading.finish(old, has_routed_addresses)
}

struct Loading<'a> {
    files: &'a dyn Files,
    apex: &'a Name,
    /// Nothing outside of this is included.
    directory: &'a Path,
    lengths: Lengths,
    kept: Kept,
    texts: Vec<Text>,
    /// The file being read behind those that include it.
    open: Vec<PathBuf>,
    state: State,
    placed: Vec<Placed>,
    /// What stands at each of `placed`.
    stretches: Vec<Stretch>,
    builder: &'a mut Builder,
    findings: Findings,
    octets: u64,
}

/// Where a stretch stands, and what was set before it.
struct Placed {
    /// The file, by number.
    text: usize,
    start: usize,
    end: usize,
    state: State,
    part: Arc<Part>,
}

/// A stretch before its turn has come.
enum Ahead {
    /// The same text was there before, at the stretch of this number.
    Kept(usize, Arc<Part>),
    Read(Box<(Outcome, Result<Built, Full>)>),
}

impl Loading<'_> {
    /// Reads a file to its end; why that can't be, if it can't.
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), String> {
        let octets =
            self.files.read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        self.octets += octets.len() as u64;
        if self.octets > limits::ZONE_TEXT_OCTETS {
            return Err("the zone's files are larger than 4 GiB together".to_owned());
        }
        let number = self.texts.len();
        self.texts.push(Text { path: path.to_owned(), octets: octets.clone() });
        self.open.push(path.to_owned());
        self.text(number, &octets, depth);
        self.open.pop();
        Ok(())
    }

    fn text(&mut self, number: usize, text: &[u8], depth: usize) {
        let directives = cut::directives(text);
        let stretches = cut::stretches(text, &directives, self.lengths);
        let mut ahead = self.read_ahead(text, &stretches, &directives);
        let mut at = 0;
        for (stretch, ahead) in stretches.iter().zip(&mut ahead) {
            // Entries may reach far beyond their stretch; includes end one before its end.
            while at < stretch.range.end {
                let ahead =
                    ahead.take().filter(|ahead| at == stretch.range.start && ahead.holds(&self.state));
                let (outcome, built) = match ahead {
                    Some(Ahead::Kept(old, part)) => {
                        self.place(number, at..stretch.range.end, Stretch::Kept(old), part);
                        at = stretch.range.end;
                        continue;
                    }
                    Some(Ahead::Read(read)) => *read,
                    None => {
                        let range = at..stretch.range.end;
                        let digest = cut::digest(&text[range.clone()]);
                        read_stretch(self.apex, text, (range, digest), &self.state, self.builder)
                    }
                };
                let (end, include) = self.take(number, at, outcome, built);
                at = end;
                if let Some(include) = include
                    && let Err(error) = self.include(&include, depth)
                {
                    self.findings.add(&self.texts[number], error, true);
                }
            }
        }
    }

    /// Finds stretches that are as they were, and reads the others under a guess of what will be
    /// set before them.
    fn read_ahead(
        &mut self,
        text: &[u8],
        stretches: &[cut::Stretch],
        directives: &[usize],
    ) -> Vec<Option<Ahead>> {
        let mut ahead: Vec<Option<Ahead>> =
            stretches.iter().map(|stretch| self.kept.take(stretch.digest, stretch.range.len())).collect();
        let missing: Vec<usize> = (0..ahead.len()).filter(|number| ahead[*number].is_none()).collect();
        if missing.len() < PARALLEL_STRETCHES_MIN {
            return ahead;
        }
        let guesses = read::guess(self.apex, text, directives, &self.state);
        let state_at = |at: usize| {
            let before = guesses.partition_point(|(place, _)| *place < at);
            before.checked_sub(1).map_or(&self.state, |number| &guesses[number].1)
        };
        let done = cores::share(missing.len(), Builder::default, |at, builder| {
            let cut::Stretch { range, digest } = &stretches[missing[at]];
            let state = State { owner: Arc::default(), ..state_at(range.start).clone() };
            let read = read_stretch(self.apex, text, (range.clone(), *digest), &state, builder);
            Ahead::Read(Box::new(read))
        });
        for (number, read) in missing.into_iter().zip(done) {
            ahead[number] = Some(read);
        }
        ahead
    }

    /// Takes what was read of a stretch.
    fn take(
        &mut self,
        number: usize,
        start: usize,
        outcome: Outcome,
        built: Result<Built, Full>,
    ) -> (usize, Option<Include>) {
        let Outcome { end, include, errors, uncounted, reading } = outcome;
        for error in errors {
            self.findings.add(&self.texts[number], error, true);
        }
        self.findings.count(uncounted);
        match built {
            Ok(built) => {
                let (part, owners) = Part::new(built, start, reading);
                self.place(number, start..end, Stretch::Fresh(Arc::clone(&part), owners), part);
            }
            Err(Full) => self.findings.keep(too_large(&self.texts[number].path)),
        }
        (end, include)
    }

    fn place(&mut self, text: usize, range: Range<usize>, stretch: Stretch, part: Arc<Part>) {
        let state = self.state.clone();
        if let Some(reading) = &part.reading {
            reading.apply(&mut self.state);
        }
        self.placed.push(Placed { text, start: range.start, end: range.end, state, part });
        self.stretches.push(stretch);
    }

    fn include(&mut self, include: &Include, depth: usize) -> Result<(), RecordError> {
        let wrong =
            |message: &str| RecordError::new(include.at, format!("{}: {message}", shown(&include.file)));
        let file = std::str::from_utf8(&include.file).map_err(|_| wrong("the file's name isn't UTF-8"))?;
        let is_inside =
            Path::new(file).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !is_inside {
            return Err(wrong("only files in the zone directory are included")
                .help("put the file there, and write its name without a leading / and without .."));
        }
        let included = self.directory.join(file);
        // Found here and not by the depth: a file that includes itself twice would be read 2^16 times.
        if self.open.contains(&included) {
            return Err(wrong("the file includes itself, here or by way of another"));
        }
        if depth >= limits::INCLUDE_DEPTH {
            return Err(wrong("files include each other too deeply"));
        }
        // RFC 1035 5.1: neither the origin nor the owner of the included file lives on.
        let State { origin, owner, .. } = self.state.clone();
        self.state.origin = Arc::clone(&include.origin);
        let result = self.file(&included, depth + 1);
        self.state.origin = origin;
        self.state.owner = owner;
        result.map_err(|message| RecordError::new(include.at, message))
    }

    fn finish(
        mut self,
        old: Option<&Zone>,
        has_routed_addresses: &dyn Fn(&Name) -> bool,
    ) -> Result<Loaded, Vec<Diagnostic>> {
        let path = self.texts[0].path.clone();
        for placed in &self.placed {
            for oddity in &placed.part.oddities {
                self.findings.add(
                    &self.texts[placed.text],
                    odd(placed.start + oddity.at, oddity.kind),
                    false,
                );
            }
        }
        // With records missing, what the others lack says little.
        if self.findings.has_errors() {
            return Err(self.findings.finish(&path));
        }
        let stretches = std::mem::take(&mut self.stretches);
        let Ok((zone, repeats)) = Zone::assemble(self.apex, stretches, old) else {
            self.findings.keep(too_large(&path));
            return Err(self.findings.finish(&path));
        };
        let mut again = Again { apex: self.apex, texts: &self.texts, placed: &self.placed, last: None };
        for repeat in repeats {
            if self.findings.has_room(false) {
                let (text, at) = again.repeated(&repeat);
                self.findings.add(text, odd(at, repeat.kind), false);
            } else {
                self.findings.count(1);
            }
        }
        for found in check::zone(&zone, has_routed_addresses) {
            if !self.findings.has_room(found.is_error) {
                self.findings.count(1);
                continue;
            }
            match again.first(&zone, &found.owner, found.rtype) {
                Some((text, at)) => {
                    let error =
                        RecordError { at, message: found.message, help: found.help.map(str::to_owned) };
                    self.findings.add(text, error, found.is_error);
                }
                None => self
                    .findings
                    .keep(Diagnostic::error(&path, found.message).help(found.help.unwrap_or_default())),
            }
        }
        if self.findings.has_errors() {
            return Err(self.findings.finish(&path));
        }
        Ok(Loaded { zone, warnings: self.findings.finish(&path) })
    }
}

impl Ahead {
    fn holds(&self, state: &State) -> bool {
        match self {
            Ahead::Kept(_, part) => part.reading.as_ref().is_some_and(|reading| reading.holds(state)),
            Ahead::Read(read) => read.0.reading.holds(state),
        }
    }
}

/// Stretches of the version before, with their numbers, by digest and octets of their text.
struct Kept(HashMap<(u64, usize), Vec<Numbered>>);

type Numbered = (usize, Arc<Part>);

impl Kept {
    fn new(old: Option<&Zone>) -> Kept {
        let mut kept: HashMap<_, Vec<Numbered>> = HashMap::new();
        for (number, part) in old.into_iter().flat_map(Zone::parts).enumerate() {
            if let Some(text) = part.reading.as_ref().and_then(|reading| reading.text) {
                kept.entry(text).or_default().push((number, Arc::clone(part)));
            }
        }
        Kept(kept)
    }

    /// Each is taken once: a text that stands there twice has owners of its own each time.
    fn take(&mut self, digest: u64, octets: usize) -> Option<Ahead> {
        let (number, part) = self.0.get_mut(&(digest, octets))?.pop()?;
        Some(Ahead::Kept(number, part))
    }
}

/// Finds places of records, which zones don't keep, by reading their stretches again.
struct Again<'a> {
    apex: &'a Name,
    texts: &'a [Text],
    placed: &'a [Placed],
    /// The last one read: findings come in swarms.
    last: Option<(usize, Builder)>,
}

impl<'a> Again<'a> {
    /// The record of an owner that stands first, of a type or any.
    fn first(&mut self, zone: &Zone, owner: &[u8], rtype: Option<Rtype>) -> Option<(&'a Text, usize)> {
        let (texts, placed) = (self.texts, self.placed);
        for stretch in zone.stretches_of(&owner.to_ascii_lowercase()) {
            let mut records = self.builder(stretch).records_of(owner);
            if let Some(record) = records.find(|record| rtype.is_none_or(|rtype| record.rtype == rtype)) {
                return Some((&texts[placed[stretch].text], record.at));
            }
        }
        None
    }

    fn repeated(&mut self, repeat: &Repeat) -> (&'a Text, usize) {
        let (texts, placed) = (self.texts, &self.placed[repeat.stretch]);
        let builder = self.builder(repeat.stretch);
        let is_it = |rdata: &[u8]| repeat.kind == OddityKind::Ttl || *rdata == *repeat.rdata;
        let mut records = builder.records_of(&repeat.owner).filter(|record| record.rtype == repeat.rtype);
        let at =
            records.find(|record| is_it(builder.rdata(*record))).map_or(placed.start, |record| record.at);
        (&texts[placed.text], at)
    }

    fn builder(&mut self, stretch: usize) -> &Builder {
        if self.last.as_ref().is_none_or(|(last, _)| *last != stretch) {
            let placed = &self.placed[stretch];
            let text = &self.texts[placed.text].octets;
            let mut builder = Builder::default();
            read::stretch(self.apex, text, (placed.start..placed.end, 0), &placed.state, &mut builder);
            self.last = Some((stretch, builder));
        }
        &self.last.as_ref().expect("just read").1
    }
}

fn read_stretch(
    apex: &Name,
    text: &[u8],
    stretch: (Range<usize>, u64),
    state: &State,
    builder: &mut Builder,
) -> (Outcome, Result<Built, Full>) {
    builder.clear();
    let outcome = read::stretch(apex, text, stretch, state, builder);
    (outcome, builder.build(apex))
}

fn too_large(path: &Path) -> Diagnostic {
    Diagnostic::error(path, "the zone is larger than 4 GiB, or one RRset than 65535 records")
}

fn odd(at: usize, kind: OddityKind) -> RecordError {
    match kind {
        OddityKind::Duplicate => {
            RecordError::new(at, "the same record was there already").help("take one of them out")
        }
        OddityKind::Ttl => {
            RecordError::new(at, "the TTL differs from other records of this owner and type (RFC 2181 5.2)")
                .help("give them one TTL; the lowest is served for all")
        }
    }
}
