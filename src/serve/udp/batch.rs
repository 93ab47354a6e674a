//! One round of a UDP worker: receive what is there, answer it, send the answers.

use std::io::{self, ErrorKind};

use super::source::Source;
use super::sys::coarse_now;
use crate::answer::{Client, Transport};
use crate::limits::QUERIES_FETCHED;
use crate::serve::counters::{Counters, alone};
use crate::serve::durations::Sampler;
use crate::serve::entropy::Entropy;
use crate::serve::service::Service;
use crate::serve::tap::Tapped;
use crate::wire::query::LowerName;

/// What is needed to answer batch after batch. A round allocates nothing.
pub(super) struct Batch<P> {
    source: P,
    names: [LowerName; QUERIES_FETCHED],
    entropy: Entropy,
    sampler: Sampler,
    payload: usize,
}

impl<P: Source> Batch<P> {
    /// Answers what `source` brings. Answers will have at most `payload` octets.
    pub(super) fn new(source: P, payload: usize) -> Batch<P> {
        let names = [const { LowerName::root() }; QUERIES_FETCHED];
        Batch { source, names, entropy: Entropy::new(), sampler: Sampler::default(), payload }
    }

    /// Waits for queries, a while at most, and answers those that are there. An error is one of
    /// receiving, other than that nothing came.
    #[inline]
    pub(super) fn round<S: Service>(
        &mut self,
        service: &S,
        counters: &Counters,
        tapped: &mut Tapped,
    ) -> io::Result<()> {
        let received = match self.source.receive() {
            Ok(received) => received,
            Err(error) if is_pause(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let began = self.sampler.begin();
        alone(&counters.received, received);
        self.answer(service, counters);
        let sent = self.source.send();
        counters.durations.end(began, received);
        alone(&counters.answered, sent.answered);
        alone(&counters.send_errors, sent.failed);
        tapped.take(Transport::Udp, || self.source.exchanged());
        Ok(())
    }

    /// Reads some queries before it answers the first, so that what they need is fetched from memory
    /// at the same time.
    #[inline]
    fn answer<S: Service>(&mut self, service: &S, counters: &Counters) {
        let batch = service.begin();
        let mut exchanges = self.source.exchanges();
        loop {
            let mut waiting = [const { None }; QUERIES_FETCHED];
            let places = waiting.iter_mut().zip(&mut self.names);
            let mut taken = 0;
            for ((place, name), exchange) in places.zip(&mut exchanges) {
                taken += 1;
                match exchange.query {
                    Some((query, address)) => {
                        let prepared = S::prepare(&batch, query, name);
                        *place = Some((prepared, address, exchange.answer, exchange.octets));
                    }
                    None => alone(&counters.dropped, 1),
                }
            }
            if taken == 0 {
                return;
            }
            let now = coarse_now();
            S::fetch(waiting.iter().flatten().map(|(prepared, ..)| prepared));
            for (prepared, address, out, octets) in waiting.iter_mut().flatten() {
                let client = Client {
                    address: *address,
                    transport: Transport::Udp,
                    entropy: self.entropy.next(),
                    now,
                };
                let out = &mut out[..self.payload];
                let answered = S::answer(prepared, &client, out);
                counters.record(&answered);
                **octets = answered.octets;
            }
            if taken < QUERIES_FETCHED {
                return;
            }
        }
    }
}

/// Whether receiving only ended for a while: the time-out, or a signal.
fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
