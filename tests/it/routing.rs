//! Shares of a region's clients, and what a tier must have to answer.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::time::Duration;

use crate::lab::{Lab, Server, repository, stdout, wait_for, waypost};

const ZONE: &str = "\
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
ns1 A 127.0.0.1
";

/// Targets a, b, c and d at 192.0.2.1 to .4, in the states that `state` gives them.
fn targets(state: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (number, name) in (1..).zip(["a", "b", "c", "d"]) {
        let state = state.iter().find(|(target, _)| *target == name).map_or("auto", |(_, state)| *state);
        let _ = write!(text, "[targets.{name}]\nipv4 = \"192.0.2.{number}\"\nstate = \"{state}\"\n");
    }
    text
}

fn routes(state: &[(&str, &str)]) -> String {
    targets(state)
        + r#"
[routes.shift]
type = "address"
default = [["a", { target = "b", percent = 5 }], "d"]

[routes.three]
type = "address"
default = [[{ target = "a", weight = 1 }, { target = "b", weight = 1 }, { target = "c", weight = 2 }], "d"]

[routes.chance]
type = "address"
sticky = false
default = [["a", { target = "b", percent = 50 }]]

[routes.enough]
type = "address"
min_healthy = "50%"
default = [["a", "b", "c"], "d"]
"#
}

fn lab(state: &[(&str, &str)]) -> Lab {
    let lab = Lab::new();
    lab.write("zones/shares.example.zone", ZONE);
    lab.write("zones/shares.example.toml", &routes(state));
    lab
}

/// What each of a thousand networks gets.
fn by_network(server: &Server, name: &str) -> BTreeMap<String, String> {
    let networks = (0..1000).map(|n| format!("2001:db8:{:x}:{:x}00::/56", n / 8 + 1, n % 8));
    networks
        .map(|network| {
            let answer = server.ask_from(&format!("{name}.shares.example."), "A", &network);
            // Caches must not give one network's choice to others.
            assert!(answer.scope() >= Some(56), "{:?}", answer.scope());
            let data = answer.data();
            assert_eq!(data.len(), 1);
            (network, data[0].clone())
        })
        .collect()
}

fn count(answers: &BTreeMap<String, String>, address: &str) -> usize {
    answers.values().filter(|answer| *answer == address).count()
}

#[test]
fn five_per_cent_of_the_networks_go_to_the_new_site() {
    let lab = lab(&[]);
    let server = lab.start();
    let answers = by_network(&server, "shift");
    let shifted = count(&answers, "192.0.2.2");
    assert!((25..=75).contains(&shifted), "{shifted} of 1000");
    assert_eq!(shifted + count(&answers, "192.0.2.1"), 1000);
    // Asked again, from a restarted server: each network gets what it had.
    server.stop();
    let server = lab.start();
    assert_eq!(by_network(&server, "shift"), answers);
    let (network, _) = answers.iter().find(|(_, answer)| *answer == "192.0.2.2").unwrap();
    let why = server.inspect("shift.shares.example.why.waypost", Some(network)).join("\n");
    assert!(why.contains("weight 95") && why.contains("sticky: this client's /56 gets b"), "{why}");
    // The shorter prefix of an IPv4 network, and no scope where nothing is told.
    let ask = |network| server.ask_from("shift.shares.example.", "A", network);
    assert_eq!(ask("198.51.100.0/24").scope(), Some(24));
    assert_eq!(ask("198.51.100.7/32").data(), ask("198.51.100.0/24").data());
    assert_eq!(server.ask("shift.shares.example.", "A").scope(), None);
    server.stop();
}

#[test]
fn clients_of_a_dead_target_spread_and_nobody_else_moves() {
    let lab = lab(&[]);
    let server = lab.start();
    let before = by_network(&server, "three");
    lab.write("zones/shares.example.toml", &routes(&[("c", "down")]));
    wait_for("c is down", Duration::from_secs(5), || {
        let why = server.inspect("three.shares.example.why.waypost", None).join("\n");
        why.contains("c passed over").then_some(())
    });
    let after = by_network(&server, "three");
    for (network, answer) in &before {
        assert!(after[network] == *answer || answer == "192.0.2.3", "{network} moved from {answer}");
    }
    for address in ["192.0.2.1", "192.0.2.2"] {
        let gained = count(&after, address) - count(&before, address);
        assert!((150..350).contains(&gained), "{address} gained {gained} of 500");
    }
    server.stop();
}

#[test]
fn chance_chooses_for_each_query_where_it_is_told_to() {
    let lab = lab(&[]);
    let server = lab.start();
    let ask = || server.ask_from("chance.shares.example.", "A", "198.51.100.0/24");
    let answers: Vec<String> = (0..100).map(|_| ask().data().remove(0)).collect();
    let first = answers.iter().filter(|answer| *answer == "192.0.2.1").count();
    assert!((20..=80).contains(&first), "{first} of 100");
    assert_ne!(ask().scope(), Some(24), "the choice isn't the network's");
    server.stop();
}

#[test]
fn a_tier_of_which_too_little_is_left_spills_over() {
    let lab = lab(&[("a", "down")]);
    let server = lab.start();
    assert_eq!(server.ask("enough.shares.example.", "A").data(), ["192.0.2.2", "192.0.2.3"]);
    lab.write("zones/shares.example.toml", &routes(&[("a", "down"), ("b", "drained")]));
    wait_for("the next tier answers", Duration::from_secs(5), || {
        (server.ask("enough.shares.example.", "A").data() == ["192.0.2.4"]).then_some(())
    });
    let why = server.inspect("enough.shares.example.why.waypost", None).join("\n");
    assert!(why.contains("tier 1 has 1 of 3 healthy (33%), 50% are needed"), "{why}");
    // With nothing better, one of three is better than none.
    let few = [("a", "down"), ("b", "drained"), ("d", "down")];
    lab.write("zones/shares.example.toml", &routes(&few));
    wait_for("the best tier answers", Duration::from_secs(5), || {
        (server.ask("enough.shares.example.", "A").data() == ["192.0.2.3"]).then_some(())
    });
    server.stop();
}

/// All blocks of the page for a file, in their order.
fn documented(file: &str) -> String {
    let page = fs::read_to_string(repository().join("docs/routes.md")).unwrap();
    let fence = format!("```toml {file}\n");
    let blocks = page.split(&fence).skip(1).map(|behind| behind.split_once("```").unwrap().0);
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_documented_routes_are_good() {
    let lab = Lab::new();
    let hosts = "mx-tw A 198.51.100.11\nmx-my A 198.51.100.21\n";
    lab.write("zones/example.com.zone", &format!("{ZONE}{hosts}"));
    lab.write("zones/example.com.toml", &documented("example.com.toml"));
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    lab.write("waypost.toml", &format!("{config}{}", documented("waypost.toml")));
    let said = stdout(waypost().arg("check").arg("--strict").arg(lab.directory.path()));
    assert_eq!(said.matches("  route ").count(), 8, "{said}");
}
