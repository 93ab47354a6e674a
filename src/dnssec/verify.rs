//! Whether a signature is good: what a resolver asks, and a server that answers with signatures
//! which another one made.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::algorithm::Algorithm;
use super::canonical::canonical_rdatas;
use super::key::{SigningKey, rsa_numbers};
use super::signature::{Validity, labels_signed, message};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// Octets of RRSIG RDATA before the signer's name (RFC 4034 3.1).
const HEAD_OCTETS: usize = 18;

/// Whether RRSIG RDATA is of that key over that RRset (RFC 4035 5.3); its time aside. The owner is a
/// lower-case name in wire form, the apex in lower case.
#[must_use]
pub fn verifies(
    key: &SigningKey,
    apex: &Name,
    owner: &[u8],
    rtype: Rtype,
    original_ttl: u32,
    rdatas: &[&[u8]],
    rrsig: &[u8],
) -> bool {
    let Some((head, signature)) = rrsig.split_at_checked(HEAD_OCTETS + apex.as_wire().len()) else {
        return false;
    };
    let is_of_this = head[..2] == rtype.0.to_be_bytes()
        && head[2] == key.algorithm().number()
        && Some(head[3]) == labels_signed(owner)
        && head[4..8] == original_ttl.to_be_bytes()
        && head[16..18] == key.tag().to_be_bytes()
        && head[HEAD_OCTETS..] == *apex.as_wire();
    if !is_of_this {
        return false;
    }
    let rdatas = canonical_rdatas(rtype, rdatas);
    message(head, owner, rtype, original_ttl, &rdatas)
        .is_some_and(|message| is_signed(key, &message, signature))
}

/// From when until when RRSIG RDATA holds; none if it is too short to say.
#[must_use]
pub fn validity(rrsig: &[u8]) -> Option<Validity> {
    let seconds = |at: usize| Some(u32::from_be_bytes(rrsig.get(at..at + 4)?.try_into().ok()?));
    Some(Validity { expiration: seconds(8)?, inception: seconds(12)? })
}

fn is_signed(key: &SigningKey, message: &[u8], signature: &[u8]) -> bool {
    let public = &key.dnskey()[4..];
    match key.algorithm() {
        Algorithm::EcdsaP256Sha256 => {
            let point = [&[4], public].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
        }
        Algorithm::Ed25519 => UnparsedPublicKey::new(&ED25519, public).verify(message, signature).is_ok(),
        Algorithm::RsaSha256 => rsa_numbers(public).is_some_and(|(e, n)| {
            RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
        }),
    }
}
