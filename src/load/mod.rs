//! Reads what the configuration names, as a whole, and tells what changed since the last pass.
//!
//! A pass looks at every file's stamp, reads those that may have changed, and parses only where
//! the content did. Each zone comes out whole, or with all that is wrong with it; what to do with
//! a bad one is up to who asked (the writer keeps the last good version, `waypost check` fails).

mod across;
mod bundle;
mod geography;
mod offline;
mod stamp;
#[cfg(test)]
mod tests;
mod zone;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use offline::{Offline, read_once};
pub use zone::{LoadedZone, ZoneFiles};

use crate::config::bundles::Role;
use crate::config::cookie_secrets;
use crate::config::server::{self, Server};
use crate::cores;
use crate::diagnostic::Diagnostic;
use crate::model::Geography;
use crate::wire::cookie::Secrets;
use crate::wire::name::Name;
use crate::zone::Scratch;
use bundle::Edge;
use stamp::{Recorder, Stamps, Standing};
use zone::{Known, Listing, Manner};

/// Reads the configuration's files, pass after pass.
#[derive(Debug)]
pub struct Loader {
    config: PathBuf,
    /// The state directory, where it isn't the configuration that says which.
    state: Option<PathBuf>,
    server: Option<(Arc<Server>, Stamps)>,
    geography: Option<Stamps>,
    cookie_secrets: Option<Stamps>,
    zones: BTreeMap<Name, Known>,
    /// Zones that include a file, by its path.
    included: HashMap<PathBuf, BTreeSet<Name>>,
}

/// Where a zone's files are, and the zone, or all that is wrong with it.
pub type ReadZone = (Arc<ZoneFiles>, Result<LoadedZone, Vec<Diagnostic>>);

/// What changed since the pass before.
#[derive(Debug, Default)]
pub struct Pass {
    /// The server's configuration, if its file changed: as read, or what is wrong with it.
    pub server: Option<Result<Arc<Server>, Vec<Diagnostic>>>,
    /// Geography, if rules or files of it changed.
    pub geography: Option<Result<Arc<Geography>, Vec<Diagnostic>>>,
    /// Secrets of cookies, if there is a file of them and it changed.
    pub cookie_secrets: Option<Result<Arc<Secrets>, Vec<Diagnostic>>>,
    /// Zones whose files changed.
    pub zones: Vec<ReadZone>,
    /// Zones whose files are gone.
    pub gone: Vec<Name>,
    /// What is wrong with the zone directory itself; then no zone counts as gone.
    pub directory: Vec<Diagnostic>,
    /// Warnings about the server's configuration and geography.
    pub warnings: Vec<Diagnostic>,
    /// Whether files were still so fresh that another pass should follow soon.
    pub unsettled: bool,
    /// Directories to watch.
    pub watch: Vec<PathBuf>,
}

impl Pass {
    /// Every error and warning of the pass.
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        let server = self.server.iter().filter_map(|result| result.as_ref().err());
        let geography = self.geography.iter().filter_map(|result| result.as_ref().err());
        let secrets = self.cookie_secrets.iter().filter_map(|result| result.as_ref().err());
        let zones = self.zones.iter().map(|(_, result)| match result {
            Ok(loaded) => &loaded.warnings,
            Err(errors) => errors,
        });
        server
            .chain(geography)
            .chain(secrets)
            .chain(zones)
            .flatten()
            .chain(&self.directory)
            .chain(&self.warnings)
    }

    /// Whether there is nothing new to serve; there may be mistakes to tell.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        let nothing_good = self.server.as_ref().is_none_or(Result::is_err)
            && self.geography.as_ref().is_none_or(Result::is_err)
            && self.cookie_secrets.as_ref().is_none_or(Result::is_err);
        nothing_good && self.zones.is_empty() && self.gone.is_empty()
    }
}

impl Loader {
    /// A loader of the configuration in a file, which has read nothing yet.
    #[must_use]
    pub fn new(config: &Path) -> Loader {
        Loader {
            config: config.to_owned(),
            state: None,
            server: None,
            geography: None,
            cookie_secrets: None,
            zones: BTreeMap::new(),
            included: HashMap::new(),
        }
    }

    /// With a state directory other than the configuration's.
    #[must_use]
    pub fn with_state(mut self, state: Option<&Path>) -> Loader {
        self.state = state.map(Path::to_owned);
        self
    }

    /// The server's configuration, once a pass has read a good one.
    #[must_use]
    pub fn server(&self) -> Option<&Arc<Server>> {
        self.server.as_ref().map(|(server, _)| server)
    }

    /// Reads what may have changed.
    pub fn pass(&mut self) -> Pass {
        let mut pass = Pass::default();
        let before = self.server().cloned();
        self.pass_server(&mut pass);
        let Some(server) = self.server().cloned() else { return pass };
        self.pass_geography(&server, &mut pass);
        let server = match (before, &pass.server, &pass.geography) {
            (Some(before), Some(Ok(_)), Some(Err(_))) => {
                // Zones name regions that geography doesn't have yet. The configuration is taken
                // when both are good; until then the one before stands, and zones go on under it.
                self.server = Some((Arc::clone(&before), Stamps::default()));
                pass.server = None;
                before
            }
            _ => server,
        };
        self.pass_cookie_secrets(&server, &mut pass);
        self.pass_zones(&server, &mut pass);
        self.watch(&server, &mut pass);
        pass
    }

    /// Reads zones of which files are among `changed`, and nothing else: with ten thousand zones, a
    /// look at every file takes longer than all that a change of one needs. Nothing if something
    /// else changed; then [`pass`](Self::pass) has to find out what.
    pub fn pass_over(&mut self, changed: &BTreeSet<PathBuf>) -> Option<Pass> {
        let server = self.server().cloned()?;
        let mut read = BTreeSet::new();
        let mut apexes = BTreeSet::new();
        for path in changed {
            let zones = self.zones_of(path, &server);
            if !zones.is_empty() {
                read.insert(path);
                apexes.extend(zones);
            }
        }
        // What came and went is a file on its way to another name; what went and was read is a
        // zone that may be gone.
        let is_clear = |path: &PathBuf| read.contains(path) == path.symlink_metadata().is_ok();
        if !changed.iter().all(is_clear) {
            return None;
        }
        let files: Vec<Arc<ZoneFiles>> =
            apexes.iter().filter_map(|apex| Some(self.zones.get(apex)?.files.clone())).collect();
        let mut pass = Pass::default();
        let manner = |_: &ZoneFiles| Manner { is_forced: false, lacks_routes: false };
        self.read_zones(&files.iter().collect::<Vec<_>>(), &server, manner, &mut pass);
        Some(pass)
    }

    /// Whether a file is all that a zone is read from, so that nothing else is meant to change with
    /// it.
    #[must_use]
    pub fn is_alone(&self, path: &Path) -> bool {
        let Some(server) = self.server() else { return false };
        let zones = self.zones_of(path, server);
        let is_all = |apex| self.zones.get(apex).is_some_and(|known| known.stamps.have_only(path));
        !zones.is_empty() && zones.iter().all(is_all)
    }

    /// Forgets what zones' files looked like, so that the next pass reads these once more.
    pub fn doubt(&mut self, changed: &BTreeSet<PathBuf>) {
        let Some(server) = self.server().cloned() else { return };
        for apex in changed.iter().flat_map(|path| self.zones_of(path, &server)).collect::<BTreeSet<_>>() {
            if let Some(known) = self.zones.get_mut(&apex) {
                known.stamps = Stamps::default();
            }
        }
    }

    /// Known zones that were read from a file, or would have been.
    fn zones_of(&self, path: &Path, server: &Server) -> Vec<Name> {
        let mut zones: Vec<Name> = self.included.get(path).into_iter().flatten().cloned().collect();
        let directory = path.parent();
        if directory == Some(&*server.zones) || directory == bundle_directory(server) {
            let apex = path.file_stem().and_then(|stem| stem.to_str()).and_then(zone::apex_of);
            let known = apex.and_then(|apex| self.zones.get(&apex));
            let known = known.filter(|known| known.stamps.paths().any(|own| own == path));
            zones.extend(known.map(|known| known.files.apex.clone()));
        }
        zones
    }

    /// Forgets what files looked like, so that the next pass reads everything again. Which zones
    /// there were stays known, to tell which are gone.
    pub fn forget(&mut self) {
        let stamps = self.server.iter_mut().map(|(_, stamps)| stamps);
        let zones = self.zones.values_mut().map(|known| &mut known.stamps);
        for stamps in stamps.chain(&mut self.geography).chain(&mut self.cookie_secrets).chain(zones) {
            *stamps = Stamps::default();
        }
        self.included.clear();
    }

    fn pass_server(&mut self, pass: &mut Pass) {
        if self.server.as_ref().is_some_and(|(_, stamps)| stamps.are_current()) {
            return;
        }
        let recorder = Recorder::default();
        let result = self.read_server(&recorder, pass);
        let stamps = recorder.stamps();
        pass.unsettled |= !stamps.are_settled();
        let unchanged = self.server.as_ref().is_some_and(|(_, old)| old.same_content(&stamps));
        match &result {
            Ok(server) => self.server = Some((Arc::clone(server), stamps)),
            // Kept as it was; its stamp is new, so that the error comes once.
            Err(_) => {
                if let Some((_, old)) = &mut self.server {
                    *old = stamps;
                }
            }
        }
        if !unchanged {
            pass.server = Some(result);
        }
    }

    fn read_server(&self, recorder: &Recorder, pass: &mut Pass) -> Result<Arc<Server>, Vec<Diagnostic>> {
        let text = read_text(recorder, &self.config)?;
        let (server, warnings) = server::parse(&self.config, &text)?;
        pass.warnings.extend(warnings);
        Ok(Arc::new(server))
    }

    fn pass_geography(&mut self, server: &Server, pass: &mut Pass) {
        let regions_changed = pass.server.as_ref().is_some_and(Result::is_ok);
        if !regions_changed && self.geography.as_ref().is_some_and(Stamps::are_current) {
            return;
        }
        let recorder = Recorder::default();
        let result = geography::read(server, &self.config, &recorder, &mut pass.warnings);
        let stamps = recorder.stamps();
        pass.unsettled |= !stamps.are_settled();
        let unchanged =
            !regions_changed && self.geography.as_ref().is_some_and(|old| old.same_content(&stamps));
        self.geography = Some(stamps);
        if !unchanged {
            pass.geography = Some(result.map(Arc::new));
        }
    }

    /// A server that shares its address must not make up secrets of its own: a missing file is an
    /// error, and the last good secrets stay.
    fn pass_cookie_secrets(&mut self, server: &Server, pass: &mut Pass) {
        let Some(path) = &server.cookie_secrets else {
            self.cookie_secrets = None;
            return;
        };
        let old = self.cookie_secrets.as_ref().filter(|stamps| stamps.paths().eq([path]));
        if old.is_some_and(Stamps::are_current) {
            return;
        }
        let recorder = Recorder::default();
        let result = read_text(&recorder, path).and_then(|text| cookie_secrets::parse(path, &text));
        let stamps = recorder.stamps();
        pass.unsettled |= !stamps.are_settled();
        if old.is_none_or(|old| !old.same_content(&stamps)) {
            pass.cookie_secrets = Some(result.map(Arc::new));
        }
        self.cookie_secrets = Some(stamps);
    }

    fn pass_zones(&mut self, server: &Server, pass: &mut Pass) {
        let before = Standing::of(&server.zones);
        match zone::list(&server.zones, bundle_directory(server)) {
            Ok(listing) => self.take_listing(listing, &before, server, pass),
            Err(error) => pass.directory.push(error),
        }
    }

    /// Reads the zones of a listing that was made while the directory stood like that, or later.
    fn take_listing(&mut self, listing: Listing, before: &Standing, server: &Server, pass: &mut Pass) {
        // Region names are places in the configuration: when these move, routes are read anew.
        let all = pass.server.as_ref().is_some_and(Result::is_ok);
        let candidates: Vec<&Arc<ZoneFiles>> = listing
            .zones
            .iter()
            .filter(|files| {
                all || !self.zones.get(&files.apex).is_some_and(|known| known.stamps.are_current())
            })
            .collect();
        // Ten thousand zones without routes would take as many system calls to see that.
        let manner = |files: &ZoneFiles| Manner { is_forced: all, lacks_routes: listing.lacks_routes(files) };
        self.read_zones(&candidates, server, manner, pass);
        if before.may_have_changed() {
            self.read_routes_that_came(&listing, server, pass);
        }
        if listing.zones.len() != self.zones.len() {
            let found: BTreeSet<&Name> = listing.zones.iter().map(|files| &files.apex).collect();
            pass.gone = self.zones.keys().filter(|apex| !found.contains(apex)).cloned().collect();
            for gone in &pass.gone {
                self.forget_zone(gone);
            }
        }
        pass.warnings.extend(listing.warnings);
    }

    /// Reads zones again whose routes weren't listed and are there now: without them they answer
    /// what they shouldn't.
    fn read_routes_that_came(&mut self, listing: &Listing, server: &Server, pass: &mut Pass) {
        let have_come = |files: &&Arc<ZoneFiles>| {
            let known = self.zones.get(&files.apex);
            listing.lacks_routes(files)
                && known.is_some_and(|known| known.stamps.lacks(&files.routes))
                && files.routes.exists()
        };
        let again: Vec<&Arc<ZoneFiles>> = listing.zones.iter().filter(have_come).collect();
        if again.is_empty() {
            return;
        }
        let apexes: BTreeSet<&Name> = again.iter().map(|files| &files.apex).collect();
        pass.zones.retain(|(files, _)| !apexes.contains(&files.apex));
        self.read_zones(&again, server, |_| Manner { is_forced: true, lacks_routes: false }, pass);
        pass.zones.sort_by(|(a, _), (b, _)| a.apex.cmp(&b.apex));
    }

    fn read_zones(
        &mut self,
        candidates: &[&Arc<ZoneFiles>],
        server: &Server,
        manner: impl Fn(&ZoneFiles) -> Manner + Sync,
        pass: &mut Pass,
    ) {
        let regions = region_names(server);
        let edge = Edge::of(server.bundles.as_ref(), self.state.as_deref().unwrap_or(&server.state));
        let results = cores::share(candidates.len(), Scratch::default, |number, scratch| {
            let files = candidates[number];
            let known = self.zones.get(&files.apex);
            let (known, result) = zone::read(files, &regions, edge, known, manner(files), scratch);
            (known, result.map(|result| (files.clone(), result)))
        });
        let mut known = Vec::with_capacity(results.len());
        pass.zones.reserve(results.len());
        for (zone, result) in results {
            pass.unsettled |= !zone.stamps.are_settled();
            pass.zones.extend(result);
            known.push(zone);
        }
        self.know_zones(known);
    }

    /// Remembers what was read, by ascending apex.
    fn know_zones(&mut self, zones: Vec<Known>) {
        if self.zones.is_empty() {
            // The map is built as a whole then: of many, each would look for its place.
            zones.iter().for_each(|known| self.include(&known.files.apex, known.included()));
            self.zones = zones.into_iter().map(|known| (known.files.apex.clone(), known)).collect();
            return;
        }
        for known in zones {
            let apex = known.files.apex.clone();
            self.forget_zone(&apex);
            self.include(&apex, known.included());
            self.zones.insert(apex, known);
        }
    }

    fn include<'p>(&mut self, apex: &Name, paths: impl Iterator<Item = &'p Path>) {
        for path in paths {
            self.included.entry(path.to_owned()).or_default().insert(apex.clone());
        }
    }

    fn forget_zone(&mut self, apex: &Name) {
        let Some(known) = self.zones.remove(apex) else { return };
        for path in known.included() {
            if let Some(zones) = self.included.get_mut(path) {
                zones.remove(apex);
                if zones.is_empty() {
                    self.included.remove(path);
                }
            }
        }
    }

    /// Directories of all files, since editors and `git` replace files rather than write them.
    fn watch(&self, server: &Server, pass: &mut Pass) {
        let stamps = [&self.geography, &self.cookie_secrets].into_iter().flatten();
        // Zones' own files are in the directory of zones, or of bundles.
        let mut directories: BTreeSet<&Path> = stamps
            .flat_map(Stamps::paths)
            .chain(self.included.keys().map(PathBuf::as_path))
            .chain([self.config.as_path()])
            .filter_map(Path::parent)
            .map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
            .collect();
        directories.insert(&server.zones);
        directories.extend(bundle_directory(server));
        // A link to the zone directory may be swapped as a whole.
        directories.extend(server.zones.parent());
        let is_directory = |path: &&Path| fs::metadata(path).is_ok_and(|metadata| metadata.is_dir());
        pass.watch = directories.into_iter().filter(is_directory).map(Path::to_owned).collect();
    }
}

/// Reads one zone's files as they are, under a configuration's regions.
///
/// # Errors
/// Everything that is wrong with them.
pub fn read_zone(files: &Arc<ZoneFiles>, server: &Server) -> Result<LoadedZone, Vec<Diagnostic>> {
    let regions = region_names(server);
    let edge = Edge::of(server.bundles.as_ref(), &server.state);
    let manner = Manner { is_forced: true, lacks_routes: false };
    zone::read(files, &regions, edge, None, manner, &mut Scratch::default())
        .1
        .unwrap_or_else(|| Err(Vec::new()))
}

/// Where the signatures of zones come from that are signed elsewhere.
fn bundle_directory(server: &Server) -> Option<&Path> {
    let edge = server.bundles.as_ref().filter(|bundles| bundles.role == Role::Edge);
    edge.map(|bundles| &*bundles.directory)
}

fn region_names(server: &Server) -> Vec<String> {
    server.rules.regions.iter().map(|region| region.name.clone()).collect()
}

/// A file's text, or one line about why there is none.
fn read_text(recorder: &Recorder, path: &Path) -> Result<String, Vec<Diagnostic>> {
    let octets = match recorder.read_if_there(path) {
        Ok(Some(octets)) => octets,
        Ok(None) => return Err(vec![Diagnostic::error(path, "no such file")]),
        Err(error) => return Err(vec![Diagnostic::error(path, format!("cannot be read: {error}"))]),
    };
    text(path, &octets).map_err(|error| vec![error])
}

/// Octets as UTF-8, or where they aren't.
fn text(path: &Path, octets: &[u8]) -> Result<String, Diagnostic> {
    std::str::from_utf8(octets).map(str::to_owned).map_err(|error| {
        let valid = String::from_utf8_lossy(&octets[..error.valid_up_to()]).into_owned();
        Diagnostic::error(path, "this isn't UTF-8 text").at(&valid, valid.len())
    })
}
