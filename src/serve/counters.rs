//! What the transports count. Each worker writes its own set, whole cache lines apart from
//! the others; whoever wants the sums reads them all.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::durations::{Durations, Spread};
use crate::answer::{Answered, Kind, Placed};
use crate::geo::How;
use crate::limits::{REGION_ROWS, ZONE_ROWS};
use crate::snapshot::Row;
use crate::wire::cookie::Standing;
use crate::wire::rtype::Rtype;

/// Response codes counted apart, to BADCOOKIE (RFC 7873 8); any beyond count as the last.
pub(super) const RCODES: usize = 24;

/// Types counted apart: all up to HTTPS by their numbers, some later ones, and all others.
pub(super) const TYPES: usize = TYPES_BY_NUMBER + LATER_TYPES.len() + 1;

/// Ways to place a client: by client subnet or source address, times [`How`].
pub const WAYS: usize = 2 * HOWS.len();

const TYPES_BY_NUMBER: usize = 66;

const LATER_TYPES: [Rtype; 6] =
    [Rtype::SPF, Rtype::IXFR, Rtype::AXFR, Rtype::ANY, Rtype::CAA, Rtype(256 /* URI, RFC 7553 */)];

const HOWS: [How; 6] = [How::Default, How::Network, How::Asn, How::Subdivision, How::Country, How::Continent];

/// Sums at one moment, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Queries read from sockets.
    pub received: u64,
    /// Responses handed to the kernel or a stream.
    pub answered: u64,
    /// Queries that got nothing: too long, or not worth an answer.
    pub dropped: u64,
    /// Responses with TC set.
    pub truncated: u64,
    /// Responses that the kernel or the stream didn't take.
    pub send_errors: u64,
    /// Failed reads.
    pub receive_errors: u64,
    /// Batches or connections that a defect of ours ended; their queries got nothing.
    pub panics: u64,
    /// Responses to queries with an OPT record.
    pub edns: u64,
    /// Responses to queries with DO.
    pub dnssec_ok: u64,
    /// Responses to queries with a client subnet.
    pub subnets: u64,
    /// Responses to queries with a cookie, by what it proved: nothing, the wrong thing, the client.
    pub cookies: [u64; 3],
    /// Responses by response code.
    pub rcodes: [u64; RCODES],
    /// Responses by kind.
    pub kinds: [u64; Kind::ALL.len()],
    /// Responses by the type asked for; [`type_at`] names the places.
    pub types: Vec<u64>,
    /// Responses by the [`Row`] of their zone.
    pub zones: Vec<u64>,
    /// Routed answers by the [`Row`] of the client's region; [`way_at`] names the places.
    pub regions: Vec<[u64; WAYS]>,
    /// How long answering took, sampled.
    pub durations: Spread,
}

/// The type at a place of [`Tally::types`]; nothing for all others together.
#[must_use]
pub fn type_at(place: usize) -> Option<Rtype> {
    match place.checked_sub(TYPES_BY_NUMBER) {
        None => Some(Rtype(place as u16)),
        Some(later) => LATER_TYPES.get(later).copied(),
    }
}

/// What a place in a region's counters stands for: whether the client subnet placed the client,
/// and what placed that address.
#[must_use]
pub fn way_at(place: usize) -> (bool, How) {
    (place >= HOWS.len(), HOWS[place % HOWS.len()])
}

/// One writer's counters. Two lines of alignment, since processors fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub struct Counters {
    pub(super) received: AtomicU64,
    pub(super) answered: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) send_errors: AtomicU64,
    pub(super) receive_errors: AtomicU64,
    pub(super) panics: AtomicU64,
    pub(super) durations: Durations,
    truncated: AtomicU64,
    edns: AtomicU64,
    dnssec_ok: AtomicU64,
    subnets: AtomicU64,
    cookies: [AtomicU64; 3],
    rcodes: [AtomicU64; RCODES],
    kinds: [AtomicU64; Kind::ALL.len()],
    types: [AtomicU64; TYPES],
    zones: Box<[AtomicU64]>,
    regions: Box<[[AtomicU64; WAYS]]>,
}

/// Adds to a counter that only the calling thread writes: no locked instruction.
#[inline]
pub(super) fn alone(counter: &AtomicU64, count: usize) {
    counter.store(counter.load(Relaxed).wrapping_add(count as u64), Relaxed);
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            received: AtomicU64::default(),
            answered: AtomicU64::default(),
            dropped: AtomicU64::default(),
            send_errors: AtomicU64::default(),
            receive_errors: AtomicU64::default(),
            panics: AtomicU64::default(),
            durations: Durations::default(),
            truncated: AtomicU64::default(),
            edns: AtomicU64::default(),
            dnssec_ok: AtomicU64::default(),
            subnets: AtomicU64::default(),
            cookies: Default::default(),
            rcodes: Default::default(),
            kinds: Default::default(),
            types: [const { AtomicU64::new(0) }; TYPES],
            zones: (0..ZONE_ROWS).map(|_| AtomicU64::default()).collect(),
            regions: (0..REGION_ROWS).map(|_| Default::default()).collect(),
        }
    }
}

impl Counters {
    /// Counts responses that a stream took, or didn't.
    pub fn written(&self, responses: usize, is_taken: bool) {
        alone(if is_taken { &self.answered } else { &self.send_errors }, responses);
    }

    /// Counts a connection that a defect of ours ended.
    pub fn panicked(&self) {
        alone(&self.panics, 1);
    }

    /// Counts what became of a query.
    #[inline]
    pub(super) fn record(&self, answered: &Answered) {
        if answered.octets == 0 {
            return alone(&self.dropped, 1);
        }
        let facts = &answered.facts;
        alone(&self.rcodes[usize::from(answered.rcode).min(RCODES - 1)], 1);
        alone(&self.kinds[answered.kind as usize], 1);
        alone(&self.types[place_of(facts.qtype)], 1);
        alone(&self.truncated, usize::from(answered.truncated));
        if let Some(counter) = self.zones.get(usize::from(facts.zone.0)) {
            alone(counter, 1);
        }
        if facts.edns {
            alone(&self.edns, 1);
            alone(&self.dnssec_ok, usize::from(facts.dnssec_ok));
            alone(&self.subnets, usize::from(facts.subnet));
            if let Some(standing) = facts.cookie {
                alone(&self.cookies[standing as usize], 1);
            }
        }
        if let Some(Placed { region, by_subnet, how }) = facts.placed
            && let Some(region) = self.regions.get(usize::from(region.0))
        {
            alone(&region[usize::from(by_subnet) * HOWS.len() + how as usize], 1);
        }
    }

    /// The counters now. Each is right; they needn't belong to the same moment.
    pub fn read(&self) -> Tally {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Tally {
            received: read(&self.received),
            answered: read(&self.answered),
            dropped: read(&self.dropped),
            truncated: read(&self.truncated),
            send_errors: read(&self.send_errors),
            receive_errors: read(&self.receive_errors),
            panics: read(&self.panics),
            edns: read(&self.edns),
            dnssec_ok: read(&self.dnssec_ok),
            subnets: read(&self.subnets),
            cookies: self.cookies.each_ref().map(read),
            rcodes: self.rcodes.each_ref().map(read),
            kinds: self.kinds.each_ref().map(read),
            types: self.types.iter().map(read).collect(),
            zones: self.zones.iter().map(read).collect(),
            regions: self.regions.iter().map(|region| region.each_ref().map(read)).collect(),
            durations: self.durations.read(),
        }
    }
}

#[inline]
fn place_of(qtype: Rtype) -> usize {
    let number = usize::from(qtype.0);
    if number < TYPES_BY_NUMBER {
        return number;
    }
    let later = LATER_TYPES.iter().position(|later| *later == qtype);
    TYPES_BY_NUMBER + later.unwrap_or(LATER_TYPES.len())
}

/// Counters are found by these numbers.
const _: () = {
    assert!(Standing::Valid as usize == 2 && How::Continent as usize + 1 == HOWS.len());
    assert!(Row::FIRST.0 < ZONE_ROWS && Row::FIRST.0 < REGION_ROWS);
};

impl AddAssign<&Tally> for Tally {
    fn add_assign(&mut self, other: &Tally) {
        self.received += other.received;
        self.answered += other.answered;
        self.dropped += other.dropped;
        self.truncated += other.truncated;
        self.send_errors += other.send_errors;
        self.receive_errors += other.receive_errors;
        self.panics += other.panics;
        self.edns += other.edns;
        self.dnssec_ok += other.dnssec_ok;
        self.subnets += other.subnets;
        add(&mut self.cookies, &other.cookies);
        add(&mut self.rcodes, &other.rcodes);
        add(&mut self.kinds, &other.kinds);
        self.types.resize(TYPES, 0);
        add(&mut self.types, &other.types);
        self.zones.resize(ZONE_ROWS.into(), 0);
        add(&mut self.zones, &other.zones);
        self.regions.resize(REGION_ROWS.into(), [0; WAYS]);
        for (sum, more) in self.regions.iter_mut().zip(&other.regions) {
            add(sum, more);
        }
        self.durations += &other.durations;
    }
}

fn add(sums: &mut [u64], more: &[u64]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Facts;

    const ANSWERED: Answered = Answered {
        octets: 12,
        rcode: 3,
        kind: Kind::NxDomain,
        truncated: true,
        facts: Facts {
            qtype: Rtype::HTTPS,
            zone: Row(5),
            placed: Some(Placed { region: Row(3), by_subnet: true, how: How::Country }),
            edns: true,
            dnssec_ok: true,
            subnet: true,
            cookie: Some(Standing::Valid),
        },
    };

    #[test]
    fn an_answer_is_counted_under_all_that_it_is() {
        let counters = Counters::default();
        counters.record(&ANSWERED);
        counters.record(&Answered { octets: 0, ..ANSWERED });
        let mut sum = Tally::default();
        sum += &counters.read();
        sum += &counters.read();
        assert_eq!((sum.truncated, sum.dropped, sum.rcodes[3]), (2, 2, 2));
        assert_eq!(sum.kinds[Kind::NxDomain as usize], 2);
        assert_eq!((sum.edns, sum.dnssec_ok, sum.subnets, sum.cookies), (2, 2, 2, [0, 0, 2]));
        assert_eq!((sum.types[65], sum.zones[5]), (2, 2));
        let way = sum.regions[3].iter().position(|count| *count == 2).unwrap();
        assert_eq!(way_at(way), (true, How::Country));
    }

    #[test]
    fn what_has_no_place_of_its_own_has_one_with_others() {
        let counters = Counters::default();
        let facts = Facts { qtype: Rtype(65_280), zone: Row(u16::MAX), ..ANSWERED.facts };
        counters.record(&Answered { rcode: 4095, facts, ..ANSWERED });
        let tally = counters.read();
        assert_eq!((tally.rcodes[RCODES - 1], tally.types[TYPES - 1]), (1, 1));
        for qtype in [Rtype(0), Rtype::A, Rtype::HTTPS, Rtype::ANY, Rtype::CAA] {
            assert_eq!(type_at(place_of(qtype)), Some(qtype));
        }
        assert_eq!(type_at(TYPES - 1), None);
    }
}
