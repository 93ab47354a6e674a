//! The writer's loop: one change after another, each published at once.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::inspect::Inspector;
use super::slots::{Assignment, Scene, Signers, Slots};
use super::status::{Status, ZoneStatus};
use super::zones::{Batch, Zones};
use crate::compile::outcomes::outcomes;
use crate::compile::signer::{Signer, Signing};
use crate::config::server::Server;
use crate::diagnostic::Diagnostic;
use crate::dnssec::{Denial, Keyring};
use crate::health::{ProbeKey, Report, Subject, Tick, Transition, Watched};
use crate::limits::RENEWALS_TOGETHER;
use crate::load::{LoadedZone, Pass, ZoneFiles};
use crate::model::{Geography, Model, ZoneModel};
use crate::probe::prober::{Job, Prober};
use crate::probe::spec::Spec;
use crate::route::{Family, Routing};
use crate::snapshot::{Published, Settings, Snapshot};
use crate::state::{Keeper, Store};
use crate::wire::cookie::Secrets;
use crate::wire::name::Name;

/// Changes that wait. Senders of more wait for a place; probe reports have a queue of their own
/// and are dropped instead, since the next one says the same.
const CHANGES_QUEUED: usize = 64;

/// How long an old snapshot is kept after another has taken its place. A worker holds one for a
/// batch, far shorter; so it is this thread that frees the memory, not a worker.
const RETIRED_KEPT: Duration = Duration::from_secs(2);

/// Zones that are told one by one when they are loaded. Of more at once only the number is told:
/// ten thousand lines say no more, and take longer than loading.
const TOLD_ONE_BY_ONE: usize = 100;

/// How often the clock is looked at, while signatures depend on it.
const CLOCK_WATCHED: Duration = Duration::from_secs(60);

/// A clock that is off by more than this many seconds was set, and didn't drift.
const CLOCK_JUMP_SECONDS: u64 = 60;

/// Something for the writer to do.
#[derive(Debug)]
pub enum Change {
    /// Files changed.
    Files(Box<Pass>),
    /// An operator lets a recovered target have its clients back.
    Release {
        /// The zone.
        zone: Name,
        /// The target.
        target: String,
    },
    /// The keys of a signed zone are others now, or do other things.
    Keys {
        /// The zone.
        zone: Name,
        /// What signs it from now on.
        keyring: Arc<Keyring>,
    },
    /// End the writer; state is kept first.
    Stop,
}

/// Where changes are sent.
#[derive(Clone, Debug)]
pub struct Control {
    changes: mpsc::Sender<Change>,
    status: Arc<Status>,
    published: Arc<Published>,
}

/// What a server starts from.
#[derive(Debug)]
pub struct Start {
    /// The first pass over all files; its configuration, geography and secrets of cookies must be
    /// there and good.
    pub pass: Pass,
    /// Last good versions of zones whose files have errors.
    pub fallbacks: Vec<(ZoneFiles, LoadedZone)>,
    /// Keys of the zones that are signed. One that is to be signed and has none isn't served.
    pub keyrings: BTreeMap<Name, Arc<Keyring>>,
    /// What survived the last run.
    pub store: Option<Store>,
    /// Runs probes.
    pub prober: Prober,
    /// Where probes report to.
    pub reports: mpsc::Receiver<(ProbeKey, Report, Tick)>,
}

/// Why nothing could be published at all.
#[derive(Debug)]
pub enum StartError {
    /// Files that must be good have errors.
    Files(Vec<Diagnostic>),
    /// The system has no thread to give.
    Thread(std::io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Files(errors) => {
                for (at, error) in errors.iter().enumerate() {
                    if at > 0 {
                        f.write_str("\n")?;
                    }
                    write!(f, "{error}")?;
                }
                Ok(())
            }
            StartError::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl Control {
    /// What the server knows, for looking at.
    #[must_use]
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// What queries are answered from.
    #[must_use]
    pub fn published(&self) -> &Arc<Published> {
        &self.published
    }

    /// Hands a change over; false once the writer has ended. Not for async code.
    pub fn send(&self, change: Change) -> bool {
        self.changes.blocking_send(change).is_ok()
    }
}

/// Publishes the first snapshot, so that even the first answer knows what was down, and starts
/// the writer.
///
/// # Errors
/// [`StartError`] when configuration, geography or cookies' secrets are bad.
pub fn start(start: Start, runtime: &Handle) -> Result<(Control, JoinHandle<()>), StartError> {
    let Start { mut pass, fallbacks, keyrings, store, prober, reports } = start;
    let parts = (pass.server.take(), pass.geography.take(), pass.cookie_secrets.take());
    let (Some(Ok(server)), Some(Ok(geography)), Some(Ok(cookie_secrets))) = parts else {
        return Err(StartError::Files(
            pass.diagnostics().filter(|found| found.is_error()).cloned().collect(),
        ));
    };
    let saved = store.as_ref().and_then(|store| {
        store.read_health().unwrap_or_else(|error| {
            tracing::warn!(%error, "health from before the restart can't be used; targets are as assumed");
            None
        })
    });
    let keeper = match store {
        Some(store) => Some(Keeper::start(store).map_err(StartError::Thread)?),
        None => None,
    };
    let model = Arc::new(Model { geography: Arc::clone(&geography), zones: BTreeMap::new() });
    let status = Arc::new(Status::new(Arc::clone(&model)));
    let mut snapshot = Snapshot::empty(settings(&server, &cookie_secrets), Arc::clone(&geography.table));
    snapshot.inspect = Some(Arc::new(Inspector::new(Arc::clone(&status))));
    let published = Arc::new(Published::from_pointee(snapshot));
    let mut writer = Writer {
        server,
        cookie_secrets,
        model,
        zones: Zones::default(),
        slots: Slots::default(),
        keyrings,
        signers: Signers::new(),
        keyless: BTreeMap::new(),
        clock: (Instant::now(), now()),
        specs: BTreeMap::new(),
        status: Arc::clone(&status),
        published: Arc::clone(&published),
        prober,
        keeper,
        retired: VecDeque::new(),
        has_loaded: false,
    };
    let now = now();
    let mut batch = Batch::default();
    writer.take_zones(&mut pass, &mut batch, now);
    for (files, loaded) in fallbacks {
        let text = format!("{} serves its last good version from the state directory", files.apex);
        tracing::warn!(zone = %files.apex, "serving the last good version from the state directory");
        status.note(now, text);
        let occasion = Occasion { now, is_stale: true, is_one_of_many: false };
        writer.put_zone(&files, loaded, &mut batch, occasion);
    }
    writer.watch_targets(now);
    if let Some(saved) = saved {
        status.board_mut().restore(&saved, now);
    }
    writer.decide_all(now);
    writer.publish(Some(batch));
    writer.probe();
    let (changes, queue) = mpsc::channel(CHANGES_QUEUED);
    let control = Control { changes, status, published };
    let runtime = runtime.clone();
    let thread = std::thread::Builder::new()
        .name("writer".into())
        .spawn(move || runtime.block_on(writer.run(queue, reports)))
        .map_err(StartError::Thread)?;
    Ok((control, thread))
}

/// The clock, read at the edge.
#[must_use]
pub fn now() -> Tick {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Tick(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// How a zone comes to be loaded.
#[derive(Clone, Copy)]
struct Occasion {
    now: Tick,
    /// From the state directory, since its files have errors.
    is_stale: bool,
    is_one_of_many: bool,
}

struct Writer {
    server: Arc<Server>,
    cookie_secrets: Arc<Secrets>,
    model: Arc<Model>,
    zones: Zones,
    slots: Slots,
    keyrings: BTreeMap<Name, Arc<Keyring>>,
    signers: Signers,
    /// Zones that are to be signed, and whose keys haven't come.
    keyless: BTreeMap<Name, (ZoneFiles, LoadedZone)>,
    /// The clock as it was seen last, beside one that nobody sets.
    clock: (Instant, Tick),
    /// Probes of each zone, by name.
    specs: BTreeMap<Name, Vec<Spec>>,
    status: Arc<Status>,
    published: Arc<Published>,
    prober: Prober,
    keeper: Option<Keeper>,
    retired: VecDeque<(Tick, Arc<Snapshot>)>,
    /// Whether zones were loaded since memory was given back.
    has_loaded: bool,
}

impl Writer {
    async fn run(
        mut self,
        mut changes: mpsc::Receiver<Change>,
        mut reports: mpsc::Receiver<(ProbeKey, Report, Tick)>,
    ) {
        loop {
            self.renew();
            let due = self.next_due();
            tokio::select! {
                change = changes.recv() => match change {
                    Some(Change::Files(pass)) => self.take_pass(*pass),
                    Some(Change::Release { zone, target }) => self.release(&zone, &target),
                    Some(Change::Keys { zone, keyring }) => self.take_keyring(zone, keyring),
                    Some(Change::Stop) | None => break,
                },
                Some((key, report, at)) = reports.recv() => self.take_report(&key, &report, at),
                () = tokio::time::sleep(due) => self.take_due(),
            }
        }
        self.keep_health();
    }

    fn next_due(&self) -> Duration {
        let now = now();
        let recheck = self.slots.next_recheck().map(|at| at.since(now));
        let retired = self.retired.front().map(|(at, _)| (*at + RETIRED_KEPT).since(now));
        let renewal = self.zones.next_renewal(now.0 / 1000).map(|at| Tick(at * 1000).since(now));
        // With signatures, the clock is looked at now and then.
        let idle = if self.signers.is_empty() { Duration::from_secs(3600) } else { CLOCK_WATCHED };
        recheck.into_iter().chain(retired).chain(renewal).min().unwrap_or(idle).max(Duration::from_millis(1))
    }

    fn take_due(&mut self) {
        let now = now();
        while self.retired.front().is_some_and(|(at, _)| *at + RETIRED_KEPT <= now) {
            self.retired.pop_front();
        }
        if self.has_loaded && self.retired.is_empty() {
            self.has_loaded = false;
            super::memory::give_back();
        }
        let changed = {
            let board = self.status.board();
            let scene =
                Scene { geography: &self.model.geography, board: &board, signers: &self.signers, now };
            let model = &self.model;
            self.slots.decide_due(|apex| model.zones.get(apex).map(|zone| &**zone), scene)
        };
        if changed {
            self.note(now, "a recovered target has its clients back".to_owned());
            self.publish(None);
        }
    }

    fn take_report(&mut self, key: &ProbeKey, report: &Report, at: Tick) {
        let Some(observed) = self.status.board_mut().observe(key, report, at) else { return };
        self.prober.pace(key, observed.next_after);
        if let Some(transition) = observed.transition {
            self.take_transitions(&[transition], at);
        }
    }

    fn take_transitions(&mut self, transitions: &[Transition], now: Tick) {
        let mut changed = false;
        for transition in transitions {
            self.tell(transition);
            let Subject { zone, target, .. } = &transition.subject;
            let Some(zone) = self.model.zones.get(zone).cloned() else { continue };
            let board = self.status.board();
            let scene =
                Scene { geography: &self.model.geography, board: &board, signers: &self.signers, now };
            changed |= self.slots.decide_target(&zone, target, scene);
        }
        if changed {
            self.publish(None);
        }
        self.keep_health();
    }

    /// One line for the log and for `events.waypost`.
    fn tell(&self, transition: &Transition) {
        let Transition { subject, from, to, evidence, probe, at } = transition;
        let address = self.model.zones.get(&subject.zone).and_then(|zone| {
            zone.routing.targets.iter().find(|target| target.name == subject.target)?.address(subject.family)
        });
        let address = address.map_or_else(String::new, |address| format!(" {address}"));
        let probe = probe.as_deref().unwrap_or("configuration");
        let target = &subject.target;
        tracing::info!(zone = %subject.zone, %target, address = address.trim(), %from, %to, probe, %evidence, "health");
        self.status.note(*at, format!("{target}{address} {from} -> {to}: {probe}: {evidence}"));
    }

    fn release(&mut self, apex: &Name, target: &str) {
        let now = now();
        if !self.status.board_mut().release(apex, target) {
            return;
        }
        self.note(now, format!("{target} was released by an operator: it has its clients back"));
        if let Some(zone) = self.model.zones.get(apex).cloned() {
            let changed = {
                let board = self.status.board();
                let scene =
                    Scene { geography: &self.model.geography, board: &board, signers: &self.signers, now };
                self.slots.decide_target(&zone, target, scene)
            };
            if changed {
                self.publish(None);
            }
        }
        self.keep_health();
    }

    fn take_pass(&mut self, mut pass: Pass) {
        let now = now();
        pass.diagnostics().for_each(Diagnostic::log);
        if pass.is_unchanged() {
            return;
        }
        if let Some(Ok(server)) = pass.server.take() {
            self.take_server(server);
        }
        if let Some(Ok(geography)) = pass.geography.take() {
            self.note(now, "geography loaded".to_owned());
            self.take_geography(geography);
        }
        if let Some(Ok(secrets)) = pass.cookie_secrets.take() {
            self.note(now, "secrets of cookies loaded".to_owned());
            self.cookie_secrets = secrets;
        }
        let mut batch = Batch::default();
        self.take_zones(&mut pass, &mut batch, now);
        let transitions = self.watch_targets(now);
        self.decide_all(now);
        self.publish(Some(batch));
        self.probe();
        for transition in &transitions {
            self.tell(transition);
        }
        self.keep_health();
    }

    /// Signs a zone with other keys: all of it if these sign data, and the keys alone else.
    fn take_keyring(&mut self, apex: Name, keyring: Arc<Keyring>) {
        let now = now();
        self.keyrings.insert(apex.clone(), Arc::clone(&keyring));
        let mut batch = Batch::default();
        if let Some((files, loaded)) = self.keyless.remove(&apex) {
            self.put_zone(
                &files,
                loaded,
                &mut batch,
                Occasion { now, is_stale: false, is_one_of_many: false },
            );
            self.watch_targets(now);
            self.decide_all(now);
            self.publish(Some(batch));
            self.probe();
            return;
        }
        let (Some(before), Some(model)) = (self.signers.get(&apex), self.model.zones.get(&apex).cloned())
        else {
            return;
        };
        let signer = Arc::new(Signer::new(keyring, before.denial(), Some(before)));
        self.zones.set_time(now.0 / 1000);
        let assignment = self.slots.plan(&apex, &model.routing, true);
        let signing = signing(Arc::clone(&signer), &model, now);
        if let Err(error) = self.zones.put(&mut batch, &model, assignment.owners.clone(), Some(signing)) {
            tracing::error!(zone = %apex, %error, "the zone stays signed by its former keys");
            return;
        }
        self.slots.assign(&apex, &model.routing, assignment);
        self.signers.insert(apex.clone(), signer);
        self.note(now, format!("{apex}: keys taken"));
        self.decide_all(now);
        self.publish(Some(batch));
    }

    /// What signs a zone: as before, if nothing of it has changed.
    fn signer(&self, apex: &Name, keyring: &Arc<Keyring>, denial: Denial) -> Arc<Signer> {
        let before = self.signers.get(apex);
        let is_same =
            |before: &&Arc<Signer>| Arc::ptr_eq(before.keyring(), keyring) && before.denial() == denial;
        before.filter(is_same).cloned().unwrap_or_else(|| {
            Arc::new(Signer::new(Arc::clone(keyring), denial, before.map(|before| &**before)))
        })
    }

    /// Makes some of the signatures anew that are due. Called between any two changes, so that no
    /// load keeps it from its turn; a slice is small, so that it keeps nothing from theirs.
    fn renew(&mut self) {
        let now = now();
        self.watch_clock(now);
        let seconds = now.0 / 1000;
        if self.zones.next_renewal(seconds).is_none_or(|at| at > seconds) {
            return;
        }
        self.zones.set_time(seconds);
        let mut batch = Batch::default();
        let renewed = self.zones.renew(&mut batch, RENEWALS_TOGETHER);
        {
            let board = self.status.board();
            let scene =
                Scene { geography: &self.model.geography, board: &board, signers: &self.signers, now };
            for zone in renewed.iter().filter_map(|apex| self.model.zones.get(apex)) {
                self.slots.decide_zone(zone, scene);
            }
        }
        self.publish(Some(batch));
    }

    /// Signatures hold by the clock of the world: one that was set is told. Those that it makes
    /// invalid are due, and made anew.
    fn watch_clock(&mut self, now: Tick) {
        let (instant, before) = std::mem::replace(&mut self.clock, (Instant::now(), now));
        let expected = before + instant.elapsed();
        let ahead = now.0.abs_diff(expected.0) / 1000;
        if ahead >= CLOCK_JUMP_SECONDS && !self.signers.is_empty() {
            let way = if now > expected { "forward" } else { "back" };
            tracing::warn!(
                seconds = ahead,
                "the clock was set {way}: signatures that it makes invalid are made anew"
            );
            self.note(now, format!("the clock was set {way} by {ahead} s"));
        }
    }

    fn take_server(&mut self, server: Arc<Server>) {
        for (key, differs) in [
            ("listen", server.listen != self.server.listen),
            ("workers", server.workers != self.server.workers),
            ("zones", server.zones != self.server.zones),
            ("keys", server.keys != self.server.keys),
            ("state", server.state != self.server.state),
            ("[tcp]", server.tcp != self.server.tcp),
        ] {
            if differs {
                tracing::warn!("{key} changed in the configuration; it takes a restart");
            }
        }
        self.server = server;
    }

    /// Routes hold regions by number. A zone that was read under other numbers, because its new
    /// files have errors, is translated by name.
    fn take_geography(&mut self, geography: Arc<Geography>) {
        let names = |geography: &Geography| -> Vec<String> {
            geography.rules.regions.iter().map(|region| region.name.clone()).collect()
        };
        let (old, new) = (names(&self.model.geography), names(&geography));
        let model = Arc::make_mut(&mut self.model);
        model.geography = geography;
        if old != new {
            for zone in model.zones.values_mut() {
                let routing = Arc::new(zone.routing.with_regions(&old, &new));
                *zone = Arc::new(ZoneModel { zone: Arc::clone(&zone.zone), routing });
            }
        }
    }

    fn take_zones(&mut self, pass: &mut Pass, batch: &mut Batch, now: Tick) {
        for apex in std::mem::take(&mut pass.gone) {
            self.note(now, format!("{apex} was removed"));
            self.zones.remove(batch, &apex);
            Arc::make_mut(&mut self.model).zones.remove(&apex);
            self.slots.assign(&apex, &Routing::none(&apex), Assignment::default());
            self.specs.remove(&apex);
            self.signers.remove(&apex);
            self.keyless.remove(&apex);
            self.status.zones_mut().remove(&apex);
            if let Some(keeper) = &self.keeper {
                keeper.forget(ZoneFiles::in_directory(&self.server.zones, &apex));
            }
        }
        let is_one_of_many = pass.zones.len() > TOLD_ONE_BY_ONE;
        if is_one_of_many {
            let zones = pass.zones.iter().filter(|(_, result)| result.is_ok()).count();
            tracing::info!(zones, "zones loaded");
            self.note(now, format!("{zones} zones loaded"));
        }
        let occasion = Occasion { now, is_stale: false, is_one_of_many };
        // The deepest first, so that a parent is compiled once and knows its children.
        for (files, result) in std::mem::take(&mut pass.zones).into_iter().rev() {
            match result {
                Ok(loaded) => self.put_zone(&files, loaded, batch, occasion),
                Err(errors) => self.refuse_zone(&files, &errors, batch, now),
            }
        }
    }

    fn put_zone(
        &mut self,
        files: &ZoneFiles,
        loaded: LoadedZone,
        batch: &mut Batch,
        Occasion { now, is_stale, is_one_of_many }: Occasion,
    ) {
        let apex = files.apex.clone();
        self.keyless.remove(&apex);
        let signer = match loaded.config.dnssec.as_ref().map(|policy| policy.denial) {
            None => None,
            Some(denial) => match self.keyrings.get(&apex) {
                Some(keyring) => Some(self.signer(&apex, keyring, denial)),
                None => {
                    let message = "the zone is to be signed, and there are no keys for it";
                    self.refuse_zone(files, &[Diagnostic::error(&files.zone, message)], batch, now);
                    self.keyless.insert(apex, (files.clone(), loaded));
                    return;
                }
            },
        };
        let LoadedZone { zone, config, contents, .. } = loaded;
        let before = self.model.zones.get(&apex).cloned();
        let model = Arc::new(ZoneModel { zone, routing: Arc::new(config.routing.clone()) });
        let signing = signer.clone().map(|signer| signing(signer, &model, now));
        self.zones.set_time(now.0 / 1000);
        let assignment = self.slots.plan(&apex, &model.routing, signing.is_some());
        if let Err(error) = self.zones.put(batch, &model, assignment.owners.clone(), signing) {
            self.refuse_zone(files, &[Diagnostic::error(&files.zone, error.to_string())], batch, now);
            return;
        }
        self.slots.assign(&apex, &model.routing, assignment);
        match signer {
            Some(signer) => drop(self.signers.insert(apex.clone(), signer)),
            None => drop(self.signers.remove(&apex)),
        }
        let serial = model.zone.soa().serial();
        if let Some(before) = before.filter(|before| before.zone.soa().serial() == serial)
            && !crate::zone::diff(&before.zone, &model.zone).is_empty()
        {
            tracing::warn!(zone = %apex, serial, "records changed and the serial didn't: secondaries won't see it");
            self.note(now, format!("{apex}: records changed, the serial {serial} didn't"));
        }
        let records = model.zone.record_count();
        if !is_one_of_many {
            tracing::info!(zone = %apex, serial, records, routes = model.routing.routes.len(), "zone loaded");
            self.note(now, format!("{apex} loaded, serial {serial}, {records} records"));
        }
        self.specs.insert(apex.clone(), config.probes.clone());
        Arc::make_mut(&mut self.model).zones.insert(apex.clone(), model);
        let mut zones = self.status.zones_mut();
        let error = if is_stale { zones.get(&apex).and_then(|status| status.error.clone()) } else { None };
        let source = files.zone.display().to_string();
        zones.insert(
            apex,
            ZoneStatus { serial: Some(serial), records, source, loaded: Some(now), is_stale, error },
        );
        drop(zones);
        if let Some(keeper) = self.keeper.as_ref().filter(|_| !is_stale) {
            keeper.zone(files.clone(), contents);
        }
    }

    fn refuse_zone(&mut self, files: &ZoneFiles, errors: &[Diagnostic], batch: &mut Batch, now: Tick) {
        let count = errors.iter().filter(|error| error.is_error()).count();
        let first = errors.iter().find(|error| error.is_error());
        let first = first.map_or_else(String::new, Diagnostic::place_and_message);
        self.note(now, format!("{} wasn't loaded: {first}", files.apex));
        self.zones.put_broken(batch, &files.apex);
        let mut zones = self.status.zones_mut();
        let status = zones.entry(files.apex.clone()).or_default();
        if status.source.is_empty() {
            status.source = files.zone.display().to_string();
        }
        status.is_stale = status.serial.is_some();
        status.error = Some((first, count));
    }

    /// Tells the board which targets there are.
    fn watch_targets(&self, now: Tick) -> Vec<Transition> {
        let mut watched = Vec::new();
        for (apex, zone) in &self.model.zones {
            let specs = self.specs.get(apex).map_or(&[][..], Vec::as_slice);
            for target in &zone.routing.targets {
                let probes: Vec<_> = specs
                    .iter()
                    .filter(|spec| target.probes.contains(&spec.name))
                    .map(|spec| (spec.name.clone(), spec.pace))
                    .collect();
                for family in Family::BOTH.into_iter().filter(|family| target.address(*family).is_some()) {
                    watched.push(Watched {
                        subject: Subject { zone: apex.clone(), target: target.name.clone(), family },
                        desired: target.desired,
                        assume_up: target.assume_up,
                        probes: probes.clone(),
                    });
                }
            }
        }
        self.status.board_mut().configure(watched, now)
    }

    /// Tells the prober what to probe.
    fn probe(&self) {
        let mut jobs = Vec::new();
        for (apex, zone) in &self.model.zones {
            let specs = self.specs.get(apex).map_or(&[][..], Vec::as_slice);
            for target in &zone.routing.targets {
                for family in Family::BOTH {
                    let Some(address) = target.address(family) else { continue };
                    let subject = Subject { zone: apex.clone(), target: target.name.clone(), family };
                    jobs.extend(specs.iter().filter(|spec| target.probes.contains(&spec.name)).map(|spec| {
                        Job {
                            key: ProbeKey { subject: subject.clone(), probe: spec.name.clone() },
                            address,
                            spec: spec.clone(),
                        }
                    }));
                }
            }
        }
        self.prober.apply(jobs);
    }

    fn decide_all(&mut self, now: Tick) {
        let board = self.status.board();
        let scene = Scene { geography: &self.model.geography, board: &board, signers: &self.signers, now };
        for zone in self.model.zones.values() {
            self.slots.decide_zone(zone, scene);
        }
    }

    /// Swaps the pointer. With a batch, owners and zones change too; otherwise slots alone.
    fn publish(&mut self, batch: Option<Batch>) {
        let current = self.published.load_full();
        let mut next = match batch {
            Some(batch) => {
                self.has_loaded = true;
                let mut next = self.zones.published(batch, &current);
                next.geo = Arc::clone(&self.model.geography.table);
                next.settings = Arc::new(settings(&self.server, &self.cookie_secrets));
                next
            }
            None => Snapshot::clone(&current),
        };
        next = next.with_slots(self.slots.published());
        self.status.set_model(Arc::clone(&self.model));
        self.retired.push_back((now(), self.published.swap(Arc::new(next))));
    }

    fn keep_health(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.health(self.status.board().save());
        }
    }

    fn note(&self, at: Tick, text: String) {
        self.status.note(at, text);
    }
}

fn signing(signer: Arc<Signer>, model: &ZoneModel, now: Tick) -> Signing {
    Signing { signer, outcomes: Arc::new(outcomes(&model.routing)), now: now.0 / 1000 }
}

pub(super) fn settings(server: &Server, cookie_secrets: &Arc<Secrets>) -> Settings {
    Settings {
        identity: server.identity.clone(),
        udp_payload: server.udp_payload,
        inspect: server.inspect.clone(),
        cookies: Arc::clone(cookie_secrets),
    }
}
