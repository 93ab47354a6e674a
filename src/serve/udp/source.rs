//! Where a worker's packets come from and go to: the seam between answering and moving octets.
//!
//! [`Socket`](super::socket::Socket) is the one there is. A worker asks no more of it than this
//! trait, so that another kind can stand beside it (`docs/af-xdp.md`).

use std::io;
use std::net::IpAddr;

use crate::serve::tap::Exchanged;

/// Moves queries in and answers out, a batch at a time, in memory of its own.
pub(super) trait Source {
    /// Waits a while for queries and takes those that are there, at most
    /// [`UDP_BATCH`](crate::limits::UDP_BATCH). Answers that weren't sent are forgotten. An error
    /// of kind `WouldBlock`, `TimedOut` or `Interrupted` says that nothing came.
    fn receive(&mut self) -> io::Result<usize>;

    /// What the last receive took, all at once: so a worker can look at every query before it
    /// answers the first.
    fn exchanges(&mut self) -> impl Iterator<Item = Exchange<'_>>;

    /// Sends all answers that were written.
    fn send(&mut self) -> Sent;

    /// What the last receive took and was answered, until the next one.
    fn exchanged(&self) -> impl Iterator<Item = Exchanged<'_>>;
}

/// A received query and the room for its answer.
pub(super) struct Exchange<'a> {
    /// What was received, and from whom; `None` if it was longer than its buffer, or its sender
    /// is of an unknown family.
    pub(super) query: Option<(&'a [u8], IpAddr)>,
    /// Where the answer is written.
    pub(super) answer: &'a mut [u8],
    /// How many octets it has; as long as this is 0 nothing will be sent.
    pub(super) octets: &'a mut usize,
}

/// What became of a batch's answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Those that are on their way.
    pub(super) answered: usize,
    /// Those that couldn't be sent.
    pub(super) failed: usize,
}
