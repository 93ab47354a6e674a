//! The writer's loop: one change after another, each published at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::hand::{Done, Hand, Refused};
use super::inspect::Inspector;
use super::names::Names;
use super::slots::{Assignment, Scene, Signers, Slots};
use super::status::{Status, ZoneStatus};
use super::zones::{Batch, Zones};
use crate::config::server::Server;
use crate::diagnostic::Diagnostic;
use crate::dnssec::Keyring;
use crate::health::{Orders, ProbeKey, Report, Saved, Subject, Tick};
use crate::load::{LoadedZone, Pass, ZoneFiles};
use crate::model::event::{Event, Kind};
use crate::model::{Geography, Model, ZoneModel};
use crate::probe::prober::{Job, Prober};
use crate::probe::spec::Spec;
use crate::resolve::{Found, Resolver};
use crate::route::Routing;
use crate::snapshot::{Published, Row, Settings, Snapshot};
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

/// Something for the writer to do.
#[derive(Debug)]
pub enum Change {
    /// Files changed.
    Files(Box<Pass>),
    /// An operator gives an order. What came of it is told to whoever asked.
    Hand(Box<Hand>, oneshot::Sender<Result<Done, Refused>>),
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
    /// Resolves host names of targets.
    pub resolver: Resolver,
    /// Where it tells what it found.
    pub found: mpsc::Receiver<Found>,
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

    /// Has an operator's order carried out.
    ///
    /// # Errors
    /// [`Refused`], with nothing changed.
    pub async fn order(&self, hand: Hand) -> Result<Done, Refused> {
        let (answer, answered) = oneshot::channel();
        let _ = self.changes.send(Change::Hand(Box::new(hand), answer)).await;
        answered.await.unwrap_or(Err(Refused::Ending))
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
    let Start { mut pass, fallbacks, keyrings, store, prober, reports, resolver, found } = start;
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
    let addresses = store.as_ref().map(Store::read_addresses).transpose().unwrap_or_else(|error| {
        tracing::warn!(%error, "addresses from before the restart can't be used; names are resolved first");
        None
    });
    let told = store.as_ref().map(Store::read_events).transpose().unwrap_or_else(|error| {
        tracing::warn!(%error, "events from before the restart can't be read");
        None
    });
    let keeper = match store {
        Some(store) => Some(Keeper::start(store).map_err(StartError::Thread)?),
        None => None,
    };
    let model = Arc::new(Model { geography: Arc::clone(&geography), zones: BTreeMap::new() });
    let status = Arc::new(Status::new(Arc::clone(&model)));
    status.journal().restore(told.unwrap_or_default());
    let mut snapshot = Snapshot::empty(settings(&server, &cookie_secrets), Arc::clone(&geography.table));
    snapshot.inspect = Some(Arc::new(Inspector::new(Arc::clone(&status))));
    let published = Arc::new(Published::from_pointee(snapshot));
    let mut writer = Writer {
        server,
        cookie_secrets,
        model,
        zones: Zones::counted_in(Arc::clone(status.rows())),
        slots: Slots::default(),
        keyrings,
        signers: Signers::new(),
        keyless: BTreeMap::new(),
        clock: (Instant::now(), now()),
        specs: BTreeMap::new(),
        status: Arc::clone(&status),
        published: Arc::clone(&published),
        prober,
        names: Names::restored(addresses.unwrap_or_default()),
        resolver,
        orders: Orders::default(),
        silent: BTreeSet::new(),
        listened: now(),
        canaries: Vec::new(),
        looked: now(),
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
        writer.note(now, Kind::Error, text);
        let occasion = Occasion { now, is_stale: true, is_one_of_many: false };
        writer.put_zone(&files, loaded, &mut batch, occasion);
    }
    if let Some(saved) = &saved {
        writer.orders = saved.orders.clone();
    }
    writer.watch_targets(now);
    if let Some(saved) = saved {
        status.board_mut().restore(&saved, now);
    }
    writer.decide_all(now);
    writer.publish(Some(batch));
    writer.probe();
    writer.resolve();
    let (changes, queue) = mpsc::channel(CHANGES_QUEUED);
    let control = Control { changes, status, published };
    let runtime = runtime.clone();
    let thread = std::thread::Builder::new()
        .name("writer".into())
        .spawn(move || runtime.block_on(writer.run(queue, reports, found)))
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
pub(super) struct Occasion {
    pub(super) now: Tick,
    /// From the state directory, since its files have errors.
    pub(super) is_stale: bool,
    pub(super) is_one_of_many: bool,
}

pub(super) struct Writer {
    pub(super) server: Arc<Server>,
    cookie_secrets: Arc<Secrets>,
    pub(super) model: Arc<Model>,
    pub(super) zones: Zones,
    pub(super) slots: Slots,
    pub(super) keyrings: BTreeMap<Name, Arc<Keyring>>,
    pub(super) signers: Signers,
    /// Zones that are to be signed, and whose keys haven't come.
    pub(super) keyless: BTreeMap<Name, (ZoneFiles, LoadedZone)>,
    /// The clock as it was seen last, beside one that nobody sets.
    pub(super) clock: (Instant, Tick),
    /// Probes of each zone, by name.
    pub(super) specs: BTreeMap<Name, Vec<Spec>>,
    pub(super) status: Arc<Status>,
    published: Arc<Published>,
    pub(super) prober: Prober,
    names: Names,
    resolver: Resolver,
    /// What operators ordered while the server runs.
    pub(super) orders: Orders,
    /// Subjects that were stale at the last look, and when that was.
    pub(super) silent: BTreeSet<Subject>,
    pub(super) listened: Tick,
    /// Probes of canaries.
    pub(super) canaries: Vec<Job>,
    /// When orders and maintenance windows were looked at last.
    pub(super) looked: Tick,
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
        mut found: mpsc::Receiver<Found>,
    ) {
        loop {
            self.renew();
            let due = self.next_due();
            tokio::select! {
                change = changes.recv() => match change {
                    Some(Change::Files(pass)) => self.take_pass(*pass),
                    Some(Change::Hand(hand, answer)) => {
                        // Whoever asked may have gone; what was ordered stands.
                        let _ = answer.send(self.take_hand(*hand));
                    }
                    Some(Change::Keys { zone, keyring }) => self.take_keyring(zone, keyring),
                    Some(Change::Stop) | None => break,
                },
                Some((key, report, at)) = reports.recv() => self.take_report(&key, &report, at),
                Some(found) = found.recv() => self.take_found(&found),
                () = tokio::time::sleep(due) => self.take_due(),
            }
        }
        self.keep_health();
    }

    fn next_due(&self) -> Duration {
        let now = now();
        let recheck = self.slots.next_recheck().map(|at| at.since(now));
        let retired = self.retired.front().map(|(at, _)| (*at + RETIRED_KEPT).since(now));
        recheck
            .into_iter()
            .chain(retired)
            .chain(self.next_hand(now))
            .chain([self.next_look(now)])
            .chain(self.next_renewal(now.0 / 1000).map(|at| Tick(at * 1000).since(now)))
            .min()
            .unwrap_or_default()
            .max(Duration::from_millis(1))
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
        self.look_for_silence(now);
        self.end_orders(now);
        let changed = {
            let board = self.status.board();
            let scene =
                Scene { geography: &self.model.geography, board: &board, signers: &self.signers, now };
            let model = &self.model;
            self.slots.decide_due(|apex| model.zones.get(apex).map(|zone| &**zone), scene)
        };
        if changed {
            self.note(now, Kind::Failback, "a recovered target has its clients back".to_owned());
            self.publish(None);
        }
    }

    /// A host name has addresses: targets that are given by it change as with a change of files.
    fn take_found(&mut self, found: &Found) {
        let is_named =
            |zone: &&Arc<ZoneModel>| zone.routing.names_to_resolve().any(|name| *name == found.name);
        let named: Vec<_> = self.model.zones.values().filter(is_named).cloned().collect();
        if named.is_empty() {
            return;
        }
        let now = now();
        let news = self.names.take(found);
        if let Some(told) = news.told {
            if news.is_trouble {
                tracing::warn!(name = %found.name, "{told}");
            } else {
                tracing::info!(name = %found.name, "{told}");
            }
            self.note(now, Kind::Notice, told);
        }
        if !news.is_changed {
            return;
        }
        let mut batch = Batch::default();
        named.iter().for_each(|zone| self.put_addresses(zone, &mut batch, now));
        let transitions = self.watch_targets(now);
        for zone in &named {
            let Some(zone) = self.model.zones.get(zone.zone.apex()).cloned() else { continue };
            let board = self.status.board();
            let scene =
                Scene { geography: &self.model.geography, board: &board, signers: &self.signers, now };
            self.slots.decide_zone(&zone, scene);
        }
        self.publish(Some(batch));
        self.probe();
        transitions.iter().for_each(|transition| self.tell_transition(transition, Vec::new()));
        if let Some(keeper) = &self.keeper {
            keeper.addresses(self.names.save());
        }
    }

    fn put_addresses(&mut self, zone: &ZoneModel, batch: &mut Batch, now: Tick) {
        let routing = Arc::new(zone.routing.with_addresses(self.names.resolved()));
        let model = Arc::new(ZoneModel { zone: Arc::clone(&zone.zone), routing });
        let apex = model.zone.apex().clone();
        let signer = self.signers.get(&apex).cloned();
        if let Err(error) = self.place(&model, signer, batch, now) {
            tracing::error!(zone = %apex, %error, "new addresses can't be published");
            return;
        }
        Arc::make_mut(&mut self.model).zones.insert(apex, model);
    }

    /// Tells the resolver which names there are.
    fn resolve(&mut self) {
        let zones = self.model.zones.values();
        let wanted: BTreeSet<Name> =
            zones.flat_map(|zone| zone.routing.names_to_resolve().cloned()).collect();
        self.names.keep_only(&wanted);
        self.resolver.apply(wanted, &self.server.resolvers);
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
            self.note(now, Kind::Notice, "geography loaded".to_owned());
            self.take_geography(geography);
        }
        if let Some(Ok(secrets)) = pass.cookie_secrets.take() {
            self.note(now, Kind::Notice, "secrets of cookies loaded".to_owned());
            self.cookie_secrets = secrets;
        }
        let mut batch = Batch::default();
        self.take_zones(&mut pass, &mut batch, now);
        let transitions = self.watch_targets(now);
        self.decide_all(now);
        self.publish(Some(batch));
        self.probe();
        self.resolve();
        for transition in &transitions {
            self.tell_transition(transition, Vec::new());
        }
        self.keep_health();
    }

    fn take_server(&mut self, server: Arc<Server>) {
        for (key, differs) in [
            ("listen", server.listen != self.server.listen),
            ("workers", server.workers != self.server.workers),
            ("zones", server.zones != self.server.zones),
            ("keys", server.keys != self.server.keys),
            ("state", server.state != self.server.state),
            ("[tcp]", server.tcp != self.server.tcp),
            ("[tls]", server.tls != self.server.tls),
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
            self.note(now, Kind::Notice, format!("{apex} was removed"));
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
            self.note(now, Kind::Notice, format!("{zones} zones loaded"));
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

    pub(super) fn put_zone(
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
        let routing = Arc::new(config.routing.with_addresses(self.names.resolved()));
        let model = Arc::new(ZoneModel { zone, routing });
        if let Err(error) = self.place(&model, signer, batch, now) {
            self.refuse_zone(files, &[Diagnostic::error(&files.zone, error.to_string())], batch, now);
            return;
        }
        let serial = model.zone.soa().serial();
        if let Some(before) = before.filter(|before| before.zone.soa().serial() == serial)
            && !crate::zone::diff(&before.zone, &model.zone).is_empty()
        {
            tracing::warn!(zone = %apex, serial, "records changed and the serial didn't: secondaries won't see it");
            self.note(now, Kind::Notice, format!("{apex}: records changed, the serial {serial} didn't"));
        }
        let records = model.zone.record_count();
        if !is_one_of_many {
            tracing::info!(zone = %apex, serial, records, routes = model.routing.routes.len(), "zone loaded");
            self.note(now, Kind::Notice, format!("{apex} loaded, serial {serial}, {records} records"));
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
        self.note(now, Kind::Error, format!("{} wasn't loaded: {first}", files.apex));
        self.zones.put_broken(batch, &files.apex);
        let mut zones = self.status.zones_mut();
        let status = zones.entry(files.apex.clone()).or_default();
        if status.source.is_empty() {
            status.source = files.zone.display().to_string();
        }
        status.is_stale = status.serial.is_some();
        status.error = Some((first, count));
    }

    pub(super) fn decide_all(&mut self, now: Tick) {
        let board = self.status.board();
        let scene = Scene { geography: &self.model.geography, board: &board, signers: &self.signers, now };
        for zone in self.model.zones.values() {
            self.slots.decide_zone(zone, scene);
        }
    }

    /// Swaps the pointer. With a batch, owners and zones change too; otherwise slots alone.
    pub(super) fn publish(&mut self, batch: Option<Batch>) {
        let current = self.published.load_full();
        let mut next = match batch {
            Some(batch) => {
                self.has_loaded = true;
                let mut next = self.zones.published(batch, &current);
                next.geo = Arc::clone(&self.model.geography.table);
                next.region_rows = self.region_rows();
                next.settings = Arc::new(settings(&self.server, &self.cookie_secrets));
                next
            }
            None => Snapshot::clone(&current),
        };
        next = next.with_slots(self.slots.published());
        self.status.set_model(Arc::clone(&self.model));
        self.retired.push_back((now(), self.published.swap(Arc::new(next))));
    }

    fn region_rows(&self) -> Arc<[Row]> {
        let geography = &self.model.geography;
        geography.regions().map(|region| self.status.rows().region(geography.rules.name(region))).collect()
    }

    pub(super) fn keep_health(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.health(Saved { orders: self.orders.clone(), ..self.status.board().save() });
        }
    }

    pub(super) fn note(&self, at: Tick, kind: Kind, text: String) {
        self.tell(Event::new(at, kind, text));
    }

    /// Tells an event to all who listen, and keeps it.
    pub(super) fn tell(&self, event: Event) {
        let event = self.status.journal().tell(event);
        if let Some(keeper) = &self.keeper {
            keeper.event(event);
        }
    }
}

pub(super) fn settings(server: &Server, cookie_secrets: &Arc<Secrets>) -> Settings {
    Settings {
        identity: server.identity.clone(),
        udp_payload: server.udp_payload,
        inspect: server.inspect.clone(),
        cookies: Arc::clone(cookie_secrets),
    }
}
