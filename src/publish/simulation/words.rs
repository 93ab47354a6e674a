//! What others have told of targets, reckoned apart from the server: what still holds, and what has
//! run out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::server::Running;
use crate::health::{Outcome, ProbeKey};
use crate::probe::{Check, Push};

/// Times are of the clock that nobody sets.
#[derive(Default)]
pub(super) struct Words {
    by_probe: BTreeMap<ProbeKey, Word>,
    /// Since when each probe waits, in this life of the server.
    since: BTreeMap<ProbeKey, (Push, Duration)>,
    /// What stands in files.
    files: BTreeMap<String, Line>,
    /// When the server started last, and when the clock was set forward, and back.
    started: Duration,
    set_forward: Option<Duration>,
    set_back: Option<Duration>,
    /// When it was set back last while no server saw it.
    set_back_unseen: Option<Duration>,
}

#[derive(Clone, Default)]
struct Word {
    is_up: bool,
    at: Duration,
    ttl: Option<Duration>,
    firing: BTreeSet<String>,
}

/// The line of a file.
#[derive(Clone, Copy)]
struct Line {
    is_up: bool,
    at: Duration,
    /// From when on the server has counted in this life, once it has seen it.
    counted: Option<Duration>,
}

impl Words {
    /// The server's probes are others now.
    pub(super) fn follow(&mut self, jobs: &BTreeMap<ProbeKey, Running>, at: Duration) {
        let mut since = BTreeMap::new();
        for (key, running) in jobs {
            let Check::Push(push) = &running.job.spec.check else { continue };
            // What was told by other alerts says nothing.
            let before = self.since.remove(key).filter(|(before, _)| before.alert == push.alert);
            if before.is_none() && self.started < at {
                self.by_probe.remove(key);
            }
            since.insert(key.clone(), (push.clone(), before.map_or(at, |(_, since)| since)));
        }
        self.by_probe.retain(|key, _| since.contains_key(key));
        self.since = since;
    }

    pub(super) fn restart(&mut self, at: Duration) {
        self.since.clear();
        self.files.values_mut().for_each(|line| line.counted = None);
        self.started = at;
    }

    pub(super) fn clock_set_forward(&mut self, at: Duration) {
        self.set_forward = Some(at);
    }

    pub(super) fn clock_set_back(&mut self, at: Duration) {
        self.set_back = Some(at);
    }

    pub(super) fn set_back_unseen(&mut self, at: Duration) {
        self.set_back_unseen = Some(at);
    }

    pub(super) fn tell(&mut self, key: &ProbeKey, is_up: bool, ttl: Option<Duration>, at: Duration) {
        let firing = BTreeSet::new();
        self.by_probe.insert(key.clone(), Word { is_up, at, ttl, firing });
    }

    /// An Alertmanager was heard; an alert may be about this probe's target.
    pub(super) fn alert(&mut self, key: &ProbeKey, alert: Option<(&str, bool)>, at: Duration) {
        let word = self.by_probe.entry(key.clone()).or_default();
        word.at = at;
        match alert {
            Some((fingerprint, true)) => drop(word.firing.insert(fingerprint.to_owned())),
            Some((fingerprint, false)) => drop(word.firing.remove(fingerprint)),
            None => {}
        }
    }

    pub(super) fn write(&mut self, path: &str, is_up: bool, at: Duration) {
        self.files.insert(path.to_owned(), Line { is_up, at, counted: None });
    }

    /// Whether a probe that waits for words may see this.
    pub(super) fn check(
        &self,
        key: &ProbeKey,
        push: &Push,
        outcome: Outcome,
        at: Duration,
    ) -> Result<(), String> {
        let is_by_alerts = !push.alert.is_empty();
        let (_, since) = self.since.get(key).ok_or("nobody waits")?;
        let is_waited_for = push.ttl.is_some_and(|ttl| at - *since <= ttl);
        let may_be = match self.by_probe.get(key) {
            Some(word) => {
                let is_up = if is_by_alerts { word.firing.is_empty() } else { word.is_up };
                let said = if is_up { Outcome::Healthy } else { Outcome::Failed };
                let ttl = word.ttl.or(push.ttl);
                let has_run_out = ttl.is_some_and(|ttl| at - word.at > ttl);
                let is_remembered = word.at <= self.started;
                // Then nobody knows for how long the server was away.
                let is_of_unknown_age =
                    self.set_back_unseen >= Some(word.at) && ttl.is_none_or(|ttl| at - self.started <= ttl);
                match (has_run_out, is_remembered && is_waited_for) {
                    (true, _) if is_of_unknown_age => vec![said, Outcome::Blocked, Outcome::Failed],
                    // Whoever tells may have told meanwhile: nobody was there to hear it.
                    (true, true) => vec![Outcome::Blocked],
                    (true, false) => vec![Outcome::Failed],
                    // A kill may cost the time of the last word, and a clock that was set its age.
                    (false, true) => vec![said, Outcome::Blocked],
                    (false, false) => vec![said],
                }
            }
            None => match push.ttl {
                None if is_by_alerts => vec![Outcome::Healthy],
                _ if is_waited_for => vec![Outcome::Blocked],
                _ => vec![Outcome::Failed],
            },
        };
        if may_be.contains(&outcome) {
            Ok(())
        } else {
            Err(format!("{outcome:?} although told is {may_be:?}"))
        }
    }

    /// Whether a probe of a file may see this.
    pub(super) fn check_file(
        &mut self,
        path: &str,
        ttl: Duration,
        outcome: Outcome,
        at: Duration,
    ) -> Result<(), String> {
        let Some(line) = self.files.get_mut(path) else {
            return if outcome == Outcome::Failed { Ok(()) } else { Err(format!("{path} isn't there")) };
        };
        let is_since = |event: Option<Duration>| event.is_some_and(|event| event >= line.at);
        // Whoever sees it only when the clock has been set back can't know how old it is.
        let counted = if is_since(self.set_back) { at } else { line.at };
        let must_be_up = line.is_up && at - line.at <= ttl && !is_since(self.set_forward);
        let counted = *line.counted.get_or_insert(counted);
        let may_be_up = line.is_up && at - counted <= ttl;
        match outcome {
            Outcome::Healthy if !may_be_up => Err(format!("{path} is up for {:?} by now", at - line.at)),
            Outcome::Failed if must_be_up => Err(format!("{path} says that it is up")),
            _ => Ok(()),
        }
    }
}
