//! Where servers disagree: what Waypost does, and by which RFC.

use std::collections::BTreeSet;
use std::fmt;

use waypost::limits::CNAME_CHAIN;
use waypost::wire::name::{Name, is_at_or_below};
use waypost::wire::query::rcode;
use waypost::wire::rtype::Rtype;

use super::message::{Canonical, Record};
use super::{Mode, Question, wire};

/// Two answers to one question.
pub struct Case<'a> {
    pub peer: &'static str,
    pub question: &'a Question,
    pub mode: Mode,
    pub ours: &'a Canonical,
    pub theirs: &'a Canonical,
    pub apexes: &'a BTreeSet<Vec<u8>>,
}

/// A difference that is meant, and the answers to which it applies.
pub struct Exception {
    pub name: &'static str,
    pub holds: fn(&Case<'_>) -> bool,
}

pub const EXCEPTIONS: &[Exception] = &[
    // RFC 1034 4.3.2: a CNAME changes QNAME and goes back to step 1, which searches all available
    // zones; RFC 6672 3.2 has the same for DNAME. BIND and Knot stay in the first zone, NSD goes on.
    Exception {
        name: "chains go on in other zones of the server",
        holds: |case| {
            matches!(case.peer, "bind" | "knot")
                && !case.theirs.truncated
                && case.theirs.rcode == rcode::NOERROR
                && case.theirs.authority.is_empty()
                && case.theirs.answers.is_subset(&case.ours.answers)
                && case.leaves_its_zone()
        },
    },
    // RFC 1034 3.6.2: software should not fail when presented with chains or loops. BIND answers
    // SERVFAIL with what it has after 11 links; Knot and NSD end where the loop closes, as we do.
    Exception {
        name: "loops and long chains are no failure",
        holds: |case| {
            case.peer == "bind"
                && case.theirs.rcode == rcode::SERVFAIL
                && (case.ours.truncated || case.theirs.answers.is_subset(&case.ours.answers))
        },
    },
    // No RFC says how long a chain may be, and resolvers go on where it ends. We end it after
    // CNAME_CHAIN links, Knot after 5 already.
    Exception {
        name: "Knot's chains are shorter",
        holds: |case| {
            case.peer == "knot"
                && case.ours.rcode == case.theirs.rcode
                && links(case.theirs) == 5
                && links(case.ours) > 5
                && case.theirs.authority.is_empty()
                && case.theirs.answers.is_subset(&case.ours.answers)
        },
    },
    // NSD goes on for longer along CNAMEs; a DNAME that leads below itself it takes once.
    Exception {
        name: "NSD's chains have other ends",
        holds: |case| {
            case.peer == "nsd"
                && case.ours.rcode == case.theirs.rcode
                && links(case.ours) == CNAME_CHAIN + 1
                && (case.ours.answers.is_subset(&case.theirs.answers)
                    || case.theirs.answers.is_subset(&case.ours.answers))
        },
    },
    // RFC 1035 4.1.4: compression is optional. The target of a CNAME stands whole in our answers,
    // so a chain that nearly fills a datagram is truncated before it is with others.
    Exception {
        name: "long chains come by TCP",
        holds: |case| {
            !case.mode.tcp && case.ours.truncated && !case.theirs.truncated && links(case.theirs) > 0
        },
    },
    // RFC 9471 3.1: if glue of servers within the zone doesn't fit, TC is set. BIND 9.18 and NSD
    // 4.6 send what fits.
    Exception {
        name: "all glue or TC",
        holds: |case| {
            matches!(case.peer, "bind" | "nsd")
                && !case.mode.tcp
                && case.ours.truncated
                && !case.theirs.authoritative
                && !case.theirs.glue.is_empty()
        },
    },
    // RFC 8482 4.1: one RRset answers ANY, and which one is ours to choose. BIND gives all of
    // them; Knot and NSD choose others at some names.
    Exception {
        name: "ANY is answered by one RRset",
        holds: |case| {
            let (ours, theirs) = (&case.ours.answers, &case.theirs.answers);
            let types: BTreeSet<Rtype> = ours.iter().map(|record| record.rtype).collect();
            case.question.rtype == Rtype::ANY
                && case.ours.rcode == case.theirs.rcode
                && case.ours.authoritative
                && case.theirs.authoritative
                && types.len() == 1
                && !theirs.is_empty()
                && (ours.is_subset(theirs) || case.peer != "bind")
        },
    },
    // RFC 6672 3.2: a DNAME goes back to step 1 whatever the QTYPE; BIND ends an ANY there.
    Exception {
        name: "ANY goes on behind a DNAME",
        holds: |case| {
            case.peer == "bind"
                && case.question.rtype == Rtype::ANY
                && case.theirs.answers.iter().any(|record| record.rtype == Rtype::DNAME)
                && case.theirs.answers.is_subset(&case.ours.answers)
        },
    },
    // RFC 4592 4.2 leaves a delegation at a wildcard undefined: it is data here, as at any other
    // name that a wildcard makes. Knot and NSD give referrals; BIND refuses the zone.
    Exception { name: "NS at a wildcard is data", holds: |case| case.is_below("cut.undefined.example.") },
    // RFC 4592 4.4 leaves a DNAME at a wildcard undefined: it is data here, also for names below
    // the asterisk itself, which BIND, Knot and NSD redirect (each with another owner).
    Exception {
        name: "DNAME at a wildcard is data",
        holds: |case| case.is_below("*.moved.wildcards.example."),
    },
    // RFC 2181 6.1: a zone has authority down to its cuts, so what the parent's file has below one
    // doesn't exist in the child. NSD keeps one tree for all zones and denies the type alone.
    Exception {
        name: "a parent's occluded data makes no names in its child",
        holds: |case| {
            case.peer == "nsd"
                && case.is_below("data.child.family.example.")
                && case.ours.rcode == rcode::NXDOMAIN
                && case.theirs.rcode == rcode::NOERROR
        },
    },
    // RFC 4035 3.1.4.1: a server of the child that isn't one of the parent must answer DS with NODATA
    // from the child's apex. BIND, Knot and NSD refer to the parent from further up.
    Exception {
        name: "DS of a zone whose parent is elsewhere is NODATA",
        holds: |case| {
            case.question.rtype == Rtype::DS
                && case.is_below("grand.mid.family.example.")
                && case.ours.authoritative
                && case.ours.answers.is_empty()
                && case.ours.authority.iter().any(|soa| soa.owner == wire("grand.mid.family.example."))
        },
    },
    // RFC 6672 2.2: a substitution that grows too long is YXDOMAIN. Knot 3.2 says NXDOMAIN where
    // BIND and NSD agree with us.
    Exception {
        name: "too long a substitution is YXDOMAIN",
        holds: |case| {
            case.peer == "knot" && case.ours.rcode == rcode::YXDOMAIN && case.theirs.rcode == rcode::NXDOMAIN
        },
    },
    // RFC 1035 4.2.1 and RFC 6891 6.2.5: up to 512 octets, or what the client offers. BIND keeps some
    // octets back.
    Exception {
        name: "a datagram is filled to its last octet",
        holds: |case| case.peer == "bind" && !case.mode.tcp && case.theirs.truncated && !case.ours.truncated,
    },
];

impl Case<'_> {
    fn is_below(&self, ancestor: &str) -> bool {
        is_at_or_below(&self.question.name.to_ascii_lowercase(), &wire(ancestor))
    }

    /// Whether a CNAME of their answer leads into another zone of the server, from which they have
    /// nothing.
    fn leaves_its_zone(&self) -> bool {
        let zone = |name: &[u8]| {
            let above = self.apexes.iter().filter(|apex| is_at_or_below(name, apex));
            above.max_by_key(|apex| apex.len())
        };
        let answers = &self.theirs.answers;
        answers.iter().filter(|record| record.rtype == Rtype::CNAME).any(|record| {
            let target = &record.rdata;
            zone(target).is_some_and(|other| zone(&record.owner) != Some(other))
                && !answers.iter().any(|other: &Record| other.owner == *target)
        })
    }
}

fn links(answer: &Canonical) -> usize {
    answer.answers.iter().filter(|record| record.rtype == Rtype::CNAME).count()
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Question { name, rtype } = self.question;
        let name = Name::from_wire(&name.to_ascii_lowercase()).unwrap();
        writeln!(f, "{name} {rtype} {:?}", self.mode)?;
        writeln!(f, "  waypost {:?}", self.ours)?;
        writeln!(f, "  {} {:?}", self.peer, self.theirs)
    }
}
