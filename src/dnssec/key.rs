//! One key: what is published of it, and the half that signs.

use std::fmt;
use std::sync::Arc;

use ring::rand::SystemRandom;
use ring::rsa::{self, KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use zeroize::Zeroizing;

use super::algorithm::Algorithm;

/// DNSKEY flags of a key that signs the zone (RFC 4034 2.1.1).
pub const FLAGS_ZONE: u16 = 256;
/// DNSKEY flags of a key that the parent knows: zone key and secure entry point (RFC 4034 2.1.1).
pub const FLAGS_ENTRY: u16 = 257;

/// The half of a key that signs, wherever it is: in memory here; a token that never gives it away
/// would stand beside.
pub trait Signer: Send + Sync {
    /// The signature of octets, in the form of RRSIG; none when it can't be made.
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>>;
}

/// A key of a zone. Clones share the private half.
#[derive(Clone)]
pub struct SigningKey {
    algorithm: Algorithm,
    flags: u16,
    tag: u16,
    dnskey: Arc<[u8]>,
    signer: Arc<dyn Signer>,
}

/// A private half as octets, for a file; gone from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The scalar of P-256, 32 octets (RFC 6605), or the seed of Ed25519 (RFC 8080).
    Scalar(Zeroizing<Vec<u8>>),
    /// Numbers of an RSA key.
    Rsa(Box<RsaNumbers>),
}

/// Numbers of an RSA key, big-endian, in the order and by the names of key files.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RsaNumbers {
    /// n
    pub modulus: Zeroizing<Vec<u8>>,
    /// e
    pub public_exponent: Zeroizing<Vec<u8>>,
    /// d
    pub private_exponent: Zeroizing<Vec<u8>>,
    /// p
    pub prime1: Zeroizing<Vec<u8>>,
    /// q
    pub prime2: Zeroizing<Vec<u8>>,
    /// d mod (p - 1)
    pub exponent1: Zeroizing<Vec<u8>>,
    /// d mod (q - 1)
    pub exponent2: Zeroizing<Vec<u8>>,
    /// q^-1 mod p
    pub coefficient: Zeroizing<Vec<u8>>,
}

/// Why a key can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Private and public half aren't of one key, or one of them is broken.
    Mismatch,
    /// An RSA key shorter than 2048 bits, or longer than 4096.
    RsaLength,
    /// New RSA keys aren't made.
    NotMade(Algorithm),
    /// The system gave no random octets.
    NoRandom,
    /// The DNSKEY isn't one of a zone, or of an algorithm that isn't signed with here.
    Unusable(String),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Mismatch => f.write_str("private and public half don't belong together"),
            KeyError::RsaLength => f.write_str("RSA keys must have 2048 to 4096 bits"),
            KeyError::NotMade(algorithm) => {
                write!(f, "new keys of {algorithm} aren't made: take ecdsap256sha256 or ed25519")
            }
            KeyError::NoRandom => f.write_str("the system gives no random numbers"),
            KeyError::Unusable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for KeyError {}

impl SigningKey {
    /// Makes a new key, with the secret that its file holds.
    ///
    /// # Errors
    /// RSA keys aren't made; or there is no randomness.
    pub fn generate(algorithm: Algorithm, flags: u16) -> Result<(SigningKey, Secret), KeyError> {
        let mut octets = Zeroizing::new(vec![0; 32]);
        match algorithm {
            Algorithm::RsaSha256 => return Err(KeyError::NotMade(algorithm)),
            Algorithm::Ed25519 => {
                ring::rand::SecureRandom::fill(&SystemRandom::new(), &mut octets)
                    .map_err(|_| KeyError::NoRandom)?;
            }
            Algorithm::EcdsaP256Sha256 => {
                let random = SystemRandom::new();
                let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
                let document = document.map_err(|_| KeyError::NoRandom)?;
                let document = Zeroizing::new(document.as_ref().to_vec());
                octets.copy_from_slice(document.get(PKCS8_SCALAR).ok_or(KeyError::Mismatch)?);
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &document, &random)
                    .map_err(|_| KeyError::Mismatch)?;
                let dnskey = rdata(flags, algorithm, &pair.public_key().as_ref()[1..]);
                let secret = Secret::Scalar(octets);
                return Ok((SigningKey::new(&dnskey, &secret)?, secret));
            }
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(&octets).map_err(|_| KeyError::Mismatch)?;
        let dnskey = rdata(flags, algorithm, pair.public_key().as_ref());
        let secret = Secret::Scalar(octets);
        Ok((SigningKey::new(&dnskey, &secret)?, secret))
    }

    /// A key of its DNSKEY RDATA and its secret, which are checked against each other.
    ///
    /// # Errors
    /// When they don't belong together, or can't be signed with here.
    pub fn new(dnskey: &[u8], secret: &Secret) -> Result<SigningKey, KeyError> {
        let (algorithm, flags, public) = parts(dnskey)?;
        let signer: Arc<dyn Signer> = match (algorithm, secret) {
            (Algorithm::EcdsaP256Sha256, Secret::Scalar(scalar)) => {
                let point = [&[4], public].concat();
                let random = SystemRandom::new();
                let pair = EcdsaKeyPair::from_private_key_and_public_key(
                    &ECDSA_P256_SHA256_FIXED_SIGNING,
                    scalar,
                    &point,
                    &random,
                );
                Arc::new(P256(pair.map_err(|_| KeyError::Mismatch)?, random))
            }
            (Algorithm::Ed25519, Secret::Scalar(seed)) => Arc::new(Ed25519(
                Ed25519KeyPair::from_seed_and_public_key(seed, public).map_err(|_| KeyError::Mismatch)?,
            )),
            (Algorithm::RsaSha256, Secret::Rsa(numbers)) => {
                if numbers.modulus.len() < 256 || numbers.modulus.len() > 512 {
                    return Err(KeyError::RsaLength);
                }
                if public != rsa_public(numbers) {
                    return Err(KeyError::Mismatch);
                }
                let pair = rsa::KeyPair::from_components(&KeyPairComponents {
                    public_key: PublicKeyComponents { n: &numbers.modulus[..], e: &numbers.public_exponent },
                    d: &numbers.private_exponent[..],
                    p: &numbers.prime1[..],
                    q: &numbers.prime2[..],
                    dP: &numbers.exponent1[..],
                    dQ: &numbers.exponent2[..],
                    qInv: &numbers.coefficient[..],
                });
                Arc::new(Rsa(pair.map_err(|_| KeyError::Mismatch)?, SystemRandom::new()))
            }
            _ => return Err(KeyError::Mismatch),
        };
        Ok(SigningKey::with_signer(algorithm, flags, dnskey, signer))
    }

    /// A key whose private half is elsewhere.
    #[must_use]
    pub fn with_signer(
        algorithm: Algorithm,
        flags: u16,
        dnskey: &[u8],
        signer: Arc<dyn Signer>,
    ) -> SigningKey {
        SigningKey { algorithm, flags, tag: key_tag(dnskey), dnskey: dnskey.into(), signer }
    }

    /// A key of which only the public half is here: it verifies, and signs nothing.
    ///
    /// # Errors
    /// When the DNSKEY isn't one of a zone, or its algorithm isn't known here.
    pub fn public(dnskey: &[u8]) -> Result<SigningKey, KeyError> {
        let (algorithm, flags, _) = parts(dnskey)?;
        Ok(SigningKey::with_signer(algorithm, flags, dnskey, Arc::new(Nowhere)))
    }

    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Flags of its DNSKEY: 256, or 257 for one that the parent knows.
    #[must_use]
    pub fn flags(&self) -> u16 {
        self.flags
    }

    /// Its tag (RFC 4034 appendix B). Two keys may have the same.
    #[must_use]
    pub fn tag(&self) -> u16 {
        self.tag
    }

    /// The RDATA of its DNSKEY.
    #[must_use]
    pub fn dnskey(&self) -> &[u8] {
        &self.dnskey
    }

    /// The signature of octets, in the form of RRSIG; none when it can't be made.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.signer.sign(message)
    }
}

/// By what is published: that names the private half.
impl PartialEq for SigningKey {
    fn eq(&self, other: &SigningKey) -> bool {
        self.dnskey == other.dnskey
    }
}

impl Eq for SigningKey {}

/// Without the secret.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {} {})", self.tag, self.algorithm, self.flags)
    }
}

/// Without the secret.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The tag of DNSKEY RDATA (RFC 4034 appendix B).
#[must_use]
pub fn key_tag(dnskey: &[u8]) -> u16 {
    let sum: u32 = dnskey
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from))
        .sum();
    (sum + (sum >> 16)) as u16
}

/// Where the scalar stands in what ring makes of a new P-256 key (RFC 5208 around RFC 5915).
const PKCS8_SCALAR: std::ops::Range<usize> = 36..68;

/// Algorithm, flags and public key in the RDATA of a zone's DNSKEY.
fn parts(dnskey: &[u8]) -> Result<(Algorithm, u16, &[u8]), KeyError> {
    let [flags_high, flags_low, protocol, number, public @ ..] = dnskey else {
        return Err(KeyError::Unusable("the DNSKEY is too short".to_owned()));
    };
    let flags = u16::from_be_bytes([*flags_high, *flags_low]);
    if *protocol != 3 || (flags != FLAGS_ZONE && flags != FLAGS_ENTRY) {
        return Err(KeyError::Unusable(format!(
            "flags {flags} with protocol {protocol} are no zone key: 256 or 257, and 3"
        )));
    }
    let algorithm = Algorithm::from_number(*number).ok_or_else(|| {
        KeyError::Unusable(format!("algorithm {number} isn't signed with here: take 13, 15, or 8"))
    })?;
    Ok((algorithm, flags, public))
}

/// The RDATA of a DNSKEY (RFC 4034 2.1).
fn rdata(flags: u16, algorithm: Algorithm, public: &[u8]) -> Vec<u8> {
    let mut rdata = flags.to_be_bytes().to_vec();
    rdata.extend([3, algorithm.number()]);
    rdata.extend_from_slice(public);
    rdata
}

/// Exponent behind its length, then the modulus (RFC 3110 2).
fn rsa_public(numbers: &RsaNumbers) -> Vec<u8> {
    let exponent = &numbers.public_exponent;
    let mut public = match u8::try_from(exponent.len()) {
        Ok(length) if length > 0 => vec![length],
        _ => [&[0], &(exponent.len() as u16).to_be_bytes()[..]].concat(),
    };
    public.extend_from_slice(exponent);
    public.extend_from_slice(&numbers.modulus);
    public
}

/// Exponent and modulus of an RSA key (RFC 3110 2).
pub(super) fn rsa_numbers(public: &[u8]) -> Option<(&[u8], &[u8])> {
    match public {
        [0, high, low, numbers @ ..] => numbers.split_at_checked(u16::from_be_bytes([*high, *low]).into()),
        [length, numbers @ ..] => numbers.split_at_checked(usize::from(*length)),
        [] => None,
    }
}

/// Where the private half is that isn't here.
struct Nowhere;

impl Signer for Nowhere {
    fn sign(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

struct P256(EcdsaKeyPair, SystemRandom);

impl Signer for P256 {
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.0.sign(&self.1, message).ok().map(|signature| signature.as_ref().to_vec())
    }
}

struct Ed25519(Ed25519KeyPair);

impl Signer for Ed25519 {
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        Some(self.0.sign(message).as_ref().to_vec())
    }
}

struct Rsa(rsa::KeyPair, SystemRandom);

impl Signer for Rsa {
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &self.1, message, &mut signature).ok().map(|()| signature)
    }
}
