//! The client subnet option: RFC 7871.

use super::lab::{MY, TW, VN_IPV6};
use super::packet::*;
use super::reply::Reply;

const SUBNET: u16 = 8;

fn option(family: u16, source: u8, scope: u8, address: &[u8]) -> Vec<u8> {
    [&family.to_be_bytes()[..], &[source, scope], address].concat()
}

fn ask(owner: &str, qtype: u16, data: &[u8]) -> Reply {
    Packet::query(&format!("{owner}packets.example."), qtype).option(SUBNET, data).udp()
}

fn routed(data: &[u8]) -> Reply {
    ask("routed.", A, data)
}

fn scope(reply: &Reply) -> u8 {
    reply.option(SUBNET).expect("a client subnet")[3]
}

fn is_malformed(data: &[u8]) {
    let reply = routed(data);
    assert_eq!(reply.rcode(), FORMERR, "{data:?}");
    assert!(reply.is_bare() && reply.opt.is_some() && reply.option(SUBNET).is_none());
}

#[test]
fn rfc7871_7_2_1_clients_of_a_network_get_its_answer() {
    for (address, site) in [(TW, 1), (MY, 2)] {
        assert_eq!(routed(&option(1, 32, 0, &address)).data(), [[198, 51, 100, site]]);
    }
    assert_eq!(routed(&option(2, 48, 0, &VN_IPV6)).data(), [[198, 51, 100, 3]]);
    assert_eq!(routed(&option(1, 24, 0, &[192, 0, 2])).data(), [[198, 51, 100, 1]], "default");
}

#[test]
fn rfc7871_7_2_1_both_families_of_addresses() {
    let reply = ask("routed.", AAAA, &option(1, 32, 0, &MY));
    assert_eq!((reply.answers[0].rdata[15], scope(&reply)), (2, 25));
    let reply = ask("routed.", AAAA, &option(2, 56, 0, &[&VN_IPV6[..], &[7]].concat()));
    assert_eq!((reply.answers[0].rdata[15], scope(&reply)), (3, 48));
}

#[test]
fn rfc7871_7_2_1_the_option_is_echoed_octet_by_octet() {
    for (family, source, address) in [
        (1, 32, &TW[..]),
        (1, 25, &[203, 0, 113, 128]),
        (1, 9, &[203, 0]),
        (1, 1, &[128]),
        (2, 48, &VN_IPV6),
        (2, 128, &[0x20, 1, 0xd, 0xb8, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        (2, 45, &[0x20, 1, 0xd, 0xb8, 0, 0]),
    ] {
        let sent = option(family, source, 0, address);
        let mut echoed = routed(&sent).option(SUBNET).unwrap().to_vec();
        echoed[3] = 0;
        assert_eq!(echoed, sent);
    }
}

#[test]
fn rfc7871_7_2_1_the_scope_is_as_long_as_the_answer_needs() {
    for source in [25, 28, 32] {
        assert_eq!(scope(&routed(&option(1, source, 0, &MY))), 25, "{source}");
    }
    assert_eq!(scope(&routed(&option(2, 56, 0, &[&VN_IPV6[..], &[0]].concat()))), 48);
}

#[test]
fn rfc7871_7_2_1_the_scope_may_be_longer_than_the_source() {
    assert_eq!(scope(&routed(&option(1, 24, 0, &TW[..3]))), 25);
    assert_eq!(scope(&routed(&option(2, 32, 0, &VN_IPV6[..4]))), 46, "2001:db8:0::/46 isn't vn");
}

#[test]
fn rfc7871_7_2_1_what_is_not_tailored_holds_for_all() {
    let tw = option(1, 32, 0, &TW);
    for (owner, qtype, rcode) in [
        ("www.", A, NOERROR),
        ("alias.", A, NOERROR),
        ("nothing.", A, NXDOMAIN),
        ("www.", MX, NOERROR),
        ("routed.", TXT, NOERROR),
        ("x.wild.", A, NOERROR),
    ] {
        let reply = ask(owner, qtype, &tw);
        assert_eq!((reply.rcode(), scope(&reply)), (rcode, 0), "{owner} {qtype}");
    }
}

#[test]
fn rfc7871_7_2_1_delegations_and_keys_hold_for_all() {
    let tw = option(1, 32, 0, &TW);
    for (owner, qtype) in
        [("", NS), ("", SOA), ("", DNSKEY), ("sub.", DS), ("child.", DS), ("www.sub.", A), ("sub.", NS)]
    {
        assert_eq!(scope(&ask(owner, qtype, &tw)), 0, "{owner} {qtype}");
    }
}

#[test]
fn rfc7871_7_1_2_a_source_of_0_hides_the_client() {
    for family in [0, 1, 2] {
        let reply = routed(&option(family, 0, 0, &[]));
        assert_eq!(reply.data(), [[198, 51, 100, 1]]);
        assert_eq!(reply.option(SUBNET), Some(&option(family, 0, 0, &[])[..]));
    }
}

#[test]
fn rfc7871_6_fewer_octets_than_the_source_needs() {
    is_malformed(&option(1, 24, 0, &[203, 0]));
    is_malformed(&option(1, 25, 0, &[203, 0, 113]));
    is_malformed(&option(2, 48, 0, &VN_IPV6[..5]));
}

#[test]
fn rfc7871_6_more_octets_than_the_source_needs() {
    is_malformed(&option(1, 24, 0, &TW));
    is_malformed(&option(1, 0, 0, &[0]));
    is_malformed(&option(2, 40, 0, &VN_IPV6));
    is_malformed(&option(0, 0, 0, &[0]));
}

#[test]
fn rfc7871_6_bits_behind_the_source_are_0() {
    is_malformed(&option(1, 25, 0, &[203, 0, 113, 1]));
    is_malformed(&option(1, 23, 0, &[203, 0, 113]));
    is_malformed(&option(2, 47, 0, &VN_IPV6));
}

#[test]
fn rfc7871_6_the_source_is_no_longer_than_an_address() {
    is_malformed(&option(1, 33, 0, &[203, 0, 113, 0, 0]));
    is_malformed(&option(2, 129, 0, &[0; 17]));
    is_malformed(&option(1, 255, 0, &[0; 32]));
}

#[test]
fn rfc7871_6_the_scope_of_a_query_is_0() {
    is_malformed(&option(1, 24, 24, &TW[..3]));
    is_malformed(&option(1, 0, 1, &[]));
}

#[test]
fn rfc7871_6_other_families_have_no_format() {
    is_malformed(&option(3, 0, 0, &[]));
    is_malformed(&option(16_384, 8, 0, &[1]));
    is_malformed(&option(0, 8, 0, &[1]));
}

#[test]
fn rfc7871_6_the_option_is_whole() {
    for length in 0..4 {
        is_malformed(&option(1, 0, 0, &[])[..length]);
    }
}

#[test]
fn rfc7871_7_2_2_no_option_for_queries_without() {
    let reply = Packet::query("routed.packets.example.", A).opt(Opt::new()).udp();
    assert_eq!(reply.data(), [[198, 51, 100, 1]]);
    assert_eq!(reply.option(SUBNET), None);
}

#[test]
fn rfc7871_7_2_1_refusals_hold_for_all() {
    let reply = Packet::query("www.foreign.example.", A).option(SUBNET, &option(1, 32, 0, &MY)).udp();
    assert_eq!((reply.rcode(), scope(&reply)), (REFUSED, 0));
}

#[test]
fn rfc7871_7_2_1_a_route_may_leave_the_option_aside() {
    let reply = ask("bysource.", A, &option(1, 32, 0, &TW));
    assert_eq!((reply.data(), scope(&reply)), (vec![&[198, 51, 100, 2][..]], 0), "by the source: default");
}

#[test]
fn rfc7871_7_2_1_an_alias_has_the_scope_of_what_it_leads_to() {
    let reply = ask("routed2.", A, &option(1, 32, 0, &MY));
    assert_eq!(reply.answered(), [(CNAME, "routed2.packets.example."), (A, "routed.packets.example.")]);
    assert_eq!((&reply.answers[1].rdata[..], scope(&reply)), (&[198, 51, 100, 2][..], 25));
}

#[test]
fn rfc7871_7_2_1_a_tailored_alias_ends_the_answer() {
    for owner in ["cname.", "cname2."] {
        let reply = ask(owner, A, &option(1, 32, 0, &TW));
        let last = reply.answers.last().unwrap();
        assert_eq!((last.rtype, last.target.as_deref()), (CNAME, Some("www.packets.example.")));
        assert_eq!(scope(&reply), 25);
    }
}

#[test]
fn rfc7871_10_networks_that_mean_something_inside_alone_place_nobody() {
    for (family, source, address) in
        [(1, 8, &[10][..]), (1, 16, &[192, 168]), (1, 8, &[127]), (2, 8, &[0xfd])]
    {
        let reply = routed(&option(family, source, 0, address));
        assert_eq!((reply.data(), scope(&reply)), (vec![&[198, 51, 100, 1][..]], 0));
    }
}

#[test]
fn rfc7871_7_streams_are_alike() {
    let packet = Packet::query("routed.packets.example.", A).option(SUBNET, &option(1, 32, 0, &MY));
    let reply = packet.tcp();
    assert_eq!((reply.data(), scope(&reply)), (vec![&[198, 51, 100, 2][..]], 25));
}
