//! The set-up in which most adopt it: a subdomain delegated by a parent on somebody else's
//! servers. `docs/delegated-subdomain.md` is loaded as it stands.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::lab::{Lab, MY, Server, TW, VN, output, repository, stdout, wait_for, waypost};
use crate::namespace::{Daemon, Namespace};

/// A fenced block of the page, by the file name behind its language.
fn documented(file: &str) -> String {
    let page = fs::read_to_string(repository().join("docs/delegated-subdomain.md")).unwrap();
    let fence = page.lines().find(|line| line.starts_with("```") && line.ends_with(&format!(" {file}")));
    let fence = fence.unwrap_or_else(|| panic!("the page has no block {file}"));
    let (_, behind) = page.split_once(&format!("{fence}\n")).unwrap();
    behind.split_once("```").unwrap().0.to_owned()
}

/// A lab with the documented zone.
fn documented_lab() -> Lab {
    let lab = Lab::new();
    for file in ["gslb.example.com.zone", "gslb.example.com.toml"] {
        lab.write(&format!("zones/{file}"), &documented(file));
    }
    lab.write("parent.zone", &documented("example.com.zone"));
    lab
}

fn delegation(lab: &Lab, arguments: &[&str]) -> String {
    stdout(waypost().current_dir(lab.directory.path()).arg("delegation").args(arguments))
}

fn records(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with(';'))
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[test]
fn what_is_printed_is_what_the_documented_parent_holds() {
    let lab = documented_lab();
    let printed = delegation(&lab, &["gslb.example.com"]);
    let parent = documented("example.com.zone");
    let held = records(&parent);
    let lines = records(&printed);
    assert_eq!(lines.len(), 7, "{printed}");
    for line in &lines {
        assert!(held.contains(line), "{line:?} isn't in the documented parent\n{printed}");
    }
    // Nothing in the parent names the small zone but these lines and its MX.
    stdout(Command::new("named-checkzone").arg("example.com").arg(lab.path("parent.zone")));
    stdout(waypost().arg("check").arg("--strict").arg(lab.directory.path()));
}

#[test]
fn any_zone_s_lines_are_good_in_a_fresh_parent() {
    let lab = Lab::new();
    lab.write(
        "zones/gslb.example.com.zone",
        "$TTL 60\n@ SOA ns1 h 1 3600 600 86400 60\n@ NS ns1\n@ NS NS.sub\n@ NS ns.example.com.\n@ NS ns.example.net.\n\
         @ CDS 4660 13 2 ( 0123456789ABCDEF0123456789ABCDEF\n 0123456789ABCDEF0123456789ABCDEF )\n\
         ns1 A 192.0.2.1\n AAAA 2001:db8::1\nns.sub 120 A 192.0.2.2\nweb A 192.0.2.3\n_imaps._tcp SRV 1 1 993 web\n",
    );
    lab.write(
        "zones/gslb.example.com.toml",
        "[targets.t]\nipv4 = \"192.0.2.3\"\nhost = \"web\"\n\
         [routes.web]\nnames = [\"web\", \"*.web\", \"@\", \"gslb\"]\ntype = \"address\"\ndefault = [\"t\"]\n\
         [routes.imaps]\nname = \"_imaps._tcp\"\ntype = \"srv\"\nport = 993\ndefault = [\"t\"]\n\
         [routes.mx]\nname = \"@\"\ntype = \"mx\"\ndefault = [\"t\"]\n",
    );
    let printed = delegation(&lab, &["gslb.example.com"]);
    let shown: Vec<String> = records(&printed).iter().map(|fields| fields.join(" ")).collect();
    assert_eq!(
        shown,
        [
            "gslb.example.com. 60 IN NS NS.sub.gslb.example.com.",
            "gslb.example.com. 60 IN NS ns.example.com.",
            "gslb.example.com. 60 IN NS ns.example.net.",
            "gslb.example.com. 60 IN NS ns1.gslb.example.com.",
            "NS.sub.gslb.example.com. 120 IN A 192.0.2.2",
            "ns1.gslb.example.com. 60 IN A 192.0.2.1",
            "ns1.gslb.example.com. 60 IN AAAA 2001:db8::1",
            "gslb.example.com. 60 IN DS 4660 13 2 \
             0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "_imaps._tcp.example.com. 3600 IN CNAME _imaps._tcp.gslb.example.com.",
            "web.example.com. 3600 IN CNAME web.gslb.example.com.",
        ]
        .map(str::to_owned),
        "{printed}"
    );
    for comment in ["ns.example.com. isn't in the zone", "*.web.example.com. can't", "MX    10 web.gslb"] {
        assert!(printed.contains(comment), "{comment:?} isn't in\n{printed}");
    }
    let parent = "$TTL 300\n@ SOA ns h 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.9\n";
    lab.write("parent.zone", &format!("{parent}{printed}"));
    stdout(Command::new("named-checkzone").args(["-i", "full", "example.com"]).arg(lab.path("parent.zone")));
    // A registry's zone gets no names of ours; a grandparent gets all by its own name.
    let bare = delegation(&lab, &["gslb.example.com", "--no-aliases"]);
    assert!(!bare.contains("CNAME") && records(&bare).len() == 8, "{bare}");
    let grand = delegation(&lab, &["gslb.example.com", "--parent", "com"]);
    assert!(!grand.contains("CNAME"), "{grand}");

    for (arguments, expected) in [
        (["gslb.exmaple.com", "--parent=com"], "did you mean \"gslb.example.com.\""),
        (["gslb.example.com", "--parent=example.net"], "isn't below"),
    ] {
        let failed = output(waypost().current_dir(lab.directory.path()).arg("delegation").args(arguments));
        let said = String::from_utf8(failed.stderr).unwrap();
        assert!(failed.status.code() == Some(1) && said.contains(expected), "{said}");
    }
}

/// NSD and Knot hold the parent, Waypost the small zone, and unbound follows the delegation.
#[test]
fn resolvers_follow_the_documented_delegation() {
    let lab = documented_lab();
    let namespace = Namespace::new(&["198.51.100.53", "198.51.100.153", "203.0.113.53", "203.0.113.153"]);
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    let listen = r#"listen = ["198.51.100.53:53", "198.51.100.153:53"]"#;
    lab.write("waypost.toml", &config.replace(r#"listen = ["127.0.0.1:0"]"#, listen));
    let mut run = namespace.command(env!("CARGO_BIN_EXE_waypost"));
    run.arg("run");
    let server = Server::start_with(lab.directory.path(), run);
    let _nsd = nsd(&lab, &namespace);
    let _knot = knot(&lab, &namespace);
    let _unbound = unbound(&lab, &namespace);
    for server in ["@203.0.113.53", "@203.0.113.153"] {
        wait_for(&format!("{server} answers"), Duration::from_secs(10), || {
            // Refused as long as it hasn't opened its sockets.
            let asked = output(namespace.command("dig").args(["+short", server, "example.com", "NS"]));
            (asked.status.success() && asked.stdout.split(|octet| *octet == b'\n').count() == 3).then_some(())
        });
        let referral =
            stdout(namespace.command("dig").args([server, "webmail.gslb.example.com", "+norecurse"]));
        assert!(
            referral.contains("ns1.gslb.example.com.") && referral.contains("198.51.100.153"),
            "{referral}"
        );
    }
    // Nothing lives in this network, and with all sites dead everyone gets his own.
    wait_for("all targets are DOWN", Duration::from_secs(20), || {
        (server.log().matches("\"to\":\"DOWN\"").count() == 6).then_some(())
    });
    let through = |name: &str, rtype: &str, network: &str| {
        namespace.dig(&["@127.0.0.1", name, rtype, &format!("+subnet={network}")])
    };
    wait_for("unbound answers", Duration::from_secs(10), || {
        (through("example.com", "NS", TW).len() == 2).then_some(())
    });
    for round in 0..2 {
        for (network, web, mx) in [
            (TW, "198.51.100.10", "198.51.100.11"),
            (MY, "198.51.100.20", "198.51.100.21"),
            (VN, "198.51.100.30", "198.51.100.31"),
        ] {
            let webmail = through("webmail.example.com", "A", network);
            assert_eq!(webmail, [web, "webmail.gslb.example.com."], "{network}, round {round}");
            assert_eq!(through("mx.gslb.example.com", "A", network), [mx], "{network}, round {round}");
        }
    }
    let exchangers = through("example.com", "MX", VN);
    let expected = ["10 mx.gslb.example.com.", "20 mx-my.gslb.example.com.", "30 mx-vn.gslb.example.com."];
    assert_eq!(exchangers, expected);
    // Nameservers are found by the zone's own records.
    let mut check = namespace.command(env!("CARGO_BIN_EXE_waypost"));
    let said = stdout(check.args(["check", "--live", "--strict"]).arg(lab.directory.path()));
    for server in ["ns1.gslb.example.com. (198.51.100.53)", "ns2.gslb.example.com. (198.51.100.153)"] {
        assert!(said.contains(&format!("{server}: serial 2026112401, TCP, client subnets")), "{said}");
    }
    // IPv6 isn't there for anybody, which is NODATA behind the CNAME, and no failure.
    assert_eq!(through("webmail.example.com", "AAAA", TW), ["webmail.gslb.example.com."]);
}

fn nsd(lab: &Lab, namespace: &Namespace) -> Daemon {
    let place = lab.directory.path().display();
    let config = format!(
        "server:\n  ip-address: 203.0.113.53\n  username: \"\"\n  chroot: \"\"\n  database: \"\"\n  \
         zonesdir: \"{place}\"\n  pidfile: \"{place}/nsd.pid\"\n  xfrdfile: \"{place}/xfrd.state\"\n  \
         zonelistfile: \"{place}/zone.list\"\n  logfile: \"{place}/nsd.log\"\n  server-count: 1\n\
         remote-control:\n  control-enable: no\n\
         zone:\n  name: \"example.com\"\n  zonefile: \"parent.zone\"\n"
    );
    fs::write(lab.path("nsd.conf"), config).unwrap();
    let mut command = namespace.command("/usr/sbin/nsd");
    command.args(["-d", "-c"]).arg(lab.path("nsd.conf"));
    Daemon::start(command)
}

fn knot(lab: &Lab, namespace: &Namespace) -> Daemon {
    let place = lab.directory.path().display();
    let config = format!(
        "server:\n  rundir: \"{place}\"\n  listen: 203.0.113.153@53\ndatabase:\n  storage: \"{place}\"\n\
         zone:\n  - domain: \"example.com\"\n    file: \"{place}/parent.zone\"\n    zonefile-sync: -1\n    \
         journal-content: none\n"
    );
    fs::write(lab.path("knot.conf"), config).unwrap();
    let mut command = namespace.command("/usr/sbin/knotd");
    command.arg("-c").arg(lab.path("knot.conf"));
    Daemon::start(command)
}

fn unbound(lab: &Lab, namespace: &Namespace) -> Daemon {
    let place = lab.directory.path().display();
    let config = format!(
        "server:\n  directory: \"{place}\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"{place}/unbound.pid\"\n  \
         use-syslog: no\n  interface: 127.0.0.1\n  do-ip6: no\n  \
         module-config: \"subnetcache iterator\"\n  client-subnet-always-forward: yes\n  \
         send-client-subnet: 198.51.100.53\n  send-client-subnet: 198.51.100.153\n\
         stub-zone:\n  name: \"example.com\"\n  stub-addr: 203.0.113.53\n  stub-addr: 203.0.113.153\n\
         remote-control:\n  control-enable: no\n"
    );
    fs::write(lab.path("unbound.conf"), config).unwrap();
    let mut command = namespace.command("/usr/sbin/unbound");
    command.args(["-d", "-c"]).arg(lab.path("unbound.conf"));
    Daemon::start(command)
}
