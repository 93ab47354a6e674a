//! The snapshot of files alone: what a server would publish, with every target as its file has it.

use std::sync::Arc;

use super::slots::{Scene, Signers, Slots};
use super::writer::settings;
use super::zones::{Batch, Unpublishable, Zones};
use crate::config::server::Server;
use crate::health::{Board, Tick};
use crate::model::Model;
use crate::snapshot::Snapshot;
use crate::wire::cookie::{Secret, Secrets};

/// What would be published of a model at once, before the first probe.
///
/// # Errors
/// [`Unpublishable`] for the first RRset that no message can hold.
pub fn rehearsal(server: &Server, model: &Model, now: Tick) -> Result<Snapshot, Unpublishable> {
    let (mut zones, mut slots, mut batch) = (Zones::default(), Slots::default(), Batch::default());
    // What `check` asks for are records, not their signatures.
    let signers = Signers::new();
    let scene = Scene { geography: &model.geography, board: &Board::default(), signers: &signers, now };
    // The deepest first, so that a parent is compiled once and knows its children.
    let mut deepest_first: Vec<_> = model.zones.iter().collect();
    deepest_first.sort_by_key(|(apex, _)| std::cmp::Reverse(apex.label_count()));
    for (apex, zone) in deepest_first {
        let assignment = slots.plan(apex, &zone.routing, false);
        zones.put(&mut batch, zone, assignment.owners.clone(), None, None)?;
        slots.assign(apex, &zone.routing, assignment);
        slots.decide_zone(zone, scene);
    }
    // Nobody gets its cookies.
    let secrets = Arc::new(Secrets::new(Secret::new([0; 16]), []));
    let empty = Snapshot::empty(settings(server, &secrets), model.geography.table.clone());
    Ok(zones.published(batch, &empty).with_slots(slots.published()))
}
