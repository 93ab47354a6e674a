//! Bundles as an edge gets them: any octets, and a signer's own with edits, sealed anew or not.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use waypost::compile::fit;
use waypost::compile::signer::Signer;
use waypost::dnssec::bundle::Bundle;
use waypost::dnssec::{Denial, DigestType, Keyring, Member, ds, key_file, verifies};
use waypost::route::Routing;
use waypost::wire::name::Name;
use waypost::wire::rtype::Rtype;
use waypost::zone::{self, Files, Zone};

use crate::memory::peak;

/// When all is signed; seconds since 1970.
const NOW: u64 = 1_800_000_000;

/// Where the edits' first octet says what is done with them.
const SEALED: u8 = 1;
const NSEC3: u8 = 2;

/// The keys of RFC 8080 6, which are nobody's secret; signatures of Ed25519 are the same each time.
const KEYS: [(u16, &str, &str); 2] = [
    (257, "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=", "ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI="),
    (256, "zPnZ/QwEe7S8C5SPz2OfS5RR40ATk2/rYnE9xHIEijs=", "DSSF3o0s0f+ElWzj9E/Osxw8hLpk55chkmx0LYN5WiY="),
];

const ZONE: &str = "\
$ORIGIN example.
$TTL 300
@ SOA ns1 hostmaster 7 3600 600 86400 60
@ NS ns1
@ MX 10 mail
ns1 A 192.0.2.53
mail A 192.0.2.25
*.wild TXT any
a.b AAAA 2001:db8::1
";

struct Text;

impl Files for Text {
    fn read(&self, _: &Path) -> io::Result<Bytes> {
        Ok(Bytes::from_static(ZONE.as_bytes()))
    }
}

/// A zone, its keys, and the bundle that its signer makes.
struct Signed {
    apex: Name,
    zone: Arc<Zone>,
    keyring: Arc<Keyring>,
    octets: Vec<u8>,
    /// Where the seals begin.
    body: usize,
    bundle: Bundle,
}

fn signed(denial: Denial) -> &'static Signed {
    static NSEC: OnceLock<Signed> = OnceLock::new();
    static NSEC3: OnceLock<Signed> = OnceLock::new();
    match denial {
        Denial::Nsec => NSEC.get_or_init(|| Signed::new(denial)),
        Denial::Nsec3 => NSEC3.get_or_init(|| Signed::new(denial)),
    }
}

impl Signed {
    fn new(denial: Denial) -> Signed {
        let apex = Name::parse("example.", None).unwrap();
        let zone = zone::load(Path::new("z"), &apex, &Text, None, &|_| false).unwrap().zone.into();
        let members = KEYS.map(|(flags, public, private)| {
            let public = format!("example. IN DNSKEY {flags} 3 15 {public}");
            let private =
                format!("Private-key-format: v1.3\nAlgorithm: 15 (ED25519)\nPrivateKey: {private}\n");
            let (key, _) = key_file::read(&apex, &public, &private).unwrap();
            let is_entry = flags == 257;
            let (signs_zone, is_wanted_in_parent) = (!is_entry, is_entry);
            Member { key, is_published: true, signs_keys: is_entry, signs_zone, is_wanted_in_parent }
        });
        let valid_for = Duration::from_secs(21 * 86_400);
        let keyring = Arc::new(Keyring::new(&apex, members.into(), vec![], 3600, valid_for));
        let signer = Arc::new(Signer::new(Arc::clone(&keyring), denial, None));
        let _ = fit::fit(&zone, &Routing::none(&apex), &signer, NOW);
        let octets = signer.to_bundle(7, NOW * 1000).unwrap();
        let bundle = Bundle::read(&apex, &octets).unwrap();
        // One seal: a count, a length, and the RRSIG with its name and 64 octets.
        let body = octets.len() - (1 + 2 + 18 + apex.as_wire().len() + 64);
        let signed = Signed { apex, zone, keyring, octets, body, bundle };
        assert_eq!(signed.seal(&signed.octets[..body]), signed.octets, "seals begin where they are said to");
        signed
    }

    /// A body with the seal that the signer would make.
    fn seal(&self, body: &[u8]) -> Vec<u8> {
        let digest = ring::digest::digest(&ring::digest::SHA256, body);
        let (apex, validity) = (self.apex.as_wire(), self.keyring.validity(self.apex.as_wire(), NOW as u32));
        let seals = self.keyring.sign(apex, Rtype(65_321), 0, &[digest.as_ref()], validity);
        let mut octets = body.to_vec();
        octets.push(seals.len() as u8);
        for seal in seals.iter() {
            octets.extend((seal.len() as u16).to_be_bytes());
            octets.extend(seal);
        }
        octets
    }

    /// Reads what may be a bundle, in memory that its octets allow.
    fn read(&self, octets: &[u8]) -> Option<Bundle> {
        let (read, most) = peak(|| Bundle::read(&self.apex, octets));
        let allowed = 8 * octets.len() + (16 << 10);
        assert!(most <= allowed, "{most} octets of memory for {} of a bundle", octets.len());
        read.map_err(|error| error.to_string()).ok()
    }

    /// What an edge does with a bundle that it can read.
    fn take(&self, bundle: Bundle) {
        let _ = bundle.follows(&self.bundle);
        let _ = self.bundle.follows(&bundle);
        let _ = bundle.agrees_with(&self.bundle);
        let anchor = ds(&self.apex, self.keyring.members()[0].key.dnskey(), DigestType::Sha256);
        let _ = bundle.is_anchored(&[anchor]);
        let signer = Arc::new(Signer::of_bundle(Arc::new(bundle), None));
        if let Err(lacking) = fit::fit(&self.zone, &Routing::none(&self.apex), &signer, NOW) {
            assert!(lacking.first.is_some(), "something lacks, and nobody knows what");
        }
        // Whatever it gives is good.
        let mail = [b"\x04mail".as_slice(), self.apex.as_wire()].concat();
        let address = [&[192, 0, 2, 25][..]];
        let given = signer.sign(&mail, Rtype::A, 300, &address, NOW);
        for rrsig in given.rrsigs.iter() {
            let is_of = |key| verifies(key, &self.apex, &mail, Rtype::A, 300, &address, rrsig);
            assert!(signer.keyring().signers(Rtype::A).any(is_of), "a signature that is none was given");
        }
    }
}

/// Each edit is a place, how many octets go there, how many come, and these.
fn edited(octets: &[u8], mut edits: &[u8]) -> Vec<u8> {
    let mut octets = octets.to_vec();
    while let [high, low, cut, add, rest @ ..] = edits {
        let at = usize::from(u16::from_be_bytes([*high, *low])) % (octets.len() + 1);
        let end = (at + usize::from(*cut)).min(octets.len());
        let (added, rest) = rest.split_at(usize::from(*add).min(rest.len()));
        octets.splice(at..end, added.iter().copied());
        edits = rest;
    }
    octets
}

#[test]
fn octets() {
    bolero::check!().for_each(|octets: &[u8]| {
        let signed = signed(Denial::Nsec);
        let head = &signed.octets[..17 + 2 + signed.apex.as_wire().len()];
        assert!(signed.read(octets).is_none());
        assert!(signed.read(&[head, octets].concat()).is_none());
    });
}

#[test]
fn edits() {
    bolero::check!().for_each(|input: &[u8]| {
        let [how, edits @ ..] = input else { return };
        let signed = signed(if how & NSEC3 == 0 { Denial::Nsec } else { Denial::Nsec3 });
        if how & SEALED == 0 {
            let octets = edited(&signed.octets, edits);
            if let Some(bundle) = signed.read(&octets) {
                // Only behind what is sealed may anything be another.
                assert_eq!(octets[..signed.body], signed.octets[..signed.body]);
                signed.take(bundle);
            }
            return;
        }
        let octets = signed.seal(&edited(&signed.octets[..signed.body], edits));
        signed.read(&octets).into_iter().for_each(|bundle| signed.take(bundle));
    });
}
