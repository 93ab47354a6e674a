//! Keys that are lost, and zones that leave signing, below a parent that has DS: no change of files
//! makes a zone bogus.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::lab::{Lab, Server, output, stdout, wait_for, waypost};
use crate::small_disk::SmallDisk;

const ZONE: &str = "\
$TTL 1
@ SOA ns hostmaster 1 3600 600 86400 1
@ NS ns
ns A 192.0.2.53
";

const DS: &str = "example DS 1 13 2 0102030405060708091011121314151617181920212223242526272829303132\n";

struct Parent {
    lab: Lab,
    server: Server,
}

impl Parent {
    fn start(ds: &str) -> Parent {
        let lab = Lab::new();
        lab.write("zones/com.zone", &zone(ds, 1));
        let server = lab.start();
        Parent { lab, server }
    }

    fn put(&self, ds: &str, serial: u32) {
        self.lab.write("zones/com.zone", &zone(ds, serial));
        let is_there =
            || (self.server.ask("example.com.", "DS").data().is_empty() == ds.is_empty()).then_some(());
        wait_for("the parent's DS", Duration::from_secs(10), is_there);
    }

    /// A zone below this one; each wait takes a second.
    fn below(&self) -> Lab {
        let lab = Lab::new();
        lab.write("zones/example.com.zone", ZONE);
        lab.write("zones/example.com.toml", &self.policy("sign = true"));
        lab
    }

    fn policy(&self, sign: &str) -> String {
        let waits = "dnskey_ttl = 1\nparent_ds_ttl = 1\npropagation = \"1s\"\n";
        format!("[dnssec]\n{sign}\nparent = \"{}\"\n{waits}", self.server.address)
    }
}

fn zone(ds: &str, serial: u32) -> String {
    let head = format!("$TTL 1\n@ SOA ns hostmaster {serial} 3600 600 86400 1\n@ NS ns\nns A 192.0.2.53\n");
    format!("{head}example NS ns.example\nns.example A 192.0.2.53\n{ds}")
}

fn keys(lab: &Lab, arguments: &[&str]) -> String {
    stdout(waypost().current_dir(lab.directory.path()).arg("keys").args(arguments))
}

fn dig(server: &Server, arguments: &[&str]) -> String {
    let mut dig = Command::new("dig");
    dig.args(["@127.0.0.1", "-p", &server.address.port().to_string(), "+dnssec", "+noall", "+answer"]);
    stdout(dig.args(arguments))
}

fn wait_until_answered(server: &Server) {
    server.signal("HUP");
    let is_answered = || (server.ask("ns.example.com.", "A").rcode() == "NoError").then_some(());
    wait_for("the zone", Duration::from_secs(30), is_answered);
}

#[test]
fn no_new_keys_are_made_where_the_parent_has_ds_of_lost_ones() {
    let parent = Parent::start(DS);
    let lab = parent.below();
    let refused =
        output(waypost().current_dir(lab.directory.path()).args(["keys", "generate", "example.com"]));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("the parent has DS") && said.contains("generate --force example.com."), "{said}");
    let server = lab.start();
    server.wait_for_log("restore the keys from a backup; or have the DS taken out");
    assert_eq!(server.ask("ns.example.com.", "A").rcode(), "ServFail");
    assert!(!lab.path("keys/example.com/state.json").exists());
    let events = stdout(Command::new("dig").args([
        "@127.0.0.1",
        "-p",
        &server.address.port().to_string(),
        "+short",
        "CH",
        "TXT",
        "events.waypost",
    ]));
    assert!(events.contains("all answers would count as forged"), "{events}");
    keys(&lab, &["generate", "--force", "example.com"]);
    wait_until_answered(&server);
}

#[test]
fn keys_that_are_lost_while_the_server_runs_sign_on_from_memory() {
    let parent = Parent::start("");
    let lab = parent.below();
    let server = lab.start();
    let is_signed = |name: &str| dig(&server, &[name, "TXT"]).contains("RRSIG").then_some(());
    let dnskey = dig(&server, &["+nodnssec", "example.com", "DNSKEY"]);
    fs::rename(lab.path("keys"), lab.path("aside")).unwrap();
    server.signal("HUP");
    server.wait_for_log("is gone");
    assert!(server.log().contains("restore the directory from a backup"), "{}", server.log());
    // What is new is signed too, by the same keys; no others take their place.
    lab.write(
        "zones/example.com.zone",
        &format!("{ZONE}new TXT x\n").replace(" hostmaster 1 ", " hostmaster 2 "),
    );
    wait_for("a new signature", Duration::from_secs(10), || is_signed("new.example.com"));
    assert_eq!(dig(&server, &["+nodnssec", "example.com", "DNSKEY"]), dnskey);
    assert!(!lab.path("keys/example.com/state.json").exists());
    // Put back, all goes on.
    let _ = fs::remove_dir_all(lab.path("keys"));
    fs::rename(lab.path("aside"), lab.path("keys")).unwrap();
    let goes_on = || {
        server.signal("HUP");
        keys(&lab, &["list", "example.com"]).contains("submitted").then_some(())
    };
    wait_for("the next step", Duration::from_secs(30), goes_on);
    assert!(is_signed("new.example.com").is_some());
    server.stop();
}

#[test]
fn first_keys_are_made_when_the_ds_are_gone_and_remembered_when_they_were_seen() {
    let parent = Parent::start(DS);
    let lab = parent.below();
    let server = lab.start();
    assert_eq!(server.ask("ns.example.com.", "A").rcode(), "ServFail");
    parent.put("", 2);
    std::thread::sleep(Duration::from_secs(5));
    wait_until_answered(&server);
    let submitted = || {
        server.signal("HUP");
        keys(&lab, &["list", "example.com"]).contains("submitted").then_some(())
    };
    wait_for("a key that the parent is asked for", Duration::from_secs(30), submitted);
    parent.put(&keys(&lab, &["ds", "example.com"]), 3);
    let active = || {
        server.signal("HUP");
        keys(&lab, &["list", "example.com"]).contains("active").then_some(())
    };
    wait_for("an active key", Duration::from_secs(30), active);
    server.stop();
    // All keys lost, and the parent silent: that it had DS is known still.
    fs::remove_dir_all(lab.path("keys")).unwrap();
    drop(parent);
    let server = lab.start();
    server.wait_for_log("the parent had DS");
    assert_eq!(server.ask("ns.example.com.", "A").rcode(), "ServFail");
}

#[test]
fn a_zone_leaves_signing_when_its_ds_are_gone_and_not_before() {
    let parent = Parent::start("");
    let lab = parent.below();
    keys(&lab, &["generate", "example.com"]);
    parent.put(&keys(&lab, &["ds", "example.com"]).replace("; not", "\n; not"), 2);
    let server = lab.start();
    let is_signed = || dig(&server, &["ns.example.com", "A"]).contains("RRSIG");
    assert!(is_signed());
    // Off, and the whole table away: the same.
    for policy in [parent.policy("sign = false"), String::new(), parent.policy("sign = false")] {
        lab.write("zones/example.com.toml", &policy);
        let asks = || dig(&server, &["example.com", "CDS"]).contains("0 0 0 00").then_some(());
        wait_for("CDS that asks for no DS", Duration::from_secs(30), asks);
        assert!(dig(&server, &["example.com", "CDNSKEY"]).contains("0 3 0 AA=="));
        assert!(is_signed());
        let check = output(waypost().arg("check").arg(lab.directory.path()));
        let check = String::from_utf8(check.stdout).unwrap();
        assert!(check.contains("goes on being so until the parent has no DS"), "{check}");
    }
    let is_told = || {
        server.signal("HUP");
        server.log().contains("the zone goes on being signed").then_some(())
    };
    wait_for("what the zone waits for", Duration::from_secs(30), is_told);
    // Also over a restart.
    server.stop();
    let server = lab.start();
    let is_signed = || dig(&server, &["ns.example.com", "A"]).contains("RRSIG");
    assert!(is_signed());
    parent.put("", 3);
    assert!(is_signed());
    let has_left = || {
        server.signal("HUP");
        (!is_signed()).then_some(())
    };
    wait_for("a zone without signatures", Duration::from_secs(30), has_left);
    assert_eq!(dig(&server, &["example.com", "DNSKEY"]), "");
    server.stop();
    let server = lab.start();
    assert!(!dig(&server, &["ns.example.com", "A"]).contains("RRSIG"));
    // And in again: as a new zone.
    lab.write("zones/example.com.toml", &parent.policy("sign = true"));
    let is_signed = || dig(&server, &["ns.example.com", "A"]).contains("RRSIG").then_some(());
    wait_for("signatures", Duration::from_secs(30), is_signed);
    assert!(!keys(&lab, &["list", "example.com"]).contains("active"));
}

#[test]
fn an_operator_who_knows_better_leaves_signing_at_once() {
    let parent = Parent::start("");
    let lab = parent.below();
    keys(&lab, &["generate", "example.com"]);
    parent.put(DS, 2);
    let server = lab.start();
    let is_signed = || dig(&server, &["ns.example.com", "A"]).contains("RRSIG");
    assert!(is_signed());
    lab.write("zones/example.com.toml", &parent.policy("sign = false\nat_once = true"));
    wait_for("no signatures", Duration::from_secs(10), || (!is_signed()).then_some(()));
}

#[test]
fn on_a_full_disk_keys_stay_as_they_are_and_answers_go_on() {
    let parent = Parent::start("");
    let lab = parent.below();
    let Some(disk) = SmallDisk::mount(lab.path("keys"), "64k") else {
        println!("skipped: this user mounts no tmpfs");
        return;
    };
    let server = lab.start();
    let fill = disk.fill();
    let is_told = || {
        server.signal("HUP");
        server.log().contains("make room on the disk").then_some(())
    };
    wait_for("what to do", Duration::from_secs(30), is_told);
    assert!(keys(&lab, &["list", "example.com"]).contains("published"));
    let roll =
        output(waypost().current_dir(lab.directory.path()).args(["keys", "roll", "example.com", "--csk"]));
    assert!(!roll.status.success());
    assert!(dig(&server, &["ns.example.com", "A"]).contains("RRSIG"));
    assert_eq!(dig(&server, &["example.com", "CDS"]), "", "no step that isn't on the disk");
    // Also after a restart, and with the roll's key, if that took the last room, on nobody's way.
    server.stop();
    let server = lab.start();
    assert!(dig(&server, &["ns.example.com", "A"]).contains("RRSIG"));
    fs::remove_file(fill).unwrap();
    let goes_on = || {
        server.signal("HUP");
        keys(&lab, &["list", "example.com"]).contains("submitted").then_some(())
    };
    wait_for("the next step", Duration::from_secs(30), goes_on);
    server.stop();
}

/// RFC 4034 3.1.5: inception and expiration of the signature of an answer.
fn signed_when(server: &Server) -> (u64, u64) {
    let answer = dig(server, &["ns.example.com", "A"]);
    let line = answer.lines().find(|line| line.contains("RRSIG")).unwrap();
    let fields: Vec<&str> = line.split_whitespace().collect();
    let day = |text: &str| text[..8].parse().unwrap();
    (day(fields[9]), day(fields[8]))
}

#[test]
fn signatures_that_ended_while_the_server_stood_are_made_anew_before_it_answers() {
    let parent = Parent::start("");
    let lab = parent.below();
    let server = lab.start_with_clock("-60d");
    let (_, ended) = signed_when(&server);
    let today: u64 = stdout(Command::new("date").args(["-u", "+%Y%m%d"])).trim().parse().unwrap();
    assert!(ended < today, "{ended}: they hold still");
    server.stop();
    let server = lab.start();
    // The first answer of all.
    let (begun, ends) = signed_when(&server);
    assert!(begun > ended && begun <= today && ends > today, "{begun} to {ends}");
    server.stop();
}
