//! Copies of some queries and their answers, for whoever writes them down.
//!
//! ```text
//! worker --> its ring of octets --> one thread that writes (`querylog`, an edge)
//! ```
//!
//! A worker that takes copies neither allocates nor waits: what doesn't fit into its ring is
//! dropped and counted. One that takes none pays for a look at one number with each batch. Answers
//! are on their way before they are copied.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use rtrb::{Consumer, Producer, RingBuffer};

use super::counters::alone;
use crate::answer::Transport;
use crate::limits::{TAP_RING_OCTETS, TAP_SMALL_RING_OCTETS};
use crate::wire::name::{self, NAME_OCTETS_MAX, Name};
use crate::wire::query::HEADER_OCTETS;

/// How many takers there are.
const TAKERS: usize = 3;

/// Octets before a copy's query: lengths, takers, transport, address, port, time.
const COPY_OCTETS: usize = 48;

/// Who takes copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taker {
    /// The query log.
    QueryLog,
    /// Dnstap.
    Dnstap,
    /// Who counts the clients that no region has.
    Unplaced,
}

impl Taker {
    /// All of them.
    pub const ALL: [Taker; TAKERS] = [Taker::QueryLog, Taker::Dnstap, Taker::Unplaced];
}

/// Which queries are taken: one of so many, if it passes all filters. An empty filter passes all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// One of how many.
    pub sample: u32,
    /// Names that a question must be at or below one of.
    pub names: Vec<Name>,
    /// Apexes of zones that a question must be at or below one of. Whether it is another zone that
    /// answers, one below it, isn't asked here.
    pub zones: Vec<Name>,
    /// Response codes.
    pub rcodes: Vec<u16>,
    /// Networks of clients, as their packets say.
    pub clients: Vec<IpNet>,
}

/// What each taker wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selections([Option<Selection>; TAKERS]);

impl Selections {
    /// Nobody wants anything.
    #[must_use]
    pub fn none() -> Selections {
        Selections::default()
    }

    /// What one of them wants.
    #[must_use]
    pub fn of(&self, taker: Taker) -> Option<&Selection> {
        self.0[taker as usize].as_ref()
    }

    /// Says what one of them wants; names in any case.
    #[must_use]
    pub fn with(mut self, taker: Taker, selection: Option<Selection>) -> Selections {
        let lower = |names: Vec<Name>| names.iter().map(Name::to_lower).collect();
        self.0[taker as usize] = selection.map(|selection| Selection {
            names: lower(selection.names),
            zones: lower(selection.zones),
            ..selection
        });
        self
    }

    /// Whether nobody wants anything.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Whether this taker is the only one.
    #[must_use]
    pub fn is_only(&self, taker: Taker) -> bool {
        Taker::ALL.into_iter().all(|one| self.of(one).is_some() == (one == taker))
    }

    /// What counts samples alone is content with a small ring, for it is on in every server.
    fn ring_octets(&self) -> usize {
        if self.is_only(Taker::Unplaced) { TAP_SMALL_RING_OCTETS } else { TAP_RING_OCTETS }
    }
}

/// The taps of all workers.
#[derive(Clone, Debug, Default)]
pub struct Taps(Vec<Arc<Switch>>);

impl Taps {
    /// Those of some workers.
    #[must_use]
    pub fn new(switches: Vec<Arc<Switch>>) -> Taps {
        Taps(switches)
    }

    /// All of both.
    #[must_use]
    pub fn and(mut self, others: Taps) -> Taps {
        self.0.extend(others.0);
        self
    }

    /// Has all workers copy what is wanted from now on, or nothing. What comes out of one ring for
    /// each is in the order in which a worker answered.
    #[must_use]
    pub fn turn(&self, selections: &Arc<Selections>) -> Vec<Copies> {
        let mut all = Vec::new();
        for switch in &self.0 {
            if selections.is_none() {
                switch.offer(None);
                continue;
            }
            let (producer, consumer) = RingBuffer::new(selections.ring_octets());
            switch.offer(Some(Tap::new(producer, Arc::clone(selections))));
            all.push(Copies { ring: consumer, octets: Vec::new() });
        }
        all
    }

    /// Copies for a taker that found no room in their rings.
    #[must_use]
    pub fn dropped(&self, taker: Taker) -> u64 {
        self.0.iter().map(|switch| switch.dropped[taker as usize].load(Ordering::Relaxed)).sum()
    }
}

/// Where a worker finds its tap when there is another.
#[derive(Debug, Default)]
pub struct Switch {
    /// Changes with each offer.
    turn: AtomicU32,
    offered: Mutex<Option<Tap>>,
    dropped: [AtomicU64; TAKERS],
}

impl Switch {
    fn offer(&self, tap: Option<Tap>) {
        let mut offered = self.lock();
        *offered = tap;
        self.turn.fetch_add(1, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Tap>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's side: its tap, while there is one.
#[derive(Debug)]
pub(super) struct Tapped {
    switch: Arc<Switch>,
    turn: u32,
    tap: Option<Tap>,
}

/// The end of a ring that a worker writes.
#[derive(Debug)]
struct Tap {
    ring: Producer<u8>,
    selections: Arc<Selections>,
    /// Queries that nobody's turn is at, from here on.
    passed_over: u32,
    /// How many there were from the last turn to the next, that one included.
    stride: u32,
    /// Queries from the last turn until each taker's next.
    left: [u32; TAKERS],
}

/// A query that was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchanged<'a> {
    pub(super) client: SocketAddr,
    pub(super) query: &'a [u8],
    pub(super) answer: &'a [u8],
}

impl Tapped {
    pub(super) fn new(switch: Arc<Switch>) -> Tapped {
        Tapped { switch, turn: 0, tap: None }
    }

    /// Copies those of a batch that somebody wants; usually nobody does.
    #[inline]
    pub(super) fn take<'a, I>(&mut self, transport: Transport, exchanged: impl FnOnce() -> I)
    where
        I: Iterator<Item = Exchanged<'a>>,
    {
        if self.switch.turn.load(Ordering::Relaxed) != self.turn {
            self.turn();
        }
        if let Some(tap) = &mut self.tap {
            exchanged().for_each(|exchanged| tap.take(transport, exchanged, &self.switch.dropped));
        }
    }

    /// The one moment at which a worker locks something: the operator turned the tap.
    #[cold]
    fn turn(&mut self) {
        let mut offered = self.switch.lock();
        self.turn = self.switch.turn.load(Ordering::Acquire);
        self.tap = offered.take();
    }
}

impl Tap {
    fn new(ring: Producer<u8>, selections: Arc<Selections>) -> Tap {
        Tap { ring, selections, passed_over: 0, stride: 1, left: [1; TAKERS] }
    }

    #[inline]
    fn take(&mut self, transport: Transport, exchanged: Exchanged<'_>, dropped: &[AtomicU64; TAKERS]) {
        // Samples are rare, and all other queries pay for this number alone.
        match self.passed_over.checked_sub(1) {
            Some(less) => self.passed_over = less,
            None => self.turn(transport, exchanged, dropped),
        }
    }

    /// It is somebody's turn.
    fn turn(&mut self, transport: Transport, exchanged: Exchanged<'_>, dropped: &[AtomicU64; TAKERS]) {
        let (mut takers, mut next) = (0, u32::MAX);
        for (bit, (selection, left)) in self.selections.0.iter().zip(&mut self.left).enumerate() {
            let Some(selection) = selection else { continue };
            *left -= self.stride;
            if *left == 0 {
                *left = selection.sample.max(1);
                takers |= u8::from(selection.passes(&exchanged)) << bit;
            }
            next = next.min(*left);
        }
        (self.stride, self.passed_over) = (next, next - 1);
        if takers == 0 || self.copy(transport, exchanged, takers).is_some() {
            return;
        }
        for taker in Taker::ALL {
            alone(&dropped[taker as usize], usize::from(takers >> taker as u8 & 1));
        }
    }

    /// Nothing if there is no room.
    fn copy(&mut self, transport: Transport, exchanged: Exchanged<'_>, takers: u8) -> Option<()> {
        let Exchanged { client, query, answer } = exchanged;
        let octets = COPY_OCTETS + query.len() + answer.len();
        if self.ring.slots() < octets {
            return None;
        }
        // The clock is read from memory, without a system call.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut head = [0; COPY_OCTETS];
        head[0..4].copy_from_slice(&u32::try_from(octets).ok()?.to_le_bytes());
        head[4] = takers;
        head[5] = match transport {
            Transport::Udp => 0,
            Transport::Tcp { .. } => 1,
            Transport::Tls { .. } => 2,
            Transport::Quic => 3,
        };
        head[6] = u8::from(client.is_ipv6());
        head[8..10].copy_from_slice(&client.port().to_le_bytes());
        head[10..12].copy_from_slice(&u16::try_from(query.len()).ok()?.to_le_bytes());
        head[12..28].copy_from_slice(&match client.ip() {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        });
        head[28..36].copy_from_slice(&now.as_secs().to_le_bytes());
        head[36..40].copy_from_slice(&now.subsec_nanos().to_le_bytes());
        for part in [&head[..], query, answer] {
            self.ring.push_entire_slice(part).ok()?;
        }
        Some(())
    }
}

impl Selection {
    /// Every query.
    #[must_use]
    pub fn all() -> Selection {
        Selection { sample: 1, names: Vec::new(), zones: Vec::new(), rcodes: Vec::new(), clients: Vec::new() }
    }

    fn passes(&self, Exchanged { client, query, answer }: &Exchanged<'_>) -> bool {
        let client = client.ip().to_canonical();
        if !self.clients.is_empty() && !self.clients.iter().any(|network| network.contains(&client)) {
            return false;
        }
        if !self.rcodes.is_empty() && !rcode(answer).is_some_and(|rcode| self.rcodes.contains(&rcode)) {
            return false;
        }
        if self.names.is_empty() && self.zones.is_empty() {
            return true;
        }
        let mut lower = [0; NAME_OCTETS_MAX];
        let Some(asked) = question_name(query, &mut lower) else { return false };
        [&self.names, &self.zones].into_iter().all(|names| {
            names.is_empty() || names.iter().any(|name| name::is_at_or_below(asked, name.as_wire()))
        })
    }
}

/// The name that a query asks for, in lower case.
fn question_name<'l>(query: &[u8], lower: &'l mut [u8; NAME_OCTETS_MAX]) -> Option<&'l [u8]> {
    let length = question_name_octets(query)?;
    let name = lower.get_mut(..length)?;
    name.copy_from_slice(query.get(HEADER_OCTETS..HEADER_OCTETS + length)?);
    name.make_ascii_lowercase();
    Some(name)
}

/// Octets of the name that a message's first question has; nothing if it has none.
fn question_name_octets(message: &[u8]) -> Option<usize> {
    if message.get(4..6)? == [0, 0] {
        return None;
    }
    let mut at = HEADER_OCTETS;
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1 - HEADER_OCTETS),
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

/// The response code of an answer of ours, extended where it is: such an answer has no records, and
/// its OPT record stands behind the question (RFC 6891 6.1.3).
#[must_use]
pub fn rcode(answer: &[u8]) -> Option<u16> {
    let low = u16::from(*answer.get(3)? & 0xf);
    let is_bare = answer.get(6..12)? == [0, 0, 0, 0, 0, 1];
    if !is_bare {
        return Some(low);
    }
    let opt = HEADER_OCTETS + question_name_octets(answer).map_or(0, |name| name + 4);
    // Behind the root's name, the type and the payload.
    let high = answer.get(opt + 5).copied().unwrap_or(0);
    Some(u16::from(high) << 4 | low)
}

/// The end of a ring that is read.
#[derive(Debug)]
pub struct Copies {
    ring: Consumer<u8>,
    /// One copy, while it is looked at.
    octets: Vec<u8>,
}

/// One query and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied<'c> {
    takers: u8,
    /// Over what it came.
    pub protocol: Protocol,
    /// From where. The port is 0 where it isn't known.
    pub client: SocketAddr,
    /// When it was answered, since 1970.
    pub at: Duration,
    /// The query's octets.
    pub query: &'c [u8],
    /// The answer's octets.
    pub answer: &'c [u8],
}

/// Over what a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// TCP.
    Tcp,
    /// TLS.
    Tls,
    /// QUIC.
    Quic,
}

impl Copies {
    /// The next copy, if there is one.
    pub fn take(&mut self) -> Option<Copied<'_>> {
        let head = self.ring.read_chunk(COPY_OCTETS).ok()?;
        let (first, second) = head.as_slices();
        let mut length = first.iter().chain(second);
        let mut octet = || length.next().copied().unwrap_or(0);
        let octets = u32::from_le_bytes([octet(), octet(), octet(), octet()]) as usize;
        if self.ring.slots() < octets {
            // The worker is about to write the rest.
            return None;
        }
        self.octets.resize(octets, 0);
        self.ring.pop_entire_slice(&mut self.octets).ok()?;
        Copied::read(&self.octets)
    }

    /// Whether nothing will come any more: the worker has another tap, or none.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ring.is_abandoned() && self.ring.is_empty()
    }
}

impl Copied<'_> {
    /// Whether one of them wants it.
    #[must_use]
    pub fn is_for(&self, taker: Taker) -> bool {
        self.takers >> taker as u8 & 1 == 1
    }

    fn read(octets: &[u8]) -> Option<Copied<'_>> {
        let (head, messages) = octets.split_first_chunk::<COPY_OCTETS>()?;
        let address = Ipv6Addr::from(<[u8; 16]>::try_from(&head[12..28]).ok()?);
        let address = if head[6] == 1 { address.into() } else { IpAddr::from(address).to_canonical() };
        let port = u16::from_le_bytes([head[8], head[9]]);
        let query = usize::from(u16::from_le_bytes([head[10], head[11]]));
        let seconds = u64::from_le_bytes(head[28..36].try_into().ok()?);
        let nanoseconds = u32::from_le_bytes(head[36..40].try_into().ok()?);
        let (query, answer) = messages.split_at_checked(query)?;
        let protocol = [Protocol::Udp, Protocol::Tcp, Protocol::Tls, Protocol::Quic];
        let protocol = *protocol.get(usize::from(head[5]))?;
        let at = Duration::new(seconds, nanoseconds);
        Some(Copied { takers: head[4], protocol, client: (address, port).into(), at, query, answer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str) -> Vec<u8> {
        let mut query = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend_from_slice(Name::parse(name, None).unwrap().as_wire());
        query.extend([0, 1, 0, 1]);
        query
    }

    fn answer(name: &str, rcode: u8) -> Vec<u8> {
        let mut answer = query(name);
        answer[2] |= 0x80;
        answer[3] |= rcode;
        answer
    }

    fn names(names: &[&str]) -> Vec<Name> {
        names.iter().map(|name| Name::parse(name, None).unwrap()).collect()
    }

    /// Has a worker answer these, with the tap turned for the query log; what comes out of it, as
    /// the names that were asked for.
    fn taken(selection: Selection, exchanges: &[(&str, &str, u8)]) -> Vec<String> {
        let switch = Arc::<Switch>::default();
        let mut tapped = Tapped::new(Arc::clone(&switch));
        let taps = Taps::new(vec![switch]);
        let mut copies = taps.turn(&Arc::new(Selections::none().with(Taker::QueryLog, Some(selection))));
        for (client, name, rcode) in exchanges {
            let (query, answer) = (query(name), answer(name, *rcode));
            let client = SocketAddr::new(client.parse().unwrap(), 4242);
            tapped
                .take(Transport::Udp, || [Exchanged { client, query: &query, answer: &answer }].into_iter());
        }
        let mut names = Vec::new();
        while let Some(copied) = copies[0].take() {
            assert!(copied.is_for(Taker::QueryLog) && !copied.is_for(Taker::Dnstap));
            assert_eq!((copied.protocol, copied.client.port()), (Protocol::Udp, 4242));
            let asked = &copied.query[HEADER_OCTETS..][..question_name_octets(copied.query).unwrap()];
            names.push(format!("{} {}", copied.client.ip(), Name::from_wire(asked).unwrap()));
        }
        assert_eq!(taps.dropped(Taker::QueryLog), 0);
        names
    }

    const EXCHANGES: [(&str, &str, u8); 5] = [
        ("192.0.2.1", "www.Example.com.", 0),
        ("192.0.2.200", "mail.example.com.", 3),
        ("2001:db8::1", "www.example.net.", 5),
        ("2001:db8::2", "notexample.com.", 0),
        ("192.0.2.1", "example.com.", 0),
    ];

    #[test]
    fn one_of_so_many_is_taken() {
        let all = taken(Selection::all(), &EXCHANGES);
        assert_eq!(all[0], "192.0.2.1 www.Example.com.");
        assert_eq!(all.len(), 5);
        let sampled = taken(Selection { sample: 2, ..Selection::all() }, &EXCHANGES);
        assert_eq!(sampled, [&*all[0], &*all[2], &*all[4]]);
    }

    #[test]
    fn filters_pass_what_fits_all_of_them() {
        let all = taken(Selection::all(), &EXCHANGES);
        let of = |selection| taken(selection, &EXCHANGES);
        let below = Selection { names: names(&["EXAMPLE.com."]), ..Selection::all() };
        assert_eq!(of(below.clone()), [&*all[0], &*all[1], &*all[4]], "on label boundaries, in any case");
        let zones = Selection { zones: names(&["example.net.", "example.org."]), ..Selection::all() };
        assert_eq!(of(zones), [&*all[2]]);
        assert_eq!(of(Selection { rcodes: vec![3, 5], ..Selection::all() }), all[1..3]);
        let clients = vec!["192.0.2.0/25".parse().unwrap(), "2001:db8::2/128".parse().unwrap()];
        let clients = Selection { clients, ..Selection::all() };
        assert_eq!(of(clients.clone()), [&*all[0], &*all[3], &*all[4]]);
        assert_eq!(of(Selection { clients: clients.clients, ..below }), [&*all[0], &*all[4]]);
    }

    #[test]
    fn rfc6891_6_1_3_extended_codes_are_read_from_the_opt_record() {
        for (code, low, high) in [(16, 0, 1), (23, 7, 1), (5, 5, 0)] {
            let mut answer = answer("a.example.", low);
            answer[11] = 1;
            answer.extend([0, 0, 41, 4, 208, high, 0, 0, 0, 0, 0]);
            assert_eq!(rcode(&answer), Some(code));
        }
        assert_eq!(rcode(&answer("a.example.", 3)), Some(3));
        assert_eq!(rcode(&[0; 3]), None);
    }

    #[test]
    fn a_ring_that_nobody_reads_drops_and_counts_and_the_next_tap_is_empty() {
        let switch = Arc::<Switch>::default();
        let mut tapped = Tapped::new(Arc::clone(&switch));
        let taps = Taps::new(vec![switch]);
        let both = Selections::none().with(Taker::Dnstap, Some(Selection::all()));
        let both = Arc::new(both.with(Taker::QueryLog, Some(Selection { sample: 2, ..Selection::all() })));
        let mut copies = taps.turn(&both).pop().unwrap();
        let (query, answer) = (query("example.com."), answer("example.com.", 0));
        let client = "192.0.2.1:1".parse().unwrap();
        let mut ask = |count| {
            let exchanged = Exchanged { client, query: &query, answer: &answer };
            tapped.take(Transport::Quic, || std::iter::repeat_n(exchanged, count));
        };
        let fit = TAP_RING_OCTETS / (COPY_OCTETS + query.len() + answer.len());
        ask(fit + 10);
        assert_eq!((taps.dropped(Taker::Dnstap), taps.dropped(Taker::QueryLog)), (10, 5));
        // Round the ring's end, several times.
        for _ in 0..3 {
            let mut read = 0;
            while let Some(copied) = copies.take() {
                assert_eq!((copied.query, copied.answer), (&query[..], &answer[..]));
                read += 1;
            }
            assert_eq!(read, fit);
            ask(fit);
        }
        assert_eq!(taps.dropped(Taker::Dnstap), 10);
        assert!(taps.turn(&Arc::new(Selections::none())).is_empty());
        assert!(!copies.is_over(), "the worker hasn't looked yet");
        ask(1);
        while copies.take().is_some() {}
        assert!(copies.is_over());
    }
}
