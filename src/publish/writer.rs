//! The writer: takes one change after another, publishes each at once, and says what is to be done
//! about it outside.
//!
//! It knows no thread, no socket, no disk and no clock: changes and time come in, errands go out.
//! `thread` runs it on the clock; simulations run it on theirs.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::asked::Asked;
use super::hand::{Done, Hand, Refused};
use super::inspect::Inspector;
use super::loading::Occasion;
use super::names::Names;
use super::slots::{Scene, Signers, Slots};
use super::status::Status;
use super::verdicts::{Alert, Told, Verdict};
use super::zones::{Batch, Zones};
use crate::compile::signer::Signer;
use crate::config::server::Server;
use crate::diagnostic::Diagnostic;
use crate::dnssec::Keyring;
use crate::health::{Orders, ProbeKey, Pushed, Saved, Subject, Tick};
use crate::load::{LoadedZone, Pass, ZoneFiles};
use crate::model::event::{Event, Kind};
use crate::model::{Geography, Model, ZoneModel};
use crate::probe::prober::Job;
use crate::probe::spec::Spec;
use crate::querylog;
use crate::resolve::Found;
use crate::route::{Routing, types};
use crate::snapshot::{Published, Row, Settings, Snapshot};
use crate::state::SavedAddresses;
use crate::wire::cookie::Secrets;
use crate::wire::name::Name;

/// How long an old snapshot is kept after another has taken its place. A worker holds one for a
/// batch, far shorter; so it is the writer's thread that frees the memory, not a worker.
const RETIRED_KEPT: Duration = Duration::from_secs(2);

/// The same of the one before the first, which no worker has seen: what it waits for is that the
/// first answers are out before the memory is given back that loading took.
const FIRST_KEPT: Duration = Duration::from_millis(200);

/// By how much time may go back before the clock was set: reports wait in a queue, so that one may
/// be older than what was taken before it.
const QUEUED_FOR: Duration = Duration::from_secs(1);

/// Something for the writer to do.
#[derive(Debug)]
pub enum Change {
    /// Files changed.
    Files(Box<Pass>),
    /// An operator gives an order. What came of it is told to whoever asked.
    Hand(Box<Hand>, oneshot::Sender<Result<Done, Refused>>),
    /// Somebody tells how a target is. How many probes waited for that is told back.
    Verdict(Box<Verdict>, oneshot::Sender<Result<usize, Refused>>),
    /// Alertmanager tells of alerts. Likewise.
    Alerts(Vec<Alert>, oneshot::Sender<usize>),
    /// The keys of a signed zone are others now, or do other things.
    Keys {
        /// The zone.
        zone: Name,
        /// What signs it from now on.
        keyring: Arc<Keyring>,
    },
    /// A zone isn't signed any more.
    Unsigned {
        /// The zone.
        zone: Name,
    },
    /// Something about the keys of a zone, or its bundle, must be seen to.
    Trouble {
        /// The zone.
        zone: Name,
        /// What, and what to do.
        what: String,
    },
    /// The signer of a zone was asked for its bundle.
    Asked {
        /// The zone.
        zone: Name,
        /// Whether its bundle is here now; else what is in the way.
        answer: Result<(), String>,
    },
    /// End the writer; state is kept first.
    Stop,
}

/// What is to be done outside, in this order, after a change.
#[derive(Debug)]
pub(super) enum Errand {
    /// Run exactly these probes.
    Probe(Vec<Job>),
    /// Send a probe again so long after its report.
    Pace(ProbeKey, Duration),
    /// Hand this word to a probe that waits for it.
    Tell(ProbeKey, Pushed),
    /// Hand it this word from before a restart, unless another came since.
    Remind(ProbeKey, Pushed),
    /// Resolve exactly these names, by these servers.
    Resolve(BTreeSet<Name>, Vec<SocketAddr>),
    /// Keep verdicts over a restart.
    KeepHealth(Saved),
    /// Keep the addresses of host names over a restart.
    KeepAddresses(SavedAddresses),
    /// Keep a zone that loaded well, with the content of its files.
    KeepZone(Arc<ZoneFiles>, Vec<(PathBuf, Bytes)>),
    /// Forget a zone that an operator took away.
    ForgetZone(ZoneFiles),
    /// Keep an event over a restart.
    KeepEvent(Arc<Event>),
    /// Write a zone's signatures for servers without its keys; with the zone's serial.
    WriteBundle(Arc<Signer>, u32),
    /// Write down these queries from now on.
    WriteDown(Box<querylog::Wanted>),
    /// Give memory back that loading took.
    GiveMemoryBack,
}

/// What a writer begins with.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) server: Arc<Server>,
    pub(super) geography: Arc<Geography>,
    pub(super) cookie_secrets: Arc<Secrets>,
    /// The first pass, for its zones.
    pub(super) pass: Pass,
    /// Last good versions of zones whose files have errors.
    pub(super) fallbacks: Vec<(Arc<ZoneFiles>, LoadedZone)>,
    /// Keys of the zones that are signed.
    pub(super) keyrings: BTreeMap<Name, Arc<Keyring>>,
    /// Verdicts from before a restart.
    pub(super) health: Option<Saved>,
    /// Addresses of host names from before a restart.
    pub(super) addresses: SavedAddresses,
    /// What happened before a restart.
    pub(super) events: Vec<Event>,
}

pub(super) struct Writer {
    pub(super) server: Arc<Server>,
    cookie_secrets: Arc<Secrets>,
    pub(super) model: Arc<Model>,
    /// Zones of the model that have targets or routes: of ten thousand few may, and a change of one
    /// asks for all that are probed.
    pub(super) steered: BTreeMap<Name, Arc<ZoneModel>>,
    pub(super) zones: Zones,
    pub(super) slots: Slots,
    pub(super) keyrings: BTreeMap<Name, Arc<Keyring>>,
    pub(super) signers: Signers,
    /// Zones that are to be signed, and whose keys haven't come.
    pub(super) keyless: BTreeMap<Name, (Arc<ZoneFiles>, LoadedZone)>,
    /// Probes of zones that have some, by name.
    pub(super) specs: BTreeMap<Name, Vec<Spec>>,
    pub(super) status: Arc<Status>,
    published: Arc<Published>,
    pub(super) names: Names,
    /// What operators ordered while the server runs.
    pub(super) orders: Orders,
    /// What others told of targets.
    pub(super) told: Told,
    /// Subjects that were stale at the last look, and when that was.
    pub(super) silent: BTreeSet<Subject>,
    pub(super) listened: Tick,
    /// Probes of canaries.
    pub(super) canaries: Vec<Job>,
    /// When it was told last that a bundle's signatures end.
    pub(super) ends_told: BTreeMap<Name, Tick>,
    /// Signers that are asked for bundles.
    pub(super) asked: Asked,
    /// When orders and maintenance windows were looked at last.
    pub(super) looked: Tick,
    /// Until when each old snapshot is kept.
    retired: VecDeque<(Tick, Arc<Snapshot>)>,
    /// Whether zones were loaded since memory was given back.
    has_loaded: bool,
    /// What is to be done outside, said also where the writer is only read.
    errands: RefCell<Vec<Errand>>,
    /// The latest time that it was told.
    latest: Tick,
}

impl Writer {
    /// Publishes the first snapshot, so that even the first answer knows what was down.
    pub(super) fn begin(beginning: Beginning, now: Tick) -> Writer {
        let Beginning { server, geography, cookie_secrets, mut pass, fallbacks, .. } = beginning;
        let Beginning { keyrings, health, addresses, events, .. } = beginning;
        let model = Arc::new(Model { geography: Arc::clone(&geography), zones: BTreeMap::new() });
        let status = Arc::new(Status::new(Arc::clone(&model), Arc::clone(&server)));
        status.journal().restore(events);
        let mut orders = health.as_ref().map(|saved| saved.orders.clone()).unwrap_or_default();
        let mut told = health.as_ref().map(|saved| Told::restored(&saved.pushed)).unwrap_or_default();
        // A clock that was set back over the restart: orders have as long to go, and words get older.
        let by = health.as_ref().map_or(Duration::ZERO, |saved| saved.latest().since(now));
        orders.set_back(by);
        told.set_back(by);
        let mut snapshot = Snapshot::empty(settings(&server, &cookie_secrets), Arc::clone(&geography.table));
        snapshot.inspect = Some(Arc::new(Inspector::new(Arc::clone(&status))));
        let mut writer = Writer {
            server,
            cookie_secrets,
            model,
            steered: BTreeMap::new(),
            zones: Zones::counted_in(Arc::clone(status.rows())),
            slots: Slots::default(),
            keyrings,
            signers: Signers::new(),
            keyless: BTreeMap::new(),
            specs: BTreeMap::new(),
            status,
            published: Arc::new(Published::from_pointee(snapshot)),
            names: Names::restored(addresses),
            orders,
            told,
            silent: BTreeSet::new(),
            listened: now,
            canaries: Vec::new(),
            ends_told: BTreeMap::new(),
            asked: Asked::default(),
            looked: now,
            retired: VecDeque::new(),
            has_loaded: false,
            errands: RefCell::default(),
            latest: now,
        };
        let mut batch = Batch::default();
        writer.take_zones(&mut pass, &mut batch, now);
        for (files, loaded) in fallbacks {
            let text = format!("{} serves its last good version from the state directory", files.apex);
            tracing::warn!(kind = "zone", zone = %files.apex, "serving the last good version from the state directory");
            writer.note(now, Kind::Error, text);
            let occasion = Occasion { now, is_stale: true, is_one_of_many: false };
            writer.put_zone(&files, loaded, &mut batch, occasion);
        }
        writer.watch_targets(now);
        if let Some(health) = health {
            writer.status.board_mut().restore(&health, now);
        }
        // A beginning is no news.
        writer.status.board_mut().take_need_news();
        writer.decide_all(now);
        writer.publish(Some(batch), now);
        writer.probe();
        writer.tell_again();
        writer.resolve();
        writer.end_orders(now);
        // The disk still has what ended meanwhile, and all of it by the clock before.
        writer.keep_health();
        writer
    }

    /// What the server knows, for looking at.
    pub(super) fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// What queries are answered from.
    pub(super) fn published(&self) -> &Arc<Published> {
        &self.published
    }

    /// What is to be done since this was asked last.
    pub(super) fn errands(&mut self) -> Vec<Errand> {
        std::mem::take(self.errands.get_mut())
    }

    pub(super) fn errand(&self, errand: Errand) {
        self.errands.borrow_mut().push(errand);
    }

    /// Takes a change; false when it was the last one.
    pub(super) fn take(&mut self, change: Change, now: Tick) -> bool {
        self.look_at_clock(now);
        match change {
            Change::Files(pass) => self.take_pass(*pass, now),
            Change::Hand(hand, answer) => {
                // Whoever asked may have gone; what was ordered stands.
                let _ = answer.send(self.take_hand(*hand, now));
            }
            Change::Verdict(verdict, answer) => {
                let _ = answer.send(self.take_verdict(&verdict, now));
            }
            Change::Alerts(alerts, answer) => {
                let _ = answer.send(self.take_alerts(&alerts, now));
            }
            Change::Keys { zone, keyring } => self.take_keyring(zone, keyring, now),
            Change::Unsigned { zone } => self.take_signatures_off(&zone, now),
            Change::Trouble { zone, what } => self.note(now, Kind::Error, format!("{zone}: {what}")),
            Change::Asked { zone, answer } => self.take_answer(&zone, answer, now),
            Change::Stop => {
                self.keep_health();
                return false;
            }
        }
        true
    }

    /// Whether the clock was set back: then what was remembered is set back with it.
    pub(super) fn look_at_clock(&mut self, now: Tick) {
        let by = self.latest.since(now);
        if by <= QUEUED_FOR {
            self.latest = self.latest.max(now);
            return;
        }
        tracing::warn!(kind = "clock", ?by, "the clock was set back");
        self.note(now, Kind::Notice, format!("the clock was set back by {}", crate::health::tick::short(by)));
        let before = std::mem::replace(&mut self.latest, now);
        self.status.board_mut().set_back(by);
        self.slots.set_back(by);
        self.orders.set_back(by);
        self.told.set_back(by);
        self.asked.set_back(by);
        (self.listened, self.looked) = (self.listened - by, self.looked - by);
        self.retired.iter_mut().for_each(|(until, _)| *until = *until - by);
        self.keep_health();
        self.follow_clock(before, now);
    }

    /// Time until [`take_due`](Self::take_due) has something to do.
    pub(super) fn next_due(&self, now: Tick) -> Duration {
        let recheck = self.slots.next_recheck().map(|at| at.since(now));
        let retired = self.retired.front().map(|(until, _)| until.since(now));
        recheck
            .into_iter()
            .chain(retired)
            .chain(self.next_hand(now))
            .chain([self.next_look(now)])
            .chain(self.next_belief(now))
            .chain(self.next_renewal(now.0 / 1000).map(|at| Tick(at * 1000).since(now)))
            .min()
            .unwrap_or_default()
            .max(Duration::from_millis(1))
    }

    /// Does what time alone asks for.
    pub(super) fn take_due(&mut self, now: Tick) {
        self.look_at_clock(now);
        while self.retired.front().is_some_and(|(until, _)| *until <= now) {
            self.retired.pop_front();
        }
        if self.has_loaded && self.retired.is_empty() {
            self.has_loaded = false;
            self.errand(Errand::GiveMemoryBack);
        }
        self.look_for_silence(now);
        self.look_for_ends(now);
        self.look_for_lag(now);
        self.end_orders(now);
        if self.next_belief(now).is_some_and(|rest| rest.is_zero()) {
            self.doubt_anew(now);
        }
        let changed = {
            let board = self.status.board();
            let scene =
                Scene { geography: &self.model.geography, board: &board, signers: &self.signers, now };
            let model = &self.model;
            self.slots.decide_due(|apex| model.zones.get(apex).map(|zone| &**zone), scene)
        };
        if changed {
            self.note(now, Kind::Failback, "a recovered target has its clients back".to_owned());
            self.publish(None, now);
        }
    }

    /// A host name has addresses: targets that are given by it change as with a change of files.
    pub(super) fn take_found(&mut self, found: &Found, now: Tick) {
        self.look_at_clock(now);
        let is_named =
            |zone: &&Arc<ZoneModel>| zone.routing.names_to_resolve().any(|name| *name == found.name);
        let named: Vec<_> = self.steered.values().filter(is_named).cloned().collect();
        if named.is_empty() {
            return;
        }
        let news = self.names.take(found);
        if let Some(told) = news.told {
            if news.is_trouble {
                tracing::warn!(kind = "address", name = %found.name, "{told}");
            } else {
                tracing::info!(kind = "address", name = %found.name, "{told}");
            }
            self.note(now, Kind::Notice, told);
        }
        if !news.is_changed {
            return;
        }
        let mut batch = Batch::default();
        for zone in &named {
            let mut routing = Routing::clone(&zone.routing);
            routing.set_addresses(self.names.resolved());
            self.put_routing(zone, routing, &mut batch, now);
        }
        let (transitions, judged) = self.watch_targets(now);
        if judged.is_as_before() {
            for zone in &named {
                let Some(zone) = self.model.zones.get(zone.zone.apex()).cloned() else { continue };
                let board = self.status.board();
                let scene =
                    Scene { geography: &self.model.geography, board: &board, signers: &self.signers, now };
                self.slots.decide_zone(&zone, scene);
            }
        } else {
            self.decide_all(now);
        }
        self.publish(Some(batch), now);
        self.tell_judged(judged, now);
        self.probe();
        self.tell_again();
        transitions.iter().for_each(|transition| self.tell_transition(transition, Vec::new()));
        self.tell_need_news(now);
        self.errand(Errand::KeepAddresses(self.names.save()));
    }

    /// The same records with other routes.
    fn put_routing(&mut self, zone: &ZoneModel, routing: Routing, batch: &mut Batch, now: Tick) {
        let routing = Arc::new(routing);
        let model = Arc::new(ZoneModel { zone: Arc::clone(&zone.zone), routing });
        let apex = model.zone.apex().clone();
        let signer = self.signers.get(&apex).cloned();
        if let Err(error) = self.place(&model, signer, None, batch, now) {
            tracing::error!(kind = "zone", zone = %apex, %error, "its routes can't be published as they are now");
            return;
        }
        self.set_model(apex, model);
    }

    /// A zone of the model from now on.
    pub(super) fn set_model(&mut self, apex: Name, zone: Arc<ZoneModel>) {
        if zone.routing.targets.is_empty() && zone.routing.routes.is_empty() {
            self.steered.remove(&apex);
        } else {
            self.steered.insert(apex.clone(), Arc::clone(&zone));
        }
        Arc::make_mut(&mut self.model).zones.insert(apex, zone);
    }

    /// Tells the resolver which names there are.
    fn resolve(&mut self) {
        let zones = self.steered.values();
        let wanted: BTreeSet<Name> =
            zones.flat_map(|zone| zone.routing.names_to_resolve().cloned()).collect();
        if self.names.keep_only(&wanted) {
            self.errand(Errand::KeepAddresses(self.names.save()));
        }
        self.errand(Errand::Resolve(wanted, self.server.resolvers.clone()));
    }

    fn take_pass(&mut self, mut pass: Pass, now: Tick) {
        pass.diagnostics().for_each(Diagnostic::log);
        if pass.is_unchanged() {
            return;
        }
        if let Some(Ok(server)) = pass.server.take() {
            self.take_server(server);
        }
        let mut batch = Batch::default();
        if let Some(Ok(geography)) = pass.geography.take() {
            self.note(now, Kind::Notice, "geography loaded".to_owned());
            self.take_geography(geography, &mut batch, now);
        }
        if let Some(Ok(secrets)) = pass.cookie_secrets.take() {
            self.note(now, Kind::Notice, "secrets of cookies loaded".to_owned());
            self.cookie_secrets = secrets;
        }
        self.take_zones(&mut pass, &mut batch, now);
        let (transitions, judged) = self.watch_targets(now);
        self.decide_all(now);
        self.publish(Some(batch), now);
        self.tell_judged(judged, now);
        self.probe();
        self.tell_again();
        self.resolve();
        for transition in &transitions {
            self.tell_transition(transition, Vec::new());
        }
        self.tell_need_news(now);
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
            ("[bundles]", server.bundles != self.server.bundles),
            ("[admin]", server.admin != self.server.admin),
        ] {
            if differs {
                tracing::warn!(kind = "file", "{key} changed in the configuration; it takes a restart");
            }
        }
        self.status.set_server(Arc::clone(&server));
        if server.query_log != self.server.query_log {
            self.errand(Errand::WriteDown(Box::new(server.query_log.clone())));
        }
        self.server = server;
    }

    /// Routes hold regions by number. A zone that was read under other numbers, because its new
    /// files have errors, is translated by name.
    fn take_geography(&mut self, geography: Arc<Geography>, batch: &mut Batch, now: Tick) {
        let names = |geography: &Geography| -> Vec<String> {
            geography.rules.regions.iter().map(|region| region.name.clone()).collect()
        };
        let (old, new) = (names(&self.model.geography), names(&geography));
        Arc::make_mut(&mut self.model).geography = geography;
        if old == new {
            return;
        }
        for zone in self.steered.values().cloned().collect::<Vec<_>>() {
            let routing = zone.routing.with_regions(&old, &new);
            // With its region a target may go that alone had a type: then nobody has it any more.
            let mut routes = zone.routing.routes.iter().zip(&routing.routes);
            if routes.all(|(old, new)| types(&zone.routing, old) == types(&routing, new)) {
                let model = ZoneModel { zone: Arc::clone(&zone.zone), routing: Arc::new(routing) };
                self.set_model(zone.zone.apex().clone(), Arc::new(model));
            } else {
                self.put_routing(&zone, routing, batch, now);
            }
        }
    }

    pub(super) fn decide_all(&mut self, now: Tick) {
        let board = self.status.board();
        let scene = Scene { geography: &self.model.geography, board: &board, signers: &self.signers, now };
        for zone in self.steered.values() {
            self.slots.decide_zone(zone, scene);
        }
    }

    /// Swaps the pointer. With a batch, owners and zones change too; otherwise slots alone.
    pub(super) fn publish(&mut self, batch: Option<Batch>, now: Tick) {
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
        let before = self.status.set_model(Arc::clone(&self.model));
        self.status.figures().count_snapshot(now);
        let kept = if self.status.figures().snapshots() == 1 { FIRST_KEPT } else { RETIRED_KEPT };
        self.retired.push_back((now + kept, self.published.swap(Arc::new(next))));
        drop(before);
    }

    fn region_rows(&self) -> Arc<[Row]> {
        let geography = &self.model.geography;
        geography.regions().map(|region| self.status.rows().region(geography.rules.name(region))).collect()
    }

    pub(super) fn keep_health(&self) {
        let (orders, pushed) = (self.orders.clone(), self.told.save());
        let saved = Saved { orders, pushed, ..self.status.board().save() };
        self.errand(Errand::KeepHealth(saved));
    }

    pub(super) fn note(&self, at: Tick, kind: Kind, text: String) {
        self.tell(Event::new(at, kind, text));
    }

    /// Tells an event to all who listen, and keeps it.
    pub(super) fn tell(&self, event: Event) {
        let event = self.status.journal().tell(event);
        self.errand(Errand::KeepEvent(event));
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
