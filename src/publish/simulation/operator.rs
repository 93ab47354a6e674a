//! An operator's orders: what comes of each, and that it is what must.

use std::sync::Arc;
use std::time::Duration;

use super::answers::Scene;
use super::burdens::{self, Burden};
use super::files::SITES;
use super::orders::{Given, Sayings, whole_name};
use super::{SOON, Simulation};
use crate::health::{Desired, ProbeKey};
use crate::publish::hand::Wish;
use crate::route::addresses::{PART_MARK, is_meant};

impl Simulation {
    /// An operator says something of a site, or of a target that is probed.
    pub(super) fn order(&mut self) -> Result<(), String> {
        let now = self.now();
        let probed: Vec<String> =
            self.targets().iter().map(|key| whole_name(&key.subject.zone, &key.subject.target)).collect();
        let whom = if probed.is_empty() || self.random.chance(30) {
            self.random.pick(&SITES).to_owned()
        } else {
            probed[self.random.below(probed.len())].clone()
        };
        let desired = self.random.pick(&[Desired::Drained, Desired::Drained, Desired::Down, Desired::Up]);
        let span = self.random.chance(60).then(|| Duration::from_secs(self.random.between(1..=40)));
        let force = self.random.chance(50);
        self.tell(|| format!("{whom} {desired:?} for {span:?}{}", if force { " --force" } else { "" }));
        // Parts of a host name can be ordered too; nobody does.
        if whom.contains(PART_MARK) {
            return Ok(());
        }
        let mut orders = self.orders.clone();
        orders.give(&whom, desired, span.map(|span| now + span));
        // Where time alone has something to do, what it is about to do isn't known here. Nor is it of
        // deaths that are held: whom an order takes out can't have them doubted any more.
        let is_calm = self.server.writer.next_due(now) > SOON && !self.holds_deaths();
        let is_judged = !force && desired != Desired::Up && is_calm;
        let burden = is_judged.then(|| self.burden(&whom, &orders));
        let before = self.server.writer.published().load_full();
        let result = self.server.wish(&whom, Wish::Order(desired, span), force, self.at, now);
        self.tell(|| format!("{result:?}"));
        if let Some(burden) = burden {
            burden.check(result.as_ref().err()).map_err(|error| format!("{whom} {desired:?}: {error}"))?;
        }
        match result {
            Ok(_) => {
                self.orders = orders;
                self.doubts.judged(now);
            }
            Err(_) if !Arc::ptr_eq(&before, &self.server.writer.published().load_full()) => {
                return Err(format!("{whom} {desired:?} was refused, and published all the same"));
            }
            Err(_) => {}
        }
        self.look(None)
    }

    /// An operator takes an order back.
    pub(super) fn take_back(&mut self) -> Result<(), String> {
        let all: Vec<String> = self.orders.whom().cloned().collect();
        if !all.is_empty() {
            let whom = &all[self.random.below(all.len())];
            let now = self.now();
            let is_there = self.orders.is_in_force(whom, now);
            self.orders.take_back(whom);
            let result = self.server.wish(whom, Wish::TakeBack, true, self.at, now);
            // A target that is gone has no order that anybody could name.
            if is_there && result.is_err() && self.is_there(whom) {
                return Err(format!("{whom} has an order that isn't taken back: {result:?}"));
            }
        }
        self.look(None)
    }

    /// An operator has a recovered target get its clients back.
    pub(super) fn release(&mut self) -> Result<(), String> {
        let targets = self.targets();
        if targets.is_empty() {
            return Ok(());
        }
        let subject = &targets[self.random.below(targets.len())].subject;
        let mut waiting = self.history.waiting.iter();
        let is_waiting =
            waiting.any(|one| one.zone == subject.zone && is_meant(&one.target, &subject.target));
        self.history.release(&subject.zone, &subject.target);
        let whom = whole_name(&subject.zone, &subject.target);
        let now = self.now();
        let result = self.server.wish(&whom, Wish::Failback, true, self.at, now);
        if result.is_ok() != is_waiting {
            return Err(format!("{whom} waits: {is_waiting}, and is released: {result:?}"));
        }
        self.look(None)
    }

    /// An operator says that the failures are real. Nobody doubts most of the time: then it is
    /// refused.
    pub(super) fn accept(&mut self) -> Result<(), String> {
        let now = self.now();
        let is_doubted = self.server.writer.status().board().doubt().is_some();
        let result = self.server.wish("", Wish::Believe, true, self.at, now);
        if result.is_ok() != is_doubted {
            return Err(format!("doubted: {is_doubted}, and accepted: {result:?}"));
        }
        if is_doubted {
            self.doubts.accept();
        }
        self.look(None)
    }

    /// Probes of targets, which canaries aren't.
    fn targets(&self) -> Vec<ProbeKey> {
        self.server.jobs.keys().filter(|key| !key.subject.zone.is_root()).cloned().collect()
    }

    fn holds_deaths(&self) -> bool {
        self.server.writer.status().board().rows(self.now()).any(|row| row.is_held)
    }

    fn is_there(&self, whom: &str) -> bool {
        let mut zones = self.server.good.iter();
        zones.any(|(apex, good)| {
            good.config
                .routing
                .targets
                .iter()
                .any(|target| target.site.as_deref() == Some(whom) || whole_name(apex, &target.name) == whom)
        })
    }

    /// What other orders would bring about.
    fn burden(&self, whom: &str, orders: &Given) -> Burden {
        let status = self.server.writer.status();
        let (model, board, snapshot) =
            (status.model(), status.board(), self.server.writer.published().load_full());
        let said = self.said();
        let before = Scene {
            model: &model,
            board: &board,
            snapshot: &snapshot,
            waiting: &self.history.waiting,
            names: &self.names,
            said,
            now: self.now(),
        };
        let after = Scene { said: Sayings { orders, ..said }, ..before };
        burdens::of(&before, &after, whom)
    }
}
