//! What is written reads back as it was: zones of any owners and any RDATA.

use std::io;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;

use super::{Files, Zone, diff, load, write};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

struct Text(String);

impl Files for Text {
    fn read(&self, _: &Path) -> io::Result<Bytes> {
        Ok(self.0.clone().into())
    }
}

fn read(text: String) -> Result<Zone, String> {
    let apex = Name::parse("Example.", None).unwrap();
    let loaded = load(Path::new("z"), &apex, &Text(text), None, &|_| true);
    loaded.map(|loaded| loaded.zone).map_err(|errors| format!("{errors:#?}"))
}

/// Labels of any octets, often letters, often those that zone files give a meaning.
fn label() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![
        4 => prop::sample::select(b"abcXYZ019-_".to_vec()),
        2 => prop::sample::select(b".\\\"@$;() \t\n*".to_vec()),
        1 => any::<u8>(),
    ];
    prop_oneof![9 => prop::collection::vec(octet, 1..6), 1 => prop::collection::vec(any::<u8>(), 63)]
}

/// A name's labels before its end, in wire form.
fn labels() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(label(), 0..4).prop_map(|labels| {
        labels.iter().flat_map(|label| [&[label.len() as u8], &**label].concat()).collect()
    })
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let end = prop::sample::select(vec![&b"\0"[..], b"\x04Host\x09elsewhere\x04test\0"]);
    (labels(), end)
        .prop_map(|(labels, end)| [&labels, end].concat())
        .prop_filter("255 octets", |name| name.len() <= 255)
}

fn octets(at_most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..=at_most)
}

fn string() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(|string| [&[string.len() as u8], &*string].concat())
}

/// RDATA of a form: octets by their `N`umber, a `n`ame, a `s`tring, `S`trings, `o`ctets.
fn form(form: &'static str) -> BoxedStrategy<Vec<u8>> {
    form.chars().fold(Just(Vec::new()).boxed(), |before, field| {
        let next = match field {
            '0'..='9' => {
                let count = field as usize - '0' as usize;
                prop::collection::vec(any::<u8>(), count).boxed()
            }
            'n' => name().boxed(),
            's' => string().boxed(),
            'S' => prop::collection::vec(string(), 1..4).prop_map(|strings| strings.concat()).boxed(),
            _ => octets(40).boxed(),
        };
        (before, next).prop_map(|(before, next)| [before, next].concat()).boxed()
    })
}

fn record() -> impl Strategy<Value = (Rtype, Vec<u8>)> {
    let of = |rtype: Rtype, text| form(text).prop_map(move |rdata| (rtype, rdata)).boxed();
    prop_oneof![
        of(Rtype::A, "4"),
        of(Rtype::AAAA, "88"),
        of(Rtype::MX, "2n"),
        of(Rtype::TXT, "S"),
        of(Rtype::PTR, "n"),
        of(Rtype::SRV, "6n"),
        of(Rtype::HINFO, "ss"),
        of(Rtype::NAPTR, "4sssn"),
        of(Rtype::SSHFP, "2o"),
        of(Rtype::TLSA, "3o"),
        of(Rtype::DNSKEY, "4o"),
        of(Rtype::NSEC3PARAM, "4s"),
        of(Rtype::ZONEMD, "6o"),
        of(Rtype::OPENPGPKEY, "o"),
        of(Rtype(65_280), "o"),
        form("1").prop_map(|flags| (Rtype::CAA, [&flags, &b"\x05issueca \"\\;\xff"[..]].concat())),
        form("n")
            .prop_map(|target| (Rtype::HTTPS, [&b"\0\x01"[..], &target, b"\0\x03\0\x02\x01\xbb"].concat())),
    ]
}

fn line() -> impl Strategy<Value = String> {
    (labels(), 0u32..0x7fff_ffff, record()).prop_filter_map("255 octets", |(labels, ttl, (rtype, rdata))| {
        let owner = Name::from_wire(&[&labels, &b"\x07eXample\0"[..]].concat()).ok()?;
        let hex: String = rdata.iter().map(|octet| format!("{octet:02x}")).collect();
        Some(format!("{owner} {ttl} {rtype} \\# {} {hex}\n", rdata.len()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn a_zone_written_reads_as_it_was(lines in prop::collection::vec(line(), 0..12)) {
        let head = "@ 7 SOA ns\\.1 h\\\"m.x. 1 2 3 4 5\n@ 9 NS ns.elsewhere.test.\n";
        let zone = read(format!("{head}{}", lines.concat()));
        prop_assert!(zone.is_ok(), "{lines:?}\n{}", zone.unwrap_err());
        let zone = zone.unwrap();
        let mut written = String::new();
        write(&zone, &mut written).unwrap();
        let again = read(written.clone());
        prop_assert!(again.is_ok(), "{written}\n{}", again.unwrap_err());
        let again = again.unwrap();
        prop_assert_eq!(diff(&zone, &again), [], "{}", written);
        prop_assert_eq!(zone.record_count(), again.record_count());
        // Nothing is lost on a second way either, case and order included.
        let mut twice = String::new();
        write(&again, &mut twice).unwrap();
        prop_assert_eq!(written, twice);
    }
}
