//! A target that is the host name of somebody else's load balancer.

use std::fs;
use std::time::Duration;

use crate::lab::{Lab, Server, free_port, stdout, wait_for, waypost};
use crate::site::{Kind, Service};

/// The provider's nameserver, which the steering server asks as its resolver.
fn provider(addresses: &str) -> (Lab, Server) {
    let lab = Lab::new();
    lab.write("zones/provider.example.zone", &provider_zone(1, addresses));
    let server = lab.start();
    (lab, server)
}

fn provider_zone(serial: u32, addresses: &str) -> String {
    let records: String = addresses.split(' ').map(|address| format!("lb 1 A {address}\n")).collect();
    format!(
        "$TTL 1\n@ SOA ns1 hostmaster {serial} 3600 600 86400 1\n@ NS ns1\nns1 A 127.0.0.1\n\
         www CNAME lb\n{records}"
    )
}

/// A zone that is steered to the provider's addresses, or else to a site of its own.
fn steering(resolver: &Server, port: u16) -> Lab {
    let lab = Lab::new();
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    lab.write("waypost.toml", &format!("{config}\n[resolver]\nservers = [\"{}\"]\n", resolver.address));
    let zone = "$TTL 300\n@ SOA ns1 hostmaster 1 3600 600 86400 60\n@ NS ns1\nns1 A 127.0.0.1\n";
    lab.write("zones/mail.example.zone", zone);
    lab.write(
        "zones/mail.example.toml",
        &format!(
            r#"
[probes.web]
type = "http"
host = "webmail.mail.example"
port = {port}
interval = "300ms"
timeout = "200ms"
hold = "1s"

[targets.lb]
address_of = "www.provider.example"
probes = ["web"]

[targets.own]
ipv4 = "127.0.1.20"
probes = ["web"]

[routes.webmail]
type = "address"
default = ["lb", "own"]
"#
        ),
    );
    lab
}

fn wait_until_answered(server: &Server, expected: &[&str]) {
    wait_for(&format!("{expected:?} is answered"), Duration::from_secs(15), || {
        let data = server.ask("webmail.mail.example.", "A").data();
        // Whatever moves, nobody is left without an answer.
        assert!(!data.is_empty());
        (data == expected).then_some(())
    });
}

#[test]
fn a_name_is_followed_probed_and_kept() {
    const ADDRESSES: [&str; 4] = ["127.0.1.10", "127.0.1.11", "127.0.1.12", "127.0.1.20"];
    let port = free_port(&ADDRESSES);
    let mut sites = ADDRESSES.map(|address| Service::start(Kind::Http, address, port));
    let (upstream, resolver) = provider("127.0.1.10 127.0.1.11");
    let lab = steering(&resolver, port);
    let server = lab.start();
    // Over the provider's alias, all addresses together.
    wait_until_answered(&server, &["127.0.1.10", "127.0.1.11"]);
    let health = server.inspect("lb.health.waypost", None);
    assert_eq!(health.len(), 2, "{health:?}");

    // Each address is judged for itself.
    sites[0].down();
    wait_until_answered(&server, &["127.0.1.11"]);
    let why = server.inspect("webmail.mail.example.why.waypost", None).join("\n");
    assert!(why.contains("lb@127.0.1.10 passed over: DOWN"), "{why}");

    // The provider moves: known without a change of files, by the name's TTL.
    upstream.write("zones/provider.example.zone", &provider_zone(2, "127.0.1.12"));
    wait_until_answered(&server, &["127.0.1.12"]);

    // Nobody resolves it any more, and nothing changes; also not over a restart.
    resolver.stop();
    wait_for("the log says so", Duration::from_secs(30), || {
        server.log().contains("www.provider.example. doesn't resolve").then_some(())
    });
    assert_eq!(server.ask("webmail.mail.example.", "A").data(), ["127.0.1.12"]);
    let events = server.inspect("events.waypost", None).join("\n");
    assert!(
        events.contains("www.provider.example. is 127.0.1.12 now, was 127.0.1.10 127.0.1.11"),
        "{events}"
    );
    server.stop();
    let server = lab.start();
    assert_eq!(server.ask("webmail.mail.example.", "A").data(), ["127.0.1.12"]);
    sites[2].down();
    wait_until_answered(&server, &["127.0.1.20"]);
    server.stop();
}

#[test]
fn until_a_name_is_resolved_the_next_tier_answers() {
    let port = free_port(&["127.0.1.20"]);
    let _own = Service::start(Kind::Http, "127.0.1.20", port);
    let (_upstream, resolver) = provider("127.0.1.13");
    let lab = steering(&resolver, port);
    // What files alone are asked resolves names as well.
    let mut explain = waypost();
    explain.current_dir(lab.directory.path());
    let said = stdout(explain.args(["explain", "webmail.mail.example", "A", "--from", "192.0.2.1"]));
    assert!(said.contains("127.0.1.13"), "{said}");
    resolver.kill();
    let server = lab.start();
    assert_eq!(server.ask("webmail.mail.example.", "A").data(), ["127.0.1.20"]);
    assert!(server.ask("webmail.mail.example.", "AAAA").data().is_empty());
    let health = server.inspect("lb.health.waypost", None);
    assert_eq!(health, ["lb not resolved yet: www.provider.example."]);
    wait_for("the log says so", Duration::from_secs(30), || {
        server.log().contains("www.provider.example. doesn't resolve").then_some(())
    });
    server.stop();
}
