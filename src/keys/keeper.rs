//! A thread that lets keys go on, and hands over what is in force whenever that changes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::parent::ask_parent;
use super::store::{Store, StoreError};
use super::turn::{Signed, Turn, standing, turn};
use crate::dnssec::Keyring;
use crate::dnssec::rollover::{Input, Memory, ParentDs, Role, State};
use crate::health::Tick;
use crate::limits::{KEYS_INTERVAL, KEYS_TOLD_AGAIN, PARENT_AGAIN, PARENT_INTERVAL};
use crate::load::LoadedZone;
use crate::publish::now;
use crate::wire::name::Name;

/// Lets the keys of all signed zones go on.
#[derive(Debug)]
pub struct Keeper {
    store: Store,
    waiting: Mutex<Waiting>,
    change: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// All signed zones, each with the keyring that it was learnt with.
    zones: BTreeMap<Name, (Signed, Option<Arc<Keyring>>)>,
    /// Where the keys of each are.
    states: BTreeMap<Name, Vec<(Role, State)>>,
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
    /// A keeper that knows no zone yet.
    #[must_use]
    pub fn new(store: Store) -> Keeper {
        Keeper { store, waiting: Mutex::default(), change: Condvar::new() }
    }

    /// Learns which zones are signed, and how. Those that weren't before get their keys at once, and
    /// are returned with them, so that they are there before the zone is. One whose keys can't be had
    /// has none until they can.
    pub fn learn<'l>(&self, zones: impl Iterator<Item = &'l LoadedZone>) -> Vec<(Name, Arc<Keyring>)> {
        let (mut first, mut is_any) = (Vec::new(), false);
        for loaded in zones {
            let apex = loaded.zone.apex().to_lower();
            let Some(signed) = Signed::of(loaded) else {
                self.forget(&apex);
                continue;
            };
            is_any = true;
            if let Some((known, _)) = self.lock().zones.get_mut(&apex) {
                *known = signed;
                continue;
            }
            // An error is told by the thread, which tries again.
            let (zone, now) = (self.store.zone(&apex), now());
            let turn = turn(&zone, &signed, None, now).ok();
            turn.iter().for_each(|turn| told(&signed, turn));
            let keyring = turn.map(|turn| turn.keyring).or_else(|| standing(&zone, &signed, now));
            first.extend(keyring.clone().map(|keyring| (apex.clone(), keyring)));
            self.lock().zones.insert(apex, (signed, keyring));
        }
        if is_any {
            self.wake();
        }
        first
    }

    /// A zone isn't signed here any more. Its keys stay on the disk.
    pub fn forget(&self, apex: &Name) {
        let (mut waiting, apex) = (self.lock(), apex.to_lower());
        waiting.zones.remove(&apex);
        waiting.states.remove(&apex);
    }

    /// Where the keys of all signed zones are on their way.
    #[must_use]
    pub fn states(&self) -> BTreeMap<Name, Vec<(Role, State)>> {
        self.lock().states.clone()
    }

    /// Looks at once.
    pub fn wake(&self) {
        self.lock().is_woken = true;
        self.change.notify_all();
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.lock().is_stopped = true;
        self.change.notify_all();
    }

    /// Starts the thread. `hand` gets each keyring that takes another's place from then on.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(
        self: &Arc<Keeper>,
        hand: impl Fn(Name, Arc<Keyring>) + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let keeper = Arc::clone(self);
        std::thread::Builder::new().name("keys".into()).spawn(move || keeper.run(&hand))
    }

    fn run(&self, hand: &dyn Fn(Name, Arc<Keyring>)) {
        let mut known: BTreeMap<Name, Known> = BTreeMap::new();
        let mut patience = PARENT_INTERVAL;
        loop {
            let zones = self.lock().zones.clone();
            known.retain(|apex, _| zones.contains_key(apex));
            for (apex, (signed, keyring)) in zones {
                let learnt = || Known { keyring, ..Known::default() };
                let known = known.entry(apex.clone()).or_insert_with(learnt);
                look(&self.store, &signed, known, patience, hand);
                let states = known.memory.keys.iter().map(|key| (key.role, key.state)).collect();
                self.note(apex, states);
                if self.lock().is_stopped {
                    return;
                }
            }
            let is_idle = |waiting: &mut Waiting| !waiting.is_stopped && !waiting.is_woken;
            let waited = self.change.wait_timeout_while(self.lock(), KEYS_INTERVAL, is_idle);
            let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if waiting.is_stopped {
                return;
            }
            patience = if std::mem::take(&mut waiting.is_woken) { PARENT_AGAIN } else { PARENT_INTERVAL };
        }
    }

    fn note(&self, apex: Name, states: Vec<(Role, State)>) {
        let mut waiting = self.lock();
        // It may have been forgotten meanwhile.
        if waiting.zones.contains_key(&apex) {
            waiting.states.insert(apex, states);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One zone's turn. Whatever goes wrong, the keyring before stays in force.
fn look(
    store: &Store,
    signed: &Signed,
    known: &mut Known,
    patience: Duration,
    hand: &dyn Fn(Name, Arc<Keyring>),
) {
    let zone = store.zone(&signed.apex);
    let now = now();
    // A directory that is gone is no reason for new keys: the parent knows the old ones.
    if known.keyring.is_some() && !zone.directory().join("state.json").exists() {
        let path = zone.directory().join("state.json");
        let (message, help) = ("is gone".to_owned(), "restore the directory from a backup".to_owned());
        return tell_error(signed, known, &StoreError { path, message, help });
    }
    let parent = parent(signed, known, patience);
    match turn(&zone, signed, parent.as_ref(), now) {
        Ok(turn) => done(signed, known, parent.as_ref(), turn, now, hand),
        Err(error) => {
            if known.keyring.is_none()
                && let Some(keyring) = standing(&zone, signed, now)
            {
                known.keyring = Some(Arc::clone(&keyring));
                hand(signed.apex.clone(), keyring);
            }
            tell_error(signed, known, &error);
        }
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
    told(signed, &turn);
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

/// Says what keys did.
fn told(signed: &Signed, turn: &Turn) {
    for want in &turn.made {
        tracing::info!(kind = "key", zone = %signed.apex, role = %want.role, algorithm = %want.algorithm, "a key was made");
    }
    for moved in &turn.moved {
        let to = moved.to.map_or_else(|| "removed".to_owned(), |state| state.to_string());
        tracing::info!(kind = "key", zone = %signed.apex, role = %moved.role, key = %moved.id, "the key is {to}");
    }
}

/// What the parent says, if a key waits for it and it is time to ask.
fn parent(signed: &Signed, known: &mut Known, patience: Duration) -> Option<ParentDs> {
    let is_time = known.asked.is_none_or(|asked| asked.elapsed() >= patience);
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
    let in_force = if known.keyring.is_some() {
        "the keys from before stay in force"
    } else {
        "without keys the zone isn't served"
    };
    tell(signed, known, format!("{error} ({in_force})"));
}

/// The same is told once, and then from time to time.
fn tell(signed: &Signed, known: &mut Known, message: String) {
    let is_told =
        known.told.as_ref().is_some_and(|(told, at)| *told == message && at.elapsed() < KEYS_TOLD_AGAIN);
    if !is_told {
        tracing::error!(kind = "key", zone = %signed.apex, "{message}");
        known.told = Some((message, Instant::now()));
    }
}
