//! Probes that ask nobody: what was told of their target last, and whether that still holds.
//!
//! Silence is never health: who was to be heard from and isn't has failed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Job;
use super::evidence::printable;
use super::spec::{Check, Push};
use crate::health::tick::short;
use crate::health::{Contact, Outcome, ProbeKey, Pushed, Report};

/// What was told, for all jobs. It reads no clock: time comes in, so that simulations own it.
#[derive(Debug, Default)]
pub(crate) struct Verdicts(Mutex<HashMap<ProbeKey, Heard>>);

#[derive(Clone, Debug)]
struct Heard {
    /// Since when its probe is there.
    since: Instant,
    /// The alerts that it is about. What others said says nothing.
    alert: Vec<(String, String)>,
    last: Option<Last>,
}

/// The last word.
#[derive(Clone, Debug)]
struct Last {
    pushed: Pushed,
    /// When it came here, by a clock that nobody sets, and how old it was.
    at: Instant,
    age: Duration,
    /// Whether it comes from before a restart.
    is_remembered: bool,
}

impl Verdicts {
    /// Keeps what was told of these jobs, and nothing else.
    pub(crate) fn keep_only(&self, jobs: &[Job], now: Instant) {
        let mut known = self.known();
        let mut before = std::mem::take(&mut *known);
        for job in jobs {
            let Check::Push(push) = &job.spec.check else { continue };
            let heard = before.remove(&job.key).filter(|heard| heard.alert == push.alert);
            let new = || Heard { since: now, alert: push.alert.clone(), last: None };
            known.insert(job.key.clone(), heard.unwrap_or_else(new));
        }
    }

    /// A word on one of them. Says whether there is such a job.
    pub(crate) fn tell(&self, key: &ProbeKey, pushed: Pushed, now: Instant) -> bool {
        let last = Last { pushed, at: now, age: Duration::ZERO, is_remembered: false };
        self.known().get_mut(key).map(|heard| heard.last = Some(last)).is_some()
    }

    /// A word on one of them from before a restart, of some age. Says whether it is news.
    pub(crate) fn remind(&self, key: &ProbeKey, pushed: Pushed, age: Duration, now: Instant) -> bool {
        let mut known = self.known();
        let Some(heard) = known.get_mut(key).filter(|heard| heard.last.is_none()) else { return false };
        heard.last = Some(Last { pushed, at: now, age, is_remembered: true });
        true
    }

    /// What the job sees now.
    pub(crate) fn report(&self, key: &ProbeKey, push: &Push, now: Instant) -> Report {
        let known = self.known();
        let heard = known.get(key);
        let waited = heard.map_or(Duration::ZERO, |heard| now.saturating_duration_since(heard.since));
        let last = heard.and_then(|heard| heard.last.as_ref());
        let last = last.map(|last| (last, last.age + now.saturating_duration_since(last.at)));
        // What ran out while nobody was here to hear more is no silence yet.
        let last = last.filter(|(last, age)| !last.is_remembered || !has_run_out(push, &last.pushed, *age));
        let (outcome, evidence) = judge(push, last.map(|(last, age)| (&last.pushed, age)), waited);
        Report {
            outcome,
            contact: Contact::Local,
            latency: Duration::ZERO,
            evidence: printable(&evidence),
            figures: Vec::new(),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<ProbeKey, Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_run_out(push: &Push, pushed: &Pushed, age: Duration) -> bool {
    pushed.ttl.or(push.ttl).is_some_and(|ttl| age > ttl)
}

/// What a last word of some age comes to, for a probe that has waited for so long. Before the first
/// one nothing is known, so no state moves; but not for longer than a word would hold.
fn judge(push: &Push, last: Option<(&Pushed, Duration)>, waited: Duration) -> (Outcome, String) {
    let is_by_alerts = !push.alert.is_empty();
    match last {
        Some((pushed, age)) if has_run_out(push, pushed, age) => {
            (Outcome::Failed, format!("nothing was told for {}", short(age)))
        }
        Some((pushed, _)) if pushed.is_up => (Outcome::Healthy, pushed.evidence.clone()),
        Some((pushed, _)) => (Outcome::Failed, pushed.evidence.clone()),
        None => match push.ttl {
            None if is_by_alerts => (Outcome::Healthy, "no alert fires".to_owned()),
            Some(ttl) if waited <= ttl => (Outcome::Blocked, "nothing was told yet".to_owned()),
            _ => (Outcome::Failed, format!("nothing was told for {}", short(waited))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Pace, Subject, Tick};
    use crate::probe::Spec;
    use crate::route::Family;
    use crate::wire::name::Name;

    #[test]
    fn silence_is_never_health() {
        let seconds = Duration::from_secs;
        let push = Push { ttl: Some(seconds(30)), alert: Vec::new() };
        let up = Pushed { evidence: "all is well".to_owned(), ..Pushed::quiet(Tick(0)) };
        let outcome = |last, waited| judge(&push, last, seconds(waited)).0;
        assert_eq!(outcome(Some((&up, seconds(30))), 100), Outcome::Healthy);
        assert_eq!(outcome(Some((&up, seconds(31))), 100), Outcome::Failed);
        assert_eq!(outcome(None, 30), Outcome::Blocked);
        assert_eq!(outcome(None, 31), Outcome::Failed);
        let brief = Pushed { ttl: Some(seconds(5)), ..up.clone() };
        assert_eq!(outcome(Some((&brief, seconds(6))), 100), Outcome::Failed, "its own time goes before");
        let down = Pushed { is_up: false, ..up.clone() };
        assert_eq!(outcome(Some((&down, seconds(1))), 100), Outcome::Failed);

        let alerts = Push { ttl: None, alert: vec![("alertname".to_owned(), "QueueDrowning".to_owned())] };
        assert_eq!(
            judge(&alerts, None, seconds(9999)).0,
            Outcome::Healthy,
            "alerts are silent when all is well"
        );
        assert_eq!(judge(&alerts, Some((&down, seconds(9999))), seconds(9999)).0, Outcome::Failed);
        let watched = Push { ttl: Some(seconds(60)), ..alerts };
        assert_eq!(
            judge(&watched, None, seconds(61)).0,
            Outcome::Failed,
            "and those that are to be heard aren't"
        );
    }

    #[test]
    fn what_ran_out_while_nobody_listened_is_no_silence_yet() {
        let seconds = Duration::from_secs;
        let subject = Subject { zone: Name::root(), target: "mx-tw".to_owned(), family: Family::V4 };
        let key = ProbeKey { subject, probe: "told".to_owned() };
        let push = Push { ttl: Some(seconds(30)), alert: Vec::new() };
        let pace = Pace::default();
        let spec = Spec { name: "told".to_owned(), check: Check::Push(push.clone()), pace, tripwire: None };
        let jobs = [Job { key: key.clone(), address: [192, 0, 2, 1].into(), spec }];
        let start = Instant::now();
        let up = Pushed::quiet(Tick(0));
        let seen = |age, words: &[Pushed], later| {
            let verdicts = Verdicts::default();
            verdicts.keep_only(&jobs, start);
            assert!(verdicts.remind(&key, up.clone(), seconds(age), start));
            for word in words {
                assert!(verdicts.tell(&key, word.clone(), start));
                assert!(!verdicts.remind(&key, up.clone(), seconds(age), start), "it is older");
            }
            verdicts.report(&key, &push, start + seconds(later)).outcome
        };
        assert_eq!(seen(20, &[], 10), Outcome::Healthy, "its age goes on counting");
        assert_eq!(seen(20, &[], 11), Outcome::Blocked, "whoever tells has had no chance to");
        assert_eq!(seen(900, &[], 30), Outcome::Blocked);
        assert_eq!(seen(900, &[], 31), Outcome::Failed);
        assert_eq!(seen(900, std::slice::from_ref(&up), 30), Outcome::Healthy);
        assert_eq!(seen(900, std::slice::from_ref(&up), 31), Outcome::Failed);
    }
}
