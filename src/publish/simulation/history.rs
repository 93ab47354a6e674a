//! What health may say, reckoned from results alone: how many make a verdict, how long it holds,
//! how flapping is damped, and who waits to be released.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::health::{Board, Outcome, Pace, ProbeKey, Row, State, Subject, Tick};
use crate::route::addresses::is_meant;
use crate::wire::name::Name;

#[derive(Default)]
pub(super) struct History {
    probes: BTreeMap<ProbeKey, Verdict>,
    subjects: BTreeMap<Subject, State>,
    /// Who is kept out by probes, its own or those of what it needs.
    out: BTreeSet<Subject>,
    /// Who came back from DOWN and has not been released.
    pub(super) waiting: BTreeSet<Subject>,
}

/// One probe's verdict. Times are of the clock that nobody sets.
#[derive(Clone, Copy)]
struct Verdict {
    state: State,
    /// When it died; none if that isn't known, or the clock was set forward meanwhile.
    died: Option<Duration>,
    /// Points of RFC 2439, as of `counted`.
    penalty: f64,
    counted: Duration,
    /// Until when damping holds it.
    held_until: Duration,
    failures: u32,
    failures_since_start: u32,
    successes: u32,
    /// Whether the last result said nothing of the target.
    is_blocked: bool,
    /// The last deaths, while the clock wasn't set forward.
    deaths: [Option<Duration>; MOST_DEATHS],
}

/// Deaths that damping lets through within [`DEATHS_WITHIN`]: each adds 1,000 points, of which half
/// are left after two minutes, so with the fifth there are more than 3,000, and then it is held for two
/// minutes.
const MOST_DEATHS: usize = 5;
const DEATHS_WITHIN: Duration = Duration::from_secs(118);

impl History {
    /// A result comes in.
    pub(super) fn report(&mut self, key: &ProbeKey, outcome: Outcome) {
        let Some(verdict) = self.probes.get_mut(key) else { return };
        verdict.is_blocked = outcome == Outcome::Blocked;
        if verdict.is_blocked {
            return;
        }
        if outcome == Outcome::Healthy {
            (verdict.failures, verdict.failures_since_start) = (0, 0);
            verdict.successes += 1;
        } else {
            verdict.successes = 0;
            verdict.failures += 1;
            verdict.failures_since_start += 1;
        }
    }

    /// The last state of a subject.
    pub(super) fn state(&self, subject: &Subject) -> Option<State> {
        self.subjects.get(subject).copied()
    }

    /// Successes from before don't count, and nobody comes back by it: who needs others may be out by an
    /// order now, and not by probes any more.
    pub(super) fn restart(&mut self) {
        self.out.clear();
        for verdict in self.probes.values_mut() {
            (verdict.successes, verdict.failures_since_start) = (0, 0);
            verdict.is_blocked = false;
        }
    }

    /// Holds may end sooner by a clock that was set forward; by one that was set back never.
    pub(super) fn clock_set_forward(&mut self) {
        for verdict in self.probes.values_mut() {
            verdict.died = None;
            verdict.penalty = 0.0;
            verdict.deaths = [None; MOST_DEATHS];
            verdict.held_until = Duration::ZERO;
        }
    }

    pub(super) fn release(&mut self, zone: &Name, target: &str) {
        self.waiting.retain(|subject| subject.zone != *zone || !is_meant(&subject.target, target));
    }

    /// Looks at the whole board after an event that was no result: verdicts stay as they were.
    pub(super) fn look(&mut self, board: &Board, now: Tick, at: Duration) -> Result<(), String> {
        let known: BTreeSet<ProbeKey> =
            board.rows(now).flat_map(|row| keys(&row).collect::<Vec<_>>()).collect();
        self.probes.retain(|key, _| known.contains(key));
        let subjects: BTreeSet<&Subject> = known.iter().map(|key| &key.subject).collect();
        let is_watched = |subject: &Subject| {
            subjects.contains(subject) || board.rows(now).any(|row| row.subject == subject)
        };
        self.subjects.retain(|subject, _| is_watched(subject));
        self.waiting.retain(|subject| self.subjects.contains_key(subject));
        self.out.retain(|subject| self.subjects.contains_key(subject));
        board.rows(now).try_for_each(|row| self.look_at(&row, None, at))
    }

    /// Looks at one subject after a result of one of its probes.
    pub(super) fn look_at(
        &mut self,
        row: &Row<'_>,
        reported: Option<(&ProbeKey, Pace)>,
        at: Duration,
    ) -> Result<(), String> {
        let subject = row.subject;
        for (key, probe) in keys(row).zip(&row.probes) {
            let pace = reported.filter(|(reported, _)| **reported == key).map(|(_, pace)| pace);
            let verdict = match self.probes.get(&key) {
                Some(verdict) => verdict.followed(probe.state, pace, at).map_err(|error| {
                    format!("{} {:?} {}: {error}", subject.target, subject.family, key.probe)
                })?,
                None => Verdict::new(probe.state),
            };
            if pace.is_some() && probe.blocked.is_some() != verdict.is_blocked {
                let (target, blocked) = (&subject.target, probe.blocked);
                return Err(format!("{target} {}: blocked is told as {blocked:?}", key.probe));
            }
            self.probes.insert(key, verdict);
        }
        let state = row.standing.state;
        self.subjects.insert(subject.clone(), state);
        if state == State::Down && !row.is_out {
            return Err(format!("{} is DOWN, and not out", subject.target));
        }
        if row.is_out {
            self.waiting.remove(subject);
            self.out.insert(subject.clone());
        } else if self.out.remove(subject) {
            self.waiting.insert(subject.clone());
        }
        if self.waiting.contains(subject) != row.standing.recovered.is_some() {
            let recovered = row.standing.recovered;
            return Err(format!("{} {state} waits to be released: {recovered:?}", subject.target));
        }
        Ok(())
    }
}

fn keys<'r>(row: &'r Row<'_>) -> impl Iterator<Item = ProbeKey> + use<'r> {
    row.probes.iter().map(|probe| ProbeKey { subject: row.subject.clone(), probe: probe.probe.to_owned() })
}

impl Verdict {
    fn new(state: State) -> Verdict {
        Verdict {
            state,
            died: None,
            penalty: 0.0,
            counted: Duration::ZERO,
            held_until: Duration::ZERO,
            failures: 0,
            failures_since_start: 0,
            successes: 0,
            is_blocked: false,
            deaths: [None; MOST_DEATHS],
        }
    }

    /// The verdict after a step to `state`. With a pace, a result made it.
    fn followed(&self, state: State, pace: Option<Pace>, at: Duration) -> Result<Verdict, String> {
        let mut after = Verdict { state, ..*self };
        let Some(pace) = pace else {
            return if state == self.state {
                Ok(after)
            } else {
                Err(format!("{} -> {state} without a result", self.state))
            };
        };
        if self.is_blocked {
            let turned = || format!("{} -> {state} by a probe that was turned away", self.state);
            return if state == self.state { Ok(after) } else { Err(turned()) };
        }
        if self.failures_since_start >= pace.fall && state != State::Down {
            return Err(format!("{state} after {} failures, {} make it DOWN", self.failures, pace.fall));
        }
        if self.successes > 0 && self.state != State::Down && state != State::Up {
            return Err(format!("{state} after a success"));
        }
        match (self.state, state) {
            (State::Down, State::Down) => {}
            (_, State::Down) => {
                if self.failures < pace.fall {
                    return Err(format!("DOWN after {} failures, {} make it so", self.failures, pace.fall));
                }
                let half_lives = (at - self.counted).as_secs_f64() / 120.0;
                after.penalty = (self.penalty * (-half_lives).exp2() + 1000.0).min(4000.0);
                after.counted = at;
                after.died = Some(at);
                if self.deaths[0].is_some_and(|first| at - first < DEATHS_WITHIN) {
                    return Err(format!("it died {} times since {:?}", MOST_DEATHS + 1, self.deaths[0]));
                }
                after.deaths.rotate_left(1);
                after.deaths[MOST_DEATHS - 1] = Some(at);
                // The server's points are whole numbers; that is worth less than a second.
                if after.penalty > 3010.0 {
                    let half_lives = (after.penalty / 1500.0).log2();
                    after.held_until = at + Duration::from_secs_f64(120.0 * half_lives - 2.0);
                }
            }
            (State::Down, _) => {
                if self.successes < pace.rise {
                    return Err(format!(
                        "{state} after {} successes, {} are needed",
                        self.successes, pace.rise
                    ));
                }
                if self.died.is_some_and(|died| at < died + pace.hold) {
                    return Err(format!("{state} within the hold of {:?}", pace.hold));
                }
                if at < self.held_until {
                    return Err(format!("{state} although damped for {:?} more", self.held_until - at));
                }
            }
            _ => {}
        }
        Ok(after)
    }
}
