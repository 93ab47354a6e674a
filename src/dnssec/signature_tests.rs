//! Signatures, tags and digests as hickory-proto reads them: nothing is checked by what made it.

use std::time::Duration;

use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, RRSIG};
use hickory_proto::dnssec::{DigestType as TheirDigest, Verifier};
use hickory_proto::rr::{DNSClass, Name as TheirName, RData, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::*;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

fn name(text: &str) -> Name {
    Name::parse(text, None).unwrap()
}

fn record(owner: &Name, rtype: Rtype, ttl: u32, rdata: &[u8]) -> Record {
    let mut wire = owner.as_wire().to_vec();
    wire.extend(rtype.0.to_be_bytes());
    wire.extend(1u16.to_be_bytes());
    wire.extend(ttl.to_be_bytes());
    wire.extend((rdata.len() as u16).to_be_bytes());
    wire.extend_from_slice(rdata);
    Record::read(&mut BinDecoder::new(&wire)).unwrap()
}

fn their_key(dnskey: &[u8]) -> DNSKEY {
    match record(&Name::root(), Rtype::DNSKEY, 0, dnskey).data {
        RData::DNSSEC(DNSSECRData::DNSKEY(key)) => key,
        other => panic!("{other:?}"),
    }
}

fn their_signature(rrsig: &[u8]) -> RRSIG {
    match record(&Name::root(), Rtype::RRSIG, 0, rrsig).data {
        RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) => rrsig,
        other => panic!("{other:?}"),
    }
}

fn verifies(key: &SigningKey, rrsig: &[u8], asked: &str, rtype: Rtype, rdatas: &[&[u8]]) -> bool {
    let records: Vec<Record> = rdatas.iter().map(|rdata| record(&name(asked), rtype, 5, rdata)).collect();
    let signature = their_signature(rrsig);
    let owner = TheirName::from_ascii(asked).unwrap();
    their_key(key.dnskey()).verify_rrsig(&owner, DNSClass::IN, &signature, records.iter()).is_ok()
}

fn csk(algorithm: Algorithm) -> Member {
    Member {
        key: SigningKey::generate(algorithm, FLAGS_ENTRY).unwrap().0,
        is_published: true,
        signs_keys: true,
        signs_zone: true,
        is_wanted_in_parent: true,
    }
}

fn keyring(members: Vec<Member>) -> Keyring {
    Keyring::new(&name("Example.com."), members, Vec::new(), 3600, Duration::from_secs(21 * 86_400))
}

#[test]
fn another_implementation_verifies_each_algorithm_and_form() {
    let sets: [(&str, &str, Rtype, &[&[u8]]); 6] = [
        ("www.example.com.", "www.example.com.", Rtype::A, &[&[192, 0, 2, 9], &[192, 0, 2, 1]]),
        ("*.w.example.com.", "a.b.w.example.com.", Rtype::A, &[&[192, 0, 2, 1]]),
        ("example.com.", "example.com.", Rtype::MX, &[b"\0\x0a\x02MX\x07EXAMPLE\0", b"\0\x05\x01a\0"]),
        ("example.com.", "EXAMPLE.com.", Rtype::NS, &[b"\x02NS\x07Example\x03com\0"]),
        ("example.com.", "example.com.", Rtype::SRV, &[b"\0\x01\0\x02\0\x03\x03SRV\0"]),
        ("t.example.com.", "t.example.com.", Rtype::TXT, &[b"\x03ABC\x01x", b"\x02ZZ"]),
    ];
    for algorithm in [Algorithm::EcdsaP256Sha256, Algorithm::Ed25519] {
        let ring = keyring(vec![csk(algorithm)]);
        let key = &ring.members()[0].key;
        assert_eq!(their_key(key.dnskey()).calculate_key_tag().unwrap(), key.tag());
        for (owner, asked, rtype, rdatas) in sets {
            let owner = name(owner);
            let validity = ring.validity(owner.as_wire(), 1_800_000_000);
            let rrsigs = ring.sign(owner.as_wire(), rtype, 300, rdatas, validity);
            assert_eq!(rrsigs.len(), 1);
            let rrsig = rrsigs.iter().next().unwrap();
            let input = their_signature(rrsig);
            assert_eq!(input.input().original_ttl, 300);
            assert_eq!(input.input().sig_expiration.get(), validity.expiration);
            assert!(verifies(key, rrsig, asked, rtype, rdatas), "{algorithm} {asked} {rtype}");
            let mut broken = rrsig.to_vec();
            *broken.last_mut().unwrap() ^= 1;
            assert!(!verifies(key, &broken, asked, rtype, rdatas), "{algorithm} {asked} {rtype}");
        }
    }
}

#[test]
fn each_key_signs_what_is_its_own() {
    let (mut ksk, mut zsk) = (csk(Algorithm::EcdsaP256Sha256), csk(Algorithm::Ed25519));
    ksk.signs_zone = false;
    zsk.key = SigningKey::generate(Algorithm::Ed25519, FLAGS_ZONE).unwrap().0;
    (zsk.signs_keys, zsk.is_wanted_in_parent) = (false, false);
    let ring = keyring(vec![ksk.clone(), zsk.clone()]);
    let validity = ring.validity(b"\0", 1_800_000_000);
    let dnskeys: Vec<&[u8]> = ring.dnskeys().collect();
    assert_eq!(dnskeys.len(), 2);
    for (rtype, key) in [(Rtype::DNSKEY, &ksk.key), (Rtype::CDS, &ksk.key), (Rtype::TXT, &zsk.key)] {
        let rdatas: Vec<&[u8]> = match rtype {
            Rtype::DNSKEY => dnskeys.clone(),
            Rtype::CDS => ring.cds().collect(),
            _ => vec![b"\x01a"],
        };
        let rrsigs = ring.sign(ring.apex().as_wire(), rtype, 3600, &rdatas, validity);
        assert_eq!(rrsigs.len(), 1, "{rtype}");
        assert!(verifies(key, rrsigs.iter().next().unwrap(), "example.com.", rtype, &rdatas), "{rtype}");
    }
    assert_eq!(ring.cdnskeys().collect::<Vec<_>>(), [ksk.key.dnskey()]);
}

#[test]
fn digests_are_those_of_another_implementation() {
    let ring = keyring(vec![csk(Algorithm::EcdsaP256Sha256)]);
    let key = &ring.members()[0].key;
    let apex = TheirName::from_ascii("example.com.").unwrap();
    for (ours, theirs) in
        [(DigestType::Sha256, TheirDigest::SHA256), (DigestType::Sha384, TheirDigest::SHA384)]
    {
        let rdata = ds(&name("EXAMPLE.com."), key.dnskey(), ours);
        assert_eq!(rdata[..2], key.tag().to_be_bytes());
        assert_eq!(rdata[2..4], [13, ours.number()]);
        let digest = their_key(key.dnskey()).to_digest(&apex, theirs).unwrap();
        assert_eq!(rdata[4..], *digest.as_ref());
    }
}

#[test]
fn no_secret_is_shown() {
    let (key, secret) = SigningKey::generate(Algorithm::Ed25519, FLAGS_ZONE).unwrap();
    assert_eq!(format!("{secret:?}"), "Secret(..)");
    assert_eq!(format!("{key:?}"), format!("SigningKey({} ed25519 256)", key.tag()));
}
