//! Why a client gets the answer that it gets.
//!
//! The steps are the trail of the function that decided, and the place is told by the code that
//! built the table, so an explanation can't disagree with the answer.

use std::net::IpAddr;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Model, ZoneModel};
use crate::compile::routed::{family_of, records};
use crate::compile::shares::Shares;
use crate::compile::sticky::Sticky;
use crate::geo::build::explain as explain_place;
use crate::geo::special::is_special;
use crate::health::tick::rfc3339;
use crate::health::{Board, Tick};
use crate::route::{Alternative, Family, Pick, Route, Routing, TargetId, decide, types};
use crate::snapshot::ClientNetwork;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The client's address, or the start of its network.
    pub address: IpAddr,
    /// Length of the network's prefix, if a resolver would tell it by ECS.
    pub subnet: Option<u8>,
}

/// Why a client gets the answers that it gets for a name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// The name asked for.
    pub name: String,
    /// The zone that answers.
    pub zone: String,
    /// The client.
    pub client: String,
    /// Its region.
    pub region: String,
    /// How the region was found, in words.
    pub place: String,
    /// One for each type that a route answers.
    pub routed: Vec<RoutedAnswer>,
    /// Types that the zone file answers, the same for all.
    pub fixed: Vec<String>,
}

/// A route's answer of one type.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RoutedAnswer {
    /// The type.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The route's key in the file.
    pub route: String,
    /// Records in presentation format, without owner and TTL.
    pub records: Vec<String>,
    /// Seconds that caches may keep them.
    pub ttl: u32,
    /// Whether no target was eligible.
    pub failed_open: bool,
    /// The steps that led here.
    pub trail: Vec<String>,
}

/// Explains the answers for a name. With `only` the answer of that type alone. Nothing if the
/// name is in no zone here.
#[must_use]
pub fn explain(
    model: &Model,
    board: &Board,
    name: &Name,
    only: Option<Rtype>,
    asker: Asker,
    now: Tick,
) -> Option<Explanation> {
    let zone = model.zone_of(name)?;
    let geography = &model.geography;
    let place = explain_place(&geography.rules, &geography.feeds, geography.database.as_ref(), asker.address);
    let is_wanted = |rtype: Rtype| only.is_none_or(|only| only == rtype);
    let mut routed = Vec::new();
    let mut place_words = match asker.subnet {
        Some(_) if is_special(asker.address) => {
            format!("{place}; a private network in ECS is ignored, the resolver's address places the client")
        }
        _ => place.to_string(),
    };
    for route in zone.routes_of(name) {
        if !route.ecs && asker.subnet.is_some() {
            place_words += "; this route ignores ECS and looks at the source address";
        }
        for rtype in types(&zone.routing, route).into_iter().filter(|rtype| is_wanted(*rtype)) {
            routed.push(answer(zone, board, route, rtype, place.region, Some(asker.address), now));
        }
    }
    let lower = name.to_lower();
    let owner = zone.zone.owner(lower.as_wire());
    let fixed = owner
        .iter()
        .flat_map(|owner| owner.rrsets())
        .map(|rrset| rrset.rtype())
        .filter(|rtype| is_wanted(*rtype))
        .map(|rtype| rtype.to_string())
        .filter(|rtype| !routed.iter().any(|answer| answer.rtype == *rtype))
        .collect();
    let client = match asker.subnet {
        Some(prefix) => format!("{}/{prefix}", asker.address),
        None => asker.address.to_string(),
    };
    Some(Explanation {
        name: name.to_string(),
        zone: zone.zone.apex().to_string(),
        client,
        region: geography.region_name(place.region).to_owned(),
        place: place_words,
        routed,
        fixed,
    })
}

/// What a route answers to a region, with its trail; and which part of it the network around
/// `client` gets.
#[must_use]
pub fn answer(
    zone: &ZoneModel,
    board: &Board,
    route: &Route,
    rtype: Rtype,
    region: crate::geo::RegionId,
    client: Option<IpAddr>,
    now: Tick,
) -> RoutedAnswer {
    let routing = &zone.routing;
    let standing = |target, family| zone.standing(board, target, family, now);
    let decision = decide(routing, route, region, family_of(rtype), &standing, now);
    let mut shown: Vec<String> = Vec::new();
    let alternatives = records(routing, rtype, &decision.pick);
    let is_shared = alternatives.len() > 1;
    for (weight, records) in alternatives {
        for rdata in records {
            let text = crate::zone::rdata_text(rtype, &rdata);
            shown.push(if is_shared { format!("{text} (weight {weight})") } else { text });
        }
    }
    let mut trail: Vec<String> = decision.trail.iter().map(|step| step.describe(routing, now)).collect();
    let chosen = client.and_then(|client| {
        let sticky = Sticky::new(routing, route).among(&decision.pick);
        chosen_by(ClientNetwork::of(client), routing, &decision.pick, &sticky)
    });
    trail.extend(chosen);
    trail.extend(remarks(zone, board, route));
    RoutedAnswer {
        rtype: rtype.to_string(),
        route: route.label.clone(),
        records: shown,
        ttl: decision.ttl,
        failed_open: decision.failed_open,
        trail,
    }
}

/// What is to be known of a route's targets beside the decision: who ordered what of them, and
/// whose probes learn nothing.
fn remarks(zone: &ZoneModel, board: &Board, route: &Route) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(doubt) = board.doubt() {
        lines.push(format!("this server doubts its probes and holds the last states: {}", doubt.why));
    }
    let routing = &zone.routing;
    for target in route.targets().into_iter().flat_map(|target| routing.answering(target)) {
        let Some(target) = routing.targets.get(target.0 as usize) else { continue };
        let ids = || Family::BOTH.into_iter().filter_map(|one| board.id(&routing.apex, &target.name, one));
        // What is ordered of a target is ordered of both its addresses.
        let said = ids().find_map(|id| board.said(id));
        lines.extend(said.map(|said| format!("{}: {said}", target.name)));
        if ids().any(|id| board.awaits(id)) {
            lines.push(format!(
                "{}: silent, and served until another site or a canary was heard since",
                target.name
            ));
        }
        for (probe, refusal) in ids().flat_map(|id| board.refusals(id)) {
            let since = rfc3339(refusal.since);
            lines.push(format!("{}: probe {probe} BLOCKED since {since}: {}", target.name, refusal.evidence));
        }
    }
    lines
}

/// Which of several alternatives a network gets, in words.
fn chosen_by(
    network: ClientNetwork,
    routing: &Routing,
    pick: &Pick,
    sticky: &[(u64, u32)],
) -> Option<String> {
    let (Pick::Addresses(all) | Pick::Cname(all)) = pick else { return None };
    let buckets = if sticky.is_empty() { None } else { Shares::default().buckets(sticky) };
    let chosen: &Alternative = all.get(usize::from(buckets?[network.bucket()]))?;
    let name = |id: &TargetId| routing.targets.get(id.0 as usize).map(|target| target.name.as_str());
    let names: Vec<&str> = chosen.targets.iter().filter_map(name).collect();
    Some(format!("sticky: this client's /{} gets {}", network.prefix_length(), names.join(" and ")))
}

impl Explanation {
    /// The explanation in lines, for people.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{} for {}: {}", self.name, self.client, self.place)];
        for answer in &self.routed {
            let records = answer.records.join(", ");
            lines.push(format!("{} by route {}: {records}", answer.rtype, answer.route));
            lines.extend(answer.trail.iter().map(|step| format!("  {step}")));
        }
        if !self.fixed.is_empty() {
            lines.push(format!("{} from the zone file, the same for all", self.fixed.join(" ")));
        }
        if self.routed.is_empty() && self.fixed.is_empty() {
            lines.push(format!("nothing here by this name itself in zone {}", self.zone));
        }
        lines
    }
}
