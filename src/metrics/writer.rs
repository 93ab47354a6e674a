//! What the writer does: snapshots, and reports of probes.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::family::Families;
use crate::publish::Status;

#[derive(Debug)]
pub(super) struct Writer(pub(super) Arc<Status>);

impl Collector for Writer {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        let figures = self.0.figures();
        families.counters("snapshots", "Snapshots that were published", [(vec![], figures.snapshots())])?;
        families.gauges(
            "snapshot_timestamp",
            "When the newest snapshot was published",
            Some(Unit::Seconds),
            [(vec![], figures.published().0 as f64 / 1e3)],
        )?;
        families.gauges(
            "snapshot_build_duration",
            "How long the newest snapshot took, from its change being taken to being published",
            Some(Unit::Seconds),
            [(vec![], figures.took().as_secs_f64())],
        )?;
        let probes = figures.probes();
        let probes =
            probes.into_iter().map(|((asks, came), count)| (vec![("type", asks), ("outcome", came)], count));
        families.counters("probe_results", "Results of probes, by what they ask and what came of it", probes)
    }
}
