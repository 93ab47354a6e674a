//! `waypost check` over several zones: what none of them shows alone.

use crate::lab::{Lab, output, waypost};

const SOA: &str = "$TTL 300\n@ SOA ns1.example.com. hostmaster.example.com. 1 3600 600 86400 60\n";

/// Warnings of a check of these files.
fn warnings(files: &[(&str, &str)]) -> Vec<String> {
    let lab = Lab::new();
    for (file, text) in files {
        let head = if file.ends_with(".zone") { SOA } else { "" };
        lab.write(&format!("zones/{file}"), &format!("{head}{text}"));
    }
    let output = output(waypost().arg("check").arg(lab.directory.path()).args(["--format", "json"]));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = report["diagnostics"].as_array().unwrap().iter();
    let found: Vec<_> = found.map(|one| (&one["severity"], one["message"].as_str().unwrap())).collect();
    assert!(found.iter().all(|(severity, _)| *severity == "warning"), "{found:?}");
    found.into_iter().map(|(_, message)| message.to_owned()).collect()
}

const PARENT: &str = "@ NS ns1\nns1 A 192.0.2.1\n@ MX 10 mx\nmx A 192.0.2.25\nwww CNAME mx\n";
const CHILD: &str = "@ NS ns1\n@ NS ns1.example.com.\nns1 A 192.0.2.2\n";
const DELEGATION: &str = "gslb NS ns1.gslb\ngslb NS ns1\nns1.gslb A 192.0.2.2\nalias CNAME web.gslb\n";
const ROUTES: &str =
    "[targets.t]\nipv4 = \"192.0.2.80\"\n[routes.web]\ntype = \"address\"\ndefault = [\"t\"]\n";
const REVERSE: &str = "@ NS ns1.example.com.\n25 PTR mx.example.com.\n80 PTR web.gslb.example.com.\n";

#[test]
fn zones_that_agree_have_no_warnings() {
    let parent = format!(
        "{PARENT}{DELEGATION}cut NS ns.example.net.\nother CNAME any.cut\nwild CNAME x.any\n*.any A 192.0.2.9\n"
    );
    let found = warnings(&[
        ("example.com.zone", &parent),
        ("gslb.example.com.zone", CHILD),
        ("gslb.example.com.toml", ROUTES),
        ("2.0.192.in-addr.arpa.zone", REVERSE),
    ]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn each_disagreement_is_told_once() {
    for (parent, child, routes, reverse, expected) in [
        ("", CHILD, ROUTES, "", "example.com. is here too, and doesn't delegate gslb.example.com."),
        (
            "gslb NS ns1.gslb\nns1.gslb A 192.0.2.2\n",
            CHILD,
            ROUTES,
            "",
            "example.com. delegates gslb.example.com. to ns1.gslb.example.com., its own NS are \
             ns1.gslb.example.com., ns1.example.com.",
        ),
        (
            "gslb NS ns1.gslb\ngslb NS ns1\nns1.gslb A 192.0.2.3\n",
            CHILD,
            ROUTES,
            "",
            "ns1.gslb.example.com. has 192.0.2.2 here, and 192.0.2.3 in example.com.",
        ),
        (
            "sub NS ns1\n",
            "",
            "",
            "",
            "sub.example.com. is delegated to ns1.example.com., which serves this zone, and no such zone is here",
        ),
        (
            "a CNAME b\nb CNAME nowhere\n",
            "",
            "",
            "",
            "CNAME a.example.com. leads to nowhere.example.com., which isn't there",
        ),
        ("a CNAME a\n", "", "", "", "CNAME a.example.com. leads to itself"),
        (
            DELEGATION,
            &format!("{CHILD}web A 192.0.2.99\n"),
            ROUTES,
            "",
            "web.gslb.example.com. has 192.0.2.99 in the zone file, no target of route \"web\"",
        ),
        (
            DELEGATION,
            CHILD,
            &ROUTES
                .replace("routes.web]", "routes.web]\nnames = [\"web\", \"ns1\"]")
                .replace("192.0.2.80", "192.0.2.2"),
            "",
            "ns1.gslb.example.com. is a nameserver of the zone, and a route moves it",
        ),
        (
            "",
            "",
            "",
            "1 PTR ns1.example.com.\n",
            "mx.example.com. has 192.0.2.25, which has no name in 2.0.192.in-addr.arpa.",
        ),
        (
            "",
            "",
            "",
            "25 PTR ns1.example.com.\n",
            "192.0.2.25 has the name ns1.example.com., which hasn't this address",
        ),
    ] {
        let parent = format!("{PARENT}{parent}");
        let reverse = format!("@ NS ns1.example.com.\n{reverse}");
        let mut files = vec![("example.com.zone", parent.as_str())];
        if !child.is_empty() {
            files.extend([("gslb.example.com.zone", child), ("gslb.example.com.toml", routes)]);
        }
        if reverse.contains("PTR") {
            files.push(("2.0.192.in-addr.arpa.zone", &reverse));
        }
        let found = warnings(&files);
        assert!(found.iter().any(|one| one == expected), "{expected:?} isn't in {found:#?}");
        assert!(found.len() <= 2, "{expected:?}: {found:#?}");
    }
}
