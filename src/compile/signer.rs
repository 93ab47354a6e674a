//! Signatures, made once for each content: neither a health transition nor a reload signs what was
//! signed before. On a server without private keys they come from a bundle.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::kept::Kept;
use super::outcomes::Outcomes;
use crate::dnssec::bundle::{Bundle, Making};
use crate::dnssec::{Content, Denial, Keyring, Rrsigs, Validity, verifies};
use crate::snapshot::denial::Order;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// Parts of the cache, so that cores seldom wait for each other; the first octet of a content says
/// which is its.
const PARTS: usize = 64;

/// Signatures more than twice the number that was in use after the last sweep are swept away, if
/// they are more than these.
const UNUSED_MIN: usize = 1024;

/// Seconds until a key that failed is tried again.
const SIGNED_AGAIN: u64 = 60;

/// A time at which no signature is made anew here, as the milliseconds of a clock too.
const NEVER: u64 = u64::MAX / 1000;

/// What signs a zone, with all signatures in force.
#[derive(Debug)]
pub struct Signer {
    keyring: Arc<Keyring>,
    order: Order,
    cache: Arc<Cache>,
    /// The first RRset that couldn't be signed since this was asked last.
    unsigned: Mutex<Option<Unsigned>>,
    /// Where signatures come from, if there are no private keys.
    taken: Option<Taken>,
}

/// A bundle, and what came of it.
#[derive(Debug)]
struct Taken {
    bundle: Arc<Bundle>,
    /// The end of the signature that ends first, of those that were asked for; seconds since 1970.
    earliest: AtomicU64,
    lacking: Mutex<Lacking>,
}

/// RRsets of which a bundle has no good signature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    /// How many.
    pub count: usize,
    /// The first of them.
    pub first: Option<(Name, Rtype)>,
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
    pub rrsigs: Rrsigs,
    /// When they are to be made anew; seconds since 1970.
    pub renewal: u64,
    /// When they were made.
    pub made: u64,
}

#[derive(Debug)]
struct Cache {
    /// In the order of contents.
    parts: [Mutex<Kept>; PARTS],
    state: Mutex<CacheState>,
}

#[derive(Debug, Default)]
struct CacheState {
    /// Which sweep is next; it goes round.
    generation: u8,
    /// Signatures in use after the last one.
    used: usize,
}

impl Signer {
    /// Signs with a keyring. Signatures of `before` are used again.
    #[must_use]
    pub fn new(keyring: Arc<Keyring>, denial: Denial, before: Option<&Signer>) -> Signer {
        let cache = before.map_or_else(Arc::default, |before| Arc::clone(&before.cache));
        Signer { keyring, order: order(denial), cache, taken: None, unsigned: Mutex::default() }
    }

    /// Gives the signatures of a bundle, each when it has proved good. What proved good for `before`
    /// isn't looked at again.
    #[must_use]
    pub fn of_bundle(bundle: Arc<Bundle>, before: Option<&Signer>) -> Signer {
        let keyring = Arc::clone(bundle.keyring());
        let order = order(bundle.denial());
        let cache = before.map_or_else(Arc::default, |before| Arc::clone(&before.cache));
        let taken = Taken { bundle, earliest: AtomicU64::new(u64::MAX), lacking: Mutex::default() };
        Signer { keyring, order, cache, taken: Some(taken), unsigned: Mutex::default() }
    }

    /// The bundle that signatures come from; none where they are made.
    #[must_use]
    pub fn bundle(&self) -> Option<&Arc<Bundle>> {
        self.taken.as_ref().map(|taken| &taken.bundle)
    }

    /// RRsets that were asked for and that the bundle has no good signature of.
    #[must_use]
    pub fn lacking(&self) -> Lacking {
        self.taken.as_ref().map(|taken| lock(&taken.lacking).clone()).unwrap_or_default()
    }

    /// When the first of the bundle's signatures in use ends; seconds since 1970.
    #[must_use]
    pub fn earliest_end(&self) -> Option<u64> {
        let earliest = self.taken.as_ref()?.earliest.load(Ordering::Relaxed);
        Some(earliest).filter(|earliest| *earliest < u64::MAX)
    }

    /// Whether it can sign an RRset: with keys any, and of a bundle those that are in it.
    #[must_use]
    pub fn can_sign(&self, owner: &[u8], rtype: Rtype, ttl: u32, rdatas: &[&[u8]]) -> bool {
        self.taken.as_ref().is_none_or(|taken| {
            taken.bundle.signatures(&self.keyring.content(owner, rtype, ttl, rdatas)).is_some()
        })
    }

    /// All signatures in force as a bundle for servers without private keys; nothing if these are
    /// such, or no key signs. A zone's are all asked for when it is compiled, so they are all there.
    #[must_use]
    pub fn to_bundle(&self, serial: u32, made: u64) -> Option<Vec<u8>> {
        if self.taken.is_some() {
            return None;
        }
        let seconds = (made / 1000) as u32;
        let is_good =
            move |rrsigs: &Rrsigs| rrsigs.validity(seconds).is_some_and(|one| !one.is_over(seconds));
        // A part at a time: the bundle itself is as large as all of them.
        let signatures = self.cache.parts.iter().flat_map(move |part| {
            let mut good: Vec<_> = lock(part).iter().filter(|(_, rrsigs)| is_good(rrsigs)).collect();
            good.sort_unstable_by_key(|(content, _)| *content);
            good
        });
        Making { keyring: &self.keyring, serial, made, denial: self.denial(), signatures }.octets()
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
        let are_same = match (self.bundle(), other.bundle()) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one.agrees_with(other),
            _ => false,
        };
        are_same && self.order == other.order && self.keyring.signs_data_as(&other.keyring)
    }

    /// Signatures of an RRset: those that there are, or others if these are near their end. Where a
    /// key fails, those that there are stay, and are tried again in a minute.
    #[must_use]
    pub fn sign(&self, owner: &[u8], rtype: Rtype, ttl: u32, rdatas: &[&[u8]], now: u64) -> Signatures {
        let content = self.keyring.content(owner, rtype, ttl, rdatas);
        if let Some(taken) = &self.taken {
            return self.take(taken, content, owner, rtype, ttl, rdatas, now);
        }
        let generation = lock(&self.cache.state).generation;
        let kept = self.cache.part(&content).find(&content, generation);
        let kept = kept.and_then(|rrsigs| rrsigs.validity(now as u32).map(|validity| (rrsigs, validity)));
        let kept = match kept {
            Some((rrsigs, validity)) if !validity.is_due(now as u32) => {
                let made = validity.made(now);
                return Signatures { rrsigs, renewal: renewal(validity, made), made };
            }
            other => other,
        };
        let validity = self.keyring.validity(owner, now as u32);
        let rrsigs = self.keyring.sign(owner, rtype, ttl, rdatas, validity);
        if rrsigs.is_empty() || rrsigs.len() < self.keyring.signers(rtype).count() {
            let unsigned = Unsigned { owner: owner.to_vec(), rtype };
            tracing::error!(kind = "key", zone = %self.keyring.apex(), "{unsigned}");
            let renewal = now + SIGNED_AGAIN;
            if let Some((rrsigs, validity)) = kept {
                return Signatures { rrsigs, renewal, made: validity.made(now) };
            }
            lock(&self.unsigned).get_or_insert(unsigned);
            return Signatures { rrsigs: Rrsigs::default(), renewal, made: now };
        }
        self.cache.part(&content).insert(&content, &rrsigs, generation);
        Signatures { rrsigs, renewal: renewal(validity, now), made: now }
    }

    /// The first RRset that couldn't be signed since this was asked last.
    pub fn take_unsigned(&self) -> Option<Unsigned> {
        lock(&self.unsigned).take()
    }

    /// The bundle's signatures of an RRset, if all of them are good and there is one of each key.
    #[expect(clippy::too_many_arguments, reason = "what is signed, and where its signatures are")]
    fn take(
        &self,
        taken: &Taken,
        content: Content,
        owner: &[u8],
        rtype: Rtype,
        ttl: u32,
        rdatas: &[&[u8]],
        now: u64,
    ) -> Signatures {
        let generation = lock(&self.cache.state).generation;
        let found = taken.bundle.signatures(&content).and_then(|rrsigs| {
            // Of several the one that ends first counts.
            let validity = rrsigs.validity(now as u32)?;
            if self.cache.part(&content).find(&content, generation).is_some_and(|kept| kept == rrsigs) {
                return Some((validity, rrsigs));
            }
            let apex = self.keyring.apex();
            let is_of = |key, rrsig: &[u8]| verifies(key, apex, owner, rtype, ttl, rdatas, rrsig);
            let mut keys = self.keyring.signers(rtype);
            let is_good = keys.all(|key| rrsigs.iter().any(|rrsig| is_of(key, rrsig)))
                && rrsigs.len() == self.keyring.signers(rtype).count();
            is_good.then(|| {
                self.cache.part(&content).insert(&content, &rrsigs, generation);
                (validity, rrsigs)
            })
        });
        let Some((validity, rrsigs)) = found else {
            let mut lacking = lock(&taken.lacking);
            lacking.count += 1;
            if lacking.first.is_none() {
                lacking.first = Name::from_wire(owner).ok().map(|owner| (owner, rtype));
            }
            return Signatures { rrsigs: Rrsigs::default(), renewal: NEVER, made: 0 };
        };
        let left = validity.expiration.wrapping_sub(now as u32) as i32;
        taken.earliest.fetch_min(now.saturating_add_signed(left.into()), Ordering::Relaxed);
        Signatures { rrsigs, renewal: NEVER, made: 0 }
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
        let mut state = lock(&self.cache.state);
        state.generation = state.generation.wrapping_add(1);
    }

    /// Forgets signatures that weren't asked for since [`begin_sweep`](Self::begin_sweep).
    pub fn sweep(&self) {
        let generation = lock(&self.cache.state).generation;
        for part in &self.cache.parts {
            lock(part).retain(generation);
        }
        lock(&self.cache.state).used = self.cached();
    }
}

impl Cache {
    /// The part that a content belongs to.
    fn part(&self, content: &Content) -> MutexGuard<'_, Kept> {
        lock(&self.parts[usize::from(content[0]) * PARTS / 256])
    }
}

impl Default for Cache {
    fn default() -> Cache {
        Cache { parts: std::array::from_fn(|_| Mutex::default()), state: Mutex::default() }
    }
}

/// When signatures are to be made anew: never at once, however short their time.
fn renewal(validity: Validity, made: u64) -> u64 {
    let left = validity.renewal().wrapping_sub(made as u32) as i32;
    made.saturating_add_signed(i64::from(left.max(60)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn order(denial: Denial) -> Order {
    match denial {
        Denial::Nsec => Order::Names,
        Denial::Nsec3 => Order::Hashes,
    }
}
