//! What the writer counts for metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::health::Tick;

/// Figures of a running writer. It alone changes them.
#[derive(Debug, Default)]
pub struct Figures {
    probes: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    snapshots: AtomicU64,
    /// When the newest snapshot was published, in milliseconds since 1970.
    published: AtomicU64,
    /// How long it took from its change, in microseconds.
    took: AtomicU64,
}

impl Figures {
    /// Results of probes so far, by what they ask and what came of it.
    #[must_use]
    pub fn probes(&self) -> Vec<((&'static str, &'static str), u64)> {
        self.results().iter().map(|(labels, count)| (*labels, *count)).collect()
    }

    /// Snapshots that were published.
    #[must_use]
    pub fn snapshots(&self) -> u64 {
        self.snapshots.load(Relaxed)
    }

    /// When the newest one was published.
    #[must_use]
    pub fn published(&self) -> Tick {
        Tick(self.published.load(Relaxed))
    }

    /// How long its change took, from being taken to being published.
    #[must_use]
    pub fn took(&self) -> Duration {
        Duration::from_micros(self.took.load(Relaxed))
    }

    pub(super) fn count_probe(&self, asks: &'static str, came: &'static str) {
        *self.results().entry((asks, came)).or_default() += 1;
    }

    pub(super) fn count_snapshot(&self, at: Tick) {
        self.snapshots.fetch_add(1, Relaxed);
        self.published.store(at.0, Relaxed);
    }

    pub(super) fn measure(&self, took: Duration) {
        self.took.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    fn results(&self) -> MutexGuard<'_, BTreeMap<(&'static str, &'static str), u64>> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
