//! Each mistake has its place, and one run shows them all.

use std::path::Path;
use std::time::Duration;

use super::{server, zone};
use crate::diagnostic::Diagnostic;
use crate::geo::RegionId;
use crate::health::Desired;
use crate::probe::spec::{Check, Encryption, Protocol};
use crate::route::{Failback, Kind, Minimum};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

fn apex() -> Name {
    Name::parse("example.com.", None).unwrap()
}

fn parse(text: &str) -> Result<(zone::ZoneConfig, Vec<Diagnostic>), Vec<Diagnostic>> {
    zone::parse(Path::new("z.toml"), text, &apex(), &["tw".to_owned(), "my".to_owned()])
}

/// `line:column message; help` of every finding.
fn findings(text: &str) -> Vec<String> {
    let found = match parse(text) {
        Ok((_, warnings)) => warnings,
        Err(errors) => errors,
    };
    let help = |one: &Diagnostic| one.help.clone().unwrap_or_default();
    found.iter().map(|one| format!("{}:{} {}; {}", one.line, one.column, one.message, help(one))).collect()
}

/// Two targets, in the first lines of every text here.
const TARGETS: &str = "\
[targets.web-tw]
ipv4 = \"192.0.2.1\"
host = \"tw\"
[targets.web-my]
ipv4 = \"192.0.2.2\"
host = \"my\"
";

#[test]
fn no_file_is_a_file_without_text() {
    let none = format!("{:?}", (zone::ZoneConfig::none(&apex()), Vec::<Diagnostic>::new()));
    assert_eq!(format!("{:?}", parse("").unwrap()), none);
}

#[test]
fn each_mistake_of_a_zone_has_its_place() {
    for (text, expected) in [
        ("[routes.w\n", "7:"),
        (
            "[routes.w]\ntype = \"adress\"\ndefault = \"web-tw\"",
            "8:8 \"adress\" isn't known here; did you mean \"address\"?",
        ),
        (
            "[routes.w]\ntype = \"address\"\ndefault = [\"web-tx\"]",
            "9:12 unknown target \"web-tx\"; did you mean \"web-tw\"?",
        ),
        (
            "[routes.w]\ntype = \"address\"",
            "7:9 `default` is missing; add for example default = [\"web-tw\"]",
        ),
        (
            "[routes.w]\ntype = \"address\"\ndefault = \"web-tw\"\nmi = \"web-my\"",
            "10:1 \"mi\" is neither a region nor a key of routes; did you mean \"my\"?",
        ),
        ("[routes.w]\ntype = \"address\"\ndefault = []", "9:11 an empty chain; name at least one target"),
        (
            "[routes.w]\ntype = \"address\"\ndefault = [\"web-tw\", \"web-tw\"]",
            "9:22 target \"web-tw\" stands twice in one chain",
        ),
        (
            "[routes.w]\ntype = \"address\"\ndefault = [[{ target = \"web-tw\", weight = 2 }, \"web-my\"]]",
            "9:12 some targets of this tier have a weight and others don't",
        ),
        (
            "[routes.w]\ntype = \"address\"\ndefault = [[{ target = \"web-tw\", percent = 60 }, { target = \"web-my\", percent = 50 }]]",
            "9:12 the targets of this tier have 110 per cent",
        ),
        (
            "[routes.w]\ntype = \"address\"\ndefault = [[{ target = \"web-tw\", percent = 60 }, { target = \"web-my\", percent = 30 }]]",
            "9:12 nobody of this tier gets the other 10 per cent; write 100 in all",
        ),
        (
            "[routes.w]\ntype = \"address\"\ndefault = [\"web-tw\", { target = \"web-my\", percent = 5 }]",
            "9:22 nobody of this tier gets the other 95 per cent; put targets that share clients into one tier",
        ),
        (
            "[routes.w]\ntype = \"address\"\ndefault = [\"web-tw\", { target = \"web-my\", weight = 5 }]",
            "9:22 a weight and nobody to share with",
        ),
        (
            "[routes.w]\ntype = \"address\"\ndefault = [[\"web-tw\", { target = \"web-my\", percent = 100 }]]",
            "9:12 nothing is left for the targets of this tier that say nothing",
        ),
        (
            "[routes.w]\ntype = \"address\"\ndefault = [[{ target = \"web-tw\", weight = 1 }, { target = \"web-my\", percent = 5 }]]",
            "9:12 this tier has both `weight` and `percent`",
        ),
        (
            "[routes.w]\ntype = \"mx\"\ndefault = [[{ target = \"web-tw\", weight = 1 }, { target = \"web-my\", weight = 5 }]]",
            "9:13 exchangers have no weights",
        ),
        (
            "[routes.w]\ntype = \"mx\"\ndefault = \"web-tw\"\nmin_healthy = 2",
            "10:15 only address and cname routes have min_healthy",
        ),
        (
            "[routes.w]\ntype = \"address\"\ndefault = \"web-tw\"\nmin_healthy = \"half\"",
            "10:15 this is no part of a tier; write \"50%\"",
        ),
        (
            "[routes.w]\ntype = \"address\"\ndefault = \"web-tw\"\nsticky = true",
            "10:10 no target of this route has a share of the clients",
        ),
        (
            "[routes.w]\ntype = \"address\"\ndefault = [[{ target = \"web-tw\", percent = 5 }, \"web-my\"]]\necs = false",
            "10:7 without ECS the resolver's network chooses",
        ),
        (
            "[routes.w]\ntype = \"address\"\ndefault = \"web-tw\"\nttl = 5\nshort_ttl = 9",
            "11:13 the short TTL 9 is over the normal one, 5",
        ),
        (
            "[routes.w]\ntype = \"address\"\ndefault = \"web-tw\"\nfailback = \"sometimes\"",
            "10:12 \"sometimes\" isn't known here",
        ),
        ("[routes.w]\ntype = \"srv\"\ndefault = \"web-tw\"", "7:9 an srv route needs a port"),
        (
            "[routes.w]\nname = \"www.other.example.\"\ntype = \"address\"\ndefault = \"web-tw\"",
            "8:8 www.other.example. is outside of the zone example.com.",
        ),
        (
            "[routes.w]\nname = \"a..b\"\ntype = \"address\"\ndefault = \"web-tw\"",
            "8:8 \"a..b\" is no name: empty label",
        ),
        ("[routes.w]\nname = \"@\"\ntype = \"cname\"\ndefault = \"web-tw\"", "8:8 a cname route at the apex"),
        (
            "[routes.w]\ntype = \"address\"\ndefault = \"web-tw\"\n[routes.v]\nname = \"w\"\ntype = \"address\"\ndefault = \"web-my\"",
            "11:8 route \"w\" has A and AAAA of w.example.com. already",
        ),
        (
            "[targets.x]\nipv4 = \"2001:db8::1\"",
            "8:8 \"2001:db8::1\" is no ipv4 address; this is an address of the other family: use ipv6",
        ),
        (
            "[targets.x]\nipv6 = \"192.0.2.1\"",
            "8:8 \"192.0.2.1\" is no ipv6 address; this is an address of the other family: use ipv4",
        ),
        (
            "[targets.x]\nipv4 = \"192.0.2.3\"\naddress_of = \"lb.example.net\"",
            "9:1 `address_of` stands beside addresses",
        ),
        ("[targets.x]\naddress_of = \"a..b\"", "8:14 \"a..b\" is no name: empty label"),
        ("[targets.\"x@y\"]\nipv4 = \"192.0.2.3\"", "7:10 a target's name can't have \"@\" in it"),
        ("[targets.x]\nsite = \"tw\"", "7:10 target \"x\" is nowhere"),
        (
            "[targets.x]\nhost = \"h\"\nprobes = [\"web\"]\n[probes.web]\ntype = \"tcp\"\nport = 25",
            "7:10 target \"x\" has probes and no address to send them to",
        ),
        (
            "[targets.x]\nipv4 = \"192.0.2.3\"\nprobes = [\"wbe\"]\n[probes.web]\ntype = \"tcp\"\nport = 25",
            "9:11 unknown probe \"wbe\"; did you mean \"web\"?",
        ),
        (
            "[targets.x]\nipv4 = \"192.0.2.3\"\nstate = \"drain\"",
            "9:9 \"drain\" isn't known here; did you mean \"drained\"?",
        ),
        (
            "[sites.tw]\n[targets.x]\nipv4 = \"192.0.2.3\"\nsite = \"tx\"",
            "10:8 unknown site \"tx\"; did you mean \"tw\"?",
        ),
        ("[probes.p]\ntype = \"http\"", "7:9 `host` is missing"),
        ("[probes.p]\ntype = \"tcp\"", "7:9 `port` is missing"),
        ("[probes.p]\ntype = \"tcp\"\nport = 70000", "9:8 this isn't a number from 1 to 65535"),
        ("[probes.p]\ntype = \"tcp\"\nport = 25\npath = \"/\"", "10:1 unknown key `path`"),
        ("[probes.p]\ntype = \"submission\"", "7:9 TLS needs the name that the certificate must have"),
        (
            "[probes.p]\ntype = \"imaps\"\ntls_name = \"h\"\ntls_min = \"1.1\"",
            "10:11 \"1.1\" isn't known here",
        ),
        ("[probes.p]\ntype = \"imap\"\nehlo = \"h\"", "9:1 unknown key `ehlo`"),
        (
            "[probes.p]\ntype = \"exec\"\ncommand = [\"check_imap\"]",
            "9:11 a program is named by its whole path",
        ),
        ("[probes.p]\ntype = \"prometheus\"\nmetric = \"queue\"", "7:9 the metric is compared with nothing"),
        (
            "[probes.p]\ntype = \"prometheus\"\nbelow = 5.5\nmetric = \"queue{\"",
            "10:10 \"queue{\" is no metric",
        ),
        (
            "[probes.p]\ntype = \"http\"\nhost = \"h\"\nmethod = \"HEAD\"\nbody = \"well\"",
            "11:1 the answer to HEAD has no body",
        ),
        (
            "[probes.p]\ntype = \"http\"\nhost = \"h\"\nheader = { name = \"a b\" }",
            "10:10 \"a b\" is no name of a header",
        ),
        (
            "[probes.p]\ntype = \"tcp\"\nport = 25\ninterval = \"5 parsecs\"",
            "10:12 this isn't a time that fits here",
        ),
        (
            "[probes.p]\ntype = \"tcp\"\nport = 25\ninterval = \"1s\"\ntimeout = \"2s\"",
            "11:11 the time-out 2s is longer than the interval 1s",
        ),
        (
            "[probes.p]\ntype = \"http\"\nhost = \"h\"\nstatus = [200, \"400-300\"]",
            "10:16 \"400-300\" is no range of status codes",
        ),
        ("[probes.p]\ntype = \"tls\"", "7:9 TLS needs the name that the certificate must have"),
        ("[probes.p]\ntype = \"http\"\nhost = 1", "9:8 this is of type integer; write text in quotes"),
        ("[target.x]\nipv4 = \"192.0.2.3\"", "7:2 unknown key `target`; did you mean \"targets\"?"),
        // Not wrong, and probably not meant.
        ("[probes.p]\ntype = \"tcp\"\nport = 25", "7:9 no target names probe \"p\""),
        ("", "1:10 no route names target \"web-tw\""),
    ] {
        let found = findings(&format!("{TARGETS}{text}\n"));
        assert!(found.iter().any(|one| one.starts_with(expected)), "{text:?}\n{expected}\n{found:#?}");
    }
    // One mistake is told once.
    let found = findings(
        "[targets.x]\nipv4 = \"192.0.2\"\nprobes = [\"p\"]\n[probes.p]\ntype = \"tcp\"\nport = 25\n",
    );
    assert_eq!(found.iter().filter(|one| !one.contains("no route names")).count(), 1, "{found:#?}");
    // A route needs what it answers.
    let text = "[targets.h]\nhost = \"h\"\n[targets.a]\nipv4 = \"192.0.2.1\"\n\
                [routes.x]\ntype = \"address\"\ndefault = \"h\"\n[routes.y]\ntype = \"mx\"\ndefault = \"a\"\n";
    let found = findings(text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("7:11 target \"h\" has no address"), "{found:#?}");
    assert!(found[1].starts_with("10:11 target \"a\" has no host"), "{found:#?}");
}

#[test]
fn a_zone_reads_as_written() {
    let text = format!(
        "{TARGETS}state = \"drained\"\n[sites.x]\nstate = \"down\"\n[targets.x]\nsite = \"x\"\nipv6 = \"2001:db8::1\"\n\
         assume = \"down\"\nprobes = [\"p\"]\n[probes.p]\ntype = \"imaps\"\ntls_name = \"imap.example.com\"\n\
         interval = \"300ms\"\ntimeout = \"100ms\"\n[routes.w]\nnames = [\"w\", \"*.w\"]\ntype = \"address\"\n\
         tw = [\"web-tw\", [{{ target = \"web-my\", weight = 3 }}, {{ target = \"x\", weight = 1 }}]]\n\
         default = \"x\"\nactive_standby = true\nttl = 7\necs = false\nsticky = false\nanswers = 2\nmin_healthy = \"50%\"\n"
    );
    let (config, warnings) = parse(&text).unwrap();
    assert!(warnings.is_empty(), "{warnings:#?}");
    let desired: Vec<Desired> = config.routing.targets.iter().map(|target| target.desired).collect();
    assert_eq!(desired, [Desired::Auto, Desired::Drained, Desired::Down]);
    assert!(!config.routing.targets[2].assume_up);
    let route = &config.routing.routes[0];
    assert_eq!(
        route.owners,
        [Name::parse("w", Some(&apex())).unwrap(), Name::parse("*.w", Some(&apex())).unwrap()]
    );
    assert_eq!((route.ttl.normal, route.ttl.short, route.answers, route.ecs), (7, 5, 2, false));
    assert_eq!((route.failback, &route.kind), (Failback::Manual, &Kind::Address));
    assert_eq!((route.sticky, route.min_healthy), (false, Some(Minimum::Percent(50))));
    assert_eq!(route.chain(RegionId(1)).len(), 2);
    assert_eq!(route.chain(RegionId(1))[1].members[0].weight, 3);
    assert_eq!(route.chain(RegionId(2)), route.chain(RegionId::DEFAULT));
    let Check::Mail(mail) = &config.probes[0].check else { panic!("{:?}", config.probes[0]) };
    assert_eq!((mail.protocol, mail.port), (Protocol::Imap, 993));
    assert!(matches!(&mail.encryption, Encryption::Implicit(tls) if tls.verify));
    assert_eq!(config.probes[0].pace.interval, Duration::from_millis(300));
    assert!(parse("").unwrap().0.routing.routes.is_empty());
}

#[test]
fn per_cent_become_weights() {
    let weights = |tier: &str| -> Vec<u16> {
        let text = format!(
            "{TARGETS}[targets.x]\nipv4 = \"192.0.2.3\"\n[routes.w]\ntype = \"address\"\ndefault = [[{tier}]]\n"
        );
        let (config, _) = parse(&text).unwrap();
        config.routing.routes[0].default[0].members.iter().map(|member| member.weight).collect()
    };
    let some = |target: &str, percent: u8| format!("{{ target = \"{target}\", percent = {percent} }}");
    assert_eq!(weights(&format!("\"web-tw\", {}", some("web-my", 5))), [95, 5]);
    // What is left is shared alike: 10 per cent of all, and 45 each.
    assert_eq!(weights(&format!("\"web-tw\", \"x\", {}", some("web-my", 10))), [90, 90, 20]);
    assert_eq!(weights(&format!("{}, {}", some("web-tw", 1), some("x", 99))), [1, 99]);
    assert_eq!(weights("\"web-tw\", \"x\""), [0, 0]);
}

#[test]
fn routes_against_their_zone() {
    let check = |routes: &str, records: &[(&str, Rtype)], minimum: u32| -> Vec<String> {
        let (config, _) = parse(&format!("{TARGETS}{routes}")).unwrap();
        let has = |name: &Name, rtype: Rtype| {
            records
                .iter()
                .any(|(known, other)| Name::parse(known, Some(&apex())).unwrap() == *name && *other == rtype)
        };
        let found = zone::against_zone(&config, &has, minimum);
        found
            .iter()
            .map(|one| {
                format!(
                    "{}{}:{} {}",
                    if one.is_error() { "" } else { "~" },
                    one.line,
                    one.column,
                    one.message
                )
            })
            .collect()
    };
    let mx = "[routes.m]\nname = \"@\"\ntype = \"mx\"\ndefault = [\"web-tw\", \"web-my\"]\n";
    let good = [("tw", Rtype::A), ("my", Rtype::AAAA)];
    assert!(check(mx, &good, 60).is_empty());
    let found = check(mx, &good[..1], 60);
    assert_eq!(
        found,
        ["4:10 my.example.com. has no address in the zone: route \"m\" would make an MX host unresolvable"]
    );
    let found = check(mx, &[("tw", Rtype::A), ("my", Rtype::CNAME)], 60);
    assert_eq!(found, ["4:10 my.example.com. is a CNAME, and an MX host must not be one (RFC 2181 10.3)"]);
    assert_eq!(check(mx, &good, 300), ["~7:9 the zone has routes, and its SOA MINIMUM is 300"]);
    let address = "[routes.w]\ntype = \"address\"\ndefault = \"web-tw\"\n";
    assert_eq!(
        check(address, &[("w", Rtype::CNAME)], 60),
        ["7:9 w.example.com. is a CNAME in the zone file"]
    );
    assert!(
        check(address, &[("w", Rtype::AAAA)], 60)[0]
            .starts_with("~7:9 w.example.com. has AAAA in the zone file")
    );
    let below = "[routes.w]\nname = \"w.sub\"\ntype = \"address\"\ndefault = \"web-tw\"\n";
    assert!(check(below, &[("sub", Rtype::NS)], 60)[0].contains("lies in sub.example.com."));
    let by_name =
        "[targets.x]\naddress_of = \"lb.example.net\"\n[routes.w]\ntype = \"address\"\ndefault = \"x\"\n";
    let found = check(by_name, &[], 60);
    assert_eq!(found, ["~9:9 all targets of route \"w\" are host names that others serve"]);
    assert!(check(by_name, &[("w", Rtype::A)], 60).is_empty());
    let own = by_name.replace("example.net", "example.com");
    assert!(check(&own, &[], 60).contains(&"7:10 lb.example.com. is in this zone itself".to_owned()));
    // What is delegated to others is theirs.
    assert!(check(&own, &[("w", Rtype::A), ("lb", Rtype::NS)], 60).is_empty());
    let cname = "[routes.w]\ntype = \"cname\"\ndefault = \"web-tw\"\n";
    assert!(check(cname, &[("w", Rtype::TXT), ("tw", Rtype::A)], 60)[0].contains("has TXT in the zone file"));
}

#[test]
fn each_mistake_of_the_server_has_its_place() {
    for (text, expected) in [
        ("[server]\nlisten = \"127.0.0.1\"", "2:10 \"127.0.0.1\" is no address with a port"),
        ("[server]\nlisten = []", "2:10 there is no address to listen on"),
        ("[server]\nudp_payload = 100", "2:15 this isn't a number from 512 to 4096"),
        ("[server]\ninspect = [\"10.0.0.1/8\"]", "2:12 \"10.0.0.1/8\" has bits set behind its prefix"),
        ("[regions.tw]\ncountries = [\"TWN\"]", "2:14 \"TWN\" is no code of countries"),
        ("[regions.default]\ncountries = [\"TW\"]", "1:10 a region can't be called \"default\""),
        ("[server]\nidentity = \"\"", "2:12 the identity has to fit beside an answer"),
        ("[probing]\nsource_ipv4 = \"2001:db8::1\"", "2:15 \"2001:db8::1\" is no IPv4 address"),
        ("[probing]\nehlo = \"a\\r\\nb\"", "2:8 this can't be said to a server"),
        ("[tcp]\nidle = \"0s\"", "2:8 this isn't a time that fits here"),
        (
            "[resolver]\nservers = \"resolver.example\"",
            "2:11 \"resolver.example\" is no address of a resolver",
        ),
        ("[tls]\nlisten = \"0.0.0.0\"", "2:10 \"0.0.0.0\" is no address with a port"),
        ("[tls]\nquic = []", "2:8 there is no address to listen on"),
        ("[tls]\ncertificate = \"c.pem\"", "2:15 `key` is missing"),
        ("[tls]\nkey = \"k.pem\"", "2:7 `certificate` is missing"),
        ("[bundles]\nrole = \"egde\"", "2:8 \"egde\" isn't known here"),
        ("[bundles]\ndirectory = \"b\"", "1:2 `role` is missing"),
        ("[bundles]\nrole = \"edge\"\nurl = \"http://192.0.2.1\"", "3:7 the signer gives bundles to whoever"),
        ("[bundles]\nrole = \"edge\"\ntoken = \"t\"\nurl = \"192.0.2.1\"", "4:7 \"192.0.2.1\" is no address"),
        ("[bundles]\nrole = \"edge\"\n[bundles.anchors]\na = \"1 13 2 ABC\"", "4:5 this is no DS"),
        ("[sever]", "1:2 unknown key `sever`"),
    ] {
        let found = server::parse(Path::new("waypost.toml"), text).unwrap_err();
        let shown = format!("{}:{} {}", found[0].line, found[0].column, found[0].message);
        assert!(shown.starts_with(expected), "{text:?}: {shown}");
    }
    let text = "[server]\nlisten = [\"127.0.0.1:53\"]\nworkers = 3\n[geoip]\ndatabase = \"x.mmdb\"\n\
                [regions.zz]\ncountries = [\"vn\"]\n[regions.aa]\nnetwork_files = [\"aa.txt\"]\n";
    let (read, _) = server::parse(Path::new("/etc/waypost/waypost.toml"), text).unwrap();
    // In the order of the file, which gives the regions their numbers.
    assert_eq!(read.rules.regions.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["zz", "aa"]);
    assert_eq!(read.rules.regions[0].countries, ["VN"]);
    assert_eq!(read.database.as_deref(), Some(Path::new("/etc/waypost/x.mmdb")));
    assert_eq!(read.network_files, [(RegionId(2), "/etc/waypost/aa.txt".into())]);
    let text = format!(
        "[bundles]\nrole = \"edge\"\n[bundles.anchors]\n\"A.example\" = \"258 13 2 {}\"",
        "aB".repeat(32)
    );
    let (edge, _) = server::parse(Path::new("/etc/waypost/waypost.toml"), &text).unwrap();
    let bundles = edge.bundles.unwrap();
    assert_eq!(bundles.directory, Path::new("/etc/waypost/bundles"));
    let anchor = [vec![1, 2, 13, 2], vec![0xab; 32]].concat();
    assert_eq!(bundles.anchors, [(Name::parse("a.example.", None).unwrap(), vec![anchor])].into());
    assert_eq!((read.workers, read.zones.as_path()), (3, Path::new("/etc/waypost/zones")));
}

#[test]
fn worst_cases_add_up() {
    let text = format!(
        "{TARGETS}[probes.p]\ntype = \"tcp\"\nport = 25\ninterval = \"5s\"\ntimeout = \"1s\"\nfall = 3\n\
         confirm_interval = \"500ms\"\n[targets.x]\nipv4 = \"192.0.2.3\"\nprobes = \"p\"\n\
         [routes.w]\ntype = \"address\"\ndefault = [\"x\", \"web-tw\"]\n[routes.v]\ntype = \"address\"\ndefault = \"web-my\"\n"
    );
    let (config, _) = parse(&text).unwrap();
    let shown: Vec<String> =
        config.routing.routes.iter().map(|route| zone::worst_case(&config, route).to_string()).collect();
    assert_eq!(shown[1], "never: no probe moves it");
    // One more try begins before the first one's time-out, and one after it.
    assert!(shown[0].starts_with("5 + 2.5 + 20 = 27.5 s "), "{shown:?}");
    let (config, _) = parse(&text.replace("500ms", "300ms")).unwrap();
    let shown = zone::worst_case(&config, &config.routing.routes[0]).to_string();
    assert!(shown.starts_with("5 + 1 + 20 = 26 s "), "{shown:?}");
}

#[test]
fn signing_has_defaults_and_each_mistake_its_place() {
    use crate::dnssec::{Algorithm, Denial, KeySplit, Policy};

    let policy = |text: &str| parse(text).unwrap().0.dnssec;
    assert_eq!(policy(""), None);
    assert_eq!(policy("[dnssec]\nsign = false"), None);
    assert_eq!(policy("[dnssec]\nsign = true"), Some(Policy::default()));
    let all = policy(
        "[dnssec]\nsign = true\ndenial = \"nsec3\"\nalgorithm = \"ed25519\"\nkeys = \"ksk+zsk\"\n\
         zsk_lifetime = \"never\"\nksk_lifetime = \"365d\"\nsignature_validity = \"14d\"\nparent = \"192.0.2.53\"\n\
         other_dnskeys = [\"256 3 13 AQID\"]",
    )
    .unwrap();
    assert_eq!((all.denial, all.algorithm, all.keys), (Denial::Nsec3, Algorithm::Ed25519, KeySplit::KskZsk));
    assert_eq!((all.zsk_lifetime, all.ksk_lifetime), (None, Some(Duration::from_secs(365 * 86_400))));
    assert_eq!(all.parent, ["192.0.2.53:53".parse().unwrap()]);
    assert_eq!(all.others, [[1, 0, 3, 13, 1, 2, 3]]);
    for (line, expected) in [
        ("denial = \"nsec4\"", "3:10 \"nsec4\" isn't known here; did you mean \"nsec\"?"),
        ("algorithm = \"rsasha1\"", "3:13 no new keys of rsasha1 are made; write ecdsap256sha256"),
        ("algorithm = \"ed25518\"", "3:13 \"ed25518\" isn't known here; did you mean \"ed25519\"?"),
        ("signature_validity = \"13d\"", "3:22 signatures would hold for less than 14 days; write \"14d\""),
        ("zsk_lifetime = \"30d\"", "3:1 a CSK is the zone's only key; write ksk_lifetime"),
        ("ksk_lifetime = \"1h\"", "3:16 this isn't a time that fits here; write one from 7days"),
        ("parent = \"ns.example.net\"", "3:10 \"ns.example.net\" is no address of a nameserver"),
        ("other_dnskeys = \"256 3 13\"", "3:17 this is no DNSKEY"),
        ("keyz = 1", "3:1 unknown key `keyz`; did you mean \"keys\"?"),
    ] {
        let found = findings(&format!("[dnssec]\nsign = true\n{line}"));
        assert!(found.iter().any(|one| one.starts_with(expected)), "{line}: {found:?}");
    }
    assert!(findings("[dnssec]")[0].contains("`sign` is missing; add for example sign = true"));
}

#[test]
fn needs_are_found_by_target_by_route_and_for_a_whole_site() {
    let text = "\
[sites.tw]
needs = \"uplink-tw\"
capacity = 100
[sites.my]
[targets.web-tw]
site = \"tw\"
ipv4 = \"192.0.2.1\"
needs = [\"imap\", \"store\"]
capacity = 40
[targets.imap-tw]
site = \"tw\"
ipv4 = \"192.0.2.2\"
[targets.imap-my]
site = \"my\"
ipv4 = \"192.0.2.3\"
[targets.uplink-tw]
site = \"tw\"
ipv4 = \"192.0.2.4\"
[targets.store]
ipv4 = \"192.0.2.5\"
[routes.imap]
type = \"address\"
default = [\"imap-tw\", \"imap-my\"]
[routes.web]
type = \"address\"
default = \"web-tw\"
";
    let (config, warnings) = parse(text).unwrap();
    assert_eq!(warnings.len(), 0, "what is needed is used: {warnings:?}");
    let targets = &config.routing.targets;
    let needs = |at: usize| -> Vec<&str> { targets[at].needs.iter().map(|one| &*one.name).collect() };
    assert_eq!(needs(0), ["imap at tw", "store", "uplink-tw"]);
    assert_eq!(targets[0].needs[0].any_of, [crate::route::TargetId(1)]);
    assert_eq!((needs(1), needs(2), needs(3)), (vec!["uplink-tw"], vec![], vec![]));
    assert_eq!((targets[0].capacity, targets[1].capacity, targets[2].capacity), (Some(40), Some(100), None));
}

#[test]
fn each_mistake_of_needs_has_its_place() {
    let route = "[routes.w]\ntype = \"address\"\ndefault = [\"web-tw\", \"web-my\"]\n";
    let targets = |first: &str, second: &str| {
        format!(
            "{route}[targets.web-tw]\nipv4 = \"192.0.2.1\"\n{first}\n[targets.web-my]\nipv4 = \"192.0.2.2\"\n{second}\n"
        )
    };
    for (first, second, expected) in [
        (
            "needs = [\"web-my\", \"web-mx\"]",
            "",
            "6:20 \"web-mx\" is neither a target nor a route; did you mean \"web-my\"?",
        ),
        (
            "needs = \"web-my\"",
            "needs = \"web-tw\"",
            "9:9 \"web-my\" needs \"web-tw\", which in the end needs \"web-my\"",
        ),
        ("needs = \"web-tw\"", "", "6:9 \"web-tw\" needs \"web-tw\", which in the end needs \"web-tw\""),
        ("needs = \"w\"", "", "6:9 \"w\" is a route, and \"web-tw\" stands at no site"),
        (
            "site = \"tw\"",
            "site = \"my\"\nneeds = \"imap\"\n[targets.imap-tw]\nsite = \"tw\"\nipv4 = \"192.0.2.3\"\n[routes.imap]\ntype = \"address\"\ndefault = \"imap-tw\"",
            "10:9 route \"imap\" has no target at site \"my\"",
        ),
        ("capacity = 0", "", "6:12 this isn't a number from 1 to 1000000"),
        ("", "[sites.tw]\nneeds = \"web-tx\"", "10:9 \"web-tx\" is neither a target nor a route"),
    ] {
        let found = findings(&targets(first, second));
        assert!(found.iter().any(|one| one.contains(expected)), "{expected:?} isn't in {found:?}");
    }
    let chain = |count: usize| -> String {
        let link = |n: usize| {
            let needs = if n + 1 < count { format!("needs = \"t{}\"\n", n + 1) } else { String::new() };
            format!("[targets.t{n}]\nipv4 = \"192.0.2.{n}\"\n{needs}")
        };
        let links: String = (0..count).map(link).collect();
        format!("{links}[routes.w]\ntype = \"address\"\ndefault = \"t0\"\n")
    };
    assert!(parse(&chain(crate::limits::NEEDS_DEPTH + 1)).is_ok());
    let found = findings(&chain(crate::limits::NEEDS_DEPTH * 3));
    assert!(found[0].contains("a chain of more than 16 targets"), "{found:?}");
}
