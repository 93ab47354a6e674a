//! A region's chain: tiers, each a target or several of equal rank.
//!
//! A tier's members share its clients by weights, or by per cent: what is left of a hundred goes
//! to the members that say nothing, in equal parts.

use std::collections::{BTreeSet, HashMap};

use super::reader::Value;
use crate::diagnostic::did_you_mean;
use crate::route::{Family, Kind, Member, Routing, TargetId, Tier};

/// Reads a chain; what is wrong with it is noted and left out.
pub(super) fn chain(
    value: &Value<'_>,
    routing: &Routing,
    ids: &HashMap<&str, TargetId>,
    kind: Option<&Kind>,
) -> Vec<Tier> {
    let mut seen = BTreeSet::new();
    let mut tiers = Vec::new();
    for element in value.list() {
        let members: Vec<Value<'_>> = element.array().unwrap_or_else(|| vec![element.clone()]);
        if members.is_empty() {
            element.error("an empty tier", "take it out, or put targets into it");
        }
        let found: Vec<(TargetId, Share)> =
            members.iter().filter_map(|one| member(one, routing, ids, kind, &mut seen)).collect();
        let weights = weights(&element, &found);
        if let ([(_, Share::Weight(_))], Some(Kind::Address | Kind::Cname)) = (&found[..], kind) {
            element.warning("a weight and nobody to share with: this tier has one target", TOGETHER);
        }
        if !found.is_empty() {
            let members = found.iter().zip(weights);
            let members = members.map(|(&(target, _), weight)| Member { target, weight }).collect();
            tiers.push(Tier { members });
        }
    }
    if value.array().is_some_and(|elements| elements.is_empty()) {
        value.error("an empty chain", "name at least one target");
    }
    tiers
}

/// What is meant when a target with a share is alone.
const TOGETHER: &str =
    "put targets that share clients into one tier: [[\"web-tw\", { target = \"web-vn\", percent = 5 }]]";

/// What a member says of its part of the tier's clients.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    Unsaid,
    Weight(u16),
    Percent(u16),
}

/// The members' weights: all zero if none says anything.
fn weights(tier: &Value<'_>, members: &[(TargetId, Share)]) -> Vec<u16> {
    let shares = || members.iter().map(|(_, share)| *share);
    let unsaid = shares().filter(|share| *share == Share::Unsaid).count();
    let percents = || shares().filter_map(|share| if let Share::Percent(p) = share { Some(p) } else { None });
    let has_weights = shares().any(|share| matches!(share, Share::Weight(_)));
    if percents().next().is_none() {
        if has_weights && unsaid > 0 {
            tier.error(
                "some targets of this tier have a weight and others don't",
                "give each one a weight, or none: then all answer together",
            );
        }
        return shares().map(|share| if let Share::Weight(weight) = share { weight } else { 0 }).collect();
    }
    if has_weights {
        let help = "say all in per cent, or all in weights";
        tier.error("this tier has both `weight` and `percent`", help);
    }
    let sum = percents().fold(0, u16::saturating_add);
    if sum > 100 {
        tier.error(format!("the targets of this tier have {sum} per cent"), "write 100 at most in one tier");
    } else if unsaid == 0 && sum < 100 {
        let message = format!("nobody of this tier gets the other {} per cent", 100 - sum);
        tier.error(message, if members.len() == 1 { TOGETHER } else { "write 100 in all" });
    } else if unsaid > 0 && sum == 100 {
        let help = "take out those that say nothing, or leave them some per cent";
        tier.error("nothing is left for the targets of this tier that say nothing", help);
    }
    // What the others share is cut into as many parts as they are.
    let parts = u16::try_from(unsaid.max(1)).unwrap_or(u16::MAX);
    let weight = |share| match share {
        Share::Percent(percent) => percent.saturating_mul(parts),
        _ => 100u16.saturating_sub(sum),
    };
    shares().map(weight).collect()
}

fn member(
    value: &Value<'_>,
    routing: &Routing,
    ids: &HashMap<&str, TargetId>,
    kind: Option<&Kind>,
    seen: &mut BTreeSet<String>,
) -> Option<(TargetId, Share)> {
    let (name_value, share) = if value.is_table() {
        let table = value.table()?;
        let target = table.need("target", "\"web-tw\"");
        let weight = table.get("weight").and_then(|weight| weight.integer(1..=65_535)).map(Share::Weight);
        let percent = table.get("percent").and_then(|percent| percent.integer(1..=100)).map(Share::Percent);
        table.finish();
        if weight.is_some() && percent.is_some() {
            value.error("`weight` and `percent` stand together", "keep one of them");
        }
        if matches!(kind, Some(Kind::Mx)) && (weight.is_some() || percent.is_some()) {
            let help = "take it out: senders share exchangers of one tier by themselves (RFC 5321 5.1)";
            value.error("exchangers have no weights", help);
        }
        (target?, percent.or(weight).unwrap_or(Share::Unsaid))
    } else {
        (value.clone(), Share::Unsaid)
    };
    let name = name_value.str()?;
    let Some(&id) = ids.get(name) else {
        let known = routing.targets.iter().map(|target| target.name.as_str());
        let help = did_you_mean(name, known).unwrap_or_else(|| format!("add [targets.{name}]"));
        name_value.error(format!("unknown target \"{name}\""), help);
        return None;
    };
    if !seen.insert(name.to_owned()) {
        name_value.error(format!("target \"{name}\" stands twice in one chain"), "take one of them out");
        return None;
    }
    let target = &routing.targets[id.0 as usize];
    match kind {
        Some(Kind::Address)
            if target.address_of.is_none()
                && Family::BOTH.into_iter().all(|family| target.address(family).is_none()) =>
        {
            name_value.error(
                format!("target \"{name}\" has no address, which an address route answers"),
                format!("add ipv4, ipv6 or address_of to [targets.{name}]"),
            );
        }
        Some(Kind::Cname | Kind::Mx | Kind::Srv { .. }) if target.host.is_none() => {
            name_value.error(
                format!("target \"{name}\" has no host, which this type of route answers"),
                format!("add host = \"...\" to [targets.{name}]"),
            );
        }
        _ => {}
    }
    Some((id, share))
}
