//! A real resolver in front: unbound with client subnet, as public resolvers have it.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::failover::{mail_lab, wait_until_all_up};
use crate::lab::{Ask, Lab, MY, TW, VN, free_port, wait_for};

struct Unbound {
    child: Child,
    address: SocketAddr,
}

impl Unbound {
    /// Resolves `mail.example` at `server`; sends it the subnets that clients claim.
    fn start(lab: &Lab, server: SocketAddr) -> Unbound {
        let port = free_port(&["127.0.0.1"]);
        let directory = lab.directory.path().display();
        let config = format!(
            r#"
server:
    directory: "{directory}"
    chroot: ""
    username: ""
    pidfile: "{directory}/unbound.pid"
    use-syslog: no
    interface: 127.0.0.1
    port: {port}
    do-not-query-localhost: no
    module-config: "subnetcache iterator"
    send-client-subnet: {server_ip}
    client-subnet-always-forward: yes
    max-client-subnet-ipv4: 24
    local-zone: "example." nodefault
    domain-insecure: "example"
    qname-minimisation: yes
    use-caps-for-id: yes
stub-zone:
    name: "mail.example"
    stub-addr: {server_ip}@{server_port}
remote-control:
    control-enable: no
"#,
            server_ip = server.ip(),
            server_port = server.port(),
        );
        let path = lab.path("unbound.conf");
        fs::write(&path, config).unwrap();
        let child = Command::new("/usr/sbin/unbound")
            .args(["-d", "-c"])
            .arg(&path)
            .stderr(Stdio::null())
            .spawn()
            .expect("unbound, which ./test installs");
        let unbound = Unbound { child, address: SocketAddr::from(([127, 0, 0, 1], port)) };
        wait_for("unbound answers", Duration::from_secs(10), || {
            let answer = Ask::new("ns1.mail.example.", "A").try_to(unbound.address).ok()?;
            (answer.data() == ["127.0.0.1"]).then_some(())
        });
        unbound
    }
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
    let unbound = Unbound::start(&lab, server.address);
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
