//! Packets from a UDP socket, through `recvmmsg` and `sendmmsg`.

use std::io::{self, ErrorKind};
use std::net::UdpSocket;

use super::source::{Exchange, Sent, Source};
use super::sys::Datagrams;
use crate::serve::tap::Exchanged;

/// A socket, and the memory of one batch.
pub(super) struct Socket<'s> {
    socket: &'s UdpSocket,
    datagrams: Datagrams,
}

impl<'s> Socket<'s> {
    pub(super) fn new(socket: &'s UdpSocket) -> Socket<'s> {
        Socket { socket, datagrams: Datagrams::new() }
    }
}

impl Source for Socket<'_> {
    fn receive(&mut self) -> io::Result<usize> {
        self.datagrams.receive(self.socket)
    }

    fn exchanges(&mut self) -> impl Iterator<Item = Exchange<'_>> {
        self.datagrams.exchanges()
    }

    /// A failure concerns the first of those offered: it is counted and passed over. Nothing
    /// that a peer or a route can cause ends a worker.
    fn send(&mut self) -> Sent {
        let queued = self.datagrams.queue();
        let mut sent = Sent::default();
        while sent.answered + sent.failed < queued {
            match self.datagrams.send(self.socket, sent.answered + sent.failed) {
                Ok(count) => sent.answered += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => sent.failed += 1,
            }
        }
        sent
    }

    fn exchanged(&self) -> impl Iterator<Item = Exchanged<'_>> {
        self.datagrams.exchanged()
    }
}
