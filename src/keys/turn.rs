//! One zone at one moment: its keys read, let on, and written.

use std::sync::Arc;

use super::store::{Held, StoreError, ZoneStore, id};
use crate::dnssec::leaving::Leaving;
use crate::dnssec::rollover::{Input, Memory, Moved, ParentDs, Want};
use crate::dnssec::{FLAGS_ENTRY, FLAGS_ZONE, Keyring, Member, Policy, SigningKey};
use crate::health::Tick;
use crate::load::LoadedZone;
use crate::wire::name::Name;

/// A zone that is to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Its apex.
    pub apex: Name,
    /// How it is signed.
    pub policy: Policy,
    /// The longest TTL in it, in seconds.
    pub max_ttl: u32,
    /// It is to be signed no longer than it must.
    pub is_leaving: bool,
}

impl Signed {
    /// What of a zone its keys depend on; none if it isn't signed.
    #[must_use]
    pub fn of(loaded: &LoadedZone) -> Option<Signed> {
        Some(Signed::with(loaded, loaded.config.dnssec.clone()?))
    }

    fn with(loaded: &LoadedZone, policy: Policy) -> Signed {
        let records = loaded.zone.owners().flat_map(|owner| owner.rrsets().map(|rrset| rrset.ttl()).max());
        let routes = loaded.config.routing.routes.iter().map(|route| route.ttl.normal);
        let max_ttl = records.chain(routes).chain([policy.dnskey_ttl]).max().unwrap_or_default();
        Signed { apex: loaded.zone.apex().to_lower(), policy, max_ttl, is_leaving: false }
    }
}

impl Signed {
    /// The same of a zone that isn't to be signed, and was: it leaves signing. None if it was never
    /// signed, has left, or its keys can't be read.
    #[must_use]
    pub fn of_leaving(loaded: &LoadedZone, store: &ZoneStore) -> Option<Signed> {
        let (memory, policy) = store.read_state().ok()??;
        if memory.leaving == Some(Leaving::Over) || loaded.config.unsigned.at_once {
            return None;
        }
        Some(Signed { is_leaving: true, ..Signed::with(loaded, policy) })
    }
}

/// What a turn came to.
#[derive(Clone, Debug)]
pub struct Turn {
    /// What is in force now.
    pub keyring: Arc<Keyring>,
    /// Where keys are.
    pub memory: Memory,
    /// Keys that were made.
    pub made: Vec<Want>,
    /// Keys that went on.
    pub moved: Vec<Moved>,
}

/// Reads a zone's keys, makes those that are due, and lets all go on whose time has come. What comes
/// of it is on the disk before it is in force.
///
/// # Errors
/// When keys can't be read or written; then nothing has changed.
pub fn turn(
    store: &ZoneStore,
    signed: &Signed,
    parent: Option<&ParentDs>,
    now: Tick,
) -> Result<Turn, StoreError> {
    let _lock = store.lock()?;
    let mut held = store.read(now)?;
    let input = Input { now, policy: &signed.policy, max_ttl: signed.max_ttl, parent };
    let (mut made, mut moved) = (Vec::new(), Vec::new());
    if signed.is_leaving {
        // Keys that were on their way wait, which is safe for any time.
        held.memory.leave(&input);
    } else {
        held.memory.stay(now);
        made = held.memory.due(&input);
        add_keys(store, &mut held, &made, now)?;
        moved = held.memory.step(&input);
    }
    let written = store.read_state()?;
    if written.is_none_or(|written| written != (held.memory.clone(), signed.policy.clone())) {
        store.write_memory(&held.memory, &signed.policy)?;
    }
    for gone in moved.iter().filter(|moved| moved.to.is_none()) {
        // Nothing needs it any more, whether the disk lets it go or not.
        if let Err(error) = store.remove_key(gone.id) {
            tracing::warn!(kind = "key", %error, zone = %signed.apex, "a key that is no longer used stays on the disk");
        }
    }
    held.keys.retain(|key| held.memory.keys.iter().any(|memory| memory.id == id(key)));
    Ok(Turn { keyring: Arc::new(keyring(signed, &held)), memory: held.memory, made, moved })
}

/// The keys as the disk has them, if it has any: what signs a zone where nothing can be written.
#[must_use]
pub fn standing(store: &ZoneStore, signed: &Signed, now: Tick) -> Option<Arc<Keyring>> {
    let held = store.read(now).ok().filter(|held| !held.keys.is_empty())?;
    Some(Arc::new(keyring(signed, &held)))
}

/// Makes keys and takes them in; whoever calls keeps the memory.
///
/// # Errors
/// When one can't be made or written.
pub fn add_keys(store: &ZoneStore, held: &mut Held, wants: &[Want], now: Tick) -> Result<(), StoreError> {
    for want in wants {
        let flags = if want.role.is_entry() { FLAGS_ENTRY } else { FLAGS_ZONE };
        let (key, secret) = loop {
            let made = SigningKey::generate(want.algorithm, flags).map_err(|error| StoreError {
                path: store.directory().to_owned(),
                message: format!("no key was made: {error}"),
                help: "see to it, and try again".to_owned(),
            })?;
            // Signatures name keys by their tags.
            if !held.keys.iter().any(|key| key.tag() == made.0.tag()) {
                break made;
            }
        };
        store.write_key(&key, &secret)?;
        held.memory.add(key.tag(), *want, now);
        held.keys.push(key);
    }
    Ok(())
}

/// What is in force for keys as they are.
#[must_use]
pub fn keyring(signed: &Signed, held: &Held) -> Keyring {
    let members = held.memory.keys.iter().filter_map(|memory| {
        let key = held.keys.iter().find(|key| id(key) == memory.id)?.clone();
        let duties = held.memory.duties(memory);
        Some(Member {
            key,
            is_published: duties.is_published,
            signs_keys: duties.signs_keys,
            signs_zone: duties.signs_zone,
            is_wanted_in_parent: duties.is_wanted_in_parent,
        })
    });
    let policy = &signed.policy;
    let keyring = Keyring::new(
        &signed.apex,
        members.collect(),
        policy.others.clone(),
        policy.dnskey_ttl,
        policy.signature_validity,
    );
    if signed.is_leaving { keyring.leaving() } else { keyring }
}
