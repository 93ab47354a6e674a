//! DNSViz on a signed zone below a signed parent, in a network that leads nowhere else: what it has
//! to complain of is nothing, and what is wrong on purpose it sees.

use std::fs;
use std::process::Command;

use crate::differential::signed::{ROUTES, ZONE};
use crate::lab::{Lab, Server, stdout, waypost};
use crate::namespace::Namespace;

/// Serves the zone above.
const PARENT: &str = "192.0.2.1";

/// What the zone says of its nameserver.
const CHILD: &str = "192.0.2.53";

/// Each way to answer and to deny; names whose answers lie elsewhere have no servers here.
const NAMES: [&str; 16] = [
    "",
    "webmail.",
    "big.",
    "_smtps._tcp.",
    "none.",
    "a.b.none.",
    "b.c.d.",
    "x.wild.",
    "known.wild.",
    "x.known.wild.",
    "x.b.between.deep.",
    "x.mail.",
    "alias.",
    "chain.",
    "starred.",
    "x.tree.",
];

struct World {
    namespace: Namespace,
    lab: Lab,
    _servers: [Server; 2],
}

fn start(lab: &Lab, namespace: &Namespace, address: &str) -> Server {
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    let listen = format!("listen = [\"{address}:53\"]");
    lab.write("waypost.toml", &config.replace(r#"listen = ["127.0.0.1:0"]"#, &listen));
    let mut run = namespace.command(env!("CARGO_BIN_EXE_waypost"));
    run.arg("run");
    Server::start_with(lab.directory.path(), run)
}

impl World {
    /// A zone that is signed like this; `change` may spoil the DS that its parent has.
    fn new(dnssec: &str, change: impl FnOnce(String) -> String) -> World {
        let (lab, above) = (Lab::new(), Lab::new());
        lab.write("zones/signed.example.zone", ZONE);
        lab.write("zones/signed.example.toml", &format!("{ROUTES}\n[dnssec]\nsign = true\n{dnssec}\n"));
        let keys = |arguments: &[&str]| {
            stdout(waypost().current_dir(lab.directory.path()).arg("keys").args(arguments))
        };
        keys(&["generate", "signed.example"]);
        let ds = change(keys(&["ds", "signed.example"]));
        above.write("zones/example.toml", "[dnssec]\nsign = true\n");
        let zone = format!(
            "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A {PARENT}\n\
             signed NS ns.signed\nns.signed A {CHILD}\nns.signed AAAA 2001:db8::53\n{ds}"
        );
        above.write("zones/example.zone", &zone);
        let namespace = Namespace::new(&[PARENT, CHILD]);
        let servers = [start(&above, &namespace, PARENT), start(&lab, &namespace, CHILD)];
        let mut dig = namespace.command("dig");
        let anchor = stdout(dig.args([&format!("@{PARENT}"), "example", "DNSKEY", "+noall", "+answer"]));
        lab.write("anchor", &anchor);
        World { namespace, lab, _servers: servers }
    }

    /// Asks for these names, as though it were so many days later.
    fn probe(&self, names: &[&str], days: u32) {
        let mut probe = self.namespace.command("faketime");
        probe.args(["-f", &format!("+{days}d"), "dnsviz", "probe", "-4", "-A", "-a", "example"]);
        // Told where the zone above is, it asks no root.
        probe.args(["-x", &format!("example+:ns.example={PARENT}"), "-o"]).arg(self.lab.path("probed"));
        stdout(probe.args(names.iter().map(|name| format!("{name}signed.example"))));
    }

    /// What was wrong, or worth a warning; nothing when all was well.
    fn complaints(&self) -> String {
        let mut grok = Command::new("dnsviz");
        let said = stdout(grok.args(["grok", "-l", "warning", "-r"]).arg(self.lab.path("probed")));
        if said.trim() == "{}" { String::new() } else { said }
    }

    /// All that was found, with a mark for each: a dot is secure.
    fn found(&self, anchor: &str) -> String {
        let mut print = Command::new("dnsviz");
        print.args(["print", "-t"]).arg(self.lab.path(anchor)).arg("-r").arg(self.lab.path("probed"));
        stdout(&mut print)
    }
}

/// Lines of records and denials that aren't secure, and how many there are of both kinds.
fn insecure(found: &str) -> (Vec<&str>, usize) {
    let lines: Vec<&str> = found.lines().filter(|line| line.trim_start().starts_with('[')).collect();
    let is_secure = |line: &str| line.trim_start().starts_with("[.]");
    let count = lines.len();
    (lines.into_iter().filter(|line| !is_secure(line)).collect(), count)
}

fn has_nothing_to_complain_of(dnssec: &str) {
    let world = World::new(dnssec, |ds| ds);
    world.probe(&NAMES, 0);
    assert_eq!(world.complaints(), "", "{dnssec}");
    let found = world.found("anchor");
    let (insecure, count) = insecure(&found);
    assert!(insecure.is_empty() && count > 100, "{dnssec}: {count} lines, of them {insecure:#?}\n{found}");
    for name in NAMES {
        let there =
            found.lines().any(|line| line.split(' ').next() == Some(&format!("{name}signed.example")));
        assert!(there, "{name} is missing\n{found}");
    }
}

#[test]
fn dnsviz_has_nothing_to_complain_of_with_names_in_order() {
    has_nothing_to_complain_of("denial = \"nsec\"");
}

#[test]
fn dnsviz_has_nothing_to_complain_of_with_hashes_in_order_and_two_keys() {
    has_nothing_to_complain_of("denial = \"nsec3\"\nkeys = \"ksk+zsk\"");
}

#[test]
fn dnsviz_has_nothing_to_complain_of_with_ed25519() {
    has_nothing_to_complain_of("algorithm = \"ed25519\"");
}

#[test]
fn dnsviz_sees_what_is_wrong_on_purpose() {
    // The parent names a key that isn't there.
    let world = World::new("", |ds| {
        let at = ds.trim_end().len() - 1;
        let other = if ds.as_bytes()[at] == b'0' { "1" } else { "0" };
        format!("{}{other}\n", &ds[..at])
    });
    world.probe(&["webmail."], 0);
    assert!(world.complaints().contains("DIGEST_INVALID"), "{}", world.complaints());
    let found = world.found("anchor");
    assert!(!insecure(&found).0.is_empty(), "{found}");
    // Nobody trusts the key that all hangs from.
    let world = World::new("", |ds| ds);
    world.probe(&["webmail."], 0);
    assert_eq!(world.complaints(), "");
    let other = fs::read_to_string(world.lab.path("anchor")).unwrap().replace("example.", "elsewhere.");
    world.lab.write("other", &other);
    let found = world.found("other");
    let (insecure, count) = insecure(&found);
    assert_eq!(insecure.len(), count, "{found}");
    // The server stands still, and the signatures' time is over.
    world.probe(&["webmail."], 40);
    assert!(world.complaints().contains("EXPIRATION_IN_PAST"), "{}", world.complaints());
}
