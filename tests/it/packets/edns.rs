//! EDNS: RFC 6891, and what RFC 8906 8.2 tries; NSID (RFC 5001), extended errors (RFC 8914).

use super::lab::server;
use super::packet::*;
use super::reply::Reply;

const NSID: u16 = 3;
const PADDING: u16 = 12;
/// A code that nobody has.
const UNKNOWN: u16 = 65_001;
const DO: u16 = 0x8000;

fn www(opt: Opt) -> Reply {
    Packet::query("www.packets.example.", A).opt(opt).udp()
}

fn is_good(reply: &Reply) {
    assert_eq!((reply.rcode(), reply.answers.len()), (NOERROR, 2));
    let opt = reply.opt.as_ref().expect("an OPT record");
    assert_eq!((opt.version, opt.payload), (0, 1232));
}

fn is_badvers(reply: &Reply) {
    assert_eq!(reply.rcode(), BADVERS);
    assert!(reply.is_bare() && !reply.has(AA));
    let opt = reply.opt.as_ref().expect("an OPT record");
    assert_eq!((opt.version, opt.extended_rcode), (0, 1));
    assert!(opt.options.is_empty());
}

#[test]
fn rfc6891_6_1_1_an_opt_record_for_an_opt_record() {
    is_good(&www(Opt::new()));
    assert!(Packet::query("www.packets.example.", A).udp().opt.is_none());
}

#[test]
fn rfc6891_7_errors_have_an_opt_record_too() {
    for (owner, rcode) in [
        ("nothing.packets.example.", NXDOMAIN),
        ("www.foreign.example.", REFUSED),
        ("www.broken.example.", SERVFAIL),
    ] {
        let reply = Packet::query(owner, A).opt(Opt::new()).udp();
        assert_eq!((reply.rcode(), reply.opt.is_some()), (rcode, true));
        assert!(Packet::query(owner, A).udp().opt.is_none());
    }
}

#[test]
fn rfc6891_6_1_1_two_opt_records_are_malformed() {
    let reply = Packet::query("www.packets.example.", A).opt(Opt::new()).opt(Opt::new()).udp();
    assert_eq!(reply.rcode(), FORMERR);
    assert!(reply.is_bare() && reply.opt.is_some());
}

#[test]
fn rfc6891_6_1_2_an_opt_record_is_the_roots() {
    let reply = www(Opt::new().owner("packets.example."));
    assert_eq!(reply.rcode(), FORMERR);
    assert!(reply.is_bare() && reply.opt.is_some());
}

#[test]
fn rfc6891_6_1_1_an_opt_record_may_stand_anywhere_among_the_additional() {
    let other = record(&name("key.example."), TXT, IN, 0, b"\x01x");
    let before = Packet::query("www.packets.example.", A).record(3, &other).opt(Opt::new()).udp();
    let behind = Packet::query("www.packets.example.", A).opt(Opt::new()).record(3, &other).udp();
    is_good(&before);
    is_good(&behind);
}

#[test]
fn rfc6891_6_1_2_options_fill_the_record() {
    for options in [&[0][..], &[0, 3], &[0, 3, 0], &[0, 3, 0, 1], &[255, 255, 0, 9, 1, 2]] {
        let reply = www(Opt { options: options.to_vec(), ..Opt::new() });
        assert_eq!(reply.rcode(), FORMERR, "{options:?}");
        assert!(reply.opt.is_some());
    }
}

#[test]
fn rfc6891_6_1_2_the_record_is_whole() {
    let whole = Packet::query("www.packets.example.", A).opt(Opt::new().option(NSID, b"")).octets();
    for length in whole.len() - 14..whole.len() {
        let reply = udp_from("127.0.0.1", server(), &whole[..length]);
        assert_eq!(reply.rcode(), FORMERR, "{length}");
    }
}

#[test]
fn rfc6891_6_1_3_badvers() {
    for version in [1, 2, 255] {
        is_badvers(&www(Opt::new().version(version)));
    }
}

#[test]
fn rfc6891_6_1_3_the_format_of_options_is_the_versions() {
    for options in [&[0][..], &[0, 3, 0, 1], &[0, 10, 0, 1, 7], &[0, 8, 0, 0]] {
        is_badvers(&www(Opt { options: options.to_vec(), ..Opt::new().version(1) }));
    }
}

#[test]
fn rfc6891_6_1_3_another_version_matters_more_than_the_question() {
    is_badvers(&Packet::query("www.foreign.example.", A).opt(Opt::new().version(1)).udp());
    is_badvers(&Packet::empty().opt(Opt::new().version(1)).udp());
}

#[test]
fn rfc6891_6_1_3_the_code_above_is_the_answers_alone() {
    // In a query those eight bits mean nothing.
    let mut octets = Packet::query("www.packets.example.", A).opt(Opt::new()).octets();
    let at = octets.len() - 6;
    octets[at] = 0xff;
    is_good(&udp_from("127.0.0.1", server(), &octets));
}

#[test]
fn rfc6891_6_1_4_unknown_flags_are_ignored_and_clear() {
    let reply = www(Opt::new().flags(0x7fff));
    is_good(&reply);
    assert_eq!(reply.opt.unwrap().flags, 0);
}

#[test]
fn rfc3225_3_dnssec_ok_is_copied() {
    assert_eq!(www(Opt::new().flags(DO)).opt.unwrap().flags, DO);
    assert_eq!(www(Opt::new()).opt.unwrap().flags, 0);
}

#[test]
fn rfc6891_6_2_3_less_than_512_octets_means_512() {
    for payload in [0, 1, 511, 512] {
        let reply = Packet::query("www.packets.example.", A).opt(Opt::new().payload(payload)).udp();
        is_good(&reply);
        let big = Packet::query("big.packets.example.", TXT).opt(Opt::new().payload(payload)).udp();
        assert!(big.has(TC) && big.octets.len() <= 512);
    }
}

#[test]
fn rfc9715_3_no_datagram_is_longer_than_1232_octets() {
    for payload in [1232, 1233, 4096, 65_535] {
        let reply = Packet::query("big.packets.example.", TXT).opt(Opt::new().payload(payload)).udp();
        assert!(reply.has(TC) && reply.octets.len() <= 1232);
    }
}

#[test]
fn rfc8906_8_2_1_minimal_edns() {
    let reply = Packet::query("packets.example.", SOA).opt(Opt::new()).udp();
    assert!(reply.has(AA));
    assert_eq!((reply.answered(), reply.opt.as_ref().unwrap().version), (vec![(SOA, "packets.example.")], 0));
}

#[test]
fn rfc8906_8_2_2_edns_version_negotiation() {
    let packet = Packet::query("packets.example.", SOA).opt(Opt::new().version(1));
    let reply = packet.udp();
    is_badvers(&reply);
    assert!(packet.body.starts_with(&reply.question) && !reply.question.is_empty());
}

#[test]
fn rfc8906_8_2_3_unknown_options_are_ignored() {
    let reply = www(Opt::new().option(100, b"").option(UNKNOWN, b"something"));
    is_good(&reply);
    assert!(reply.opt.unwrap().options.is_empty());
}

#[test]
fn rfc8906_8_2_4_unknown_flags_are_ignored() {
    let reply = www(Opt::new().flags(0x0040));
    is_good(&reply);
    assert_eq!(reply.opt.unwrap().flags, 0);
}

#[test]
fn rfc8906_8_2_5_version_negotiation_with_unknown_flags() {
    let reply = www(Opt::new().version(1).flags(0x0040));
    is_badvers(&reply);
    assert_eq!(reply.opt.unwrap().flags, 0);
}

#[test]
fn rfc8906_8_2_6_version_negotiation_with_unknown_options() {
    is_badvers(&www(Opt::new().version(1).option(100, b"")));
}

#[test]
fn rfc8906_8_2_7_truncated_answers_have_an_opt_record() {
    let reply = Packet::query("big.packets.example.", TXT).opt(Opt::new().payload(512)).udp();
    assert!(reply.has(TC) && reply.opt.is_some() && reply.octets.len() <= 512);
}

#[test]
fn rfc8906_8_2_8_dnssec_ok() {
    let reply = www(Opt::new().flags(DO));
    is_good(&reply);
    assert_eq!(reply.opt.unwrap().flags, DO);
}

#[test]
fn rfc8906_8_2_9_version_negotiation_with_dnssec_ok() {
    let reply = www(Opt::new().version(1).flags(DO));
    is_badvers(&reply);
    assert_eq!(reply.opt.unwrap().flags, DO);
}

#[test]
fn rfc8906_8_2_10_several_options_at_once() {
    let opt = Opt::new()
        .option(NSID, b"")
        .option(10, &[1, 2, 3, 4, 5, 6, 7, 8])
        .option(9, b"")
        .option(8, &[0, 1, 24, 0, 203, 0, 113]);
    let reply = www(opt);
    is_good(&reply);
    let codes: Vec<u16> = reply.opt.unwrap().options.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [3, 8, 10]);
}

#[test]
fn rfc5001_2_1_the_server_says_who_it_is_if_asked() {
    assert_eq!(www(Opt::new().option(NSID, b"")).option(NSID), Some(&b"ns1.packets.example"[..]));
    assert_eq!(www(Opt::new()).option(NSID), None);
    let reply = Packet::query("www.foreign.example.", A).option(NSID, b"").udp();
    assert!(reply.option(NSID).is_some());
}

#[test]
fn rfc5001_2_1_what_the_query_says_means_nothing() {
    assert_eq!(www(Opt::new().option(NSID, b"you")).option(NSID), Some(&b"ns1.packets.example"[..]));
}

#[test]
fn rfc7830_3_padding_is_for_encrypted_transports() {
    let packet = Packet::query("www.packets.example.", A).option(PADDING, &[0; 100]);
    for reply in [packet.udp(), packet.tcp()] {
        is_good(&reply);
        assert_eq!(reply.option(PADDING), None);
    }
}

#[test]
fn rfc8914_4_21_names_of_others_are_not_authoritative() {
    let reply = Packet::query("www.foreign.example.", A).opt(Opt::new()).udp();
    assert_eq!((reply.rcode(), reply.extended_error()), (REFUSED, Some(20)));
}

#[test]
fn rfc8914_4_22_what_is_not_supported() {
    for packet in [
        Packet::query("packets.example.", AXFR),
        Packet::query("packets.example.", 253),
        Packet::empty().question("packets.example.", A, 4),
        Packet::query("packets.example.", SOA).opcode(4),
    ] {
        assert_eq!(packet.opt(Opt::new()).udp().extended_error(), Some(21));
    }
}

#[test]
fn rfc8914_4_25_a_zone_without_data() {
    let reply = Packet::query("www.broken.example.", A).opt(Opt::new()).udp();
    assert_eq!((reply.rcode(), reply.extended_error()), (SERVFAIL, Some(24)));
}

#[test]
fn rfc8914_4_19_the_servers_insides_are_not_for_everybody() {
    let octets = Packet::empty().question("version.bind.", TXT, CH).opt(Opt::new()).octets();
    let reply = udp_from("127.0.0.2", server(), &octets);
    assert_eq!((reply.rcode(), reply.extended_error()), (REFUSED, Some(18)));
}

#[test]
fn rfc8914_2_good_answers_have_no_extended_error() {
    for owner in ["www", "nothing", "x.sub", "alias"] {
        let reply = Packet::query(&format!("{owner}.packets.example."), A).opt(Opt::new()).udp();
        assert_eq!(reply.extended_error(), None);
    }
}
