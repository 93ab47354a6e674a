//! What became of the queries: answers, losses, times.

use std::time::Duration;

/// A query without an answer after this is lost; it is what resolvers wait before they try again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// Latencies are counted in steps of a microsecond up to this; longer ones in the last step.
const HISTOGRAM_STEPS: usize = 1_100_000;
/// Octets of a DNS header.
const HEADER_OCTETS: usize = 12;

/// Queries on their way and what came of the others. Moments are nanoseconds of any clock.
pub(crate) struct Tally {
    /// When the query with this id was sent; 0 for none.
    sent_at: Vec<u64>,
    next_id: u16,
    outstanding: usize,
    sent: u64,
    answered: u64,
    lost: u64,
    unexpected: u64,
    answer_octets: u64,
    rcodes: [u64; 16],
    latencies: Histogram,
    /// How much later than planned queries were sent.
    delays: Histogram,
    seconds: f64,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            sent_at: vec![0; 1 << 16],
            next_id: 0,
            outstanding: 0,
            sent: 0,
            answered: 0,
            lost: 0,
            unexpected: 0,
            answer_octets: 0,
            rcodes: [0; 16],
            latencies: Histogram::new(),
            delays: Histogram::new(),
            seconds: 0.0,
        }
    }

    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// How many were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// A query goes out now; returns its id.
    pub(crate) fn send(&mut self, now: u64) -> u16 {
        let mut id = self.next_id;
        // Those still waited for keep theirs, unless all do.
        for _ in 0..self.sent_at.len() {
            if self.sent_at[usize::from(id)] == 0 {
                break;
            }
            id = id.wrapping_add(1);
        }
        self.next_id = id.wrapping_add(1);
        if std::mem::replace(&mut self.sent_at[usize::from(id)], now) == 0 {
            self.outstanding += 1;
        } else {
            self.lost += 1;
        }
        self.sent += 1;
        id
    }

    pub(crate) fn delayed(&mut self, nanoseconds: u64) {
        self.delays.add(nanoseconds);
    }

    /// A message came; tells whether it answers a query on its way.
    pub(crate) fn receive(&mut self, message: &[u8], now: u64) -> bool {
        let is_answer = message.len() >= HEADER_OCTETS && message[2] & 0x80 != 0;
        let sent_at = if is_answer {
            let id = u16::from_be_bytes([message[0], message[1]]);
            std::mem::take(&mut self.sent_at[usize::from(id)])
        } else {
            0
        };
        if sent_at == 0 {
            self.unexpected += 1;
            return false;
        }
        self.outstanding -= 1;
        self.answered += 1;
        self.answer_octets += message.len() as u64;
        self.rcodes[usize::from(message[3] & 15)] += 1;
        self.latencies.add(now.saturating_sub(sent_at));
        true
    }

    /// Gives up those that were sent too long ago.
    pub(crate) fn give_up(&mut self, now: u64) {
        let patience = PATIENCE.as_nanos() as u64;
        for sent_at in &mut self.sent_at {
            if *sent_at != 0 && now.saturating_sub(*sent_at) > patience {
                *sent_at = 0;
                self.outstanding -= 1;
                self.lost += 1;
            }
        }
    }

    /// The run took `seconds`; what is still on its way is lost.
    pub(crate) fn finish(&mut self, seconds: f64) {
        self.lost += self.outstanding as u64;
        self.outstanding = 0;
        self.sent_at.fill(0);
        self.seconds = seconds;
    }

    pub(crate) fn json(&self) -> String {
        let rcodes: Vec<String> = (self.rcodes.iter().enumerate())
            .filter(|(_, count)| **count > 0)
            .map(|(code, count)| format!("\"{code}\": {count}"))
            .collect();
        format!(
            "{{\"sent\": {}, \"answered\": {}, \"lost\": {}, \"unexpected\": {}, \"seconds\": {:.3}, \
             \"per_second\": {:.0}, \"answer_octets\": {:.1}, \"rcodes\": {{{}}}, \"latency\": {}, \"delay\": {}}}",
            self.sent,
            self.answered,
            self.lost,
            self.unexpected,
            self.seconds,
            self.answered as f64 / self.seconds,
            self.answer_octets as f64 / self.answered.max(1) as f64,
            rcodes.join(", "),
            self.latencies.json(),
            self.delays.json(),
        )
    }
}

struct Histogram {
    steps: Vec<u32>,
    count: u64,
}

impl Histogram {
    fn new() -> Histogram {
        Histogram { steps: vec![0; HISTOGRAM_STEPS], count: 0 }
    }

    fn add(&mut self, nanoseconds: u64) {
        let step = usize::try_from(nanoseconds / 1000).unwrap_or(usize::MAX);
        self.steps[step.min(HISTOGRAM_STEPS - 1)] += 1;
        self.count += 1;
    }

    /// In microseconds.
    fn json(&self) -> String {
        let [p50, p99, p999, most] = [0.5, 0.99, 0.999, 1.0].map(|part| self.quantile(part));
        format!("{{\"p50\": {p50}, \"p99\": {p99}, \"p99.9\": {p999}, \"most\": {most}}}")
    }

    fn quantile(&self, part: f64) -> usize {
        let wanted = (self.count as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (step, count) in self.steps.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted.max(1) {
                return step;
            }
        }
        0
    }
}
