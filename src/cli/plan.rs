//! `waypost plan OLD NEW`: who would be sent elsewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use super::assume::{self, Assumption};
use super::resolved::resolved;
use super::{CONFIG, Failure};
use crate::geo::RegionId;
use crate::health::Board;
use crate::load::{Offline, read_once};
use crate::model::{Model, ZoneModel, explain};
use crate::publish::now;
use crate::route::{Resolved, Routing, types};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::zone::{self, rdata_text};

#[derive(Debug, clap::Args)]
#[command(long_about = "Compare two versions of the configuration: for every name and region the answers \
    before and after. Each version is a directory with a waypost.toml, or a revision of the git repository \
    here. All targets are taken for healthy unless --assume says otherwise.")]
pub(super) struct Args {
    /// Directory, or git revision such as HEAD~1
    old: String,
    /// Directory, or git revision
    new: String,
    /// In NEW, take a site or target for down, up or drained: rehearses a disaster
    #[arg(long, value_name = "NAME=STATE")]
    assume: Vec<Assumption>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// A name's answer of one type that differs.
#[derive(Debug, Serialize)]
struct Difference {
    name: String,
    #[serde(rename = "type")]
    rtype: String,
    /// The regions that see it; none for all.
    regions: Option<Vec<String>>,
    before: Vec<String>,
    after: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let scratch = tempfile::tempdir()?;
    let old = version(&args.old, &scratch.path().join("old"))?;
    let new = version(&args.new, &scratch.path().join("new"))?;
    let (old, new) = (read_once(&old.join(CONFIG)), read_once(&new.join(CONFIG)));
    // Once for both, so that what differs is what the files say.
    let resolved = resolved(&[&old, &new])?;
    let before = model(&old, &[], &resolved)?;
    let after = model(&new, &args.assume, &resolved)?;
    let differences = differences(&before, &after);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&differences)?);
        return Ok(());
    }
    let mut names = BTreeSet::new();
    for Difference { name, rtype, regions, before, after } in &differences {
        if names.insert((name, rtype)) {
            println!("{name} {rtype}");
        }
        let regions = regions.as_ref().map_or_else(|| "all".to_owned(), |regions| regions.join(", "));
        println!("  {regions}: {} -> {}", shown(before), shown(after));
    }
    match names.len() {
        0 => println!("no answer changes"),
        1 => println!("1 answer changes"),
        count => println!("{count} answers change"),
    }
    Ok(())
}

fn shown(records: &[String]) -> String {
    if records.is_empty() { "nothing".to_owned() } else { records.join(", ") }
}

/// Where a version's files are: the directory itself, or what a git revision has here.
fn version(text: &str, scratch: &Path) -> Result<PathBuf, Failure> {
    let directory = Path::new(text);
    if directory.is_dir() {
        return Ok(directory.to_owned());
    }
    let failed = |why: &str| {
        Failure::Message(format!("{text:?} is neither a directory nor a git revision here: {why}"))
    };
    std::fs::create_dir_all(scratch)?;
    // `--` parts revision from paths, so that a text with a dash is no option.
    let mut archive = Command::new("git")
        .args(["archive", "--format=tar", "--end-of-options", text, "."])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&format!("git: {error}")))?;
    let tar = archive.stdout.take().ok_or_else(|| failed("git has no output"))?;
    let unpacked = Command::new("tar").args(["-x", "-C"]).arg(scratch).stdin(tar).status()?;
    let archived = archive.wait_with_output()?;
    if !archived.status.success() {
        let said = String::from_utf8_lossy(&archived.stderr);
        return Err(failed(said.lines().next().unwrap_or("git failed")));
    }
    if !unpacked.success() {
        return Err(failed("tar failed"));
    }
    Ok(scratch.to_owned())
}

fn model(offline: &Offline, assumptions: &[Assumption], resolved: &Resolved) -> Result<Model, Failure> {
    assume::check(assumptions, offline)?;
    let change = |routing: &mut Routing| {
        assumptions.iter().for_each(|one| one.apply(routing));
        routing.set_addresses(resolved);
    };
    offline.model(change).map_err(|errors| {
        errors.iter().for_each(|error| eprintln!("{error}"));
        Failure::Said
    })
}

fn differences(before: &Model, after: &Model) -> Vec<Difference> {
    let apexes: BTreeSet<&Name> = before.zones.keys().chain(after.zones.keys()).collect();
    let mut found = Vec::new();
    for apex in apexes {
        let (old, new) = (before.zones.get(apex), after.zones.get(apex));
        let mut names: BTreeSet<Name> = match (old, new) {
            (Some(old), Some(new)) => zone::diff(&old.zone, &new.zone).into_iter().collect(),
            (one, other) => {
                let only = one.or(other).into_iter();
                only.flat_map(|zone| zone.zone.owners())
                    .filter_map(|owner| Name::from_wire(owner.name()).ok())
                    .collect()
            }
        };
        for zone in old.into_iter().chain(new) {
            names.extend(zone.routing.routes.iter().flat_map(|route| route.owners.iter().cloned()));
        }
        for name in names {
            compare(&name, (before, old.map(|zone| &**zone)), (after, new.map(|zone| &**zone)), &mut found);
        }
    }
    found
}

fn compare(
    name: &Name,
    (before, old): (&Model, Option<&ZoneModel>),
    (after, new): (&Model, Option<&ZoneModel>),
    found: &mut Vec<Difference>,
) {
    let rtypes: BTreeSet<Rtype> =
        [old, new].into_iter().flatten().flat_map(|zone| all_types(zone, name)).collect();
    for rtype in rtypes {
        // Regions by name, since their numbers may differ between the versions.
        let mut regions: Vec<&str> = Vec::new();
        for model in [before, after] {
            for id in model.geography.regions() {
                let region = model.geography.region_name(id);
                if !regions.contains(&region) {
                    regions.push(region);
                }
            }
        }
        let mut groups: Vec<(Vec<String>, Vec<String>, Vec<String>)> = Vec::new();
        for region in &regions {
            let was = answer(before, old, name, rtype, region);
            let is = answer(after, new, name, rtype, region);
            match groups.iter_mut().find(|(_, before, after)| *before == was && *after == is) {
                Some((group, ..)) => group.push((*region).to_owned()),
                None => groups.push((vec![(*region).to_owned()], was, is)),
            }
        }
        let is_for_all = groups.len() == 1;
        for (group, before, after) in groups.into_iter().filter(|(_, before, after)| before != after) {
            found.push(Difference {
                name: name.to_string(),
                rtype: rtype.to_string(),
                regions: (!is_for_all).then_some(group),
                before,
                after,
            });
        }
    }
}

fn all_types(zone: &ZoneModel, name: &Name) -> Vec<Rtype> {
    let routed = zone.routing.routes.iter().filter(|route| route.owners.contains(name));
    let mut rtypes: Vec<Rtype> = routed.flat_map(|route| types(&zone.routing, route)).collect();
    let lower = name.to_lower();
    rtypes.extend(
        zone.zone.owner(lower.as_wire()).iter().flat_map(|owner| owner.rrsets()).map(|rrset| rrset.rtype()),
    );
    rtypes
}

/// What a region's clients get: the route's records, or else the zone file's; sorted but for
/// preferences, which are part of the records.
fn answer(model: &Model, zone: Option<&ZoneModel>, name: &Name, rtype: Rtype, region: &str) -> Vec<String> {
    let Some(zone) = zone else { return Vec::new() };
    let id = model.geography.regions().find(|id| model.geography.region_name(*id) == region);
    let routes = &zone.routing.routes;
    let routed = routes
        .iter()
        .find(|route| route.owners.contains(name) && types(&zone.routing, route).contains(&rtype));
    let mut records: Vec<String> = match routed {
        Some(route) => {
            let region = id.unwrap_or(RegionId::DEFAULT);
            explain::answer(zone, &Board::default(), route, rtype, region, None, now()).records
        }
        None => {
            let lower = name.to_lower();
            let rrset = zone.zone.owner(lower.as_wire()).and_then(|owner| owner.rrset(rtype));
            rrset.iter().flat_map(|rrset| rrset.rdata()).map(|rdata| rdata_text(rtype, rdata)).collect()
        }
    };
    records.sort();
    records
}
