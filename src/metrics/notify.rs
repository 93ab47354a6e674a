//! What became of notifications.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::family::Families;
use crate::notify::{Counts, Tallies};

#[derive(Debug)]
pub(super) struct Notify(pub(super) Arc<Tallies>);

impl Collector for Notify {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.0.counts();
        let of = |value: fn(&Counts) -> u64| {
            counts.iter().map(move |(name, counts)| (vec![("name", name.as_str())], value(counts)))
        };
        let mut families = Families(encoder);
        families.counters("notify_sent", "Messages that a receiver took", of(|counts| counts.sent))?;
        families.counters("notify_failed", "Attempts that failed", of(|counts| counts.failed))?;
        families.counters(
            "notify_dropped",
            "Messages that were given up: refused, too old, or too many",
            of(|counts| counts.dropped),
        )?;
        families.gauges(
            "notify_queue_length",
            "Messages that wait for a receiver",
            None,
            of(|counts| counts.waiting).map(|(labels, waiting)| (labels, waiting as f64)),
        )
    }
}
