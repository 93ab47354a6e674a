//! What survives a restart, however sudden.

use std::time::Duration;

use crate::failover::{mail_lab, wait_until_all_up, wait_until_sent_to};
use crate::lab::{TW, wait_for};
use crate::small_disk::SmallDisk;

#[test]
fn killed_while_a_site_is_down_it_never_serves_that_site() {
    let (lab, mut sites) = mail_lab("500ms");
    let server = lab.start();
    wait_until_all_up(&server);
    sites.web[0].down();
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_secs(5));
    wait_for("the verdict is on disk", Duration::from_secs(5), || {
        std::fs::read_to_string(lab.path("state/health.json")).ok()?.contains("DOWN").then_some(())
    });
    server.kill();
    for _ in 0..3 {
        let server = lab.start();
        for _ in 0..50 {
            let data = server.ask_from("webmail.mail.example.", "A", TW).data();
            assert_eq!(data, ["127.0.1.20"], "{}", server.log());
        }
        server.kill();
    }
    let server = lab.start();
    sites.web[0].up();
    wait_until_sent_to(&server, TW, "127.0.1.10", Duration::from_secs(10));
    server.stop();
}

#[test]
fn a_full_disk_of_the_state_costs_what_a_restart_remembers_and_no_answer() {
    let (lab, mut sites) = mail_lab("200ms");
    let Some(disk) = SmallDisk::mount(lab.path("state"), "256k") else {
        println!("skipped: this user mounts no tmpfs");
        return;
    };
    let server = lab.start();
    wait_until_all_up(&server);
    disk.fill();
    sites.web[0].down();
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_secs(5));
    server.wait_for_log("state isn't kept over a restart; answers go on");
    server.stop();
    // What was up when there was room is taken to be so, until it is seen that it isn't.
    let server = lab.start();
    wait_until_sent_to(&server, TW, "127.0.1.20", Duration::from_secs(5));
    server.stop();
}

#[test]
fn a_bad_file_at_the_start_has_its_last_good_version_served() {
    let (lab, _sites) = mail_lab("1s");
    let server = lab.start();
    wait_until_all_up(&server);
    wait_for("the zone is kept", Duration::from_secs(5), || {
        lab.path("state/zones/mail.example.zone/mail.example.zone").exists().then_some(())
    });
    server.stop();
    lab.write("zones/mail.example.zone", "@ SOA broken\n");
    let server = lab.start();
    assert_eq!(server.ask_from("webmail.mail.example.", "A", TW).data(), ["127.0.1.10"]);
    let zones = server.inspect("zones.waypost", None).join("\n");
    assert!(zones.contains("STALE") && zones.contains("mail.example.zone:1:"), "{zones}");
    server.stop();
}

#[test]
fn a_zone_that_never_loaded_is_servfail_and_the_others_go_on() {
    let (lab, _sites) = mail_lab("1s");
    lab.write("zones/bad.example.zone", "@ SOA broken\n");
    let server = lab.start();
    assert_eq!(server.ask("www.bad.example.", "A").rcode(), "ServFail");
    assert_eq!(server.ask("ns1.mail.example.", "A").data(), ["127.0.0.1"]);
    assert_eq!(server.ask("www.elsewhere.example.", "A").rcode(), "Refused");
    server.stop();
}
