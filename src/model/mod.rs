//! The whole model at one moment: geography, and zones with their routes.
//!
//! The writer owns the current one; explanations and comparisons read it, whether it is being
//! served or was only read from files.

pub mod capacity;
pub mod effect;
pub mod event;
pub mod explain;
pub mod severity;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::geo::networks::GeofeedEntry;
use crate::geo::rules::Rules;
use crate::geo::table::Table;
use crate::geo::{RegionId, mmdb};
use crate::health::{Board, Desired, Standing, Tick};
use crate::route::{Family, Route, Routing, TargetId};
use crate::wire::name::Name;
use crate::zone::Zone;

/// Geography and zones.
#[derive(Clone, Debug)]
pub struct Model {
    /// Where clients are.
    pub geography: Arc<Geography>,
    /// Zones that have loaded, by apex.
    pub zones: BTreeMap<Name, Arc<ZoneModel>>,
}

/// One zone: its records, and how its names move.
#[derive(Debug)]
pub struct ZoneModel {
    /// The records.
    pub zone: Arc<Zone>,
    /// Targets and routes; none in a plain zone.
    pub routing: Arc<Routing>,
}

/// Where clients are: the table that queries read, and what it was built from.
#[derive(Debug)]
pub struct Geography {
    /// Address -> region.
    pub table: Arc<Table>,
    /// What the operator says of regions.
    pub rules: Rules,
    /// Lines of geofeeds.
    pub feeds: Vec<GeofeedEntry>,
    /// The database, if there is one.
    pub database: Option<mmdb::Database>,
}

impl Geography {
    /// A region's name.
    #[must_use]
    pub fn region_name(&self, region: RegionId) -> &str {
        self.rules.name(region)
    }

    /// All regions, `default` first.
    pub fn regions(&self) -> impl Iterator<Item = RegionId> + use<> {
        (0..=u16::try_from(self.rules.regions.len()).unwrap_or(u16::MAX)).map(RegionId)
    }
}

impl ZoneModel {
    /// The routes of a name: those that name it, or else the wildcard above it, as long as the
    /// name isn't there itself (RFC 4592 3.3.1).
    pub fn routes_of(&self, name: &Name) -> impl Iterator<Item = &Route> {
        let is_own = |name: &Name| self.routing.routes.iter().any(|route| route.owners.contains(name));
        let mut owner = name.clone();
        if !is_own(name) && self.zone.owner(name.to_lower().as_wire()).is_none() {
            let mut above = name.parent();
            while let Some(encloser) = above.filter(|encloser| encloser.is_at_or_below(&self.routing.apex)) {
                if let Some(wildcard) = encloser.child(b"*").ok().filter(|wildcard| is_own(wildcard)) {
                    owner = wildcard;
                    break;
                }
                if is_own(&encloser) || self.zone.owner(encloser.to_lower().as_wire()).is_some() {
                    break;
                }
                above = encloser.parent();
            }
        }
        self.routing.routes.iter().filter(move |route| route.owners.contains(&owner))
    }

    /// How one address of a target stands.
    #[must_use]
    pub fn standing(&self, board: &Board, target: TargetId, family: Family, now: Tick) -> Standing {
        let Some(target) = self.routing.targets.get(target.0 as usize) else {
            return Standing::unprobed(Desired::Auto, true);
        };
        match board.id(&self.routing.apex, &target.name, family) {
            Some(id) => board.standing_of(id, now),
            None => Standing::unprobed(target.desired, target.assume_up),
        }
    }
}

impl Model {
    /// The zone that a name belongs to: the one with the longest apex above it.
    #[must_use]
    pub fn zone_of(&self, name: &Name) -> Option<&Arc<ZoneModel>> {
        let mut at = Some(name.clone());
        while let Some(apex) = at {
            if let Some(zone) = self.zones.get(&apex) {
                return Some(zone);
            }
            at = apex.parent();
        }
        None
    }
}
