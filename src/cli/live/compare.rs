//! What servers answered, against the files and against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{RData, RecordType};

use super::exchange::Trouble;
use super::nameservers::Nameserver;
use super::plan::{About, Item, Plan};
use super::{Served, Sight, View};
use crate::diagnostic::{Diagnostic, Severity};
use crate::model::ZoneModel;
use crate::route::{Kind, Route};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// Compares what all servers showed of a zone.
pub(super) fn compare(zone: &ZoneModel, path: &Path, plan: &Plan, sights: &[Sight]) -> View {
    let mut comparison = Comparison { zone, path, plan, findings: Vec::new() };
    let mut servers = Vec::new();
    let mut serving = Vec::new();
    for sight in sights {
        let serial = comparison.serial(sight);
        servers.push(served(zone, plan, sight, serial));
        serving.extend(serial.map(|serial| Serving { sight, serial }));
    }
    comparison.serials(&serving);
    for one in &serving {
        comparison.manners(one);
        comparison.content(one, &serving);
    }
    comparison.routes(&serving);
    if plan.left_out > 0 {
        let message = format!("{} questions about {} weren't asked", plan.left_out, zone.zone.apex());
        comparison.say(Severity::Warning, message, "the zone has too many routed names to ask for them all");
    }
    View { findings: comparison.findings, servers }
}

/// Questions about routes, by place, that servers answer differently. It may be that a target died
/// between two questions, so they deserve a second look.
pub(super) fn disputed(zone: &ZoneModel, plan: &Plan, sights: &[Sight]) -> Vec<usize> {
    let is_disputed = |place: usize, item: &Item| {
        let About::Routed(route) = item.about else { return false };
        let answers = sights.iter().filter_map(|sight| sight.answers.get(place)?.as_ref().ok());
        let different: BTreeSet<BTreeSet<String>> = answers.map(|answer| records(answer, item)).collect();
        different.len() > 1 && !zone.routing.routes.get(route).is_some_and(is_weighted)
    };
    let items = plan.items.iter().enumerate();
    items.filter(|(place, item)| is_disputed(*place, item)).map(|(place, _)| place).collect()
}

/// A server that has the zone.
struct Serving<'a> {
    sight: &'a Sight,
    serial: u32,
}

impl Serving<'_> {
    fn server(&self) -> &Nameserver {
        &self.sight.server
    }
}

fn served(zone: &ZoneModel, plan: &Plan, sight: &Sight, serial: Option<u32>) -> Served {
    let answers = || plan.items.iter().zip(&sight.answers);
    let tcp = answers().any(|(item, answer)| item.about == About::Stream && answer.is_ok());
    let client_subnets =
        answers().any(|(_, answer)| answer.as_ref().is_ok_and(|answer| subnet(answer).is_some()));
    Served { zone: zone.zone.apex().to_string(), server: sight.server.clone(), serial, tcp, client_subnets }
}

struct Comparison<'a> {
    zone: &'a ZoneModel,
    path: &'a Path,
    plan: &'a Plan,
    findings: Vec<Diagnostic>,
}

impl Comparison<'_> {
    fn say(&mut self, severity: Severity, message: String, help: &str) {
        let found = Diagnostic { severity, ..Diagnostic::error(self.path, message) };
        self.findings.push(found.help(help));
    }

    /// The serial that a server has, or why it is of no use.
    fn serial(&mut self, sight: &Sight) -> Option<u32> {
        let (server, apex) = (&sight.server, self.zone.zone.apex().clone());
        let message = match sight.answers.first()? {
            Ok(message) => message,
            Err(trouble) => {
                let severity = match trouble {
                    Trouble::NoWay(_) | Trouble::Late => Severity::Warning,
                    _ => Severity::Error,
                };
                self.say(severity, format!("{server} {trouble}"), "asked for the SOA of the zone over UDP");
                return None;
            }
        };
        let serial = message.answers.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some(soa.serial),
            _ => None,
        });
        let why = match (message.metadata.response_code, serial) {
            (ResponseCode::NoError, Some(serial)) if message.metadata.authoritative => return Some(serial),
            (ResponseCode::NoError, Some(_)) => "answers without authority (no AA)".to_owned(),
            (ResponseCode::NoError, None) if !message.metadata.authoritative => "refers to others".to_owned(),
            (ResponseCode::NoError, None) => "has no SOA of it".to_owned(),
            (code, _) => format!("answers {}", mnemonic(code)),
        };
        let help = "the zone names it as its server: configure the zone there, or take its NS records out";
        self.say(Severity::Error, format!("{server} is lame for {apex}: it {why}"), help);
        None
    }

    /// Who is behind whom.
    fn serials(&mut self, serving: &[Serving<'_>]) {
        let Some(newest) = serving.iter().map(|one| one.serial).reduce(later) else { return };
        for one in serving.iter().filter(|one| one.serial != newest) {
            let message = format!("{} is stale: serial {}, others have {newest}", one.server(), one.serial);
            self.say(Severity::Error, message, "look why transfers or the deployment don't reach it");
        }
        let here = self.zone.zone.soa().serial();
        if newest != here {
            let apex = self.zone.zone.apex();
            let order = if later(here, newest) == here { "older" } else { "newer" };
            let message =
                format!("{apex} is served with serial {newest}, {order} than {here} in the files here");
            self.say(Severity::Warning, message, "answers are compared among servers, not with the files");
        }
    }

    /// How a server behaves, whatever its data.
    fn manners(&mut self, one: &Serving<'_>) {
        let server = one.server();
        let mut tally = Tally::default();
        for (item, answer) in self.plan.items.iter().zip(&one.sight.answers) {
            let message = match answer {
                Ok(message) => message,
                Err(Trouble::Late) => {
                    tally.add(
                        Severity::Warning,
                        "late",
                        format!("{server} wasn't asked for all: time is up"),
                    );
                    continue;
                }
                Err(trouble) => {
                    let how = if item.about == About::Stream { " over TCP (RFC 7766 5)" } else { "" };
                    let asked = shown(item);
                    tally.add(
                        Severity::Error,
                        if item.about == About::Stream { "stream" } else { "datagram" },
                        format!("{server} {trouble}{how}, asked for {asked}"),
                    );
                    continue;
                }
            };
            if message.metadata.recursion_available {
                let text = format!("{server} offers recursion: an authoritative server shouldn't (RFC 5358)");
                tally.add(Severity::Warning, "recursion", text);
            }
            if message.edns.is_none() {
                let text = format!("{server} doesn't speak EDNS (RFC 6891)");
                tally.add(Severity::Warning, "edns", text);
            } else if item.about == About::Version {
                let code = message.metadata.response_code;
                // The number 16 is BADSIG too.
                if u16::from(code) != u16::from(ResponseCode::BADVERS) {
                    let said = mnemonic(code);
                    let text =
                        format!("{server} answers {said} to EDNS version 1, not BADVERS (RFC 6891 6.1.3)");
                    tally.add(Severity::Warning, "version", text);
                }
            } else {
                subnet_manners(server, item, message, &mut tally);
            }
        }
        self.findings.extend(tally.into_findings(self.path));
    }

    /// What a server has, against the files or another server with the same serial.
    fn content(&mut self, one: &Serving<'_>, serving: &[Serving<'_>]) {
        let here = self.zone.zone.soa().serial();
        let other = serving.iter().find(|other| other.serial == one.serial);
        let server = one.server();
        for (place, item) in self.plan.items.iter().enumerate() {
            let Some(Ok(message)) = one.sight.answers.get(place) else { continue };
            let (reference, whose) = if one.serial == here {
                (&item.expected, "the files here".to_owned())
            } else {
                match other.and_then(|other| Some((other.sight.answers.get(place)?, other))) {
                    Some((Ok(answer), other)) => (answer, other.server().to_string()),
                    _ => continue,
                }
            };
            let help = "the serials are equal, and the zones aren't: compare what was deployed";
            match item.about {
                About::Soa | About::Stream | About::Nameservers => {
                    let (theirs, expected) = (records(message, item), records(reference, item));
                    if theirs != expected {
                        let (theirs, expected) = (listed(&theirs), listed(&expected));
                        let what = shown(item);
                        let message = format!("{server} answers {what} with {theirs}; {whose}: {expected}");
                        self.say(Severity::Error, message, help);
                    }
                }
                About::Nobody => {
                    let (code, expected) =
                        (&message.metadata.response_code, &reference.metadata.response_code);
                    if code != expected {
                        let (code, expected) = (mnemonic(*code), mnemonic(*expected));
                        let what = shown(item);
                        let message = format!("{server} answers {what} with {code}; {whose}: {expected}");
                        self.say(Severity::Error, message, help);
                    }
                }
                About::Version | About::Routed(_) => {}
            }
        }
    }

    /// Answers of routes: each must be one that the route can give, and all servers should agree.
    fn routes(&mut self, serving: &[Serving<'_>]) {
        let mut tally = Tally::default();
        for (place, item) in self.plan.items.iter().enumerate() {
            let About::Routed(route) = item.about else { continue };
            let Some(route) = self.zone.routing.routes.get(route) else { continue };
            let possible = possible(self.zone, route, item.question.rtype);
            let mut by_answer: BTreeMap<BTreeSet<String>, Vec<&Nameserver>> = BTreeMap::new();
            for one in serving {
                let Some(Ok(message)) = one.sight.answers.get(place) else { continue };
                let (server, what) = (one.server(), shown(item));
                let answer = records(message, item);
                let strange = answer.iter().find(|record| !possible.contains(last_field(record)));
                if answer.is_empty() {
                    let code = mnemonic(message.metadata.response_code);
                    let text = format!("{server} has no {what}, it answers {code}");
                    tally.add(Severity::Error, &format!("empty {server}"), text);
                } else if let Some(strange) = strange {
                    let text = format!(
                        "{server} answers {what} with {strange}, no target of route \"{}\"",
                        route.label
                    );
                    tally.add(Severity::Error, &format!("strange {server}"), text);
                } else if route.kind == Kind::Mx && answer.len() < possible.len() {
                    let text = format!("{server} leaves out exchangers: {what} is {}", listed(&answer));
                    tally.add(Severity::Error, &format!("mx {server}"), text);
                } else {
                    by_answer.entry(answer).or_default().push(server);
                }
            }
            // Shares of weighted targets differ from query to query.
            if by_answer.len() > 1 && !is_weighted(route) {
                let views = by_answer.iter().map(|(answer, servers)| {
                    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
                    format!("{} from {}", listed(answer), servers.join(", "))
                });
                let views: Vec<String> = views.collect();
                let text = format!("servers differ about {}: {}", shown(item), views.join("; "));
                tally.add(Severity::Warning, &format!("differ {}", route.label), text);
            }
        }
        self.findings.extend(tally.into_findings(self.path));
    }
}

/// The client subnet in an answer (RFC 7871 7.2.1): echoed as it was sent, with a scope that keeps
/// regions apart and splits caches no further.
fn subnet_manners(server: &Nameserver, item: &Item, message: &Message, tally: &mut Tally) {
    let (Some(asked), Some(expected)) = (item.question.subnet, subnet(&item.expected)) else { return };
    let what = shown(item);
    let Some(echoed) = subnet(message) else {
        // Whoever sends no scope is taken for the same everywhere, which NS records are.
        if expected.scope_prefix() > 0 {
            let text = format!(
                "{server} ignores client subnets, asked for {what}: behind resolvers all regions get one answer"
            );
            tally.add(Severity::Error, "ignores", text);
        }
        return;
    };
    if (echoed.addr(), echoed.source_prefix()) != (asked.network(), asked.prefix_len()) {
        let text = format!(
            "{server} echoes the client subnet as {}/{}, asked for {what} (RFC 7871 7.2.1)",
            echoed.addr(),
            echoed.source_prefix()
        );
        tally.add(Severity::Error, "echo", text);
    }
    let (scope, wanted) = (echoed.scope_prefix(), expected.scope_prefix());
    if scope < wanted {
        let text = format!(
            "{server} answers {what} with scope {scope}, the files here with {wanted}: resolvers give it to other regions too"
        );
        tally.add(Severity::Error, "short", text);
    } else if scope > wanted {
        let text = format!(
            "{server} answers {what} with scope {scope}, the files here with {wanted}: resolvers keep more copies than needed"
        );
        tally.add(Severity::Warning, "long", text);
    }
}

/// Findings of one kind, told once with their number.
#[derive(Debug, Default)]
struct Tally(BTreeMap<(Severity, String), (String, usize)>);

impl Tally {
    fn add(&mut self, severity: Severity, kind: &str, text: String) {
        self.0.entry((severity, kind.to_owned())).or_insert((text, 0)).1 += 1;
    }

    fn into_findings(self, path: &Path) -> Vec<Diagnostic> {
        let said = |((severity, _), (text, count)): ((Severity, String), (String, usize))| {
            let message = if count > 1 { format!("{text} (and {} more such)", count - 1) } else { text };
            Diagnostic { severity, ..Diagnostic::error(path, message) }
        };
        // Errors first.
        self.0.into_iter().rev().map(said).collect()
    }
}

fn subnet(message: &Message) -> Option<&ClientSubnet> {
    match message.edns.as_ref()?.option(EdnsCode::Subnet)? {
        EdnsOption::Subnet(subnet) => Some(subnet),
        _ => None,
    }
}

/// The records that a question is about, in lower case.
fn records(message: &Message, item: &Item) -> BTreeSet<String> {
    let rtype = RecordType::from(item.question.rtype.0);
    let answers = message.answers.iter().filter(|record| record.record_type() == rtype);
    answers.map(|record| record.data.to_string().to_lowercase()).collect()
}

/// Addresses or hosts that a route can answer with.
fn possible(zone: &ZoneModel, route: &Route, rtype: Rtype) -> BTreeSet<String> {
    let targets = route.targets();
    let targets = targets.iter().filter_map(|id| zone.routing.targets.get(id.0 as usize));
    targets
        .filter_map(|target| match rtype {
            Rtype::A => target.ipv4.map(|address| address.to_string()),
            Rtype::AAAA => target.ipv6.map(|address| address.to_string()),
            _ => target.host.as_ref().map(text_of),
        })
        .collect()
}

fn text_of(name: &Name) -> String {
    name.to_string().to_lowercase()
}

/// The address or host of a record: all types of routes end with it.
fn last_field(record: &str) -> &str {
    record.rsplit(' ').next().unwrap_or(record)
}

fn is_weighted(route: &Route) -> bool {
    let chains = route.regions.iter().map(|(_, chain)| chain).chain([&route.default]);
    chains.flatten().flat_map(|tier| &tier.members).any(|member| member.weight > 0)
}

fn shown(item: &Item) -> String {
    let question = &item.question;
    let subnet = question.subnet.filter(|_| item.about != About::Nameservers);
    let subnet = subnet.map_or_else(String::new, |subnet| format!(" for {subnet}"));
    format!("{} {}{subnet}", question.name, question.rtype)
}

fn listed(records: &BTreeSet<String>) -> String {
    if records.is_empty() {
        "nothing".to_owned()
    } else {
        records.iter().cloned().collect::<Vec<_>>().join(", ")
    }
}

/// `REFUSED`, as other tools write it.
fn mnemonic(code: ResponseCode) -> String {
    format!("{code:?}").to_uppercase()
}

/// The later of two serials (RFC 1982 3.2).
fn later(a: u32, b: u32) -> u32 {
    if (b.wrapping_sub(a) as i32) > 0 { b } else { a }
}
