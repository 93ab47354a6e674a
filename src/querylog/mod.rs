//! Queries and answers written down: as lines of JSON, and as dnstap. And samples of them counted,
//! for whoever asks which clients no region has.
//!
//! ```text
//! workers --> rings (`serve`) --> thread `query-log` --+--> lines --> thread, to a file or standard output
//!                                                      +--> frames, to a Unix socket (dnstap)
//!                                                      +--> unplaced: a sketch of networks
//! ```
//!
//! Workers copy what is selected and go on; this thread does all else but writing lines, which has
//! a thread of its own, since a write to a file or a pipe can wait for ever. A disk that is full, or
//! a reader that stalls or goes, costs what it doesn't take, which is counted. Nobody waits for the
//! other, and the end waits for none of them for longer than a moment.

mod dnstap;
mod frames;
mod line;
mod lines;
mod sketch;
mod unplaced;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io};

use self::frames::Frames;
use self::lines::Lines;
use self::unplaced::{Counts, Looker};
pub use self::unplaced::{Unplaced, UnplacedNetwork, UnplacedZone};
use crate::limits::{TAP_FINISH, TAP_LONG_PAUSE, TAP_PAUSE, TAP_STOP};
use crate::model::Geography;
use crate::publish::Status;
use crate::serve::{Copies, Selection, Selections, Taker, Taps};
use crate::snapshot::Published;
use crate::threads;

/// What is to be written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// As lines of JSON.
    pub lines: Option<QueryLog>,
    /// As dnstap.
    pub dnstap: Option<Dnstap>,
    /// Clients that no region has are counted in one of so many queries.
    pub unplaced: Option<u32>,
}

/// The query log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryLog {
    /// Its file; none: standard output.
    pub file: Option<PathBuf>,
    /// Which queries.
    pub selection: Selection,
}

/// Dnstap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dnstap {
    /// The socket that its reader listens at.
    pub socket: PathBuf,
    /// Who the messages say that they come from.
    pub identity: String,
    /// Which version of it.
    pub version: String,
    /// Which queries.
    pub selection: Selection,
}

/// Starts and turns it, from any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    orders: Sender<Order>,
    tally: Arc<Tally>,
}

/// The thread that writes.
#[derive(Debug)]
pub struct Writing {
    handle: Handle,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Want(Box<Wanted>),
    Serve(Workers),
    Stop,
}

/// Those who answer, and what is asked about what they answered.
#[derive(Debug)]
struct Workers {
    taps: Taps,
    status: Arc<Status>,
    published: Arc<Published>,
}

/// What came of copies, by taker.
#[derive(Debug, Default)]
struct Tally {
    written: [AtomicU64; Taker::ALL.len()],
    lost: [AtomicU64; Taker::ALL.len()],
    is_connected: AtomicBool,
    taps: OnceLock<Taps>,
    unplaced: Counts,
}

/// Starts the thread, which has nothing to do yet.
///
/// # Errors
/// When the system refuses a thread.
pub fn start() -> io::Result<Writing> {
    let (orders, taken) = channel();
    let handle = Handle { orders, tally: Arc::default() };
    let tally = Arc::clone(&handle.tally);
    let run = move || Thread::new(tally).run(&taken);
    let thread = thread::Builder::new().name("query-log".into()).spawn(run)?;
    Ok(Writing { handle, thread })
}

impl Writing {
    /// What turns it from elsewhere.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Ends it: what was copied is written, for a moment at most and not beyond a time. The name of a
    /// thread that hangs all the same.
    #[must_use]
    pub fn stop(self, until: Instant) -> Option<String> {
        self.handle.order(Order::Stop);
        threads::wait([self.thread], until.min(Instant::now() + TAP_STOP)).pop()
    }
}

impl Handle {
    /// Writes down what is wanted from now on.
    pub fn want(&self, wanted: Wanted) {
        self.order(Order::Want(Box::new(wanted)));
    }

    /// Takes copies from these workers from now on; the zones that answered are looked up in the
    /// status, and what placed clients in what is published.
    pub fn serve(&self, taps: Taps, status: Arc<Status>, published: Arc<Published>) {
        // There is one set of workers in the life of a server.
        let _ = self.tally.taps.set(taps.clone());
        self.order(Order::Serve(Workers { taps, status, published }));
    }

    /// The networks of clients that no region has, as far as samples tell.
    #[must_use]
    pub fn unplaced(&self, geography: &Geography) -> Unplaced {
        self.tally.unplaced.told(geography)
    }

    /// Queries that one of them has written.
    #[must_use]
    pub fn written(&self, taker: Taker) -> u64 {
        self.tally.written[taker as usize].load(Ordering::Relaxed)
    }

    /// Queries that one of them should have written, and couldn't.
    #[must_use]
    pub fn dropped(&self, taker: Taker) -> u64 {
        let in_rings = self.tally.taps.get().map_or(0, |taps| taps.dropped(taker));
        in_rings + self.tally.lost[taker as usize].load(Ordering::Relaxed)
    }

    /// Whether a dnstap reader has accepted.
    #[must_use]
    pub fn is_dnstap_connected(&self) -> bool {
        self.tally.is_connected.load(Ordering::Relaxed)
    }

    fn order(&self, order: Order) {
        // A thread that ended writes nothing more; the server goes on.
        let _ = self.orders.send(order);
    }
}

impl Tally {
    fn write(&self, taker: Taker, count: u64) {
        self.written[taker as usize].fetch_add(count, Ordering::Relaxed);
    }

    fn lose(&self, taker: Taker, count: u64) {
        self.lost[taker as usize].fetch_add(count, Ordering::Relaxed);
    }
}

struct Thread {
    tally: Arc<Tally>,
    wanted: Wanted,
    workers: Option<Workers>,
    copies: Vec<Copies>,
    lines: Option<Lines>,
    frames: Option<Frames>,
    looker: Option<Looker>,
}

impl Thread {
    fn new(tally: Arc<Tally>) -> Thread {
        let wanted = Wanted::default();
        Thread { tally, wanted, workers: None, copies: Vec::new(), lines: None, frames: None, looker: None }
    }

    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            let is_idle = self.copies.is_empty() && self.frames.is_none();
            let order = if is_idle {
                orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                orders.recv_timeout(self.pause())
            };
            match order {
                Ok(Order::Want(wanted)) => self.want(*wanted),
                Ok(Order::Serve(workers)) => {
                    self.workers = Some(workers);
                    self.turn();
                }
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return self.end(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.round();
        }
    }

    /// Samples that are only counted may wait longer than what somebody reads.
    fn pause(&self) -> Duration {
        let is_read = self.lines.is_some() || self.frames.is_some();
        if is_read { TAP_PAUSE } else { TAP_LONG_PAUSE }
    }

    /// What stays as it is goes on where it was.
    fn want(&mut self, wanted: Wanted) {
        let before = std::mem::replace(&mut self.wanted, wanted);
        // Before a file is made: that it is there says that its queries are taken.
        self.turn();
        let file = |wanted: &Wanted| wanted.lines.as_ref().map(|lines| lines.file.clone());
        if file(&before) != file(&self.wanted) {
            // What was handed to the one before is written all the same.
            self.lines = file(&self.wanted).map(|path| Lines::start(path, &self.tally));
        }
        let reader = |wanted: &Wanted| {
            let dnstap = wanted.dnstap.clone();
            dnstap.map(|dnstap| Dnstap { selection: Selection::all(), ..dnstap })
        };
        if reader(&before) != reader(&self.wanted) {
            if let Some(mut frames) = self.frames.take() {
                frames.close(&self.tally);
            }
            self.frames = reader(&self.wanted).map(Frames::new);
        }
        self.looker = self.wanted.unplaced.map(|_| self.looker.take().unwrap_or_else(Looker::new));
        self.tally.unplaced.sample(self.wanted.unplaced);
    }

    fn turn(&mut self) {
        let Some(Workers { taps, .. }) = &self.workers else { return };
        let Wanted { lines, dnstap, unplaced } = &self.wanted;
        let selections = Selections::none()
            .with(Taker::QueryLog, lines.as_ref().map(|lines| lines.selection.clone()))
            .with(Taker::Dnstap, dnstap.as_ref().map(|dnstap| dnstap.selection.clone()))
            .with(Taker::Unplaced, unplaced.map(|sample| Selection { sample, ..Selection::all() }));
        self.copies.extend(taps.turn(&Arc::new(selections)));
    }

    /// Writes all that was copied since the last round.
    fn round(&mut self) {
        let now = Instant::now();
        if let Some(Workers { status, published, .. }) = &self.workers {
            let (model, snapshot) = (status.model(), published.load());
            for copies in &mut self.copies {
                while let Some(copied) = copies.take() {
                    let question = line::Question::read(copied.query);
                    let zone = question.as_ref().and_then(|question| question.zone(&model));
                    if let (Some(lines), Some(wanted)) = (&mut self.lines, &self.wanted.lines)
                        && copied.is_for(Taker::QueryLog)
                        && is_of(&wanted.selection, zone)
                    {
                        lines.put(&copied, question.as_ref(), zone, &self.tally);
                    }
                    if let (Some(frames), Some(wanted)) = (&mut self.frames, &self.wanted.dnstap)
                        && copied.is_for(Taker::Dnstap)
                        && is_of(&wanted.selection, zone)
                    {
                        frames.put(&copied, zone, &self.tally);
                    }
                    if let (Some(looker), Some(question)) = (&mut self.looker, &question)
                        && copied.is_for(Taker::Unplaced)
                    {
                        looker.look(&copied, question, zone, &snapshot, &self.tally.unplaced);
                    }
                }
            }
        }
        self.copies.retain(|copies| !copies.is_over());
        if let Some(lines) = &mut self.lines {
            lines.write(&self.tally);
        }
        if let Some(frames) = &mut self.frames {
            frames.write(now, &self.tally);
        }
    }

    fn end(mut self) {
        self.round();
        let until = Instant::now() + TAP_FINISH;
        let closing = self.lines.map(Lines::close);
        if let Some(frames) = &mut self.frames {
            frames.finish(until, &self.tally);
        }
        if let Some(closing) = closing {
            closing.wait(until, &self.tally);
        }
    }
}

/// Whether a zone that answered is one of those that are wanted: a worker sees only whether the
/// name is below one of them.
fn is_of(selection: &Selection, zone: Option<&crate::wire::name::Name>) -> bool {
    selection.zones.is_empty() || zone.is_some_and(|zone| selection.zones.contains(zone))
}

impl fmt::Display for QueryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => file.display().fmt(f),
            None => f.write_str("standard output"),
        }
    }
}
