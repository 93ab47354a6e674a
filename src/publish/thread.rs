//! The writer's thread: the queues before the writer, the clock beside it, and what lies
//! outside: probes, names, the disk.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::hand::{Done, Hand, Refused};
use super::status::Status;
use super::verdicts::{Alert, Verdict};
use super::writer::{Beginning, Change, Errand, Writer};
use crate::bundles::Bindery;
use crate::diagnostic::Diagnostic;
use crate::dnssec::Keyring;
use crate::health::{ProbeKey, Report, Tick};
use crate::load::{LoadedZone, Pass, ZoneFiles};
use crate::probe::prober::Prober;
use crate::querylog;
use crate::resolve::{Found, Resolver};
use crate::snapshot::Published;
use crate::state::{Keeper, Store};
use crate::wire::name::Name;

/// Changes that wait. Senders of more wait for a place; probe reports have a queue of their own
/// and are dropped instead, since the next one says the same.
const CHANGES_QUEUED: usize = 64;

/// A clock that is ahead by more than this was set, and didn't drift.
const CLOCK_JUMP: Duration = Duration::from_secs(60);

/// Where changes are sent.
#[derive(Clone, Debug)]
pub struct Control {
    changes: mpsc::Sender<Change>,
    is_ending: Arc<AtomicBool>,
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
    pub fallbacks: Vec<(Arc<ZoneFiles>, LoadedZone)>,
    /// Keys of the zones that are signed. One that is to be signed and has none isn't served.
    pub keyrings: BTreeMap<Name, Arc<Keyring>>,
    /// Writes bundles for servers without keys, on one that has them.
    pub bindery: Option<Bindery>,
    /// What survived the last run.
    pub store: Option<Store>,
    /// Runs probes.
    pub prober: Prober,
    /// Where probes report to.
    pub reports: mpsc::Receiver<(ProbeKey, Report, Tick)>,
    /// Resolves host names of targets.
    pub resolver: Resolver,
    /// Writes queries down.
    pub query_log: querylog::Handle,
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

    /// Tells how a target is. How many probes waited for it.
    ///
    /// # Errors
    /// [`Refused`], with nobody told.
    pub async fn verdict(&self, verdict: Verdict) -> Result<usize, Refused> {
        let (answer, answered) = oneshot::channel();
        let _ = self.changes.send(Change::Verdict(Box::new(verdict), answer)).await;
        answered.await.unwrap_or(Err(Refused::Ending))
    }

    /// Tells of alerts. How many probes they were for.
    ///
    /// # Errors
    /// [`Refused::Ending`].
    pub async fn alerts(&self, alerts: Vec<Alert>) -> Result<usize, Refused> {
        let (answer, answered) = oneshot::channel();
        let _ = self.changes.send(Change::Alerts(alerts, answer)).await;
        answered.await.map_err(|_| Refused::Ending)
    }

    /// Hands a change over; false once the writer has ended. Not for async code.
    pub fn send(&self, change: Change) -> bool {
        self.changes.blocking_send(change).is_ok()
    }

    /// Likewise, for async code.
    pub async fn tell(&self, change: Change) -> bool {
        self.changes.send(change).await.is_ok()
    }

    /// Has the writer end once it is done with what it is about, and with what it must keep. Orders
    /// that wait are refused. Returns at once.
    pub fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
        // Wakes it; with a full queue it is awake.
        let _ = self.changes.try_send(Change::Stop);
    }
}

/// Publishes the first snapshot, so that even the first answer knows what was down, and starts
/// the writer.
///
/// # Errors
/// [`StartError`] when configuration, geography or cookies' secrets are bad.
pub fn start(start: Start, runtime: &Handle) -> Result<(Control, JoinHandle<()>), StartError> {
    let Start { mut pass, fallbacks, keyrings, bindery, store, .. } = start;
    let Start { prober, reports, resolver, query_log, found, .. } = start;
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
    let events = store.as_ref().map(Store::read_events).transpose().unwrap_or_else(|error| {
        tracing::warn!(%error, "events from before the restart can't be read");
        None
    });
    let keeper = match store {
        Some(store) => Some(Keeper::start(store).map_err(StartError::Thread)?),
        None => None,
    };
    let server_wants = server.query_log.clone();
    let beginning = Beginning {
        server,
        geography,
        cookie_secrets,
        pass,
        fallbacks,
        keyrings,
        health: saved,
        addresses: addresses.unwrap_or_default(),
        events: events.unwrap_or_default(),
    };
    let began = Instant::now();
    let writer = Writer::begin(beginning, now());
    writer.status().figures().measure(began.elapsed());
    let (status, published) = (Arc::clone(writer.status()), Arc::clone(writer.published()));
    query_log.want(server_wants);
    let outside = Outside { prober, resolver, query_log, bindery, keeper };
    let (changes, queue) = mpsc::channel(CHANGES_QUEUED);
    let control = Control { changes, is_ending: Arc::default(), status, published };
    let (runtime, is_ending) = (runtime.clone(), Arc::clone(&control.is_ending));
    let thread = std::thread::Builder::new()
        .name("writer".into())
        .spawn(move || runtime.block_on(run(writer, outside, (queue, &is_ending), reports, found)))
        .map_err(StartError::Thread)?;
    Ok((control, thread))
}

/// The clock, read at the edge.
#[must_use]
pub fn now() -> Tick {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Tick(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The clock as it was seen last, beside one that nobody sets.
struct Clock(Instant, Tick);

impl Clock {
    fn new() -> Clock {
        Clock(Instant::now(), now())
    }

    /// By how much the clock went ahead of the time that has passed, if it was set.
    fn was_set_forward(&mut self, now: Tick) -> Option<Duration> {
        let Clock(instant, before) = std::mem::replace(self, Clock(Instant::now(), now));
        Some(now.since(before + instant.elapsed())).filter(|by| *by >= CLOCK_JUMP)
    }
}

/// Where the writer's errands are done.
struct Outside {
    prober: Prober,
    resolver: Resolver,
    bindery: Option<Bindery>,
    query_log: querylog::Handle,
    /// None: nothing is kept over a restart.
    keeper: Option<Keeper>,
}

async fn run(
    mut writer: Writer,
    mut outside: Outside,
    (mut changes, is_ending): (mpsc::Receiver<Change>, &AtomicBool),
    mut reports: mpsc::Receiver<(ProbeKey, Report, Tick)>,
    mut found: mpsc::Receiver<Found>,
) {
    let mut goes_on = true;
    let mut clock = Clock::new();
    while goes_on {
        if let Some(by) = clock.was_set_forward(now()) {
            writer.clock_was_set_forward(by, now());
        }
        writer.renew(now());
        writer.errands().into_iter().for_each(|errand| outside.carry_out(errand));
        let due = writer.next_due(now());
        let snapshots = writer.status().figures().snapshots();
        // Before anything that needs the runtime, which may not have waited for a long turn.
        if is_ending.load(Ordering::Relaxed) {
            writer.take(Change::Stop, now());
            break;
        }
        let began;
        tokio::select! {
            change = changes.recv() => {
                began = Instant::now();
                goes_on = writer.take(change.unwrap_or(Change::Stop), now());
            }
            Some((key, report, at)) = reports.recv() => {
                began = Instant::now();
                writer.take_report(&key, &report, at);
            }
            Some(found) = found.recv() => {
                began = Instant::now();
                writer.take_found(&found, now());
            }
            () = tokio::time::sleep(due) => {
                began = Instant::now();
                writer.take_due(now());
            }
        }
        let figures = writer.status().figures();
        if figures.snapshots() > snapshots {
            figures.measure(began.elapsed());
        }
    }
    writer.errands().into_iter().for_each(|errand| outside.carry_out(errand));
}

impl Outside {
    fn carry_out(&mut self, errand: Errand) {
        match (errand, &self.keeper) {
            (Errand::Probe(jobs), _) => self.prober.apply(jobs),
            (Errand::Pace(key, next_after), _) => self.prober.pace(&key, next_after),
            (Errand::Tell(key, pushed), _) => self.prober.tell(&key, pushed),
            (Errand::Remind(key, pushed), _) => self.prober.remind(&key, pushed),
            (Errand::Resolve(names, servers), _) => self.resolver.apply(names, &servers),
            (Errand::WriteBundle(signer, serial), _) => {
                if let Some(bindery) = &self.bindery {
                    bindery.write(signer, serial);
                }
            }
            (Errand::WriteDown(wanted), _) => self.query_log.want(*wanted),
            (Errand::GiveMemoryBack, _) => {
                // Neither is done at once, and a failover doesn't wait for either.
                tokio::task::spawn_blocking(crate::memory::put_in_order);
            }
            (Errand::KeepHealth(saved), Some(keeper)) => keeper.health(saved),
            (Errand::KeepAddresses(saved), Some(keeper)) => keeper.addresses(saved),
            (Errand::KeepZone(files, contents), Some(keeper)) => keeper.zone(files, contents),
            (Errand::ForgetZone(files), Some(keeper)) => keeper.forget(files),
            (Errand::KeepEvent(event), Some(keeper)) => keeper.event(event),
            (
                Errand::KeepHealth(_)
                | Errand::KeepAddresses(_)
                | Errand::KeepZone(..)
                | Errand::ForgetZone(_)
                | Errand::KeepEvent(_),
                None,
            ) => {}
        }
    }
}
