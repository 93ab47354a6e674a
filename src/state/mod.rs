//! What must survive a restart: verdicts of health, and the last good version of each zone.
//!
//! ```text
//! state/health.json               verdicts, with the format's version
//! state/addresses.json            what targets' host names were resolved to, likewise
//! state/ds/example.com             there was a DS of the zone: without keys it is no new one
//! state/events.jsonl             what happened, and events.1.jsonl before it
//! state/zones/example.com/...     the files that the zone was last loaded from
//! ```
//!
//! A thread of its own writes, so that a slow or full disk holds up nobody: the newest of each
//! waits, older ones are passed over. Files are written beside their place and renamed, so a crash
//! leaves the old or the new one.

mod journal;
mod store;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use store::{SavedAddresses, Store, StoreError, kept_zone};

use crate::health::Saved;
use crate::limits::{self, STATE_STOP};
use crate::load::ZoneFiles;
use crate::memory;
use crate::model::event::Event;
use crate::threads;
use crate::wire::name::Name;

/// How long changes are gathered before they are written: a start or a reload of many zones has
/// the disk to itself first.
const GATHERED: Duration = Duration::from_millis(500);

/// From so many octets of zones on, what they took is given back to the system once it is written.
const GIVEN_BACK_FROM: usize = 1 << 20;

/// What waits to be written: the newest of each, so that it is never more than there is.
#[derive(Debug, Default)]
struct Waiting {
    health: Option<Saved>,
    addresses: Option<SavedAddresses>,
    events: VecDeque<Arc<Event>>,
    zones: BTreeMap<Name, Zone>,
    /// When the first of the zones came.
    since: Option<Instant>,
    is_closed: bool,
}

#[derive(Debug)]
enum Zone {
    Keep(Arc<ZoneFiles>, Vec<(PathBuf, Bytes)>),
    Forget(ZoneFiles),
}

impl Zone {
    /// Octets that it holds.
    fn octets(&self) -> usize {
        match self {
            Zone::Keep(_, contents) => contents.iter().map(|(_, octets)| octets.len()).sum(),
            Zone::Forget(_) => 0,
        }
    }
}

/// Hands state to the thread that writes it.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<(Mutex<Waiting>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(store: Store) -> std::io::Result<Keeper> {
        let shared: Arc<(Mutex<Waiting>, Condvar)> = Arc::default();
        let waiting = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("state".into()).spawn(move || run(&store, &waiting))?;
        Ok(Keeper { shared, thread: Some(thread) })
    }

    /// Keeps verdicts.
    pub fn health(&self, saved: Saved) {
        self.add(|waiting| waiting.health = Some(saved));
    }

    /// Keeps what host names were resolved to.
    pub fn addresses(&self, saved: SavedAddresses) {
        self.add(|waiting| waiting.addresses = Some(saved));
    }

    /// Keeps an event.
    pub fn event(&self, event: Arc<Event>) {
        self.add(|waiting| {
            if waiting.events.len() == limits::EVENTS_WAITING {
                waiting.events.pop_front();
            }
            waiting.events.push_back(event);
        });
    }

    /// Keeps a zone that loaded well.
    pub fn zone(&self, files: Arc<ZoneFiles>, contents: Vec<(PathBuf, Bytes)>) {
        self.add_zone(files.apex.clone(), Zone::Keep(files, contents));
    }

    /// Forgets a zone that an operator took away.
    pub fn forget(&self, files: ZoneFiles) {
        self.add_zone(files.apex.clone(), Zone::Forget(files));
    }

    fn add_zone(&self, apex: Name, zone: Zone) {
        let (waiting, change) = &*self.shared;
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.zones.insert(apex, zone);
        // The others are waited for: ten thousand zones wake the thread once.
        if waiting.since.is_none() {
            waiting.since = Some(Instant::now());
            change.notify_one();
        }
    }

    fn add(&self, add: impl FnOnce(&mut Waiting)) {
        let (waiting, change) = &*self.shared;
        add(&mut waiting.lock().unwrap_or_else(PoisonError::into_inner));
        change.notify_one();
    }
}

impl Drop for Keeper {
    /// Waits until what was handed over is written, for a while: a disk may hang for ever.
    fn drop(&mut self) {
        self.add(|waiting| waiting.is_closed = true);
        if !threads::wait(self.thread.take(), Instant::now() + STATE_STOP).is_empty() {
            tracing::error!(
                "the disk doesn't take the state within {STATE_STOP:?}: it isn't kept over the restart"
            );
        }
    }
}

fn run(store: &Store, shared: &(Mutex<Waiting>, Condvar)) {
    // The same trouble is told once, until it is over.
    let mut in_trouble = false;
    loop {
        let (waiting, is_last) = next(shared);
        let health = waiting.health.map(|saved| store.write_health(&saved));
        let addresses = waiting.addresses.map(|saved| store.write_addresses(&saved));
        let mut results: Vec<_> = health.into_iter().chain(addresses).collect();
        if !waiting.events.is_empty() {
            results.push(store.append_events(waiting.events.iter()));
        }
        let mut kept = Vec::new();
        for zone in waiting.zones.values() {
            match zone {
                Zone::Keep(files, contents) => kept.push((&**files, contents.as_slice())),
                Zone::Forget(files) => results.push(store.remove_zone(files)),
            }
        }
        match kept[..] {
            [] => {}
            [(files, contents)] => results.push(store.write_zone(files, contents)),
            _ => {
                let failed = store.write_zones(kept.into_iter());
                results.extend(failed.is_empty().then_some(Ok(())));
                results.extend(failed.into_iter().map(Err));
            }
        }
        // What loading held until now: of ten thousand zones it is many pieces between others.
        let octets: usize = waiting.zones.values().map(Zone::octets).sum();
        drop(waiting.zones);
        if octets >= GIVEN_BACK_FROM {
            memory::give_back();
        }
        for result in results {
            match result {
                Ok(()) => in_trouble = false,
                Err(error) if !in_trouble => {
                    in_trouble = true;
                    tracing::error!(%error, "state isn't kept over a restart; answers go on");
                }
                Err(_) => {}
            }
        }
        if is_last {
            return;
        }
    }
}

impl Waiting {
    /// Whether there is what doesn't wait to be gathered.
    fn is_pressing(&self) -> bool {
        self.is_closed || self.health.is_some() || self.addresses.is_some() || !self.events.is_empty()
    }
}

/// What to write next, and whether it is the last of all. Verdicts and addresses don't wait to be gathered: a
/// server that dies must know them when it comes back.
fn next(shared: &(Mutex<Waiting>, Condvar)) -> (Waiting, bool) {
    let (waiting, change) = shared;
    let is_idle = |waiting: &mut Waiting| !waiting.is_pressing() && waiting.zones.is_empty();
    let is_patient = |waiting: &mut Waiting| !waiting.is_pressing();
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let waiting = change.wait_while(waiting, is_idle).unwrap_or_else(PoisonError::into_inner);
    let gathered = waiting.since.map_or(Duration::ZERO, |since| since.elapsed());
    let waiting = change.wait_timeout_while(waiting, GATHERED.saturating_sub(gathered), is_patient);
    let (mut waiting, _) = waiting.unwrap_or_else(PoisonError::into_inner);
    if waiting.is_closed || waiting.since.is_some_and(|since| since.elapsed() >= GATHERED) {
        let is_last = waiting.is_closed;
        return (std::mem::take(&mut *waiting), is_last);
    }
    let (health, addresses) = (waiting.health.take(), waiting.addresses.take());
    let events = std::mem::take(&mut waiting.events);
    (Waiting { health, addresses, events, ..Waiting::default() }, false)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_newest_is_written_before_the_keeper_is_gone() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::open(scratch.path()).unwrap();
        let keeper = Keeper::start(store.clone()).unwrap();
        let apexes: Vec<Name> =
            (0..300).map(|n| Name::parse(&format!("z{n}.example."), None).unwrap()).collect();
        for text in ["old", "new"] {
            for apex in &apexes {
                let files = ZoneFiles::in_directory(Path::new("/zones"), apex);
                keeper.zone(Arc::new(files.clone()), vec![(files.zone, Bytes::from(text))]);
            }
        }
        keeper.forget(ZoneFiles::in_directory(Path::new("/zones"), &apexes[0]));
        keeper.health(Saved::default());
        drop(keeper);
        assert_eq!(store.zone(&apexes[0]), None);
        for apex in &apexes[1..] {
            assert_eq!(std::fs::read(store.zone(apex).unwrap().zone).unwrap(), b"new");
        }
        assert!(store.read_health().unwrap().is_some());
    }

    #[test]
    fn verdicts_hold_up_no_zone() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::open(scratch.path()).unwrap();
        let keeper = Keeper::start(store.clone()).unwrap();
        let apex = Name::parse("example.", None).unwrap();
        let files = ZoneFiles::in_directory(Path::new("/zones"), &apex);
        keeper.zone(Arc::new(files.clone()), vec![(files.zone, Bytes::from("zone"))]);
        let deadline = Instant::now() + Duration::from_secs(20);
        while store.zone(&apex).is_none() {
            assert!(Instant::now() < deadline, "the zone isn't written while verdicts come");
            keeper.health(Saved::default());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
