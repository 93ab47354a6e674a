//! How a zone is signed, as its operator wants it.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::algorithm::Algorithm;

const DAY: Duration = Duration::from_secs(86_400);

/// How names that aren't there are denied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Denial {
    /// NSEC (RFC 4034 4): smallest and fastest; whoever asks on learns all names.
    #[default]
    Nsec,
    /// NSEC3 (RFC 5155), without salt and further rounds (RFC 9276).
    Nsec3,
}

/// Which keys a zone has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeySplit {
    /// One that signs all.
    #[default]
    Csk,
    /// One that the parent knows and signs keys, and one that signs the zone.
    KskZsk,
}

/// How a zone is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How names that aren't there are denied.
    pub denial: Denial,
    /// The algorithm of new keys.
    pub algorithm: Algorithm,
    /// Which first keys are made.
    pub keys: KeySplit,
    /// How long a ZSK signs before another takes over; none: until it is rolled by hand.
    pub zsk_lifetime: Option<Duration>,
    /// The same of a KSK or CSK.
    pub ksk_lifetime: Option<Duration>,
    /// How long signatures hold; somewhat less for some owners.
    pub signature_validity: Duration,
    /// TTL of DNSKEY, CDS and CDNSKEY, in seconds.
    pub dnskey_ttl: u32,
    /// TTL of DS in the parent zone, in seconds, if a longer one isn't seen there.
    pub parent_ds_ttl: u32,
    /// How long a change takes to be signed and to reach all secondaries.
    pub propagation: Duration,
    /// The parent's nameservers; none: they are looked for.
    pub parent: Vec<SocketAddr>,
    /// DNSKEY RDATA of other providers that sign the zone too (RFC 8901).
    pub others: Vec<Vec<u8>>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            denial: Denial::Nsec,
            algorithm: Algorithm::EcdsaP256Sha256,
            keys: KeySplit::Csk,
            zsk_lifetime: Some(90 * DAY),
            ksk_lifetime: None,
            signature_validity: 21 * DAY,
            dnskey_ttl: 3_600,
            parent_ds_ttl: 86_400,
            propagation: Duration::from_secs(3_600),
            parent: Vec::new(),
            others: Vec::new(),
        }
    }
}
