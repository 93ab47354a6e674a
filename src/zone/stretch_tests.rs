//! Whatever stretches a text is read in, and whatever is kept of the version before, the zone and
//! the findings are those of reading all of it at once.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::cut::Lengths;
use super::load::load_cut;
use super::*;
use crate::diagnostic::Diagnostic;
use crate::wire::name::Name;

struct Texts(HashMap<PathBuf, String>);

impl Files for Texts {
    fn read(&self, path: &Path) -> io::Result<Bytes> {
        self.0.get(path).map(|text| text.clone().into()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

const TINY: Lengths = Lengths { min: 40, max: 160, lines: 2 };
const ENDLESS: Lengths = Lengths { min: usize::MAX, max: usize::MAX, lines: 1 };
const HEAD: &str = "$TTL 300\n@ SOA ns1 h 7 3600 600 86400 60\n@ NS ns1\nns1 A 192.0.2.53\n";

fn load_lines(
    lines: &str,
    part: &str,
    old: Option<&Zone>,
    lengths: Lengths,
) -> Result<Loaded, Vec<Diagnostic>> {
    let apex = Name::parse("example.com.", None).unwrap();
    let texts = Texts(HashMap::from([
        (PathBuf::from("zones/z"), format!("{HEAD}{lines}")),
        (PathBuf::from("zones/part"), part.to_owned()),
    ]));
    load_cut(&mut Scratch::default(), Path::new("zones/z"), &apex, &texts, old, &|_| false, lengths)
}

/// Everything that can be seen of a zone.
fn seen(zone: &Zone) -> (usize, usize, BTreeSet<String>) {
    let owners: Vec<String> = zone
        .owners()
        .map(|owner| {
            let found = zone.owner(&owner.lower()).unwrap();
            assert_eq!(found.name(), owner.name());
            let rrsets: Vec<String> = owner
                .rrsets()
                .map(|rrset| {
                    let rdata: Vec<String> =
                        rrset.rdata().map(|rdata| rdata_text(rrset.rtype(), rdata)).collect();
                    format!("{} {} {rdata:?}", rrset.ttl(), rrset.rtype())
                })
                .collect();
            format!("{} {rrsets:?}", Name::from_wire(owner.name()).unwrap())
        })
        .collect();
    let count = owners.len();
    assert_eq!(count, zone.owner_count());
    let owners: BTreeSet<String> = owners.into_iter().collect();
    assert_eq!(owners.len(), count, "an owner comes twice");
    (zone.record_count(), count, owners)
}

/// Findings, but those about TTLs: a stretch compares them with its own first one.
fn told(found: &[Diagnostic]) -> BTreeSet<String> {
    found.iter().map(Diagnostic::place_and_message).filter(|text| !text.contains("the TTL differs")).collect()
}

fn compare(ours: &Result<Loaded, Vec<Diagnostic>>, whole: &Result<Loaded, Vec<Diagnostic>>) {
    match (ours, whole) {
        (Ok(ours), Ok(whole)) => {
            assert_eq!(seen(&ours.zone), seen(&whole.zone));
            assert_eq!(told(&ours.warnings), told(&whole.warnings));
        }
        // Beside errors, stretches aren't put together: duplicates in two of them aren't told.
        (Err(ours), Err(whole)) => {
            let errors = |found: &[Diagnostic]| {
                told(&found.iter().filter(|found| found.is_error()).cloned().collect::<Vec<_>>())
            };
            assert_eq!(errors(ours), errors(whole));
        }
        _ => panic!("{ours:?}\n{whole:?}"),
    }
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0..12u8, 0..6u8).prop_map(|(owner, host)| format!("h{owner} A 192.0.2.{host}\n")),
        2 => (0..12u8, 0..4u8).prop_map(|(owner, host)| format!("H{owner} 60 AAAA 2001:db8::{host}\n")),
        2 => (0..6u8).prop_map(|host| format!("  A 192.0.2.{host}\n")),
        1 => (0..12u8).prop_map(|owner| format!("h{owner} TXT ( \"a\"\n b\nc\n\"d\" ) ; x\n")),
        1 => (0..12u8).prop_map(|owner| format!("h{owner} TXT (a\nb\n $TTL\n$ORIGIN\n)\n")),
        1 => (0..12u8).prop_map(|owner| format!("h{owner} MX 10 h{}\n", owner / 2)),
        1 => prop::sample::select(&[
            "$ORIGIN sub\n", "$ORIGIN example.com.\n", "$TTL 60\n", "$TTL 300\n", "$INCLUDE part\n",
            "$include part deep\n", "\n", "; nothing\n", "sub NS ns1\n", "d DNAME example.net.\n",
        ][..]).prop_map(str::to_owned),
        1 => prop::sample::select(&["x A\n", "x TXT (\n", "x ) A 192.0.2.1\n", "c CNAME h1\n"][..])
            .prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn stretches_kept_or_read_make_the_zone_of_the_whole_text(
        lines in prop::collection::vec(line(), 0..60),
        part in prop::collection::vec(line().prop_filter("itself", |line| !line.contains("part")), 0..12),
        edits in prop::collection::vec((0..60usize, 0..4usize, prop::collection::vec(line(), 0..3), any::<bool>()), 1..8),
    ) {
        let (mut lines, mut part) = (lines, part);
        let mut old: Option<Zone> = None;
        for (at, gone, new, in_part) in edits {
            let (text, included) = (lines.concat(), part.concat());
            let ours = load_lines(&text, &included, old.as_ref(), TINY);
            let whole = load_lines(&text, &included, None, ENDLESS);
            compare(&ours, &whole);
            if let (Ok(ours), Some(old)) = (&ours, &old) {
                let mut changed: Vec<String> = diff(old, &ours.zone).iter().map(ToString::to_string).collect();
                changed.sort();
                let (before, after) = (seen(old).2, seen(&ours.zone).2);
                let differs = before.symmetric_difference(&after).map(|line| line.split(' ').next().unwrap());
                let lower: BTreeSet<String> = changed.iter().map(|name| name.to_lowercase()).collect();
                prop_assert_eq!(lower.len(), changed.len());
                for name in differs.map(str::to_lowercase) {
                    // A name may be written in another case alone.
                    let is_same = before.iter().any(|line| after.iter().any(|other| {
                        line.to_lowercase().starts_with(&format!("{name} ")) && line.eq_ignore_ascii_case(other)
                    }));
                    prop_assert_eq!(lower.contains(&name), !is_same, "{}", name);
                }
            }
            if let Ok(ours) = ours {
                old = Some(ours.zone);
            }
            let edited = if in_part { &mut part } else { &mut lines };
            let from = at.min(edited.len());
            let to = (from + gone).min(edited.len());
            let new = new.into_iter().filter(|line| !in_part || !line.contains("part"));
            edited.splice(from..to, new);
        }
    }
}

#[test]
fn a_changed_record_leaves_all_other_stretches_as_they_were() {
    let hosts = |changed: usize| -> String {
        let address = |host| if host == changed { 9 } else { 1 + host % 2 };
        (0..30_000).map(|host| format!("host-{host:05} A 192.0.2.{}\n", address(host))).collect()
    };
    let lengths = cut::LENGTHS;
    let old = load_lines(&hosts(usize::MAX), "", None, lengths).unwrap().zone;
    let new = load_lines(&hosts(20_000), "", Some(&old), lengths).unwrap().zone;
    let kept = old.parts().filter(|part| new.parts().any(|other| Arc::ptr_eq(part, other))).count();
    assert!(old.parts().count() > 10, "{}", old.parts().count());
    assert_eq!(kept, old.parts().count() - 1);
    let changed: Vec<String> = diff(&old, &new).iter().map(ToString::to_string).collect();
    assert_eq!(changed, ["host-20000.example.com."]);
    compare(&Ok(Loaded { zone: new, warnings: Vec::new() }), &load_lines(&hosts(20_000), "", None, ENDLESS));
}
