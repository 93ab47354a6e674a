//! From a name to what answers for it: RFC 1034 4.3.2, 4343, 4592, 6672.

use super::packet::*;

fn ask(owner: &str, qtype: u16) -> super::reply::Reply {
    Packet::query(&format!("{owner}.packets.example."), qtype).udp()
}

const WWW: [&[u8]; 2] = [&[192, 0, 2, 1], &[192, 0, 2, 2]];

#[test]
fn rfc1034_4_3_2_a_whole_rrset() {
    let reply = ask("www", A);
    assert_eq!(reply.data(), WWW);
    assert!(reply.answers.iter().all(|record| (record.ttl, record.class) == (300, IN)));
}

#[test]
fn rfc4343_3_letters_are_alike() {
    for spelled in ["WWW", "wWw", "www"] {
        assert_eq!(ask(spelled, A).data(), WWW);
    }
    assert_eq!(ask("case", A).data(), [[192, 0, 2, 9]]);
}

#[test]
fn rfc4343_4_1_the_owner_is_spelled_as_it_was_asked() {
    let reply = ask("wWw", A);
    assert!(reply.answers.iter().all(|record| record.owner == "wWw.packets.example."));
}

#[test]
fn rfc1034_3_6_2_an_alias_answers_all_types() {
    for (qtype, data) in
        [(A, &[192, 0, 2, 1][..]), (AAAA, &[32, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])]
    {
        let reply = ask("alias", qtype);
        assert_eq!(
            (reply.answers[0].rtype, reply.answers[0].target.as_deref()),
            (CNAME, Some("www.packets.example."))
        );
        assert_eq!(
            (reply.answers[1].owner.as_str(), &reply.answers[1].rdata[..]),
            ("www.packets.example.", data)
        );
    }
}

#[test]
fn rfc1034_3_6_2_an_alias_asked_for_is_not_followed() {
    for qtype in [CNAME, ANY] {
        assert_eq!(ask("alias", qtype).answered(), [(CNAME, "alias.packets.example.")]);
    }
}

#[test]
fn rfc1034_4_3_2_aliases_come_in_order() {
    let reply = ask("alias3", A);
    let names = ["alias3", "alias2", "alias"].map(|owner| format!("{owner}.packets.example."));
    let mut expected: Vec<(u16, &str)> = names.iter().map(|owner| (CNAME, owner.as_str())).collect();
    expected.extend([(A, "www.packets.example."); 2]);
    assert_eq!(reply.answered(), expected);
    assert!(reply.has(AA));
}

#[test]
fn rfc1034_3_6_2_an_alias_of_elsewhere_is_all_there_is_to_say() {
    let reply = ask("away", A);
    assert_eq!((reply.rcode(), reply.answered()), (NOERROR, vec![(CNAME, "away.packets.example.")]));
    assert!(reply.has(AA) && reply.authority.is_empty());
}

#[test]
fn rfc1034_4_3_2_an_alias_of_another_zone_here_is_followed() {
    let reply = ask("across", A);
    assert_eq!(reply.answered(), [(CNAME, "across.packets.example."), (A, "www.other.example.")]);
}

#[test]
fn rfc1034_5_2_2_a_loop_has_each_alias_once() {
    let reply = ask("loop2", A);
    let expected = ["loop2", "loop3", "loop1"].map(|owner| format!("{owner}.packets.example."));
    assert_eq!(reply.answered(), expected.each_ref().map(|owner| (CNAME, owner.as_str())));
    assert_eq!(reply.rcode(), NOERROR);
    assert_eq!(ask("self", A).answered(), [(CNAME, "self.packets.example.")]);
    assert_eq!(ask("SELF", A).answers.len(), 1, "however it is spelled");
}

#[test]
fn rfc1034_4_3_2_an_alias_of_a_delegated_name_brings_the_referral() {
    let reply = ask("tosub", A);
    assert_eq!(reply.answered(), [(CNAME, "tosub.packets.example.")]);
    // AA speaks of the first owner (RFC 1035 4.1.1).
    assert!(reply.has(AA) && reply.authority.iter().all(|record| record.rtype == NS));
    assert_eq!(reply.authority.len(), 2);
}

#[test]
fn rfc1034_4_3_2_an_alias_stands_whatever_its_target_lacks() {
    let reply = ask("tobroken", A);
    assert_eq!((reply.rcode(), reply.answered()), (NOERROR, vec![(CNAME, "tobroken.packets.example.")]));
}

#[test]
fn rfc1034_4_3_2_a_delegated_name_is_referred() {
    for owner in ["sub", "www.sub", "a.b.sub"] {
        let reply = ask(owner, A);
        assert!(!reply.has(AA) && reply.answers.is_empty());
        assert_eq!(reply.rcode(), NOERROR);
        let servers: Vec<_> =
            reply.authority.iter().map(|record| (record.rtype, record.owner.as_str())).collect();
        assert_eq!(servers, [(NS, "sub.packets.example."); 2]);
    }
}

#[test]
fn rfc9471_3_1_glue_comes_with_a_referral() {
    let reply = ask("www.sub", A);
    let glue: Vec<_> =
        reply.additional.iter().map(|record| (record.owner.as_str(), &record.rdata[..])).collect();
    assert_eq!(
        glue,
        [("ns.sub.packets.example.", &[192, 0, 2, 54][..]), ("ns1.packets.example.", &[192, 0, 2, 53])]
    );
}

#[test]
fn rfc2181_6_1_the_child_answers_below_its_cut() {
    let reply = ask("www.child", A);
    assert!(reply.has(AA));
    assert_eq!(reply.data(), [[192, 0, 2, 60]]);
    assert_eq!(ask("child", NS).answers[0].target.as_deref(), Some("ns.elsewhere.test."));
}

#[test]
fn rfc4592_3_3_1_a_wildcard_answers_for_names_that_are_not() {
    for owner in ["x.wild", "x.y.z.wild"] {
        let reply = ask(owner, A);
        assert_eq!(reply.data(), [[192, 0, 2, 7]]);
        assert_eq!(reply.answers[0].owner, format!("{owner}.packets.example."));
        assert!(reply.has(AA));
    }
}

#[test]
fn rfc4592_2_2_1_a_wildcard_asked_for_by_its_name() {
    assert_eq!(ask("*.wild", A).answered(), [(A, "*.wild.packets.example.")]);
}

#[test]
fn rfc4592_2_2_1_a_name_that_is_there_is_not_the_wildcards() {
    assert_eq!(ask("host.wild", A).data(), [[192, 0, 2, 8]]);
    let reply = ask("host.wild", TXT);
    assert_eq!((reply.rcode(), reply.answers.len()), (NOERROR, 0));
}

#[test]
fn rfc4592_2_2_1_nothing_below_a_name_that_is_there_is_the_wildcards() {
    assert_eq!(ask("x.host.wild", A).rcode(), NXDOMAIN);
}

#[test]
fn rfc4592_2_2_2_an_empty_nonterminal_is_there() {
    let reply = ask("ent.wild", A);
    assert_eq!((reply.rcode(), reply.answers.len()), (NOERROR, 0));
    assert_eq!(ask("x.ent.wild", A).rcode(), NXDOMAIN);
}

#[test]
fn rfc4592_2_2_1_a_wildcard_has_only_its_types() {
    let reply = ask("x.wild", MX);
    assert_eq!((reply.rcode(), reply.answers.len(), reply.authority.len()), (NOERROR, 0, 1));
}

#[test]
fn rfc4592_3_3_1_the_parent_of_a_wildcard_is_not_its() {
    let reply = ask("wild", A);
    assert_eq!((reply.rcode(), reply.answers.len()), (NOERROR, 0));
}

#[test]
fn rfc4592_4_3_an_alias_at_a_wildcard_is_followed() {
    let reply = ask("x.cwild", A);
    assert_eq!(reply.answers[0].owner, "x.cwild.packets.example.");
    assert_eq!(reply.answers.len(), 3);
}

#[test]
fn rfc6672_3_2_names_below_are_redirected() {
    let reply = ask("x.old", A);
    let expected =
        [(DNAME, "old.packets.example."), (CNAME, "x.old.packets.example."), (A, "x.new.packets.example.")];
    assert_eq!(reply.answered(), expected);
    assert_eq!(reply.answers[1].target.as_deref(), Some("x.new.packets.example."));
}

#[test]
fn rfc6672_2_3_the_owner_itself_is_not_redirected() {
    let reply = ask("old", A);
    assert_eq!((reply.rcode(), reply.answers.len(), reply.authority.len()), (NOERROR, 0, 1));
    assert_eq!(ask("old", DNAME).answered(), [(DNAME, "old.packets.example.")]);
}

#[test]
fn rfc6672_3_1_the_alias_made_has_the_dnames_ttl() {
    let reply = ask("x.old", A);
    assert_eq!(reply.answers[0].ttl, reply.answers[1].ttl);
}

#[test]
fn rfc6672_3_1_the_alias_made_is_spelled_as_it_was_asked() {
    let reply = ask("xX.OlD", A);
    assert_eq!(reply.answers[1].owner, "xX.OlD.packets.example.");
}

#[test]
fn rfc6672_3_2_an_alias_asked_for_below_a_dname() {
    let reply = ask("x.old", CNAME);
    assert_eq!(reply.answered(), [(DNAME, "old.packets.example."), (CNAME, "x.old.packets.example.")]);
}

#[test]
fn rfc6672_3_2_a_redirected_name_that_is_not_there() {
    let reply = ask("none.old", A);
    assert_eq!((reply.rcode(), reply.answers.len(), reply.authority.len()), (NXDOMAIN, 2, 1));
}

#[test]
fn rfc6672_2_2_a_redirected_name_that_is_too_long() {
    let reply = ask(&format!("{0}.long", "y".repeat(60)), A);
    assert_eq!((reply.rcode(), reply.answered()), (YXDOMAIN, vec![(DNAME, "long.packets.example.")]));
    assert_eq!(ask("short.long", A).rcode(), NOERROR);
}

#[test]
fn rfc6672_2_5_a_loop_has_each_record_once() {
    let reply = ask("x.there", A);
    let expected = [(DNAME, "there"), (CNAME, "x.there"), (DNAME, "back"), (CNAME, "x.back")];
    let expected = expected.map(|(rtype, owner)| (rtype, format!("{owner}.packets.example.")));
    assert_eq!(reply.answered(), expected.each_ref().map(|(rtype, owner)| (*rtype, owner.as_str())));
}

#[test]
fn rfc6672_2_5_a_dname_into_itself_ends() {
    let reply = Packet::query("x.grow.packets.example.", A).tcp();
    assert_eq!(reply.answers.iter().filter(|record| record.rtype == DNAME).count(), 1);
    let mut owners: Vec<&str> = reply.answers.iter().map(|record| record.owner.as_str()).collect();
    owners.sort_unstable();
    owners.dedup();
    assert_eq!(owners.len(), reply.answers.len());
}
