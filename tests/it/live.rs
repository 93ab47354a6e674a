//! `waypost check --live`: each way in which a nameserver can be wrong has a line that says so.

use std::net::{SocketAddr, UdpSocket};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};

use crate::failover::{ZONE, routes};
use crate::lab::{Lab, output, waypost};
use crate::peers::{ZoneFile, nsd};

/// Routes that nothing moves: without sites behind them, and up by the operator's word.
fn fixed_routes() -> String {
    routes(443, 25, "1h").replace("probes = ", "state = \"up\"\nprobes = ")
}

fn files(zone: &str) -> Lab {
    let lab = Lab::new();
    lab.write("zones/mail.example.zone", zone);
    lab.write("zones/mail.example.toml", &fixed_routes());
    lab
}

fn check(lab: &Lab, servers: &[SocketAddr], arguments: &[&str]) -> Output {
    let mut command = waypost();
    command.arg("check").arg(lab.directory.path()).arg("--live").args(arguments);
    for server in servers {
        command.args(["--server", &server.to_string()]);
    }
    output(&mut command)
}

/// What a check that must find something says.
fn found(lab: &Lab, servers: &[SocketAddr]) -> String {
    let output = check(lab, servers, &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

/// Passes questions on to a server, and answers on to the client with a change. Over UDP alone.
struct Liar {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Liar {
    fn start(upstream: SocketAddr, change: impl Fn(&mut Message, &mut Message) + Send + 'static) -> Liar {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut octets = vec![0; 65_535];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, client)) = socket.recv_from(&mut octets) else { continue };
                let mut query = Message::from_vec(&octets[..length]).unwrap();
                let forward = UdpSocket::bind("127.0.0.1:0").unwrap();
                forward.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                // A change of the question first, with an answer that isn't there yet.
                change(&mut query, &mut Message::query());
                forward.send_to(&query.to_vec().unwrap(), upstream).unwrap();
                let length = forward.recv(&mut octets).unwrap();
                let mut answer = Message::from_vec(&octets[..length]).unwrap();
                change(&mut query, &mut answer);
                socket.send_to(&answer.to_vec().unwrap(), client).unwrap();
            }
        });
        Liar { address, stop, thread: Some(thread) }
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn scope(message: &mut Message, scope: u8) {
    let Some(edns) = message.edns.as_mut() else { return };
    if let Some(EdnsOption::Subnet(subnet)) = edns.option(EdnsCode::Subnet) {
        let mut subnet = *subnet;
        subnet.set_scope_prefix(scope);
        edns.options_mut().remove(EdnsCode::Subnet);
        edns.options_mut().insert(EdnsOption::Subnet(subnet));
    }
}

#[test]
fn equal_servers_have_a_clean_bill() {
    let lab = files(ZONE);
    let (one, two) = (lab.start(), lab.start());
    let servers = [one.address, two.address];
    let output = check(&lab, &servers, &["--format", "json"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["diagnostics"].as_array().unwrap().len(), 0, "{said}");
    let served = report["servers"].as_array().unwrap();
    assert_eq!(served.len(), 2);
    for one in served {
        assert!(one["tcp"] == true && one["client_subnets"] == true && one["serial"] == 1, "{one}");
    }
    let strict = check(&lab, &servers, &["--strict"]);
    assert!(strict.status.success(), "{}", String::from_utf8_lossy(&strict.stdout));
}

#[test]
fn stale_and_different_servers_are_named() {
    let lab = files(&ZONE.replace(" 1 3600", " 2 3600"));
    let good = lab.start();
    // Behind: an older file. Different: the same serial, other data, and routes of another day.
    let stale = files(ZONE).start();
    let changed = files(&ZONE.replace(" 1 3600", " 2 7200").replace("@ NS ns1", "@ NS ns1\n@ NS mx-tw"));
    changed.write("zones/mail.example.toml", &fixed_routes().replace("127.0.1.30", "127.0.1.99"));
    let different = changed.start();
    let said = found(&lab, &[good.address, stale.address, different.address]);
    for line in [
        format!("error: {} is stale: serial 1, others have 2", stale.address),
        format!("error: {} answers mail.example. SOA with", different.address),
        format!("error: {} answers mail.example. NS with mx-tw.mail.example., ns1.", different.address),
        format!("error: {} answers webmail.mail.example. A for", different.address),
        "127.0.1.99, no target of route \"webmail\"".to_owned(),
    ] {
        assert!(said.contains(&line), "{line:?} isn't in\n{said}");
    }
    assert!(!said.contains(&format!("error: {}", good.address)), "{said}");

    // A change that waits in a branch: no server has it, which is no error.
    lab.write("zones/mail.example.zone", &ZONE.replace(" 1 3600", " 3 3600"));
    let output = check(&lab, &[stale.address], &["--format", "github"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("::warning file=") && said.contains("serial 1, older than 3"), "{said}");
}

#[test]
fn lame_silent_and_unreachable_servers_are_named_in_bounded_time() {
    let lab = files(ZONE);
    lab.write("zones/second.example.zone", &ZONE.replace("mail.example", "second.example"));
    let good = lab.start();
    let other = Lab::new();
    other.write("zones/other.example.zone", &ZONE.replace("mail.example", "other.example"));
    let lame = other.start();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().map(|address| (silent, address)).unwrap();
    let refusing = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let started = Instant::now();
    let said = found(&lab, &[good.address, lame.address, silent.1, refusing]);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    for line in [
        format!("{} is lame for mail.example.: it answers REFUSED", lame.address),
        format!("{} is lame for second.example.: it answers REFUSED", lame.address),
        format!("{} doesn't answer", silent.1),
        format!("{refusing} refuses connections"),
    ] {
        assert!(said.contains(&line), "{line:?} isn't in\n{said}");
    }
    assert!(said.contains(&format!("{lame}: no use", lame = lame.address)), "{said}");
}

#[test]
fn manners_of_edns_and_client_subnets_are_judged() {
    let lab = files(ZONE);
    let server = lab.start();
    let upstream = server.address;
    let nsd =
        nsd(&lab, &[ZoneFile { zone: "mail.example".to_owned(), file: lab.path("zones/mail.example.zone") }]);
    let global = Liar::start(upstream, |_, answer| scope(answer, 0));
    let narrow = Liar::start(upstream, |_, answer| scope(answer, 24));
    let altered = Liar::start(upstream, |_, answer| {
        let Some(edns) = answer.edns.as_mut() else { return };
        if let Some(EdnsOption::Subnet(subnet)) = edns.option(EdnsCode::Subnet) {
            let mut subnet = *subnet;
            subnet.set_source_prefix(16);
            edns.options_mut().remove(EdnsCode::Subnet);
            edns.options_mut().insert(EdnsOption::Subnet(subnet));
        }
    });
    let versionless = Liar::start(upstream, |query, _| {
        query.edns.as_mut().map(|edns| edns.set_version(0));
    });
    let plain = Liar::start(upstream, |query, answer| {
        query.edns = None;
        answer.edns = None;
    });
    let recursive = Liar::start(upstream, |_, answer| answer.metadata.recursion_available = true);
    let weak = Liar::start(upstream, |_, answer| answer.metadata.authoritative = false);
    let elsewhere = Liar::start(upstream, |_, answer| {
        for record in &mut answer.answers {
            if let RData::A(_) = record.data {
                record.data = RData::A(A::new(127, 0, 1, 20));
            }
        }
    });
    let empty = Liar::start(upstream, |_, answer| {
        answer.answers.retain(|record| !matches!(record.data, RData::A(_)))
    });
    let expected = [
        (nsd.address, "ignores client subnets"),
        (global.address, "with scope 0, the files here with"),
        (narrow.address, "resolvers keep more copies than needed"),
        (altered.address, "/16, asked for"),
        (versionless.address, "answers NOERROR to EDNS version 1, not BADVERS"),
        (plain.address, "doesn't speak EDNS"),
        (recursive.address, "offers recursion"),
        (weak.address, "answers without authority (no AA)"),
        (elsewhere.address, "servers differ about webmail.mail.example. A for"),
        (empty.address, "has no webmail.mail.example. A for"),
        (empty.address, "refuses connections over TCP"),
    ];
    let mut servers: Vec<SocketAddr> = expected.iter().map(|(address, _)| *address).collect();
    servers.push(upstream);
    servers.dedup();
    let said = found(&lab, &servers);
    for (address, line) in expected {
        let named = said.lines().any(|found| found.contains(line) && found.contains(&address.to_string()));
        assert!(named, "{address}: {line:?} isn't in\n{said}");
    }
    assert!(!said.contains(&format!(": {upstream} ")), "the good server is blamed\n{said}");
}
