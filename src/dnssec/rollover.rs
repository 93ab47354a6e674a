//! How one key takes over from another, without a moment in which a resolver that kept anything
//! within its TTL finds no chain of trust (RFC 6781 4.1, RFC 7583).
//!
//! Time only lets a key go on where a TTL is the reason for waiting. Whether the parent has a DS is
//! never assumed: the machine waits for the news, for years if it must, and says what it waits for.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::algorithm::Algorithm;
use super::leaving::Leaving;
use super::policy::{KeySplit, Policy};
use crate::health::Tick;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Signs all, and the parent knows it.
    Csk,
    /// Signs keys, and the parent knows it.
    Ksk,
    /// Signs the zone.
    Zsk,
}

/// Where a key is on its way.
///
/// ```text
/// ZSK, pre-published (RFC 6781 4.1.1.1)
///   Published --DNSKEY TTL--> Active --another is Active--> Retired --zone's TTLs--> gone
///
/// KSK and CSK, keys doubly signed (RFC 6781 4.1.2)
///   Published --DNSKEY TTL--> Submitted --parent has its DS alone--> Delegated --DS TTL--> Active
///     CDS asks for it from Submitted on; the key before it is Retired when it is Delegated
///   Active --another is Delegated--> Retired --DS TTL, and the zone's TTLs for a CSK--> gone
///
/// all keys, to another algorithm (RFC 6781 4.1.4): signatures first, then keys
///   Signing --zone's TTLs--> Published --DNSKEY TTL--> Submitted --parent--> Delegated --DS TTL--> Active
///   Active --others are Active--> Withdrawn --DNSKEY TTL--> gone
///
/// first keys
///   ZSK: Active    KSK, CSK: Published --all TTLs--> Submitted --parent has its DS--> Active
/// ```
///
/// Each wait has the time that changes take to reach all secondaries added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It signs the zone; its DNSKEY isn't there yet.
    Signing,
    /// Its DNSKEY is there; caches are learning it.
    Published,
    /// The parent is asked for its DS.
    Submitted,
    /// The parent has its DS; caches are forgetting the one before.
    Delegated,
    /// It does all that it is for.
    Active,
    /// Another has taken over; caches still need its DNSKEY.
    Retired,
    /// Its DNSKEY is gone; caches that have it still need its signatures.
    Withdrawn,
}

/// How a key came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// With the zone's first signature.
    First,
    /// In place of one of the same algorithm.
    Roll,
    /// In place of those of another algorithm.
    Algorithm,
}

/// What makes a key itself within its zone: no two of a zone may have both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId {
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its tag.
    pub tag: u16,
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.tag, self.algorithm)
    }
}

/// What is kept of a key: plain data, for a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyMemory {
    /// Which one.
    #[serde(flatten)]
    pub id: KeyId,
    /// What it is for.
    pub role: Role,
    /// Where it is.
    pub state: State,
    /// Since when.
    pub since: Tick,
    /// How it came.
    pub start: Start,
}

/// What is kept of a zone's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// In the order in which they came.
    pub keys: Vec<KeyMemory>,
    /// Longest TTL of DS that was seen at the parent, in seconds.
    #[serde(default)]
    pub ds_ttl: u32,
    /// Where the zone is on its way out of signing, if it is to leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Leaving>,
}

/// What the parent's nameservers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParentDs {
    /// Keys whose DS all of them have.
    pub everywhere: BTreeSet<KeyId>,
    /// Keys whose DS any of them has.
    pub anywhere: BTreeSet<KeyId>,
    /// The longest TTL, in seconds.
    pub ttl: u32,
    /// Whether any of them has any DS, be it of a key that isn't known here.
    pub has_any: bool,
}

/// What a step rests on.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The time.
    pub now: Tick,
    /// The operator's wishes.
    pub policy: &'a Policy,
    /// The longest TTL in the zone, in seconds.
    pub max_ttl: u32,
    /// What the parent says, if it was heard.
    pub parent: Option<&'a ParentDs>,
}

/// A key to be made, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// What for.
    pub role: Role,
    /// Of which algorithm.
    pub algorithm: Algorithm,
    /// How it comes.
    pub start: Start,
}

/// What an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roll {
    /// Another ZSK.
    Zsk,
    /// Another KSK.
    Ksk,
    /// Another CSK.
    Csk,
    /// Keys of another algorithm.
    Algorithm(Algorithm),
}

/// A step that a key took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Which key.
    pub id: KeyId,
    /// What it is for.
    pub role: Role,
    /// Where it is now; none: it is gone.
    pub to: Option<State>,
}

/// What a key does in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duties {
    /// Its DNSKEY is in the zone.
    pub is_published: bool,
    /// It signs DNSKEY, CDS and CDNSKEY.
    pub signs_keys: bool,
    /// It signs all else.
    pub signs_zone: bool,
    /// CDS asks for its DS.
    pub is_wanted_in_parent: bool,
}

impl Role {
    /// Whether the parent knows keys of this role.
    #[must_use]
    pub fn is_entry(self) -> bool {
        self != Role::Zsk
    }

    fn signs_zone(self) -> bool {
        self != Role::Ksk
    }
}

impl Memory {
    /// Keys that are to be made now: the first ones, or those whose time to be rolled has come.
    #[must_use]
    pub fn due(&self, input: &Input<'_>) -> Vec<Want> {
        if self.keys.is_empty() {
            return wanted(input.policy.keys, input.policy.algorithm, Start::First);
        }
        let lifetime = |role: Role| match role {
            Role::Zsk => input.policy.zsk_lifetime,
            Role::Ksk | Role::Csk => input.policy.ksk_lifetime,
        };
        let is_old = |key: &&KeyMemory| {
            key.state == State::Active
                // Of RSA no keys are made: an operator takes the zone to another algorithm.
                && key.id.algorithm != Algorithm::RsaSha256
                && lifetime(key.role).is_some_and(|lifetime| key.since + lifetime <= input.now)
        };
        let rolls = self.keys.iter().filter(is_old).map(|key| match key.role {
            Role::Zsk => Roll::Zsk,
            Role::Ksk => Roll::Ksk,
            Role::Csk => Roll::Csk,
        });
        let mut wants: Vec<Want> =
            rolls.filter_map(|roll| self.roll(roll, input.policy).ok()).flatten().collect();
        wants.dedup();
        wants
    }

    /// The keys that a roll begins with.
    ///
    /// # Errors
    /// Why it can't begin now.
    pub fn roll(&self, roll: Roll, policy: &Policy) -> Result<Vec<Want>, String> {
        let role = match roll {
            Roll::Zsk => Role::Zsk,
            Roll::Ksk => Role::Ksk,
            Roll::Csk => Role::Csk,
            Roll::Algorithm(algorithm) => return self.roll_algorithm(algorithm, policy),
        };
        if let Some(key) = self.keys.iter().find(|key| key.start == Start::Algorithm && !key.is_settled()) {
            return Err(format!(
                "the zone is on its way to another algorithm: key {} isn't active yet",
                key.id
            ));
        }
        let is_kin = |key: &&KeyMemory| key.role.is_entry() == role.is_entry();
        if let Some(key) = self.keys.iter().filter(is_kin).find(|key| !key.is_settled()) {
            return Err(format!("key {} is taking over already: see `waypost keys list`", key.id));
        }
        let active = self.keys.iter().find(|key| key.role == role && key.state == State::Active);
        let Some(active) = active else {
            let roles: BTreeSet<String> = self.keys.iter().map(|key| key.role.to_string()).collect();
            let roles: Vec<String> = roles.into_iter().collect();
            return Err(format!("the zone has no active {role}; it has {}", roles.join(" and ")));
        };
        if active.id.algorithm == Algorithm::RsaSha256 {
            return Err("new keys of rsasha256 aren't made: roll to another algorithm instead".to_owned());
        }
        Ok(vec![Want { role, algorithm: active.id.algorithm, start: Start::Roll }])
    }

    fn roll_algorithm(&self, algorithm: Algorithm, policy: &Policy) -> Result<Vec<Want>, String> {
        if algorithm == Algorithm::RsaSha256 {
            return Err("new keys of rsasha256 aren't made".to_owned());
        }
        if let Some(key) = self.keys.iter().find(|key| key.state != State::Active) {
            return Err(format!("key {} is {}: wait until all keys are active", key.id, key.state));
        }
        if self.keys.iter().any(|key| key.id.algorithm == algorithm) {
            return Err(format!("the zone has keys of {algorithm} already"));
        }
        Ok(wanted(policy.keys, algorithm, Start::Algorithm))
    }

    /// Takes a new key in.
    pub fn add(&mut self, tag: u16, want: Want, now: Tick) {
        let state = match (want.start, want.role) {
            (Start::Algorithm, _) => State::Signing,
            // Nobody needs to have learnt it before it signs.
            (Start::First, Role::Zsk) => State::Active,
            _ => State::Published,
        };
        let id = KeyId { algorithm: want.algorithm, tag };
        self.keys.push(KeyMemory { id, role: want.role, state, since: now, start: want.start });
    }

    /// Lets every key go on whose time has come, or whose news.
    pub fn step(&mut self, input: &Input<'_>) -> Vec<Moved> {
        if let Some(parent) = input.parent {
            self.ds_ttl = self.ds_ttl.max(parent.ttl);
        }
        let mut moved = Vec::new();
        for place in 0..self.keys.len() {
            let key = self.keys[place].clone();
            let is_time = self.ready(&key, input).is_some_and(|ready| ready <= input.now);
            let to = match key.state {
                State::Signing if is_time => State::Published,
                State::Published if is_time && key.role.is_entry() => State::Submitted,
                // To another algorithm the ZSK goes with its KSK.
                State::Published if is_time && key.start == Start::Roll => State::Active,
                State::Submitted if self.awaited(&key, input).is_none() => match key.start {
                    Start::First => State::Active,
                    Start::Roll | Start::Algorithm => State::Delegated,
                },
                State::Delegated if is_time => State::Active,
                _ => continue,
            };
            self.set(place, to, input.now, &mut moved);
            self.follow(&key, to, input.now, &mut moved);
        }
        let gone = |key: &KeyMemory| {
            matches!(key.state, State::Retired | State::Withdrawn)
                && self.ready(key, input).is_some_and(|ready| ready <= input.now)
        };
        let gone: Vec<KeyId> = self.keys.iter().filter(|key| gone(key)).map(|key| key.id).collect();
        self.keys.retain(|key| {
            let stays = !gone.contains(&key.id);
            if !stays {
                moved.push(Moved { id: key.id, role: key.role, to: None });
            }
            stays
        });
        moved
    }

    /// What a key's step means for the others.
    fn follow(&mut self, key: &KeyMemory, to: State, now: Tick, moved: &mut Vec<Moved>) {
        for place in 0..self.keys.len() {
            let other = &self.keys[place];
            if other.id == key.id {
                continue;
            }
            let is_kin = other.role.is_entry() == key.role.is_entry();
            let is_of_other_algorithm = other.id.algorithm != key.id.algorithm;
            let next = match (key.start, to, other.state) {
                (Start::Roll, State::Delegated, State::Active) if is_kin => State::Retired,
                (Start::Roll, State::Active, State::Active) if is_kin && !key.role.is_entry() => {
                    State::Retired
                }
                (Start::Algorithm, State::Active, State::Active) if is_of_other_algorithm => State::Withdrawn,
                (Start::Algorithm, State::Active, State::Published) if !is_of_other_algorithm => {
                    State::Active
                }
                _ => continue,
            };
            self.set(place, next, now, moved);
        }
    }

    fn set(&mut self, place: usize, to: State, now: Tick, moved: &mut Vec<Moved>) {
        let key = &mut self.keys[place];
        (key.state, key.since) = (to, now);
        moved.push(Moved { id: key.id, role: key.role, to: Some(to) });
    }

    /// When a key's wait for caches is over; none in states that wait for something else.
    pub(super) fn ready(&self, key: &KeyMemory, input: &Input<'_>) -> Option<Tick> {
        let dnskey_ttl = input.policy.dnskey_ttl;
        let ds_ttl = input.policy.parent_ds_ttl.max(self.ds_ttl);
        let ttl = match (key.state, key.role) {
            (State::Signing, _) => input.max_ttl,
            (State::Published, Role::Zsk) if key.start != Start::Roll => return None,
            // Before, nothing was signed: what caches have of that must be over.
            (State::Published, _) if key.start == Start::First => dnskey_ttl.max(input.max_ttl),
            (State::Published | State::Withdrawn, _) => dnskey_ttl,
            (State::Delegated, _) | (State::Retired, Role::Ksk) => ds_ttl,
            (State::Retired, Role::Zsk) => input.max_ttl,
            (State::Retired, Role::Csk) => ds_ttl.max(input.max_ttl),
            (State::Submitted | State::Active, _) => return None,
        };
        Some(key.since + Duration::from_secs(ttl.into()) + input.policy.propagation)
    }

    /// What a submitted key waits for; none if the parent has what it should.
    pub(super) fn awaited(&self, key: &KeyMemory, input: &Input<'_>) -> Option<String> {
        let Some(parent) = input.parent else {
            return Some(format!("the parent's DS of key {}", key.id));
        };
        if !parent.everywhere.contains(&key.id) {
            let some = if parent.anywhere.contains(&key.id) { "all of " } else { "" };
            return Some(format!("{some}the parent's nameservers to have the DS of key {}", key.id));
        }
        let others = self.keys.iter().filter(|other| other.id != key.id && other.state == State::Active);
        let old = others.map(|other| other.id).find(|id| parent.anywhere.contains(id))?;
        Some(format!("the parent to take out the DS of key {old}"))
    }

    /// What each key does now.
    #[must_use]
    pub fn duties(&self, key: &KeyMemory) -> Duties {
        let (entry, zone) = (key.role.is_entry(), key.role.signs_zone());
        let is_early = key.start != Start::Roll;
        let has_candidate =
            self.keys.iter().any(|key| matches!(key.state, State::Submitted | State::Delegated));
        let (is_published, signs_zone, is_wanted_in_parent) = match key.state {
            State::Signing | State::Withdrawn => (false, zone, false),
            State::Published => (true, zone && is_early, false),
            State::Submitted => (true, zone && is_early, entry),
            State::Delegated => (true, zone, entry),
            State::Active => (true, zone, entry && !has_candidate),
            State::Retired => (true, false, false),
        };
        Duties { is_published, signs_keys: is_published && entry, signs_zone, is_wanted_in_parent }
    }
}

impl KeyMemory {
    /// Whether it is on no way to take over.
    fn is_settled(&self) -> bool {
        matches!(self.state, State::Active | State::Retired | State::Withdrawn)
    }
}

fn wanted(split: KeySplit, algorithm: Algorithm, start: Start) -> Vec<Want> {
    let roles: &[Role] = match split {
        KeySplit::Csk => &[Role::Csk],
        KeySplit::KskZsk => &[Role::Ksk, Role::Zsk],
    };
    roles.iter().map(|&role| Want { role, algorithm, start }).collect()
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Role::Csk => "CSK",
            Role::Ksk => "KSK",
            Role::Zsk => "ZSK",
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Signing => "signing",
            State::Published => "published",
            State::Submitted => "submitted",
            State::Delegated => "delegated",
            State::Active => "active",
            State::Retired => "retired",
            State::Withdrawn => "withdrawn",
        })
    }
}
