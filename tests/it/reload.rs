//! Files change under load: every answer is right, every mistake is told with its place.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::failover::{ZONE, mail_lab};
use crate::lab::{Ask, Lab, TW, wait_for};

/// The zone with another serial and another address at `moving`.
fn zone(serial: u32) -> String {
    ZONE.replace("hostmaster 1 ", &format!("hostmaster {serial} "))
        + &format!("moving A 192.0.2.{}\nsame A 192.0.2.200\n", serial % 200)
}

#[test]
fn edits_in_a_loop_under_load_lose_no_query_and_give_no_wrong_answer() {
    let (lab, sites) = mail_lab("200ms");
    lab.write("zones/mail.example.zone", &zone(1));
    let server = lab.start();
    crate::failover::wait_until_all_up(&server);
    let address = server.address;
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            std::thread::spawn(move || {
                let mut wrong = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    for (name, network, right) in [
                        ("webmail.mail.example.", TW, &["127.0.1.10"][..]),
                        ("same.mail.example.", TW, &["192.0.2.200"]),
                        ("moving.mail.example.", TW, &[]),
                    ] {
                        match Ask::new(name, "A").subnet(network).try_to(address) {
                            Ok(answer) if right.is_empty() && answer.data().len() == 1 => {}
                            Ok(answer) if answer.data() == right => {}
                            other => wrong.push(format!("{name}: {other:?}")),
                        }
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                }
                wrong
            })
        })
        .collect();
    let routes = fs::read_to_string(lab.path("zones/mail.example.toml")).unwrap();
    let database = fs::read(lab.path("country.mmdb")).unwrap();
    let good = Duration::from_secs(10);
    for round in 2..8u32 {
        lab.write("zones/mail.example.zone", &zone(round));
        wait_for("the new record is served", good, || {
            let data = server.ask("moving.mail.example.", "A").data();
            (data == [format!("192.0.2.{round}")]).then_some(())
        });
        // Broken files of each kind: what was good stays.
        let broken = format!("{}\nbroken A 192.0.2.999\n", zone(round + 100));
        lab.write("zones/mail.example.zone", &broken);
        server.wait_for_log("broken A 192.0.2.999");
        lab.write("zones/mail.example.zone", &zone(round));
        lab.write(
            "zones/mail.example.toml",
            &routes.replace("\"web-tw\", \"web-my\"", "\"web-tw\", \"web-mx\""),
        );
        server.wait_for_log("web-mx");
        lab.write("zones/mail.example.toml", &routes);
        fs::write(lab.path("cut.mmdb"), &database[..database.len() / 2]).unwrap();
        fs::rename(lab.path("cut.mmdb"), lab.path("country.mmdb")).unwrap();
        server.wait_for_log("country.mmdb");
        fs::write(lab.path("whole.mmdb"), &database).unwrap();
        fs::rename(lab.path("whole.mmdb"), lab.path("country.mmdb")).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let wrong: Vec<String> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert!(wrong.is_empty(), "{} of {}: {:?}", wrong.len(), asked.load(Ordering::Relaxed), &wrong[0]);
    assert!(asked.load(Ordering::Relaxed) > 1_000);
    let log = server.log();
    assert!(log.contains("mail.example.zone:"), "no place in\n{log}");
    assert!(log.contains("mail.example.toml:"), "no place in\n{log}");
    assert!(log.contains("did you mean"), "no suggestion in\n{log}");
    drop(sites);
    server.stop();
}

#[test]
fn a_configmap_swap_is_one_reload() {
    let lab = Lab::new();
    fs::remove_dir(lab.path("zones")).unwrap();
    let files = |revision: &str, serial: u32| {
        fs::create_dir(lab.path(revision)).unwrap();
        fs::write(lab.path(&format!("{revision}/mail.example.zone")), zone(serial)).unwrap();
    };
    // As kubelet lays a volume out: names link to ..data, which links to a revision.
    fs::create_dir(lab.path("zones")).unwrap();
    files("zones/..2026_1", 1);
    symlink("..2026_1", lab.path("zones/..data")).unwrap();
    symlink("..data/mail.example.zone", lab.path("zones/mail.example.zone")).unwrap();
    let server = lab.start();
    assert_eq!(server.ask("moving.mail.example.", "A").data(), ["192.0.2.1"]);
    files("zones/..2026_2", 2);
    symlink("..2026_2", lab.path("zones/..data_tmp")).unwrap();
    fs::rename(lab.path("zones/..data_tmp"), lab.path("zones/..data")).unwrap();
    wait_for("the swapped zone is served", Duration::from_secs(5), || {
        (server.ask("moving.mail.example.", "A").data() == ["192.0.2.2"]).then_some(())
    });
    server.stop();
}

#[test]
fn zones_come_and_go() {
    let lab = Lab::new();
    lab.write("zones/mail.example.zone", &zone(1));
    let server = lab.start();
    lab.write("zones/other.example.zone", "@ 60 SOA ns1.mail.example. h.mail.example. 1 1 1 1 60\n@ 60 NS ns1.mail.example.\nwww 60 A 192.0.2.1\n");
    wait_for("the new zone is served", Duration::from_secs(5), || {
        (server.ask("www.other.example.", "A").data() == ["192.0.2.1"]).then_some(())
    });
    fs::remove_file(lab.path("zones/other.example.zone")).unwrap();
    wait_for("the old zone is refused", Duration::from_secs(5), || {
        (server.ask("www.other.example.", "A").rcode() == "Refused").then_some(())
    });
    // An empty directory is a mistake, not the wish to serve nothing.
    fs::remove_file(lab.path("zones/mail.example.zone")).unwrap();
    server.wait_for_log("there are no zones here");
    assert_eq!(server.ask("moving.mail.example.", "A").data(), ["192.0.2.1"]);
    server.stop();
}

#[test]
fn networks_and_regions_reload() {
    let (lab, _sites) = mail_lab("1s");
    let server = lab.start();
    let from = |source: &str| Ask::new("webmail.mail.example.", "A").from(source).to(server.address).data();
    crate::failover::wait_until_all_up(&server);
    assert_eq!(from("127.0.0.2"), ["127.0.1.10"]);
    assert_eq!(from("127.0.0.9"), ["127.0.1.20"]);
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    // A region before the others gives each another number.
    let config =
        config.replace("[regions.tw]", "[regions.lab]\nnetworks = [\"127.0.0.9/32\"]\n\n[regions.tw]");
    lab.write("waypost.toml", &config);
    let zone_routes = fs::read_to_string(lab.path("zones/mail.example.toml")).unwrap();
    let routes = zone_routes.replace("type = \"address\"\n", "type = \"address\"\nlab = [\"web-vn\"]\n");
    lab.write("zones/mail.example.toml", &routes);
    wait_for("the new region has its site", Duration::from_secs(10), || {
        (from("127.0.0.9") == ["127.0.1.30"]).then_some(())
    });
    assert_eq!(from("127.0.0.2"), ["127.0.1.10"]);
    assert_eq!(from("127.0.0.4"), ["127.0.1.30"]);
    server.stop();
}

#[test]
fn lists_and_geofeeds_reload_and_a_bad_one_keeps_the_old() {
    let (lab, _sites) = mail_lab("1s");
    let config = fs::read_to_string(lab.path("waypost.toml")).unwrap();
    let config = config
        .replace("[geoip]\n", "[geoip]\ngeofeeds = [\"feed.csv\"]\n")
        .replace("countries = [\"VN\"]\n", "countries = [\"VN\"]\nnetwork_files = [\"vn.txt\"]\n");
    lab.write("waypost.toml", &config);
    lab.write("vn.txt", "# offices\n127.0.0.20/32\n");
    lab.write("feed.csv", "127.0.0.30/32,TW,,,\n");
    let server = lab.start();
    crate::failover::wait_until_all_up(&server);
    let from = |source: &str| Ask::new("webmail.mail.example.", "A").from(source).to(server.address).data();
    assert_eq!(from("127.0.0.20"), ["127.0.1.30"]);
    assert_eq!(from("127.0.0.30"), ["127.0.1.10"]);
    lab.write("vn.txt", "127.0.0.20/32\n127.0.0.300/32\n");
    server.wait_for_log("vn.txt:2:1");
    lab.write("vn.txt", "127.0.0.21/32\n");
    wait_for("the new list is used", Duration::from_secs(5), || {
        (from("127.0.0.21") == ["127.0.1.30"]).then_some(())
    });
    assert_eq!(from("127.0.0.20"), ["127.0.1.20"]);
    lab.write("feed.csv", "127.0.0.30/32,TAIWAN,,,\n");
    server.wait_for_log("feed.csv:1:");
    assert_eq!(from("127.0.0.30"), ["127.0.1.10"]);
    lab.write("feed.csv", "127.0.0.30/32,VN,,,\n");
    wait_for("the new feed is used", Duration::from_secs(5), || {
        (from("127.0.0.30") == ["127.0.1.30"]).then_some(())
    });
    server.stop();
}

#[test]
fn sighup_reads_everything() {
    let lab = Lab::new();
    lab.write("zones/mail.example.zone", &zone(1));
    let server = lab.start();
    server.signal("HUP");
    server.wait_for_log("reading all files anew");
    let deadline = Instant::now() + Duration::from_secs(1);
    let mut seen = BTreeSet::new();
    while Instant::now() < deadline {
        seen.insert(server.ask("same.mail.example.", "A").data());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [["192.0.2.200"]]);
    server.stop();
}
