//! Bundles as they travel: whole, cut short, changed, mixed up, and held back.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::bundle::{Bundle, BundleError, Making};
use super::{
    Algorithm, Content, Denial, DigestType, FLAGS_ENTRY, FLAGS_ZONE, Keyring, Member, Rrsigs, SigningKey, ds,
    verifies,
};
use crate::limits::BUNDLE_KEYS;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

const NOW: u64 = 1_800_000_000;

fn apex() -> Name {
    Name::parse("example.com.", None).unwrap()
}

fn member(flags: u16) -> Member {
    let (key, _) = SigningKey::generate(Algorithm::EcdsaP256Sha256, flags).unwrap();
    let is_entry = flags == FLAGS_ENTRY;
    Member {
        key,
        is_published: true,
        signs_keys: is_entry,
        signs_zone: !is_entry,
        is_wanted_in_parent: is_entry,
    }
}

fn keyring(members: Vec<Member>) -> Keyring {
    Keyring::new(
        &apex(),
        members,
        vec![b"\x01\0\x03\x0dother".to_vec()],
        3600,
        Duration::from_secs(21 * 86_400),
    )
}

/// Signatures of the keys, and of an address.
fn signatures(keyring: &Keyring) -> BTreeMap<Content, Rrsigs> {
    let dnskeys: Vec<&[u8]> = keyring.dnskeys().collect();
    let www = b"\x03www\x07example\x03com\0".as_slice();
    let sets = [
        (apex().as_wire().to_vec(), Rtype::DNSKEY, 3600, dnskeys),
        (www.to_vec(), Rtype::A, 60, vec![b"\xc0\0\x02\x01".as_slice()]),
    ];
    let signed = sets.map(|(owner, rtype, ttl, rdatas)| {
        let validity = keyring.validity(&owner, NOW as u32);
        let rrsigs = keyring.sign(&owner, rtype, ttl, &rdatas, validity);
        (keyring.content(&owner, rtype, ttl, &rdatas), rrsigs)
    });
    signed.into_iter().collect()
}

fn octets(keyring: &Keyring, made: u64) -> Vec<u8> {
    let signatures = signatures(keyring);
    Making { keyring, serial: 7, made, denial: Denial::Nsec3, signatures }.octets().unwrap()
}

fn read(octets: &[u8]) -> Result<Bundle, BundleError> {
    Bundle::read(&apex(), octets)
}

#[test]
fn what_was_made_is_read_and_its_signatures_are_good() {
    let keyring = keyring(vec![member(FLAGS_ENTRY), member(FLAGS_ZONE)]);
    let bundle = read(&octets(&keyring, NOW * 1000)).unwrap();
    assert_eq!((bundle.serial(), bundle.made(), bundle.denial()), (7, NOW * 1000, Denial::Nsec3));
    let taken = bundle.keyring();
    assert_eq!(taken.members(), keyring.members());
    assert!(taken.dnskeys().eq(keyring.dnskeys()) && taken.cds().eq(keyring.cds()));
    let (www, address) = (b"\x03www\x07example\x03com\0", [b"\xc0\0\x02\x01".as_slice()]);
    let content = taken.content(www, Rtype::A, 60, &address);
    let rrsigs = bundle.signatures(&content).unwrap();
    let good = |rtype, ttl, rdatas: &[&[u8]], owner: &[u8]| {
        taken
            .signers(rtype)
            .all(|key| verifies(key, &apex(), owner, rtype, ttl, rdatas, rrsigs.iter().next().unwrap()))
    };
    assert!(good(Rtype::A, 60, &address, www));
    assert!(!good(Rtype::A, 61, &address, www) && !good(Rtype::TXT, 60, &address, www));
    assert!(!good(Rtype::A, 60, &[b"\xc0\0\x02\x02"], www));
    assert!(!good(Rtype::A, 60, &address, b"\x03wwx\x07example\x03com\0"));
    // Nothing private is in it.
    assert!(taken.sign(www, Rtype::A, 60, &address, taken.validity(www, NOW as u32)).is_empty());
}

#[test]
fn keys_of_every_algorithm_verify_what_they_sign() {
    for algorithm in [Algorithm::EcdsaP256Sha256, Algorithm::Ed25519] {
        let (key, _) = SigningKey::generate(algorithm, FLAGS_ENTRY).unwrap();
        let public = SigningKey::public(key.dnskey()).unwrap();
        let one = Member { signs_zone: true, key, ..member(FLAGS_ENTRY) };
        let keyring = keyring(vec![one]);
        let validity = keyring.validity(apex().as_wire(), NOW as u32);
        // Names within data are folded, records sorted.
        let rdatas: [&[u8]; 2] = [b"\0\x0a\x02MX\0", b"\0\x05\x01a\0"];
        let rrsigs = keyring.sign(apex().as_wire(), Rtype::MX, 60, &rdatas, validity);
        let mut rrsig = rrsigs.iter().next().unwrap().to_vec();
        let is_good = |rrsig: &[u8]| {
            verifies(&public, &apex(), apex().as_wire(), Rtype::MX, 60, &[rdatas[1], rdatas[0]], rrsig)
        };
        assert!(is_good(&rrsig));
        for at in 0..rrsig.len() {
            rrsig[at] ^= 1;
            assert!(!is_good(&rrsig), "{algorithm} octet {at}");
            rrsig[at] ^= 1;
        }
    }
}

#[test]
fn a_bundle_that_was_cut_changed_or_lengthened_is_refused() {
    let whole = octets(&keyring(vec![member(FLAGS_ENTRY), member(FLAGS_ZONE)]), NOW * 1000);
    for end in 0..whole.len() {
        assert!(read(&whole[..end]).is_err(), "{end} octets of {}", whole.len());
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        assert!(read(&changed).is_err(), "octet {at} of {}", whole.len());
    }
    assert_eq!(
        read(&[whole.clone(), vec![0]].concat()).unwrap_err(),
        BundleError::Malformed("it goes on behind its end")
    );
    let other = Name::parse("example.net.", None).unwrap();
    assert_eq!(Bundle::read(&other, &whole).unwrap_err(), BundleError::OtherZone(apex()));
}

#[test]
fn an_older_one_and_one_of_other_keys_take_no_ones_place() {
    let (ksk, zsk) = (member(FLAGS_ENTRY), member(FLAGS_ZONE));
    let first = keyring(vec![ksk.clone(), zsk.clone()]);
    let before = read(&octets(&first, 2_000)).unwrap();
    let of = |keyring: &Keyring, made| read(&octets(keyring, made)).unwrap();
    assert_eq!(of(&first, 1_000).follows(&before), Err(BundleError::Older));
    assert_eq!(before.clone().follows(&before), Ok(()));
    assert_eq!(of(&first, 3_000).follows(&before), Ok(()));
    // Another KSK beside the first one, then alone.
    let both = of(&keyring(vec![ksk, member(FLAGS_ENTRY), zsk]), 4_000);
    assert_eq!(both.follows(&before), Ok(()));
    let others = keyring(vec![member(FLAGS_ENTRY), member(FLAGS_ZONE)]);
    assert_eq!(of(&others, 5_000).follows(&both), Err(BundleError::Stranger));
    // Its DS says that it is right all the same.
    let entry = others.members()[0].key.dnskey();
    assert_eq!(of(&others, 5_000).is_anchored(&[ds(&apex(), entry, DigestType::Sha384)]), Ok(()));
    let zone_key = others.members()[1].key.dnskey();
    let anchor = ds(&apex(), zone_key, DigestType::Sha256);
    assert_eq!(of(&others, 5_000).is_anchored(&[anchor]), Err(BundleError::Stranger));
}

#[test]
fn a_bundle_with_very_many_keys_is_neither_made_nor_taken() {
    // With one of another signer.
    let made = |zone_keys: usize| {
        let members = std::iter::once(FLAGS_ENTRY).chain(vec![FLAGS_ZONE; zone_keys]).map(member);
        let keyring = keyring(members.collect());
        let signatures = signatures(&keyring);
        Making { keyring: &keyring, serial: 7, made: 1, denial: Denial::Nsec, signatures }.octets()
    };
    let mut most = made(BUNDLE_KEYS - 2).unwrap();
    assert!(read(&most).is_ok());
    assert_eq!(made(BUNDLE_KEYS - 1), None);
    // One says that it has more.
    let at = b"waypost bundle 1\n".len() + 2 + apex().as_wire().len() + 8 + 4 + 1 + 4;
    assert_eq!(most[at..at + 2], (BUNDLE_KEYS as u16 - 1).to_be_bytes());
    most[at..at + 2].copy_from_slice(&(BUNDLE_KEYS as u16 + 1).to_be_bytes());
    assert_eq!(read(&most).unwrap_err(), BundleError::Malformed("it has more keys than are taken"));
}

#[test]
fn a_key_that_is_only_put_in_makes_no_bundle_of_its_own() {
    // A forger publishes the true KSK beside keys of his own: it signed nothing of his.
    let (ksk, own) = (member(FLAGS_ENTRY), member(FLAGS_ENTRY));
    let before = read(&octets(&keyring(vec![ksk.clone(), member(FLAGS_ZONE)]), 1_000)).unwrap();
    let public = Member { key: SigningKey::public(ksk.key.dnskey()).unwrap(), ..ksk };
    let forged = keyring(vec![public, own, member(FLAGS_ZONE)]);
    assert_eq!(read(&octets(&forged, 2_000)).unwrap().follows(&before), Err(BundleError::Stranger));
}

proptest! {
    #[test]
    fn no_octets_make_the_reader_panic(tail in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(read(&tail).is_err());
        let head = [b"waypost bundle 1\n\0\x0d".as_slice(), apex().as_wire()].concat();
        prop_assert!(read(&[head, tail].concat()).is_err());
    }
}
