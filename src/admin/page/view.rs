//! What the page shows, gathered at one moment: the same facts as `waypost health` and `explain`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::admin::Shown;
use crate::health::{Desired, Order, Row, Scope, State, Tick};
use crate::limits::{PAGE_DECISIONS, PAGE_EVENTS, PAGE_TARGETS, PAGE_ZONES};
use crate::metrics::Placed;
use crate::model::event::Event;
use crate::model::explain::{RoutedAnswer, answer};
use crate::model::{Model, ZoneModel};
use crate::publish::{Status, ZoneStatus, now};
use crate::querylog::Unplaced;
use crate::route::{Failback, types};
use crate::wire::name::Name;

/// Everything on the page.
#[derive(Debug)]
pub(super) struct View {
    pub(super) now: Tick,
    /// Why the server doubts its probes, if it does.
    pub(super) doubt: Option<String>,
    pub(super) sites: Vec<Site>,
    pub(super) targets: Vec<Target>,
    /// Addresses of targets that there was no room for.
    pub(super) targets_left_out: usize,
    pub(super) routes: Vec<Routed>,
    /// Routes that there was no room for.
    pub(super) routes_left_out: usize,
    /// The newest first.
    pub(super) events: Vec<Arc<Event>>,
    /// Those with errors first.
    pub(super) zones: Vec<(String, ZoneStatus)>,
    pub(super) zones_left_out: usize,
    pub(super) placed: Vec<Placed>,
    /// Clients that no region has.
    pub(super) unplaced: Unplaced,
}

/// A datacentre.
#[derive(Debug, Default)]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) targets: usize,
    pub(super) eligible: usize,
    /// The order on it, in words.
    pub(super) order: Option<String>,
    /// Whether something of it is well again and waits for a person.
    pub(super) is_waiting: bool,
}

/// A target with all its addresses.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) zone: String,
    pub(super) name: String,
    pub(super) site: Option<String>,
    pub(super) is_canary: bool,
    pub(super) is_eligible: bool,
    pub(super) addresses: Vec<Address>,
    /// What was said of it, by whoever: an operator, a file, a window. Or what it needs and lacks.
    pub(super) said: Option<String>,
    /// Whether there is an order on itself, which can be taken back.
    pub(super) is_ordered: bool,
    pub(super) is_waiting: bool,
}

/// One address of a target.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) address: Option<IpAddr>,
    pub(super) state: State,
    pub(super) desired: Desired,
    pub(super) since: Tick,
    pub(super) is_stale: bool,
    pub(super) is_held: bool,
    pub(super) probes: Vec<Probe>,
}

/// What a probe saw last.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) name: String,
    /// When, what, and how long it took.
    pub(super) last: Option<(Tick, String, Duration)>,
    pub(super) blocked: Option<String>,
    pub(super) is_damped: bool,
}

/// What all regions get now from a route, by one type.
#[derive(Debug)]
pub(super) struct Routed {
    pub(super) zone: String,
    pub(super) owners: Vec<String>,
    pub(super) rtype: String,
    pub(super) answers: Vec<Regional>,
}

/// Regions that get the same for the same reasons.
#[derive(Debug)]
pub(super) struct Regional {
    pub(super) regions: Vec<String>,
    pub(super) answer: RoutedAnswer,
}

impl View {
    /// The state of the server now.
    pub(super) fn gather(Shown { control, metrics, queries }: &Shown) -> View {
        let status = control.status();
        let now = now();
        let model = status.model();
        let (routes, routes_left_out) = routes(status, &model, now);
        let (zones, zones_left_out) = zones(status);
        let doubt = status.board().doubt().map(|doubt| doubt.why.clone());
        let (targets, targets_left_out) = targets(status, &model, now);
        let events = status.journal().since(0);
        View {
            now,
            doubt,
            sites: sites(status, &targets, now),
            targets,
            targets_left_out,
            routes,
            routes_left_out,
            events: events.into_iter().rev().take(PAGE_EVENTS).collect(),
            zones,
            zones_left_out,
            placed: metrics.placed(),
            unplaced: queries.unplaced(&model.geography),
        }
    }
}

fn targets(status: &Status, model: &Model, now: Tick) -> (Vec<Target>, usize) {
    let orders = status.orders();
    let mut targets: BTreeMap<(Name, String), Target> = BTreeMap::new();
    let in_force = || orders.iter().filter(|order| order.is_in_force(now));
    let mut left_out = 0;
    let waiting: BTreeMap<&Name, BTreeSet<&str>> =
        model.zones.iter().map(|(apex, zone)| (apex, waiting_for_people(zone))).collect();
    let board = status.board();
    for (at, row) in board.rows(now).enumerate() {
        if at >= PAGE_TARGETS {
            left_out += 1;
            continue;
        }
        let zone = model.zones.get(&row.subject.zone);
        let known = zone.and_then(|zone| {
            let place = zone.routing.targets.iter().position(|one| one.name == row.subject.target)?;
            let whole = zone.routing.whole(crate::route::TargetId(u32::try_from(place).ok()?));
            Some((zone.routing.targets.get(whole.0 as usize)?, zone.routing.targets.get(place)?))
        });
        let name = known.map_or(row.subject.target.as_str(), |(whole, _)| whole.name.as_str());
        let apex = row.subject.zone.to_string();
        let is_by_hand = waiting.get(&row.subject.zone).is_some_and(|all| all.contains(name));
        let target = targets.entry((row.subject.zone.clone(), name.to_owned())).or_insert_with(|| Target {
            zone: apex.clone(),
            name: name.to_owned(),
            site: known.and_then(|(whole, _)| whole.site.clone()),
            is_canary: row.is_canary,
            is_eligible: false,
            addresses: Vec::new(),
            said: None,
            is_ordered: in_force().any(|order| is_on_target(order, &apex, name)),
            is_waiting: false,
        });
        target.is_eligible |= row.standing.is_eligible() || row.is_held;
        target.is_waiting |= is_by_hand && row.standing.recovered.is_some();
        let lacks = known.and_then(|(_, own)| own.need(row.standing.lacks));
        let lacks = lacks.map(|needed| format!("not served: needs {needed}"));
        target.said = target.said.take().or_else(|| row.said.map(str::to_owned)).or(lacks);
        target.addresses.push(Address::of(&row, known.and_then(|(_, own)| own.address(row.subject.family))));
    }
    (targets.into_values().collect(), left_out)
}

/// Targets of routes that give clients back only when a person says so.
fn waiting_for_people(zone: &ZoneModel) -> BTreeSet<&str> {
    let by_hand = zone.routing.routes.iter().filter(|route| route.failback == Failback::Manual);
    let ids = by_hand.flat_map(|route| route.targets());
    ids.filter_map(|id| Some(zone.routing.targets.get(id.0 as usize)?.name.as_str())).collect()
}

fn is_on_target(order: &Order, apex: &str, name: &str) -> bool {
    matches!(&order.scope, Scope::Target { zone, target } if zone == apex && target == name)
}

impl Address {
    fn of(row: &Row<'_>, address: Option<IpAddr>) -> Address {
        let probes = row.probes.iter().map(|probe| Probe {
            name: probe.probe.to_owned(),
            last: probe.last.map(|seen| (seen.at, seen.report.evidence.clone(), seen.report.latency)),
            blocked: probe.blocked.map(|refusal| refusal.evidence.clone()),
            is_damped: probe.damped,
        });
        Address {
            address,
            state: row.standing.state,
            desired: row.standing.desired,
            since: row.standing.since,
            is_stale: row.standing.stale,
            is_held: row.is_held,
            probes: probes.collect(),
        }
    }
}

fn sites(status: &Status, targets: &[Target], now: Tick) -> Vec<Site> {
    let orders = status.orders();
    let mut sites: BTreeMap<&str, Site> = BTreeMap::new();
    for (name, target) in targets.iter().filter_map(|target| Some((target.site.as_deref()?, target))) {
        let site = sites.entry(name).or_insert_with(|| {
            let on_site = |order: &&Order| matches!(&order.scope, Scope::Site(site) if site == name);
            let order = orders.iter().filter(|order| order.is_in_force(now)).find(on_site);
            Site { name: name.to_owned(), order: order.map(Order::sentence), ..Site::default() }
        });
        site.targets += 1;
        site.eligible += usize::from(target.is_eligible);
        site.is_waiting |= target.is_waiting;
    }
    sites.into_values().collect()
}

fn routes(status: &Status, model: &Model, now: Tick) -> (Vec<Routed>, usize) {
    let geography = &model.geography;
    let regions = geography.regions().count().max(1);
    let (mut routes, mut decisions, mut left_out) = (Vec::new(), 0, 0);
    for (apex, zone) in &model.zones {
        for route in &zone.routing.routes {
            let rtypes = types(&zone.routing, route);
            decisions += regions * rtypes.len();
            if decisions > PAGE_DECISIONS {
                left_out += 1;
                continue;
            }
            // The lock is given back between routes: the writer waits for it.
            let board = status.board();
            for rtype in rtypes {
                let mut answers: Vec<Regional> = Vec::new();
                for region in geography.regions() {
                    let answer = answer(zone, &board, route, rtype, region, None, now);
                    let name = geography.region_name(region).to_owned();
                    match answers.iter_mut().find(|known| is_alike(&known.answer, &answer)) {
                        Some(same) => same.regions.push(name),
                        None => answers.push(Regional { regions: vec![name], answer }),
                    }
                }
                routes.push(Routed {
                    zone: apex.to_string(),
                    owners: route.owners.iter().map(Name::to_string).collect(),
                    rtype: rtype.to_string(),
                    answers,
                });
            }
        }
    }
    (routes, left_out)
}

fn is_alike(one: &RoutedAnswer, other: &RoutedAnswer) -> bool {
    one.records == other.records && one.ttl == other.ttl && one.trail == other.trail
}

fn zones(status: &Status) -> (Vec<(String, ZoneStatus)>, usize) {
    let zones = status.zones();
    let of = |has_error: bool| zones.iter().filter(move |(_, zone)| zone.error.is_some() == has_error);
    let shown = of(true).chain(of(false)).take(PAGE_ZONES);
    let shown: Vec<_> = shown.map(|(apex, zone)| (apex.to_string(), zone.clone())).collect();
    let left_out = zones.len() - shown.len();
    (shown, left_out)
}
