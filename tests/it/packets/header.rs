//! The header and the question: RFC 1035 4.1, 2181, 8906, 9619.

use super::lab::server;
use super::packet::*;
use super::reply::Reply;

fn www() -> Packet {
    Packet::query("www.packets.example.", A)
}

fn formerr(packet: &Packet) -> Reply {
    let reply = packet.udp();
    assert_eq!(reply.rcode(), FORMERR);
    assert!(reply.is_bare() && !reply.has(AA), "{reply:?}");
    reply
}

#[test]
fn rfc1035_4_1_1_rd_is_copied_and_ra_is_clear() {
    assert!(www().flags(RD).udp().has(RD));
    assert!(!www().udp().has(RD));
    assert!(!www().flags(RD).udp().has(RA));
}

#[test]
fn rfc1035_4_1_1_responses_get_nothing() {
    for flags in [QR, QR | AA | RD, QR | 4 << 11] {
        assert!(udp_if_any(server(), &www().flags(flags).octets()).is_none());
    }
}

#[test]
fn rfc1035_4_1_1_less_than_a_header_gets_nothing() {
    let octets = www().octets();
    for length in 0..12 {
        assert!(udp_if_any(server(), &octets[..length]).is_none(), "{length}");
    }
}

#[test]
fn rfc1035_4_1_1_flags_of_answers_mean_nothing_in_queries() {
    let reply = www().flags(AA | TC | RA | 3).udp();
    assert_eq!((reply.rcode(), reply.answers.len()), (NOERROR, 2));
    assert!(reply.has(AA) && !reply.has(TC) && !reply.has(RA));
}

#[test]
fn rfc1035_4_1_1_authority_is_for_our_own_names() {
    assert!(www().udp().has(AA));
    assert!(Packet::query("nothing.packets.example.", A).udp().has(AA));
    for other in ["www.sub.packets.example.", "www.foreign.example.", "www.broken.example."] {
        assert!(!Packet::query(other, A).udp().has(AA), "{other}");
    }
}

#[test]
fn rfc8906_8_1_3_1_checking_disabled_is_copied() {
    // RFC 4035 3.1.6.
    assert!(www().flags(CD).udp().has(CD));
    assert!(!www().udp().has(CD));
}

#[test]
fn rfc8906_8_1_3_2_authentic_data_is_clear() {
    let reply = www().flags(AD).udp();
    assert!(!reply.has(AD));
    assert_eq!(reply.answers.len(), 2);
}

#[test]
fn rfc8906_8_1_3_3_the_reserved_bit_is_ignored_and_clear() {
    let reply = www().flags(Z).udp();
    assert!(!reply.has(Z));
    assert_eq!((reply.rcode(), reply.answers.len()), (NOERROR, 2));
}

#[test]
fn rfc8906_8_1_3_4_recursion_asked_of_an_authority_is_answered() {
    let reply = www().flags(RD).udp();
    assert_eq!((reply.rcode(), reply.answers.len()), (NOERROR, 2));
}

#[test]
fn rfc8906_8_1_4_other_opcodes_are_not_implemented() {
    for opcode in 1..16 {
        let reply = Packet::empty().opcode(opcode).udp();
        assert_eq!((reply.rcode(), reply.flags >> 11 & 15), (NOTIMP, opcode));
        assert!(reply.is_bare() && reply.question.is_empty() && reply.opt.is_none());
    }
}

#[test]
fn rfc8906_8_1_4_other_opcodes_may_have_any_format() {
    for rest in [&[0xff; 40][..], &[0; 3]] {
        let packet = Packet { flags: 0, counts: [9, 9, 9, 9], body: rest.to_vec() }.opcode(6);
        assert_eq!(packet.udp().rcode(), NOTIMP);
    }
}

#[test]
fn rfc6891_6_1_1_not_implemented_has_an_opt_record_where_the_query_had_one() {
    // UPDATE (RFC 2136) and NOTIFY (RFC 1996) have a query's sections.
    for opcode in [4, 5] {
        let packet = Packet::query("packets.example.", SOA).opt(Opt::new()).opcode(opcode);
        let reply = packet.udp();
        assert_eq!(reply.rcode(), NOTIMP);
        assert!(reply.opt.is_some());
        assert_eq!(reply.question, packet.body[..reply.question.len()]);
    }
}

#[test]
fn rfc9619_4_no_question_is_malformed() {
    let reply = formerr(&Packet::empty());
    assert!(reply.question.is_empty() && reply.opt.is_none());
}

#[test]
fn rfc9619_4_two_questions_are_malformed() {
    let reply = formerr(&www().question("ns1.packets.example.", A, IN));
    assert!(reply.question.is_empty());
    // And so is a count of 65,535 with one.
    formerr(&Packet { counts: [65_535, 0, 0, 0], ..www() });
}

#[test]
fn rfc9619_4_the_error_has_an_opt_record_where_the_query_had_one() {
    let two = www().question("ns1.packets.example.", A, IN).opt(Opt::new());
    assert!(formerr(&two).opt.is_some());
    assert!(formerr(&Packet::empty().opt(Opt::new())).opt.is_some());
}

#[test]
fn rfc1035_4_1_1_counts_say_what_is_there() {
    for section in 1..4 {
        let mut packet = www();
        packet.counts[section] = 1;
        assert_eq!(formerr(&packet).question, www().body, "section {section}");
    }
    formerr(&www().raw(&[0]));
}

#[test]
fn rfc1035_4_1_2_the_question_must_be_whole() {
    let whole = www();
    for length in 0..whole.body.len() {
        formerr(&Packet { body: whole.body[..length].to_vec(), ..whole });
    }
}

#[test]
fn rfc1035_4_1_2_the_question_is_echoed_as_it_was() {
    for packet in [www(), Packet::query("WwW.pAcKeTs.ExAmPlE.", TXT), Packet::query(".", NS)] {
        assert_eq!(packet.udp().question, packet.body);
    }
}

#[test]
fn rfc1035_4_1_4_a_question_has_nothing_to_point_to() {
    for pointer in [[0xc0, 12], [0xc0, 0], [0xc0, 14], [0xff, 0xff]] {
        let body = [&pointer[..], &[0, 1, 0, 1]].concat();
        formerr(&Packet { flags: 0, counts: [1, 0, 0, 0], body });
    }
}

#[test]
fn rfc6891_5_other_label_types_are_malformed() {
    for first in [0x40, 0x41, 0x80, 0xbf] {
        let body = [&[first, b'a', 0][..], &[0, 1, 0, 1]].concat();
        formerr(&Packet { flags: 0, counts: [1, 0, 0, 0], body });
    }
}

#[test]
fn rfc1035_2_3_4_names_have_255_octets_at_most() {
    let labels = |last: usize| format!("{0}.{0}.{0}.{1}.", "x".repeat(63), "y".repeat(last));
    assert_eq!(name(&labels(61)).len(), 255);
    assert_eq!(Packet::query(&labels(61), A).udp().rcode(), REFUSED);
    assert_eq!(Packet::query(&labels(62), A).udp().rcode(), FORMERR);
    let many = "a.".repeat(127);
    assert_eq!(Packet::query(&many, A).udp().rcode(), REFUSED);
    assert_eq!(Packet::query(&(many + "a."), A).udp().rcode(), FORMERR);
}

#[test]
fn rfc2181_11_labels_hold_any_octets() {
    let body =
        [&[5, 0, b'.', 0xff, b'\\', b' '][..], &name("wild.packets.example."), &[0, 16, 0, 1]].concat();
    let reply = Packet { flags: 0, counts: [1, 0, 0, 0], body: body.clone() }.udp();
    assert_eq!((reply.question.as_slice(), reply.data()), (&body[..], vec![&b"\x03any"[..]]));
}

#[test]
fn rfc1035_4_1_records_in_queries_are_passed_over() {
    let soa = record(&name("packets.example."), SOA, IN, 0, &[0; 22]);
    let pointed = record(&[0xc0, 12], TXT, IN, 0, b"\x03abc");
    let packet = www().record(1, &soa).record(2, &pointed).record(3, &pointed).opt(Opt::new());
    let reply = packet.udp();
    assert_eq!((reply.rcode(), reply.answers.len()), (NOERROR, 2));
    assert!(reply.opt.is_some());
}

#[test]
fn rfc1035_2_3_4_datagrams_have_512_octets() {
    let reply = Packet::query("big.packets.example.", TXT).udp();
    assert!(reply.has(TC) && reply.octets.len() <= 512);
}

#[test]
fn rfc2181_9_a_truncated_answer_has_no_part_of_an_rrset() {
    let reply = Packet::query("big.packets.example.", TXT).opt(Opt::new()).udp();
    assert!(reply.has(TC | AA) && reply.is_bare());
    assert_eq!(reply.rcode(), NOERROR);
}

#[test]
fn rfc2181_9_glue_that_does_not_fit_may_be_left_out() {
    // Needed glue (RFC 9471 3.1) is not: see rfc9471_3_1.
    let reply = Packet::query("www.sub.packets.example.", A).udp();
    assert!(!reply.has(TC));
    assert_eq!(reply.additional.len(), 2);
}
