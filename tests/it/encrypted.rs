//! DNS over TLS and over QUIC, as clients of others' make see it: kdig, unbound, and what a client
//! of our own can get wrong.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::lab::{Ask, Lab, Server, free_port, output, stdout, wait_for, waypost};
use crate::namespace::Daemon;

pub const ZONE: &str = "\
$TTL 300
@ SOA ns hostmaster 7 3600 600 86400 60
@ NS ns
ns A 192.0.2.53
www A 192.0.2.1
strange TYPE65280 \\# 3 abcdef
";

/// A server of `plain.example` with this behind `[tls]`.
pub fn lab(tls: &str) -> Lab {
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

fn kdig(server: SocketAddr, arguments: &[&str]) -> String {
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
