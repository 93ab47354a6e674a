//! Reverse zones, classless ones among them, and many zones at once.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::lab::{Lab, Server, output, stdout, wait_for, waypost};

const HEAD: &str = "$TTL 3600\n@ SOA ns1.example.com. hostmaster.example.com. 1 3600 600 1209600 60\n@ NS ns1.example.com.\n";

/// A class C network of which parts are other people's (RFC 2317).
const CLASSFUL: &str = "\
11 PTR mx-tw.example.com.
0/26 NS ns1.example.com.
1 CNAME 1.0/26
62 CNAME 62.0/26
64-127 NS ns1.example.com.
70 CNAME 70.64-127
";

fn lab() -> Lab {
    let lab = Lab::new();
    for (file, records) in [
        ("100.51.198.in-addr.arpa", CLASSFUL),
        (r"0\04726.100.51.198.in-addr.arpa", "1 PTR gate.customer.example.\n62 PTR mail.customer.example.\n"),
        ("64-127.100.51.198.in-addr.arpa", "70 PTR other.example.\n"),
        (
            "8.b.d.0.1.0.0.2.ip6.arpa",
            "1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0 PTR mx-tw.example.com.\n\
             *.f.f.f.f PTR pool.example.com.\n",
        ),
    ] {
        lab.write(&format!("zones/{file}.zone"), &format!("{HEAD}{records}"));
    }
    lab
}

fn dig_x(server: &Server, address: &str) -> Vec<String> {
    let (at, port) = (format!("@{}", server.address.ip()), server.address.port().to_string());
    let said = stdout(Command::new("dig").args([&at, "-p", &port, "+short", "+norecurse", "-x", address]));
    said.lines().map(str::to_owned).collect()
}

#[test]
fn addresses_have_their_names() {
    let lab = lab();
    stdout(waypost().arg("check").arg("--strict").arg(lab.directory.path()));
    let server = lab.start();
    for (address, names) in [
        ("198.51.100.11", &["mx-tw.example.com."][..]),
        // The whole chain in one answer, since both zones are here.
        ("198.51.100.1", &["1.0/26.100.51.198.in-addr.arpa.", "gate.customer.example."]),
        ("198.51.100.62", &["62.0/26.100.51.198.in-addr.arpa.", "mail.customer.example."]),
        ("198.51.100.70", &["70.64-127.100.51.198.in-addr.arpa.", "other.example."]),
        ("198.51.100.200", &[]),
        ("2001:db8:1::11", &["mx-tw.example.com."]),
        ("2001:db8:ffff::77", &["pool.example.com."]),
        ("2001:db8:5::1", &[]),
    ] {
        assert_eq!(dig_x(&server, address), names, "{address}");
    }
    let nothing = server.ask("200.100.51.198.in-addr.arpa.", "PTR");
    assert!(nothing.rcode() == "NXDomain" && nothing.message.authorities.len() == 1);
    // A name between apex and addresses exists, though nothing is there (RFC 8020).
    assert_eq!(server.ask("1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", "PTR").rcode(), "NoError");
    server.stop();
}

#[test]
fn a_zone_whose_name_no_file_can_have_is_kept_as_any_other() {
    let lab = lab();
    let server = lab.start();
    let name = r"0\04726.100.51.198.in-addr.arpa.zone";
    wait_for("the zone is kept", Duration::from_secs(5), || {
        lab.path(&format!("state/zones/{name}/{name}")).exists().then_some(())
    });
    server.stop();
    lab.write(&format!("zones/{name}"), "@ SOA broken\n");
    let server = lab.start();
    assert_eq!(
        dig_x(&server, "198.51.100.62"),
        ["62.0/26.100.51.198.in-addr.arpa.", "mail.customer.example."]
    );
    server.stop();
    // Another spelling would be the same zone under another name, and is refused with the right one.
    fs::rename(
        lab.path(&format!("zones/{name}")),
        lab.path(r"zones/\048\04726.100.51.198.in-addr.arpa.zone"),
    )
    .unwrap();
    let refused = output(waypost().arg("check").arg(lab.directory.path()));
    let said = String::from_utf8(refused.stdout).unwrap();
    assert!(refused.status.code() == Some(1) && said.contains(&format!("name the file {name}")), "{said}");
}

#[test]
fn many_zones_come_change_and_go() {
    const COUNT: u32 = 600;
    let lab = Lab::new();
    let apex = |number: u32| format!("{}.{}.10.in-addr.arpa", number % 256, number / 256);
    let put = |number: u32, name: &str| {
        lab.write(&format!("zones/{}.zone", apex(number)), &format!("{HEAD}7 PTR {name}\n"));
    };
    for number in 0..COUNT {
        put(number, &format!("host{number}.example.com."));
    }
    let server = lab.start();
    let name_of = |number: u32| server.ask(&format!("7.{}.", apex(number)), "PTR").data();
    for number in 0..COUNT {
        assert_eq!(name_of(number), [format!("host{number}.example.com.")]);
    }
    let listed: BTreeSet<String> = server.inspect("zones.waypost", None).into_iter().collect();
    assert_eq!(listed.len(), COUNT as usize);
    // A change, an addition and a removal leave all others alone.
    put(5, "changed.example.com.");
    put(COUNT, "added.example.com.");
    fs::remove_file(lab.path(&format!("zones/{}.zone", apex(9)))).unwrap();
    wait_for("the change is served", Duration::from_secs(10), || {
        (name_of(5) == ["changed.example.com."] && name_of(COUNT) == ["added.example.com."]).then_some(())
    });
    wait_for("the zone is gone", Duration::from_secs(10), || {
        (server.ask(&format!("7.{}.", apex(9)), "PTR").rcode() == "Refused").then_some(())
    });
    for number in (0..COUNT).filter(|number| ![5, 9].contains(number)) {
        assert_eq!(name_of(number), [format!("host{number}.example.com.")]);
    }
    server.stop();
}
