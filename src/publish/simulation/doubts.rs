//! When a server may doubt what its probes say, and when it must: reckoned from states, sites and
//! canaries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::orders::Sayings;
use crate::health::{Board, Desired, Row, State, Subject, Tick};

/// Fewer addresses say nothing of the network.
const LEAST: usize = 3;

#[derive(Default)]
pub(super) struct Doubts {
    up: BTreeSet<Subject>,
    /// When who isn't UP left it.
    left: BTreeMap<Subject, Tick>,
    /// When each canary said something last, since the start.
    heard: BTreeMap<Subject, Tick>,
    /// Whether a person said that the failures are real.
    is_accepted: bool,
    /// The clock was set back while no server was there to see by how much: until all are UP again.
    is_unsure: bool,
    /// When the server judged last, since its start: until then it goes on as before.
    judged: Option<Tick>,
}

impl Doubts {
    /// States may have changed just now.
    pub(super) fn follow(&mut self, board: &Board, now: Tick) {
        let mut up = BTreeSet::new();
        let mut left = BTreeMap::new();
        let mut canaries = Vec::new();
        for row in board.rows(now) {
            let subject = row.subject;
            if row.is_canary {
                canaries.push(fails(row.standing.state));
            }
            if row.standing.state == State::Up {
                up.insert(subject.clone());
            } else if self.up.contains(subject) {
                left.insert(subject.clone(), now);
            } else if let Some(at) = self.left.get(subject) {
                left.insert(subject.clone(), *at);
            }
        }
        if self.is_unsure && left.is_empty() && board.doubt().is_none() {
            // Canaries that all fail are a reason; without a doubt it is one that was accepted.
            let has_reason = !canaries.is_empty() && canaries.iter().all(|fails| *fails);
            (self.is_unsure, self.is_accepted) = (false, has_reason);
        }
        (self.up, self.left) = (up, left);
    }

    /// A state changed, or a canary was heard: the server judges anew.
    pub(super) fn judged(&mut self, now: Tick) {
        self.judged = Some(now);
    }

    pub(super) fn heard(&mut self, canary: &Subject, now: Tick) {
        self.heard.insert(canary.clone(), now);
    }

    pub(super) fn restart(&mut self) {
        self.heard.clear();
        self.judged = None;
    }

    pub(super) fn set_back_unseen(&mut self) {
        self.is_unsure = true;
    }

    pub(super) fn set_back(&mut self, by: Duration) {
        let times = self.left.values_mut().chain(self.heard.values_mut()).chain(&mut self.judged);
        times.for_each(|at| *at = *at - by);
    }

    /// When a subject left UP, until it is UP again.
    pub(super) fn left(&self, subject: &Subject) -> Option<Tick> {
        self.left.get(subject).copied()
    }

    pub(super) fn is_unsure(&self) -> bool {
        self.is_unsure
    }

    /// A person says that the failures are real.
    pub(super) fn accept(&mut self) {
        self.left.clear();
        self.is_accepted = true;
    }

    /// Whether the server doubts with a reason, and only then; and holds what died meanwhile.
    /// Departures within `together` are.
    pub(super) fn check(
        &mut self,
        board: &Board,
        said: Sayings<'_>,
        together: Duration,
        now: Tick,
    ) -> Result<(), String> {
        let Some(judged) = self.judged.filter(|_| !self.is_unsure) else { return Ok(()) };
        let rows: Vec<Row<'_>> = board.rows(now).collect();
        let probed = || rows.iter().filter(|row| !row.probes.is_empty());
        let Some(doubt) = board.doubt() else {
            let has_reason = self.has_reason(probed(), said, now - together, now);
            self.is_accepted &= has_reason;
            // That an older departure isn't among those together any more is no news to judge by.
            let had_reason = || self.has_reason(probed(), said, judged - together, now);
            if has_reason && !self.is_accepted && had_reason() {
                return Err("nothing is doubted, although most left at once".to_owned());
            }
            return rows.iter().find(|row| row.is_held && !row.awaits).map_or(Ok(()), |row| {
                Err(format!("{} is held, and nothing is doubted", row.subject.target))
            });
        };
        if self.is_accepted {
            return Err(format!("doubted although a person said that it is real: {}", doubt.why));
        }
        if !self.has_reason(probed(), said, doubt.from, now) {
            return Err(format!("doubted without a reason: {}", doubt.why));
        }
        for row in &rows {
            let has_left = self.left.get(row.subject).is_some_and(|left| *left >= doubt.from);
            if row.is_held != (row.standing.state == State::Down && (has_left || row.awaits)) {
                return Err(format!("{} is held: {}", row.subject.target, row.is_held));
            }
        }
        Ok(())
    }

    fn has_reason<'r>(
        &self,
        probed: impl Iterator<Item = &'r Row<'r>>,
        said: Sayings<'_>,
        from: Tick,
        now: Tick,
    ) -> bool {
        let (mut canaries, mut failing) = (Vec::new(), 0);
        let mut sites: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        let mut first = None;
        for row in probed {
            let Row { subject, standing, .. } = row;
            if row.is_canary {
                canaries.push(subject);
                failing += usize::from(fails(standing.state));
                continue;
            }
            if said.on(&subject.zone, &subject.target, now) != Desired::Auto {
                continue;
            }
            let left = self.left.get(subject).filter(|left| **left >= from);
            if standing.state != State::Up && left.is_none() {
                continue;
            }
            let site = if row.site.is_empty() { subject.target.as_str() } else { row.site };
            let (alive, gone) = sites.entry(site).or_default();
            *alive += 1;
            *gone += usize::from(left.is_some());
            first = [first, left].into_iter().flatten().min();
        }
        if !canaries.is_empty() && failing == canaries.len() {
            return true;
        }
        let (alive, gone) = sites.values().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        let is_most = alive >= LEAST && gone * 2 > alive;
        let emptied = sites.values().filter(|(alive, gone)| gone * 2 > *alive).count();
        // Who answered after the first departure says that the network is well.
        let is_vouched = !canaries.is_empty()
            && failing == 0
            && canaries.iter().all(|canary| self.heard.get(canary) > first);
        is_most && emptied >= 2 && !is_vouched
    }
}

/// Whether a canary's last result was a failure.
fn fails(state: State) -> bool {
    matches!(state, State::Down | State::Suspect)
}
