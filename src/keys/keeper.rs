//! A thread that lets keys go on, and hands over what is in force whenever that changes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::parent::ask_parent;
use super::store::{Store, StoreError};
use super::turn::{Signed, Turn, turn};
use crate::dnssec::Keyring;
use crate::dnssec::rollover::{Input, Memory, ParentDs};
use crate::health::Tick;
use crate::limits::{KEYS_INTERVAL, KEYS_TOLD_AGAIN, PARENT_INTERVAL};
use crate::wire::name::Name;

/// Lets the keys of all signed zones go on. Dropping it ends the thread.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    change: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Zones in place of those before.
    zones: Option<Vec<Signed>>,
    is_woken: bool,
    is_stopped: bool,
}

/// What the thread knows of a zone.
#[derive(Default)]
struct Known {
    keyring: Option<Arc<Keyring>>,
    memory: Memory,
    /// When the parent was asked.
    asked: Option<Instant>,
    /// What was told last, and when.
    told: Option<(String, Instant)>,
}

impl Keeper {
    /// Starts the thread. `hand` gets each keyring that is in force from then on, and must not wait
    /// for long.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(
        store: Store,
        zones: Vec<Signed>,
        hand: impl Fn(Name, Arc<Keyring>) + Send + 'static,
    ) -> io::Result<Keeper> {
        let shared = Arc::new(Shared::default());
        let waiting = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("keys".into())
            .spawn(move || run(&store, zones, &waiting, &hand))?;
        Ok(Keeper { shared, thread: Some(thread) })
    }

    /// The signed zones from now on.
    pub fn zones(&self, zones: Vec<Signed>) {
        self.tell(|waiting| waiting.zones = Some(zones));
    }

    /// Looks at once.
    pub fn wake(&self) {
        self.tell(|waiting| waiting.is_woken = true);
    }

    fn tell(&self, tell: impl FnOnce(&mut Waiting)) {
        tell(&mut self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.change.notify_one();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.tell(|waiting| waiting.is_stopped = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(store: &Store, mut zones: Vec<Signed>, shared: &Shared, hand: &dyn Fn(Name, Arc<Keyring>)) {
    let mut known: BTreeMap<Name, Known> = BTreeMap::new();
    loop {
        known.retain(|apex, _| zones.iter().any(|signed| signed.apex == *apex));
        for signed in &zones {
            look(store, signed, known.entry(signed.apex.clone()).or_default(), hand);
            if shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_stopped {
                return;
            }
        }
        let waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_idle =
            |waiting: &mut Waiting| !waiting.is_stopped && !waiting.is_woken && waiting.zones.is_none();
        let waited = shared.change.wait_timeout_while(waiting, KEYS_INTERVAL, is_idle);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if waiting.is_stopped {
            return;
        }
        waiting.is_woken = false;
        if let Some(new) = waiting.zones.take() {
            zones = new;
        }
    }
}

/// One zone's turn. Whatever goes wrong, the keyring before stays in force.
fn look(store: &Store, signed: &Signed, known: &mut Known, hand: &dyn Fn(Name, Arc<Keyring>)) {
    let zone = store.zone(&signed.apex);
    let now = now();
    // A directory that is gone is no reason for new keys: the parent knows the old ones.
    if known.keyring.is_some() && !zone.directory().join("state.json").exists() {
        let path = zone.directory().join("state.json");
        let (message, help) = ("is gone".to_owned(), "restore the directory from a backup".to_owned());
        return tell_error(signed, known, &StoreError { path, message, help });
    }
    let parent = parent(signed, known);
    match turn(&zone, signed, parent.as_ref(), now) {
        Ok(turn) => done(signed, known, parent.as_ref(), turn, now, hand),
        Err(error) => tell_error(signed, known, &error),
    }
}

fn done(
    signed: &Signed,
    known: &mut Known,
    parent: Option<&ParentDs>,
    turn: Turn,
    now: Tick,
    hand: &dyn Fn(Name, Arc<Keyring>),
) {
    for want in &turn.made {
        tracing::info!(zone = %signed.apex, role = %want.role, algorithm = %want.algorithm, "a key was made");
    }
    for moved in &turn.moved {
        let to = moved.to.map_or_else(|| "removed".to_owned(), |state| state.to_string());
        tracing::info!(zone = %signed.apex, role = %moved.role, key = %moved.id, "the key is {to}");
    }
    let input = Input { now, policy: &signed.policy, max_ttl: signed.max_ttl, parent };
    // Without news of this turn nothing new can be missed.
    if let Some(awaited) = parent.and_then(|_| turn.memory.overdue(&input)) {
        tell(signed, known, format!("for days keys have been waiting for {awaited}"));
    }
    known.memory = turn.memory;
    if known.keyring.as_ref() != Some(&turn.keyring) {
        known.keyring = Some(Arc::clone(&turn.keyring));
        hand(signed.apex.clone(), turn.keyring);
    }
}

/// What the parent says, if a key waits for it and it is time to ask.
fn parent(signed: &Signed, known: &mut Known) -> Option<ParentDs> {
    let is_time = known.asked.is_none_or(|asked| asked.elapsed() >= PARENT_INTERVAL);
    if !known.memory.waits_for_parent() || !is_time {
        return None;
    }
    known.asked = Some(Instant::now());
    let members = known.keyring.as_ref()?.members();
    let keys: Vec<_> = members.iter().map(|member| member.key.clone()).collect();
    match ask_parent(&signed.apex, &signed.policy.parent, &keys) {
        Ok((said, unknown)) => {
            if said.anywhere.is_empty() && !unknown.is_empty() {
                let message = "the parent has DS, and none of them is of a key here: whoever checks \
                               signatures gets no answer. Restore the keys, or have the DS taken out"
                    .to_owned();
                tell(signed, known, message);
            }
            Some(said)
        }
        Err(error) => {
            tell(signed, known, format!("{error}; keys wait"));
            None
        }
    }
}

fn tell_error(signed: &Signed, known: &mut Known, error: &StoreError) {
    let in_force =
        if known.keyring.is_some() { "the keys from before stay in force" } else { "it isn't signed" };
    tell(signed, known, format!("{error} ({in_force})"));
}

/// The same is told once, and then from time to time.
fn tell(signed: &Signed, known: &mut Known, message: String) {
    let is_told =
        known.told.as_ref().is_some_and(|(told, at)| *told == message && at.elapsed() < KEYS_TOLD_AGAIN);
    if !is_told {
        tracing::error!(zone = %signed.apex, "{message}");
        known.told = Some((message, Instant::now()));
    }
}

fn now() -> Tick {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Tick(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
