//! What ends by time: signatures and keys of zones, the server's certificate.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::family::Families;
use crate::dnssec::SIGNATURE_LEFT;
use crate::encrypted::Identity;
use crate::keys::Keeper;
use crate::limits::ZONE_ROWS;
use crate::snapshot::Published;

#[derive(Debug)]
pub(super) struct Signatures {
    pub(super) published: Arc<Published>,
    pub(super) keys: Arc<Keeper>,
    pub(super) identity: Option<Arc<Identity>>,
}

impl Collector for Signatures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        let snapshot = self.published.load();
        let mut ends: Vec<(String, f64)> = snapshot
            .zones()
            .filter_map(|zone| {
                let renewal = zone.denial.as_ref()?.next_renewal()?;
                Some((zone.apex.to_string(), (renewal + SIGNATURE_LEFT.as_secs()) as f64))
            })
            .collect();
        // Of tens of thousands those that end first are shown apart.
        ends.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        families.gauges(
            "signatures_expiry_timestamp",
            "When the first signature of any zone ends",
            Some(Unit::Seconds),
            ends.first().map(|(_, end)| (vec![], *end)),
        )?;
        families.gauges(
            "zone_signatures_expiry_timestamp",
            "When the first signature of a zone ends; it is made anew a week before",
            Some(Unit::Seconds),
            ends.iter().take(ZONE_ROWS.into()).map(|(zone, end)| (vec![("zone", zone.as_str())], *end)),
        )?;
        let mut keys: BTreeMap<(String, String, String), u64> = BTreeMap::new();
        for (zone, states) in self.keys.states().into_iter().take(ZONE_ROWS.into()) {
            for (role, state) in states {
                *keys.entry((zone.to_string(), role.to_string(), state.to_string())).or_default() += 1;
            }
        }
        let keys = keys.iter().map(|((zone, role, state), count)| {
            let labels = [("zone", zone), ("role", role), ("state", state)];
            (labels.map(|(label, value)| (label, value.as_str())).to_vec(), *count as f64)
        });
        families.gauges("zone_keys", "Keys of a signed zone, by where they are on their way", None, keys)?;
        let until = self.identity.as_ref().and_then(|identity| identity.valid_until());
        families.gauges(
            "certificate_expiry_timestamp",
            "When the certificate ends that DNS over TLS and QUIC shows",
            Some(Unit::Seconds),
            until.map(|until| (vec![], until as f64)),
        )
    }
}
