//! BIND, Knot and NSD on zone files of a lab, told to leave out what a server may leave out.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use crate::lab::{Ask, Lab, free_port, wait_for};

/// A zone by its name, without the final dot, and its file.
pub struct ZoneFile {
    pub zone: String,
    pub file: PathBuf,
}

/// Another server at work.
pub struct Peer {
    pub name: &'static str,
    pub address: SocketAddr,
    child: Child,
    log: PathBuf,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the log of {}\n{}", self.name, fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

fn start(name: &'static str, mut command: Command, directory: &Path, port: u16, zones: &[ZoneFile]) -> Peer {
    let log = directory.join("output");
    let file = fs::File::create(&log).unwrap();
    let child = command
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}; ./test installs it"));
    let peer = Peer { name, child, log, address: SocketAddr::from(([127, 0, 0, 1], port)) };
    for ZoneFile { zone, .. } in zones {
        wait_for(&format!("{name} answers for {zone}"), Duration::from_secs(15), || {
            let answer = Ask::new(&format!("{zone}."), "SOA").try_to(peer.address).ok()?;
            (answer.data().len() == 1).then_some(())
        });
    }
    peer
}

fn each(zones: &[ZoneFile], text: impl Fn(&str, &Path) -> String) -> String {
    zones.iter().map(|ZoneFile { zone, file }| text(zone, file)).collect()
}

pub fn nsd(lab: &Lab, zones: &[ZoneFile]) -> Peer {
    let port = free_port(&["127.0.0.1"]);
    let directory = lab.path("nsd");
    fs::create_dir_all(&directory).unwrap();
    let place = directory.display();
    let zones_text =
        each(zones, |zone, file| format!("zone:\n  name: \"{zone}\"\n  zonefile: \"{}\"\n", file.display()));
    let config = format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  database: \"\"\n  \
         zonesdir: \"{place}\"\n  pidfile: \"{place}/nsd.pid\"\n  xfrdfile: \"{place}/xfrd.state\"\n  \
         zonelistfile: \"{place}/zone.list\"\n  server-count: 1\n  \
         minimal-responses: yes\n  rrl-ratelimit: 0\n  rrl-whitelist-ratelimit: 0\n\
         remote-control:\n  control-enable: no\n{zones_text}"
    );
    fs::write(directory.join("nsd.conf"), config).unwrap();
    let mut command = Command::new("/usr/sbin/nsd");
    command.args(["-d", "-c"]).arg(directory.join("nsd.conf"));
    start("nsd", command, &directory, port, zones)
}

pub fn knot(lab: &Lab, zones: &[ZoneFile]) -> Peer {
    let port = free_port(&["127.0.0.1"]);
    let directory = lab.path("knot");
    fs::create_dir_all(&directory).unwrap();
    let place = directory.display();
    let zones_text = each(zones, |zone, file| {
        format!(
            "  - domain: \"{zone}\"\n    file: \"{}\"\n    semantic-checks: off\n    zonefile-sync: -1\n    \
             journal-content: none\n",
            file.display()
        )
    });
    let config = format!(
        "server:\n  rundir: \"{place}\"\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n  tcp-workers: 1\n\
         database:\n  storage: \"{place}\"\nzone:\n{zones_text}"
    );
    fs::write(directory.join("knot.conf"), config).unwrap();
    let mut command = Command::new("/usr/sbin/knotd");
    command.arg("-c").arg(directory.join("knot.conf"));
    start("knot", command, &directory, port, zones)
}

pub fn bind(lab: &Lab, zones: &[ZoneFile]) -> Peer {
    let port = free_port(&["127.0.0.1"]);
    let directory = lab.path("bind");
    fs::create_dir_all(&directory).unwrap();
    let place = directory.display();
    let zones_text = each(zones, |zone, file| {
        format!("zone \"{zone}\" {{ type primary; file \"{}\"; }};\n", file.display())
    });
    let config = format!(
        "options {{\n  directory \"{place}\";\n  pid-file \"{place}/pid\";\n  session-keyfile \"{place}/key\";\n  \
         listen-on port {port} {{ 127.0.0.1; }};\n  listen-on-v6 {{ none; }};\n  recursion no;\n  \
         minimal-responses yes;\n  dnssec-validation no;\n  empty-zones-enable no;\n  \
         check-names primary ignore;\n  max-records-per-type 0;\n  check-integrity no;\n  zero-no-soa-ttl no;\n  notify no;\n}};\n\
         controls {{ }};\n{zones_text}"
    );
    fs::write(directory.join("named.conf"), config).unwrap();
    let mut command = Command::new("/usr/sbin/named");
    command.args(["-g", "-n", "1", "-c"]).arg(directory.join("named.conf"));
    start("bind", command, &directory, port, zones)
}
