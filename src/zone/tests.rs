//! The room as a whole: text in, zone or diagnostics out.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

struct Texts(HashMap<PathBuf, Vec<u8>>);

impl Files for Texts {
    fn read(&self, path: &Path) -> io::Result<Bytes> {
        self.0.get(path).map(|text| text.clone().into()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn apex() -> Name {
    Name::parse("example.com.", None).unwrap()
}

fn load_files(files: &[(&str, &[u8])]) -> Result<Loaded, Vec<crate::diagnostic::Diagnostic>> {
    let texts = files.iter().map(|(path, text)| (Path::new("zones").join(path), text.to_vec())).collect();
    load(Path::new("zones/z"), &apex(), &Texts(texts), None, &|_| false)
}

fn load_text(text: &str) -> Result<Loaded, Vec<crate::diagnostic::Diagnostic>> {
    load_files(&[("z", text.as_bytes())])
}

const HEAD: &str = "$TTL 300\n@ SOA ns1 h 7 3600 600 86400 60\n@ NS ns1\nns1 A 192.0.2.53\n";

fn good(lines: &str) -> Zone {
    load_text(&format!("{HEAD}{lines}")).unwrap_or_else(|errors| panic!("{errors:#?}")).zone
}

/// Records of a zone as `owner ttl type data`, without those of `HEAD`.
fn records(zone: &Zone) -> Vec<String> {
    let mut all = Vec::new();
    for owner in zone.owners() {
        let name = Name::from_wire(owner.name()).unwrap();
        for rrset in owner.rrsets() {
            let (ttl, rtype) = (rrset.ttl(), rrset.rtype());
            all.extend(
                rrset.rdata().map(|rdata| format!("{name} {ttl} {rtype} {}", rdata_text(rtype, rdata))),
            );
        }
    }
    all.retain(|line| {
        let is_of_head = line.contains(" SOA ") || line.contains(" NS ns1.example.com.");
        !is_of_head && !line.starts_with("ns1.example.com. ")
    });
    all
}

#[test]
fn owners_ttls_origins_and_forms() {
    for (lines, expected) in [
        ("www A 192.0.2.1", "www.example.com. 300 A 192.0.2.1"),
        ("www 60 IN A 192.0.2.1", "www.example.com. 60 A 192.0.2.1"),
        ("www IN 1h A 192.0.2.1", "www.example.com. 3600 A 192.0.2.1"),
        ("WWW.example.com. a 192.0.2.1", "WWW.example.com. 300 A 192.0.2.1"),
        ("$ORIGIN sub\nwww A 192.0.2.1", "www.sub.example.com. 300 A 192.0.2.1"),
        ("$TTL 1m\nwww A 192.0.2.1", "www.example.com. 60 A 192.0.2.1"),
        ("x (\n 60 ; comment\n IN ) TXT ( \"a b\"\n c )", "x.example.com. 60 TXT \"a b\" \"c\""),
        ("a\\.b A 192.0.2.1", "a\\.b.example.com. 300 A 192.0.2.1"),
        ("x TXT \"q\\\"uote \\195\\164\" ;c", "x.example.com. 300 TXT \"q\\\"uote \\195\\164\""),
        ("x TYPE65280 \\# 4 0A00 0001", "x.example.com. 300 TYPE65280 \\# 4 0a000001"),
        ("x CLASS1 TYPE1 \\# 4 C0000201", "x.example.com. 300 A 192.0.2.1"),
        ("x TYPE65280 \\# 0", "x.example.com. 300 TYPE65280 \\# 0"),
        ("*.w A 192.0.2.1", "*.w.example.com. 300 A 192.0.2.1"),
    ] {
        assert_eq!(records(&good(lines)), [expected], "{lines}");
    }
    let zone = good("www 60 A 192.0.2.1\n AAAA 2001:db8::1\n\tTXT x\n");
    assert_eq!(zone.owner(b"\x03www\x07example\x03com\x00").unwrap().rrsets().count(), 3);
    // Without $TTL: the TTL written last, and before any the SOA's MINIMUM.
    let zone =
        load_text("@ SOA ns1 h 7 1 1 1 42\n@ NS ns1\nns1 77 A 192.0.2.53\nx A 192.0.2.1\n").unwrap().zone;
    assert_eq!((zone.soa().ttl(), zone.soa().serial(), zone.soa().minimum()), (42, 7, 42));
    assert_eq!(records(&zone), ["x.example.com. 77 A 192.0.2.1"]);
}

#[test]
fn every_type_that_mail_domains_use() {
    for (line, expected) in [
        ("AAAA 2001:DB8::1", "2001:db8::1"),
        ("MX 10 ns1", "10 ns1.example.com."),
        ("SRV 10 60 993 ns1", "10 60 993 ns1.example.com."),
        ("PTR ns1", "ns1.example.com."),
        ("CNAME ns1", "ns1.example.com."),
        ("DNAME other.example.", "other.example."),
        ("CAA 0 issue \"ca.example\"", "0 issue \"ca.example\""),
        ("HINFO \"a b\" c", "\"a b\" \"c\""),
        ("OPENPGPKEY mQENBA==", "mQENBA=="),
    ] {
        let zone = good(&format!("x {line}"));
        let found = records(&zone);
        assert!(found[0].ends_with(expected), "{line}: {found:?}");
    }
    // What others read is compared octet by octet in the tests with NSD and Knot.
    for (line, octets) in [
        ("TLSA 3 1 1 ( 01 23 )", &[3, 1, 1, 1, 0x23][..]),
        ("SMIMEA 3 0 0 3082", &[3, 0, 0, 0x30, 0x82]),
        ("SSHFP 4 2 0123", &[4, 2, 1, 0x23]),
        ("DS 258 13 2 ABCD", &[1, 2, 13, 2, 0xab, 0xcd]),
        ("NAPTR 1 2 S SIP+D2U \"\" h", b"\x00\x01\x00\x02\x01S\x07SIP+D2U\x00\x01h\x07example\x03com\x00"),
        ("HTTPS 1 . alpn=h2", b"\x00\x01\x00\x00\x01\x00\x03\x02h2"),
        ("SVCB 0 svc", b"\x00\x00\x03svc\x07example\x03com\x00"),
        (
            "LOC 25 2 30.5 N 121 33 W 9m",
            &[0, 0x12, 0x16, 0x13, 0x85, 0x5f, 0x96, 0x64, 0x65, 0xeb, 0x0f, 0x20, 0, 0x98, 0x9a, 0x04],
        ),
    ] {
        let extra = if line.starts_with("DS") { "x NS ns1\n" } else { "" };
        let zone = good(&format!("{extra}x {line}\n"));
        let rtype: Rtype = line.split(' ').next().unwrap().parse().unwrap();
        let owner = zone.owner(b"\x01x\x07example\x03com\x00").unwrap();
        let rdata = owner.rrset(rtype).unwrap().rdata().next().unwrap();
        assert_eq!(rdata, octets, "{line}");
    }
}

/// `line:column message` of each finding, behind the four lines of `HEAD`.
fn findings(lines: &str) -> Vec<String> {
    let found = match load_text(&format!("{HEAD}{lines}")) {
        Ok(loaded) => loaded.warnings,
        Err(errors) => errors,
    };
    let line = |found: &crate::diagnostic::Diagnostic| i64::from(found.line) - 4;
    found.iter().map(|one| format!("{}:{} {}", line(one), one.column, one.message)).collect()
}

#[test]
fn each_mistake_has_its_place() {
    let long = format!("{}.", "x".repeat(64));
    for (lines, expected) in [
        ("x A 2001:db8::1", "1:5 \"2001:db8::1\" isn't an IPv4 address"),
        ("x AAAA 192.0.2.1", "1:8 \"192.0.2.1\" isn't an IPv6 address"),
        ("x MX 10", "1:8 the exchanger is missing here"),
        ("x MX ten ns1", "1:6 \"ten\" isn't a preference"),
        ("x CNAME a b", "1:11 \"b\" is more than CNAME takes"),
        ("x TXT \"open\nx A 192.0.2.1", "1:7 quote is never closed on its line"),
        ("x A ( 192.0.2.1\n", "1:5 parenthesis is never closed"),
        ("x AAA 192.0.2.1", "1:3 unknown type \"AAA\""),
        ("x 99999999999 A 192.0.2.1", "1:3 \"99999999999\" isn't a TTL, or a second one"),
        ("x 2147483648 A 192.0.2.1", "1:3 TTL \"2147483648\" is over 2147483647 (RFC 2181 8)"),
        ("x CH A 192.0.2.1", "1:3 class \"CH\" isn't served"),
        ("x.other.example. A 192.0.2.1", "1:1 x.other.example. is outside of the zone example.com."),
        ("$ORIGNI sub", "1:1 unknown directive \"$ORIGNI\""),
        ("$GENERATE 1-3 h$ A 192.0.2.$", "1:1 $GENERATE isn't standard and isn't read"),
        ("$INCLUDE ../secret", "1:10 \"../secret\": only files in the zone directory are included"),
        ("$INCLUDE /etc/passwd", "1:10 \"/etc/passwd\": only files in the zone directory are included"),
        ("x TXT a\\999", "1:8 bad escape"),
        ("x TYPE65280 \\# 3 0A00", "1:13 RDATA has 2 octets, 3 were announced"),
        ("x A \\# 3 0A0000", "1:5 these octets are no RDATA of type A"),
        ("x IN", "1:5 the record's type is missing here"),
        ("x ANY 192.0.2.1", "1:3 class \"ANY\" isn't served"),
        ("x 1x A 192.0.2.1", "1:3 \"1x\" isn't a TTL, or a second one"),
        ("x 300 300 A 192.0.2.1", "1:7 \"300\" isn't a TTL, or a second one"),
        ("x MX 10 192.0.2.1", "1:9 \"192.0.2.1\" is an address, and the exchanger must be a name"),
        ("x MX 10 192.0.2.1.", "1:9 \"192.0.2.1.\" is an address, and the exchanger must be a name"),
        ("@ DS 1 13 2 00", "1:1 DS stands at the apex (RFC 4035 2.4)"),
        ("x DNAME y.example.\nx NS ns1", "1:1 DNAME stands beside NS (RFC 6672 2.3)"),
        ("x NS 2001:db8::1", "1:6 \"2001:db8::1\" is an address, and the name server must be a name"),
        ("*.w NS ns1", "1:1 NS at a wildcard has no defined meaning (RFC 4592 4)"),
        ("* DNAME other.example.", "1:1 DNAME at a wildcard has no defined meaning (RFC 4592 4)"),
        ("x LOC 1 N 1 E 92233720368547758.07m", "1:15 \"92233720368547758.07m\" isn't an altitude"),
        ("x CAA 0 issue \"ca.example\" y", "1:28 \"y\" is more than CAA takes"),
        ("x HTTPS 1 . alpn=h2 aplication=1", "1:21 unknown key \"aplication\""),
        ("x SVCB 1 . port=", "1:12 this is no value of port"),
        ("x TYPE16 \\# 2 0561", "1:10 these octets are no RDATA of type TXT"),
        ("x RRSIG A 13 2 300", "1:9 RRSIG of a signed zone: answers carry no signatures of a zone file"),
        (
            "x RRSIG A 13 3 300 (\n20261229182109 20261129182109 44367 example.com.\nObt1 )",
            "1:9 a signature of \"A\" until 2026-12-29: answers carry no signatures of a zone file",
        ),
        (
            "x A 192.0.2.1\nx RRSIG \\# 20 00010d030000012c6b33fa1e6b0c6d1ead4f00ab\ny A 192.0.2.1\ny RRSIG \\# 20 00010d030000012c6b33fa156b0c6d15ad4f00ab",
            "4:1 answers carry no signatures of a zone file; the first of those here ends at 2026-12-29T18:21:09Z",
        ),
        ("x NSEC ns1 A RRSIG NSEC", "1:8 NSEC of a signed zone: answers carry no signatures of a zone file"),
        ("x OPT x", "1:3 OPT is no type of data in a zone"),
        // Semantics, at the record that is meant.
        ("x CNAME ns1\nx A 192.0.2.1", "1:1 CNAME stands beside A at the same name (RFC 1034 3.6.2)"),
        ("x CNAME ns1\nx CNAME ns2", "1:1 several CNAME records at one name"),
        ("@ MX 1 x\nx CNAME ns1", "1:1 MX names x.example.com., which is a CNAME (RFC 2181 10.3)"),
        ("@ MX 1 nowhere", "1:1 MX names nowhere.example.com., which has no address in this zone"),
        ("s NS ns.s", "1:1 NS names ns.s.example.com., which has no address in this zone"),
        ("@ SOA ns1 h 8 1 1 1 1", "-2:1 the zone has several SOA records"),
        ("x SOA ns1 h 8 1 1 1 1", "1:1 SOA stands below the apex"),
        ("d DNAME e\nx.d A 192.0.2.1", "2:1 the name lies below a DNAME, which redirects it (RFC 6672 2.4)"),
        ("s NS ns1\nx.s TXT x", "2:1 the name lies below a delegation: others answer for it"),
        (
            "x 1 A 192.0.2.1\nx 2 A 192.0.2.2",
            "2:1 the TTL differs from other records of this owner and type (RFC 2181 5.2)",
        ),
        ("x A 192.0.2.1\nx A 192.0.2.1", "2:1 the same record was there already"),
        ("@ MX 1 ns1.example.com", "1:1 ns1.example.com.example.com. has the zone's name twice"),
        // What a record says by itself.
        ("a.*.b A 192.0.2.1", "1:1 a * that isn't the first label is no wildcard (RFC 4592 2.1.1)"),
        ("a_b A 192.0.2.1", "1:1 A stands at a name that no host can have (RFC 1123 2.1)"),
        ("-a MX 1 ns1", "1:1 MX stands at a name that no host can have (RFC 1123 2.1)"),
        (
            "x SRV 1 1 1 a_b\na_b A 192.0.2.1",
            "1:1 SRV names a_b.example.com., which no host can have (RFC 1123 2.1)",
        ),
        ("x MX 0 .\nx MX 1 ns1", "1:1 MX . stands beside other exchangers (RFC 7505 3)"),
    ] {
        let found = findings(lines);
        assert!(found.iter().any(|one| one == expected), "{lines:?}: {found:#?}");
    }
    let found = findings(&format!("{long} A 192.0.2.1"));
    assert!(found[0].contains("label is longer than 63 octets"), "{found:?}");
    let found = findings(&format!("x TXT \"{}\"", "y".repeat(256)));
    assert!(found[0].contains("256 octets, and one holds 255"), "{found:?}");
    let errors = load_text("@ 1 NS ns1\nns1 1 A 192.0.2.1\n").unwrap_err();
    assert!(errors[0].message.contains("no SOA"), "{errors:?}");
}

#[test]
fn keys_that_nobody_relies_on_any_more_are_told() {
    for (records, expected) in [
        ("sub DS 1 13 2 ab", ""),
        ("sub DS 1 8 4 ab", ""),
        ("sub DS 1 7 2 ab", "DS is of algorithm 7, which must not be used (RFC 9904)"),
        ("sub DS 1 13 1 ab", "DS has a digest of SHA-1 (RFC 9905), which must not be used"),
        ("@ DNSKEY 257 3 5 AQID", "DNSKEY is of algorithm 5, which must not be used (RFC 9904)"),
        ("@ CDS 0 0 0 00", ""),
        ("@ NSEC3PARAM 1 0 0 -", ""),
        ("@ NSEC3PARAM 1 0 10 -", "NSEC3PARAM has 10 further rounds and 0 octets of salt (RFC 9276 3.1)"),
        ("@ NSEC3PARAM 1 0 0 abcd", "NSEC3PARAM has 0 further rounds and 2 octets of salt (RFC 9276 3.1)"),
    ] {
        let text = format!(
            "$TTL 300\n@ SOA ns1 h 7 3600 600 86400 60\n@ NS ns1\nns1 A 192.0.2.53\nsub NS ns1\n{records}\n"
        );
        let found: Vec<String> =
            load_text(&text).unwrap().warnings.iter().map(|one| one.message.clone()).collect();
        assert_eq!(found.join("\n"), expected, "{records}");
    }
}

#[test]
fn a_soa_that_breaks_transfers_is_told() {
    for (soa, expected) in [
        ("ns1 h 7 600 3600 86400 60", "RETRY 3600 isn't shorter than REFRESH 600"),
        ("ns1 h 7 3600 600 4200 60", "EXPIRE 4200 isn't longer than REFRESH and RETRY together"),
        ("ns1 h 7 3600 600 86400 86401", "MINIMUM 86401 is more than a day (RFC 2308 5)"),
        ("ns1 h\\@example.com. 7 3600 600 86400 60", "RNAME has an @ (RFC 1035 3.3.13)"),
        ("ns1 h 7 3600 600 86400 60", ""),
    ] {
        let text = format!("$TTL 300\n@ SOA {soa}\n@ NS ns1\nns1 A 192.0.2.53\n");
        let found: Vec<String> =
            load_text(&text).unwrap().warnings.iter().map(|one| one.message.clone()).collect();
        assert_eq!(found.join("\n"), expected, "{soa}");
    }
}

#[test]
fn reverse_names_are_those_of_addresses() {
    let reverse = |apex: &str, owner: &str| {
        let text = format!(
            "$TTL 1\n@ SOA n.example. h.example. 7 3600 600 86400 60\n@ NS n.example.\n{owner} PTR h.example.\n"
        );
        let files = Texts([(PathBuf::from("z"), text.into_bytes())].into());
        let apex = Name::parse(apex, None).unwrap();
        load(Path::new("z"), &apex, &files, None, &|_| false).unwrap().warnings.len()
    };
    for (apex, owner, warnings) in [
        ("100.51.198.in-addr.arpa.", "11", 0),
        ("100.51.198.in-addr.arpa.", "*", 0),
        ("100.51.198.in-addr.arpa.", "256", 1),
        ("100.51.198.in-addr.arpa.", "11.100.51.198", 1),
        ("51.198.in-addr.arpa.", "11", 1),
        ("0/26.100.51.198.in-addr.arpa.", "11", 0),
        ("8.b.d.0.1.0.0.2.ip6.arpa.", "1", 1),
        ("8.b.d.0.1.0.0.2.ip6.arpa.", "1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0", 0),
        ("example.com.", "b._dns-sd._udp", 0),
    ] {
        assert_eq!(reverse(apex, owner), warnings, "{owner} in {apex}");
    }
}

#[test]
fn all_mistakes_of_a_file_at_once_and_not_too_many() {
    let found = findings("a A x\nb AAAA y\nc MX 10\nd TXT \"open\ne WHAT 1\nf A 192.0.2.1\n");
    assert_eq!(found.len(), 5, "{found:#?}");
    let found = findings(&"a A x\n".repeat(500));
    assert_eq!(found.len(), crate::limits::DIAGNOSTICS + 1, "{found:?}");
    assert!(found.last().unwrap().contains("and 400 more"), "{found:?}");
}

#[test]
fn errors_show_behind_any_number_of_warnings() {
    let many: String = (0..150).map(|n| format!("d{n} A 192.0.2.1\nd{n} A 192.0.2.1\n")).collect();
    let errors = load_text(&format!("{HEAD}{many}x CNAME ns1\nx A 192.0.2.1\n")).unwrap_err();
    assert!(errors.iter().any(|error| error.message.contains("CNAME stands beside A")), "{errors:?}");
    assert!(errors.last().unwrap().message.contains("and 51 more"), "{errors:?}");
}

#[test]
fn a_dot_forgotten_in_the_origin_is_told_soon() {
    let hosts: String = (0..20_000).map(|number| format!("h{number} A 192.0.2.1\n")).collect();
    let started = std::time::Instant::now();
    let warnings = load_text(&format!("{HEAD}$ORIGIN example.com\n{hosts}")).unwrap().warnings;
    assert!(warnings[0].message.contains("has the zone's name twice"), "{warnings:?}");
    assert_eq!(warnings.last().unwrap().message, "and 19900 more");
    // One search of all records for each finding took minutes.
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
fn included_files_have_their_own_places_and_leave_the_origin() {
    let main = format!("{HEAD}$INCLUDE part sub\nx A 192.0.2.2\n");
    let loaded = load_files(&[("z", main.as_bytes()), ("part", b"$ORIGIN deep\ny A 192.0.2.1\n")]).unwrap();
    assert_eq!(
        records(&loaded.zone),
        ["y.deep.sub.example.com. 300 A 192.0.2.1", "x.example.com. 300 A 192.0.2.2"]
    );
    let errors = load_files(&[("z", main.as_bytes()), ("part", b"\ny A wrong\n")]).unwrap_err();
    assert_eq!(errors[0].place_and_message(), "zones/part:2:5: \"wrong\" isn't an IPv4 address");
    let errors = load_files(&[("z", main.as_bytes())]).unwrap_err();
    assert!(
        errors[0].place_and_message().starts_with("zones/z:5:10: zones/part cannot be read"),
        "{errors:?}"
    );
    let errors = load_files(&[("z", format!("{HEAD}$INCLUDE z\n").as_bytes())]).unwrap_err();
    assert!(errors[0].message.contains("the file includes itself"), "{errors:?}");
    // By way of another, twice each, and spelled differently: each file is read once.
    let main = format!("{HEAD}$INCLUDE part\n$INCLUDE part\n");
    let errors = load_files(&[("z", main.as_bytes()), ("part", b"$INCLUDE ./z\n$INCLUDE z\n")]).unwrap_err();
    assert_eq!(errors.len(), 4, "{errors:?}");
}

#[test]
fn differences_by_owner() {
    let names = |old: &str, new: &str| -> Vec<String> {
        diff(&good(old), &good(new)).iter().map(ToString::to_string).collect()
    };
    assert!(names("a A 192.0.2.1\nb A 192.0.2.2", "a A 192.0.2.1\nb A 192.0.2.2").is_empty());
    assert!(names("a A 192.0.2.1\na A 192.0.2.2", "a A 192.0.2.2\nA A 192.0.2.1").is_empty());
    assert_eq!(names("a A 192.0.2.1\nb A 192.0.2.2", "a A 192.0.2.9\nb A 192.0.2.2"), ["a.example.com."]);
    assert_eq!(names("a A 192.0.2.1\nb A 192.0.2.2", "b A 192.0.2.2"), ["a.example.com."]);
    assert_eq!(names("b A 192.0.2.2", "a A 192.0.2.1\nb A 192.0.2.2"), ["a.example.com."]);
    assert_eq!(names("a 1 A 192.0.2.1", "a 2 A 192.0.2.1"), ["a.example.com."]);
}

#[test]
fn named_checkzone_agrees() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("zone");
    for (lines, is_good) in [
        ("www A 192.0.2.1\n@ MX 10 ns1\n", true),
        ("x TXT (\"a\"\n \"b\")\n", true),
        ("x A 192.0.2.256\n", false),
        ("x CNAME ns1\nx A 192.0.2.1\n", false),
        ("x CNAME ns1\nx CNAME ns2\n", false),
        ("@ SOA ns1 h 8 1 1 1 1\n", false),
        ("x MX 10\n", false),
        ("x AAA 1\n", false),
    ] {
        let text = format!("{HEAD}{lines}");
        std::fs::write(&path, &text).unwrap();
        let mut command = Command::new("named-checkzone");
        // As strict as we are about hosts without addresses.
        let output = command.args(["-q", "-i", "full", "-m", "fail", "example.com"]).arg(&path).output();
        let status = output.expect("named-checkzone, which ./test installs").status;
        assert_eq!(status.success(), is_good, "named-checkzone on {lines:?}");
        assert_eq!(load_text(&text).is_ok(), is_good, "{lines:?}: {:?}", load_text(&text).err());
    }
}

proptest! {
    #[test]
    fn any_text_is_a_zone_or_an_error(lines in prop::collection::vec(prop::collection::vec(prop_oneof![
        Just("@"), Just("x"), Just("A"), Just("MX"), Just("TXT"), Just("300"), Just("IN"), Just("("), Just(")"),
        Just("\"q\""), Just("\""), Just("\\#"), Just("4"), Just("C0000201"), Just("$TTL"), Just("$ORIGIN"),
        Just("192.0.2.1"), Just("LOC"), Just("SVCB"), Just("NAPTR"), Just("alpn=h2"), Just("\\300"), Just(" "),
        Just("CAA"), Just("TLSA"), Just("SSHFP"), Just("."), Just("a..b"), Just("N"), Just("E"),
    ], 0..9), 0..12)) {
        let text: String = lines.iter().map(|words| words.join(" ") + "\n").collect();
        let _ = load_text(&format!("{HEAD}{text}"));
    }
}

/// `cargo test --release --lib million -- --ignored --nocapture`: seconds and octets.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout, reason = "its result is what it prints")]
fn million_records() {
    let mut text = HEAD.to_owned();
    for number in 0..1_000_000u32 {
        let [_, b, c, d] = number.to_be_bytes();
        text += &format!("host-{number:08} A 10.{b}.{c}.{d}\n");
    }
    let started = std::time::Instant::now();
    let zone = load_text(&text).unwrap().zone;
    println!("{:?}, {} octets a record", started.elapsed(), zone.octets() / zone.record_count());
    let other = load_text(&text.replace("host-00500000 A 10.7", "host-00500000 A 11.7")).unwrap().zone;
    let started = std::time::Instant::now();
    println!("{:?} differ, found in {:?}", diff(&zone, &other), started.elapsed());
}

/// Good and bad records that BIND and we must see alike, to the octet.
const RECORDS: &[&str] = &[
    "HTTPS 1 . alpn=h2,h3",
    r#"HTTPS 1 . alpn="h2,h3""#,
    r#"HTTPS 1 . "alpn=h2,h3""#,
    "HTTPS 1 . ipv4hint=192.0.2.1 alpn=h2",
    "HTTPS 1 . port=443 no-default-alpn alpn=h2 mandatory=port,alpn",
    "HTTPS 1 . mandatory=port,alpn alpn=h2 port=443",
    "HTTPS 1 . alpn=h2 alpn=h3",
    "HTTPS 1 . key65400=abc",
    r#"HTTPS 1 . key65400="a b""#,
    r#"HTTPS 1 . key65400=\195\164"#,
    "HTTPS 1 . ech=AAAA",
    r#"HTTPS 1 . alpn="f\\\\oo\\,bar,h2""#,
    "SVCB 16 foo.example.org. alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1",
    "SVCB 0 foo.example. port=1",
    r#"SVCB 1 foo.example. ipv6hint="2001:db8::1,2001:db8::53:1""#,
    "SVCB 1 foo.example. mandatory=port",
    "SVCB 1 . dohpath=/dns-query{?dns}",
    "SVCB 1 . alpn",
    "SVCB 1 . port=65536",
    r#"CAA 0 issue "ca.example""#,
    "CAA 0 issue ca.example",
    r#"CAA 128 issue "ca.example; account=1""#,
    r#"CAA 1 tbs "Unknown""#,
    r#"CAA 0 issue "ca.example" junk"#,
    r#"CAA 0 iodef "mailto:a\195\164@example.com""#,
    r#"CAA 0 issue ";""#,
    r#"CAA 256 issue ";""#,
    r#"CAA 0 is-sue "x""#,
    r#"CAA 0 issue "a\"b\\c""#,
    "TLSA 3 1 1 0123 4567",
    "TLSA 3 1 1 012",
    "TLSA 3 1 256 01",
    "TLSA 3 1 1",
    "SMIMEA 3 0 0 3082 30",
    "SSHFP 4 2",
    r#"NAPTR 1 2 "S" "SIP+D2U" "!^\\+441632960(.*)$!sip:\\1@example.com!" ."#,
    r#"NAPTR 1 2 S SIP+D2U "" h.example."#,
    r#"NAPTR 1 2 S SIP+D2U "" h.example. junk"#,
    r#"NAPTR 100 10 "U" "E2U+sip" "!^.*$!sip:info@example.com!i" ."#,
    r#"NAPTR 1 2 "" "" "" ."#,
    "OPENPGPKEY mQENBA==",
    "OPENPGPKEY mQEN BA==",
    "OPENPGPKEY mQENBA",
    "HINFO PC LINUX",
    r#"HINFO "a b" "\"q\" \195""#,
    "HINFO x",
    r#"HINFO "" """#,
    "CDS 0 0 0 00",
    "CDNSKEY 0 3 0 AA==",
    "DNSKEY 257 3 13 AAAA",
    "NSEC3PARAM 1 0 0 -",
    "ZONEMD 1 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    "LOC 25 2 30.5 N 121 33 W 9m",
    "LOC 42 21 54 N 71 06 18 W -24m 30m",
    "LOC 52 N 4 E 0m 0.5m 90000000.00m 10m",
    "LOC 90 N 180 W 42849672.95m",
    "LOC 91 N 180 W 0m",
    "LOC 90 0 0.001 N 180 W 0m",
    "LOC 1 N 1 E -100000m",
    "LOC 1 N 1 E -100000.01m",
    r#"TXT "a" b "c\"d" \195\164 e\;f"#,
    r#"TXT """#,
    r#"TXT a\032b"#,
    "A 192.0.2.1",
    "A 192.0.2.01",
    "A 192.0.2",
    "AAAA ::ffff:192.0.2.1",
    "AAAA 2001:db8::1:2:3:4:5:6",
    "AAAA fe80::1%1",
    "MX 10 mail.example.",
    "MX 65536 mail.example.",
    "SRV 1 2 3 .",
    r#"TYPE16 \# 0"#,
    r#"TYPE16 \# 2 0561"#,
    r#"TYPE257 \# 1 00"#,
    r#"TYPE52 \# 0"#,
    r#"TYPE64 \# 3 000100"#,
    r#"TYPE64 \# 6 000100000100"#,
    r#"TYPE1 \# 4 C0000201"#,
    r#"TYPE13 \# 2 0000"#,
    r#"TYPE33 \# 7 00010002000300"#,
    r#"TYPE29 \# 1 00"#,
    r#"TYPE43 \# 2 0000"#,
    r#"TYPE35 \# 8 0001000200000000"#,
    r#"TYPE65280 \# 0"#,
    "SOA ns.example. h.example. 1 1h 1 1 1",
];

/// RDATA in hexadecimal as BIND has it; none if it refuses the record.
fn named_rrchecker(record: &str) -> Option<String> {
    let mut command = Command::new("named-rrchecker");
    command.arg("-u").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("named-rrchecker, which ./test installs");
    child.stdin.take().unwrap().write_all(format!("IN {record}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, octets) = text.split_once("\\# ")?;
    let octets = octets.trim().split_once(' ').map_or("", |(_, octets)| octets);
    output.status.success().then(|| octets.replace(' ', "").to_lowercase())
}

/// RDATA of one record in hexadecimal, and its text.
fn rdata_of(record: &str) -> Option<(String, String)> {
    let rtype: Rtype = record.split(' ').next().unwrap().parse().unwrap();
    let (head, owner) = if rtype == Rtype::SOA { ("", "@") } else { ("@ 1 SOA ns1 h 7 1 1 1 1\n", "x") };
    let text = format!("{head}{owner} 1 {record}\n@ NS ns1\nns1 1 A 192.0.2.53\n");
    let delegation = if rtype == Rtype::DS { "x NS ns1\n" } else { "" };
    let zone = load_text(&format!("{text}{delegation}")).ok()?.zone;
    let name = Name::parse(owner, Some(&apex())).unwrap();
    let rdata = zone.owner(name.as_wire())?.rrset(rtype)?.rdata().next()?.to_vec();
    Some((rdata.iter().map(|octet| format!("{octet:02x}")).collect(), rdata_text(rtype, &rdata)))
}

#[test]
fn named_rrchecker_agrees_and_text_reads_back() {
    for record in RECORDS {
        let ours = rdata_of(record);
        assert_eq!(ours.as_ref().map(|(octets, _)| octets), named_rrchecker(record).as_ref(), "{record}");
        let Some((octets, text)) = ours else { continue };
        let mnemonic = record.split(' ').next().unwrap();
        assert_eq!(rdata_of(&format!("{mnemonic} {text}")), Some((octets, text.clone())), "{record}: {text}");
    }
}
