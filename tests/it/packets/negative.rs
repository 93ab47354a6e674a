//! What isn't there: RFC 2308, 8020, 6604.

use super::packet::*;
use super::reply::Reply;

/// RFC 2308 3: the SOA of the zone, with the lesser of its TTL and its MINIMUM.
fn has_soa(reply: &Reply, apex: &str) {
    let [soa] = &reply.authority[..] else { panic!("{reply:?}") };
    assert_eq!((soa.rtype, soa.owner.as_str(), soa.ttl), (SOA, apex, 60));
}

#[test]
fn rfc2308_2_1_no_such_name() {
    let reply = Packet::query("nothing.packets.example.", A).udp();
    assert_eq!(reply.rcode(), NXDOMAIN);
    assert!(reply.has(AA) && reply.answers.is_empty());
    has_soa(&reply, "packets.example.");
}

#[test]
fn rfc2308_2_2_no_such_type() {
    let reply = Packet::query("www.packets.example.", MX).udp();
    assert_eq!(reply.rcode(), NOERROR);
    assert!(reply.has(AA) && reply.answers.is_empty());
    has_soa(&reply, "packets.example.");
}

#[test]
fn rfc2308_2_2_no_such_type_at_the_apex() {
    let reply = Packet::query("packets.example.", AAAA).udp();
    assert_eq!((reply.rcode(), reply.answers.len()), (NOERROR, 0));
    has_soa(&reply, "packets.example.");
}

#[test]
fn rfc2308_3_the_soa_asked_for_has_its_own_ttl() {
    let reply = Packet::query("packets.example.", SOA).udp();
    assert_eq!((reply.answers[0].ttl, reply.authority.len()), (300, 0));
}

#[test]
fn rfc8020_2_names_above_others_exist() {
    let reply = Packet::query("ent.packets.example.", A).udp();
    assert_eq!(reply.rcode(), NOERROR);
    has_soa(&reply, "packets.example.");
    assert_eq!(Packet::query("x.ent.packets.example.", A).udp().rcode(), NXDOMAIN);
}

#[test]
fn rfc8020_2_nothing_is_below_a_name_that_is_not() {
    let reply = Packet::query("a.b.c.nothing.packets.example.", A).udp();
    assert_eq!(reply.rcode(), NXDOMAIN);
    has_soa(&reply, "packets.example.");
}

#[test]
fn rfc6604_3_the_code_is_that_of_the_last_name() {
    let reply = Packet::query("gone.packets.example.", A).udp();
    assert_eq!((reply.rcode(), reply.answered()), (NXDOMAIN, vec![(CNAME, "gone.packets.example.")]));
    has_soa(&reply, "packets.example.");
}

#[test]
fn rfc2308_2_2_no_such_type_behind_an_alias() {
    let reply = Packet::query("alias.packets.example.", MX).udp();
    assert_eq!((reply.rcode(), reply.answered()), (NOERROR, vec![(CNAME, "alias.packets.example.")]));
    has_soa(&reply, "packets.example.");
}

#[test]
fn rfc1034_4_3_1_names_of_others_are_refused() {
    for foreign in ["www.foreign.example.", "example.", ".", "packets.example.org."] {
        let reply = Packet::query(foreign, A).udp();
        assert_eq!(reply.rcode(), REFUSED, "{foreign}");
        assert!(reply.is_bare() && !reply.has(AA));
    }
}

#[test]
fn rfc1035_4_1_1_a_zone_without_data_is_a_failure_of_ours() {
    for lost in ["broken.example.", "www.broken.example.", "a.b.broken.example."] {
        let reply = Packet::query(lost, A).udp();
        assert_eq!(reply.rcode(), SERVFAIL, "{lost}");
        assert!(reply.is_bare() && !reply.has(AA));
    }
}
