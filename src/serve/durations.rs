//! How long answering takes, as a histogram.
//!
//! Reading the clock costs as much as a tenth of an answer's lookup, so only one batch of sixteen
//! is timed: the shape of the histogram is that of all.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::counters::alone;

/// Batches from one that is timed to the next.
const SAMPLED: u32 = 16;

/// Upper bounds of the buckets: 1 us, 2 us, 4 us, up to 65 ms; one more has what took longer.
const BOUNDS: usize = 17;

/// What one worker measured; only it writes.
#[derive(Debug, Default)]
pub(super) struct Durations {
    buckets: [AtomicU64; BOUNDS + 1],
    nanoseconds: AtomicU64,
}

/// How durations are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many fell into each bucket.
    pub buckets: [u64; BOUNDS + 1],
    /// Their sum.
    pub nanoseconds: u64,
}

/// Says which batches are timed.
#[derive(Debug, Default)]
pub(super) struct Sampler(u32);

impl Sampler {
    /// The beginning of a batch, if this one is timed.
    #[inline]
    pub(super) fn begin(&mut self) -> Option<Instant> {
        self.0 = (self.0 + 1) % SAMPLED;
        (self.0 == 0).then(Instant::now)
    }
}

impl Durations {
    /// Takes in a batch of `queries` that began at `began`: all of them took as long.
    #[inline]
    pub(super) fn end(&self, began: Option<Instant>, queries: usize) {
        if let Some(began) = began {
            self.record(began.elapsed(), queries);
        }
    }

    fn record(&self, duration: Duration, queries: usize) {
        let microseconds = duration.as_nanos().div_ceil(1000).max(1) as u64;
        let bucket = microseconds.next_power_of_two().trailing_zeros() as usize;
        alone(&self.buckets[bucket.min(BOUNDS)], queries);
        alone(&self.nanoseconds, (duration.as_nanos() as usize).saturating_mul(queries));
    }

    pub(super) fn read(&self) -> Spread {
        Spread {
            buckets: self.buckets.each_ref().map(|bucket| bucket.load(Relaxed)),
            nanoseconds: self.nanoseconds.load(Relaxed),
        }
    }
}

impl Spread {
    /// The upper bounds of all buckets but the last, ascending.
    pub fn bounds() -> impl Iterator<Item = Duration> {
        (0..BOUNDS).map(|power| Duration::from_micros(1 << power))
    }
}

impl AddAssign<&Spread> for Spread {
    fn add_assign(&mut self, other: &Spread) {
        for (sum, more) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += more;
        }
        self.nanoseconds += other.nanoseconds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_lies_in_the_first_bucket_whose_bound_it_does_not_pass() {
        let durations = Durations::default();
        let nanoseconds = [0, 1000, 1001, 2000, 65_536_000, 65_536_001, 10_000_000_000];
        for nanoseconds in nanoseconds {
            durations.record(Duration::from_nanos(nanoseconds), 3);
        }
        let spread = durations.read();
        let expected = [(0, 6), (1, 6), (BOUNDS - 1, 3), (BOUNDS, 6)];
        for (bucket, count) in expected {
            assert_eq!(spread.buckets[bucket], count, "{bucket}");
        }
        assert_eq!(spread.nanoseconds, 3 * nanoseconds.iter().sum::<u64>());
        assert_eq!(Spread::bounds().last(), Some(Duration::from_micros(65_536)));
    }

    #[test]
    fn one_batch_of_sixteen_is_timed() {
        let mut sampler = Sampler::default();
        assert_eq!((0..160).filter(|_| sampler.begin().is_some()).count(), 10);
    }
}
