//! Messages hold what the zone holds: rendered, compressed and moved behind chains and below
//! wildcards, then read by another implementation.

use std::collections::BTreeSet;

use hickory_proto::op::Message;
use hickory_proto::serialize::binary::BinEncodable;
use proptest::prelude::*;

use super::tests::{ask_wire, try_parse, whole};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// Names that share ends, so that pointers have much to point to, in changing case.
fn name() -> impl Strategy<Value = Name> {
    let label = prop_oneof![
        3 => prop::sample::select(vec!["a", "A", "b", "mail", "Mail", "*"]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..=63),
    ];
    let end = prop::sample::select(vec!["example.", "Example.", "x.example.", "other.test.", "TEST.", "."]);
    (prop::collection::vec(label, 0..4), end).prop_filter_map("255 octets", |(labels, end)| {
        let end = Name::parse(end, None).ok()?;
        labels.iter().try_fold(end, |name, label| name.child(label)).ok()
    })
}

fn record() -> impl Strategy<Value = (Rtype, Vec<u8>)> {
    let behind = |rtype: Rtype, fixed: usize| {
        (prop::collection::vec(any::<u8>(), fixed), name())
            .prop_map(move |(fixed, name)| (rtype, [&fixed, name.as_wire()].concat()))
    };
    prop_oneof![
        4 => behind(Rtype::MX, 2),
        2 => behind(Rtype::PTR, 0),
        2 => behind(Rtype::SRV, 6),
        1 => prop::collection::vec(any::<u8>(), 4).prop_map(|octets| (Rtype::A, octets)),
        1 => prop::collection::vec(any::<u8>(), 1..50).prop_map(|octets| (Rtype(65_280), octets)),
    ]
}

/// Records of an owner, and how it is found: by its name, by a wildcard, behind that many CNAMEs.
#[derive(Clone, Debug)]
struct Case {
    owner: Name,
    records: Vec<(Rtype, Vec<u8>)>,
    question: Name,
    links: usize,
}

fn case() -> impl Strategy<Value = Case> {
    let records = prop::collection::vec(record(), 1..40);
    (name(), name(), records, 0..4usize).prop_filter_map(
        "names of one zone",
        |(at, asked, records, links)| {
            let apex = Name::parse("example.", None).ok()?;
            let owner = at.child(b"own").ok().filter(|owner| owner.is_at_or_below(&apex))?;
            let below = asked.labels().next().is_some() && links == 0;
            let (owner, question) = if below {
                // What a wildcard makes has the name asked for, which has no asterisk here.
                let asked: Vec<&[u8]> = asked.labels().filter(|label| *label != b"*").collect();
                let question = asked
                    .iter()
                    .rev()
                    .try_fold(owner.child(b"q").ok()?, |name, label| name.child(label))
                    .ok()?;
                (owner.child(b"*").ok()?, question)
            } else {
                (owner.clone(), owner)
            };
            Some(Case { owner, records, question, links })
        },
    )
}

fn generic(owner: &Name, rtype: Rtype, rdata: &[u8]) -> String {
    let hex: String = rdata.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{owner} 60 {rtype} \\# {} {hex}\n", rdata.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn messages_read_as_the_zone_has_them(case in case()) {
        let mut text = "@ 60 SOA ns.test. h.test. 1 1 1 1 60\n@ 60 NS ns.test.\n".to_owned();
        for (rtype, rdata) in &case.records {
            text += &generic(&case.owner, *rtype, rdata);
        }
        let link = |number: usize| Name::parse(&format!("link{number}.chain.example."), None).unwrap();
        for number in 0..case.links {
            let target = if number == 0 { case.question.clone() } else { link(number - 1) };
            text += &generic(&link(number), Rtype::CNAME, target.as_wire());
        }
        let zone = try_parse("example.", &text);
        prop_assume!(zone.is_some());
        let snapshot = whole(&zone.unwrap());
        let question = if case.links == 0 { case.question.clone() } else { link(case.links - 1) };
        for rtype in case.records.iter().map(|(rtype, _)| *rtype).collect::<BTreeSet<_>>() {
            let octets = ask_wire(&snapshot, question.as_wire(), rtype);
            let message = Message::from_vec(&octets);
            prop_assert!(message.is_ok(), "{octets:?}");
            let message = message.unwrap();
            let (chain, found) = message.answers.split_at(case.links);
            prop_assert!(chain.iter().all(|record| record.record_type() == hickory_proto::rr::RecordType::CNAME));
            let mut read = BTreeSet::new();
            for record in found {
                let owner = record.name.to_bytes().unwrap();
                prop_assert!(owner.eq_ignore_ascii_case(case.question.as_wire()));
                prop_assert_eq!(u16::from(record.record_type()), rtype.0);
                // Names are compared without case: a pointer may lead to another spelling.
                read.insert(record.data.to_bytes().unwrap().to_ascii_lowercase());
            }
            let of_type = case.records.iter().filter(|record| record.0 == rtype);
            let written: BTreeSet<Vec<u8>> = of_type.map(|record| record.1.to_ascii_lowercase()).collect();
            prop_assert_eq!(read, written);
        }
    }
}
