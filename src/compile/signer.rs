//! Signatures, made once for each content: neither a health transition nor a reload signs what was
//! signed before.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest;

use super::outcomes::Outcomes;
use crate::dnssec::{Denial, Keyring, Validity};
use crate::snapshot::denial::Order;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// Parts of the cache, so that cores seldom wait for each other.
const PARTS: usize = 64;

/// Signatures more than twice the number that was in use after the last sweep are swept away, if
/// they are more than these.
const UNUSED_MIN: usize = 1024;

/// Seconds until a key that failed is tried again.
const SIGNED_AGAIN: u64 = 60;

/// What signs a zone, with all signatures in force.
#[derive(Debug)]
pub struct Signer {
    keyring: Arc<Keyring>,
    order: Order,
    /// What tells the keys apart that sign data, and those that sign keys.
    data_keys: Content,
    key_keys: Content,
    cache: Arc<Cache>,
    /// The first RRset that couldn't be signed since this was asked last.
    unsigned: Mutex<Option<Unsigned>>,
}

/// What a zone is compiled with to be signed.
#[derive(Clone, Debug)]
pub struct Signing {
    /// The keys.
    pub signer: Arc<Signer>,
    /// What routed owners may have to answer.
    pub outcomes: Arc<Outcomes>,
    /// The time; seconds since 1970.
    pub now: u64,
}

/// An RRset that a key can't sign. It must not be published: unsigned in a signed zone it is a forgery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsigned {
    /// Its owner in wire form, in lower case.
    pub owner: Vec<u8>,
    /// Its type.
    pub rtype: Rtype,
}

impl fmt::Display for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = Name::from_wire(&self.owner).unwrap_or_else(|_| Name::root());
        write!(f, "the {} records of {owner} can't be signed by all keys that are to sign them", self.rtype)
    }
}

impl std::error::Error for Unsigned {}

/// Signatures of one RRset.
#[derive(Clone, Debug)]
pub struct Signatures {
    /// RDATA of RRSIG, one for each key that signs the type; none if any of them failed.
    pub rrsigs: Arc<[Vec<u8>]>,
    /// When they are to be made anew; seconds since 1970.
    pub renewal: u64,
    /// When they were made.
    pub made: u64,
}

/// A digest of what is signed, and by which keys.
type Content = [u8; 16];

#[derive(Debug)]
struct Cache {
    parts: [Mutex<HashMap<Content, Cached>>; PARTS],
    state: Mutex<CacheState>,
}

#[derive(Debug, Default)]
struct CacheState {
    /// Which sweep is next.
    generation: u64,
    /// Signatures in use after the last one.
    used: usize,
}

#[derive(Debug)]
struct Cached {
    validity: Validity,
    signatures: Signatures,
    generation: u64,
}

impl Signer {
    /// Signs with a keyring. Signatures of `before` are used again.
    #[must_use]
    pub fn new(keyring: Arc<Keyring>, denial: Denial, before: Option<&Signer>) -> Signer {
        let keys = |signs: fn(&crate::dnssec::Member) -> bool| {
            let members = keyring.members().iter().filter(|member| signs(member));
            content(members.map(|member| member.key.dnskey()))
        };
        let (data_keys, key_keys) = (keys(|member| member.signs_zone), keys(|member| member.signs_keys));
        let order = match denial {
            Denial::Nsec => Order::Names,
            Denial::Nsec3 => Order::Hashes,
        };
        let cache = before.map_or_else(Arc::default, |before| Arc::clone(&before.cache));
        Signer { keyring, order, data_keys, key_keys, cache, unsigned: Mutex::default() }
    }

    /// The keys.
    #[must_use]
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// By what names are denied.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// The same, as a zone's policy says it.
    #[must_use]
    pub fn denial(&self) -> Denial {
        match self.order {
            Order::Names => Denial::Nsec,
            Order::Hashes => Denial::Nsec3,
        }
    }

    /// Whether another signs data in the same way, so that only the keys at the apex may differ.
    #[must_use]
    pub fn signs_data_as(&self, other: &Signer) -> bool {
        self.data_keys == other.data_keys && self.order == other.order
    }

    /// Signatures of an RRset: those that there are, or others if these are near their end. Where a
    /// key fails, those that there are stay, and are tried again in a minute.
    #[must_use]
    pub fn sign(&self, owner: &[u8], rtype: Rtype, ttl: u32, rdatas: &[&[u8]], now: u64) -> Signatures {
        let is_of_keys = matches!(rtype, Rtype::DNSKEY | Rtype::CDS | Rtype::CDNSKEY);
        let keys = if is_of_keys { &self.key_keys } else { &self.data_keys };
        let fixed = [rtype.0.to_be_bytes().as_slice(), &ttl.to_be_bytes()].concat();
        let content = content([&keys[..], owner, &fixed].into_iter().chain(rdatas.iter().copied()));
        let part = &self.cache.parts[usize::from(content[0]) % PARTS];
        let generation = lock(&self.cache.state).generation;
        if let Some(cached) = lock(part).get_mut(&content)
            && !cached.validity.is_due(now as u32)
        {
            cached.generation = generation;
            return cached.signatures.clone();
        }
        let validity = self.keyring.validity(owner, now as u32);
        let rrsigs = self.keyring.sign(owner, rtype, ttl, rdatas, validity);
        if rrsigs.is_empty() || rrsigs.len() < self.keyring.signers(rtype).count() {
            let unsigned = Unsigned { owner: owner.to_vec(), rtype };
            tracing::error!(zone = %self.keyring.apex(), "{unsigned}");
            let renewal = now + SIGNED_AGAIN;
            if let Some(cached) = lock(part).get_mut(&content) {
                cached.generation = generation;
                cached.signatures.renewal = renewal;
                return cached.signatures.clone();
            }
            lock(&self.unsigned).get_or_insert(unsigned);
            return Signatures { rrsigs: [].into(), renewal, made: now };
        }
        let left = validity.renewal().wrapping_sub(now as u32) as i32;
        let renewal = now.saturating_add_signed(i64::from(left.max(60)));
        let signatures = Signatures { rrsigs: rrsigs.into(), renewal, made: now };
        let cached = Cached { validity, signatures: signatures.clone(), generation };
        lock(part).insert(content, cached);
        signatures
    }

    /// The first RRset that couldn't be signed since this was asked last.
    pub fn take_unsigned(&self) -> Option<Unsigned> {
        lock(&self.unsigned).take()
    }

    /// How many signatures are kept.
    #[must_use]
    pub fn cached(&self) -> usize {
        self.cache.parts.iter().map(|part| lock(part).len()).sum()
    }

    /// Whether so many signatures are of no use that all should be asked for again, and then
    /// [swept](Self::sweep).
    #[must_use]
    pub fn is_littered(&self) -> bool {
        self.cached() > 2 * lock(&self.cache.state).used + UNUSED_MIN
    }

    /// From here on, signatures that are asked for are told from the others.
    pub fn begin_sweep(&self) {
        lock(&self.cache.state).generation += 1;
    }

    /// Forgets signatures that weren't asked for since [`begin_sweep`](Self::begin_sweep).
    pub fn sweep(&self) {
        let generation = lock(&self.cache.state).generation;
        for part in &self.cache.parts {
            lock(part).retain(|_, cached| cached.generation == generation);
        }
        lock(&self.cache.state).used = self.cached();
    }
}

impl Default for Cache {
    fn default() -> Cache {
        Cache { parts: std::array::from_fn(|_| Mutex::default()), state: Mutex::default() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn content<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Content {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u32).to_be_bytes());
        context.update(part);
    }
    let mut content = [0; 16];
    content.copy_from_slice(&context.finish().as_ref()[..16]);
    content
}
