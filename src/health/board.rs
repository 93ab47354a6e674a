//! Every subject that is watched, with its machines: one place that knows what is alive.
//!
//! ```text
//! zone -> target -> family -> SubjectId      asked when routes are compiled
//! SubjectId -> entry { machines, state }     asked on each decision: an index, no hashing
//! ```
//!
//! A subject's state is the worst of its probes: DOWN, then SUSPECT, then UNKNOWN, then UP; unless
//! only some of them are needed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::doubt::{self, Canary, Doubt, Witness};
use super::memory::{SavedProbe, SavedSubject};
use super::needs::{Met, NeedNews};
use super::{
    Believed, Contact, Desired, Machine, Need, Outcome, Pace, ProbeKey, Refusal, Report, Saved, Seen,
    Standing, State, Subject, Tick, Transition,
};
use crate::route::model::Family;
use crate::wire::name::Name;

/// The owner of all machines.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// In the order of their subjects.
    pub(super) entries: Vec<Entry>,
    /// Invariant `index-whole`: every entry is found here, by borrowed parts of its subject.
    pub(super) index: HashMap<Name, HashMap<String, [Option<SubjectId>; 2]>>,
    /// Why verdicts are held, while they are.
    doubt: Option<Doubt>,
    /// Whether a person said that the failures are real; until there is no more reason to doubt.
    is_accepted: bool,
    /// Whose needs came to be met or no longer are, since this was asked last.
    pub(super) news: Vec<NeedNews>,
    /// When each site was heard last over the network.
    pub(super) heard: HashMap<String, Tick>,
    /// Who died since it was settled last, with nothing coming back, and after which moment an answer
    /// from elsewhere says that it is so.
    pub(super) fallen_silent: Vec<(SubjectId, Tick)>,
    /// When the first silent death is believed, if nobody is heard before.
    pub(super) next_belief: Option<Tick>,
    /// Silent deaths that are believed since this was asked last.
    pub(super) believed: Vec<Believed>,
    /// Whom to ask at once.
    pub(super) asked: Vec<ProbeKey>,
}

/// A short name for a subject. Good until the next [`Board::configure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectId(pub(super) u32);

/// A subject as the configuration wants it watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Who.
    pub subject: Subject,
    /// What the operator says, from the file or at runtime: whichever wins.
    pub desired: Desired,
    /// Who said so, in words: `drained by alice: kernel update`.
    pub said: Option<String>,
    /// What to take it for until its probes have answered.
    pub assume_up: bool,
    /// Its site; a target without one stands alone.
    pub site: String,
    /// Whether it is a canary: it stands outside of all sites and vouches for the network.
    pub is_canary: bool,
    /// How many of its probes must be well.
    pub need: Need,
    /// Its probes. None: always as assumed.
    pub probes: Vec<(String, Pace)>,
    /// What it needs: of each, one of these targets of its zone.
    pub needs: Vec<Vec<String>>,
}

/// What became of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The step that it caused, if it did.
    pub transition: Option<Transition>,
    /// Whether the probe's own verdict changed: that has to survive a restart, also where another
    /// probe hides it.
    pub is_verdict_new: bool,
    /// Whether a silent death is to be considered anew.
    pub is_heard: bool,
    /// Time until this probe should be sent again.
    pub next_after: Duration,
}

/// A subject for display.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// Who.
    pub subject: &'a Subject,
    /// What its probes say; routing sees another state while that is held.
    pub standing: Standing,
    /// Its site; a target without one stands alone.
    pub site: &'a str,
    /// How often it came to each state since the start, by [`State`].
    pub changes: [u64; State::ALL.len()],
    /// Whether its death is doubted: it is served as before.
    pub is_held: bool,
    /// Whether that is so until others were heard, since nothing came back from it.
    pub awaits: bool,
    /// Whether probes keep it out: its own, or those of what it needs.
    pub is_out: bool,
    /// Whether it is a canary.
    pub is_canary: bool,
    /// Who ordered what, in words, if anybody did.
    pub said: Option<&'a str>,
    /// Its probes.
    pub probes: Vec<ProbeRow<'a>>,
}

/// A probe for display.
#[derive(Clone, Debug)]
pub struct ProbeRow<'a> {
    /// Name of the probe.
    pub probe: &'a str,
    /// Its own verdict.
    pub state: State,
    /// Failures in a row.
    pub failures: u32,
    /// Successes in a row.
    pub successes: u32,
    /// Whether it is kept down because it flapped.
    pub damped: bool,
    /// The newest report since the start that says something of the target.
    pub last: Option<&'a Seen>,
    /// Set while the prober is turned away, so that nothing new is learnt.
    pub blocked: Option<&'a Refusal>,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) subject: Subject,
    desired: Desired,
    said: Option<String>,
    pub(super) site: String,
    pub(super) is_canary: bool,
    need: Need,
    /// When it left UP, until it is UP again.
    pub(super) left: Option<Tick>,
    /// While its silent death is held: after which moment somebody else has to be heard.
    pub(super) awaits: Option<Tick>,
    /// Whether something came back from it meanwhile.
    pub(super) is_reached: bool,
    /// When it was asked last because others were silent.
    pub(super) asked: Option<Tick>,
    assume_up: bool,
    pub(super) state: State,
    since: Tick,
    pub(super) recovered: Option<Tick>,
    /// How often it came to each state.
    changes: [u64; State::ALL.len()],
    pub(super) probes: Vec<Probe>,
    pub(super) needs: Vec<Vec<SubjectId>>,
    pub(super) met: Met,
}

#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) name: String,
    pub(super) machine: Machine,
    last: Option<Seen>,
    blocked: Option<Refusal>,
}

impl Board {
    /// Watches exactly these. What stays keeps its state, also with another address or check
    /// behind its name: results will tell. What is gone is forgotten, what is new is UNKNOWN; but
    /// a new probe of a subject that has a verdict takes that over, so that renaming a probe
    /// brings nothing dead back. [`reconsider`](Self::reconsider) settles what it means for others.
    pub fn configure(&mut self, mut watched: Vec<Watched>, now: Tick) -> Vec<Transition> {
        watched.sort_by(|a, b| a.subject.cmp(&b.subject));
        watched.dedup_by(|later, first| later.subject == first.subject);
        let mut before: HashMap<Subject, Entry> =
            self.entries.drain(..).map(|entry| (entry.subject.clone(), entry)).collect();
        self.index.clear();
        let named: Vec<Vec<Vec<String>>> = watched.iter().map(|wanted| wanted.needs.clone()).collect();
        let mut transitions = Vec::new();
        for (id, wanted) in (0..).zip(watched) {
            let Subject { zone, target, family } = &wanted.subject;
            let targets = self.index.entry(zone.clone()).or_default();
            targets.entry(target.clone()).or_default()[*family as usize] = Some(SubjectId(id));
            let mut entry = match before.remove(&wanted.subject) {
                Some(entry) => entry,
                None => Entry::new(wanted.subject.clone(), now),
            };
            transitions.extend(entry.configure(wanted, now));
            self.entries.push(entry);
        }
        self.look_up_needs(&named);
        self.fallen_silent.clear();
        let places: HashSet<&str> = self.entries.iter().map(Entry::place).collect();
        self.heard.retain(|place, _| places.contains(place.as_str()));
        transitions
    }

    /// Takes in a report. None: nobody watches that any more (the last report of a probe that
    /// was removed). [`reconsider`](Self::reconsider) settles what it means for others.
    pub fn observe(&mut self, key: &ProbeKey, report: &Report, now: Tick) -> Option<Observed> {
        let Subject { zone, target, family } = &key.subject;
        let id = self.id(zone, target, *family)?;
        let entry = self.entries.get_mut(id.0 as usize)?;
        let probe = entry.probes.iter_mut().find(|probe| probe.name == key.probe)?;
        if report.outcome == Outcome::Blocked {
            return Some(Observed {
                transition: None,
                is_verdict_new: false,
                is_heard: false,
                next_after: probe.refuse(&report.evidence, now),
            });
        }
        probe.blocked = None;
        let is_verdict_new = probe.machine.observe(report.outcome == Outcome::Healthy, now).is_some();
        probe.last = Some(Seen { at: now, report: report.clone() });
        let next_after = probe.machine.next_after();
        let transition = entry.settle(Some(&key.probe), &report.evidence, now);
        let has_died = transition.as_ref().is_some_and(|transition| transition.to == State::Down);
        let is_heard = self.hear(id, report, has_died, now);
        Some(Observed { transition, is_verdict_new, is_heard, next_after })
    }

    /// The clock was set back by so much: all that is remembered happened as long ago as before, so
    /// that no hold and no failback is stretched, and none that was over begins again.
    pub fn set_back(&mut self, by: Duration) {
        self.entries.iter_mut().for_each(|entry| entry.set_back(by));
        if let Some(doubt) = &mut self.doubt {
            doubt.from = doubt.from - by;
        }
        self.heard.values_mut().chain(&mut self.next_belief).for_each(|at| *at = *at - by);
    }

    /// An operator lets a recovered target have its clients back: `recovered` of both families
    /// is cleared. Says whether there was any to clear.
    pub fn release(&mut self, zone: &Name, target: &str) -> bool {
        let mut released = false;
        for family in Family::BOTH {
            if let Some(id) = self.id(zone, target, family) {
                released |= self.entries[id.0 as usize].recovered.take().is_some();
            }
        }
        released
    }

    /// The short name of a subject, if it is watched. Clones nothing.
    #[must_use]
    pub fn id(&self, zone: &Name, target: &str, family: Family) -> Option<SubjectId> {
        self.index.get(zone)?.get(target)?[family as usize]
    }

    /// How a subject stands. One that isn't watched may be served: health has nothing against it.
    #[must_use]
    pub fn standing(&self, subject: &Subject, now: Tick) -> Standing {
        match self.id(&subject.zone, &subject.target, subject.family) {
            Some(id) => self.standing_of(id, now),
            None => Standing::unprobed(Desired::Auto, true),
        }
    }

    /// How a subject stands, by its short name.
    #[must_use]
    pub fn standing_of(&self, id: SubjectId, now: Tick) -> Standing {
        match self.entries.get(id.0 as usize) {
            Some(entry) => self.held(entry, entry.standing(now)),
            None => Standing::unprobed(Desired::Auto, true),
        }
    }

    /// Subjects of which nothing new is learnt: their probers are silent, or are turned away.
    pub fn stale(&self, now: Tick) -> impl Iterator<Item = &Subject> {
        self.entries.iter().filter(move |entry| entry.is_stale(now)).map(|entry| &entry.subject)
    }

    /// Why verdicts are held, while they are.
    #[must_use]
    pub fn doubt(&self) -> Option<&Doubt> {
        self.doubt.as_ref()
    }

    /// Considers anew whether this server should doubt its probes, and then whether all have what they
    /// need: after each transition and each [`configure`](Self::configure). Says whether there is a doubt now and wasn't, or the other way round.
    pub fn reconsider(&mut self, now: Tick) -> bool {
        let judged = || self.entries.iter().filter(|entry| !entry.probes.is_empty());
        let window = self.window();
        let witnesses: Vec<Witness<'_>> = judged()
            .filter(|entry| !entry.is_canary && entry.desired == Desired::Auto)
            .map(|entry| Witness { site: entry.place(), is_up: entry.state == State::Up, left: entry.left })
            .collect();
        let canaries: Vec<Canary> = judged().filter(|entry| entry.is_canary).map(Entry::as_canary).collect();
        let since = self.doubt.as_ref().map(|doubt| doubt.from);
        let doubt = doubt::judge(&witnesses, &canaries, since, (now, window));
        self.is_accepted &= doubt.is_some();
        let doubt = if self.is_accepted { None } else { doubt };
        let is_changed = doubt.is_some() != self.doubt.is_some();
        if is_changed {
            self.doubt = doubt;
        }
        self.settle_silences(window, now);
        // Not before: whoever needs a target whose death is doubted at once never lacked it.
        self.settle_needs(now);
        is_changed
    }

    /// Within which departures are together: by then everybody has been probed.
    fn window(&self) -> Duration {
        let probes = self.entries.iter().flat_map(|entry| &entry.probes);
        let longest = probes.map(|probe| probe.machine.pace().interval).max();
        longest.unwrap_or_default() + Duration::from_secs(1)
    }

    /// A person says that the failures are real. Says whether they were doubted; if not, what was said
    /// before holds.
    pub fn accept(&mut self, now: Tick) -> bool {
        if self.doubt.take().is_none() {
            return false;
        }
        self.is_accepted = true;
        self.entries.iter_mut().for_each(|entry| (entry.left, entry.awaits) = (None, None));
        // Canaries that all fail are still a reason, which is answered. What comes later is another one.
        self.reconsider(now);
        true
    }

    fn is_held(&self, entry: &Entry) -> bool {
        let since = self.doubt.as_ref().map(|doubt| doubt.from);
        let is_doubted = since.is_some_and(|since| entry.left.is_some_and(|left| left >= since));
        entry.state == State::Down && (is_doubted || entry.awaits.is_some())
    }

    /// A death that is doubted is a suspicion: served, with the short TTL.
    pub(super) fn held(&self, entry: &Entry, standing: Standing) -> Standing {
        if self.is_held(entry) { Standing { state: State::Suspect, ..standing } } else { standing }
    }

    /// What an operator said of a subject, in words.
    #[must_use]
    pub fn said(&self, id: SubjectId) -> Option<&str> {
        self.entries.get(id.0 as usize)?.said.as_deref()
    }

    /// Probes of a subject that are being turned away, by name.
    pub fn refusals(&self, id: SubjectId) -> impl Iterator<Item = (&str, &Refusal)> {
        let probes = self.entries.get(id.0 as usize).into_iter().flat_map(|entry| &entry.probes);
        probes.filter_map(|probe| Some((probe.name.as_str(), probe.blocked.as_ref()?)))
    }

    /// Everything for display, in the order of the subjects.
    pub fn rows(&self, now: Tick) -> impl Iterator<Item = Row<'_>> {
        self.entries.iter().map(move |entry| Row {
            subject: &entry.subject,
            standing: entry.standing(now),
            site: &entry.site,
            changes: entry.changes,
            is_held: self.is_held(entry),
            awaits: entry.awaits.is_some(),
            is_out: entry.is_out_by_probes(),
            is_canary: entry.is_canary,
            said: entry.said.as_deref(),
            probes: entry.probes.iter().map(|probe| probe.row(now)).collect(),
        })
    }

    /// Every verdict, for a file.
    #[must_use]
    pub fn save(&self) -> Saved {
        Saved {
            subjects: self.entries.iter().map(Entry::save).collect(),
            doubt: self.doubt.clone(),
            is_accepted: self.is_accepted,
            ..Saved::default()
        }
    }

    /// Takes verdicts over from before a restart: after the first [`Board::configure`] and before
    /// the first decision, so that what was dead isn't in the first answer. Subjects that are no
    /// longer watched are passed over.
    pub fn restore(&mut self, saved: &Saved, now: Tick) {
        // A clock that was set back over the restart: the newest that is remembered was just now.
        let then = saved.latest().max(now);
        for saved in &saved.subjects {
            let Ok(zone) = Name::parse(&saved.zone, None) else { continue };
            if let Some(id) = self.id(&zone, &saved.target, saved.family) {
                let entry = &mut self.entries[id.0 as usize];
                entry.restore(saved, then);
                entry.set_back(then.since(now));
            }
        }
        // The clock may be another one now; what was doubted was doubted as long ago.
        let by = then.since(now);
        self.doubt = saved.doubt.clone().map(|doubt| Doubt { from: doubt.from - by, ..doubt });
        self.is_accepted = saved.is_accepted;
        let recovered: Vec<Option<Tick>> = self.entries.iter().map(|entry| entry.recovered).collect();
        self.settle_silences(self.window(), now);
        self.settle_needs(now);
        // Nothing came back by the restart.
        for (entry, recovered) in self.entries.iter_mut().zip(recovered) {
            entry.recovered = recovered.filter(|_| !entry.is_out_by_probes());
        }
        self.news.clear();
        self.believed.clear();
    }
}

impl Entry {
    fn new(subject: Subject, now: Tick) -> Entry {
        Entry {
            subject,
            desired: Desired::Auto,
            said: None,
            site: String::new(),
            is_canary: false,
            need: Need::All,
            left: None,
            awaits: None,
            is_reached: false,
            asked: None,
            assume_up: false,
            state: State::Unknown,
            since: now,
            recovered: None,
            changes: [0; State::ALL.len()],
            probes: Vec::new(),
            needs: Vec::new(),
            met: Met::default(),
        }
    }

    fn configure(&mut self, wanted: Watched, now: Tick) -> Option<Transition> {
        self.desired = wanted.desired;
        self.said = wanted.said;
        self.site = wanted.site;
        self.is_canary = wanted.is_canary;
        self.need = wanted.need;
        self.assume_up = wanted.assume_up;
        let mut before = std::mem::take(&mut self.probes);
        for (name, pace) in wanted.probes {
            if self.probes.iter().any(|probe| probe.name == name) {
                continue;
            }
            let probe = match before.iter().position(|probe| probe.name == name) {
                Some(at) => {
                    let mut probe = before.swap_remove(at);
                    probe.machine.set_pace(pace);
                    probe
                }
                None => {
                    let machine = Machine::inheriting(pace, self.state, self.since, now);
                    Probe { name, machine, last: None, blocked: None }
                }
            };
            self.probes.push(probe);
        }
        self.settle(None, "probes were changed", now)
    }

    /// Makes the state follow from the machines.
    fn settle(&mut self, probe: Option<&str>, evidence: &str, now: Tick) -> Option<Transition> {
        let (from, to) = (self.state, self.composed());
        if from == to {
            return None;
        }
        self.state = to;
        self.changes[to as usize] += 1;
        self.since = now;
        self.left = match (from, to) {
            (_, State::Up) => None,
            (State::Up, _) => Some(now),
            _ => self.left,
        };
        // While it is DOWN there is nothing to release; a later return must be released anew.
        self.recovered = match (from, to) {
            (_, State::Down) => None,
            (State::Down, _) if !self.met.lacks_by_probes => Some(now),
            _ => self.recovered,
        };
        Some(Transition {
            subject: self.subject.clone(),
            from,
            to,
            at: now,
            probe: probe.map(str::to_owned),
            evidence: evidence.to_owned(),
        })
    }

    /// What the probes say together. With a number of them needed, one that is UNKNOWN counts as
    /// neither: it is DOWN when too few are left that could be well.
    fn composed(&self) -> State {
        let Need::AtLeast(needed) = self.need else { return self.worst() };
        let count = |wanted: State| self.states().filter(|state| *state == wanted).count();
        let (up, served) = (count(State::Up), count(State::Up) + count(State::Suspect));
        let total = self.probes.len();
        let needed = needed.min(total);
        if total == 0 {
            State::Unknown
        } else if up >= needed {
            State::Up
        } else if served >= needed {
            State::Suspect
        } else if total - count(State::Down) < needed {
            State::Down
        } else {
            State::Unknown
        }
    }

    fn worst(&self) -> State {
        self.states().max_by_key(|state| badness(*state)).unwrap_or(State::Unknown)
    }

    fn states(&self) -> impl Iterator<Item = State> {
        self.probes.iter().map(|probe| match probe.machine.state() {
            // Served on an assumption that is being refuted: caches should let go of it soon.
            State::Unknown if self.assume_up && probe.machine.failures() > 0 => State::Suspect,
            state => state,
        })
    }

    /// Whether probes keep it from being served: its own, or those of what it needs.
    pub(super) fn is_out_by_probes(&self) -> bool {
        self.state == State::Down || self.met.lacks_by_probes
    }

    pub(super) fn standing(&self, now: Tick) -> Standing {
        Standing {
            state: self.state,
            desired: self.desired,
            assume_up: self.assume_up,
            stale: self.is_stale(now),
            since: self.since,
            recovered: self.recovered,
            lacks: self.met.lacks,
            is_shaky: self.met.is_shaky,
        }
    }

    fn set_back(&mut self, by: Duration) {
        self.since = self.since - by;
        self.recovered = self.recovered.map(|at| at - by);
        self.left = self.left.map(|at| at - by);
        self.awaits = self.awaits.map(|at| at - by);
        self.asked = self.asked.map(|at| at - by);
        for probe in &mut self.probes {
            probe.machine.set_back(by);
            if let Some(seen) = &mut probe.last {
                seen.at = seen.at - by;
            }
            if let Some(refusal) = &mut probe.blocked {
                refusal.since = refusal.since - by;
            }
        }
    }

    /// The verdict rests on every probe, so one that is silent makes it stale.
    fn is_stale(&self, now: Tick) -> bool {
        self.probes.iter().any(|probe| probe.machine.is_overdue(now))
    }

    fn as_canary(&self) -> Canary {
        let heard = self.probes.iter().filter_map(|probe| Some(probe.last.as_ref()?.at)).min();
        Canary { fails: matches!(self.state, State::Down | State::Suspect), heard }
    }

    fn save(&self) -> SavedSubject {
        SavedSubject {
            zone: self.subject.zone.to_string(),
            target: self.subject.target.clone(),
            family: self.subject.family,
            state: self.state,
            since: self.since,
            recovered: self.recovered,
            left: self.left,
            awaits: self.awaits,
            probes: self
                .probes
                .iter()
                .map(|probe| SavedProbe { probe: probe.name.clone(), memory: probe.machine.memory() })
                .collect(),
        }
    }

    fn restore(&mut self, saved: &SavedSubject, now: Tick) {
        for probe in &mut self.probes {
            let pace = probe.machine.pace();
            probe.machine = match saved.probes.iter().find(|saved| saved.probe == probe.name) {
                Some(saved) => Machine::remembering(pace, &saved.memory, now),
                None => Machine::inheriting(pace, saved.state, saved.since, now),
            };
        }
        self.recovered = saved.recovered;
        self.left = saved.left;
        self.awaits = saved.awaits;
        let worst = self.composed();
        self.since = if worst == saved.state { saved.since } else { now };
        if saved.state == State::Down && worst != State::Down {
            self.recovered = Some(now);
        }
        self.state = worst;
    }
}

impl Probe {
    /// Notes that the prober was turned away. The machine isn't told, so a burst that confirms a
    /// failure goes on, until the verdict is stale: then haste has no more to win.
    fn refuse(&mut self, evidence: &str, now: Tick) -> Duration {
        let since = self.blocked.as_ref().map_or(now, |refusal| refusal.since.min(now));
        self.blocked = Some(Refusal { since, evidence: evidence.to_owned() });
        if self.machine.is_overdue(now) { self.machine.pace().interval } else { self.machine.next_after() }
    }

    /// What its last result said of the network.
    pub(super) fn contact(&self) -> Option<Contact> {
        self.last.as_ref().map(|seen| seen.report.contact)
    }

    /// Whether it asks over the network, as far as is known.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self.contact(), Some(Contact::Answered | Contact::Silent))
    }

    fn row(&self, now: Tick) -> ProbeRow<'_> {
        ProbeRow {
            probe: &self.name,
            state: self.machine.state(),
            failures: self.machine.failures(),
            successes: self.machine.successes(),
            damped: self.machine.is_damped(now),
            last: self.last.as_ref(),
            blocked: self.blocked.as_ref(),
        }
    }
}

fn badness(state: State) -> u8 {
    match state {
        State::Up => 0,
        State::Unknown => 1,
        State::Suspect => 2,
        State::Down => 3,
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
