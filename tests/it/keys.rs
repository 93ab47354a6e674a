//! Keys and signatures as other tools see them: BIND's dnssec-keygen and dnssec-dsfromkey, ldns.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use waypost::dnssec::{Keyring, Policy, type_bitmap};
use waypost::keys::{Signed, Store, keyring, turn};
use waypost::publish::now;
use waypost::wire::name::Name;
use waypost::wire::rtype::Rtype;

use crate::lab::{Lab, output, stdout, wait_for, waypost};

const ZONE: &str = "\
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 192.0.2.53
";

fn lab(dnssec: &str) -> Lab {
    let lab = Lab::new();
    lab.write("zones/example.com.zone", ZONE);
    lab.write("zones/example.com.toml", &format!("[dnssec]\nsign = true\n{dnssec}"));
    lab
}

fn keys(lab: &Lab, arguments: &[&str]) -> String {
    stdout(waypost().current_dir(lab.directory.path()).arg("keys").args(arguments))
}

fn refused(lab: &Lab, arguments: &[&str]) -> String {
    let output = output(waypost().current_dir(lab.directory.path()).arg("keys").args(arguments));
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Files of a directory that end so.
fn ending(directory: &Path, end: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path().display().to_string());
    let mut found: Vec<String> = entries.filter(|path| path.ends_with(end)).collect();
    found.sort();
    found
}

/// `tag algorithm digest-type digest` of DS lines, as either tool writes them.
fn ds_fields(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with(';'));
    let fields = lines.map(|line| {
        let (_, data) = line.split_once("DS").unwrap();
        let fields: Vec<&str> = data.split_whitespace().collect();
        format!("{} {} {} {}", fields[0], fields[1], fields[2], fields[3..].concat().to_lowercase())
    });
    let mut all: Vec<String> = fields.collect();
    all.sort();
    all
}

#[test]
fn keys_made_here_are_read_by_bind_and_ldns() {
    for (dnssec, count) in [("", 1), ("algorithm = \"ed25519\"\nkeys = \"ksk+zsk\"\n", 2)] {
        let lab = lab(dnssec);
        let made = keys(&lab, &["generate", "example.com"]);
        assert_eq!(made.lines().count(), count, "{made}");
        assert!(refused(&lab, &["generate", "example.com"]).contains("has keys already"));
        let directory = lab.path("keys/example.com");
        for private in ending(&directory, ".private") {
            assert_eq!(fs::metadata(private).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let ours = keys(&lab, &["ds", "example.com"]);
        let entry = ending(&directory, ".key")
            .into_iter()
            .find(|path| fs::read_to_string(path).unwrap().contains("DNSKEY 257"));
        let entry = entry.unwrap();
        let by_bind = stdout(Command::new("dnssec-dsfromkey").args(["-2", &entry]));
        let by_ldns = stdout(Command::new("ldns-key2ds").args(["-n", "-2", &entry]));
        assert_eq!(ds_fields(&ours), ds_fields(&by_bind));
        assert_eq!(ds_fields(&ours), ds_fields(&by_ldns));
        // BIND signs a zone with them.
        let signed = lab.path("signed.zone");
        let includes: String =
            ending(&directory, ".key").iter().map(|path| format!("$INCLUDE {path}\n")).collect();
        lab.write("with-keys.zone", &format!("{ZONE}{includes}"));
        let mut sign = Command::new("dnssec-signzone");
        sign.current_dir(&directory).args(["-z", "-o", "example.com", "-f"]).arg(&signed);
        stdout(sign.arg(lab.path("with-keys.zone")).args(ending(&directory, ".key")));
        stdout(Command::new("ldns-verify-zone").arg(&signed));
    }
}

#[test]
fn keys_made_by_bind_are_imported_and_rolled_to_another_algorithm() {
    let lab = lab("keys = \"ksk+zsk\"\n");
    let made = lab.path("bind");
    fs::create_dir(&made).unwrap();
    for arguments in [&["-a", "RSASHA256", "-b", "2048", "-f", "KSK"][..], &["-a", "RSASHA256", "-b", "2048"]]
    {
        stdout(Command::new("dnssec-keygen").current_dir(&made).args(arguments).arg("example.com"));
    }
    let mut import = vec!["import".to_owned(), "example.com".to_owned()];
    import.extend(ending(&made, ".private"));
    let import: Vec<&str> = import.iter().map(String::as_str).collect();
    let listed = keys(&lab, &import);
    assert!(listed.contains("KSK  active") && listed.contains("ZSK  active"), "{listed}");
    assert!(refused(&lab, &import).contains("already"));
    assert!(refused(&lab, &["roll", "example.com", "--zsk"]).contains("new keys of rsasha256 aren't made"));
    let check = output(waypost().arg("check").arg(lab.directory.path()));
    let check = String::from_utf8(check.stdout).unwrap();
    assert!(check.contains("waypost keys roll example.com. --algorithm ecdsap256sha256"), "{check}");
    let rolling = keys(&lab, &["roll", "example.com", "--algorithm", "ed25519"]);
    assert_eq!(rolling.matches("signing").count(), 2, "{rolling}");
    let json: serde_json::Value =
        serde_json::from_str(&keys(&lab, &["list", "example.com", "--json"])).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 4);
    // No server runs: what a key waits for begins when one has it in force.
    let next = &"waits for a server to take it up".into();
    assert_eq!((&json[2]["state"], &json[2]["next"]), (&"signing".into(), next));
    assert!(json[2]["next_at"].is_null());
    // And out again, as BIND reads them.
    let out = lab.path("out");
    keys(&lab, &["export", "example.com", &out.display().to_string()]);
    for path in ending(&out, ".private") {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    for path in ending(&out, ".key") {
        stdout(Command::new("dnssec-dsfromkey").args(["-2", &path]));
    }
    assert_eq!(ending(&out, ".key").len(), 4);
}

#[test]
fn a_key_for_another_zone_and_broken_files_are_refused() {
    let lab = lab("");
    let made = lab.path("bind");
    fs::create_dir(&made).unwrap();
    stdout(Command::new("dnssec-keygen").current_dir(&made).args(["-a", "ED25519", "example.net"]));
    let key = &ending(&made, ".private")[0];
    assert!(refused(&lab, &["import", "example.com", key]).contains("it is a key of example.net."));
    fs::write(key, "Private-key-format: v1.3\nAlgorithm: 15 (ED25519)\nPrivateKey: c2VjcmV0\n").unwrap();
    let said = refused(&lab, &["import", "example.com", key]);
    assert!(!said.contains("c2VjcmV0"), "{said}");
    assert!(refused(&lab, &["list", "example.com"]).contains("waypost keys generate example.com."));
}

#[test]
fn check_finds_a_ds_of_another_key_in_a_parent_that_is_here() {
    let lab = lab("");
    keys(&lab, &["generate", "example.com"]);
    let parent = |ds: &str| {
        format!(
            "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.53\nexample NS ns.example\nns.example A 192.0.2.53\n{ds}"
        )
    };
    lab.write("zones/com.zone", &parent(&format!("example DS 1 13 2 {}\n", "ab".repeat(32))));
    let check =
        || String::from_utf8(output(waypost().arg("check").arg(lab.directory.path())).stdout).unwrap();
    assert!(check().contains("DS 1 of example.com. matches none of its keys"), "{}", check());
    let ds = keys(&lab, &["ds", "example.com"]);
    let ds = ds.lines().find(|line| !line.starts_with(';')).unwrap();
    lab.write("zones/com.zone", &parent(ds));
    assert!(!check().contains("matches none"), "{}", check());
}

#[test]
fn the_delegation_has_the_keys_own_ds() {
    let lab = lab("");
    keys(&lab, &["generate", "example.com"]);
    let delegation =
        || stdout(waypost().current_dir(lab.directory.path()).args(["delegation", "example.com"]));
    assert!(delegation().contains("No DS for example.com. yet"), "{}", delegation());
    // As though all caches knew the key.
    let state = lab.path("keys/example.com/state.json");
    let text = fs::read_to_string(&state).unwrap().replace("\"published\"", "\"submitted\"");
    fs::write(&state, text).unwrap();
    let ds = keys(&lab, &["ds", "example.com"]);
    assert!(
        ds_fields(&delegation().lines().filter(|line| line.contains(" DS ")).collect::<String>())[0]
            == ds_fields(&ds)[0]
    );
}

/// One line of a zone file; signatures and denials in the form of any type (RFC 3597).
fn line(owner: &Name, rtype: Rtype, rdata: &[u8]) -> String {
    let hex: String = rdata.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{owner} 300 IN {rtype} \\# {} {hex}\n", rdata.len())
}

/// Types with the RDATA of each.
type Rrsets = Vec<(Rtype, Vec<Vec<u8>>)>;

/// A whole zone signed with a keyring, NSEC included.
fn signed_zone(ring: &Keyring) -> String {
    let name = |text: &str| Name::parse(text, None).unwrap();
    let (apex, ns, wild) = (name("example.com."), name("ns.example.com."), name("*.example.com."));
    let mut soa = b"\x02NS\x07example\x03com\0\x04Host\x07example\x03com\0".to_vec();
    soa.extend([1u32, 3600, 600, 86_400, 60].iter().flat_map(|number| number.to_be_bytes()));
    let dnskeys: Vec<Vec<u8>> = ring.dnskeys().map(<[u8]>::to_vec).collect();
    let cds: Vec<Vec<u8>> = ring.cds().map(<[u8]>::to_vec).collect();
    let mut owners: Vec<(Name, Rrsets)> = vec![
        (
            apex.clone(),
            vec![
                (Rtype::SOA, vec![soa]),
                (Rtype::NS, vec![ns.as_wire().to_ascii_uppercase()]),
                (Rtype::MX, vec![[b"\0\x0a", ns.as_wire()].concat(), b"\0\x05\0".to_vec()]),
                (Rtype::DNSKEY, dnskeys),
                (Rtype::CDS, cds),
            ],
        ),
        (wild, vec![(Rtype::TXT, vec![b"\x01b".to_vec(), b"\x01a".to_vec()])]),
        (ns, vec![(Rtype::A, vec![vec![192, 0, 2, 53]])]),
    ];
    let next: Vec<Name> =
        owners.iter().cycle().skip(1).take(owners.len()).map(|(name, _)| name.clone()).collect();
    for ((_, rrsets), next) in owners.iter_mut().zip(next) {
        rrsets.retain(|(_, rdatas)| !rdatas.is_empty());
        let types = rrsets.iter().map(|(rtype, _)| *rtype).chain([Rtype::RRSIG, Rtype::NSEC]);
        let nsec = [next.as_wire(), &type_bitmap(types)].concat();
        rrsets.push((Rtype::NSEC, vec![nsec]));
    }
    let mut text = String::new();
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
    for (owner, rrsets) in &owners {
        for (rtype, rdatas) in rrsets {
            let rdatas: Vec<&[u8]> = rdatas.iter().map(Vec::as_slice).collect();
            let validity = ring.validity(owner.as_wire(), seconds);
            rdatas.iter().for_each(|rdata| text += &line(owner, *rtype, rdata));
            for rrsig in ring.sign(owner.as_wire(), *rtype, 300, &rdatas, validity).iter() {
                text += &line(owner, Rtype::RRSIG, rrsig);
            }
        }
    }
    text
}

#[test]
fn ldns_verifies_a_zone_signed_here_with_imported_rsa_too() {
    for algorithm in ["ECDSAP256SHA256", "ED25519", "RSASHA256"] {
        let lab = lab("");
        let made = lab.path("bind");
        fs::create_dir(&made).unwrap();
        let bits: &[&str] = if algorithm == "RSASHA256" { &["-b", "2048"] } else { &[] };
        let mut make = Command::new("dnssec-keygen");
        stdout(make.current_dir(&made).args(["-a", algorithm, "-f", "KSK"]).args(bits).arg("example.com"));
        keys(&lab, &["import", "example.com", &ending(&made, ".key")[0]]);
        let apex = Name::parse("example.com.", None).unwrap();
        let signed =
            Signed { apex: apex.clone(), policy: Policy::default(), max_ttl: 300, is_leaving: false };
        let held = Store::new(&lab.path("keys")).zone(&apex).read(now()).unwrap();
        lab.write("signed.zone", &signed_zone(&keyring(&signed, &held)));
        stdout(Command::new("ldns-verify-zone").arg(lab.path("signed.zone")));
    }
}

#[test]
fn ldns_verifies_a_zone_with_a_key_signing_key() {
    let lab = lab("");
    let apex = Name::parse("example.com.", None).unwrap();
    let policy = Policy { keys: waypost::dnssec::KeySplit::KskZsk, ..Policy::default() };
    let signed = Signed { apex: apex.clone(), policy, max_ttl: 300, is_leaving: false };
    let turn = turn(&Store::new(&lab.path("keys")).zone(&apex), &signed, None, now()).unwrap();
    lab.write("signed.zone", &signed_zone(&turn.keyring));
    stdout(Command::new("ldns-verify-zone").arg(lab.path("signed.zone")));
}

#[test]
fn a_running_server_signs_with_its_keys_and_follows_a_roll() {
    let lab = lab("");
    let server = lab.start();
    let port = server.address.port().to_string();
    let dig = |arguments: &[&str]| {
        let mut dig = Command::new("dig");
        stdout(dig.args(["@127.0.0.1", "-p", &port, "+dnssec", "+noall", "+answer"]).args(arguments))
    };
    let delv = |name: &str| {
        let dnskey = dig(&["example.com", "DNSKEY", "+nodnssec"]);
        let key = dnskey.lines().find(|line| line.contains("DNSKEY\t257")).unwrap();
        let fields: Vec<&str> = key.split_whitespace().collect();
        let anchor = format!(
            "trust-anchors {{ example.com. static-key 257 3 {} \"{}\"; }};\n",
            fields[6],
            fields[7..].concat()
        );
        lab.write("anchor", &anchor);
        let mut delv = Command::new("delv");
        delv.args(["@127.0.0.1", "-p", &port, "-a"]).arg(lab.path("anchor"));
        stdout(delv.args(["+root=example.com", name, "A"]))
    };
    assert!(delv("ns.example.com").contains("fully validated"));
    assert_eq!(dig(&["example.com", "DNSKEY", "+nodnssec"]).lines().count(), 1);
    let state = lab.path("keys/example.com/state.json");
    let text = fs::read_to_string(&state).unwrap().replace("\"published\"", "\"active\"");
    fs::write(&state, text).unwrap();
    keys(&lab, &["roll", "example.com", "--algorithm", "ed25519"]);
    server.signal("HUP");
    let is_signed_twice = || dig(&["ns.example.com", "A"]).matches("RRSIG").count() == 2;
    let is_signed_twice = || is_signed_twice().then_some(());
    wait_for("signatures of both algorithms", Duration::from_secs(30), is_signed_twice);
    // Its signatures are there, its key isn't.
    assert_eq!(dig(&["example.com", "DNSKEY", "+nodnssec"]).lines().count(), 1);
    assert!(delv("ns.example.com").contains("fully validated"));
}

#[test]
fn a_zone_whose_keys_cannot_be_read_is_not_served_unsigned() {
    let lab = lab("");
    keys(&lab, &["generate", "example.com"]);
    let private = ending(&lab.path("keys/example.com"), ".private").remove(0);
    let kept = fs::read(&private).unwrap();
    fs::remove_file(&private).unwrap();
    let server = lab.start();
    server.wait_for_log("restore it from a backup");
    let (_, file) = private.rsplit_once('/').unwrap();
    assert!(server.log().contains(file), "{}", server.log());
    assert_eq!(server.ask("ns.example.com.", "A").rcode(), "ServFail");
    fs::write(&private, kept).unwrap();
    server.signal("HUP");
    let is_answered = || (server.ask("ns.example.com.", "A").rcode() == "NoError").then_some(());
    wait_for("the zone with its keys", Duration::from_secs(30), is_answered);
    // Lost while it runs: nothing changes but what is told.
    fs::remove_dir_all(lab.path("keys")).unwrap();
    server.signal("HUP");
    server.wait_for_log("the keys from before stay in force");
    assert_eq!(server.ask("ns.example.com.", "A").data(), ["192.0.2.53"]);
    assert!(!lab.path("keys").exists());
}

/// A zone whose every wait takes seconds, below a parent that hands out what it is told.
#[test]
fn a_csk_rolls_over_between_two_servers_and_validates_all_the_while() {
    let parent = Lab::new();
    let delegate = |ds: &str| {
        let head = "$TTL 1\n@ SOA ns hostmaster 1 3600 600 86400 1\n@ NS ns\nns A 192.0.2.53\n";
        parent
            .write("zones/com.zone", &format!("{head}example NS ns.example\nns.example A 192.0.2.53\n{ds}"));
    };
    delegate("");
    let above = parent.start();
    let lab = Lab::new();
    lab.write("zones/example.com.zone", &ZONE.replace("300", "1").replace(" 60", " 1"));
    let waits = "dnskey_ttl = 1\nparent_ds_ttl = 1\npropagation = \"1s\"\n";
    let policy = format!("[dnssec]\nsign = true\nparent = \"{}\"\n{waits}", above.address);
    lab.write("zones/example.com.toml", &policy);
    let server = lab.start();
    let listed = || keys(&lab, &["list", "example.com"]);
    let port = server.address.port().to_string();
    // What a resolver does that has the parent's DS of this moment.
    let validate = || {
        let ds = above.ask("example.com.", "DS").data();
        let anchor = |ds: &String| {
            let fields: Vec<&str> = ds.split_whitespace().collect();
            let (numbers, digest) = fields.split_at(3);
            format!("example.com. static-ds {} \"{}\";\n", numbers.join(" "), digest.concat())
        };
        let anchors: String = ds.iter().map(anchor).collect();
        if !anchors.is_empty() {
            lab.write("anchor", &format!("trust-anchors {{\n{anchors}}};\n"));
            let mut delv = Command::new("delv");
            delv.args(["@127.0.0.1", "-p", &port, "+root=example.com", "ns.example.com", "A", "-a"]);
            let said = stdout(delv.arg(lab.path("anchor")));
            assert!(said.contains("fully validated"), "{said}{}", listed());
        }
    };
    let until = |what: &str, is_so: &dyn Fn(&str) -> bool| {
        wait_for(what, Duration::from_secs(60), || {
            server.signal("HUP");
            validate();
            let listed = listed();
            is_so(&listed).then_some(listed)
        })
    };
    let hand_over = || {
        delegate(&keys(&lab, &["ds", "example.com"]));
    };
    until("a first key that the parent is asked for", &|listed| listed.contains("submitted"));
    hand_over();
    until("a first key that is active", &|listed| listed.contains("active"));
    keys(&lab, &["roll", "example.com", "--csk"]);
    until("another key that the parent is asked for", &|listed| listed.contains("submitted"));
    hand_over();
    let rolled =
        until("another key alone", &|listed| listed.contains("active") && listed.lines().count() == 1);
    let key = ending(&lab.path("keys/example.com"), ".private");
    assert!(key.len() == 1 && key[0].contains(rolled.split_whitespace().next().unwrap()), "{key:?} {rolled}");
}
