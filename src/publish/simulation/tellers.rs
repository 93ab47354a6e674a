//! Those who tell how targets are: a monitoring system, a script that writes files, an Alertmanager.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Simulation;
use super::files::SITES;
use super::orders::whole_name;
use crate::health::{Outcome, ProbeKey};
use crate::probe::Check;
use crate::publish::{Alert, Verdict, Whom};
use crate::route::addresses::PART_MARK;

/// How often they tell, all of them at once: three times within the shortest time for which a word
/// holds.
const BEAT: Duration = Duration::from_millis(1_600);

/// What a probe waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Verdicts,
    /// Alerts with this label, `site` or `target`.
    Alerts(&'static str),
    File(String),
}

/// An Alertmanager, and when all tell again.
#[derive(Default)]
pub(super) struct Tellers {
    /// By fingerprints: what fires.
    firing: BTreeSet<(&'static str, String)>,
    next: Duration,
}

impl Tellers {
    pub(super) fn next(&self) -> Duration {
        self.next
    }
}

impl Simulation {
    /// All tell how things are, if they aren't silent.
    pub(super) fn beat(&mut self) -> Result<(), String> {
        self.tellers.next = self.at + BEAT;
        if self.faults.is_hushed(self.at) {
            return Ok(());
        }
        let mut wholes = BTreeMap::new();
        let mut is_alerted = false;
        for (key, source, address) in self.sources() {
            match source {
                Source::Verdicts => drop(wholes.insert(whole(&key), address)),
                Source::Alerts(_) => is_alerted = true,
                Source::File(path) => {
                    let is_up = self.is_well(address);
                    self.server.files.insert(path.clone(), (is_up, self.now()));
                    self.words.write(&path, is_up, self.at);
                }
            }
        }
        for (whom, address) in wholes {
            let is_up = self.is_well(address);
            self.tell_verdict(&whom, is_up, None)?;
        }
        if is_alerted {
            // One that always fires, so that the Alertmanager is heard.
            self.tell_alerts("watchdog", "", true)?;
        }
        Ok(())
    }

    /// Somebody tells something of a target or a site, true or not.
    pub(super) fn tell_something(&mut self) -> Result<(), String> {
        let told: Vec<ProbeKey> = self
            .sources()
            .into_iter()
            .filter(|(_, source, _)| *source == Source::Verdicts)
            .map(|one| one.0)
            .collect();
        let whom = match told.len() {
            0 => return Ok(()),
            _ if self.random.chance(25) => self.random.pick(&SITES).to_owned(),
            count => whole(&told[self.random.below(count)]),
        };
        let is_up = self.random.chance(50);
        let ttl = self.random.chance(50).then(|| Duration::from_secs(self.random.between(1..=20)));
        self.tell_verdict(&whom, is_up, ttl)
    }

    /// An alert fires, or one that does is resolved.
    pub(super) fn change_alerts(&mut self) -> Result<(), String> {
        let targets: Vec<ProbeKey> = self
            .sources()
            .into_iter()
            .filter(|one| one.1 == Source::Alerts("target"))
            .map(|one| one.0)
            .collect();
        let resolved: Vec<_> = self.tellers.firing.iter().cloned().collect();
        if !resolved.is_empty() && self.random.chance(50) {
            let (label, value) = resolved[self.random.below(resolved.len())].clone();
            self.tellers.firing.remove(&(label, value.clone()));
            return self.tell_alerts(label, &value, false);
        }
        let (label, value) = match targets.len() {
            0 => ("site", self.random.pick(&SITES).to_owned()),
            count => ("target", targets[self.random.below(count)].subject.target.clone()),
        };
        self.tellers.firing.insert((label, value.clone()));
        self.tell_alerts(label, &value, true)
    }

    /// All alerts are resolved.
    pub(super) fn resolve_alerts(&mut self) -> Result<(), String> {
        for (label, value) in std::mem::take(&mut self.tellers.firing) {
            self.tell_alerts(label, &value, false)?;
        }
        Ok(())
    }

    /// Whether a probe by words may see what it saw.
    pub(super) fn check_words(&mut self, key: &ProbeKey, outcome: Outcome) -> Result<(), String> {
        let Some(running) = self.server.jobs.get(key) else { return Ok(()) };
        let result = match &running.job.spec.check {
            Check::Push(push) => self.words.check(key, push, outcome, self.at),
            Check::File(file) => self.words.check_file(
                &file.path.replace("{target}", &key.subject.target),
                file.ttl,
                outcome,
                self.at,
            ),
            _ => Ok(()),
        };
        result.map_err(|error| {
            format!("{} {:?} {}: {error}", key.subject.target, key.subject.family, key.probe)
        })
    }

    fn tell_verdict(&mut self, whom: &str, is_up: bool, ttl: Option<Duration>) -> Result<(), String> {
        self.tell(|| format!("{whom} is told {}, for {ttl:?}", if is_up { "up" } else { "down" }));
        let sources = self.sources().into_iter().filter(|(key, source, _)| {
            *source == Source::Verdicts && (whole(key) == whom || self.site(key).as_deref() == Some(whom))
        });
        let meant: Vec<ProbeKey> = sources.map(|one| one.0).collect();
        for key in &meant {
            self.words.tell(key, is_up, ttl, self.at);
        }
        let evidence = "told".to_owned();
        let verdict = Verdict { whom: Whom(whom.to_owned()), probe: None, is_up, evidence, ttl };
        let now = self.now();
        let told = self.server.verdict(verdict, self.at, now);
        if told != meant.len() {
            return Err(format!("{told} probes were told of {whom}, not {}", meant.len()));
        }
        Ok(())
    }

    fn tell_alerts(&mut self, label: &'static str, value: &str, fires: bool) -> Result<(), String> {
        self.tell(|| format!("alert {label}={value} {}", if fires { "fires" } else { "is resolved" }));
        let fingerprint = format!("{label} {value}");
        let mut matched = 0;
        for (key, source, _) in self.sources() {
            let Source::Alerts(wanted) = source else { continue };
            let own = if wanted == "site" { self.site(&key) } else { Some(key.subject.target.clone()) };
            let is_meant = wanted == label && own.as_deref() == Some(value);
            matched += usize::from(is_meant);
            self.words.alert(&key, is_meant.then_some((fingerprint.as_str(), fires)), self.at);
        }
        let labels = [("alertname", "Full"), (label, value)];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let alert = Alert { fires, labels, fingerprint, words: "Full".to_owned() };
        let now = self.now();
        let told = self.server.alerts(vec![alert], self.at, now);
        if told != matched {
            return Err(format!("{told} probes were told of the alert, not {matched}"));
        }
        Ok(())
    }

    /// Probes that wait for words, what for, and their addresses.
    fn sources(&self) -> Vec<(ProbeKey, Source, std::net::IpAddr)> {
        let source = |key: &ProbeKey, check: &Check| match check {
            Check::Push(push) if push.alert.is_empty() => Some(Source::Verdicts),
            Check::Push(push) => {
                let is_by_site = push.alert.iter().any(|(label, _)| label == "site");
                Some(Source::Alerts(if is_by_site { "site" } else { "target" }))
            }
            Check::File(file) => Some(Source::File(file.path.replace("{target}", &key.subject.target))),
            _ => None,
        };
        let jobs = self.server.jobs.values().map(|running| &running.job);
        jobs.filter_map(|job| Some((job.key.clone(), source(&job.key, &job.spec.check)?, job.address)))
            .collect()
    }

    /// Whether whoever watches an address finds it well.
    fn is_well(&mut self, address: std::net::IpAddr) -> bool {
        self.faults.result(address, self.at, &mut self.random) != Some(Outcome::Failed)
    }

    fn site(&self, key: &ProbeKey) -> Option<String> {
        let good = self.server.good.get(&key.subject.zone)?;
        let named = key.subject.target.split(PART_MARK).next()?;
        good.config.routing.targets.iter().find(|target| target.name == named)?.site.clone()
    }
}

/// The target of the file, as operators write it.
fn whole(key: &ProbeKey) -> String {
    let named = key.subject.target.split(PART_MARK).next().unwrap_or_default();
    whole_name(&key.subject.zone, named)
}
