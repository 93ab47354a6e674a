//! All signatures of a zone and what is public of its keys, for servers that hold no private key.
//!
//! ```text
//! "waypost bundle 1\n"
//! apex, made, serial, denial, TTL of keys
//! keys          what each does, DNSKEY        of this signer, published or not
//! others        DNSKEY                        of other signers (RFC 8901)
//! signatures    content, RRSIGs               in the order of contents
//! seals         RRSIG                         over the digest of all that is above
//! ```
//!
//! A signature is found by its content: a digest of the RRset, which the one that takes it has from
//! its own zone file, and of the keys. So a bundle holds no record, and no signature is taken but
//! with the records that it was made for. A seal is made as for an RRset at the apex, of a private
//! type that nobody asks for, with the digest as its data: by the zone's keys, which sign nothing
//! else than RRsets.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ring::digest;

use super::ds::{DigestType, ds};
use super::key::SigningKey;
use super::keyring::{Content, Keyring, Member};
use super::policy::Denial;
use super::rrsigs::Rrsigs;
use super::verify::verifies;
use crate::limits::BUNDLE_KEYS;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

const MAGIC: &[u8] = b"waypost bundle 1\n";

/// The type of seals, one for private use (RFC 6895 3.1). No server here answers it.
const SEAL: Rtype = Rtype(65_321);

/// RDATA of RRSIG without its signature and with the root's name (RFC 4034 3.1).
const RRSIG_MIN_OCTETS: usize = 19;

/// RRSIGs by content, as they lie in the bundle.
#[derive(Clone, Debug)]
struct Signatures {
    octets: Arc<[u8]>,
    /// Where each content begins, in order; behind them the end.
    places: Arc<[u32]>,
}

/// A bundle that was read, its seal being good for the keys that it has itself. Whether these are the
/// zone's is told by [`is_anchored`](Bundle::is_anchored) and [`follows`](Bundle::follows).
#[derive(Clone, Debug)]
pub struct Bundle {
    serial: u32,
    made: u64,
    denial: Denial,
    keyring: Arc<Keyring>,
    signatures: Signatures,
    digest: [u8; 32],
}

/// Why octets aren't taken as a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleError {
    /// They are no bundle, or end early, or go on behind its end.
    Malformed(&'static str),
    /// It is of another zone.
    OtherZone(Name),
    /// It wasn't sealed by the keys that it has, or was changed since.
    Seal,
    /// No key that signs its keys is known.
    Stranger,
    /// It was made before the one in force.
    Older,
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BundleError::Malformed(what) => write!(f, "this is no whole bundle: {what}"),
            BundleError::OtherZone(apex) => write!(f, "this is a bundle of {apex}"),
            BundleError::Seal => f.write_str("the bundle was changed since its signer made it"),
            BundleError::Stranger => f.write_str("the bundle's keys are signed by no key that is known"),
            BundleError::Older => f.write_str("the bundle is older than the one in force"),
        }
    }
}

impl std::error::Error for BundleError {}

/// What a bundle is made of.
#[derive(Debug)]
pub struct Making<'a, S> {
    /// The keys, private halves included.
    pub keyring: &'a Keyring,
    /// The SOA serial of the zone that was signed.
    pub serial: u32,
    /// When; milliseconds since 1970. A later bundle has a later time.
    pub made: u64,
    /// How names are denied.
    pub denial: Denial,
    /// Signatures in force, in the order of contents, each once.
    pub signatures: S,
}

impl<S: IntoIterator<Item = (Content, Rrsigs)>> Making<'_, S> {
    /// The bundle's octets; none when no key seals it, or there are more keys than [`BUNDLE_KEYS`].
    #[must_use]
    pub fn octets(self) -> Option<Vec<u8>> {
        let (keyring, made) = (self.keyring, self.made);
        let mut out = self.body()?;
        let digest = sha256(&out);
        let validity = keyring.validity(keyring.apex().as_wire(), (made / 1000) as u32);
        let seals = keyring.sign(keyring.apex().as_wire(), SEAL, 0, &[&digest], validity);
        if seals.is_empty() {
            return None;
        }
        put_all(&mut out, &seals)?;
        Some(out)
    }

    /// All that is sealed.
    fn body(self) -> Option<Vec<u8>> {
        let keyring = self.keyring;
        if keyring.members().len() + keyring.others().len() > BUNDLE_KEYS {
            return None;
        }
        let mut out = MAGIC.to_vec();
        put(&mut out, keyring.apex().as_wire())?;
        out.extend(self.made.to_be_bytes());
        out.extend(self.serial.to_be_bytes());
        out.push(match self.denial {
            Denial::Nsec => 0,
            Denial::Nsec3 => 1,
        });
        out.extend(keyring.dnskey_ttl().to_be_bytes());
        out.extend(u16::try_from(keyring.members().len()).ok()?.to_be_bytes());
        for member in keyring.members() {
            out.push(duties(member));
            put(&mut out, member.key.dnskey())?;
        }
        out.extend(u16::try_from(keyring.others().len()).ok()?.to_be_bytes());
        for dnskey in keyring.others() {
            put(&mut out, dnskey)?;
        }
        let (counted_at, mut count) = (out.len(), 0u32);
        out.extend(count.to_be_bytes());
        for (content, rrsigs) in self.signatures {
            out.extend(content);
            put_all(&mut out, &rrsigs)?;
            count = count.checked_add(1)?;
        }
        out[counted_at..counted_at + 4].copy_from_slice(&count.to_be_bytes());
        Some(out)
    }
}

impl Bundle {
    /// Reads a bundle of a zone.
    ///
    /// # Errors
    /// [`BundleError`]: nothing of it is to be used then.
    pub fn read(apex: &Name, octets: &[u8]) -> Result<Bundle, BundleError> {
        let mut reader = Reader { octets, at: 0 };
        let apex = apex.to_lower();
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(BundleError::Malformed("it doesn't begin like one of this version"));
        }
        let named = Name::from_wire(reader.counted()?);
        let named = named.map_err(|_| BundleError::Malformed("the zone's name is none"))?;
        if named != apex {
            return Err(BundleError::OtherZone(named));
        }
        if named.as_wire() != apex.as_wire() {
            return Err(BundleError::Malformed("the zone's name isn't in lower case"));
        }
        let made = u64::from_be_bytes(reader.array()?);
        let serial = u32::from_be_bytes(reader.array()?);
        let denial = match reader.array()? {
            [0] => Denial::Nsec,
            [1] => Denial::Nsec3,
            _ => return Err(BundleError::Malformed("names are denied in no known way")),
        };
        let dnskey_ttl = u32::from_be_bytes(reader.array()?);
        let count = reader.count_keys(BUNDLE_KEYS)?;
        let members = (0..count).map(|_| reader.member()).collect::<Result<Vec<_>, _>>()?;
        let count = reader.count_keys(BUNDLE_KEYS - members.len())?;
        let others = (0..count).map(|_| reader.counted().map(<[u8]>::to_vec));
        let others = others.collect::<Result<Vec<_>, _>>()?;
        let keyring = Keyring::new(&apex, members, others, dnskey_ttl, Duration::ZERO);
        let signatures = reader.signatures()?;
        let body = &octets[..reader.at];
        let digest = sha256(body);
        let seals = Rrsigs::from_octets(reader.rrsigs()?);
        if reader.at != octets.len() {
            return Err(BundleError::Malformed("it goes on behind its end"));
        }
        let published = keyring.members().iter().filter(|member| member.is_published);
        let is_sealed = published.filter(|member| member.signs_zone).any(|member| {
            let is_of_key =
                |seal: &[u8]| verifies(&member.key, &apex, apex.as_wire(), SEAL, 0, &[&digest], seal);
            seals.iter().any(is_of_key)
        });
        let bundle = Bundle { serial, made, denial, keyring: Arc::new(keyring), signatures, digest };
        debug_assert!(bundle.body().as_deref() == Some(body), "what is read has one form");
        if is_sealed && bundle.entries().next().is_some() { Ok(bundle) } else { Err(BundleError::Seal) }
    }

    /// Whether a key that signs the bundle's keys has one of these DS at the parent.
    ///
    /// # Errors
    /// [`BundleError::Stranger`].
    pub fn is_anchored(&self, anchors: &[Vec<u8>]) -> Result<(), BundleError> {
        let apex = self.keyring.apex();
        let is_known = |key: &SigningKey| {
            [DigestType::Sha256, DigestType::Sha384]
                .iter()
                .any(|digest_type| anchors.contains(&ds(apex, key.dnskey(), *digest_type)))
        };
        if self.entries().any(is_known) { Ok(()) } else { Err(BundleError::Stranger) }
    }

    /// Whether this one may take another's place: it is as young, and one of the other's keys that
    /// sign keys signed these.
    ///
    /// # Errors
    /// [`BundleError::Older`], [`BundleError::Stranger`].
    pub fn follows(&self, before: &Bundle) -> Result<(), BundleError> {
        if self.made < before.made || self.made == before.made && self.digest != before.digest {
            return Err(BundleError::Older);
        }
        let is_known = |key: &SigningKey| before.entries().any(|old| old == key);
        if self.entries().any(is_known) { Ok(()) } else { Err(BundleError::Stranger) }
    }

    /// The SOA serial of the zone that was signed.
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// When it was made; milliseconds since 1970.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.made
    }

    /// How names are denied.
    #[must_use]
    pub fn denial(&self) -> Denial {
        self.denial
    }

    /// The keys, without their private halves.
    #[must_use]
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// RRSIGs of a content.
    #[must_use]
    pub fn signatures(&self, content: &Content) -> Option<Rrsigs> {
        self.signatures.get(content).map(Rrsigs::from_octets)
    }

    /// Whether every signature that both have is the same.
    #[must_use]
    pub fn agrees_with(&self, other: &Bundle) -> bool {
        let mut both = self
            .signatures
            .iter()
            .filter_map(|(content, ours)| other.signatures.get(&content).map(|theirs| (ours, theirs)));
        both.all(|(ours, theirs)| ours == theirs)
    }

    /// All of it but the seals, as it was written.
    fn body(&self) -> Option<Vec<u8>> {
        let signatures = self.signatures.iter();
        let signatures = signatures.map(|(content, rrsigs)| (content, Rrsigs::from_octets(rrsigs)));
        let Bundle { serial, made, denial, ref keyring, .. } = *self;
        Making { keyring, serial, made, denial, signatures }.body()
    }

    /// Published keys of which a signature over the bundle's DNSKEY RRset is good.
    fn entries(&self) -> impl Iterator<Item = &SigningKey> {
        let (keyring, apex) = (&self.keyring, self.keyring.apex());
        let rdatas: Vec<&[u8]> = keyring.dnskeys().collect();
        let ttl = keyring.dnskey_ttl();
        let content = keyring.content(apex.as_wire(), Rtype::DNSKEY, ttl, &rdatas);
        let rrsigs = self.signatures(&content).unwrap_or_default();
        let published = keyring.members().iter().filter(|member| member.is_published && member.signs_keys);
        published.map(|member| &member.key).filter(move |key| {
            let is_of_key =
                |rrsig: &[u8]| verifies(key, apex, apex.as_wire(), Rtype::DNSKEY, ttl, &rdatas, rrsig);
            rrsigs.iter().any(is_of_key)
        })
    }
}

/// What a key does, as bits.
const PUBLISHED: u8 = 1;
const SIGNS_KEYS: u8 = 2;
const SIGNS_ZONE: u8 = 4;
const WANTED_IN_PARENT: u8 = 8;
const ALL_DUTIES: u8 = PUBLISHED | SIGNS_KEYS | SIGNS_ZONE | WANTED_IN_PARENT;

fn duties(member: &Member) -> u8 {
    [
        (member.is_published, PUBLISHED),
        (member.signs_keys, SIGNS_KEYS),
        (member.signs_zone, SIGNS_ZONE),
        (member.is_wanted_in_parent, WANTED_IN_PARENT),
    ]
    .iter()
    .fold(0, |bits, (does, bit)| if *does { bits | bit } else { bits })
}

fn put(out: &mut Vec<u8>, octets: &[u8]) -> Option<()> {
    out.extend(u16::try_from(octets.len()).ok()?.to_be_bytes());
    out.extend_from_slice(octets);
    Some(())
}

fn put_all(out: &mut Vec<u8>, rrsigs: &Rrsigs) -> Option<()> {
    out.push(u8::try_from(rrsigs.len()).ok()?);
    out.extend_from_slice(rrsigs.as_octets());
    Some(())
}

fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(digest::digest(&digest::SHA256, octets).as_ref());
    digest
}

impl Signatures {
    fn len(&self) -> usize {
        self.places.len() - 1
    }

    fn content(&self, number: usize) -> Content {
        let at = self.places[number] as usize;
        let mut content = Content::default();
        content.copy_from_slice(&self.octets[at..at + size_of::<Content>()]);
        content
    }

    /// RRSIGs of a content, in the form of [`Rrsigs`]; before them stands how many.
    fn rrsigs(&self, number: usize) -> &[u8] {
        let at = |number: usize| self.places[number] as usize;
        &self.octets[at(number) + size_of::<Content>() + 1..at(number + 1)]
    }

    fn get(&self, content: &Content) -> Option<&[u8]> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.content(middle).cmp(content) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Some(self.rrsigs(middle)),
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    fn iter(&self) -> impl Iterator<Item = (Content, &[u8])> {
        (0..self.len()).map(|number| (self.content(number), self.rrsigs(number)))
    }
}

struct Reader<'o> {
    octets: &'o [u8],
    at: usize,
}

impl<'o> Reader<'o> {
    fn take(&mut self, count: usize) -> Result<&'o [u8], BundleError> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.octets.get(self.at..end));
        let taken = taken.ok_or(BundleError::Malformed("it ends early"))?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BundleError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn counted(&mut self) -> Result<&'o [u8], BundleError> {
        let count = u16::from_be_bytes(self.array()?);
        self.take(count.into())
    }

    fn count_keys(&mut self, at_most: usize) -> Result<u16, BundleError> {
        let count = u16::from_be_bytes(self.array()?);
        if usize::from(count) > at_most {
            return Err(BundleError::Malformed("it has more keys than are taken"));
        }
        Ok(count)
    }

    fn member(&mut self) -> Result<Member, BundleError> {
        let [duties] = self.array()?;
        if duties & !ALL_DUTIES != 0 {
            return Err(BundleError::Malformed("a key does what isn't known here"));
        }
        let key = SigningKey::public(self.counted()?);
        Ok(Member {
            key: key.map_err(|_| BundleError::Malformed("a key is none that is known here"))?,
            is_published: duties & PUBLISHED != 0,
            signs_keys: duties & SIGNS_KEYS != 0,
            signs_zone: duties & SIGNS_ZONE != 0,
            is_wanted_in_parent: duties & WANTED_IN_PARENT != 0,
        })
    }

    /// In the form of [`Rrsigs`].
    fn rrsigs(&mut self) -> Result<&'o [u8], BundleError> {
        let [count] = self.array()?;
        if usize::from(count) > BUNDLE_KEYS {
            return Err(BundleError::Malformed("an RRset has more signatures than there may be keys"));
        }
        let start = self.at;
        for _ in 0..count {
            // So that none takes much more room in memory than here.
            if self.counted()?.len() < RRSIG_MIN_OCTETS {
                return Err(BundleError::Malformed("a signature is too short to be one"));
            }
        }
        Ok(&self.octets[start..self.at])
    }

    fn signatures(&mut self) -> Result<Signatures, BundleError> {
        let count = u32::from_be_bytes(self.array()?) as usize;
        // However many it says that it has: each takes room in the octets.
        let mut places = Vec::with_capacity(count.min((self.octets.len() - self.at) / 17) + 1);
        let start = self.at;
        let place =
            |at: usize| u32::try_from(at - start).map_err(|_| BundleError::Malformed("it is too large"));
        let mut before: Option<Content> = None;
        for _ in 0..count {
            places.push(place(self.at)?);
            let content: Content = self.array()?;
            if before.is_some_and(|before| before >= content) {
                return Err(BundleError::Malformed("signatures aren't in order"));
            }
            before = Some(content);
            self.rrsigs()?;
        }
        places.push(place(self.at)?);
        Ok(Signatures { octets: self.octets[start..self.at].into(), places: places.into() })
    }
}
