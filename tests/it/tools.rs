//! The tools that operators look with have nothing to complain of: Zonemaster on a whole small
//! Internet of root, registry and reverse zones; dig, kdig, drill and delv on one server.

use std::fs;
use std::process::Command;

use crate::lab::{Lab, Server, output, repository, stdout, waypost};
use crate::namespace::Namespace;

/// The nameservers of the example zone.
const ADDRESSES: [&str; 4] = ["198.51.100.53", "198.51.100.153", "2001:db8:1::53", "2001:db8:2::53"];

/// Serves all that is above the example zone.
const REGISTRY: &str = "192.0.2.1";

const ABOVE: [(&str, &str); 4] = [
    (
        "root",
        ". NS a.nic.example.\na.nic.example. A 192.0.2.1\ncom. NS a.nic.example.\narpa. NS a.nic.example.\n\
         example. NS a.nic.example.\n",
    ),
    ("com", "@ NS a.nic.example.\n"),
    ("arpa", "@ NS a.nic.example.\n"),
    ("example", "@ NS a.nic.example.\na.nic A 192.0.2.1\n"),
];

const SOA: &str = "$TTL 3600\n@ SOA a.nic.example. hostmaster.nic.example. 1 14400 3600 1209600 3600\n";

/// The addresses' own zones, with the nameservers' names (RFC 1912 2.1).
const REVERSE: [(&str, &str); 2] = [
    ("100.51.198.in-addr.arpa", "53 PTR ns1.example.com.\n153 PTR ns2.example.com.\n"),
    (
        "8.b.d.0.1.0.0.2.ip6.arpa",
        "3.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0 PTR ns1.example.com.\n\
         3.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0 PTR ns2.example.com.\n",
    ),
];

const REVERSE_HEAD: &str = "\
$TTL 3600
@ SOA ns1.example.com. hostmaster.example.com. 1 14400 3600 1209600 3600
@ NS ns1.example.com.
@ NS ns2.example.com.
";

/// The zone that is shipped, with its routes.
fn example(lab: &Lab) {
    for file in ["example.com.zone", "example.com.toml"] {
        fs::copy(repository().join("zones").join(file), lab.path("zones").join(file)).unwrap();
    }
}

fn listen(lab: &Lab, addresses: &[&str]) {
    let sockets: Vec<String> = addresses
        .iter()
        .map(
            |address| if address.contains(':') { format!("[{address}]:53") } else { format!("{address}:53") },
        )
        .collect();
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    let old = r#"listen = ["127.0.0.1:0"]"#;
    lab.write("waypost.toml", &config.replace(old, &format!("listen = {sockets:?}")));
}

fn start(lab: &Lab, namespace: &Namespace) -> Server {
    let mut run = namespace.command(env!("CARGO_BIN_EXE_waypost"));
    run.arg("run");
    Server::start_with(lab.directory.path(), run)
}

#[test]
fn zonemaster_gives_a_clean_bill() {
    let lab = Lab::new();
    example(&lab);
    for (zone, records) in REVERSE {
        lab.write(&format!("zones/{zone}.zone"), &format!("{REVERSE_HEAD}{records}"));
    }
    listen(&lab, &ADDRESSES);
    let above = Lab::new();
    for (zone, records) in ABOVE {
        above.write(&format!("zones/{zone}.zone"), &format!("{SOA}{records}"));
    }
    // What is printed for the parents goes into them as it is.
    let mut zones = vec![("example.com", "com")];
    zones.extend(REVERSE.map(|(zone, _)| (zone, "arpa")));
    for (zone, parent) in &zones {
        let mut command = waypost();
        command.current_dir(lab.directory.path()).args([
            "delegation",
            "--no-aliases",
            "--parent",
            parent,
            zone,
        ]);
        let path = format!("zones/{parent}.zone");
        let text = fs::read_to_string(above.path(&path)).unwrap();
        above.write(&path, &(text + &stdout(&mut command)));
    }
    listen(&above, &[REGISTRY]);
    let namespace = Namespace::new(&[&ADDRESSES[..], &[REGISTRY]].concat());
    let _servers = [start(&above, &namespace), start(&lab, &namespace)];

    let hints = lab.path("hints");
    fs::write(&hints, format!(". 3600 NS a.nic.example.\na.nic.example. 3600 A {REGISTRY}\n")).unwrap();
    let profile = lab.path("profile.json");
    fs::write(&profile, zonemaster_profile()).unwrap();
    for (zone, _) in zones {
        let mut zonemaster = namespace.command("zonemaster-cli");
        zonemaster.arg("--hints").arg(&hints).arg("--profile").arg(&profile);
        zonemaster.args(["--json", "--raw", "--level", "INFO", "--no-progress", zone]);
        let said = stdout(&mut zonemaster);
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        let results = report.as_array().unwrap();
        assert!(results.len() > 50, "Zonemaster stopped early for {zone}\n{said}");
        // That the zone isn't signed is so.
        let signing = ["NOT_SIGNED", "NEITHER_DNSKEY_NOR_DS"];
        let complaints: Vec<_> = results
            .iter()
            .filter(|one| one["level"] != "INFO" && !signing.contains(&one["tag"].as_str().unwrap()))
            .collect();
        assert!(complaints.is_empty(), "Zonemaster on {zone}: {complaints:#?}");
    }
}

/// Zonemaster's own profile, but for what a mail domain or this test does otherwise on purpose.
fn zonemaster_profile() -> String {
    let text = stdout(Command::new("zonemaster-cli").arg("--dump-profile"));
    let mut profile: serde_json::Value = serde_json::from_str(&text).unwrap();
    profile["test_cases"].as_array_mut().unwrap().retain(|case| {
        // Addresses here are those of documentation, which the first complains of; the second
        // asks a service on the Internet for AS numbers.
        !["address01", "connectivity03"].contains(&case.as_str().unwrap())
    });
    // Secondaries look often, and MINIMUM is short: what appears must soon be found (RFC 9077).
    let variables = &mut profile["test_cases_vars"];
    variables["zone02"]["SOA_REFRESH_MINIMUM_VALUE"] = 3600.into();
    variables["zone04"]["SOA_RETRY_MINIMUM_VALUE"] = 600.into();
    variables["zone06"]["SOA_DEFAULT_TTL_MINIMUM_VALUE"] = 60.into();
    profile.to_string()
}

/// What is asked, in words that dig and kdig both know, and what must be in the answer.
const QUESTIONS: [(&str, &str); 22] = [
    ("example.com SOA", "hostmaster.example.com."),
    ("example.com NS", "ns2.example.com."),
    ("example.com MX", "mx-vn.example.com."),
    ("example.com TXT", "v=spf1"),
    ("example.com CAA", "ca.example"),
    ("example.com ANY +tcp", "NOERROR"),
    ("example.com DNSKEY", "SOA"),
    ("webmail.example.com A", "198.51.100."),
    ("webmail.example.com A +subnet=1.160.0.0/24", "1.160.0.0/24"),
    ("webmail.example.com AAAA +subnet=2001:db8:77::/56", "2001:db8:77::/56"),
    ("webmail.example.com HTTPS", "SOA"),
    ("webmail.example.com A +dnssec", "198.51.100."),
    ("webmail.example.com A +noedns", "198.51.100."),
    ("webmail.example.com A +nsid", "NSID"),
    ("webmail.example.com A +cookie", "198.51.100."),
    ("webmail.example.com A +ednsopt=65001:00", "198.51.100."),
    ("WebMail.eXample.com A", "198.51.100."),
    ("help.example.com A", "CNAME"),
    ("_imaps._tcp.example.com SRV", "993"),
    ("_25._tcp.mx-tw.example.com TLSA", "3 1 1"),
    ("k2026._domainkey.example.com TXT +bufsize=512", "v=DKIM1"),
    ("none.example.com A", "NXDOMAIN"),
];

/// Words in which tools complain.
const COMPLAINTS: [&str; 10] = [
    "WARNING",
    "Warning",
    "warning",
    "ERROR:",
    "Error",
    "error",
    "failed",
    "malformed",
    "mismatch",
    "truncated",
];

fn without_complaint(command: &mut Command, expected: &str) {
    let output = output(command);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains(expected), "{command:?}: no {expected:?} in\n{said}");
    // Not the code of a good answer.
    let rest = said.replace("NOERROR", "");
    for complaint in COMPLAINTS {
        assert!(!rest.contains(complaint), "{command:?}: {complaint:?} in\n{said}");
    }
}

/// In a network of its own, where probes lead nowhere.
fn example_server() -> (Lab, Namespace, Server) {
    let (lab, namespace) = (Lab::new(), Namespace::new(&[]));
    example(&lab);
    let server = start(&lab, &namespace);
    (lab, namespace, server)
}

#[test]
fn dig_and_kdig_have_nothing_to_complain_of() {
    let (_lab, namespace, server) = example_server();
    let (at, port) = (format!("@{}", server.address.ip()), server.address.port().to_string());
    for (question, expected) in QUESTIONS {
        for tool in ["dig", "kdig"] {
            // dig warns whenever recursion is asked for and not offered.
            let mut command = namespace.command(tool);
            command.args([&at, "-p", &port, "+norecurse"]).args(question.split(' '));
            without_complaint(&mut command, expected);
        }
    }
    let badvers = ["example.com", "SOA", "+norecurse", "+edns=1", "+noednsnegotiation"];
    without_complaint(namespace.command("dig").args([&at, "-p", &port]).args(badvers), "BADVERS");
    // And it comes to terms by itself with a server that knows version 0 alone.
    let negotiated = ["example.com", "SOA", "+norecurse", "+edns=1", "+noall", "+answer"];
    let said = stdout(namespace.command("dig").args([&at, "-p", &port]).args(negotiated));
    assert!(said.contains("hostmaster.example.com."), "{said}");
}

#[test]
fn drill_and_delv_have_nothing_to_complain_of() {
    let (_lab, namespace, server) = example_server();
    let (at, port) = (format!("@{}", server.address.ip()), server.address.port().to_string());
    for (question, expected) in QUESTIONS.iter().filter(|(question, _)| !question.contains('+')) {
        let (name, rtype) = question.split_once(' ').unwrap();
        for transport in ["-u", "-t"] {
            let mut drill = namespace.command("drill");
            drill.args(["-p", &port, "-o", "rd", transport, "-b", "1232", name, &at, rtype]);
            without_complaint(&mut drill, expected);
        }
        // delv takes a denial for a failure, and says so.
        let is_denied = matches!(*expected, "SOA" | "NXDOMAIN") && rtype != "SOA";
        for insecure in [&["-i"][..], &["+noroot"]].iter().filter(|_| !is_denied) {
            let mut delv = namespace.command("delv");
            delv.args([&at, "-p", &port]).args(*insecure).args([name, rtype]);
            without_complaint(&mut delv, expected);
        }
    }
}
