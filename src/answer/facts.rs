//! What is counted of a query beside what became of it.

use crate::geo::How;
use crate::snapshot::Row;
use crate::wire::cookie::Standing;
use crate::wire::edns::Edns;
use crate::wire::rtype::Rtype;

/// What a query asked, as far as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The type asked for; 0 when the question couldn't be read.
    pub qtype: Rtype,
    /// The counters of the zone that answered; of none when none did.
    pub zone: Row,
    /// How a routed answer was chosen.
    pub placed: Option<Placed>,
    /// Whether there was an OPT record.
    pub edns: bool,
    /// Whether DNSSEC records were wanted (RFC 3225).
    pub dnssec_ok: bool,
    /// Whether there was a client subnet (RFC 7871).
    pub subnet: bool,
    /// What a cookie (RFC 7873) proved, if there was one.
    pub cookie: Option<Standing>,
}

/// The region that a client was placed into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The counters of the region.
    pub region: Row,
    /// Whether the client subnet placed it, not the source address.
    pub by_subnet: bool,
    /// What placed the address.
    pub how: How,
}

impl Facts {
    /// Of what couldn't be read.
    pub const NONE: Facts = Facts {
        qtype: Rtype(0),
        zone: Row::NONE,
        placed: None,
        edns: false,
        dnssec_ok: false,
        subnet: false,
        cookie: None,
    };

    /// Of a query whose OPT record was read, if there was one.
    #[inline]
    pub(super) fn new(qtype: Rtype, edns: Option<&Edns<'_>>, cookie: Option<Standing>) -> Facts {
        Facts {
            qtype,
            edns: edns.is_some(),
            dnssec_ok: edns.is_some_and(|edns| edns.dnssec_ok),
            subnet: edns.is_some_and(|edns| edns.subnet.is_some()),
            cookie,
            ..Facts::NONE
        }
    }
}
