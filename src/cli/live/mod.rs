//! `waypost check --live`: every nameserver of every zone, asked from outside.
//!
//! What each server answers is held against the answers of the files here, which come from the
//! very function that serves queries, and against the answers of the other servers.
//!
//! ```text
//! nameservers   NS records -> addresses          exchange   question -> message, or trouble
//! plan          zone -> questions, expectations  compare    messages -> findings
//! ```

mod compare;
mod exchange;
mod nameservers;
mod plan;

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hickory_proto::op::Message;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Failure;
use super::resolved::resolved;
use crate::diagnostic::Diagnostic;
use crate::limits::{LIVE_AT_ONCE, LIVE_SETTLING, LIVE_TIME};
use crate::load::Offline;
use crate::model::{Model, ZoneModel};
use crate::publish::{now, rehearsal};
use crate::route::Routing;
use exchange::{Question, Trouble, ask};
use nameservers::{Addresses, Nameserver};
use plan::Plan;

/// What was seen of all zones.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) findings: Vec<Diagnostic>,
    pub(super) servers: Vec<Served>,
}

/// What one server shows of one zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Served {
    pub(super) zone: String,
    #[serde(flatten)]
    server: Nameserver,
    /// None when it doesn't serve the zone.
    pub(super) serial: Option<u32>,
    pub(super) tcp: bool,
    pub(super) client_subnets: bool,
}

/// `ns1.example.com. (192.0.2.53): serial 7, TCP, client subnets`.
impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.server)?;
        let Some(serial) = self.serial else { return f.write_str("no use") };
        let mut said = format!("serial {serial}");
        for (is_so, what) in [(self.tcp, "TCP"), (self.client_subnets, "client subnets")] {
            said += &format!(", {}{what}", if is_so { "" } else { "no " });
        }
        f.write_str(&said)
    }
}

/// The answers of one server about one zone, in the order of the plan. Behind a first one that is
/// trouble there are no others.
#[derive(Debug)]
struct Sight {
    server: Nameserver,
    answers: Vec<Result<Message, Trouble>>,
}

/// Looks at every zone, on all its nameservers or on those `given`.
pub(super) fn look(offline: &Offline, given: &[SocketAddr]) -> Result<View, Failure> {
    let resolved = resolved(&[offline])?;
    let with_addresses = |routing: &mut Routing| routing.set_addresses(&resolved);
    let (Some(server), Ok(model)) = (&offline.server, offline.model(with_addresses)) else {
        return Ok(View::default());
    };
    let snapshot = rehearsal(server, &model, now())?;
    let clients = plan::clients(&model.geography);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let view = runtime.block_on(async {
        let mut addresses = Addresses::default();
        let mut views = JoinSet::new();
        let asking = Arc::new(Asking::new());
        for (files, _) in &offline.zones {
            let Some(zone) = model.zones.get(&files.apex) else { continue };
            let plan = Arc::new(plan::plan(zone, &snapshot, &clients));
            let (servers, findings) =
                servers_of(&model, zone, given, &files.zone, &mut addresses, asking.end).await;
            let (zone, path, asking) = (Arc::clone(zone), files.zone.clone(), Arc::clone(&asking));
            views.spawn(async move { look_at(&zone, path, plan, servers, findings, asking).await });
        }
        let mut view = View::default();
        while let Some(one) = views.join_next().await {
            let one = one?;
            view.findings.extend(one.findings);
            view.servers.extend(one.servers);
        }
        Ok::<View, Failure>(view)
    });
    // The system's resolver may still be waited for by a thread.
    runtime.shutdown_background();
    let mut view = view?;
    view.findings.sort_by(|a, b| a.path.cmp(&b.path));
    view.servers.sort_by(|a, b| (&a.zone, &a.server).cmp(&(&b.zone, &b.server)));
    Ok(view)
}

/// Which servers a zone is asked of, and what is wrong with that already.
async fn servers_of(
    model: &Model,
    zone: &ZoneModel,
    given: &[SocketAddr],
    path: &PathBuf,
    addresses: &mut Addresses,
    end: Instant,
) -> (Vec<Nameserver>, Vec<Diagnostic>) {
    if !given.is_empty() {
        let servers = given.iter().map(|address| Nameserver { name: None, address: *address });
        return (servers.collect(), Vec::new());
    }
    let (mut servers, mut findings) = (Vec::new(), Vec::new());
    for name in nameservers::names(&zone.zone) {
        match addresses.of(model, &name, end).await {
            Ok(found) => servers.extend(found.into_iter().map(|address| nameservers::at(&name, address))),
            Err(why) => findings.push(Diagnostic::error(path, format!("{name} has no address: {why}"))),
        }
    }
    let places: HashSet<SocketAddr> = servers.iter().map(|server| server.address).collect();
    if places.len() == 1 {
        let message = format!("{} has one nameserver at one address", zone.zone.apex());
        let help = "when it fails, all names of the zone do: have two in different networks (RFC 2182 3.1)";
        findings.push(Diagnostic::warning(path, message).help(help));
    }
    (servers, findings)
}

async fn look_at(
    zone: &ZoneModel,
    path: PathBuf,
    plan: Arc<Plan>,
    servers: Vec<Nameserver>,
    findings: Vec<Diagnostic>,
    asking: Arc<Asking>,
) -> View {
    let mut all = JoinSet::new();
    for server in servers {
        let (plan, asking) = (Arc::clone(&plan), Arc::clone(&asking));
        all.spawn(async move { asking.sight(server, &plan).await });
    }
    let mut sights = Vec::new();
    while let Some(sight) = all.join_next().await {
        sights.extend(sight.ok());
    }
    sights.sort_by(|a, b| a.server.cmp(&b.server));
    let disputed = compare::disputed(zone, &plan, &sights);
    if !disputed.is_empty() {
        tokio::time::sleep(LIVE_SETTLING).await;
        asking.again(&mut sights, &plan, &disputed).await;
    }
    let compared = compare::compare(zone, &path, &plan, &sights);
    View { findings: findings.into_iter().chain(compared.findings).collect(), servers: compared.servers }
}

/// What all questions share.
struct Asking {
    turns: Semaphore,
    end: Instant,
    /// Servers that didn't answer about a zone: asking about more would take its time each.
    silent: Mutex<HashSet<SocketAddr>>,
}

impl Asking {
    fn new() -> Asking {
        let silent = Mutex::default();
        Asking { turns: Semaphore::new(LIVE_AT_ONCE), end: Instant::now() + LIVE_TIME, silent }
    }

    fn silent(&self) -> MutexGuard<'_, HashSet<SocketAddr>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sight(self: &Arc<Asking>, server: Nameserver, plan: &Plan) -> Sight {
        let Some((first, rest)) = plan.items.split_first() else {
            return Sight { server, answers: Vec::new() };
        };
        let address = server.address;
        let answer = self.ask(address, first.question.clone()).await;
        if answer == Err(Trouble::Silent) {
            self.silent().insert(address);
        }
        if answer.is_err() {
            return Sight { server, answers: vec![answer] };
        }
        let mut asked = JoinSet::new();
        for (place, item) in rest.iter().enumerate() {
            let (asking, question) = (Arc::clone(self), item.question.clone());
            asked.spawn(async move { (place, asking.ask(address, question).await) });
        }
        let mut answers = vec![Err(Trouble::Late); rest.len()];
        while let Some(one) = asked.join_next().await {
            if let Ok((place, answer)) = one {
                answers[place] = answer;
            }
        }
        answers.insert(0, answer);
        Sight { server, answers }
    }

    /// Asks some questions a second time of all that answered them.
    async fn again(self: &Arc<Asking>, sights: &mut [Sight], plan: &Plan, places: &[usize]) {
        let mut asked = JoinSet::new();
        for (number, sight) in sights.iter().enumerate() {
            for &place in places.iter().filter(|place| matches!(sight.answers.get(**place), Some(Ok(_)))) {
                let (asking, address) = (Arc::clone(self), sight.server.address);
                let question = plan.items[place].question.clone();
                asked.spawn(async move { (number, place, asking.ask(address, question).await) });
            }
        }
        while let Some(one) = asked.join_next().await {
            if let Ok((number, place, answer)) = one {
                sights[number].answers[place] = answer;
            }
        }
    }

    async fn ask(&self, server: SocketAddr, question: Question) -> Result<Message, Trouble> {
        // Never closed.
        let _turn = self.turns.acquire().await.map_err(|_| Trouble::Late)?;
        if self.silent().contains(&server) {
            return Err(Trouble::Silent);
        }
        ask(server, &question, self.end).await
    }
}
