//! Zones compiled and asked: what the edits of a change leave must equal what a whole build gives.

use std::io;
use std::path::Path;

use bytes::Bytes;
use std::sync::Arc;

use proptest::prelude::*;

use super::shape::Shape;
use super::zone::{RoutedOwners, Source, names};
use crate::answer::{Client, Transport, answer};
use crate::geo::table::Table;
use crate::snapshot::{Edits, Settings, Snapshot, ZoneId};
use crate::wire::cookie::{Secret, Secrets};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::zone::{self, Files, Zone};

struct Text(String);

impl Files for Text {
    fn read(&self, _: &Path) -> io::Result<Bytes> {
        Ok(self.0.clone().into_bytes().into())
    }
}

fn parse(apex: &str, lines: &str) -> Arc<Zone> {
    let apex = Name::parse(apex, None).unwrap();
    let text = format!("$TTL 60\n@ SOA ns.example. h.example. 1 1 1 1 60\n@ NS ns.elsewhere.test.\n{lines}");
    let routed = |_: &Name| true;
    zone::load(Path::new("z"), &apex, &Text(text), None, &routed)
        .unwrap_or_else(|errors| panic!("{errors:#?}"))
        .zone
        .into()
}

/// A zone of these lines alone; nothing if they have errors.
pub(crate) fn try_parse(apex: &str, text: &str) -> Option<Arc<Zone>> {
    let apex = Name::parse(apex, None).unwrap();
    let loaded = zone::load(Path::new("z"), &apex, &Text(text.to_owned()), None, &|_| true);
    loaded.ok().map(|loaded| loaded.zone.into())
}

pub(crate) fn empty() -> Snapshot {
    let cookies = Arc::new(Secrets::new(Secret::new([0; 16]), []));
    let settings = Settings { identity: "test".into(), udp_payload: 1232, inspect: Vec::new(), cookies };
    Snapshot::empty(settings, Arc::new(Table::default()))
}

fn with(snapshot: &Snapshot, zone: &Arc<Zone>, edits: Edits) -> Snapshot {
    let routed = Arc::new(RoutedOwners::new());
    let source = Source { zone, id: ZoneId(0), routed: &routed, children: &[], parent: None, signing: None };
    snapshot.with_owners(&edits, Arc::new([Some(Arc::new(source.common(None).unwrap()))]))
}

pub(super) fn whole(zone: &Arc<Zone>) -> Snapshot {
    let routed = Arc::new(RoutedOwners::new());
    let source = Source { zone, id: ZoneId(0), routed: &routed, children: &[], parent: None, signing: None };
    let mut edits = Edits::default();
    source.all(&Arc::new(Shape::of(source.zone, source.routed)), &mut edits).unwrap();
    with(&empty(), zone, edits)
}

/// The response's octets.
pub(super) fn ask(snapshot: &Snapshot, name: &str, rtype: Rtype) -> Vec<u8> {
    ask_wire(snapshot, Name::parse(name, None).unwrap().as_wire(), rtype)
}

pub(super) fn ask_wire(snapshot: &Snapshot, name: &[u8], rtype: Rtype) -> Vec<u8> {
    let mut query = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(name);
    query.extend(rtype.0.to_be_bytes());
    query.extend([0, 1]);
    ask_octets(snapshot, &query)
}

/// The same of a query with the DO bit (RFC 3225).
pub(crate) fn ask_signed(snapshot: &Snapshot, name: &str, rtype: Rtype) -> Vec<u8> {
    let mut query = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    query.extend(Name::parse(name, None).unwrap().as_wire());
    query.extend(rtype.0.to_be_bytes());
    query.extend([0, 1, 0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0]);
    ask_octets(snapshot, &query)
}

fn ask_octets(snapshot: &Snapshot, query: &[u8]) -> Vec<u8> {
    let client = Client {
        address: "192.0.2.1".parse().unwrap(),
        transport: Transport::Tcp { idle: 100 },
        entropy: 7,
        now: 0,
    };
    let mut out = vec![0; 65_535];
    let answered = answer(snapshot, query, &client, &mut out);
    out.truncate(answered.octets);
    out
}

/// Few labels, so that owners meet: below, above, beside each other.
fn owner() -> impl Strategy<Value = String> {
    let label = prop::sample::select(vec!["a", "b", "*", "c"]);
    prop::collection::vec(label, 0..4)
        .prop_map(|labels| if labels.is_empty() { "@".to_owned() } else { labels.join(".") })
}

fn line() -> impl Strategy<Value = String> {
    let data = prop::sample::select(vec![
        "A 192.0.2.1",
        "A 192.0.2.2",
        "TXT x",
        "MX 1 a.example.",
        "CNAME b.example.",
        "CNAME a.b.example.",
        "NS ns.elsewhere.test.",
        "NS a.b.example.",
        "DNAME c.example.",
        "DS 1 13 2 AB",
    ]);
    (owner(), data).prop_map(|(owner, data)| format!("{owner} {data}\n"))
}

/// Zones as random lines give them, those with errors passed over.
pub(crate) fn random_zone() -> impl Strategy<Value = Arc<Zone>> {
    prop::collection::vec(line(), 0..12).prop_filter_map("has errors", |lines| {
        let head = "$TTL 60\n@ SOA ns.example. h.example. 1 1 1 1 60\n@ NS ns.elsewhere.test.\n";
        try_parse("example.", &format!("{head}{}", lines.concat()))
    })
}

pub(crate) fn questions() -> Vec<String> {
    let labels = ["a", "b", "*", "c", "none"];
    let mut names = vec!["example.".to_owned()];
    for first in labels {
        names.push(format!("{first}.example."));
        for second in labels {
            names.push(format!("{second}.{first}.example."));
            for third in ["a", "b", "none"] {
                names.push(format!("{third}.{second}.{first}.example."));
            }
        }
    }
    names
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_change_leaves_what_a_whole_build_gives(old in random_zone(), new in random_zone()) {
        let routed = Arc::new(RoutedOwners::new());
        let source = Source { zone: &new, id: ZoneId(0), routed: &routed, children: &[], parent: None, signing: None };
        let (old_shape, new_shape) = (Shape::of(&old, &routed), Shape::of(&new, &routed));
        let changed = zone::diff(&old, &new);
        let mut shape = Shape::of(&old, &routed);
        let is_calm = shape.follow(&old, &new, &changed);
        prop_assert_eq!(&shape, &new_shape);
        let edits = if is_calm { source.some(&shape, &changed).unwrap() } else { None };
        let edits = edits.unwrap_or_else(|| {
            let mut all = names(&old, &routed, &old_shape);
            source.all(&Arc::new(new_shape), &mut all).unwrap();
            all
        });
        let _ = shape.follow(&new, &old, &changed);
        prop_assert_eq!(&shape, &old_shape);
        let changed = with(&whole(&old), &new, edits);
        let built = whole(&new);
        for name in questions() {
            for rtype in [Rtype::A, Rtype::MX, Rtype::NS, Rtype::DS, Rtype::CNAME] {
                prop_assert_eq!(ask(&changed, &name, rtype), ask(&built, &name, rtype), "{} {}", name, rtype);
            }
        }
    }

    #[test]
    fn any_octets_are_answered_or_dropped(query in prop::collection::vec(any::<u8>(), 0..80), flags in any::<bool>()) {
        let snapshot = whole(&parse("example.", "a A 192.0.2.1\n* TXT x\nd DNAME a\n"));
        let mut query = query;
        if flags && query.len() > 12 {
            query[2..12].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        }
        let client = Client { address: "192.0.2.1".parse().unwrap(), transport: Transport::Udp, entropy: 0, now: 0 };
        let mut out = [0; 1232];
        let answered = answer(&snapshot, &query, &client, &mut out);
        prop_assert!(answered.octets <= 1232);
        if answered.octets > 0 {
            prop_assert_eq!(&out[..2], &query[..2]);
            prop_assert_eq!(out[2] & 0x80, 0x80);
        }
    }
}

#[test]
fn rfc_6672_a_name_that_grows_too_long() {
    let long = format!("{0}.{0}.{0}.example.", "x".repeat(60));
    let snapshot = whole(&parse("example.", &format!("d DNAME {long}\n")));
    let answered = ask(&snapshot, &format!("{}.d.example.", "y".repeat(63)), Rtype::A);
    assert_eq!(answered[3] & 15, 6, "YXDOMAIN");
    assert_eq!(answered[7], 1, "the DNAME alone");
}

#[test]
fn rfc_4592_a_wildcard_that_is_an_empty_nonterminal() {
    let snapshot = whole(&parse("example.", "x.*.w A 192.0.2.1\n"));
    let answered = ask(&snapshot, "q.w.example.", Rtype::A);
    assert_eq!((answered[3] & 15, answered[7], answered[9]), (0, 0, 1), "no data, with the SOA");
}

#[test]
fn rfc_2308_and_4592_names_that_are_not_there() {
    let snapshot = whole(&parse("example.", "x.y.a A 192.0.2.1\n*.w A 192.0.2.2\nk.w TXT x\n"));
    let rcode = |name: &str| ask(&snapshot, name, Rtype::A)[3] & 15;
    let answers = |name: &str| ask(&snapshot, name, Rtype::A)[7];
    assert_eq!((rcode("y.a.example."), answers("y.a.example.")), (0, 0), "empty non-terminal");
    assert_eq!(rcode("z.a.example."), 3);
    assert_eq!((rcode("q.w.example."), answers("q.w.example.")), (0, 1));
    assert_eq!(
        (rcode("k.w.example."), answers("k.w.example.")),
        (0, 0),
        "the name itself hides the wildcard"
    );
    assert_eq!(rcode("q.k.w.example."), 3, "the closest encloser k has no wildcard");
    assert_eq!(rcode("other.test."), 5);
}

#[test]
fn rfc_4592_ns_and_dname_at_a_wildcard_are_data() {
    let snapshot = whole(&parse("example.", "*.n NS ns.elsewhere.test.\n*.d DNAME other.test.\n"));
    for (name, rtype) in [("abc.n.example.", Rtype::NS), ("abc.d.example.", Rtype::DNAME)] {
        let octets = ask(&snapshot, name, rtype);
        let message = hickory_proto::op::Message::from_vec(&octets).unwrap();
        assert!(message.metadata.authoritative);
        assert_eq!(message.answers[0].name.to_string(), name, "{message:?}");
    }
    assert_eq!(ask(&snapshot, "abc.n.example.", Rtype::A)[3] & 15, 0);
}

#[test]
fn rfc_1035_pointers_reach_behind_the_longest_chain() {
    let pad = format!("{0}.{0}.{0}", "p".repeat(63));
    let name = |number: usize| format!("d{number:02}{}.{pad}.example.", "q".repeat(35));
    let last = crate::limits::CNAME_CHAIN;
    let mut lines: String =
        (0..last).map(|link| format!("{} DNAME {}\n", name(link), name(link + 1))).collect();
    for n in 0..130 {
        lines += &format!("x.{} MX {n} {}{n:03}.test.\n", name(last), "m".repeat(60));
        lines += &format!("x.{} MX {} a.{}{n:03}.test.\n", name(last), 1000 + n, "m".repeat(60));
    }
    let snapshot = whole(&parse("example.", &lines));
    let octets = ask(&snapshot, &format!("x.{}", name(0)), Rtype::MX);
    let message = hickory_proto::op::Message::from_vec(&octets).unwrap();
    assert!(!message.metadata.truncation, "a stream takes it");
    assert_eq!(message.answers.len(), 2 * last + 260);
}
