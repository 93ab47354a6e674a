//! What the parent zone has of a key (RFC 4034 5.1.4).

use ring::digest;

use super::key::key_tag;
use crate::wire::name::Name;

/// Digests of DS. SHA-1 and GOST are no longer made (RFC 9905, RFC 9904).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestType {
    /// SHA-256 (RFC 4509).
    Sha256,
    /// SHA-384 (RFC 6605).
    Sha384,
}

impl DigestType {
    /// Its number in DS.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            DigestType::Sha256 => 2,
            DigestType::Sha384 => 4,
        }
    }
}

/// The RDATA of DS and CDS for a key of a zone.
#[must_use]
pub fn ds(apex: &Name, dnskey: &[u8], digest_type: DigestType) -> Vec<u8> {
    let algorithm = match digest_type {
        DigestType::Sha256 => &digest::SHA256,
        DigestType::Sha384 => &digest::SHA384,
    };
    let mut context = digest::Context::new(algorithm);
    context.update(apex.to_lower().as_wire());
    context.update(dnskey);
    let mut rdata = key_tag(dnskey).to_be_bytes().to_vec();
    rdata.push(dnskey.get(3).copied().unwrap_or_default());
    rdata.push(digest_type.number());
    rdata.extend_from_slice(context.finish().as_ref());
    rdata
}
