//! All keys of a zone at one moment, and what each of them does.

use std::time::Duration;

use super::ds::{DigestType, ds};
use super::key::SigningKey;
use super::leaving::{CDNSKEY_DELETE, CDS_DELETE};
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
}

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
        Keyring { apex, members, others, dnskeys, cds, cdnskeys, dnskey_ttl, signature_validity }
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

    /// The time of an owner's signatures that are made at `now`, in seconds since 1970.
    #[must_use]
    pub fn validity(&self, owner: &[u8], now: u32) -> Validity {
        Validity::of(owner, now, self.signature_validity)
    }

    /// The keys that sign RRsets of a type.
    pub fn signers(&self, rtype: Rtype) -> impl Iterator<Item = &SigningKey> {
        let is_of_keys = matches!(rtype, Rtype::DNSKEY | Rtype::CDS | Rtype::CDNSKEY);
        let members = self.members.iter();
        members
            .filter(move |member| if is_of_keys { member.signs_keys } else { member.signs_zone })
            .map(|member| &member.key)
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
    ) -> Vec<Vec<u8>> {
        rrsigs(self.signers(rtype), &self.apex, owner, rtype, original_ttl, rdatas, validity)
    }
}
