//! Networks that no region has, as the API and the status page tell them.

use std::time::Duration;

use serde_json::Value;

use crate::failover::mail_lab;
use crate::lab::{Ask, Lab, TW, wait_for};
use crate::page::exchange_on;

/// What the API tells.
fn told(lab: &Lab) -> Value {
    let (status, answer) = get(lab, "/v1/unplaced");
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

fn get(lab: &Lab, path: &str) -> (u16, String) {
    let socket = std::os::unix::net::UnixStream::connect(lab.path("state/admin.sock")).unwrap();
    exchange_on(socket, "GET", path, &["host: localhost"], "")
}

fn set(lab: &Lab, section: &str) {
    let config = std::fs::read_to_string(lab.path("waypost.toml")).unwrap();
    let before = config.split("[unplaced]").next().unwrap();
    lab.write("waypost.toml", &format!("{before}\n{section}"));
}

#[test]
fn networks_that_no_region_has_are_told_with_zones_and_what_the_database_knows() {
    let (lab, _sites) = mail_lab("500ms");
    set(&lab, "[unplaced]\nsample = 1\n");
    let server = lab.start();
    let ask = |name: &str, rtype: &str, network: &str| {
        Ask::new(name, rtype).subnet(network).to(server.address);
    };
    // Japan, which no region of the lab has; documentation, which no database has.
    for _ in 0..3 {
        ask("webmail.mail.example.", "A", "133.11.0.0/24");
    }
    ask("mail.example.", "MX", "133.11.0.77/32");
    ask("webmail.mail.example.", "A", "2001:db8:1:2ff::/64");
    Ask::new("webmail.mail.example.", "A").tcp().to(server.address);
    // What has a region, what isn't routed, and what isn't there.
    ask("webmail.mail.example.", "A", TW);
    Ask::new("webmail.mail.example.", "A").from("127.0.0.2").to(server.address);
    ask("mail.example.", "SOA", "133.11.0.0/24");
    ask("webmail.elsewhere.example.", "A", "133.11.0.0/24");
    server.inspect("version.bind", None);
    let found = wait_for("all are counted", Duration::from_secs(5), || {
        Some(told(&lab)).filter(|found| found["routed"] == 8)
    });
    assert_eq!((&found["sample"], &found["unplaced"]), (&1.into(), &6.into()), "{found}");
    let networks: Vec<String> = found["networks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {} {}", one["network"].as_str().unwrap(), one["by_subnet"], one["sampled"]))
        .collect();
    assert_eq!(
        networks,
        ["133.11.0.0/24 true 4", "127.0.0.0/24 false 1", "2001:db8:1:200::/56 true 1"],
        "{found}"
    );
    let first = &found["networks"][0];
    assert_eq!((&first["known"], &first["overcounted"]), (&"JP".into(), &0.into()), "{found}");
    assert_eq!(first["zones"], serde_json::json!([{"zone": "mail.example.", "sampled": 4}]), "{found}");
    assert_eq!(found["networks"][1]["known"], Value::Null, "{found}");

    let (_, page) = get(&lab, "/");
    let section = page.split("id=\"unplaced\"").nth(1).unwrap();
    for part in ["133.11.0.0/24", "JP", "mail.example.", "client subnet (ECS)", "source address"] {
        assert!(section.contains(part), "{part} isn't in {section}");
    }

    // A region that has it is what they are shown for.
    let config = std::fs::read_to_string(lab.path("waypost.toml")).unwrap();
    lab.write("waypost.toml", &config.replace("countries = [\"TW\"]", "countries = [\"TW\", \"JP\"]"));
    wait_for("Japan is in tw now", Duration::from_secs(10), || {
        (!told(&lab).to_string().contains("133.11.0.0")).then_some(())
    });
    set(&lab, "[unplaced]\nsample = 0\n");
    wait_for("nothing is counted", Duration::from_secs(10), || {
        (told(&lab)["sample"] == Value::Null).then_some(())
    });
    ask("webmail.mail.example.", "A", "2001:db8::/48");
    let found = told(&lab);
    assert_eq!((&found["routed"], &found["networks"]), (&0.into(), &serde_json::json!([])));
    server.stop();
}

#[test]
fn a_sample_is_counted_where_nothing_is_configured() {
    let (lab, _sites) = mail_lab("500ms");
    let server = lab.start();
    wait_for("the server's workers take samples", Duration::from_secs(10), || {
        for _ in 0..100 {
            server.ask_from("webmail.mail.example.", "A", "133.11.0.0/24");
        }
        (told(&lab)["routed"].as_u64() > Some(0)).then_some(())
    });
    let found = told(&lab);
    assert_eq!((&found["sample"], &found["networks"][0]["network"]), (&100.into(), &"133.11.0.0/24".into()));
    server.stop();
}
