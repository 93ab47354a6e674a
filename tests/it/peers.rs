//! The same zone file on Waypost, NSD and Knot: static answers are equal, for every owner and type.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::lab::{Ask, Lab, free_port, repository, stdout, wait_for};

/// Types asked for at every owner.
const TYPES: [&str; 20] = [
    "A",
    "AAAA",
    "NS",
    "SOA",
    "MX",
    "TXT",
    "CNAME",
    "DNAME",
    "SRV",
    "PTR",
    "CAA",
    "TLSA",
    "SSHFP",
    "NAPTR",
    "SVCB",
    "HTTPS",
    "DS",
    "SMIMEA",
    "OPENPGPKEY",
    "HINFO",
];

pub struct Peer {
    name: &'static str,
    child: Child,
    pub address: SocketAddr,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(name: &'static str, mut command: Command, port: u16, probe: &str) -> Peer {
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}; ./test installs it"));
    let peer = Peer { name, child, address: SocketAddr::from(([127, 0, 0, 1], port)) };
    wait_for(&format!("{name} answers"), Duration::from_secs(15), || {
        let answer = Ask::new(probe, "SOA").try_to(peer.address).ok()?;
        (answer.data().len() == 1).then_some(())
    });
    peer
}

pub fn nsd(lab: &Lab, zone: &str, file: &Path) -> Peer {
    let port = free_port(&["127.0.0.1"]);
    let directory = lab.path("nsd");
    fs::create_dir_all(&directory).unwrap();
    let place = directory.display();
    let config = format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  database: \"\"\n  \
         zonesdir: \"{place}\"\n  pidfile: \"{place}/nsd.pid\"\n  xfrdfile: \"{place}/xfrd.state\"\n  \
         zonelistfile: \"{place}/zone.list\"\n  logfile: \"{place}/nsd.log\"\n  server-count: 1\n\
         remote-control:\n  control-enable: no\n\
         zone:\n  name: \"{zone}\"\n  zonefile: \"{}\"\n",
        file.display()
    );
    fs::write(directory.join("nsd.conf"), config).unwrap();
    let mut command = Command::new("/usr/sbin/nsd");
    command.args(["-d", "-c"]).arg(directory.join("nsd.conf"));
    start("nsd", command, port, zone)
}

fn knot(lab: &Lab, zone: &str, file: &Path) -> Peer {
    let port = free_port(&["127.0.0.1"]);
    let directory = lab.path("knot");
    fs::create_dir_all(&directory).unwrap();
    let place = directory.display();
    let config = format!(
        "server:\n  rundir: \"{place}\"\n  listen: 127.0.0.1@{port}\ndatabase:\n  storage: \"{place}\"\n\
         zone:\n  - domain: \"{zone}\"\n    file: \"{}\"\n    semantic-checks: off\n    zonefile-sync: -1\n    \
         journal-content: none\n",
        file.display()
    );
    fs::write(directory.join("knot.conf"), config).unwrap();
    let mut command = Command::new("/usr/sbin/knotd");
    command.arg("-c").arg(directory.join("knot.conf"));
    start("knot", command, port, zone)
}

/// What of an answer must be equal: code, AA, and the answer and authority sections as sets. The
/// additional section is each server's own choice (minimal responses).
#[derive(Debug, PartialEq, Eq)]
struct Canonical {
    rcode: String,
    authoritative: bool,
    answers: BTreeSet<String>,
    authorities: BTreeSet<String>,
}

fn canonical(name: &str, rtype: &str, server: SocketAddr) -> Canonical {
    let answer = Ask::new(name, rtype).tcp().to(server);
    let shown = |records: &[hickory_proto::rr::Record]| -> BTreeSet<String> {
        records.iter().map(|record| record.to_string().to_lowercase()).collect()
    };
    let message = &answer.message;
    // NSD and Knot add NS to positive answers unless told to be minimal; only negative answers
    // and referrals need an authority section.
    let is_positive = !message.answers.is_empty() && answer.rcode() == "NoError";
    let authorities = if is_positive { BTreeSet::new() } else { shown(&message.authorities) };
    Canonical {
        rcode: answer.rcode(),
        authoritative: message.metadata.authoritative,
        answers: shown(&message.answers),
        authorities,
    }
}

/// Owners of a zone, from the file as `named-checkzone` understands it.
fn owners(zone: &str, file: &Path) -> BTreeSet<String> {
    let dumped = stdout(Command::new("named-checkzone").args(["-D", "-q", zone]).arg(file));
    dumped.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn compare(lab: &Lab, zone: &str, file: &Path) -> usize {
    let waypost = lab.start();
    let peers = [nsd(lab, zone, file), knot(lab, zone, file)];
    let mut names = owners(zone, file);
    for owner in names.clone() {
        // Beside and below each owner, where nothing is.
        names.insert(format!("zz-none.{owner}"));
    }
    let mut compared = 0;
    let mut differ = Vec::new();
    for name in &names {
        for rtype in TYPES {
            let ours = canonical(name, rtype, waypost.address);
            for peer in &peers {
                let theirs = canonical(name, rtype, peer.address);
                compared += 1;
                if ours != theirs {
                    differ.push(format!("{name} {rtype}\n  waypost {ours:?}\n  {} {theirs:?}", peer.name));
                }
            }
        }
    }
    assert!(differ.is_empty(), "{} of {compared} differ\n{}", differ.len(), differ.join("\n"));
    waypost.stop();
    compared
}

#[test]
fn the_example_zone_is_standard_and_its_static_answers_equal() {
    let zone = repository().join("zones/example.com.zone");
    stdout(Command::new("named-checkzone").arg("example.com").arg(&zone));
    let lab = Lab::new();
    // The zone file alone, without the routes beside it.
    fs::copy(&zone, lab.path("zones/example.com.zone")).unwrap();
    let compared = compare(&lab, "example.com", &lab.path("zones/example.com.zone"));
    println!("{compared} answers compared");
    assert!(compared > 500);
}

#[test]
fn every_record_type_and_hard_names() {
    let lab = Lab::new();
    lab.write("zones/types.example.zone", include_str!("types.example.zone"));
    let compared = compare(&lab, "types.example", &lab.path("zones/types.example.zone"));
    println!("{compared} answers compared");
}
