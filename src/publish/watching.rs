//! What the writer does with health: whom it has watched, and what a report brings about.

use std::collections::BTreeSet;
use std::time::Duration;

use super::slots::Scene;
use super::writer::{Errand, Writer};
use crate::health::{
    Believed, Desired, Need, NeedNews, Outcome, ProbeKey, Report, Standing, State, Subject, Tick, Transition,
    Watched, order,
};
use crate::model::ZoneModel;
use crate::model::effect::{Effect, effects};
use crate::model::event::{Event, Kind};
use crate::model::severity::Turn;
use crate::probe::prober::Job;
use crate::probe::spec::Spec;
use crate::route::{Family, Routing, Target, TargetId};
use crate::wire::name::Name;

/// How often silent probers are looked for. A silence is told this much late at most.
const SILENCE_LOOK: Duration = Duration::from_secs(2);

/// What came of considering anew whether the failures are real.
#[derive(Debug)]
pub(super) struct Judged {
    /// Set if that has changed: they are doubted now for this reason, or no more.
    doubt: Option<Option<String>>,
    /// Silent deaths that were held.
    believed: Vec<Believed>,
}

impl Judged {
    pub(super) fn is_as_before(&self) -> bool {
        self.doubt.is_none() && self.believed.is_empty()
    }
}

impl Writer {
    pub(super) fn take_report(&mut self, key: &ProbeKey, report: &Report, at: Tick) {
        self.look_at_clock(at);
        self.count_report(key, report);
        let observed = {
            let mut board = self.status.board_mut();
            let before = board.standing(&key.subject, at);
            board.observe(key, report, at).map(|observed| (observed, before))
        };
        let Some((observed, before)) = observed else { return };
        self.errand(Errand::Pace(key.clone(), observed.next_after));
        let is_canary = self.canaries.iter().any(|canary| canary.key == *key);
        if observed.transition.is_some() || observed.is_heard || is_canary {
            self.doubt_anew(at);
        }
        if let Some(transition) = observed.transition {
            self.take_transition(&transition, before, at);
        } else if observed.is_verdict_new {
            self.keep_health();
        }
    }

    /// Counts what came of a probe, by what it asks: few kinds, whatever the number of targets.
    fn count_report(&self, key: &ProbeKey, report: &Report) {
        let of_zone = self.specs.get(&key.subject.zone).map_or(&[][..], Vec::as_slice);
        let mut specs = of_zone.iter().chain(self.canaries.iter().map(|canary| &canary.spec));
        let Some(spec) = specs.find(|spec| spec.name == key.probe) else { return };
        let came = match report.outcome {
            Outcome::Healthy => "up",
            Outcome::Blocked => "blocked",
            Outcome::Failed if report.latency >= spec.pace.timeout => "timeout",
            Outcome::Failed => "down",
        };
        self.status.figures().count_probe(spec.check.word(), came);
    }

    fn take_transition(&mut self, transition: &Transition, before: Standing, now: Tick) {
        let subject = &transition.subject;
        let news = self.status.board_mut().take_need_news();
        if let Some(zone) = self.model.zones.get(&subject.zone).cloned() {
            let others = news.iter().map(|news| &news.subject);
            let changed = self.decide_subjects([subject].into_iter().chain(others), now);
            if changed {
                self.publish(None, now);
            }
            // Told when it is published: nobody waits for the words.
            let effects = if changed { self.effects_of(&zone, subject, before, now) } else { Vec::new() };
            self.tell_transition(transition, effects);
        } else {
            self.tell_transition(transition, Vec::new());
        }
        self.tell_needs(&news, now);
        self.keep_health();
    }

    /// Considers anew whether the failures are real.
    pub(super) fn doubt_anew(&mut self, now: Tick) {
        let judged = self.judge(now);
        if judged.is_as_before() {
            return;
        }
        let news = self.status.board_mut().take_need_news();
        let is_changed = if judged.doubt.is_some() {
            self.decide_all(now);
            true
        } else {
            let believed = judged.believed.iter().map(|believed| &believed.subject);
            self.decide_subjects(believed.chain(news.iter().map(|news| &news.subject)), now)
        };
        if is_changed {
            self.publish(None, now);
        }
        self.tell_judged(judged, now);
        self.tell_needs(&news, now);
    }

    /// Decides anew for the routes that name these. Says whether answers have changed.
    fn decide_subjects<'s>(&mut self, subjects: impl Iterator<Item = &'s Subject>, now: Tick) -> bool {
        let board = self.status.board();
        let scene = Scene { geography: &self.model.geography, board: &board, signers: &self.signers, now };
        subjects.fold(false, |changed, Subject { zone, target, .. }| {
            let zone = self.model.zones.get(zone);
            zone.is_some_and(|zone| self.slots.decide_target(zone, target, scene)) | changed
        })
    }

    /// When a silent death is believed, if nobody is heard before.
    pub(super) fn next_belief(&self, now: Tick) -> Option<Duration> {
        self.status.board().next_belief().map(|at| at.since(now))
    }

    /// Whether the failures are real, and who has what it needs. Answers are yet to follow.
    fn judge(&self, now: Tick) -> Judged {
        let mut board = self.status.board_mut();
        let is_changed = board.reconsider(now);
        for key in board.take_asked() {
            self.errand(Errand::Pace(key, Duration::ZERO));
        }
        let doubt = is_changed.then(|| board.doubt().map(|doubt| doubt.why.clone()));
        Judged { doubt, believed: board.take_believed() }
    }

    /// Tells that a doubt has begun or ended and which silent deaths are believed, when answers have
    /// followed.
    pub(super) fn tell_judged(&self, judged: Judged, now: Tick) {
        if judged.is_as_before() {
            return;
        }
        self.keep_health();
        judged.believed.iter().for_each(|believed| self.tell_believed(believed, now));
        let Some(doubt) = judged.doubt else { return };
        let turn = Some(if doubt.is_some() { Turn::Begins } else { Turn::Ends });
        let text = match doubt {
            Some(why) => {
                format!(
                    "the last states are held: {why}; `waypost doubt accept` says that the failures are real"
                )
            }
            None => "no more doubt: what probes say holds".to_owned(),
        };
        tracing::warn!(kind = "doubt", "{text}");
        self.tell(Event { turn, ..Event::new(now, Kind::Doubt, text) });
    }

    fn tell_believed(&self, Believed { subject, before, is_confirmed }: &Believed, now: Tick) {
        let Some(zone) = self.model.zones.get(&subject.zone) else { return };
        let whom = format!("{}{}", subject.target, self.address(subject));
        let cause = if *is_confirmed { "others were heard" } else { "nobody else was heard in time" };
        let text = format!("the silence of {whom} is taken for its death: {cause}");
        tracing::info!(kind = "transition", zone = %subject.zone, target = %subject.target, "{text}");
        self.tell(Event {
            subject: Some(format!("{}/{whom}", subject.zone)),
            cause: Some(cause.to_owned()),
            effects: self.effects_of(zone, subject, *before, now),
            ..Event::new(now, Kind::Transition, text)
        });
    }

    fn effects_of(&self, zone: &ZoneModel, subject: &Subject, before: Standing, now: Tick) -> Vec<Effect> {
        let Some(id) = target_id(zone, &subject.target) else { return Vec::new() };
        let board = self.status.board();
        let after = |target: TargetId, family: Family| zone.standing(&board, target, family, now);
        let then = |target: TargetId, family: Family| {
            if target == id && family == subject.family { before } else { after(target, family) }
        };
        effects(zone, &self.model.geography, &[id], (&then, &after), now)
    }

    /// Tells what has become of needs since this was told last.
    pub(super) fn tell_need_news(&self, now: Tick) {
        let news = self.status.board_mut().take_need_news();
        self.tell_needs(&news, now);
    }

    /// Tells of targets whose needs aren't met any more, or are again.
    fn tell_needs(&self, news: &[NeedNews], now: Tick) {
        for NeedNews { subject, lacked, lacks, is_by_probes, before } in
            news.iter().filter(|news| news.lacked != news.lacks)
        {
            let Some(zone) = self.model.zones.get(&subject.zone) else { continue };
            let Some(target) = find(zone, &subject.target) else { continue };
            let whom = format!("{}{}", subject.target, self.address(subject));
            let (text, named) = match (target.need(*lacks), target.need(*lacked)) {
                (Some(needed), _) => (format!("{whom} isn't served: it needs {needed}"), needed),
                (None, Some(needed)) => (format!("{whom} has {needed} again, which it needs"), needed),
                (None, None) => continue,
            };
            let cause = format!("needs {named}");
            tracing::info!(kind = "needs", zone = %subject.zone, target = %subject.target, %cause, "{text}");
            let effects = self.effects_of(zone, subject, *before, now);
            self.tell(Event {
                subject: Some(format!("{}/{whom}", subject.zone)),
                cause: Some(cause),
                effects,
                turn: is_by_probes.then_some(if lacks.is_some() { Turn::Begins } else { Turn::Ends }),
                ..Event::new(now, Kind::Transition, text)
            });
        }
    }

    /// One line for the log, and an event.
    pub(super) fn tell_transition(&self, transition: &Transition, effects: Vec<Effect>) {
        let Transition { subject, from, to, evidence, probe, at } = transition;
        let address = self.address(subject);
        let probe = probe.as_deref().unwrap_or("configuration");
        let target = &subject.target;
        tracing::info!(
            kind = "transition", zone = %subject.zone, target = %target, site = self.site(subject),
            family = word(subject.family), address = address.trim(), %from, %to, probe, %evidence, "health"
        );
        let held = {
            let board = self.status.board();
            let id = board.id(&subject.zone, &subject.target, subject.family);
            match board.doubt() {
                Some(_) => ", doubted",
                None if id.is_some_and(|id| board.awaits(id)) => ", not believed before others are heard",
                None => "",
            }
        };
        let text = format!("{target}{address} {from} -> {to}: {probe}: {evidence}{held}");
        self.tell(Event {
            subject: Some(format!("{}/{target}{address}", subject.zone)),
            cause: Some(probe.to_owned()),
            evidence: Some(evidence.clone()),
            turn: turn(*from, *to),
            effects,
            ..Event::new(*at, Kind::Transition, text)
        });
    }

    /// When to look for silent probers again.
    pub(super) fn next_look(&self, now: Tick) -> Duration {
        (self.listened + SILENCE_LOOK).since(now)
    }

    /// Tells of probers that fell silent since the last look, and of those that are heard again.
    pub(super) fn look_for_silence(&mut self, now: Tick) {
        if !self.next_look(now).is_zero() {
            return;
        }
        self.listened = now;
        let stale: BTreeSet<Subject> = self.status.board().stale(now).cloned().collect();
        let before = std::mem::replace(&mut self.silent, stale);
        for subject in self.silent.difference(&before) {
            self.note_freshness(subject, Kind::Stale, now);
        }
        for subject in before.difference(&self.silent) {
            self.note_freshness(subject, Kind::Fresh, now);
        }
    }

    /// Says that a prober fell silent, or is heard from again.
    fn note_freshness(&self, subject: &Subject, kind: Kind, at: Tick) {
        let target = format!("{}{}", subject.target, self.address(subject));
        let state = self.status.board().standing(subject, at).state;
        let text = match kind {
            Kind::Stale => {
                format!("{target} is STALE: nothing new is learnt of it, {state} stays its verdict")
            }
            _ => format!("{target} is no longer stale"),
        };
        tracing::warn!(
            kind = "prober", zone = %subject.zone, target = %subject.target, site = self.site(subject),
            family = word(subject.family), "{text}"
        );
        let subject = Some(format!("{}/{target}", subject.zone));
        let turn = Some(if kind == Kind::Stale { Turn::Begins } else { Turn::Ends });
        self.tell(Event { subject, turn, ..Event::new(at, kind, text) });
    }

    fn site(&self, subject: &Subject) -> String {
        let zone = self.model.zones.get(&subject.zone);
        zone.and_then(|zone| find(zone, &subject.target)?.site.clone()).unwrap_or_default()
    }

    fn address(&self, subject: &Subject) -> String {
        let zone = self.model.zones.get(&subject.zone);
        let target = zone.and_then(|zone| find(zone, &subject.target));
        let address = target.and_then(|target| target.address(subject.family));
        address.map_or_else(String::new, |address| format!(" {address}"))
    }

    /// Tells the board which targets there are, and what is said of them. Answers are yet to follow.
    pub(super) fn watch_targets(&mut self, now: Tick) -> (Vec<Transition>, Judged) {
        self.looked = now;
        self.status.set_orders(self.orders.clone());
        self.canaries = self.server.canaries.iter().map(canary).collect();
        let watched = self.watched();
        let transitions = self.status.board_mut().configure(watched, now);
        (transitions, self.judge(now))
    }

    /// All targets, and what is said of them.
    pub(super) fn watched(&self) -> Vec<Watched> {
        let mut watched = Vec::new();
        for (apex, zone) in &self.steered {
            let specs = self.specs.get(apex).map_or(&[][..], Vec::as_slice);
            let needs = zone.routing.targets.iter().flat_map(|target| &target.needs);
            let needed: BTreeSet<TargetId> = needs.flat_map(|need| need.any_of.iter().copied()).collect();
            for (id, target) in (0..).map(TargetId).zip(&zone.routing.targets) {
                let probes: Vec<_> = specs
                    .iter()
                    .filter(|spec| target.probes.contains(&spec.name))
                    .map(|spec| (spec.name.clone(), spec.pace))
                    .collect();
                let (desired, said) = self.word_on(apex, zone, target);
                let said_of = said.as_ref();
                let has_address = |family: &Family| target.address(*family).is_some();
                // What is said of a host without addresses is asked by its first family.
                let is_host = !Family::BOTH.iter().any(has_address) && target.parts.is_empty();
                let is_asked =
                    is_host && (said_of.is_some() || !target.needs.is_empty() || needed.contains(&id));
                let asked = move |family: &Family| is_asked && *family == Family::V4;
                let families = Family::BOTH.into_iter();
                for family in families.filter(|family| has_address(family) || asked(family)) {
                    watched.push(Watched {
                        subject: Subject { zone: apex.clone(), target: target.name.clone(), family },
                        desired,
                        said: said.clone(),
                        site: target.site.clone().unwrap_or_default(),
                        is_canary: false,
                        need: target.probes_need,
                        assume_up: target.assume_up,
                        // Without an address nothing is probed, so nothing is overdue.
                        probes: if has_address(&family) { probes.clone() } else { Vec::new() },
                        needs: needs_of(&zone.routing, target),
                    });
                }
            }
        }
        watched.extend(self.canaries.iter().map(|canary| Watched {
            subject: canary.key.subject.clone(),
            desired: Desired::Auto,
            said: None,
            site: String::new(),
            is_canary: true,
            need: Need::All,
            assume_up: true,
            probes: vec![(canary.key.probe.clone(), canary.spec.pace)],
            needs: Vec::new(),
        }));
        watched
    }

    /// What is said of a target and by whom: an order goes before the file.
    pub(super) fn word_on(
        &self,
        apex: &Name,
        zone: &ZoneModel,
        target: &Target,
    ) -> (Desired, Option<String>) {
        let whole = target.part_of.and_then(|whole| zone.routing.targets.get(whole.0 as usize));
        let named = whole.unwrap_or(target);
        let (zone, now, site) = (apex.to_string(), self.looked, named.site.as_deref());
        let window = || self.server.maintenance.on(&zone, &named.name, site, now);
        if let Some(order) = self.orders.on(&zone, &named.name, site, now).or_else(window) {
            return (order.desired, Some(order.sentence()));
        }
        let file = || {
            let zones = self.status.zones();
            let source =
                zones.get(apex).map(|status| std::path::Path::new(&status.source).with_extension("toml"));
            source.map_or_else(String::new, |path| path.display().to_string())
        };
        let said = match target.desired {
            Desired::Auto => None,
            desired => Some(format!("{} in {}", order::word(desired), file())),
        };
        (target.desired, said)
    }

    /// Tells the prober what to probe.
    pub(super) fn probe(&self) {
        let mut jobs = self.canaries.clone();
        for (apex, zone) in &self.steered {
            let specs = self.specs.get(apex).map_or(&[][..], Vec::as_slice);
            for target in &zone.routing.targets {
                for family in Family::BOTH {
                    let Some(address) = target.address(family) else { continue };
                    let subject = Subject { zone: apex.clone(), target: target.name.clone(), family };
                    jobs.extend(specs.iter().filter(|spec| target.probes.contains(&spec.name)).map(|spec| {
                        Job {
                            key: ProbeKey { subject: subject.clone(), probe: spec.name.clone() },
                            address,
                            spec: spec.clone(),
                        }
                    }));
                }
            }
        }
        self.errand(Errand::Probe(jobs));
    }
}

/// A death, and a return from it.
fn turn(from: State, to: State) -> Option<Turn> {
    match (from, to) {
        (_, State::Down) => Some(Turn::Begins),
        (State::Down, _) => Some(Turn::Ends),
        _ => None,
    }
}

/// A canary is a subject of no zone: the root's name stands for it.
fn canary((address, spec): &(std::net::IpAddr, Spec)) -> Job {
    let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
    let subject = Subject { zone: Name::root(), target: format!("canary {}", spec.name), family };
    Job { key: ProbeKey { subject, probe: spec.name.clone() }, address: *address, spec: spec.clone() }
}

/// What a target needs, by the names under which that is watched.
fn needs_of(routing: &Routing, target: &Target) -> Vec<Vec<String>> {
    let name = |id: TargetId| routing.targets.get(id.0 as usize).map(|target| target.name.clone());
    let names =
        |ids: &Vec<TargetId>| ids.iter().flat_map(|id| routing.answering(*id)).filter_map(name).collect();
    target.needs.iter().map(|needed| names(&needed.any_of)).collect()
}

pub(super) fn target_id(zone: &ZoneModel, name: &str) -> Option<TargetId> {
    let place = zone.routing.targets.iter().position(|target| target.name == name)?;
    u32::try_from(place).ok().map(TargetId)
}

fn word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

fn find<'z>(zone: &'z ZoneModel, name: &str) -> Option<&'z Target> {
    zone.routing.targets.iter().find(|target| target.name == name)
}
