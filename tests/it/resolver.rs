//! A real resolver in front: unbound with client subnet, as public resolvers have it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::failover::{mail_lab, wait_until_all_up};
use crate::lab::{Ask, Lab, MY, TW, VN, free_port, output, wait_for};

/// The running resolver.
pub struct Unbound {
    child: Child,
    pub address: SocketAddr,
    log: PathBuf,
}

/// What a resolver resolves, and how.
pub struct Setup<'a> {
    /// Zones, and the servers of each.
    pub stubs: &'a [(&'a str, &'a [SocketAddr])],
    /// Modules, and what else is said of the server.
    pub settings: &'a str,
    /// A name that is answered with NOERROR as soon as it runs.
    pub ready: &'a str,
}

/// Sends subnets on, and tries the spelling and the cutting of names.
const PLAIN: &str = r#"
    module-config: "subnetcache iterator"
    domain-insecure: "example"
    qname-minimisation: yes
    use-caps-for-id: yes
"#;

/// Checks signatures; keeps what is bogus for no moment.
pub const VALIDATING: &str = r#"
    module-config: "subnetcache validator iterator"
    val-log-level: 2
    val-bogus-ttl: 0
"#;

impl Unbound {
    /// Resolves what it is told to; sends the servers the subnets that clients claim.
    pub fn start(lab: &Lab, setup: &Setup<'_>) -> Unbound {
        let port = free_port(&["127.0.0.1"]);
        let directory = lab.directory.path().display();
        let settings = setup.settings;
        let server_ip = setup.stubs[0].1[0].ip();
        let mut config = format!(
            r#"
server:
    directory: "{directory}"
    chroot: ""
    username: ""
    pidfile: "{directory}/unbound.pid"
    use-syslog: no
    verbosity: 1
    interface: 127.0.0.1
    port: {port}
    do-not-query-localhost: no
    send-client-subnet: {server_ip}
    client-subnet-always-forward: yes
    max-client-subnet-ipv4: 24
    local-zone: "example." nodefault
{settings}
remote-control:
    control-enable: no
"#
        );
        for (zone, servers) in setup.stubs {
            config += &format!("stub-zone:\n    name: \"{zone}\"\n");
            for server in *servers {
                config += &format!("    stub-addr: {}@{}\n", server.ip(), server.port());
            }
        }
        let path = lab.path("unbound.conf");
        fs::write(&path, config).unwrap();
        let log = lab.path("unbound.log");
        let child = Command::new("/usr/sbin/unbound")
            .args(["-d", "-c"])
            .arg(&path)
            .stderr(Stdio::from(fs::File::create(&log).unwrap()))
            .spawn()
            .expect("unbound, which ./test installs");
        let unbound = Unbound { child, address: SocketAddr::from(([127, 0, 0, 1], port)), log };
        wait_for("unbound answers", Duration::from_secs(10), || {
            let answer = Ask::new(setup.ready, "SOA").try_to(unbound.address).ok()?;
            (answer.rcode() == "NoError").then_some(())
        });
        unbound
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Lines that make the keys which a server has now a zone's trust anchors.
pub fn anchors(server: SocketAddr, zone: &str) -> String {
    let keys = dig(server, &["+short", zone, "DNSKEY"]);
    assert!(!keys.trim().is_empty(), "{zone} has no DNSKEY");
    keys.lines().map(|key| format!("    trust-anchor: \"{zone} DNSKEY {key}\"\n")).collect()
}

/// What `dig` says.
pub fn dig(server: SocketAddr, arguments: &[&str]) -> String {
    let mut dig = Command::new("dig");
    dig.args([&format!("@{}", server.ip()), "-p", &server.port().to_string(), "+tries=2"]).args(arguments);
    // A resolver that doesn't listen yet is no failure of dig's.
    String::from_utf8_lossy(&output(&mut dig).stdout).into_owned()
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn each_region_through_a_resolver_and_its_cache() {
    let (lab, mut sites) = mail_lab("500ms");
    let server = lab.start();
    wait_until_all_up(&server);
    let stubs: &[(&str, &[SocketAddr])] = &[("mail.example", &[server.address])];
    let unbound = Unbound::start(&lab, &Setup { stubs, settings: PLAIN, ready: "mail.example." });
    let through = |network| Ask::new("webmail.mail.example.", "A").subnet(network).to(unbound.address).data();
    for round in 0..3 {
        for (network, address) in [(TW, "127.0.1.10"), (MY, "127.0.1.20"), (VN, "127.0.1.30")] {
            assert_eq!(through(network), [address], "round {round}: the cache mixes regions up");
        }
    }
    // A negative answer about a routed name must not blind anybody (RFC 7871 7.4).
    let negative = Ask::new("webmail.mail.example.", "AAAA").subnet(TW).to(unbound.address);
    assert!(negative.data().is_empty());
    assert_eq!(through(VN), ["127.0.1.30"]);
    for (name, rtype, count) in [
        ("mail.example.", "MX", 3),
        ("mail.example.", "NS", 1),
        ("none.mail.example.", "A", 0),
        ("mx-tw.mail.example.", "A", 1),
    ] {
        let answer = Ask::new(name, rtype).to(unbound.address);
        assert_eq!(answer.data().len(), count, "{name} {rtype}");
    }
    // Failover as a client behind a resolver sees it: detection, then the TTL in the cache.
    sites.web[0].down();
    let limit = Duration::from_secs(1 + 1 + 20 + 1);
    wait_for("a TW client is sent elsewhere through the cache", limit, || {
        (through(TW) == ["127.0.1.20"]).then_some(())
    });
    server.stop();
}
