//! DNS over TLS and over QUIC, as clients of others' make see it: kdig, unbound, and what a client
//! of our own can get wrong.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::encrypted_client::{self as client, Quic, exchange};
use crate::lab::{Ask, Lab, Server, free_port, output, stdout, wait_for, waypost};
use crate::namespace::Daemon;

const ZONE: &str = "\
$TTL 300
@ SOA ns hostmaster 7 3600 600 86400 60
@ NS ns
ns A 192.0.2.53
www A 192.0.2.1
strange TYPE65280 \\# 3 abcdef
";

/// A server of `plain.example` with this behind `[tls]`.
fn lab(tls: &str) -> Lab {
    let lab = Lab::new();
    lab.write("zones/plain.example.zone", ZONE);
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    lab.write("waypost.toml", &format!("{config}\n[tls]\n{tls}\n"));
    lab
}

/// Where a running server listens for `tls` or `quic`.
pub fn address(server: &Server, protocol: &str) -> SocketAddr {
    wait_for("it answers encrypted", Duration::from_secs(10), || {
        let log = server.log();
        let line = log.lines().find(|line| line.contains("\"answering encrypted\""))?;
        let record: serde_json::Value = serde_json::from_str(line).ok()?;
        record[protocol].as_str()?.parse().ok()
    })
}

pub fn kdig(server: SocketAddr, arguments: &[&str]) -> String {
    let (host, port) = (format!("@{}", server.ip()), server.port().to_string());
    let mut kdig = Command::new("kdig");
    kdig.args([&host, "-p", &port, "+time=5", "+retry=0"]).args(arguments);
    stdout(&mut kdig)
}

/// Octets that kdig received.
fn received(said: &str) -> usize {
    let line = said.lines().find(|line| line.starts_with(";; Received")).expect("an answer");
    line.split(' ').nth(2).unwrap().parse().unwrap()
}

#[test]
fn kdig_gets_padded_answers_over_tls_and_quic() {
    let lab = lab("listen = \"127.0.0.1:0\"\nquic = \"127.0.0.1:0\"");
    let server = lab.start();
    for (protocol, option) in [("tls", "+tls"), ("quic", "+quic")] {
        let address = address(&server, protocol);
        let said = kdig(address, &[option, "+padding", "www.plain.example", "A"]);
        assert!(said.contains("192.0.2.1"), "{said}");
        assert!(said.contains("PADDING"), "{said}");
        assert_eq!(received(&said), 468, "{said}");
        let plain = kdig(address, &[option, "+nopadding", "+edns", "www.plain.example", "A"]);
        assert!(!plain.contains("PADDING") && received(&plain) < 100, "{plain}");
        let strange = kdig(address, &[option, "+short", "strange.plain.example", "TYPE65280"]);
        assert_eq!(strange.trim(), "\\# 3 ABCDEF");
    }
    // RFC 7830 6: never where it hides nothing.
    for options in [&["+padding", "+notcp"][..], &["+padding", "+tcp"]] {
        let said = kdig(server.address, &[options, &["www.plain.example", "A"]].concat());
        assert!(received(&said) < 100 && said.contains("192.0.2.1"), "{said}");
    }
    server.stop();
}

#[test]
fn the_own_certificate_is_the_same_after_a_restart() {
    use std::os::unix::fs::PermissionsExt;
    let lab = lab("listen = \"127.0.0.1:0\"");
    let server = lab.start();
    kdig(address(&server, "tls"), &["+tls", "www.plain.example"]);
    let kept = fs::read(lab.path("state/tls.pem")).unwrap();
    assert_eq!(fs::metadata(lab.path("state/tls.pem")).unwrap().permissions().mode() & 0o777, 0o600);
    server.stop();
    let server = lab.start();
    kdig(address(&server, "tls"), &["+tls", "www.plain.example"]);
    assert_eq!(fs::read(lab.path("state/tls.pem")).unwrap(), kept);
    server.stop();
}

#[test]
fn without_the_section_nothing_listens() {
    let lab = Lab::new();
    lab.write("zones/plain.example.zone", ZONE);
    let server = lab.start();
    server.ask("www.plain.example.", "A");
    assert!(!server.log().contains("answering encrypted"));
    assert!(!lab.path("state/tls.pem").exists());
    server.stop();
}

#[test]
fn a_bad_certificate_is_told_before_and_at_the_start() {
    let lab = lab("listen = \"127.0.0.1:0\"\ncertificate = \"c.pem\"\nkey = \"k.pem\"");
    lab.write("c.pem", "nothing");
    lab.write("k.pem", "nothing");
    for command in ["check", "run"] {
        let output = output(waypost().arg(command).current_dir(lab.directory.path()));
        assert!(!output.status.success(), "{command}");
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("c.pem: error: this is no certificate: it has none in PEM"), "{said}");
    }
}

#[test]
fn unbound_resolves_through_tls() {
    let lab = lab("listen = \"127.0.0.1:0\"");
    let server = lab.start();
    let upstream = address(&server, "tls");
    let port = free_port(&["127.0.0.1"]);
    let directory = lab.directory.path().display();
    let config = format!(
        "server:\n directory: \"{directory}\"\n chroot: \"\"\n username: \"\"\n \
         pidfile: \"{directory}/unbound.pid\"\n use-syslog: no\n interface: 127.0.0.1\n port: {port}\n \
         do-not-query-localhost: no\n module-config: \"iterator\"\n local-zone: \"example.\" nodefault\n\
         stub-zone:\n name: \"plain.example\"\n stub-addr: {}@{}\n stub-tls-upstream: yes\n\
         remote-control:\n control-enable: no\n",
        upstream.ip(),
        upstream.port()
    );
    fs::write(lab.path("unbound.conf"), config).unwrap();
    let mut unbound = Command::new("/usr/sbin/unbound");
    unbound.args(["-d", "-c"]).arg(lab.path("unbound.conf"));
    let _unbound = Daemon::start(unbound);
    let resolver = SocketAddr::from(([127, 0, 0, 1], port));
    let answer = wait_for("unbound answers", Duration::from_secs(15), || {
        Ask::new("www.plain.example.", "A").try_to(resolver).ok()
    });
    assert_eq!(answer.data(), ["192.0.2.1"]);
    server.stop();
}

/// A query for the zone's SOA, behind its length.
fn query() -> Vec<u8> {
    let question = b"\x05plain\x07example\0\0\x06\0\x01";
    let message = [&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], question].concat();
    [&(message.len() as u16).to_be_bytes()[..], &message].concat()
}

#[test]
fn silent_connections_are_closed_however_alive_they_are() {
    let lab = lab("listen = \"127.0.0.1:0\"\nquic = \"127.0.0.1:0\"\nidle = \"700ms\"");
    let server = lab.start();
    let mut stream = client::tls(address(&server, "tls"));
    let quic = Quic::new();
    let connection = quic.connect(address(&server, "quic")).unwrap();
    assert!(exchange(&mut stream, &query()).is_ok());
    assert!(connection.exchange(&query()).is_some());
    let begin = Instant::now();
    assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0);
    assert!(begin.elapsed() >= Duration::from_millis(600), "{:?}", begin.elapsed());
    // Its packets say every 100 ms that it is there.
    assert_eq!(connection.closed(), 0);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    server.stop();
}

#[test]
fn a_client_has_so_many_encrypted_connections_and_no_more() {
    let lab = lab("listen = \"127.0.0.1:0\"\nquic = \"127.0.0.1:0\"\nconnections_per_client = 2");
    let server = lab.start();
    let (tls, quic) = (address(&server, "tls"), address(&server, "quic"));
    let mut first = client::tls(tls);
    let client = Quic::new();
    // Half of its places are taken: it is asked to prove its address (RFC 9000 8.1.2), and does.
    let second = client.connect(quic).unwrap();
    assert!(second.exchange(&query()).is_some());
    assert!(client::try_tls(tls, &["dot"]).is_err());
    assert!(client.connect(quic).is_err());
    // Those inside aren't disturbed, and their places are given on.
    assert!(exchange(&mut first, &query()).is_ok());
    drop(first);
    wait_for("a place", Duration::from_secs(10), || client::try_tls(tls, &["dot"]).ok());
    server.stop();
}

#[test]
fn a_changed_certificate_is_taken_and_a_bad_one_is_not() {
    let pair = || {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["ns1.example.com".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem(), certificate.der().clone())
    };
    let lab = lab("listen = \"127.0.0.1:0\"\ncertificate = \"c.pem\"\nkey = \"k.pem\"");
    let (certificate, key, first) = pair();
    lab.write("c.pem", &certificate);
    lab.write("k.pem", &key);
    let server = lab.start();
    let tls = address(&server, "tls");
    let shown = || client::tls(tls).conn.peer_certificates().unwrap()[0].clone();
    let mut open = client::tls(tls);
    assert_eq!(shown(), first);
    let (certificate, key, second) = pair();
    lab.write("c.pem", &certificate);
    server.wait_for_log("k.pem: error: this isn't the key of the certificate in ");
    assert_eq!(shown(), first);
    lab.write("k.pem", &key);
    wait_for("the new certificate", Duration::from_secs(10), || (shown() == second).then_some(()));
    // Connections go on.
    assert!(exchange(&mut open, &query()).is_ok());
    server.stop();
}
