//! Bundles: when those were made that are written and that are in force, and when signers were heard.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::family::{Families, Labels};
use crate::bundles::Written;
use crate::limits::ZONE_ROWS;
use crate::publish::Status;

#[derive(Debug)]
pub(super) struct Bundles {
    pub(super) status: Arc<Status>,
    pub(super) written: Written,
}

impl Collector for Bundles {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        let (mut made, mut heard) = (Vec::new(), Vec::new());
        for (apex, at) in self.written.all() {
            made.push((apex.to_string(), at as f64 / 1e3));
        }
        for (apex, zone) in self.status.zones().iter() {
            made.extend(zone.bundle_made.map(|at| (apex.to_string(), at.0 as f64 / 1e3)));
            heard.extend(zone.signer_heard.map(|at| (apex.to_string(), at.0 as f64 / 1e3)));
        }
        families.gauges(
            "bundle_made_timestamp",
            "When the zone's bundle was made: on a signer the last one that it wrote, on an edge the one in force",
            Some(Unit::Seconds),
            samples(&made),
        )?;
        families.gauges(
            "bundle_signer_heard_timestamp",
            "When the zone's signer said last that the newest bundle is here; when the server began to ask, if it hasn't since",
            Some(Unit::Seconds),
            samples(&heard),
        )
    }
}

/// Of tens of thousands of zones a signer and its edges show the same, so that they can be compared.
fn samples(rows: &[(String, f64)]) -> Vec<(Labels<'_>, f64)> {
    let shown = rows.iter().take(ZONE_ROWS.into());
    shown.map(|(zone, at)| (vec![("zone", zone.as_str())], *at)).collect()
}
