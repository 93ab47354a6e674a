//! Whether a zone and a bundle of signatures belong together.

use std::sync::Arc;

use super::outcomes::outcomes;
use super::shape::Shape;
use super::signer::{Lacking, Signer, Signing};
use super::zone::{RoutedOwners, Source};
use crate::route::{Routing, types};
use crate::snapshot::denial::Denial;
use crate::snapshot::{SlotId, ZoneId};
use crate::zone::Zone;

/// What was compiled to see whether they do, for the one who publishes them.
#[derive(Debug)]
pub struct Fitted {
    /// What owners of the zone imply for each other.
    pub shape: Arc<Shape>,
    /// The chain of its names.
    pub denial: Option<Denial>,
}

/// Asks for every signature that a zone with these routes may ever answer with, on all cores.
///
/// # Errors
/// Which of them aren't there.
pub fn fit(zone: &Arc<Zone>, routing: &Routing, signer: &Arc<Signer>, now: u64) -> Result<Fitted, Lacking> {
    let mut routed = RoutedOwners::new();
    for route in &routing.routes {
        for owner in &route.owners {
            let slots = routed.entry(owner.as_wire().to_ascii_lowercase().into()).or_default();
            slots.extend(types(routing, route).into_iter().map(|rtype| (rtype, SlotId(0))));
        }
    }
    let shape = Arc::new(Shape::of(zone, &routed));
    let signing = Signing { signer: Arc::clone(signer), outcomes: Arc::new(outcomes(routing)), now };
    let source = Source {
        zone,
        id: ZoneId(0),
        routed: &Arc::new(routed),
        children: &[],
        parent: None,
        signing: Some(&signing),
    };
    signer.begin_sweep();
    let denial = source.denial(&shape, None);
    let _ = source.common(None);
    let lacking = signer.lacking();
    if lacking.count > 0 { Err(lacking) } else { Ok(Fitted { shape, denial }) }
}
