//! Whether a zone and a bundle of signatures belong together.

use std::sync::Arc;

use super::outcomes::outcomes;
use super::shape::Shape;
use super::signer::{Lacking, Signer, Signing};
use super::zone::{RoutedOwners, Source};
use crate::route::{Routing, types};
use crate::snapshot::{SlotId, ZoneId};
use crate::zone::Zone;

/// Asks for every signature that a zone with these routes may ever answer with, on all cores, and
/// says which aren't there.
#[must_use]
pub fn lacking(zone: &Arc<Zone>, routing: &Routing, signer: &Arc<Signer>, now: u64) -> Lacking {
    let mut routed = RoutedOwners::new();
    for route in &routing.routes {
        for owner in &route.owners {
            let slots = routed.entry(owner.as_wire().to_ascii_lowercase().into()).or_default();
            slots.extend(types(routing, route).into_iter().map(|rtype| (rtype, SlotId(0))));
        }
    }
    let shape = Shape::of(zone, &routed);
    let signing = Signing { signer: Arc::clone(signer), outcomes: Arc::new(outcomes(routing)), now };
    let source = Source {
        zone,
        id: ZoneId(0),
        routed: &Arc::new(routed),
        children: &[],
        parent: None,
        signing: Some(&signing),
    };
    let _ = (source.denial(&shape, None), source.common(None));
    signer.lacking()
}
