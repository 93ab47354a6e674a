//! Every owner with every type, from every region and in every state of health, through a resolver
//! that validates: all is secure, and no denial for one region blinds another.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use crate::failover::{Sites, ZONE, routes, wait_until_all_up, wait_until_sent_to};
use crate::lab::{Ask, Lab, MY, Server, TW, VN, free_port, stdout, wait_for};
use crate::signed::Unbound;
use crate::site::{Kind, Service};

/// The zone's forms, and routes beside those of the mail sites: shares, sticky and not.
const MORE: &str = include_str!("differential/signed.zone");
const SHARES: &str = r#"
[routes.shares]
type = "address"
tw = [[{ target = "web-tw", weight = 3 }, { target = "web-my", weight = 1 }]]
default = [[{ target = "web-my", weight = 1 }, { target = "web-vn", weight = 1 }]]
[routes.chance]
type = "address"
sticky = false
default = [[{ target = "web-tw", weight = 1 }, { target = "web-my", weight = 1 }], "web-vn"]
"#;

/// Hardened, with a cache that makes denials out of NSEC (RFC 8198).
const HARD: &str = "    aggressive-nsec: yes
    harden-below-nxdomain: yes
    harden-dnssec-stripped: yes
    harden-algo-downgrade: yes
    harden-glue: yes
    qname-minimisation: yes
    use-caps-for-id: yes
";

/// Hardened, and keeping nothing.
const FRESH: &str = "    cache-max-ttl: 0
    cache-max-negative-ttl: 0
    val-bogus-ttl: 0
    harden-below-nxdomain: yes
    harden-dnssec-stripped: yes
    harden-algo-downgrade: yes
";

const TYPES: [&str; 12] =
    ["A", "AAAA", "MX", "TXT", "CNAME", "DNAME", "NS", "DS", "SOA", "DNSKEY", "SRV", "TYPE65280"];

/// Names whose answers lie elsewhere, or below a zone that nobody serves.
const ELSEWHERE: [&str; 7] = ["out", "outside", "far", "secure", "insecure", "cut", "webmail-elsewhere"];

fn zone() -> (String, Vec<String>) {
    let is_more = |line: &&str| {
        !(line.starts_with(['@', ';', '$']) || line.starts_with("ns ") || line.starts_with("webmail "))
    };
    let more: Vec<&str> = MORE.lines().filter(is_more).collect();
    let mut zone =
        ZONE.to_owned() + "mx A 192.0.2.25\nns A 192.0.2.53\nshares A 127.0.1.10\nchance A 127.0.1.10\n";
    more.iter().filter(|line| !line.starts_with("mx ")).for_each(|line| zone += &format!("{line}\n"));
    let mut owners: BTreeSet<String> =
        ["", "webmail", "shares", "chance", "ns1", "none", "a.b.none", "*"].map(str::to_owned).into();
    for line in more {
        let mut at = line.split(' ').next().unwrap();
        loop {
            owners.insert(at.to_owned());
            owners.insert(format!("zz.{at}"));
            match at.split_once('.') {
                Some((_, above)) => at = above,
                None => break,
            }
        }
    }
    let is_here = |owner: &String| {
        let top = owner.rsplit('.').next().unwrap();
        !ELSEWHERE.contains(&top)
    };
    (zone, owners.into_iter().filter(is_here).collect())
}

fn sweep(unbound: &Unbound, owners: &[String], state: &str) -> usize {
    let mut bad = Vec::new();
    let mut asked = 0;
    for owner in owners {
        let name = format!("{owner}{}mail.example.", if owner.is_empty() { "" } else { "." });
        for rtype in TYPES {
            let rtype = if rtype == "TYPE65280" { "HINFO" } else { rtype };
            // Unbound takes no CNAME that a DNAME made where one is asked for; `delv` does.
            if owner.ends_with(".tree") && matches!(rtype, "CNAME" | "DNAME") {
                continue;
            }
            // The parent's, which nobody serves.
            if owner.is_empty() && rtype == "DS" {
                continue;
            }
            for network in [TW, MY, VN] {
                let answer = Ask::new(&name, rtype).dnssec_ok().subnet(network).to(unbound.address);
                asked += 1;
                let code = answer.rcode();
                if !answer.message.metadata.authentic_data || (code != "NoError" && code != "NXDomain") {
                    bad.push(format!("{name} {rtype} from {network}, {state}: {code}"));
                }
            }
        }
    }
    assert!(bad.is_empty(), "{} of {asked} aren't secure:\n{}", bad.len(), bad.join("\n"));
    asked
}

/// What BIND's validator says of some of them.
fn delv(lab: &Lab, server: &Server) {
    let port = server.address.port().to_string();
    let mut dig = Command::new("dig");
    let keys = stdout(dig.args(["@127.0.0.1", "-p", &port, "+short", "mail.example", "DNSKEY"]));
    let key: Vec<&str> = keys.lines().find(|key| key.starts_with("257 ")).unwrap().split(' ').collect();
    let anchor = format!("mail.example. static-key 257 3 {} \"{}\";", key[2], key[3..].concat());
    lab.write("anchor", &format!("trust-anchors {{ {anchor} }};\n"));
    for (name, rtype) in [
        ("webmail", "A"),
        ("webmail", "TXT"),
        ("shares", "A"),
        ("zz.wild", "A"),
        ("zz.wild", "MX"),
        ("zz.none", "A"),
        ("b.c.d", "A"),
        ("zz.tree", "A"),
        ("zz.tree", "CNAME"),
        ("zz.tree", "DNAME"),
        ("zz.alias", "A"),
        ("chain", "A"),
        ("nowhere", "A"),
        ("insecure", "DS"),
        ("secure", "DS"),
    ] {
        let mut delv = Command::new("delv");
        delv.args(["@127.0.0.1", "-p", &port, "+root=mail.example", "-a"]).arg(lab.path("anchor"));
        let said = stdout(delv.args([&format!("{name}.mail.example"), rtype]));
        assert!(said.contains("fully validated"), "{name} {rtype}: {said}");
    }
}

fn all_is_secure(denial: &str) {
    let (mut sites, web_port, mx_port) = Sites::start();
    let lab = Lab::new();
    let (zone, owners) = zone();
    lab.write("zones/mail.example.zone", &zone);
    let policy = format!("\n[dnssec]\nsign = true\ndenial = \"{denial}\"\n");
    lab.write("zones/mail.example.toml", &(routes(web_port, mx_port, "500ms") + SHARES + &policy));
    let server = lab.start();
    wait_until_all_up(&server);
    let fresh = Unbound::start_with(&lab, &server, FRESH);
    delv(&lab, &server);
    let mut asked = sweep(&fresh, &owners, "all well");
    for down in 0..3 {
        sites.web[down].down();
        sites.mx[down].down();
        std::thread::sleep(Duration::from_secs(3));
        asked += sweep(&fresh, &owners, &format!("{} of 3 dead", down + 1));
    }
    sites.web[1].up();
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_secs(20));
    drop(fresh);
    let hard = Unbound::start_with(&lab, &server, HARD);
    asked += sweep(&hard, &owners, "through a cache");
    asked += sweep(&hard, &owners, "from a cache");
    println!("{denial}: {asked} answers, all of them secure");
    server.stop();
}

#[test]
fn all_is_secure_with_names_in_order() {
    all_is_secure("nsec");
}

#[test]
fn all_is_secure_with_hashes_in_order() {
    all_is_secure("nsec3");
}

#[test]
fn a_sites_ipv6_loss_blinds_no_other_region_behind_an_aggressive_cache() {
    let port = free_port(&["127.0.1.10", "::1"]);
    let _web = Service::start(Kind::Http, "127.0.1.10", port);
    let mut web6 = Service::start(Kind::Http, "::1", port);
    let lab = Lab::new();
    lab.write("zones/mail.example.zone", ZONE);
    lab.write(
        "zones/mail.example.toml",
        &format!(
            r#"
[dnssec]
sign = true
[probes.web]
type = "http"
host = "webmail.mail.example"
port = {port}
interval = "500ms"
timeout = "400ms"
[targets.tw]
ipv4 = "127.0.1.10"
ipv6 = "::1"
probes = ["web"]
[targets.my]
ipv4 = "127.0.1.20"
ipv6 = "2001:db8::20"
[targets.old]
ipv4 = "127.0.1.30"
[routes.webmail]
type = "address"
tw = ["tw", "old", "my"]
default = ["my"]
"#
        ),
    );
    let server = lab.start();
    let unbound = Unbound::start_with(&lab, &server, HARD);
    let ask = |rtype, network| {
        let answer = Ask::new("webmail.mail.example.", rtype).dnssec_ok().subnet(network).to(unbound.address);
        assert!(answer.message.metadata.authentic_data, "{rtype} from {network}: {}", answer.rcode());
        let is_data = |text: &String| !text.contains("webmail") && !text.contains("example. ");
        answer.data().into_iter().filter(is_data).collect::<Vec<_>>()
    };
    wait_for("the site's IPv6", Duration::from_secs(10), || {
        (server.ask_from("webmail.mail.example.", "AAAA", TW).data() == ["::1"]).then_some(())
    });
    web6.down();
    wait_for("its loss", Duration::from_secs(10), || {
        (server.ask_from("webmail.mail.example.", "AAAA", TW).data() != ["::1"]).then_some(())
    });
    // Denials about the name and around it, as a cache keeps them.
    for rtype in ["AAAA", "TXT", "MX", "HINFO"] {
        ask(rtype, TW);
    }
    for name in ["a.webmail.mail.example.", "webmaik.mail.example.", "webmailz.mail.example."] {
        assert_eq!(Ask::new(name, "AAAA").dnssec_ok().subnet(TW).to(unbound.address).rcode(), "NXDomain");
    }
    for network in [MY, VN] {
        assert!(ask("AAAA", network).iter().any(|data| data.starts_with("2001:db8::20")));
        assert!(ask("A", network).iter().any(|data| data.starts_with("127.0.1.20")));
    }
    server.stop();
}
