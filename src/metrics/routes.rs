//! How much each route has left to answer with.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::family::{Families, Labels};
use crate::health::{Board, Tick};
use crate::limits::ROUTES_SHOWN;
use crate::model::ZoneModel;
use crate::publish::{Status, now};
use crate::route::{Failback, Family, TargetId};

#[derive(Debug)]
pub(super) struct Routes(pub(super) Arc<Status>);

/// One route, in words.
struct Shown {
    zone: String,
    route: String,
    targets: usize,
    eligible: usize,
    /// Targets that are well again and wait for a person.
    waiting: usize,
}

impl Collector for Routes {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let routes = self.routes();
        let mut families = Families(encoder);
        let gauge = |value: fn(&Shown) -> usize| {
            routes.iter().map(move |route| (route.labels(), value(route) as f64))
        };
        families.gauges("route_targets", "Targets that a route names", None, gauge(|route| route.targets))?;
        families.gauges(
            "route_targets_eligible",
            "Targets of a route that may be served; with none it answers as though all were healthy",
            None,
            gauge(|route| route.eligible),
        )?;
        families.gauges(
            "route_failbacks_waiting",
            "Targets of a route that are well again and wait for `waypost failback`",
            None,
            gauge(|route| route.waiting),
        )
    }
}

impl Routes {
    fn routes(&self) -> Vec<Shown> {
        let (model, now) = (self.0.model(), now());
        let board = self.0.board();
        let mut routes = Vec::new();
        for (apex, zone) in &model.zones {
            // A target is asked for by each route that names it.
            let mut known: HashMap<TargetId, Stands> = HashMap::new();
            for route in &zone.routing.routes {
                if routes.len() == ROUTES_SHOWN {
                    return routes;
                }
                let targets = route.targets();
                let (mut eligible, mut waiting) = (0, 0);
                for id in &targets {
                    let stands = known.entry(*id).or_insert_with(|| Stands::of(zone, *id, &board, now));
                    eligible += usize::from(stands.is_eligible);
                    waiting += usize::from(stands.has_recovered && route.failback == Failback::Manual);
                }
                routes.push(Shown {
                    zone: apex.to_string(),
                    route: route.label.clone(),
                    targets: targets.len(),
                    eligible,
                    waiting,
                });
            }
        }
        routes
    }
}

/// How a target stands, with all its addresses.
struct Stands {
    is_eligible: bool,
    has_recovered: bool,
}

impl Stands {
    fn of(zone: &ZoneModel, id: TargetId, board: &Board, now: Tick) -> Stands {
        let target = zone.routing.targets.get(id.0 as usize);
        let has_address = |family: &Family| target.is_some_and(|target| target.address(*family).is_some());
        let addresses = Family::BOTH.into_iter().filter(has_address);
        let standings: Vec<_> = addresses.map(|family| zone.standing(board, id, family, now)).collect();
        Stands {
            // One without an address has no probes either; its operator's word counts.
            is_eligible: standings.is_empty() || standings.iter().any(|standing| standing.is_eligible()),
            has_recovered: standings.iter().any(|standing| standing.recovered.is_some()),
        }
    }
}

impl Shown {
    fn labels(&self) -> Labels<'_> {
        vec![("zone", self.zone.as_str()), ("route", self.route.as_str())]
    }
}
