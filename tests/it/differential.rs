//! The same zone files on Waypost, BIND, Knot and NSD, and the same questions to all: every owner
//! with every type, names that don't exist at every level, with and without EDNS and DO, by
//! datagrams and streams. Where answers differ, `exceptions` says who is right and why.

pub mod client;
mod exceptions;
pub mod message;
pub mod signed;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;

use waypost::wire::name::{Name, labels, parent};
use waypost::wire::rtype::Rtype;

use crate::lab::{Lab, Server, repository, stdout};
use crate::peers::{Peer, ZoneFile, bind, knot, nsd};
use exceptions::{Case, EXCEPTIONS};
use message::{Canonical, Message};

/// Zones that some server refuses to load, and which one.
const REFUSED: [(&str, &str); 1] = [("undefined.example", "bind")];

/// Types asked for at every owner, beside all that the zones have.
const TYPES: [&str; 11] = ["A", "AAAA", "NS", "SOA", "MX", "TXT", "CNAME", "DNAME", "DS", "ANY", "TYPE65280"];

/// Types asked for where nothing is: one for each way that the search can take.
const TYPES_OF_NOTHING: [&str; 6] = ["A", "NS", "CNAME", "DS", "ANY", "TYPE65280"];

/// Owners asked for besides those of the zones that `named-checkzone` reads: above and outside of
/// all, and those of the zone that it refuses.
const OWNERS: [&str; 7] = [
    ".",
    "example.",
    "arpa.",
    "www.elsewhere.test.",
    "undefined.example.",
    "cut.undefined.example.",
    "*.cut.undefined.example.",
];

/// Octets of payload that the queries with EDNS offer: all servers send as much.
const PAYLOAD: u16 = 1232;

/// A way to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mode {
    pub edns: bool,
    pub dnssec_ok: bool,
    pub tcp: bool,
}

const MODES: [Mode; 5] = [
    Mode { edns: false, dnssec_ok: false, tcp: false },
    Mode { edns: true, dnssec_ok: false, tcp: false },
    Mode { edns: true, dnssec_ok: true, tcp: false },
    Mode { edns: false, dnssec_ok: false, tcp: true },
    Mode { edns: true, dnssec_ok: true, tcp: true },
];

/// A name, in wire form and some mixture of cases, and a type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    pub name: Vec<u8>,
    pub rtype: Rtype,
}

impl Question {
    fn octets(&self) -> Vec<u8> {
        [&*self.name, &self.rtype.0.to_be_bytes(), &[0, 1]].concat()
    }

    pub fn query(&self, mode: Mode) -> Vec<u8> {
        let mut query = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(mode.edns)];
        query.extend(self.octets());
        if mode.edns {
            query.extend([0, 0, 41]);
            query.extend(PAYLOAD.to_be_bytes());
            query.extend([0, 0, if mode.dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
        }
        query
    }
}

#[test]
fn answers_equal_those_of_bind_knot_and_nsd() {
    let lab = Lab::new();
    let zones = zone_files(&lab);
    let without = |peer: &str| -> Vec<ZoneFile> {
        let refused = |zone: &str| REFUSED.iter().any(|(refused, by)| *refused == zone && *by == peer);
        let kept = zones.iter().filter(|zone| !refused(&zone.zone));
        kept.map(|ZoneFile { zone, file }| ZoneFile { zone: zone.clone(), file: file.clone() }).collect()
    };
    let peers = [bind(&lab, &without("bind")), knot(&lab, &without("knot")), nsd(&lab, &without("nsd"))];
    let waypost = lab.start();
    let apexes: BTreeSet<Vec<u8>> = zones.iter().map(|zone| wire(&format!("{}.", zone.zone))).collect();
    let questions = questions(&zones);

    let mut compared = 0;
    let mut differ = Vec::new();
    let mut used = vec![0; EXCEPTIONS.len()];
    for mode in MODES {
        let ours = ours(&waypost, &questions, mode, &apexes);
        let theirs: Vec<Vec<Canonical>> = std::thread::scope(|scope| {
            let asked: Vec<_> =
                peers.iter().map(|peer| scope.spawn(|| theirs(peer, &questions, mode, &apexes))).collect();
            asked.into_iter().map(|answers| answers.join().unwrap()).collect()
        });
        for (at, question) in questions.iter().enumerate() {
            let mut by_exception: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
            for (peer, theirs) in peers.iter().zip(&theirs) {
                if is_refused(question, peer) {
                    continue;
                }
                compared += 1;
                let (ours, theirs) = (&ours[at], &theirs[at]);
                let case = Case { peer: peer.name, question, mode, ours, theirs, apexes: &apexes };
                if case.ours == case.theirs {
                    continue;
                }
                match EXCEPTIONS.iter().position(|exception| (exception.holds)(&case)) {
                    Some(exception) => by_exception.entry(exception).or_default().push(peer.name),
                    None => differ.push(case.to_string()),
                }
            }
            for exception in by_exception.into_keys() {
                used[exception] += 1;
            }
        }
    }
    println!("{} questions, {compared} answers compared, {} differ", questions.len(), differ.len());
    for (exception, used) in EXCEPTIONS.iter().zip(&used) {
        println!("{used:6} by {}", exception.name);
    }
    let shown = differ.iter().take(40).cloned().collect::<String>();
    assert!(differ.is_empty(), "{} of {compared} answers differ\n{shown}", differ.len());
    assert!(compared > 50_000);
    let unused: Vec<&str> =
        EXCEPTIONS.iter().zip(&used).filter(|(_, used)| **used == 0).map(|(e, _)| e.name).collect();
    assert!(unused.is_empty(), "exceptions that nothing needs any more: {unused:?}");
    waypost.stop();
}

#[test]
fn the_example_zone_is_standard() {
    stdout(
        Command::new("named-checkzone").arg("example.com").arg(repository().join("zones/example.com.zone")),
    );
}

/// Copies the zones into the lab, without the routes beside them.
fn zone_files(lab: &Lab) -> Vec<ZoneFile> {
    let mut zones = Vec::new();
    for directory in ["tests/zones", "zones"] {
        for entry in fs::read_dir(repository().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let Some(zone) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".zone")) else {
                continue;
            };
            let file = lab.path(&format!("zones/{zone}.zone"));
            fs::copy(&path, &file).unwrap();
            zones.push(ZoneFile { zone: zone.to_owned(), file });
        }
    }
    zones
}

fn is_refused(question: &Question, peer: &Peer) -> bool {
    let lower = question.name.to_ascii_lowercase();
    REFUSED.iter().any(|(zone, by)| *by == peer.name && lower.ends_with(&wire(&format!("{zone}."))))
}

fn ours(server: &Server, questions: &[Question], mode: Mode, apexes: &BTreeSet<Vec<u8>>) -> Vec<Canonical> {
    let queries: Vec<Vec<u8>> = questions.iter().map(|question| question.query(mode)).collect();
    let ask = if mode.tcp { client::tcp } else { client::udp };
    let answers = ask(server.address, &queries);
    let limit = if mode.tcp {
        65_535
    } else if mode.edns {
        usize::from(PAYLOAD)
    } else {
        512
    };
    questions
        .iter()
        .zip(answers)
        .map(|(question, octets)| {
            let message = Message::read(&octets).unwrap_or_else(|| panic!("{question:?}: {octets:?}"));
            // Promises that need no other server: the question as it was asked, OPT for OPT with the
            // same DO (RFC 3225 3), sizes, no record twice (RFC 2181 5), chains in order.
            assert!(octets.len() <= limit, "{question:?} {mode:?}: {} octets", octets.len());
            assert_eq!(message.question, question.octets(), "{question:?}");
            assert_eq!(message.edns.map(|flags| flags & 0x8000 != 0), mode.edns.then_some(mode.dnssec_ok));
            assert!(!(mode.tcp && message.flags & 0x0200 != 0), "{question:?} truncated over TCP");
            for section in &message.sections {
                let distinct: BTreeSet<_> = section.iter().collect();
                assert_eq!(distinct.len(), section.len(), "{question:?} {mode:?}: {section:?}");
            }
            in_order(question, &message);
            message.canonical(apexes)
        })
        .collect()
}

/// Each CNAME of the answer stands before what its target has: stub resolvers read on from there.
fn in_order(question: &Question, message: &Message) {
    let mut at = question.name.to_ascii_lowercase();
    for record in message.sections[0].iter().filter(|record| record.rtype != Rtype::RRSIG) {
        if record.rtype == Rtype::DNAME && record.owner != at {
            assert!(at.ends_with(&record.owner), "{question:?}: {:?}", message.sections[0]);
            continue;
        }
        assert_eq!(record.owner, at, "{question:?}: {:?}", message.sections[0]);
        if record.rtype == Rtype::CNAME {
            at.clone_from(&record.rdata);
        }
    }
}

fn theirs(peer: &Peer, questions: &[Question], mode: Mode, apexes: &BTreeSet<Vec<u8>>) -> Vec<Canonical> {
    let queries: Vec<Vec<u8>> = questions.iter().map(|question| question.query(mode)).collect();
    let ask = if mode.tcp { client::tcp } else { client::udp };
    ask(peer.address, &queries)
        .iter()
        .zip(questions)
        .map(|(octets, question)| {
            let message = Message::read(octets);
            message.unwrap_or_else(|| panic!("{}: {question:?} {octets:?}", peer.name)).canonical(apexes)
        })
        .collect()
}

/// What is asked of every server.
pub fn questions(zones: &[ZoneFile]) -> Vec<Question> {
    let mut owners: BTreeSet<Vec<u8>> = OWNERS.iter().map(|name| wire(name)).collect();
    let mut types: BTreeSet<Rtype> = TYPES.iter().map(|text| Rtype::from_str(text).unwrap()).collect();
    for ZoneFile { zone, file } in zones.iter().filter(|zone| !REFUSED.contains(&(&zone.zone, "bind"))) {
        for (owner, rtype) in records(zone, file) {
            types.insert(rtype);
            // The owner, and every name above it down from the apex.
            let apex = wire(&format!("{zone}."));
            let mut at = Some(&*owner);
            while let Some(name) = at.filter(|name| name.len() >= apex.len()) {
                owners.insert(name.to_vec());
                at = parent(name);
            }
        }
    }
    let mut nothing = BTreeSet::new();
    for owner in &owners {
        for below in ["zz-none", "zz-none.zz-none", "*", "alias"] {
            let name = [&wire(&format!("{below}."))[..below.len() + 1], owner].concat();
            if name.len() <= 255 && !owners.contains(&name) {
                nothing.insert(name);
            }
        }
    }
    let nothing_types: BTreeSet<Rtype> =
        TYPES_OF_NOTHING.iter().map(|text| Rtype::from_str(text).unwrap()).collect();
    let mut questions = Vec::new();
    for (names, types) in [(owners, types), (nothing, nothing_types)] {
        for name in names {
            for &rtype in &types {
                let name = mixed_case(&name, questions.len());
                questions.push(Question { name, rtype });
            }
        }
    }
    questions
}

/// Owners and types of a zone, as `named-checkzone` understands its file.
pub fn records(zone: &str, file: &Path) -> Vec<(Vec<u8>, Rtype)> {
    let mut command = Command::new("named-checkzone");
    command.args(["-D", "-q", "-i", "none", "-k", "ignore", "-n", "ignore", "-m", "ignore", zone]);
    let text = stdout(command.arg(file));
    let record = |line: &str| {
        let mut words = line.split_whitespace();
        let owner = words.next()?;
        let rtype = words.nth(2)?;
        Some((wire(owner), Rtype::from_str(rtype).unwrap()))
    };
    text.lines().filter_map(record).collect()
}

pub fn wire(text: &str) -> Vec<u8> {
    Name::parse(text, None).unwrap().as_wire().to_ascii_lowercase()
}

/// Some letters in capitals, others from question to question.
fn mixed_case(name: &[u8], salt: usize) -> Vec<u8> {
    let mut mixed = vec![];
    for (number, label) in labels(name).enumerate() {
        mixed.push(label.len() as u8);
        let is_capital = |at: usize| (at * 7 + number + salt).is_multiple_of(3);
        mixed.extend(
            label.iter().enumerate().map(
                |(at, octet)| {
                    if is_capital(at) { octet.to_ascii_uppercase() } else { *octet }
                },
            ),
        );
    }
    mixed.push(0);
    mixed
}
