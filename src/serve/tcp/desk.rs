//! The buffers of a worker, in which queries of one connection after the other are answered.

use std::net::IpAddr;
use std::sync::Arc;

use crate::answer::{Client, Transport};
use crate::limits::{MESSAGE_OCTETS, QUERIES_FETCHED, TCP_GATHERED_OCTETS, TCP_READ_OCTETS};
use crate::serve::counters::{Counters, alone};
use crate::serve::durations::Sampler;
use crate::serve::entropy::Entropy;
use crate::serve::service::Service;
use crate::serve::tap::{Exchanged, Switch, Tapped};
use crate::serve::udp::coarse_now;
use crate::wire::query::LowerName;

/// Octets of the length before each message.
const LENGTH_OCTETS: usize = 2;

/// Octets of a message's header (RFC 1035 4.1.1). What is shorter isn't a message.
const HEADER_OCTETS: usize = 12;

/// Memory that is used again for every query. Nothing in it outlives a connection's turn.
pub struct Desk {
    /// What is read from a connection.
    pub(super) input: Box<[u8]>,
    /// Answers with their lengths, as they are made.
    output: Box<[u8]>,
    names: Box<[LowerName; QUERIES_FETCHED]>,
    entropy: Entropy,
    sampler: Sampler,
    tapped: Tapped,
    transport: Transport,
}

/// What [`Output::answer`] came to.
pub struct Gathered<'d> {
    /// Answers with their lengths, to be written.
    pub output: &'d [u8],
    /// How many they are.
    pub answers: usize,
    /// Octets of the input that are done with.
    pub used: usize,
    /// What stands behind them.
    pub rest: Rest,
}

/// What the rest of the input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Whole queries, which wait until what was gathered is written.
    Queries,
    /// A part of a query at most: more octets are needed.
    Part,
    /// Something that isn't a query: the connection is of no use any more.
    Garbage,
}

impl Desk {
    /// For connections of one transport, whose queries are copied by this tap.
    #[must_use]
    pub fn new(transport: Transport, tap: Arc<Switch>) -> Desk {
        Desk {
            input: vec![0; TCP_READ_OCTETS].into(),
            // The last answer that is gathered may be of any length.
            output: vec![0; TCP_GATHERED_OCTETS + LENGTH_OCTETS + MESSAGE_OCTETS].into(),
            names: Box::new([const { LowerName::root() }; QUERIES_FETCHED]),
            entropy: Entropy::new(),
            sampler: Sampler::default(),
            tapped: Tapped::new(tap),
            transport,
        }
    }

    /// The two halves: what was read, and what answers it.
    pub fn split(&mut self) -> (&mut [u8], Output<'_>) {
        let output = Output {
            octets: &mut self.output,
            names: &mut self.names,
            entropy: &mut self.entropy,
            sampler: &mut self.sampler,
            tapped: &mut self.tapped,
            transport: self.transport,
        };
        (&mut self.input, output)
    }
}

/// The half of a desk in which answers are made.
pub struct Output<'d> {
    octets: &'d mut [u8],
    names: &'d mut [LowerName; QUERIES_FETCHED],
    entropy: &'d mut Entropy,
    sampler: &'d mut Sampler,
    tapped: &'d mut Tapped,
    transport: Transport,
}

impl Output<'_> {
    /// Answers the whole queries that `input` begins with, until enough is gathered. As with
    /// datagrams, some are read before the first of them is answered.
    pub fn answer<S: Service>(
        &mut self,
        input: &[u8],
        peer: IpAddr,
        service: &S,
        counters: &Counters,
    ) -> Gathered<'_> {
        let began = self.sampler.begin();
        let batch = service.begin();
        let mut gathered = Gathered { output: &[], answers: 0, used: 0, rest: Rest::Part };
        let now = coarse_now();
        let mut end = 0;
        'bursts: loop {
            let mut waiting = [const { None }; QUERIES_FETCHED];
            let mut messages = Messages { input, at: gathered.used };
            for ((place, name), query) in waiting.iter_mut().zip(&mut *self.names).zip(&mut messages) {
                *place = Some((S::prepare(&batch, query, name), query));
            }
            S::fetch(waiting.iter().flatten().map(|(prepared, _)| prepared));
            for (prepared, query) in waiting.iter().flatten() {
                if end >= TCP_GATHERED_OCTETS {
                    gathered.rest = Rest::Queries;
                    break 'bursts;
                }
                gathered.used += LENGTH_OCTETS + query.len();
                alone(&counters.received, 1);
                let (transport, entropy) = (self.transport, self.entropy.next());
                let client = Client { address: peer, transport, entropy, now };
                let (length, out) = self.octets[end..].split_at_mut(LENGTH_OCTETS);
                let out = &mut out[..MESSAGE_OCTETS];
                let answered = S::answer(prepared, &client, out);
                counters.record(&answered);
                let Ok(octets @ 1..) = u16::try_from(answered.octets) else {
                    // Whoever gets nothing here would wait for it: rather the end.
                    gathered.rest = Rest::Garbage;
                    break 'bursts;
                };
                length.copy_from_slice(&octets.to_be_bytes());
                end += LENGTH_OCTETS + usize::from(octets);
                gathered.answers += 1;
            }
            if waiting.last().is_none_or(Option::is_none) {
                gathered.rest = if messages.is_garbage() { Rest::Garbage } else { Rest::Part };
                break;
            }
        }
        counters.durations.end(began, gathered.answers);
        let output = &self.octets[..end];
        self.tapped.take(self.transport, || {
            let answers = Messages { input: output, at: 0 };
            // The port isn't known here.
            let client = (peer, 0).into();
            let pairs = Messages { input, at: 0 }.zip(answers);
            pairs.map(move |(query, answer)| Exchanged { client, query, answer })
        });
        Gathered { output, ..gathered }
    }
}

/// The whole queries that octets begin with.
struct Messages<'i> {
    input: &'i [u8],
    at: usize,
}

impl<'i> Messages<'i> {
    /// The length that comes next.
    fn octets(&self) -> Option<usize> {
        let length = self.input[self.at..].first_chunk::<LENGTH_OCTETS>()?;
        Some(usize::from(u16::from_be_bytes(*length)))
    }

    /// Whether what comes next can't become a query.
    fn is_garbage(&self) -> bool {
        self.octets().is_some_and(|octets| octets < HEADER_OCTETS)
    }
}

impl<'i> Iterator for Messages<'i> {
    type Item = &'i [u8];

    fn next(&mut self) -> Option<&'i [u8]> {
        let octets = self.octets().filter(|&octets| octets >= HEADER_OCTETS)?;
        let begin = self.at + LENGTH_OCTETS;
        let query = self.input.get(begin..begin + octets)?;
        self.at = begin + octets;
        Some(query)
    }
}
