//! When probes are sent: one task per job, which lives exactly as long as the configuration that
//! names it.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::push::Verdicts;
use super::tripwire::{self, Kind};
use super::{Asker, Check, Manners, Spec, round};
use crate::health::{Outcome, ProbeKey, Pushed, Report, Tick};
use crate::limits::{TRIPWIRE_CONFIRMATION, TRIPWIRES};

/// Longest time over which the first probes of new jobs are spread: a verdict comes soon after
/// the start, and thousands of jobs don't ask in the same millisecond.
const FIRST_WITHIN: Duration = Duration::from_millis(500);

/// Part of an interval by which waits may be shorter, so that jobs don't stay in step. Never longer:
/// a death is found within the interval.
const JITTER: f64 = 0.1;

/// Whom probes trust and how they find their targets.
#[derive(Clone, Debug, Default)]
pub struct ProberOptions {
    /// Connections to the first address go to the second: a demonstration serves documentation
    /// addresses while its sites listen on loopback.
    pub redirect: HashMap<SocketAddr, SocketAddr>,
    /// Roots to trust beside the system's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Who probes say they are, and how many come at once.
    pub manners: Manners,
}

/// A probe to be run again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Whose it is; one job per key.
    pub key: ProbeKey,
    /// The address to probe.
    pub address: IpAddr,
    /// What to ask, and how often.
    pub spec: Spec,
}

/// What the prober is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Jobs that are wanted.
    pub jobs: usize,
    /// Jobs that run; fewer than wanted means that some have died.
    pub running: usize,
    /// Probes sent since the start.
    pub sent: u64,
    /// Reports that nobody took.
    pub dropped: u64,
}

/// Runs the probes.
pub struct Prober {
    runtime: Handle,
    shared: Arc<Shared>,
    running: Mutex<HashMap<ProbeKey, Running>>,
    attached: Mutex<Attached>,
}

/// What belongs to addresses rather than to jobs.
#[derive(Default)]
struct Attached {
    /// Connections that each address takes.
    budgets: HashMap<IpAddr, Arc<Semaphore>>,
    /// One idle connection for each address and port, whichever jobs ask there.
    wires: HashMap<SocketAddr, Stretched>,
}

/// A tripwire that is held.
struct Stretched {
    kind: Kind,
    /// Counts losses; outlives the connection, since jobs listen to it.
    trips: Arc<watch::Sender<u64>>,
    task: JoinHandle<()>,
}

impl Drop for Stretched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Prober").field(&self.figures()).finish()
    }
}

/// What the jobs share.
struct Shared {
    asker: Asker,
    /// What others told.
    verdicts: Verdicts,
    turns: Semaphore,
    reports: mpsc::Sender<(ProbeKey, Report, Tick)>,
    sent: AtomicU64,
    dropped: AtomicU64,
    random: RandomState,
    per_target: usize,
}

struct Running {
    job: Job,
    pace: watch::Sender<Duration>,
    task: JoinHandle<()>,
}

impl Prober {
    /// A prober without jobs, whose tasks run on `runtime`. Its reports go to `reports`; when that
    /// is full they are dropped and counted.
    #[must_use]
    pub fn new(
        options: &ProberOptions,
        reports: mpsc::Sender<(ProbeKey, Report, Tick)>,
        runtime: Handle,
    ) -> Prober {
        let shared = Shared {
            asker: Asker::new(options),
            verdicts: Verdicts::default(),
            turns: Semaphore::new(options.manners.max_in_flight),
            reports,
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            random: RandomState::new(),
            per_target: options.manners.max_connections_per_target,
        };
        Prober { runtime, shared: Arc::new(shared), running: Mutex::default(), attached: Mutex::default() }
    }

    /// Runs exactly these jobs: stops those gone, leaves alone the unchanged ones, starts new and
    /// changed ones. Returns at once.
    pub fn apply(&self, wanted: Vec<Job>) {
        self.shared.verdicts.keep_only(&wanted, Instant::now());
        let mut attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        self.attach(&mut attached, &wanted);
        let mut running = self.running();
        let mut before = std::mem::take(&mut *running);
        let mut new = Vec::new();
        for job in wanted {
            match before.remove(&job.key) {
                Some(same) if same.job == job && !same.task.is_finished() => {
                    running.insert(job.key, same);
                }
                changed => {
                    changed.inspect(|old| old.task.abort());
                    new.push(job);
                }
            }
        }
        before.values().for_each(|gone| gone.task.abort());
        let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
        for (nth, job) in (0u32..).zip(new) {
            let window = FIRST_WITHIN.min(job.spec.pace.interval / 4);
            let first = Instant::now() + window.mul_f64(f64::from(nth) / f64::from(count));
            let (pace, paced) = watch::channel(Duration::MAX);
            let news = News { paced, trips: attached.trips_for(&self.shared.asker, &job) };
            let budget = attached.budgets[&job.address].clone();
            let task = self.runtime.spawn(run(self.shared.clone(), job.clone(), budget, first, news));
            if let Some(twin) = running.insert(job.key.clone(), Running { job, pace, task }) {
                twin.task.abort();
            }
        }
    }

    /// Gives each address its budget, and its tripwires; takes both from addresses that nobody
    /// probes any more.
    fn attach(&self, attached: &mut Attached, wanted: &[Job]) {
        let mut budgets = std::mem::take(&mut attached.budgets);
        let mut wires = std::mem::take(&mut attached.wires);
        for job in wanted {
            let budget = attached.budgets.entry(job.address).or_insert_with(|| {
                let kept = budgets.remove(&job.address);
                kept.unwrap_or_else(|| Arc::new(Semaphore::new(self.shared.per_target)))
            });
            let Some(wire) = self.shared.asker.wire(job.address, &job.spec) else { continue };
            if attached.wires.contains_key(&wire.to) || attached.wires.len() >= TRIPWIRES {
                continue;
            }
            let before = wires.remove(&wire.to);
            let stretched = match before {
                Some(same) if same.kind == wire.kind => same,
                changed => {
                    let trips =
                        changed.map_or_else(|| Arc::new(watch::Sender::new(0)), |old| old.trips.clone());
                    let held = tripwire::hold(wire.clone(), budget.clone(), trips.clone());
                    Stretched { kind: wire.kind, trips, task: self.runtime.spawn(held) }
                }
            };
            attached.wires.insert(wire.to, stretched);
        }
    }

    /// Answers a report: the probe should be sent again `next_after` it. Only ever shortens the
    /// wait, for the burst that confirms a failure.
    pub fn pace(&self, key: &ProbeKey, next_after: Duration) {
        if let Some(running) = self.running().get(key) {
            running.pace.send_replace(next_after);
        }
    }

    /// Somebody tells how a target is: the probe that waits for it is asked at once.
    pub fn tell(&self, key: &ProbeKey, pushed: Pushed) {
        if self.shared.verdicts.tell(key, pushed, Instant::now()) {
            self.pace(key, Duration::ZERO);
        }
    }

    /// What somebody told before a restart. Words that came since go before it.
    pub fn remind(&self, key: &ProbeKey, pushed: Pushed) {
        let age = now().since(pushed.at);
        if self.shared.verdicts.remind(key, pushed, age, Instant::now()) {
            self.pace(key, Duration::ZERO);
        }
    }

    /// What it is doing.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let running = self.running();
        Figures {
            jobs: running.len(),
            running: running.values().filter(|running| !running.task.is_finished()).count(),
            sent: self.shared.sent.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<ProbeKey, Running>> {
        // The map is whole at every point where a holder could have panicked.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.running().values().for_each(|running| running.task.abort());
    }
}

impl Attached {
    /// The tripwire that a job listens to.
    fn trips_for(&self, asker: &Asker, job: &Job) -> Option<watch::Receiver<u64>> {
        let wire = asker.wire(job.address, &job.spec)?;
        self.wires.get(&wire.to).map(|stretched| stretched.trips.subscribe())
    }
}

/// What shortens a job's wait.
struct News {
    paced: watch::Receiver<Duration>,
    trips: Option<watch::Receiver<u64>>,
}

impl News {
    /// Waits for a trip; for ever without a tripwire.
    async fn tripped(trips: &mut Option<watch::Receiver<u64>>) {
        if let Some(receiver) = trips {
            if receiver.changed().await.is_ok() {
                return;
            }
            // It was taken away: the interval holds.
            *trips = None;
        }
        std::future::pending().await
    }
}

/// One job: ask, report, wait; until it is aborted.
async fn run(shared: Arc<Shared>, job: Job, budget: Arc<Semaphore>, first: Instant, mut news: News) {
    let mut next = first;
    // How long the last healthy answer took; none once a failure was seen.
    let mut usual = None;
    let mut is_tripped = false;
    loop {
        sleep_until(next).await;
        if let Some(trips) = &mut news.trips {
            // What was lost before this probe is what it looks at.
            trips.mark_unchanged();
        }
        let (started, reports) = {
            let (Ok(_place), Ok(_turn)) = (budget.acquire().await, shared.turns.acquire().await) else {
                return;
            };
            let started = Instant::now();
            let reports = match &job.spec.check {
                Check::Push(push) => vec![shared.verdicts.report(&job.key, push, Instant::now())],
                _ => round::ask(&shared.asker, &job, usual, &budget).await,
            };
            (started, reports)
        };
        let reported = Instant::now();
        // From here on a pace is the answer to these reports.
        news.paced.mark_unchanged();
        usual = reports.last().filter(|last| last.outcome == Outcome::Healthy).map(|last| last.latency);
        is_tripped &= usual.is_none();
        let mut nth = 0;
        for report in reports {
            nth = shared.sent.fetch_add(1, Ordering::Relaxed);
            if shared.reports.try_send((job.key.clone(), report, now())).is_err() {
                shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        // From the question and not from its answer: a slow target is asked as often as others.
        let wait = jittered(job.spec.pace.interval, shared.random.hash_one(nth));
        next = reported.max(started + wait);
        loop {
            tokio::select! {
                () = sleep_until(next) => break,
                changed = news.paced.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let mut pace = *news.paced.borrow_and_update();
                    if is_tripped && pace <= job.spec.pace.confirm_interval {
                        pace = pace.min(TRIPWIRE_CONFIRMATION);
                    }
                    next = sooner(next, reported, pace, job.spec.pace.interval);
                }
                () = News::tripped(&mut news.trips) => {
                    is_tripped = true;
                    next = Instant::now();
                }
            }
        }
    }
}

/// The wait that a pace asks for, if it is shorter than the usual one.
fn sooner(next: Instant, reported: Instant, next_after: Duration, interval: Duration) -> Instant {
    // A whole interval is no haste: the jittered wait stands.
    if next_after >= interval { next } else { next.min(reported + next_after) }
}

/// An interval that is up to a tenth shorter, as `random` has it.
fn jittered(interval: Duration, random: u64) -> Duration {
    // 32 bits are exact in an f64 and more than a wait can show.
    let part = (random >> 32) as f64 / f64::from(u32::MAX);
    interval.mul_f64(1.0 - JITTER * part)
}

pub(super) fn now() -> Tick {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Tick(0) + since_epoch
}

#[cfg(test)]
#[path = "prober_tests.rs"]
mod tests;
