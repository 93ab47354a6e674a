//! What is asked for: types and classes of RFC 1035 3.2, 3597, 4035, 4892, 5936, 6895, 8482.

use super::packet::*;

fn ask(owner: &str, qtype: u16) -> super::reply::Reply {
    Packet::query(&format!("{owner}packets.example."), qtype).opt(Opt::new()).udp()
}

#[test]
fn rfc3597_5_types_that_nobody_knows_are_served() {
    let reply = ask("strange.", 65_280);
    assert_eq!((reply.answers[0].rtype, reply.data()), (65_280, vec![&[0xab, 0xcd, 0xef][..]]));
}

#[test]
fn rfc8906_8_1_2_types_that_nobody_knows_are_no_error() {
    for qtype in [0, 1000, 65_535] {
        let reply = ask("", qtype);
        assert_eq!((reply.rcode(), reply.answers.len(), reply.authority.len()), (NOERROR, 0, 1));
    }
    assert_eq!(ask("nothing.", 1000).rcode(), NXDOMAIN);
}

#[test]
fn rfc8482_4_1_any_is_answered_with_one_rrset() {
    let reply = ask("www.", ANY);
    assert_eq!(reply.rcode(), NOERROR);
    assert_eq!(reply.answers.len(), 2);
    assert!(reply.answers.iter().all(|record| record.rtype == A), "a whole one: {reply:?}");
    assert_eq!(ask("", ANY).answers.len(), 1);
    assert_eq!(Packet::query("www.packets.example.", ANY).tcp().answers.len(), 2);
}

#[test]
fn rfc8482_4_1_any_of_what_is_not_there() {
    assert_eq!(ask("nothing.", ANY).rcode(), NXDOMAIN);
    let reply = ask("ent.", ANY);
    assert_eq!((reply.rcode(), reply.answers.len(), reply.authority.len()), (NOERROR, 0, 1));
}

#[test]
fn rfc8482_4_1_any_of_a_delegated_name_is_referred() {
    let reply = ask("sub.", ANY);
    assert!(!reply.has(AA) && reply.answers.is_empty() && reply.authority.len() == 2);
}

#[test]
fn rfc5936_4_2_a_zone_is_not_given_in_datagrams() {
    let reply = ask("", AXFR);
    assert_eq!(reply.rcode(), REFUSED);
    assert!(reply.is_bare());
}

#[test]
fn rfc1995_2_increments_are_not_given_in_datagrams() {
    let soa = record(&name("packets.example."), SOA, IN, 0, &[&[0, 0][..], &[0; 20]].concat());
    let reply = Packet::query("packets.example.", IXFR).record(2, &soa).udp();
    assert_eq!(reply.rcode(), REFUSED);
    assert!(reply.is_bare());
}

#[test]
fn rfc1035_3_2_3_obsolete_kinds_of_queries() {
    for qtype in [253, 254] {
        let reply = ask("", qtype);
        assert_eq!(reply.rcode(), NOTIMP);
        assert!(reply.is_bare());
    }
}

#[test]
fn rfc6895_3_1_types_of_messages_are_no_data() {
    // OPT, NXNAME (RFC 9824 3.5), unassigned ones, TKEY, TSIG.
    for qtype in [OPT, 128, 200, 249, 250] {
        let reply = ask("", qtype);
        assert_eq!((reply.rcode(), reply.extended_error()), (FORMERR, Some(30)), "{qtype}");
        assert!(reply.is_bare());
    }
}

#[test]
fn rfc1035_3_2_4_other_classes_are_refused() {
    // CSNET, Hesiod, NONE, ANY, private.
    for class in [0, 2, 4, 254, 255, 65_280] {
        let packet = Packet::empty().question("www.packets.example.", A, class);
        let reply = packet.udp();
        assert_eq!(reply.rcode(), REFUSED, "class {class}");
        assert!(reply.is_bare() && reply.question == packet.body);
    }
}

#[test]
fn rfc4892_2_the_server_says_who_it_is() {
    let reply = Packet::empty().question("id.server.", TXT, CH).udp();
    assert_eq!(reply.data(), [b"\x13ns1.packets.example"]);
    assert_eq!((reply.answers[0].class, reply.answers[0].ttl), (CH, 0));
    assert!(Packet::empty().question("VERSION.bind.", TXT, CH).udp().data()[0].starts_with(b"\x0dwaypost "));
    assert_eq!(Packet::empty().question("www.packets.example.", A, CH).udp().rcode(), REFUSED);
}

#[test]
fn rfc4035_3_1_4_1_the_parents_side_has_ds() {
    let reply = ask("sub.", DS);
    assert!(reply.has(AA));
    assert_eq!(reply.answered(), [(DS, "sub.packets.example.")]);
}

#[test]
fn rfc4035_3_1_4_1_the_parents_side_says_that_there_is_no_ds() {
    let reply = ask("nods.", DS);
    assert!(reply.has(AA) && reply.answers.is_empty());
    assert_eq!((reply.authority[0].rtype, reply.authority[0].owner.as_str()), (SOA, "packets.example."));
}

#[test]
fn rfc4035_3_1_4_1_ds_of_a_child_that_is_here_too_is_the_parents() {
    let reply = ask("child.", DS);
    assert_eq!((reply.answers[0].rdata[1], reply.answers.len()), (2, 1));
}

#[test]
fn rfc4035_3_1_4_1_without_the_parent_the_child_says_that_there_is_no_ds() {
    // `deep.packets.example` is delegated elsewhere; only zones above and below it are here.
    let reply = ask("far.deep.", DS);
    assert!(reply.has(AA) && reply.rcode() == NOERROR && reply.answers.is_empty());
    assert_eq!(reply.authority[0].owner, "far.deep.packets.example.");
}

#[test]
fn rfc4035_3_1_4_ds_below_a_cut_is_referred() {
    let reply = ask("www.sub.", DS);
    assert!(!reply.has(AA) && reply.authority.iter().all(|record| record.rtype == NS));
}

#[test]
fn rfc4035_3_1_4_1_ds_is_no_type_of_other_names() {
    let reply = ask("www.", DS);
    assert_eq!((reply.rcode(), reply.answers.len(), reply.authority.len()), (NOERROR, 0, 1));
}

#[test]
fn rfc4035_3_1_1_an_unsigned_zone_has_no_keys() {
    let reply = Packet::query("packets.example.", DNSKEY).opt(Opt::new().flags(0x8000)).udp();
    assert_eq!((reply.rcode(), reply.answers.len(), reply.authority.len()), (NOERROR, 0, 1));
}
