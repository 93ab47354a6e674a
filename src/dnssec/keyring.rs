//! All keys of a zone at one moment, and what each of them does.

use std::time::Duration;

use ring::digest;

use super::ds::{DigestType, ds};
use super::key::SigningKey;
use super::leaving::{CDNSKEY_DELETE, CDS_DELETE};
use super::rrsigs::Rrsigs;
use super::signature::{Validity, rrsigs};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// What is in force for one zone: immutable, shared behind an `Arc`. Any change of keys is another
/// keyring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    apex: Name,
    members: Vec<Member>,
    /// DNSKEYs of other providers that sign the same zone (RFC 8901).
    others: Vec<Vec<u8>>,
    dnskeys: Vec<Vec<u8>>,
    cds: Vec<Vec<u8>>,
    cdnskeys: Vec<Vec<u8>>,
    dnskey_ttl: u32,
    signature_validity: Duration,
    /// What tells the keys apart that sign data, and those that sign keys.
    data_keys: Content,
    key_keys: Content,
}

/// A digest of what is signed, and by which keys.
pub type Content = [u8; 16];

/// A key and what it does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The key.
    pub key: SigningKey,
    /// Its DNSKEY is in the zone.
    pub is_published: bool,
    /// It signs DNSKEY, CDS and CDNSKEY.
    pub signs_keys: bool,
    /// It signs everything else.
    pub signs_zone: bool,
    /// The parent is asked for its DS.
    pub is_wanted_in_parent: bool,
}

impl Keyring {
    /// The keyring of a zone. TTL and validity are the policy's; `others` are DNSKEYs of other
    /// signers of the zone.
    #[must_use]
    pub fn new(
        apex: &Name,
        members: Vec<Member>,
        others: Vec<Vec<u8>>,
        dnskey_ttl: u32,
        signature_validity: Duration,
    ) -> Keyring {
        let apex = apex.to_lower();
        let published = members.iter().filter(|member| member.is_published);
        let mut dnskeys: Vec<Vec<u8>> = published.map(|member| member.key.dnskey().to_vec()).collect();
        dnskeys.extend(others.iter().cloned());
        dnskeys.sort_unstable();
        dnskeys.dedup();
        let mut cdnskeys: Vec<Vec<u8>> = members
            .iter()
            .filter(|member| member.is_wanted_in_parent)
            .map(|member| member.key.dnskey().to_vec())
            .collect();
        cdnskeys.sort_unstable();
        let cds = cdnskeys.iter().map(|dnskey| ds(&apex, dnskey, DigestType::Sha256)).collect();
        let keys = |signs: fn(&&Member) -> bool| {
            digest(members.iter().filter(signs).map(|member| member.key.dnskey()))
        };
        let (data_keys, key_keys) = (keys(|member| member.signs_zone), keys(|member| member.signs_keys));
        Keyring {
            apex,
            members,
            others,
            dnskeys,
            cds,
            cdnskeys,
            dnskey_ttl,
            signature_validity,
            data_keys,
            key_keys,
        }
    }

    /// The same for a zone that is to leave signing: CDS and CDNSKEY ask for all DS to be taken out
    /// (RFC 8078 4).
    #[must_use]
    pub fn leaving(self) -> Keyring {
        Keyring { cds: vec![CDS_DELETE.to_vec()], cdnskeys: vec![CDNSKEY_DELETE.to_vec()], ..self }
    }

    /// The zone, in lower case.
    #[must_use]
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// The keys and what each does.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// DNSKEYs of other signers among those published.
    #[must_use]
    pub fn others(&self) -> &[Vec<u8>] {
        &self.others
    }

    /// RDATA of the DNSKEYs to publish, which may be of keys that sign nothing; in order.
    pub fn dnskeys(&self) -> impl Iterator<Item = &[u8]> {
        self.dnskeys.iter().map(Vec::as_slice)
    }

    /// TTL of DNSKEY, CDS and CDNSKEY.
    #[must_use]
    pub fn dnskey_ttl(&self) -> u32 {
        self.dnskey_ttl
    }

    /// RDATA of CDS at the apex, maybe none (RFC 7344).
    pub fn cds(&self) -> impl Iterator<Item = &[u8]> {
        self.cds.iter().map(Vec::as_slice)
    }

    /// RDATA of CDNSKEY at the apex, maybe none (RFC 7344).
    pub fn cdnskeys(&self) -> impl Iterator<Item = &[u8]> {
        self.cdnskeys.iter().map(Vec::as_slice)
    }

    /// Whether another signs data by the same keys.
    #[must_use]
    pub fn signs_data_as(&self, other: &Keyring) -> bool {
        self.data_keys == other.data_keys
    }

    /// What names the signatures of an RRset, whoever has the private halves.
    #[must_use]
    pub fn content(&self, owner: &[u8], rtype: Rtype, original_ttl: u32, rdatas: &[&[u8]]) -> Content {
        let keys = if is_of_keys(rtype) { &self.key_keys } else { &self.data_keys };
        let mut fixed = [0; 6];
        fixed[..2].copy_from_slice(&rtype.0.to_be_bytes());
        fixed[2..].copy_from_slice(&original_ttl.to_be_bytes());
        digest([&keys[..], owner, &fixed].into_iter().chain(rdatas.iter().copied()))
    }

    /// The keys that sign a type.
    pub fn signers(&self, rtype: Rtype) -> impl Iterator<Item = &SigningKey> {
        let signs = move |member: &&Member| {
            if is_of_keys(rtype) { member.signs_keys } else { member.signs_zone }
        };
        self.members.iter().filter(signs).map(|member| &member.key)
    }

    /// The time of an owner's signatures that are made at `now`, in seconds since 1970.
    #[must_use]
    pub fn validity(&self, owner: &[u8], now: u32) -> Validity {
        Validity::of(owner, now, self.signature_validity)
    }

    /// RRSIG RDATAs for one RRset, one for each key that signs its type: DNSKEY, CDS and CDNSKEY by
    /// those that sign keys, all else by those that sign the zone. The owner is a lower-case name in
    /// wire form; a wildcard's is signed with one label less. RDATA comes in any order.
    ///
    /// A key that fails makes none: without one of each key the RRset must not be published.
    #[must_use]
    pub fn sign(
        &self,
        owner: &[u8],
        rtype: Rtype,
        original_ttl: u32,
        rdatas: &[&[u8]],
        validity: Validity,
    ) -> Rrsigs {
        rrsigs(self.signers(rtype), &self.apex, owner, rtype, original_ttl, rdatas, validity)
    }
}

fn is_of_keys(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::DNSKEY | Rtype::CDS | Rtype::CDNSKEY)
}

fn digest<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Content {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u32).to_be_bytes());
        context.update(part);
    }
    let mut content = [0; 16];
    content.copy_from_slice(&context.finish().as_ref()[..16]);
    content
}
