//! What became of notifications, counted for whoever collects metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Counts of all receivers, by name.
#[derive(Debug, Default)]
pub struct Tallies(RwLock<BTreeMap<String, Arc<Tally>>>);

/// Counts of one receiver.
#[derive(Debug, Default)]
pub struct Tally {
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    waiting: AtomicU64,
}

/// Counts of one receiver at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that were taken.
    pub sent: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Messages that were given up: refused, too old, or too many.
    pub dropped: u64,
    /// Messages that wait.
    pub waiting: u64,
}

impl Tallies {
    /// The counts of all receivers that there are.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, Counts> {
        let tallies = self.0.read().unwrap_or_else(PoisonError::into_inner);
        tallies.iter().map(|(name, tally)| (name.clone(), tally.counts())).collect()
    }

    /// The tally of a receiver, which goes on where it was.
    pub(super) fn of(&self, name: &str) -> Arc<Tally> {
        let mut tallies = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tallies.entry(name.to_owned()).or_default())
    }

    /// Forgets receivers that are no more.
    pub(super) fn keep_only(&self, is_there: impl Fn(&str) -> bool) {
        let mut tallies = self.0.write().unwrap_or_else(PoisonError::into_inner);
        tallies.retain(|name, _| is_there(name));
    }
}

impl Tally {
    pub(super) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn wait(&self, count: usize) {
        self.waiting.store(count as u64, Ordering::Relaxed);
    }

    fn counts(&self) -> Counts {
        Counts {
            sent: self.sent.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }
}
