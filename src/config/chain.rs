//! A region's chain: tiers, each a target or several of equal rank.

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
        let found: Vec<Member> =
            members.iter().filter_map(|one| member(one, routing, ids, kind, &mut seen)).collect();
        let weighted = found.iter().filter(|member| member.weight > 0).count();
        if weighted > 0 && weighted < found.len() {
            element.error(
                "some targets of this tier have a weight and others don't",
                "give each one a weight, or none: then all answer together",
            );
        }
        if !found.is_empty() {
            tiers.push(Tier { members: found });
        }
    }
    if value.array().is_some_and(|elements| elements.is_empty()) {
        value.error("an empty chain", "name at least one target");
    }
    tiers
}

fn member(
    value: &Value<'_>,
    routing: &Routing,
    ids: &HashMap<&str, TargetId>,
    kind: Option<&Kind>,
    seen: &mut BTreeSet<String>,
) -> Option<Member> {
    let (name_value, weight) = if value.is_table() {
        let table = value.table()?;
        let target = table.need("target", "\"web-tw\"");
        let weight = table.get("weight").and_then(|weight| weight.integer(1..=65_535)).unwrap_or(0);
        table.finish();
        (target?, weight)
    } else {
        (value.clone(), 0)
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
        Some(Kind::Address) if Family::BOTH.into_iter().all(|family| target.address(family).is_none()) => {
            name_value.error(
                format!("target \"{name}\" has no address, which an address route answers"),
                format!("add ipv4 or ipv6 to [targets.{name}]"),
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
    Some(Member { target: id, weight })
}
