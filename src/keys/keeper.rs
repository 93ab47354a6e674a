//! A thread that lets keys go on, and hands over what is in force whenever that changes.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::first::{Witness, may_begin};
use super::parent::ask_parent;
use super::store::{Store, StoreError};
use super::turn::{Signed, Turn, standing, turn};
use crate::dnssec::leaving::Leaving;
use crate::dnssec::rollover::{Input, Memory, ParentDs, Role, State};
use crate::dnssec::{Keyring, Policy};
use crate::health::Tick;
use crate::limits::{
    KEYS_INTERVAL, KEYS_TOLD_AGAIN, PARENT_AGAIN, PARENT_FIRST, PARENT_INTERVAL, PARENT_TIME,
    PARENTS_TOGETHER,
};
use crate::load::LoadedZone;
use crate::publish::now;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// From so many zones on, it is looked once which of them have keys.
const LISTED_FROM: usize = 32;

/// What the keeper tells.
#[derive(Debug)]
pub enum News {
    /// A zone is signed by other keys, or these do other things.
    Keys(Name, Arc<Keyring>),
    /// A zone has left signing.
    Unsigned(Name),
    /// Something must be seen to.
    Trouble(Name, String),
}

/// Lets the keys of all signed zones go on.
#[derive(Debug)]
pub struct Keeper {
    store: Store,
    witness: Option<Witness>,
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
    /// A keeper that knows no zone yet. The witness remembers of which the parent had DS.
    #[must_use]
    pub fn new(store: Store, witness: Option<Witness>) -> Keeper {
        Keeper { store, witness, waiting: Mutex::default(), change: Condvar::new() }
    }

    /// Learns which zones are signed, and how. Those that weren't before get their keys at once, and
    /// are returned with them, so that they are there before the zone is. One whose keys can't be had
    /// has none until they can. A zone that isn't to be signed any more stays signed as long as it
    /// must: then it is given the policy that it had.
    pub fn learn<'l>(&self, zones: impl Iterator<Item = &'l mut LoadedZone>) -> Vec<(Name, Arc<Keyring>)> {
        let (mut new, mut is_any) = (Vec::new(), false);
        let zones: Vec<&mut LoadedZone> = zones.collect();
        // Of ten thousand zones most were never signed, and each look for that costs a system call.
        let listed = if zones.len() < LISTED_FROM { None } else { self.store.listed() };
        let may_have_keys = |apex: &Name| {
            let is_listed = |listed: &HashSet<PathBuf>| {
                !listed.is_empty() && listed.contains(self.store.zone(apex).directory())
            };
            listed.as_ref().is_none_or(is_listed)
        };
        let has_none = listed.as_ref().is_some_and(HashSet::is_empty) && self.lock().zones.is_empty();
        for loaded in zones {
            if has_none && loaded.config.dnssec.is_none() {
                continue;
            }
            let apex = loaded.zone.apex().to_lower();
            let is_leaving = loaded.config.dnssec.is_none();
            if is_leaving
                && may_have_keys(&apex)
                && let Some(policy) = self.policy_of_leaving(loaded)
            {
                Arc::make_mut(&mut loaded.config).dnssec = Some(policy);
            }
            let Some(signed) = Signed::of(loaded).map(|signed| Signed { is_leaving, ..signed }) else {
                self.forget(&apex);
                continue;
            };
            is_any = true;
            match self.lock().zones.get_mut(&apex) {
                Some((known, _)) => *known = signed,
                None => new.push(signed),
            }
        }
        let mut first = Vec::new();
        for (signed, may_begin) in self.may_begin(new) {
            // An error is told by the thread, which tries again.
            let (zone, now) = (self.store.zone(&signed.apex), now());
            let turn = if may_begin { turn(&zone, &signed, None, now).ok() } else { None };
            turn.iter().for_each(|turn| told(&signed, turn));
            let keyring = turn.map(|turn| turn.keyring).or_else(|| standing(&zone, &signed, now));
            let apex = signed.apex.clone();
            first.extend(keyring.clone().map(|keyring| (apex.clone(), keyring)));
            self.lock().zones.insert(apex, (signed, keyring));
        }
        if is_any {
            self.wake();
        }
        first
    }

    /// Which zones may have their keys read, or their first ones made. Parents are asked side by
    /// side: a start doesn't wait for one after the other.
    fn may_begin(&self, zones: Vec<Signed>) -> Vec<(Signed, bool)> {
        let end = Instant::now() + PARENT_FIRST;
        let may_begin = |signed: &Signed| {
            let zone = self.store.zone(&signed.apex);
            match zone.is_empty(now()) {
                Ok(true) => may_begin(&zone, signed, self.witness.as_ref(), end).is_ok(),
                // What can't be read is told by the turn.
                Ok(false) | Err(_) => true,
            }
        };
        let mut all = Vec::new();
        for some in zones.chunks(PARENTS_TOGETHER) {
            std::thread::scope(|scope| {
                let asked: Vec<_> = some.iter().map(|signed| scope.spawn(|| may_begin(signed))).collect();
                let asked = asked.into_iter().map(|asked| asked.join().unwrap_or(false));
                all.extend(some.iter().cloned().zip(asked));
            });
        }
        all
    }

    /// How a zone is signed that isn't to be, while the parent may have DS of its keys; none if it
    /// was never signed, has left, leaves at once, or was signed elsewhere.
    fn policy_of_leaving(&self, loaded: &LoadedZone) -> Option<Policy> {
        let apex = loaded.zone.apex();
        let zone = self.store.zone(apex);
        let is_signed_elsewhere = || {
            let owner = loaded.zone.owner(apex.to_lower().as_wire());
            owner.is_some_and(|owner| owner.rrset(Rtype::DNSKEY).is_some())
        };
        let (mut memory, policy) = match zone.read_state() {
            Ok(None) => return None,
            Ok(Some((memory, _))) if memory.leaving == Some(Leaving::Over) => return None,
            _ if is_signed_elsewhere() => return None,
            Ok(Some(state)) => state,
            // Signed it was, and what with is told as missing.
            Err(_) if !loaded.config.unsigned.at_once => return Some(Policy::default()),
            Err(_) => return None,
        };
        if loaded.config.unsigned.at_once {
            memory.leaving = Some(Leaving::Over);
            if let Err(error) = zone.lock().and_then(|_lock| zone.write_memory(&memory, &policy)) {
                tracing::warn!(kind = "key", zone = %apex, %error, "that the zone has left signing isn't kept");
            }
            return None;
        }
        let parent = &loaded.config.unsigned.parent;
        Some(if parent.is_empty() { policy } else { Policy { parent: parent.clone(), ..policy } })
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

    /// Starts the thread. `hand` gets the news: each keyring that takes another's place from then on.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(self: &Arc<Keeper>, hand: impl Fn(News) + Send + 'static) -> io::Result<JoinHandle<()>> {
        let keeper = Arc::clone(self);
        std::thread::Builder::new().name("keys".into()).spawn(move || keeper.run(&hand))
    }

    fn run(&self, hand: &dyn Fn(News)) {
        let mut known: BTreeMap<Name, Known> = BTreeMap::new();
        let mut patience = PARENT_INTERVAL;
        loop {
            let zones = self.lock().zones.clone();
            known.retain(|apex, _| zones.contains_key(apex));
            for (apex, (signed, keyring)) in zones {
                let learnt = || Known { keyring, ..Known::default() };
                let known = known.entry(apex.clone()).or_insert_with(learnt);
                let has_left = look((&self.store, self.witness.as_ref()), &signed, known, patience, hand);
                if has_left {
                    self.forget(&apex);
                    hand(News::Unsigned(apex));
                } else {
                    let states = known.memory.keys.iter().map(|key| (key.role, key.state)).collect();
                    self.note(apex, states);
                }
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

/// One zone's turn; true when it has left signing. Whatever goes wrong, the keyring before stays in
/// force.
fn look(
    (store, witness): (&Store, Option<&Witness>),
    signed: &Signed,
    known: &mut Known,
    patience: Duration,
    hand: &dyn Fn(News),
) -> bool {
    let zone = store.zone(&signed.apex);
    let now = now();
    // A directory that is gone is no reason for new keys: the parent knows the old ones.
    if known.keyring.is_some() && !zone.directory().join("state.json").exists() {
        let path = zone.directory().join("state.json");
        let (message, help) = ("is gone".to_owned(), "restore the directory from a backup".to_owned());
        tell_error(signed, known, &StoreError { path, message, help }, hand);
        return false;
    }
    if known.keyring.is_none() && zone.is_empty(now).unwrap_or(false) {
        if known.asked.is_some_and(|asked| asked.elapsed() < patience) {
            return false;
        }
        known.asked = Some(Instant::now());
        if let Err(error) = may_begin(&zone, signed, witness, Instant::now() + PARENT_TIME) {
            tell_error(signed, known, &error, hand);
            return false;
        }
    }
    let parent = parent(signed, known, patience, hand);
    match turn(&zone, signed, parent.as_ref(), now) {
        Ok(turn) => {
            witness.iter().for_each(|witness| witness.see(&zone, &turn.memory));
            done(signed, known, parent.as_ref(), turn, now, hand)
        }
        Err(error) => {
            if known.keyring.is_none()
                && let Some(keyring) = standing(&zone, signed, now)
            {
                known.keyring = Some(Arc::clone(&keyring));
                hand(News::Keys(signed.apex.clone(), keyring));
            }
            tell_error(signed, known, &error, hand);
            false
        }
    }
}

fn done(
    signed: &Signed,
    known: &mut Known,
    parent: Option<&ParentDs>,
    turn: Turn,
    now: Tick,
    hand: &dyn Fn(News),
) -> bool {
    told(signed, &turn);
    let input = Input { now, policy: &signed.policy, max_ttl: signed.max_ttl, parent };
    let leaving = turn.memory.leaving;
    match (leaving, parent) {
        (Some(Leaving::Over), _) => return true,
        (Some(Leaving::Asked), Some(_)) => {
            let message = "the parent has DS, so the zone goes on being signed: have them taken out. \
                           Without them signatures end by themselves";
            tell(signed, known, message.to_owned(), hand);
        }
        (Some(_), _) => {}
        // Without news of this turn nothing new can be missed.
        (None, _) => {
            if let Some(awaited) = parent.and_then(|_| turn.memory.overdue(&input)) {
                tell(signed, known, format!("for days keys have been waiting for {awaited}"), hand);
            }
        }
    }
    known.memory = turn.memory;
    if known.keyring.as_ref() != Some(&turn.keyring) {
        known.keyring = Some(Arc::clone(&turn.keyring));
        hand(News::Keys(signed.apex.clone(), turn.keyring));
    }
    false
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
fn parent(signed: &Signed, known: &mut Known, patience: Duration, hand: &dyn Fn(News)) -> Option<ParentDs> {
    let is_time = known.asked.is_none_or(|asked| asked.elapsed() >= patience);
    // Once of keys that came with DS, so that these are remembered.
    let is_unseen = known.asked.is_none() && !known.memory.keys.is_empty() && known.memory.ds_ttl == 0;
    let is_wanted = signed.is_leaving || known.memory.waits_for_parent() || is_unseen;
    if !is_wanted || !is_time {
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
                tell(signed, known, message, hand);
            }
            Some(said)
        }
        Err(error) => {
            // Whoever has nothing to wait for needn't hear of it.
            if !is_unseen {
                tell(signed, known, format!("{error}; keys wait"), hand);
            }
            None
        }
    }
}

fn tell_error(signed: &Signed, known: &mut Known, error: &StoreError, hand: &dyn Fn(News)) {
    let in_force = if known.keyring.is_some() {
        "the keys from before stay in force"
    } else {
        "without keys the zone isn't served"
    };
    tell(signed, known, format!("{error} ({in_force})"), hand);
}

/// The same is told once, and then from time to time.
fn tell(signed: &Signed, known: &mut Known, message: String, hand: &dyn Fn(News)) {
    let is_told =
        known.told.as_ref().is_some_and(|(told, at)| *told == message && at.elapsed() < KEYS_TOLD_AGAIN);
    if !is_told {
        tracing::error!(kind = "key", zone = %signed.apex, "{message}");
        hand(News::Trouble(signed.apex.clone(), message.clone()));
        known.told = Some((message, Instant::now()));
    }
}
