//! The buffers of a worker, in which queries of one connection after the other are answered.

use std::net::IpAddr;
use std::time::Duration;

use crate::answer::{Client, Transport};
use crate::limits::{MESSAGE_OCTETS, TCP_GATHERED_OCTETS, TCP_READ_OCTETS};
use crate::serve::counters::{Counters, alone};
use crate::serve::entropy::Entropy;
use crate::serve::service::Service;
use crate::serve::udp::coarse_now;
use crate::wire::query::LowerName;

/// Octets of the length before each message.
const LENGTH_OCTETS: usize = 2;

/// Octets of a message's header (RFC 1035 4.1.1). What is shorter isn't a message.
const HEADER_OCTETS: usize = 12;

/// Memory that is used again for every query. Nothing in it outlives a connection's turn.
pub(super) struct Desk {
    /// What is read from a connection.
    pub(super) input: Box<[u8]>,
    /// Answers with their lengths, as they are made.
    output: Box<[u8]>,
    name: LowerName,
    entropy: Entropy,
    transport: Transport,
}

/// What [`Desk::answer`] came to.
pub(super) struct Gathered<'d> {
    /// Answers with their lengths, to be written.
    pub(super) output: &'d [u8],
    /// How many they are.
    pub(super) answers: usize,
    /// Octets of the input that are done with.
    pub(super) used: usize,
    /// What stands behind them.
    pub(super) rest: Rest,
}

/// What the rest of the input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Whole queries, which wait until what was gathered is written.
    Queries,
    /// A part of a query at most: more octets are needed.
    Part,
    /// Something that isn't a query: the connection is of no use any more.
    Garbage,
}

impl Desk {
    /// Connections may be silent for `idle`.
    pub(super) fn new(idle: Duration) -> Desk {
        Desk {
            input: vec![0; TCP_READ_OCTETS].into(),
            // The last answer that is gathered may be of any length.
            output: vec![0; TCP_GATHERED_OCTETS + LENGTH_OCTETS + MESSAGE_OCTETS].into(),
            name: LowerName::root(),
            entropy: Entropy::new(),
            transport: Transport::Tcp { idle: u16::try_from(idle.as_millis() / 100).unwrap_or(u16::MAX) },
        }
    }

    /// The two halves: what was read, and what answers it.
    pub(super) fn split(&mut self) -> (&mut [u8], Output<'_>) {
        let output = Output {
            octets: &mut self.output,
            name: &mut self.name,
            entropy: &mut self.entropy,
            transport: self.transport,
        };
        (&mut self.input, output)
    }
}

/// The half of a desk in which answers are made.
pub(super) struct Output<'d> {
    octets: &'d mut [u8],
    name: &'d mut LowerName,
    entropy: &'d mut Entropy,
    transport: Transport,
}

impl Output<'_> {
    /// Answers the whole queries that `input` begins with, until enough is gathered.
    pub(super) fn answer<S: Service>(
        &mut self,
        input: &[u8],
        peer: IpAddr,
        service: &S,
        counters: &Counters,
    ) -> Gathered<'_> {
        let batch = service.begin();
        let now = coarse_now();
        let (mut used, mut end, mut answers) = (0, 0, 0);
        let rest = loop {
            let Some(octets) = message_octets(&input[used..]) else { break Rest::Part };
            if octets < HEADER_OCTETS {
                break Rest::Garbage;
            }
            let begin = used + LENGTH_OCTETS;
            let Some(query) = input.get(begin..begin + octets) else { break Rest::Part };
            if end >= TCP_GATHERED_OCTETS {
                break Rest::Queries;
            }
            used = begin + octets;
            alone(&counters.received, 1);
            let (transport, entropy) = (self.transport, self.entropy.next());
            let client = Client { address: peer, transport, entropy, now };
            let (length, out) = self.octets[end..].split_at_mut(LENGTH_OCTETS);
            let out = &mut out[..MESSAGE_OCTETS];
            let reply = S::answer(&S::prepare(&batch, query, self.name), &client, out);
            counters.record(reply, out);
            let Ok(octets @ 1..) = u16::try_from(reply.octets) else {
                // Whoever gets nothing here would wait for it: rather the end.
                break Rest::Garbage;
            };
            length.copy_from_slice(&octets.to_be_bytes());
            end += LENGTH_OCTETS + usize::from(octets);
            answers += 1;
        };
        Gathered { output: &self.octets[..end], answers, used, rest }
    }
}

/// The length that `input` begins with.
fn message_octets(input: &[u8]) -> Option<usize> {
    let length = input.first_chunk::<LENGTH_OCTETS>()?;
    Some(usize::from(u16::from_be_bytes(*length)))
}
