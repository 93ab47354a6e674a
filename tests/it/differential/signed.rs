//! The same signed zone on Waypost, BIND, Knot and NSD, signatures and all: the others serve what
//! Waypost's answers amount to, and what it answers must then be what they do.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use waypost::wire::name::parent;
use waypost::wire::query::rcode;
use waypost::wire::rtype::Rtype;

use super::exceptions::{Case, EXCEPTIONS, Exception};
use super::{MODES, Question, ours, questions, records, theirs, wire};
use crate::export::{SIGNED_TYPES, export};
use crate::lab::{Lab, output};
use crate::peers::{ZoneFile, bind, knot, nsd};

pub(crate) const ZONE: &str = include_str!("signed.zone");

/// A routed owner whose outcome is what the file has.
pub(crate) const ROUTES: &str = r#"
[targets.one]
ipv4 = "192.0.2.10"
ipv6 = "2001:db8::10"
[routes.webmail]
type = "address"
default = ["one"]
"#;

struct Signed {
    lab: Lab,
    zones: Vec<ZoneFile>,
    questions: Vec<Question>,
    server: crate::lab::Server,
}

fn signed(denial: &str) -> Signed {
    let lab = Lab::new();
    lab.write("zones/signed.example.zone", ZONE);
    lab.write(
        "zones/signed.example.toml",
        &format!("{ROUTES}\n[dnssec]\nsign = true\ndenial = \"{denial}\"\n"),
    );
    let plain = [ZoneFile { zone: "signed.example".to_owned(), file: lab.path("zones/signed.example.zone") }];
    let server = lab.start();
    let apex = wire("signed.example.");
    let mut owners = BTreeSet::new();
    let mut types = BTreeSet::from([Rtype::DS]);
    for (owner, rtype) in records("signed.example", &plain[0].file) {
        types.insert(rtype);
        let mut at = Some(&*owner);
        while let Some(name) = at.filter(|name| name.len() >= apex.len()) {
            owners.insert(name.to_vec());
            at = parent(name);
        }
    }
    let text = export(server.address, "signed.example.", &owners, &types);
    lab.write("signed.example.zone", &text);
    let mut questions = questions(&plain);
    let names: BTreeSet<Vec<u8>> = questions.iter().map(|question| question.name.clone()).collect();
    for name in names.into_iter().filter(|name| name.to_ascii_lowercase().ends_with(&apex)) {
        questions.extend(SIGNED_TYPES.map(|rtype| Question { name: name.clone(), rtype }));
    }
    let file = lab.path("signed.example.zone");
    Signed { zones: vec![ZoneFile { zone: "signed.example".to_owned(), file }], lab, questions, server }
}

/// Differences that signatures alone make.
const SIGNED: &[Exception] = &[
    // RFC 8482 4.1: one RRset answers ANY, with its signatures. BIND gives all of them; Knot and NSD
    // choose others at some names.
    Exception {
        name: "ANY is answered by one signed RRset",
        holds: |case| {
            let types = case.ours.answers.iter().map(|record| record.rtype);
            let types: BTreeSet<Rtype> = types.filter(|rtype| *rtype != Rtype::RRSIG).collect();
            case.question.rtype == Rtype::ANY
                && case.ours.rcode == case.theirs.rcode
                && types.len() == 1
                && !case.theirs.answers.is_empty()
                && (case.ours.answers.is_subset(&case.theirs.answers) || case.peer != "bind")
        },
    },
    // RFC 1034 4.3.2 step 3b: at a cut there is a referral. BIND answers with the NSEC, which is the
    // parent's; Knot and NSD do as we do.
    Exception {
        name: "NSEC of a cut gives the referral",
        holds: |case| {
            case.peer == "bind"
                && case.question.rtype == Rtype::NSEC
                && !case.ours.authoritative
                && case.ours.authority.iter().any(|record| record.rtype == Rtype::NS)
                && case.theirs.authoritative
        },
    },
    // RFC 4035 3.1.3.3: what a wildcard gives comes with the proof that the name isn't there, NSEC
    // too (RFC 4592 4.7). Knot leaves it out.
    Exception {
        name: "an NSEC that a wildcard gives has its proof",
        holds: |case| {
            case.peer == "knot"
                && case.question.rtype == Rtype::NSEC
                && case.ours.answers == case.theirs.answers
                && case.theirs.authority.is_subset(&case.ours.authority)
        },
    },
    // RFC 1034 4.3.2 step 3a: whatever an alias doesn't have itself is asked of its target. BIND and
    // Knot deny NSEC there in a zone with NSEC3, where nobody has any.
    Exception {
        name: "NSEC follows an alias where there is none",
        holds: |case| {
            matches!(case.peer, "bind" | "knot")
                && case.question.rtype == Rtype::NSEC
                && case.ours.answers.iter().any(|record| record.rtype == Rtype::CNAME)
                && case.theirs.rcode == rcode::NOERROR
                && case.theirs.authority.iter().any(|record| record.rtype == Rtype::NSEC3)
        },
    },
    // RFC 4035 3.1.3.3: the proof is of the name that the wildcard was taken for. Behind a DNAME, NSD
    // gives the NSEC before the wildcard.
    Exception {
        name: "behind a DNAME the target is denied",
        holds: |case| {
            case.peer == "nsd"
                && case.ours.rcode == case.theirs.rcode
                && case.ours.answers == case.theirs.answers
                && case.ours.answers.iter().any(|record| record.rtype == Rtype::DNAME)
        },
    },
    // RFC 5155 7.2.3: where the name is there, its own NSEC3 says it all. NSD adds another to that of
    // a wildcard that is asked for itself.
    Exception {
        name: "a wildcard's own NSEC3 is enough for it",
        holds: |case| {
            case.peer == "nsd"
                && case.question.name.starts_with(b"\x01*")
                && case.ours.rcode == case.theirs.rcode
                && case.ours.answers == case.theirs.answers
                && case.ours.authority.is_subset(&case.theirs.authority)
        },
    },
];

fn lossy(octets: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(octets)
}

/// Which of the exceptions were needed.
fn compare(denial: &str) -> BTreeSet<&'static str> {
    let Signed { lab, zones, questions, server } = signed(denial);
    // What judges whole zones.
    let file = zones[0].file.display().to_string();
    let mut judged = String::new();
    for (judge, arguments) in [
        ("ldns-verify-zone", &["-V", "2"][..]),
        ("dnssec-verify", &["-z", "-o", "signed.example"]),
        ("kzonecheck", &["-v", "-d", "on", "-o", "signed.example"]),
    ] {
        let said = output(Command::new(judge).args(arguments).arg(&file));
        if !said.status.success() {
            judged += &format!("{judge}: {}{}\n", lossy(&said.stdout), lossy(&said.stderr));
        }
    }
    assert!(judged.is_empty(), "{judged}\n{}", fs::read_to_string(&file).unwrap());
    let peers = [bind(&lab, &zones), knot(&lab, &zones), nsd(&lab, &zones)];
    let apexes = BTreeSet::from([wire("signed.example.")]);
    let (mut compared, mut differ, mut used) = (0, Vec::new(), BTreeSet::new());
    for mode in MODES.into_iter().filter(|mode| mode.dnssec_ok) {
        let ours = ours(&server, &questions, mode, &apexes);
        for peer in &peers {
            let theirs = theirs(peer, &questions, mode, &apexes);
            for ((question, ours), theirs) in questions.iter().zip(&ours).zip(&theirs) {
                compared += 1;
                let case = Case { peer: peer.name, question, mode, ours, theirs, apexes: &apexes };
                if ours == theirs {
                    continue;
                }
                match SIGNED.iter().chain(EXCEPTIONS).find(|exception| (exception.holds)(&case)) {
                    Some(exception) => drop(used.insert(exception.name)),
                    None => differ.push(case.to_string()),
                }
            }
        }
    }
    println!("{denial}: {} questions, {compared} answers compared, {} differ", questions.len(), differ.len());
    let shown = differ.iter().take(20).cloned().collect::<String>();
    assert!(differ.is_empty(), "{} of {compared} answers differ\n{shown}", differ.len());
    assert!(compared > 10_000);
    used
}

#[test]
fn signed_answers_equal_those_of_bind_knot_and_nsd() {
    let used: BTreeSet<&str> = ["nsec", "nsec3"].into_iter().flat_map(compare).collect();
    let unused: Vec<&str> =
        SIGNED.iter().map(|exception| exception.name).filter(|name| !used.contains(name)).collect();
    assert!(unused.is_empty(), "exceptions that nothing needs any more: {unused:?}");
}
