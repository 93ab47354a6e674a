//! The server under test: the writer, with a prober, a resolver and a disk that exist in virtual
//! time only.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::random::Random;
use crate::config::zone::ZoneConfig;
use crate::diagnostic::Diagnostic;
use crate::geo::table::Table;
use crate::health::{Outcome, ProbeKey, Report, Saved, Tick};
use crate::load::{LoadedZone, Pass, ZoneFiles};
use crate::model::Geography;
use crate::probe::Check;
use crate::probe::file::{self, Ages};
use crate::probe::prober::Job;
use crate::probe::push::Verdicts;
use crate::publish::hand::{Done, Hand, Refused, Whom, Wish};
use crate::publish::verdicts::{Alert, Verdict};
use crate::publish::writer::{Beginning, Change, Errand, Writer};
use crate::resolve::Found;
use crate::route::Kind;
use crate::state::SavedAddresses;
use crate::wire::cookie::{Secret, Secrets};
use crate::wire::name::Name;

pub(super) struct Server {
    pub(super) writer: Writer,
    pub(super) jobs: BTreeMap<ProbeKey, Running>,
    pub(super) disk: Disk,
    pub(super) names: BTreeSet<Name>,
    /// What probes by words go by.
    verdicts: Verdicts,
    ages: Ages,
    /// What scripts have written: whether it is up, and when by the clock.
    pub(super) files: BTreeMap<String, (bool, Tick)>,
    /// What it should serve: the last good version of each zone's routes.
    pub(super) good: BTreeMap<Name, Good>,
}

/// A probe that is sent again and again.
pub(super) struct Running {
    pub(super) job: Job,
    /// When its next result comes, by the clock that nobody sets.
    pub(super) next: Duration,
    /// When its last one came.
    reported: Duration,
}

/// One for all: building it takes longer than a run.
static TABLE: LazyLock<Arc<Table>> = LazyLock::new(Arc::default);

/// What survives a restart.
#[derive(Clone, Default)]
pub(super) struct Disk {
    /// As text, since that is what is read back.
    health: Option<String>,
    addresses: SavedAddresses,
    zones: BTreeMap<PathBuf, Vec<(PathBuf, Bytes)>>,
}

/// All files of a server, as an operator has written them.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Texts {
    /// Names of regions, in the order of `waypost.toml`.
    pub(super) regions: Vec<String>,
    /// `waypost.toml`, which has no mistakes here.
    pub(super) server: String,
    /// The zone file and the routes of each zone, by its apex.
    pub(super) zones: BTreeMap<String, [String; 2]>,
}

/// The routes of a zone, and the regions that they were read under.
pub(super) struct Good {
    pub(super) config: Arc<ZoneConfig>,
    pub(super) regions: Vec<String>,
    /// Those of them that have been taken away since: their chains don't come back by themselves.
    pub(super) lost: BTreeSet<String>,
}

impl Server {
    /// Starts with what a disk has kept; nothing if no zone can be served at all.
    pub(super) fn start(files: &Texts, disk: Disk, at: Duration, now: Tick) -> Option<Server> {
        let mut pass = whole_pass(files);
        let regions = files.regions.clone();
        let mut fallbacks = Vec::new();
        for (files, _) in pass.zones.iter().filter(|(_, result)| result.is_err()) {
            let kept = disk.zones.get(&files.zone).and_then(|kept| load(files, kept, &regions).ok());
            fallbacks.extend(kept.map(|loaded| (files.clone(), loaded)));
        }
        if fallbacks.is_empty() && pass.zones.iter().all(|(_, result)| result.is_err()) {
            return None;
        }
        let good = |(files, loaded): (&Arc<ZoneFiles>, &LoadedZone)| {
            let config = Arc::clone(&loaded.config);
            (files.apex.clone(), Good { config, regions: regions.clone(), lost: BTreeSet::new() })
        };
        let loaded = pass.zones.iter().filter_map(|(files, result)| Some((files, result.as_ref().ok()?)));
        let loaded = loaded.chain(fallbacks.iter().map(|(files, loaded)| (files, loaded)));
        let good = loaded.map(good).collect();
        let (Some(Ok(server)), Some(Ok(geography))) = (pass.server.take(), pass.geography.take()) else {
            return None;
        };
        let health: Option<Saved> =
            disk.health.as_ref().map(|text| serde_json::from_str(text).expect("what was written is read"));
        let beginning = Beginning {
            keyrings: BTreeMap::new(),
            server,
            geography,
            cookie_secrets: Arc::new(Secrets::new(Secret::new([0; 16]), [])),
            pass,
            fallbacks,
            health,
            addresses: disk.addresses.clone(),
            events: Vec::new(),
        };
        let writer = Writer::begin(beginning, now);
        let mut server = Server {
            writer,
            jobs: BTreeMap::new(),
            disk,
            names: BTreeSet::new(),
            verdicts: Verdicts::default(),
            ages: Ages::default(),
            files: BTreeMap::new(),
            good,
        };
        server.carry_out(at, now);
        Some(server)
    }

    pub(super) fn reload(&mut self, before: &Texts, files: &Texts, at: Duration, now: Tick) {
        let mut pass = whole_pass(files);
        pass.gone = before
            .zones
            .keys()
            .filter(|apex| !files.zones.contains_key(*apex))
            .map(|apex| Name::parse(apex, Some(&Name::root())).expect("a name"))
            .collect();
        if before.regions == files.regions {
            pass.geography = None;
        }
        if before.server == files.server {
            pass.server = None;
        }
        let regions = files.regions.clone();
        self.good.retain(|apex, _| !pass.gone.contains(apex));
        for (files, result) in &pass.zones {
            if let Ok(loaded) = result {
                let config = Arc::clone(&loaded.config);
                let good = Good { config, regions: regions.clone(), lost: BTreeSet::new() };
                self.good.insert(files.apex.clone(), good);
            } else if let Some(good) = self.good.get_mut(&files.apex) {
                let is_lost = |name: &&String| !regions.contains(name);
                good.lost.extend(good.regions.iter().filter(is_lost).cloned());
            }
        }
        self.writer.take(Change::Files(Box::new(pass)), now);
        self.carry_out(at, now);
    }

    /// Another `waypost.toml`, with the same regions.
    pub(super) fn reload_server(&mut self, files: &Texts, at: Duration, now: Tick) {
        let pass = Pass { server: Some(Ok(server_of(files))), ..Pass::default() };
        self.writer.take(Change::Files(Box::new(pass)), now);
        self.carry_out(at, now);
    }

    /// Has an operator's wish carried out.
    pub(super) fn wish(
        &mut self,
        whom: &str,
        wish: Wish,
        force: bool,
        at: Duration,
        now: Tick,
    ) -> Result<Done, Refused> {
        let (answer, mut answered) = oneshot::channel();
        let (whom, by) = (Whom(whom.to_owned()), "operator".to_owned());
        let hand = Hand { whom, wish, by, reason: None, force };
        self.writer.take(Change::Hand(Box::new(hand), answer), now);
        self.carry_out(at, now);
        answered.try_recv().expect("the writer answers")
    }

    /// Somebody tells how a target is. How many probes were told.
    pub(super) fn verdict(&mut self, verdict: Verdict, at: Duration, now: Tick) -> usize {
        let (answer, mut answered) = oneshot::channel();
        self.writer.take(Change::Verdict(Box::new(verdict), answer), now);
        self.carry_out(at, now);
        answered.try_recv().expect("the writer answers").unwrap_or(0)
    }

    /// An Alertmanager tells of alerts. How many probes match.
    pub(super) fn alerts(&mut self, alerts: Vec<Alert>, at: Duration, now: Tick) -> usize {
        let (answer, mut answered) = oneshot::channel();
        self.writer.take(Change::Alerts(alerts, answer), now);
        self.carry_out(at, now);
        answered.try_recv().expect("the writer answers")
    }

    /// What a probe by words sees; nothing if it is another one.
    pub(super) fn hear(&self, key: &ProbeKey, at: Duration, now: Tick) -> Option<Outcome> {
        match &self.jobs.get(key)?.job.spec.check {
            Check::Push(push) => Some(self.verdicts.report(key, push, instant(at)).outcome),
            Check::File(check) => {
                let path = check.path.replace("{target}", &key.subject.target);
                let Some((is_up, written)) = self.files.get(&path) else { return Some(Outcome::Failed) };
                let path = Path::new(&path);
                let clock = |at: Tick| UNIX_EPOCH + Duration::from_millis(at.0);
                let age = self.ages.of(path, clock(*written), (clock(now), instant(at).into_std()));
                let text = if *is_up { "up" } else { "down" };
                let seen = file::judge(path, text, age, check.ttl);
                Some(if seen.is_ok() { Outcome::Healthy } else { Outcome::Failed })
            }
            _ => None,
        }
    }

    pub(super) fn report(&mut self, key: &ProbeKey, report: &Report, at: Duration, now: Tick) {
        self.writer.take_report(key, report, now);
        self.carry_out(at, now);
    }

    pub(super) fn found(&mut self, found: &Found, at: Duration, now: Tick) {
        self.writer.take_found(found, now);
        self.carry_out(at, now);
    }

    /// Ends in order; otherwise it is killed.
    pub(super) fn stop(&mut self, at: Duration, now: Tick) {
        self.writer.take(Change::Stop, now);
        self.carry_out(at, now);
    }

    pub(super) fn due(&mut self, at: Duration, now: Tick) {
        self.writer.take_due(now);
        self.carry_out(at, now);
    }

    /// The next result of a probe comes after its usual wait, unless the writer wants it sooner.
    pub(super) fn await_next(&mut self, key: &ProbeKey, at: Duration, random: &mut Random) {
        if let Some(running) = self.jobs.get_mut(key) {
            running.reported = at;
            let wait = running.job.spec.pace.interval.mul_f64(random.between(95..=105) as f64 / 100.0);
            running.next = at + wait + Duration::from_millis(random.between(1..=60));
        }
    }

    fn carry_out(&mut self, at: Duration, now: Tick) {
        for errand in self.writer.errands() {
            match errand {
                Errand::Probe(jobs) => self.probe(jobs, at),
                Errand::Pace(key, next_after) => {
                    if let Some(running) = self.jobs.get_mut(&key)
                        && next_after < running.job.spec.pace.interval
                    {
                        running.next = running.next.min(running.reported + next_after);
                    }
                }
                Errand::Tell(key, pushed) => {
                    let is_waited_for = self.verdicts.tell(&key, pushed, instant(at));
                    self.ask_at_once(&key, is_waited_for, at);
                }
                Errand::Remind(key, pushed) => {
                    let age = now.since(pushed.at);
                    let is_news = self.verdicts.remind(&key, pushed, age, instant(at));
                    self.ask_at_once(&key, is_news, at);
                }
                Errand::Resolve(names, _) => self.names = names,
                Errand::KeepHealth(saved) => {
                    self.disk.health = Some(serde_json::to_string(&saved).expect("verdicts are plain data"));
                }
                Errand::KeepAddresses(saved) => self.disk.addresses = saved,
                Errand::KeepZone(files, contents) => {
                    drop(self.disk.zones.insert(files.zone.clone(), contents))
                }
                Errand::ForgetZone(files) => drop(self.disk.zones.remove(&files.zone)),
                Errand::GiveMemoryBack
                | Errand::KeepEvent(_)
                | Errand::WriteDown(_)
                | Errand::WriteBundle(..) => {}
            }
        }
    }

    fn ask_at_once(&mut self, key: &ProbeKey, is_wanted: bool, at: Duration) {
        if let Some(running) = self.jobs.get_mut(key).filter(|_| is_wanted) {
            running.next = at;
        }
    }

    fn probe(&mut self, jobs: Vec<Job>, at: Duration) {
        self.verdicts.keep_only(&jobs, instant(at));
        let mut before = std::mem::take(&mut self.jobs);
        for (nth, job) in (1u32..).zip(jobs) {
            let same = before.remove(&job.key).filter(|running| running.job == job);
            let new =
                || Running { next: at + Duration::from_millis(20) * nth, reported: at, job: job.clone() };
            let running = same.unwrap_or_else(new);
            self.jobs.insert(job.key, running);
        }
    }
}

/// A moment of the clock that nobody sets.
fn instant(at: Duration) -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + at
}

fn server_of(files: &Texts) -> Arc<crate::config::server::Server> {
    let read = crate::config::server::parse(Path::new("waypost.toml"), &files.server);
    Arc::new(read.expect("a good waypost.toml").0)
}

/// A pass over all files, as though each had changed.
fn whole_pass(files: &Texts) -> Pass {
    let server = server_of(files);
    let rules = server.rules.clone();
    // Answers are looked at by region, so no client has to be placed.
    let table = Arc::clone(&TABLE);
    let geography = Geography { table, rules, feeds: Vec::new(), database: None };
    let regions = files.regions.clone();
    let mut zones: Vec<_> = files
        .zones
        .iter()
        .map(|(apex, file)| {
            let apex = Name::parse(apex, Some(&Name::root())).expect("a name");
            let places = ZoneFiles::in_directory(&server.zones, &apex);
            let contents = contents(&places, file);
            let loaded = load(&places, &contents, &regions);
            (Arc::new(places), loaded)
        })
        .collect();
    zones.sort_by(|(a, _), (b, _)| a.apex.cmp(&b.apex));
    Pass { server: Some(Ok(server)), geography: Some(Ok(Arc::new(geography))), zones, ..Pass::default() }
}

fn contents(places: &ZoneFiles, [zone, routes]: &[String; 2]) -> Vec<(PathBuf, Bytes)> {
    vec![(places.zone.clone(), zone.clone().into()), (places.routes.clone(), routes.clone().into())]
}

struct Contents<'c>(&'c [(PathBuf, Bytes)]);

impl crate::zone::Files for Contents<'_> {
    fn read(&self, path: &Path) -> io::Result<Bytes> {
        let content = self.0.iter().find(|(place, _)| place == path);
        content.map(|(_, content)| content.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// As `load` reads a zone, from memory.
fn load(
    places: &ZoneFiles,
    contents: &[(PathBuf, Bytes)],
    regions: &[String],
) -> Result<LoadedZone, Vec<Diagnostic>> {
    let text = String::from_utf8_lossy(&contents[1].1);
    let (config, warnings) = crate::config::zone::parse(&places.routes, &text, &places.apex, regions)?;
    let routed = |name: &Name| {
        let mut routes = config.routing.routes.iter();
        routes.any(|route| route.kind == Kind::Address && route.owners.contains(name))
    };
    let zone = crate::zone::load(&places.zone, &places.apex, &Contents(contents), None, &routed)?.zone;
    let has = |name: &Name, rtype| {
        let lower = name.to_lower();
        zone.owner(lower.as_wire()).is_some_and(|owner| owner.rrset(rtype).is_some())
    };
    let findings = crate::config::zone::against_zone(&config, &has, zone.soa().minimum());
    if findings.iter().any(Diagnostic::is_error) {
        return Err(findings);
    }
    Ok(LoadedZone {
        zone: Arc::new(zone),
        config: Arc::new(config),
        signer: None,
        fitted: None,
        warnings,
        contents: contents.to_vec(),
    })
}
