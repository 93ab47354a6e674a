//! What a client sees: sockets, sizes, negative answers, wildcards, delegations, chains, ECS.

use std::process::Command;

use crate::failover::{mail_lab, wait_until_all_up};
use crate::lab::{Ask, Lab, MY, TW, stdout};

const ZONE: &str = r#"
$ORIGIN plain.example.
$TTL 300
@           SOA   ns1 hostmaster 7 3600 600 86400 60
@           NS    ns1
ns1         A     192.0.2.53
www         A     192.0.2.1
www         AAAA  2001:db8::1
alias       CNAME www
alias2      CNAME alias
away        CNAME www.elsewhere.example.
loop        CNAME pool
pool        CNAME loop
*.wild      TXT   "any"
a.b.ent     TXT   "below"
sub         NS    ns.sub
sub         NS    ns1
sub         DS    1 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.sub      A     192.0.2.54
old         DNAME new.plain.example.
x.new       A     192.0.2.77
"#;

fn big() -> String {
    (0..120).map(|n| format!("big TXT \"{n:04} {}\"\n", "x".repeat(200))).collect()
}

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("zones/plain.example.zone", &format!("{ZONE}{}", big()));
    lab
}

#[test]
fn answers_of_every_kind() {
    let lab = lab();
    let server = lab.start();
    let ask = |name: &str, rtype| server.ask(name, rtype);

    let www = ask("www.plain.example.", "A");
    assert!(www.message.metadata.authoritative && !www.message.metadata.recursion_available);
    assert_eq!(www.data(), ["192.0.2.1"]);

    // RFC 2308: the SOA, with the lesser of TTL and MINIMUM.
    for (name, rcode) in [
        ("www.plain.example.", "NoError"),
        ("none.plain.example.", "NXDomain"),
        ("ent.plain.example.", "NoError"),
        ("b.ent.plain.example.", "NoError"),
        ("wild.plain.example.", "NoError"),
    ] {
        let answer = ask(name, "MX");
        assert_eq!((answer.rcode().as_str(), answer.data().len()), (rcode, 0), "{name}");
        let soa = &answer.message.authorities[0];
        assert_eq!((soa.name.to_string().as_str(), soa.ttl), ("plain.example.", 60), "{name}");
    }

    let wild = ask("x.y.wild.plain.example.", "TXT");
    assert_eq!(wild.message.answers[0].name.to_string(), "x.y.wild.plain.example.");
    assert_eq!(wild.data(), ["any"]);

    let referral = ask("www.sub.plain.example.", "A");
    assert!(!referral.message.metadata.authoritative && referral.data().is_empty());
    assert_eq!(referral.message.authorities.len(), 2);
    assert_eq!(referral.message.additionals.len(), 2, "glue of both servers");
    let ds = ask("sub.plain.example.", "DS");
    assert!(ds.message.metadata.authoritative);
    assert_eq!(ds.message.answers.len(), 1);

    assert_eq!(ask("alias2.plain.example.", "A").message.answers.len(), 3);
    let missing = ask("alias.plain.example.", "MX");
    assert_eq!((missing.message.answers.len(), missing.message.authorities.len()), (1, 1));
    assert_eq!(ask("away.plain.example.", "A").data(), ["www.elsewhere.example."]);
    assert_eq!(ask("loop.plain.example.", "A").message.answers.len(), 2, "each once");

    let moved = ask("x.old.plain.example.", "A");
    assert_eq!(moved.message.answers.len(), 3, "DNAME, CNAME, A: {moved:?}");
    assert_eq!(moved.message.answers[2].name.to_string(), "x.new.plain.example.");

    assert_eq!(ask("www.elsewhere.example.", "A").rcode(), "Refused");
    assert_eq!(ask("www.plain.example.", "AXFR").rcode(), "Refused");
    assert_eq!(ask("www.plain.example.", "ANY").data().len(), 1, "RFC 8482");
    server.stop();
}

#[test]
fn long_answers_are_truncated_and_come_whole_over_tcp() {
    let lab = lab();
    let server = lab.start();
    for payload in [None, Some(512), Some(1232), Some(4096)] {
        let answer = Ask::new("big.plain.example.", "TXT").payload(payload).to(server.address);
        assert!(answer.message.metadata.truncation && answer.message.answers.is_empty());
        let limit = usize::from(payload.unwrap_or(512)).min(1232);
        assert!(answer.octets <= limit, "{} over {limit}", answer.octets);
    }
    let whole = Ask::new("big.plain.example.", "TXT").tcp().to(server.address);
    assert!(!whole.message.metadata.truncation);
    assert_eq!(whole.message.answers.len(), 120);
    server.stop();
}

#[test]
fn client_subnet_of_rfc_7871() {
    let (lab, _sites) = mail_lab("1s");
    let server = lab.start();
    wait_until_all_up(&server);
    let routed = server.ask_from("webmail.mail.example.", "A", TW);
    let scope = routed.scope().unwrap();
    assert!((1..=24).contains(&scope), "{scope}");
    // Not routed, negative, or about servers: the answer holds for all.
    for (name, rtype) in [
        ("ns1.mail.example.", "A"),
        ("mail.example.", "NS"),
        ("webmail.mail.example.", "TXT"),
        ("none.mail.example.", "A"),
    ] {
        assert_eq!(server.ask_from(name, rtype, TW).scope(), Some(0), "{name} {rtype}");
    }
    // A prefix of 0 and private networks say nothing; the source address does.
    for network in ["0.0.0.0/0", "10.1.2.0/24", "fd00::/48"] {
        let answer =
            Ask::new("webmail.mail.example.", "A").subnet(network).from("127.0.0.4").to(server.address);
        assert_eq!((answer.data(), answer.scope()), (vec!["127.0.1.30".to_owned()], Some(0)), "{network}");
    }
    let without = Ask::new("webmail.mail.example.", "A").from("127.0.0.3").to(server.address);
    assert_eq!((without.data(), without.scope()), (vec!["127.0.1.20".to_owned()], None));
    // The same types everywhere: no target has IPv6, so nobody gets any.
    for network in [TW, MY] {
        assert_eq!(server.ask_from("webmail.mail.example.", "AAAA", network).rcode(), "NoError");
    }
    server.stop();
}

#[test]
fn dig_and_kdig_are_content() {
    let lab = lab();
    let server = lab.start();
    let at = format!("@{}", server.address.ip());
    let port = server.address.port().to_string();
    for tcp in ["+notcp", "+tcp"] {
        let dig = stdout(Command::new("dig").args([
            &at,
            "-p",
            &port,
            tcp,
            "+norecurse",
            "+nocookie",
            "www.plain.example",
            "AAAA",
        ]));
        assert!(dig.contains("2001:db8::1") && dig.contains("flags: qr aa"), "{dig}");
        assert!(!dig.to_lowercase().contains("warning") && !dig.contains(";; Got bad"), "{dig}");
        let kdig = stdout(Command::new("kdig").args([&at, "-p", &port, tcp, "www.plain.example", "AAAA"]));
        assert!(kdig.contains("2001:db8::1") && !kdig.contains("WARNING"), "{kdig}");
    }
    let nsid = stdout(Command::new("dig").args([&at, "-p", &port, "+nsid", "www.plain.example"]));
    assert!(nsid.contains("ns1.example.com"), "{nsid}");
    // dig checks that its own cookie comes back with ours.
    let known = ["+tcp", "+keepalive", "+cookie", "www.plain.example"];
    let known = stdout(Command::new("dig").args([&at, "-p", &port]).args(known));
    assert!(known.contains("(good)") && known.contains("TCP KEEPALIVE: 10.0 secs"), "{known}");
    server.stop();
}

#[test]
fn inspection_is_for_those_allowed() {
    let lab = lab();
    let config = std::fs::read_to_string(lab.path("waypost.toml")).unwrap();
    lab.write("waypost.toml", &config.replace("inspect = [\"127.0.0.0/8\"]", "inspect = [\"127.0.0.1/32\"]"));
    let server = lab.start();
    assert!(server.inspect("version.bind", None)[0].starts_with("waypost "));
    assert_eq!(server.inspect("id.server", None), ["ns1.example.com"]);
    let zones = server.inspect("zones.waypost", None).join("\n");
    assert!(zones.contains("plain.example. serial 7"), "{zones}");
    let at = format!("@{}", server.address.ip());
    let port = server.address.port().to_string();
    let from = ["-b", "127.0.0.9", &at, "-p", &port, "CH", "TXT", "version.bind"];
    let refused = stdout(Command::new("dig").args(from));
    assert!(refused.contains("REFUSED"), "{refused}");
    server.stop();
}

#[test]
fn both_families_by_both_transports() {
    let lab = Lab::new();
    let routes = r#"
[targets.both]
ipv4 = "192.0.2.1"
ipv6 = "2001:db8::1"
[targets.old]
ipv4 = "192.0.2.2"
[routes.host]
type = "address"
tw = ["old", "both"]
default = ["both", "old"]
"#;
    lab.write("zones/plain.example.zone", ZONE);
    lab.write("zones/plain.example.toml", routes);
    let config = std::fs::read_to_string(lab.path("waypost.toml")).unwrap();
    lab.write("waypost.toml", &config.replace("[\"127.0.0.1:0\"]", "[\"[::1]:0\"]"));
    let server = lab.start();
    assert!(server.address.is_ipv6());
    for ask in
        [Ask::new("host.plain.example.", "AAAA").from("::1"), Ask::new("host.plain.example.", "AAAA").tcp()]
    {
        assert_eq!(ask.to(server.address).data(), ["2001:db8::1"]);
    }
    // The first of Taiwan's chain has no IPv6: its clients get the next one's, not NODATA.
    let from_tw = |rtype| Ask::new("host.plain.example.", rtype).from("::1").subnet(TW).to(server.address);
    assert_eq!(from_tw("A").data(), ["192.0.2.2"]);
    assert_eq!(from_tw("AAAA").data(), ["2001:db8::1"]);
    // A real IPv6 network of Taiwan places its clients too.
    let by_ipv6 =
        Ask::new("host.plain.example.", "A").from("::1").subnet("2001:b011::/48").to(server.address);
    assert_eq!(by_ipv6.data(), ["192.0.2.2"]);
    assert!((1..=48).contains(&by_ipv6.scope().unwrap()));
    server.stop();
}
