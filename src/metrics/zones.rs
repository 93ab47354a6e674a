//! Zones and the database, as loaded.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::family::Families;
use crate::limits::ZONE_ROWS;
use crate::publish::{Status, ZoneStatus};

#[derive(Debug)]
pub(super) struct Zones(pub(super) Arc<Status>);

impl Collector for Zones {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let zones: Vec<(String, ZoneStatus)> = {
            let zones = self.0.zones();
            zones.iter().map(|(apex, status)| (apex.to_string(), status.clone())).collect()
        };
        let mut families = Families(encoder);
        families.gauges(
            "zones",
            "Zones that are served",
            None,
            [(vec![], zones.iter().filter(|(_, zone)| zone.serial.is_some()).count() as f64)],
        )?;
        families.gauges(
            "zones_failed",
            "Zones whose files have errors",
            None,
            [(vec![], zones.iter().filter(|(_, zone)| zone.error.is_some()).count() as f64)],
        )?;
        // Of tens of thousands, only those that need somebody are shown apart.
        let is_few = zones.len() <= usize::from(ZONE_ROWS);
        let shown: Vec<&(String, ZoneStatus)> =
            zones.iter().filter(|(_, zone)| is_few || zone.error.is_some()).take(ZONE_ROWS.into()).collect();
        let gauge = |value: fn(&ZoneStatus) -> Option<f64>| {
            shown.iter().filter_map(move |(apex, zone)| Some((vec![("zone", apex.as_str())], value(zone)?)))
        };
        families.gauges(
            "zone_serial",
            "Serial of the zone that is served",
            None,
            gauge(|zone| zone.serial.map(f64::from)),
        )?;
        families.gauges(
            "zone_records",
            "Records of the zone that is served",
            None,
            gauge(|zone| zone.serial.map(|_| zone.records as f64)),
        )?;
        families.gauges(
            "zone_loaded_timestamp",
            "When the zone that is served was loaded",
            Some(Unit::Seconds),
            gauge(|zone| zone.loaded.map(|at| at.0 as f64 / 1e3)),
        )?;
        families.gauges(
            "zone_failed",
            "Whether the zone's files have errors, so that an earlier version, or SERVFAIL, is served",
            None,
            gauge(|zone| Some(f64::from(u8::from(zone.error.is_some())))),
        )?;
        families.gauges(
            "zone_errors",
            "Errors in the zone's files",
            None,
            gauge(|zone| Some(zone.error.as_ref().map_or(0.0, |(_, count)| *count as f64))),
        )?;
        let model = self.0.model();
        let database = model.geography.database.as_ref();
        families.gauges(
            "geoip_build_timestamp",
            "When the GeoIP database was made, by its own word",
            Some(Unit::Seconds),
            database.map(|database| (vec![], database.build_epoch() as f64)),
        )
    }
}
