//! `NAME.toml` beside a zone: sites, probes, targets and routes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::path::Path;

pub use super::against_zone::{against_signed, against_zone};
pub use super::worst_case::{WorstCase, worst_case};

use super::chain::chain;
use super::dnssec::{self, Unsigned};
use super::needs::{Site, Wish, wishes};
use super::probe;
use super::reader::{File, Table, Value};
use super::route_options::{failback, is_chosen, min_healthy, sticky, ttl};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::dnssec::Policy;
use crate::geo::RegionId;
use crate::health::{Desired, Need};
use crate::probe::spec::Spec;
use crate::route::addresses::PART_MARK;
use crate::route::{Kind, Route, Routing, Target, TargetId};
use crate::wire::name::Name;

/// Keys of a route that aren't regions.
pub(super) const ROUTE_KEYS: &[&str] = &[
    "name",
    "names",
    "type",
    "port",
    "default",
    "answers",
    "ttl",
    "short_ttl",
    "failback",
    "active_standby",
    "ecs",
    "sticky",
    "min_healthy",
];

/// How a zone's names move, and what is probed for it.
#[derive(Clone, Debug)]
pub struct ZoneConfig {
    /// Targets and routes.
    pub routing: Routing,
    /// Probes, in the order of the file.
    pub probes: Vec<Spec>,
    /// How the zone is signed, if it is.
    pub dnssec: Option<Policy>,
    /// How it stops being signed, if it was.
    pub unsigned: Unsigned,
    /// Where each route and target stands, for findings that need the zone file.
    pub(super) route_places: Vec<Diagnostic>,
    pub(super) target_places: Vec<Diagnostic>,
}

impl ZoneConfig {
    /// A zone whose names stay where they are: that of a file without text, and of none.
    #[must_use]
    pub fn none(apex: &Name) -> ZoneConfig {
        ZoneConfig {
            routing: Routing::none(apex),
            probes: Vec::new(),
            dnssec: None,
            unsigned: Unsigned::default(),
            route_places: Vec::new(),
            target_places: Vec::new(),
        }
    }
}

/// Reads a zone's routes; no text is a zone whose names stay where they are. `regions` are the
/// configuration's, in its order. With it come warnings.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(
    path: &Path,
    text: &str,
    apex: &Name,
    regions: &[String],
) -> Result<(ZoneConfig, Vec<Diagnostic>), Vec<Diagnostic>> {
    let file = File::new(path, text);
    let parsed = file.parse();
    // Behind broken syntax names seem unknown.
    if !file.is_good() {
        return file.finish(None);
    }
    let root = Table::new(&file, &parsed);
    let (policy, unsigned) = dnssec::policy(&root);
    let mut reader = Reader {
        file: &file,
        apex,
        regions,
        region_ids: (1..=u16::MAX).map(RegionId).zip(regions).map(|(id, name)| (name.as_str(), id)).collect(),
        target_ids: HashMap::new(),
        config: ZoneConfig { dnssec: policy, unsigned, ..ZoneConfig::none(apex) },
        probe_spans: Vec::new(),
        target_spans: Vec::new(),
        used_probes: BTreeSet::new(),
        wishes: Vec::new(),
        routed: BTreeMap::new(),
    };
    let sites = reader.sites(&root);
    reader.probes(&root);
    reader.targets(&root, &sites);
    reader.routes(&root);
    reader.needs(&sites);
    reader.unused();
    root.finish();
    let config = reader.config;
    file.finish(Some(config))
}

pub(super) struct Reader<'r> {
    pub(super) file: &'r File<'r>,
    apex: &'r Name,
    regions: &'r [String],
    /// By name: there may be hundreds, each named by thousands of routes.
    region_ids: HashMap<&'r str, RegionId>,
    pub(super) target_ids: HashMap<&'r str, TargetId>,
    pub(super) config: ZoneConfig,
    probe_spans: Vec<Range<usize>>,
    target_spans: Vec<Range<usize>>,
    used_probes: BTreeSet<String>,
    /// What targets need, in their order.
    pub(super) wishes: Vec<Vec<Wish<'r>>>,
    /// Which route has which kind of records at which owner: two can't.
    routed: BTreeMap<(Name, &'static str), String>,
}

const STATES: &[(&str, Desired)] =
    &[("auto", Desired::Auto), ("up", Desired::Up), ("down", Desired::Down), ("drained", Desired::Drained)];

impl<'r> Reader<'r> {
    /// What the operator says of whole sites.
    fn sites(&self, root: &Table<'r>) -> BTreeMap<&'r str, Site<'r>> {
        let mut sites = BTreeMap::new();
        for (name, _, table) in root.tables("sites") {
            let desired = table.get("state").and_then(|value| value.one_of(STATES)).unwrap_or_default();
            // For people; nothing reads it.
            table.get("description").and_then(|value| value.str());
            let needs = wishes(&table);
            let (capacity, load) = (shares(&table, "capacity"), shares(&table, "load"));
            table.finish();
            sites.insert(name, Site { desired, needs, capacity, load });
        }
        sites
    }

    fn probes(&mut self, root: &Table<'r>) {
        for (name, key, table) in root.tables("probes") {
            if let Some(spec) = probe::spec(self.file, name, &key, &table, self.apex) {
                self.config.probes.push(spec);
                self.probe_spans.push(key.key_span.clone());
            }
            table.finish();
        }
    }

    fn targets(&mut self, root: &Table<'r>, sites: &BTreeMap<&'r str, Site<'r>>) {
        let has_sites = !sites.is_empty();
        for (name, key, table) in root.tables("targets") {
            let site = table.get("site").and_then(|value| {
                let site = value.str()?;
                if has_sites && !sites.contains_key(site) {
                    let help = did_you_mean(site, sites.keys().copied());
                    value.error(
                        format!("unknown site \"{site}\""),
                        help.unwrap_or_else(|| format!("add [sites.{site}]")),
                    );
                }
                Some(site.to_owned())
            });
            let here = site.as_deref().and_then(|site| sites.get(site));
            let of_site = here.map(|site| site.desired).unwrap_or_default();
            let own = table.get("state").and_then(|value| value.one_of(STATES)).unwrap_or_default();
            let target = Target {
                name: name.to_owned(),
                ipv4: table
                    .get("ipv4")
                    .and_then(|value| address::<Ipv4Addr, Ipv6Addr>(&value, "ipv4", "ipv6")),
                ipv6: table
                    .get("ipv6")
                    .and_then(|value| address::<Ipv6Addr, Ipv4Addr>(&value, "ipv6", "ipv4")),
                host: table.get("host").and_then(|value| self.name(&value)),
                address_of: table.get("address_of").and_then(|value| self.address_of(&value, &table)),
                parts: Vec::new(),
                part_of: None,
                // A target's own word goes before its site's.
                desired: if own == Desired::Auto { of_site } else { own },
                assume_up: table
                    .get("assume")
                    .and_then(|value| value.one_of(&[("up", true), ("down", false)]))
                    .unwrap_or(true),
                probes: self.target_probes(&table),
                probes_need: probes_need(&table),
                needs: Vec::new(),
                capacity: shares(&table, "capacity").or(here.and_then(|site| site.capacity)),
                load: shares(&table, "load").or(here.and_then(|site| site.load)),
                site,
            };
            self.wishes.push(wishes(&table));
            // A mistyped address is told already; it is no missing one.
            let has_address = ["ipv4", "ipv6", "address_of"].into_iter().any(|key| table.get(key).is_some());
            if name.contains(PART_MARK) {
                let message = format!("a target's name can't have \"{PART_MARK}\" in it");
                self.file.error(&key.key_span, message, "write another character");
            }
            if !has_address && !target.probes.is_empty() {
                let message = format!("target \"{name}\" has probes and no address to send them to");
                self.file.error(&key.key_span, message, "add ipv4, ipv6 or address_of, beside `host`");
            }
            if !has_address && table.get("host").is_none() {
                let message = format!("target \"{name}\" is nowhere");
                self.file.error(&key.key_span, message, "add ipv4, ipv6, address_of or host");
            }
            table.finish();
            self.config.target_places.push(self.file.place(&key.key_span));
            self.target_spans.push(key.key_span.clone());
            let id = TargetId(u32::try_from(self.config.routing.targets.len()).unwrap_or(u32::MAX));
            self.target_ids.insert(name, id);
            self.config.routing.targets.push(target);
        }
    }

    fn target_probes(&mut self, table: &Table<'r>) -> Vec<String> {
        let mut probes = Vec::new();
        for value in table.get("probes").map_or_else(Vec::new, |value| value.list()) {
            let Some(name) = value.str() else { continue };
            if !self.config.probes.iter().any(|spec| spec.name == name) {
                let known = self.config.probes.iter().map(|spec| spec.name.as_str());
                let help = did_you_mean(name, known).unwrap_or_else(|| format!("add [probes.{name}]"));
                value.error(format!("unknown probe \"{name}\""), help);
            }
            self.used_probes.insert(name.to_owned());
            probes.push(name.to_owned());
        }
        probes
    }

    fn routes(&mut self, root: &Table<'r>) {
        for (label, key, table) in root.tables("routes") {
            self.route(label, &key, &table);
        }
    }

    fn route(&mut self, label: &str, key: &Value<'r>, table: &Table<'r>) {
        // Asked for here so that every other key is a region's.
        let port = table.get("port");
        let kind = table
            .need("type", "\"address\"")
            .and_then(|value| value.one_of(&[("address", 0), ("cname", 1), ("mx", 2), ("srv", 3)]));
        let kind = match (kind, &port) {
            (Some(0), _) => Some(Kind::Address),
            (Some(1), _) => Some(Kind::Cname),
            (Some(2), _) => Some(Kind::Mx),
            (Some(3), Some(value)) => value.integer(1..=65_535).map(|port| Kind::Srv { port }),
            (Some(3), None) => {
                self.file.error(&key.key_span, "an srv route needs a port", "add for example port = 993");
                None
            }
            _ => None,
        };
        if let Some(value) =
            port.filter(|_| kind.as_ref().is_some_and(|kind| !matches!(kind, Kind::Srv { .. })))
        {
            value.error("only srv routes have a port", "take it out");
        }
        let owners = self.owners(label, key, table, kind.as_ref());
        let ttl = ttl(table, kind.as_ref());
        let answers = table.get("answers").and_then(|value| value.integer(1..=64)).unwrap_or(0);
        let failback = failback(table);
        let ecs_value = table.get("ecs");
        let ecs = ecs_value.as_ref().and_then(|value| value.bool()).unwrap_or(true);
        let sticky_value = table.get("sticky");
        let min_healthy = min_healthy(table, kind.as_ref());
        let default = table
            .need("default", "[\"web-tw\"]")
            .map(|value| chain(&value, &self.config.routing, &self.target_ids, kind.as_ref()))
            .unwrap_or_default();
        let mut regions = Vec::new();
        for (region, value) in table.others() {
            let Some(&id) = self.region_ids.get(region) else {
                let known = self.regions.iter().map(String::as_str).chain(ROUTE_KEYS.iter().copied());
                let help = did_you_mean(region, known)
                    .unwrap_or_else(|| format!("add [regions.{region}] to waypost.toml"));
                self.file.error(
                    &value.key_span,
                    format!("\"{region}\" is neither a region nor a key of routes"),
                    help,
                );
                continue;
            };
            regions.push((id, chain(&value, &self.config.routing, &self.target_ids, kind.as_ref())));
        }
        let chains = || regions.iter().map(|(_, chain)| chain).chain([&default]).flatten();
        let has_shares = chains().any(|tier| tier.members.iter().any(|member| member.weight > 0));
        let sticky = sticky(sticky_value.as_ref(), kind.as_ref(), has_shares);
        if let Some(value) = ecs_value.filter(|_| !ecs && sticky && has_shares && is_chosen(kind.as_ref())) {
            value.warning(
                "without ECS the resolver's network chooses among shares, not its clients'",
                "all clients of one resolver go to one target: let ECS be, or write sticky = false",
            );
        }
        let (Some(kind), Some(owners)) = (kind, owners) else { return };
        self.config.route_places.push(self.file.place(&key.key_span));
        self.config.routing.routes.push(Route {
            label: label.to_owned(),
            owners,
            kind,
            regions,
            default,
            answers,
            ttl,
            failback,
            ecs,
            sticky,
            min_healthy,
        });
    }

    /// The route's owner names; none if any of them is wrong.
    fn owners(
        &mut self,
        label: &str,
        key: &Value<'r>,
        table: &Table<'r>,
        kind: Option<&Kind>,
    ) -> Option<Vec<Name>> {
        let name = table.get("name");
        let names = table.get("names");
        if let (Some(_), Some(names)) = (&name, &names) {
            names.error("`name` and `names` stand together", "keep one of them");
        }
        let mut owners = Vec::new();
        let mut wrong = false;
        let mut add = |text: &str, span: &Range<usize>| match Name::parse(text, Some(self.apex)) {
            Ok(owner) if !owner.is_at_or_below(self.apex) => {
                wrong = true;
                let message = format!("{owner} is outside of the zone {}", self.apex);
                self.file.error(span, message, "write a name relative to the zone, or @ for its apex");
            }
            Ok(owner) if matches!(kind, Some(Kind::Cname)) && owner == *self.apex => {
                wrong = true;
                let help = "the apex has SOA and NS, beside which no CNAME stands: use type = \"address\"";
                self.file.error(span, "a cname route at the apex", help);
            }
            Ok(owner) => owners.push((owner, span.clone())),
            Err(error) => {
                wrong = true;
                self.file.error(
                    span,
                    format!("\"{text}\" is no name: {error}"),
                    "write a name relative to the zone",
                );
            }
        };
        match name.or(names) {
            None => add(label, &key.key_span),
            Some(value) => {
                for one in value.list() {
                    if let Some(text) = one.str() {
                        add(text, &one.span);
                    }
                }
            }
        }
        let types: &[&'static str] = match kind {
            Some(Kind::Address) => &["A and AAAA"],
            Some(Kind::Cname) => &["CNAME"],
            Some(Kind::Mx) => &["MX"],
            Some(Kind::Srv { .. }) => &["SRV"],
            None => &[],
        };
        for (owner, span) in &owners {
            for rtype in types {
                if let Some(other) = self.routed.insert((owner.clone(), rtype), label.to_owned()) {
                    wrong = true;
                    let message = format!("route \"{other}\" has {rtype} of {owner} already");
                    self.file.error(span, message, "keep one of them");
                }
            }
        }
        (!wrong && !owners.is_empty()).then(|| owners.into_iter().map(|(owner, _)| owner).collect())
    }

    fn name(&self, value: &Value<'r>) -> Option<Name> {
        let text = value.str()?;
        match Name::parse(text, Some(self.apex)) {
            Ok(name) => Some(name),
            Err(error) => {
                value.error(
                    format!("\"{text}\" is no name: {error}"),
                    "write a host name; with a final dot if it is outside of the zone",
                );
                None
            }
        }
    }

    /// A name that others serve, so it is always absolute.
    fn address_of(&self, value: &Value<'r>, table: &Table<'r>) -> Option<Name> {
        if table.get("ipv4").is_some() || table.get("ipv6").is_some() {
            value.key_error("`address_of` stands beside addresses", "keep the name or the addresses");
        }
        let text = value.str()?;
        match Name::parse(text, Some(&Name::root())) {
            Ok(name) if !name.is_root() => return Some(name.to_lower()),
            Ok(_) => value.error("the root has no addresses", "write a host name: \"lb.example.net\""),
            Err(error) => {
                value.error(
                    format!("\"{text}\" is no name: {error}"),
                    "write a host name: \"lb.example.net\"",
                );
            }
        }
        None
    }

    /// What nobody names is often a name mistyped elsewhere.
    fn unused(&self) {
        let routing = &self.config.routing;
        let needs = routing.targets.iter().flat_map(|target| &target.needs);
        let needed = needs.flat_map(|needed| needed.any_of.iter().copied());
        let named: BTreeSet<u32> =
            routing.routes.iter().flat_map(Route::targets).chain(needed).map(|target| target.0).collect();
        for (place, span) in self.target_spans.iter().enumerate() {
            if !named.contains(&(place as u32)) {
                let message = format!("no route names target \"{}\"", routing.targets[place].name);
                self.file.warning(span, message, "put it into a chain, or take it out");
            }
        }
        for (spec, span) in self.config.probes.iter().zip(&self.probe_spans) {
            if !self.used_probes.contains(&spec.name) {
                let message = format!("no target names probe \"{}\"", spec.name);
                self.file.warning(span, message, "put it into a target's `probes`, or take it out");
            }
        }
    }
}

/// A number of shares of clients.
fn shares(table: &Table<'_>, key: &'static str) -> Option<u32> {
    table.get(key)?.integer(1..=1_000_000)
}

/// `"all"`, `"any"`, or how many.
fn probes_need(table: &Table<'_>) -> Need {
    let Some(value) = table.get("probes_need") else { return Need::All };
    let probes = table.get("probes").map_or(0, |probes| probes.list().len() as u64);
    let need = if value.is_integer() {
        value.integer(1..=probes.max(1)).map(Need::AtLeast)
    } else {
        value.one_of(&[("all", Need::All), ("any", Need::AtLeast(1))])
    };
    need.unwrap_or_default()
}

/// An address, or that it is of the other family.
fn address<T: std::str::FromStr, Other: std::str::FromStr>(
    value: &Value<'_>,
    key: &str,
    other: &str,
) -> Option<T> {
    let text = value.str()?;
    let address = text.parse().ok();
    if address.is_none() {
        let help = if text.parse::<Other>().is_ok() {
            format!("this is an address of the other family: use {other}")
        } else {
            "write an address without prefix or port, as 192.0.2.1 or 2001:db8::1".to_owned()
        };
        value.error(format!("\"{text}\" is no {key} address"), help);
    }
    address
}
