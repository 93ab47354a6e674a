//! What the transports count. Each worker writes its own set, whole cache lines apart from
//! the others; whoever wants the sums reads them all.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Reply;

/// Response codes counted apart, to BADCOOKIE (RFC 7873 8); any beyond count as the last.
pub const RCODES: usize = 24;

/// Kinds of answer counted apart; any beyond count as the last.
pub const KINDS: usize = 16;

/// Octet and bit of TC in a header (RFC 1035 4.1.1).
const TRUNCATED: (usize, u8) = (2, 0x02);

/// Sums at one moment, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// Responses by response code.
    pub rcodes: [u64; RCODES],
    /// Responses by kind.
    pub kinds: [u64; KINDS],
}

/// One writer's counters. Two lines of alignment, since processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    pub(super) received: AtomicU64,
    pub(super) answered: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) truncated: AtomicU64,
    pub(super) send_errors: AtomicU64,
    pub(super) receive_errors: AtomicU64,
    pub(super) panics: AtomicU64,
    rcodes: [AtomicU64; RCODES],
    kinds: [AtomicU64; KINDS],
}

/// Adds to a counter that only the calling thread writes: no locked instruction.
#[inline]
pub(super) fn alone(counter: &AtomicU64, count: usize) {
    counter.store(counter.load(Relaxed).wrapping_add(count as u64), Relaxed);
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
    pub(super) fn record(&self, reply: Reply, response: &[u8]) {
        if reply.octets == 0 {
            return alone(&self.dropped, 1);
        }
        alone(&self.rcodes[usize::from(reply.rcode).min(RCODES - 1)], 1);
        alone(&self.kinds[usize::from(reply.kind).min(KINDS - 1)], 1);
        if response.get(TRUNCATED.0).is_some_and(|octet| octet & TRUNCATED.1 != 0) {
            alone(&self.truncated, 1);
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
            rcodes: self.rcodes.each_ref().map(read),
            kinds: self.kinds.each_ref().map(read),
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.received += other.received;
        self.answered += other.answered;
        self.dropped += other.dropped;
        self.truncated += other.truncated;
        self.send_errors += other.send_errors;
        self.receive_errors += other.receive_errors;
        self.panics += other.panics;
        for (sum, more) in self.rcodes.iter_mut().zip(other.rcodes) {
            *sum += more;
        }
        for (sum, more) in self.kinds.iter_mut().zip(other.kinds) {
            *sum += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_rcode_kind_and_truncation() {
        let counters = Counters::default();
        let truncated = [0, 0, 0x82, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        counters.record(Reply { octets: 12, rcode: 3, kind: 2 }, &truncated);
        counters.record(Reply { octets: 12, rcode: 200, kind: 200 }, &[0; 12]);
        counters.record(Reply { octets: 0, rcode: 0, kind: 0 }, &[]);
        let mut sum = counters.read();
        sum += counters.read();
        assert_eq!((sum.truncated, sum.dropped), (2, 2));
        assert_eq!((sum.rcodes[3], sum.rcodes[RCODES - 1], sum.rcodes[0]), (2, 2, 0));
        assert_eq!((sum.kinds[2], sum.kinds[KINDS - 1], sum.kinds[0]), (2, 2, 0));
    }
}
