//! One zone's files: `NAME.zone`, and `NAME.toml` where its names move.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::bundle::Edge;
use super::stamp::{Recorder, Stamps};
use crate::compile::fit::Fitted;
use crate::compile::signer::Signer;
use crate::config::zone::{self as config, ZoneConfig};
use crate::cores;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::route::Kind;
use crate::wire::name::{Name, NameError};
use crate::zone::{self, Scratch, Zone};

/// Where a zone's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneFiles {
    /// The apex, from the file's name.
    pub apex: Name,
    /// The zone file.
    pub zone: PathBuf,
    /// The routes beside it, which need not exist.
    pub routes: PathBuf,
    /// Its signatures, where it is signed elsewhere.
    pub bundle: PathBuf,
}

/// A zone as read and checked.
#[derive(Debug)]
pub struct LoadedZone {
    /// The records.
    pub zone: Arc<Zone>,
    /// Routes and probes; empty without a TOML file.
    pub config: Arc<ZoneConfig>,
    /// What signs it, if that is a bundle.
    pub signer: Option<Arc<Signer>>,
    /// What was compiled to see that the bundle is whole.
    pub fitted: Option<Fitted>,
    /// What is odd about it.
    pub warnings: Vec<Diagnostic>,
    /// Every file that it was read from, with its content.
    pub contents: Vec<(PathBuf, Bytes)>,
}

impl ZoneFiles {
    /// The files of a zone in a directory. A slash in its name (RFC 2317 4) is written `\047`, as
    /// any octet may be (RFC 1035 5.1): no file's name holds one.
    #[must_use]
    pub fn in_directory(directory: &Path, apex: &Name) -> ZoneFiles {
        ZoneFiles::of(directory, &stem_of(apex), apex.clone())
    }

    fn of(directory: &Path, stem: &str, apex: Name) -> ZoneFiles {
        let beside = |extension: &str| {
            let mut path = PathBuf::with_capacity(directory.as_os_str().len() + stem.len() + 8);
            path.push(directory);
            path.push(stem);
            path.as_mut_os_string().push(extension);
            path
        };
        ZoneFiles { apex, zone: beside(".zone"), routes: beside(".toml"), bundle: beside(".bundle") }
    }

    /// The same, with the zone's signatures in a directory of bundles.
    #[must_use]
    pub fn with_bundle_in(mut self, bundles: &Path) -> ZoneFiles {
        self.bundle = bundles.join(self.bundle.file_name().unwrap_or_default());
        self
    }
}

impl LoadedZone {
    /// Whether nothing moves its names, and nothing signs them.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.config.routing.routes.is_empty() && self.config.dnssec.is_none() && self.signer.is_none()
    }
}

/// What a zone's files are named, but for their ends.
fn stem_of(apex: &Name) -> String {
    if apex.is_root() {
        return "root".to_owned();
    }
    let mut stem = apex.to_string();
    stem.truncate(stem.len() - 1);
    if stem.contains('/') { stem.replace('/', "\\047") } else { stem }
}

/// What a directory of zones holds.
#[derive(Debug)]
pub(super) struct Listing {
    /// The zones, by ascending apex.
    pub(super) zones: Vec<Arc<ZoneFiles>>,
    pub(super) warnings: Vec<Diagnostic>,
    /// Names of the files of routes, in lower case: some file systems don't tell cases apart.
    routes: HashSet<Vec<u8>>,
}

/// From so many names on, others help to read them.
const NAMES_TOGETHER: usize = 2_048;

impl Listing {
    /// Whether there were no routes beside a zone.
    pub(super) fn lacks_routes(&self, files: &ZoneFiles) -> bool {
        self.routes.is_empty() || !self.routes.contains(&lower_name(&files.routes))
    }
}

fn lower_name(path: &Path) -> Vec<u8> {
    path.file_name().unwrap_or_default().as_encoded_bytes().to_ascii_lowercase()
}

/// The zones of a directory.
///
/// # Errors
/// When the directory can't be read or has no zone: that is a mistake or a half-done update
/// rather than the wish to serve nothing.
pub(super) fn list(directory: &Path, bundles: Option<&Path>) -> Result<Listing, Diagnostic> {
    let unreadable = |error| Diagnostic::error(directory, format!("cannot read the zone directory: {error}"));
    let mut stems = Vec::new();
    let mut routes = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let Ok(mut name) = entry.map_err(unreadable)?.file_name().into_string() else { continue };
        // Editors' and git's temporary files.
        if name.starts_with('.') {
            continue;
        }
        if name.ends_with(".zone") {
            name.truncate(name.len() - ".zone".len());
            stems.push(name);
        } else if name.ends_with(".toml") {
            routes.push(directory.join(name));
        }
    }
    let bundles = bundles.unwrap_or(directory);
    let groups = cores::share(
        stems.len().div_ceil(NAMES_TOGETHER),
        || (),
        |group, ()| {
            let end = stems.len().min((group + 1) * NAMES_TOGETHER);
            let (mut found, mut wrong) = (Vec::new(), Vec::new());
            for stem in &stems[group * NAMES_TOGETHER..end] {
                match named(directory, bundles, stem) {
                    Ok(files) => found.push(Arc::new(files)),
                    Err(error) => wrong.push(error),
                }
            }
            // What each has in order is merged faster.
            found.sort_by(by_apex);
            (found, wrong)
        },
    );
    let (mut found, mut warnings) = (Vec::with_capacity(stems.len()), Vec::new());
    for (zones, wrong) in groups {
        found.extend(zones);
        warnings.extend(wrong);
    }
    warnings.extend(without_zone(&routes, &found));
    if found.is_empty() {
        return Err(Diagnostic::error(directory, "there are no zones here")
            .help("put a zone into a file named after it, such as example.com.zone"));
    }
    found.sort_by(by_apex);
    // Names differ by case on disk alone.
    found.dedup_by(|second, first| {
        let is_twice = second.apex == first.apex;
        if is_twice {
            let error = Diagnostic::error(&second.zone, format!("{} is the same zone", first.zone.display()));
            warnings.push(error.help("keep one of the two files"));
        }
        is_twice
    });
    let routes = routes.iter().map(|path| lower_name(path)).collect();
    Ok(Listing { zones: found, warnings, routes })
}

fn by_apex(a: &Arc<ZoneFiles>, b: &Arc<ZoneFiles>) -> Ordering {
    a.apex.cmp(&b.apex).then_with(|| a.zone.cmp(&b.zone))
}

/// The apex of the zone that a file's name without its end tells.
pub(super) fn apex_of(stem: &str) -> Option<Name> {
    parse_stem(stem).ok()
}

fn parse_stem(stem: &str) -> Result<Name, NameError> {
    if stem == "root" { Ok(Name::root()) } else { Name::parse(stem, Some(&Name::root())) }
}

/// The zone that a file is named after.
fn named(directory: &Path, bundles: &Path, stem: &str) -> Result<ZoneFiles, Diagnostic> {
    let path = || directory.join(format!("{stem}.zone"));
    let apex = parse_stem(stem)
        .map_err(|error| Diagnostic::error(path(), format!("the file's name is no zone's name: {error}")))?;
    let wanted = stem_of(&apex);
    if wanted != stem {
        // Its kept version would be looked for by that name.
        let error = Diagnostic::error(path(), "the zone's name is written in another way");
        return Err(error.help(format!("name the file {wanted}.zone")));
    }
    let files = ZoneFiles::of(directory, &wanted, apex);
    Ok(if bundles == directory { files } else { files.with_bundle_in(bundles) })
}

/// Routes beside which there is no zone.
fn without_zone(routes: &[PathBuf], found: &[Arc<ZoneFiles>]) -> Vec<Diagnostic> {
    if routes.is_empty() {
        return Vec::new();
    }
    let with_zone: HashSet<&Path> = found.iter().map(|files| &*files.routes).collect();
    let lonely = routes.iter().filter(|path| !with_zone.contains(path.as_path()));
    let told = lonely.map(|path| {
        let stems: Vec<String> = found.iter().filter_map(|files| stem(&files.zone)).collect();
        let help = did_you_mean(&stem(path).unwrap_or_default(), stems.iter().map(String::as_str));
        let wanted = path.with_extension("zone");
        let help = help.unwrap_or_else(|| format!("put the zone into {}", wanted.display()));
        Diagnostic::error(path, "there is no zone file beside these routes").help(help)
    });
    told.collect()
}

fn stem(path: &Path) -> Option<String> {
    path.file_stem()?.to_str().map(str::to_owned)
}

/// What is known of a zone from the pass before.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) files: Arc<ZoneFiles>,
    pub(super) stamps: Stamps,
    /// The last version without errors: of what it has in common with the next one, nothing is
    /// read again.
    pub(super) zone: Option<Arc<Zone>>,
    /// What signed it, if that was a bundle.
    pub(super) signer: Option<Arc<Signer>>,
}

impl Known {
    /// Files that it includes.
    pub(super) fn included(&self) -> impl Iterator<Item = &Path> {
        let own = [&self.files.zone, &self.files.routes, &self.files.bundle];
        // As they are written: comparing components takes longer, and all are made alike.
        let is_own = move |path: &Path| own.iter().any(|own| own.as_os_str() == path.as_os_str());
        self.stamps.paths().filter(move |path| !is_own(path))
    }
}

/// How a zone is to be read.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    /// Also if its content is as it was.
    pub(super) is_forced: bool,
    /// Without a look for routes: they aren't there.
    pub(super) lacks_routes: bool,
}

/// Reads a zone. No result if its content is as it was, unless that is asked for.
pub(super) fn read(
    files: &Arc<ZoneFiles>,
    regions: &[String],
    edge: Option<Edge<'_>>,
    known: Option<&Known>,
    Manner { is_forced, lacks_routes }: Manner,
    scratch: &mut Scratch,
) -> (Known, Option<Result<LoadedZone, Vec<Diagnostic>>>) {
    let mut recorder = Recorder::default();
    if lacks_routes && known.is_none() {
        recorder.note_absent(&files.routes);
    }
    let mut old = None;
    if let Some(known) = known {
        for path in known.stamps.paths() {
            // An unreadable file is a change; parsing will say what is wrong.
            let _ = recorder.read_if_there(path);
        }
        let stamps = recorder.stamps();
        if !is_forced && known.stamps.same_content(&stamps) {
            return (Known { stamps, ..known.clone() }, None);
        }
        recorder = recorder.afresh();
        old = known.zone.clone();
    }
    let signer = known.and_then(|known| known.signer.clone());
    let result = parse(files, regions, &recorder, old.as_deref(), scratch);
    let result = result.and_then(|loaded| signed(files, loaded, edge, signer.as_ref(), &recorder));
    let good = result.as_ref().ok();
    let zone = good.map(|loaded| Arc::clone(&loaded.zone)).or(old);
    let signer = good.map_or(signer, |loaded| loaded.signer.clone());
    (Known { files: Arc::clone(files), stamps: recorder.stamps(), zone, signer }, Some(result))
}

/// With its signatures, if they come from elsewhere.
fn signed(
    files: &ZoneFiles,
    loaded: LoadedZone,
    edge: Option<Edge<'_>>,
    before: Option<&Arc<Signer>>,
    recorder: &Recorder,
) -> Result<LoadedZone, Vec<Diagnostic>> {
    let Some(edge) = edge.filter(|_| loaded.config.dnssec.is_some()) else { return Ok(loaded) };
    let (signer, fitted, more) = edge.signer(files, &loaded.zone, &loaded.config, before, recorder)?;
    let LoadedZone { mut warnings, mut contents, .. } = loaded;
    warnings.extend(more);
    // It is kept beside the zone that it belongs to.
    let bundle = recorder.read_if_there(&files.bundle).ok().flatten();
    contents.extend(bundle.map(|octets| (files.zone.with_extension("bundle"), octets)));
    Ok(LoadedZone { signer: Some(signer), fitted: Some(fitted), warnings, contents, ..loaded })
}

fn parse(
    files: &ZoneFiles,
    regions: &[String],
    recorder: &Recorder,
    old: Option<&Zone>,
    scratch: &mut Scratch,
) -> Result<LoadedZone, Vec<Diagnostic>> {
    // Both files are read to their ends, so that one pass shows all that is wrong.
    let config = parse_config(files, regions, recorder);
    let routed = |name: &Name| {
        config.as_ref().is_ok_and(|(config, _)| {
            let routes = &config.routing.routes;
            routes.iter().any(|route| route.kind == Kind::Address && route.owners.contains(name))
        })
    };
    let zone = zone::load_with(scratch, &files.zone, &files.apex, recorder, old, &routed);
    let (loaded, (config, mut warnings)) = match (zone, config) {
        (Ok(loaded), Ok(config)) => (loaded, config),
        (Err(mut errors), Err(more)) => {
            errors.extend(more);
            return Err(errors);
        }
        (Err(errors), _) | (_, Err(errors)) => return Err(errors),
    };
    let zone = loaded.zone;
    let has = |name: &Name, rtype| {
        let lower = name.to_lower();
        zone.owner(lower.as_wire()).is_some_and(|owner| owner.rrset(rtype).is_some())
    };
    let mut findings = config::against_zone(&config, &has, zone.soa().minimum());
    findings.extend(config::against_signed(&config, &files.zone, &zone));
    if findings.iter().any(Diagnostic::is_error) {
        return Err(findings);
    }
    warnings.extend(loaded.warnings);
    warnings.extend(findings);
    Ok(LoadedZone {
        zone: Arc::new(zone),
        config: Arc::new(config),
        signer: None,
        fitted: None,
        warnings,
        contents: recorder.contents(),
    })
}

fn parse_config(
    files: &ZoneFiles,
    regions: &[String],
    recorder: &Recorder,
) -> Result<(ZoneConfig, Vec<Diagnostic>), Vec<Diagnostic>> {
    let text = match recorder.read_if_there(&files.routes) {
        Ok(Some(octets)) => super::text(&files.routes, &octets).map_err(|error| vec![error])?,
        // Most of many zones have none.
        Ok(None) => return Ok((ZoneConfig::none(&files.apex), Vec::new())),
        Err(error) => return Err(vec![Diagnostic::error(&files.routes, format!("cannot be read: {error}"))]),
    };
    config::parse(&files.routes, &text, &files.apex, regions)
}
