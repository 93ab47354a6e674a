//! One zone's files: `NAME.zone`, and `NAME.toml` where its names move.

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
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::route::Kind;
use crate::wire::name::Name;
use crate::zone::{self, Zone};

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
        let stem = apex.to_string().replace('/', "\\047");
        let stem = if apex.is_root() { "root" } else { stem.strip_suffix('.').unwrap_or(&stem) };
        ZoneFiles {
            apex: apex.clone(),
            zone: directory.join(format!("{stem}.zone")),
            routes: directory.join(format!("{stem}.toml")),
            bundle: directory.join(format!("{stem}.bundle")),
        }
    }

    /// The same, with the zone's signatures in a directory of bundles.
    #[must_use]
    pub fn with_bundle_in(mut self, bundles: &Path) -> ZoneFiles {
        self.bundle = bundles.join(self.bundle.file_name().unwrap_or_default());
        self
    }
}

/// The zones of a directory.
///
/// # Errors
/// When the directory can't be read or has no zone: that is a mistake or a half-done update
/// rather than the wish to serve nothing.
pub(super) fn list(
    directory: &Path,
    bundles: Option<&Path>,
) -> Result<(Vec<ZoneFiles>, Vec<Diagnostic>), Diagnostic> {
    let unreadable = |error| Diagnostic::error(directory, format!("cannot read the zone directory: {error}"));
    let mut found = Vec::new();
    let mut routes = Vec::new();
    let mut warnings = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let (Some(stem), Some(extension)) = (
            path.file_stem().and_then(|stem| stem.to_str()),
            path.extension().and_then(|extension| extension.to_str()),
        ) else {
            continue;
        };
        // Editors' and git's temporary files.
        if stem.starts_with('.') {
            continue;
        }
        match extension {
            "zone" => match Name::parse(stem, Some(&Name::root())) {
                Ok(apex) => {
                    let apex = if stem == "root" { Name::root() } else { apex };
                    let files = ZoneFiles::in_directory(directory, &apex);
                    let files = files.with_bundle_in(bundles.unwrap_or(directory));
                    if files.zone == path {
                        found.push(files);
                    } else {
                        // Its kept version would be looked for by that name.
                        let name = files.zone.file_name().unwrap_or_default().display().to_string();
                        let error = Diagnostic::error(&path, "the zone's name is written in another way");
                        warnings.push(error.help(format!("name the file {name}")));
                    }
                }
                Err(error) => {
                    warnings.push(Diagnostic::error(
                        &path,
                        format!("the file's name is no zone's name: {error}"),
                    ));
                }
            },
            "toml" => routes.push(path),
            _ => {}
        }
    }
    warnings.extend(without_zone(&routes, &found));
    if found.is_empty() {
        return Err(Diagnostic::error(directory, "there are no zones here")
            .help("put a zone into a file named after it, such as example.com.zone"));
    }
    found.sort_by(|a, b| a.apex.cmp(&b.apex).then_with(|| a.zone.cmp(&b.zone)));
    // Names differ by case on disk alone.
    found.dedup_by(|second, first| {
        let is_twice = second.apex == first.apex;
        if is_twice {
            let error = Diagnostic::error(&second.zone, format!("{} is the same zone", first.zone.display()));
            warnings.push(error.help("keep one of the two files"));
        }
        is_twice
    });
    Ok((found, warnings))
}

/// Routes beside which there is no zone.
fn without_zone(routes: &[PathBuf], found: &[ZoneFiles]) -> Vec<Diagnostic> {
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
    pub(super) files: ZoneFiles,
    pub(super) stamps: Stamps,
    /// The last version without errors: of what it has in common with the next one, nothing is
    /// read again.
    pub(super) zone: Option<Arc<Zone>>,
    /// What signed it, if that was a bundle.
    pub(super) signer: Option<Arc<Signer>>,
}

/// Reads a zone. No result if its content is as it was, unless `all` is to be read.
pub(super) fn read(
    files: &ZoneFiles,
    regions: &[String],
    edge: Option<Edge<'_>>,
    known: Option<&Known>,
    all: bool,
) -> (Known, Option<Result<LoadedZone, Vec<Diagnostic>>>) {
    let mut recorder = Recorder::default();
    let mut old = None;
    if let Some(known) = known {
        for path in known.stamps.paths() {
            // An unreadable file is a change; parsing will say what is wrong.
            let _ = recorder.read_if_there(path);
        }
        let stamps = recorder.stamps();
        if !all && known.stamps.same_content(&stamps) {
            return (Known { stamps, ..known.clone() }, None);
        }
        recorder = recorder.afresh();
        old = known.zone.clone();
    }
    let signer = known.and_then(|known| known.signer.clone());
    let result = parse(files, regions, &recorder, old.as_deref());
    let result = result.and_then(|loaded| signed(files, loaded, edge, signer.as_ref(), &recorder));
    let good = result.as_ref().ok();
    let zone = good.map(|loaded| Arc::clone(&loaded.zone)).or(old);
    let signer = good.map_or(signer, |loaded| loaded.signer.clone());
    (Known { files: files.clone(), stamps: recorder.stamps(), zone, signer }, Some(result))
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
) -> Result<LoadedZone, Vec<Diagnostic>> {
    // Both files are read to their ends, so that one pass shows all that is wrong.
    let config = parse_config(files, regions, recorder);
    let routed = |name: &Name| {
        config.as_ref().is_ok_and(|(config, _)| {
            let routes = &config.routing.routes;
            routes.iter().any(|route| route.kind == Kind::Address && route.owners.contains(name))
        })
    };
    let zone = zone::load(&files.zone, &files.apex, recorder, old, &routed);
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
        Ok(None) => String::new(),
        Err(error) => return Err(vec![Diagnostic::error(&files.routes, format!("cannot be read: {error}"))]),
    };
    config::parse(&files.routes, &text, &files.apex, regions)
}
