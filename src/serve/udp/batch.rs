//! One round of a UDP worker: receive what is there, answer it, send the answers.

use std::io::{self, ErrorKind};
use std::net::UdpSocket;

use super::sys::{Datagrams, coarse_now};
use crate::answer::{Client, Transport};
use crate::serve::counters::{Counters, alone};
use crate::serve::entropy::Entropy;
use crate::serve::service::Service;

/// The datagrams of one round, and what is needed to answer them. Its memory is used again and
/// again; a round allocates nothing.
pub(super) struct Batch {
    datagrams: Datagrams,
    entropy: Entropy,
    payload: usize,
}

impl Batch {
    /// Answers will have at most `payload` octets.
    pub(super) fn new(payload: usize) -> Batch {
        Batch { datagrams: Datagrams::new(), entropy: Entropy::new(), payload }
    }

    /// Waits for queries, a while at most, and answers those that are there. An error is one of
    /// receiving, other than that nothing came.
    #[inline]
    pub(super) fn round<S: Service>(
        &mut self,
        socket: &UdpSocket,
        service: &S,
        counters: &Counters,
    ) -> io::Result<()> {
        let received = match self.datagrams.receive(socket) {
            Ok(received) => received,
            Err(error) if is_pause(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        alone(&counters.received, received);
        self.answer(received, service, counters);
        self.send(socket, counters);
        Ok(())
    }

    #[inline]
    fn answer<S: Service>(&mut self, received: usize, service: &S, counters: &Counters) {
        let mut batch = service.begin();
        let now = coarse_now();
        for i in 0..received {
            let exchange = self.datagrams.exchange(i);
            let Some((query, address)) = exchange.query else {
                alone(&counters.dropped, 1);
                continue;
            };
            let client = Client { address, transport: Transport::Udp, entropy: self.entropy.next(), now };
            let out = &mut exchange.answer[..self.payload];
            let reply = S::answer(&mut batch, query, &client, out);
            counters.record(reply, out, alone);
            if reply.octets > 0 {
                self.datagrams.queue(i, reply.octets);
            }
        }
    }

    /// A failure concerns the first of those offered: it is counted and passed over. Nothing
    /// that a peer or a route can cause ends a worker.
    #[inline]
    fn send(&mut self, socket: &UdpSocket, counters: &Counters) {
        let mut done = 0;
        while done < self.datagrams.queued() {
            match self.datagrams.send(socket, done) {
                Ok(sent) => {
                    alone(&counters.answered, sent);
                    done += sent;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    alone(&counters.send_errors, 1);
                    done += 1;
                }
            }
        }
    }
}

/// Whether receiving only ended for a while: the time-out, or a signal.
fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
