//! Random configurations, as the text that an operator would write, and random changes to them.
//!
//! Nothing here knows what is valid: a file with errors is a case too.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::random::Random;
use super::server::Texts;
use super::windows::Window;
use crate::health::Tick;

/// Regions, and the networks of their clients. Clients of none of them are in `default`.
pub(super) const REGIONS: [(&str, &str); 3] =
    [("tw", "192.0.2.0/26"), ("my", "192.0.2.64/26"), ("vn", "192.0.2.128/26")];
/// Sites; an address stands in the one that its last octet names, modulo three.
pub(super) const SITES: [&str; 3] = ["east", "west", "north"];
/// Host names that others serve.
pub(super) const NAMES: [&str; 2] = ["lb0.example.net", "lb1.example.net"];
const APEXES: [&str; 2] = ["example.com", "example.org"];
const STATES: [&str; 6] = ["auto", "auto", "auto", "drained", "down", "up"];
const FAILBACKS: [&str; 5] = ["auto", "auto", "manual", "5s", "15s"];

/// All files of a server.
#[derive(Clone)]
pub(super) struct Files {
    /// In the order of `waypost.toml`.
    pub(super) regions: Vec<&'static str>,
    pub(super) windows: Vec<Window>,
    canaries: Vec<Probe>,
    pub(super) zones: BTreeMap<&'static str, ZoneFile>,
}

/// A zone's two files.
#[derive(Clone)]
pub(super) struct ZoneFile {
    serial: u32,
    /// Whether an editor left half a line.
    has_slip: bool,
    sites: BTreeMap<&'static str, &'static str>,
    probes: Vec<Probe>,
    targets: Vec<Target>,
    routes: Vec<Route>,
}

#[derive(Clone)]
struct Probe {
    name: String,
    asks: Asks,
    interval_ms: u64,
    fall: u64,
    rise: u64,
    hold_s: u64,
}

/// Where a probe's results come from.
#[derive(Clone, Copy)]
enum Asks {
    /// The target.
    Tcp,
    /// Whoever tells, and how long that holds.
    Verdicts(u64),
    /// An Alertmanager, by this label of alerts; 0: its silence is well.
    Alerts(&'static str, u64),
    /// A file, and how long a line holds.
    File(u64),
}

#[derive(Clone)]
struct Target {
    name: String,
    /// Last octet of its addresses.
    number: usize,
    ipv4: bool,
    ipv6: bool,
    address_of: Option<&'static str>,
    state: &'static str,
    assume: &'static str,
    probes: Vec<String>,
    /// Shares of clients that it can take, and that it has; 0: it says nothing.
    capacity: u64,
    load: u64,
    /// Targets before it, so that there is no circle.
    needs: Vec<String>,
}

/// Members of a tier with their weights; 0: it says nothing.
type Chain = Vec<Vec<(String, u64)>>;

#[derive(Clone)]
struct Route {
    label: String,
    kind: &'static str,
    is_wildcard: bool,
    default: Chain,
    regions: BTreeMap<&'static str, Chain>,
    failback: &'static str,
    answers: u64,
    min_healthy: &'static str,
    sticky: bool,
}

impl Files {
    pub(super) fn random(random: &mut Random) -> Files {
        let mut regions: Vec<&str> = REGIONS.iter().map(|(name, _)| *name).collect();
        random.shuffle(&mut regions);
        regions.truncate(random.below(REGIONS.len()) + 1);
        let zones = if random.chance(25) { 2 } else { 1 };
        let zones =
            (0..zones).map(|number| (APEXES[number], ZoneFile::random(number, &regions, random))).collect();
        let canaries = canaries(random);
        Files { regions, windows: Vec::new(), canaries, zones }
    }

    /// Another version, with a few changes.
    pub(super) fn changed(&self, random: &mut Random) -> Files {
        let mut files = self.clone();
        let are_regions_changed = random.chance(20);
        if are_regions_changed {
            let missing = REGIONS.iter().map(|(name, _)| *name).find(|name| !files.regions.contains(name));
            match missing {
                Some(name) if random.chance(50) => files.regions.insert(0, name),
                _ if files.regions.len() > 1 && random.chance(50) => drop(files.regions.remove(0)),
                _ => random.shuffle(&mut files.regions),
            }
        }
        if random.chance(8) {
            if files.zones.len() > 1 {
                files.zones.remove(APEXES[random.below(2)]);
            } else {
                let number = APEXES.iter().position(|apex| !files.zones.contains_key(apex)).unwrap_or(0);
                files.zones.insert(APEXES[number], ZoneFile::random(number, &files.regions, random));
            }
        }
        if random.chance(15) {
            files.canaries = canaries(random);
        }
        for zone in files.zones.values_mut() {
            for _ in 0..random.below(4) {
                zone.change(&files.regions, random);
            }
            zone.serial += 1;
            // A mistake in everything that was touched: old versions under new regions.
            zone.has_slip |= are_regions_changed && random.chance(40);
        }
        files
    }

    /// Another version, in which maintenance is planned otherwise.
    pub(super) fn replanned(&self, now: Tick, random: &mut Random) -> Files {
        let mut files = self.clone();
        Window::change(&mut files.windows, now, random);
        files
    }

    /// Every operator's hand taken off, and every slip mended.
    pub(super) fn calmed(&self) -> Files {
        let mut files = self.clone();
        files.windows.clear();
        for zone in files.zones.values_mut() {
            zone.serial += 1;
            zone.has_slip = false;
            zone.sites.values_mut().for_each(|state| *state = "auto");
            zone.targets.iter_mut().for_each(|target| target.state = "auto");
        }
        files
    }

    /// As they are written.
    pub(super) fn texts(&self) -> Texts {
        let zones = self.zones.iter().map(|(apex, file)| ((*apex).to_owned(), [file.zone(), file.routes()]));
        let regions = self.regions.iter().map(|name| (*name).to_owned()).collect();
        Texts { regions, server: self.server(), zones: zones.collect() }
    }

    fn server(&self) -> String {
        let mut text = String::new();
        for region in &self.regions {
            let network = REGIONS.iter().find(|(name, _)| name == region).map_or("", |(_, network)| network);
            let _ = write!(text, "[regions.{region}]\nnetworks = [\"{network}\"]\n");
        }
        self.windows.iter().for_each(|window| window.write(&mut text));
        for (number, canary) in self.canaries.iter().enumerate() {
            let _ = write!(text, "[canaries.{}]\naddress = \"192.0.2.{}\"\n", canary.name, 200 + number);
            canary.write(&mut text);
        }
        text
    }
}

impl ZoneFile {
    fn random(zone: usize, regions: &[&'static str], random: &mut Random) -> ZoneFile {
        let mut file = ZoneFile {
            serial: 1,
            has_slip: false,
            sites: SITES.iter().map(|site| (*site, "auto")).collect(),
            probes: Vec::new(),
            targets: Vec::new(),
            routes: Vec::new(),
        };
        for number in 0..random.below(2) + 1 {
            file.probes.push(Probe::random(number, random));
        }
        for number in 0..random.below(4) + 2 {
            let mut target = Target::random(zone * 30 + number + 1, &file.probes, random);
            target.needs = needs_among(&file.targets, random);
            file.targets.push(target);
        }
        for number in 0..random.below(3) + 1 {
            let route = Route::random(number, &file.targets, regions, random);
            file.routes.push(route);
        }
        file
    }

    fn change(&mut self, regions: &[&'static str], random: &mut Random) {
        let (target, route, probe) = (
            random.below(self.targets.len()),
            random.below(self.routes.len()),
            random.below(self.probes.len()),
        );
        match random.below(20) {
            0..3 => self.targets[target].state = random.pick(&STATES),
            3 => drop(self.sites.insert(random.pick(&SITES), random.pick(&STATES))),
            4 | 5 => {
                let label = self.routes[route].label.clone();
                let mut other = Route::random(0, &self.targets, regions, random);
                other.label = label;
                self.routes[route] = other;
            }
            6 => {
                let number = self.routes.len() + random.below(3);
                let new = Route::random(number, &self.targets, regions, random);
                if !self.routes.iter().any(|route| route.label == new.label) {
                    self.routes.push(new);
                }
            }
            7 if self.routes.len() > 1 => drop(self.routes.remove(route)),
            // Chains still name it: errors, until they are changed too.
            8 if self.targets.len() > 2 && random.chance(30) => drop(self.targets.remove(target)),
            9 => self.targets[target].number = (self.targets[target].number + 60) % 240,
            10 => self.targets[target].ipv6 ^= true,
            11 => {
                let new = Probe::random(0, random);
                let name = std::mem::take(&mut self.probes[probe].name);
                self.probes[probe] = Probe { name, ..new };
            }
            12 => {
                let old = self.probes[probe].name.clone();
                let new = format!("{}x", old.trim_end_matches("xx"));
                for name in self.targets.iter_mut().flat_map(|target| &mut target.probes) {
                    if *name == old {
                        name.clone_from(&new);
                    }
                }
                self.probes[probe].name = new;
            }
            13 => self.routes[route].failback = random.pick(&FAILBACKS),
            14 => self.has_slip ^= true,
            16 => {
                let is_name = self.targets[target].address_of.is_some() || random.chance(50);
                self.targets[target].address_of = (!is_name).then(|| random.pick(&NAMES));
            }
            17 | 18 if self.probes[probe].asks.is_by_alerts() => {
                self.probes[probe].asks.ask_for_other_alerts();
            }
            15 => {
                let needs = needs_among(&self.targets[..target], random);
                self.targets[target].needs = needs;
            }
            _ => {
                let probes = self.probes.clone();
                self.targets[target].probes = probes_of_target(&probes, random);
            }
        }
    }

    fn zone(&self) -> String {
        let mut text = format!(
            "$TTL 60\n@ SOA ns.test. h.test. {} 1 1 1 60\n@ NS ns.test.\nns A 192.0.2.250\n",
            self.serial
        );
        for target in &self.targets {
            let _ = writeln!(text, "{}.host A 203.0.113.250", target.name);
        }
        text
    }

    fn routes(&self) -> String {
        let mut text = String::new();
        if self.has_slip {
            text.push_str("[targets\n");
        }
        for (site, state) in &self.sites {
            let _ = write!(text, "[sites.{site}]\nstate = \"{state}\"\n");
        }
        for probe in &self.probes {
            let _ = writeln!(text, "[probes.{}]", probe.name);
            probe.write(&mut text);
        }
        self.targets.iter().for_each(|target| target.write(&mut text));
        self.routes.iter().for_each(|route| route.write(&mut text));
        text
    }
}

/// Addresses outside of all sites; none most of the time.
fn canaries(random: &mut Random) -> Vec<Probe> {
    let count = random.pick(&[0, 0, 0, 1, 2]);
    (0..count).map(|number| Probe { asks: Asks::Tcp, ..Probe::random(number, random) }).collect()
}

impl Probe {
    fn random(number: usize, random: &mut Random) -> Probe {
        Probe {
            name: format!("p{number}"),
            asks: Asks::random(random),
            interval_ms: random.between(1_000..=6_000),
            fall: random.between(1..=4),
            rise: random.between(1..=3),
            hold_s: random.pick(&[0, 5, 10, 20]),
        }
    }
}

impl Probe {
    fn write(&self, text: &mut String) {
        let Probe { asks, interval_ms, fall, rise, hold_s, .. } = self;
        let asks = match asks {
            Asks::Tcp => "type = \"tcp\"\nport = 25".to_owned(),
            Asks::Verdicts(ttl) => format!("type = \"push\"\nttl = \"{ttl}s\""),
            Asks::Alerts(label, ttl) => {
                let ttl = if *ttl > 0 { format!("\nttl = \"{ttl}s\"") } else { String::new() };
                format!("type = \"push\"\nalert = {{ alertname = \"Full\", {label} = \"{{{label}}}\" }}{ttl}")
            }
            Asks::File(ttl) => format!("type = \"file\"\npath = \"/run/watch/{{target}}\"\nttl = \"{ttl}s\""),
        };
        let _ = write!(
            text,
            "{asks}\ninterval = \"{interval_ms}ms\"\n\
             timeout = \"500ms\"\nfall = {fall}\nrise = {rise}\nhold = \"{hold_s}s\"\n"
        );
    }
}

impl Asks {
    fn random(random: &mut Random) -> Asks {
        let ttl = random.between(5..=15);
        match random.below(20) {
            0 | 1 => Asks::Verdicts(ttl),
            2 | 3 => Asks::Alerts(random.pick(&["site", "target"]), random.pick(&[0, ttl])),
            4 | 5 => Asks::File(ttl),
            _ => Asks::Tcp,
        }
    }

    fn is_by_alerts(self) -> bool {
        matches!(self, Asks::Alerts(..))
    }

    fn ask_for_other_alerts(&mut self) {
        if let Asks::Alerts(label, _) = self {
            *label = if *label == "site" { "target" } else { "site" };
        }
    }
}

fn needs_among(targets: &[Target], random: &mut Random) -> Vec<String> {
    let needed = targets.iter().filter(|_| random.chance(15));
    needed.map(|target| target.name.clone()).collect()
}

fn probes_of_target(probes: &[Probe], random: &mut Random) -> Vec<String> {
    probes.iter().filter(|_| random.chance(75)).map(|probe| probe.name.clone()).collect()
}

impl Target {
    fn random(number: usize, probes: &[Probe], random: &mut Random) -> Target {
        let address_of = random.chance(12).then(|| random.pick(&NAMES));
        let ipv4 = random.chance(85);
        Target {
            name: format!("t{number}"),
            number,
            ipv4,
            ipv6: !ipv4 || random.chance(50),
            address_of,
            state: if random.chance(5) { random.pick(&STATES) } else { "auto" },
            assume: if random.chance(15) { "down" } else { "up" },
            probes: probes_of_target(probes, random),
            capacity: if random.chance(80) { random.between(40..=100) } else { 0 },
            load: if random.chance(60) { random.between(20..=60) } else { 0 },
            needs: Vec::new(),
        }
    }

    fn write(&self, text: &mut String) {
        let Target { name, number, ipv4, ipv6, address_of, state, assume, probes, needs, capacity, load } =
            self;
        let site = SITES[number % SITES.len()];
        let _ = write!(
            text,
            "[targets.{name}]\nsite = \"{site}\"\nhost = \"{name}.host\"\nstate = \"{state}\"\n\
             assume = \"{assume}\"\nprobes = {probes:?}\n"
        );
        for (key, shares) in
            [("capacity", capacity), ("load", load)].into_iter().filter(|(_, shares)| **shares > 0)
        {
            let _ = writeln!(text, "{key} = {shares}");
        }
        if !needs.is_empty() {
            let _ = writeln!(text, "needs = {needs:?}");
        }
        if let Some(name) = address_of {
            let _ = writeln!(text, "address_of = \"{name}\"");
            return;
        }
        if *ipv4 {
            let _ = writeln!(text, "ipv4 = \"198.51.100.{number}\"");
        }
        if *ipv6 {
            let _ = writeln!(text, "ipv6 = \"2001:db8::{number:x}\"");
        }
    }
}

impl Route {
    fn random(number: usize, targets: &[Target], all_regions: &[&'static str], random: &mut Random) -> Route {
        let kind = random.pick(&["address", "address", "address", "cname", "mx", "srv"]);
        let shares = matches!(kind, "address" | "cname" | "srv") && random.chance(35);
        let mut regions = BTreeMap::new();
        for region in all_regions {
            if random.chance(60) {
                regions.insert(*region, chain(targets, shares, random));
            }
        }
        Route {
            label: format!("r{number}"),
            kind,
            is_wildcard: random.chance(15),
            default: chain(targets, shares, random),
            regions,
            failback: random.pick(&FAILBACKS),
            answers: if kind == "address" { random.pick(&[0, 0, 0, 1, 2, 3]) } else { 0 },
            min_healthy: match kind {
                "address" | "cname" => random.pick(&["", "", "", "\"50%\"", "\"100%\"", "2"]),
                _ => "",
            },
            sticky: random.chance(70),
        }
    }

    fn write(&self, text: &mut String) {
        let Route { label, kind, is_wildcard, default, regions, failback, answers, min_healthy, sticky } =
            self;
        let wildcard = if *is_wildcard { format!(", \"*.{label}\"") } else { String::new() };
        let _ = write!(
            text,
            "[routes.{label}]\ntype = \"{kind}\"\nnames = [\"{label}\"{wildcard}]\nfailback = \"{failback}\"\n"
        );
        for (region, chain) in
            regions.iter().map(|(name, chain)| (*name, chain)).chain([("default", default)])
        {
            let _ = writeln!(text, "{region} = {}", chain_text(chain));
        }
        if *kind == "srv" {
            text.push_str("port = 993\n");
        }
        if *answers > 0 {
            let _ = writeln!(text, "answers = {answers}");
        }
        if matches!(*kind, "address" | "cname") {
            let _ = writeln!(text, "sticky = {sticky}");
            if !min_healthy.is_empty() {
                let _ = writeln!(text, "min_healthy = {min_healthy}");
            }
        }
    }
}

fn chain(targets: &[Target], shares: bool, random: &mut Random) -> Chain {
    let mut names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
    random.shuffle(&mut names);
    names.truncate(random.below(names.len()) + 1);
    let mut chain = Chain::new();
    for name in names {
        let weight = if shares { random.between(1..=3) } else { 0 };
        match chain.last_mut().filter(|tier| tier.len() < 3 && random.chance(45)) {
            Some(tier) => tier.push((name, weight)),
            None => chain.push(vec![(name, weight)]),
        }
    }
    chain
}

fn chain_text(chain: &Chain) -> String {
    let member = |(name, weight): &(String, u64)| match weight {
        0 => format!("\"{name}\""),
        weight => format!("{{ target = \"{name}\", weight = {weight} }}"),
    };
    let tier = |tier: &Vec<(String, u64)>| match &tier[..] {
        [one] => member(one),
        _ => format!("[{}]", tier.iter().map(member).collect::<Vec<_>>().join(", ")),
    };
    format!("[{}]", chain.iter().map(tier).collect::<Vec<_>>().join(", "))
}
