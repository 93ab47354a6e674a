//! Probes that ask nobody: what was told of their target last, and whether that still holds.
//!
//! Silence is never health: who was to be heard from and isn't has failed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::evidence::printable;
use super::spec::{Check, Push};
use super::{Job, prober};
use crate::health::tick::short;
use crate::health::{Outcome, ProbeKey, Pushed, Report};

/// What was told, for all jobs.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Mutex<HashMap<ProbeKey, Heard>>);

#[derive(Clone, Debug)]
struct Heard {
    /// Since when its probe is there.
    since: Instant,
    /// The last word, and when it was told, by a clock that nobody sets.
    pushed: Option<(Pushed, Instant)>,
}

impl Verdicts {
    /// Keeps what was told of these jobs, and nothing else.
    pub(super) fn keep_only(&self, jobs: &[Job]) {
        let mut known = self.known();
        let mut before = std::mem::take(&mut *known);
        let pushed = jobs.iter().filter(|job| matches!(job.spec.check, Check::Push(_)));
        for job in pushed {
            let heard = before.remove(&job.key);
            let new = || Heard { since: Instant::now(), pushed: None };
            known.insert(job.key.clone(), heard.unwrap_or_else(new));
        }
    }

    /// A word on one of them. Says whether there is such a job.
    pub(super) fn tell(&self, key: &ProbeKey, pushed: Pushed) -> bool {
        let age = prober::now().since(pushed.at);
        let at = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
        self.known().get_mut(key).map(|heard| heard.pushed = Some((pushed, at))).is_some()
    }

    /// What the job sees now.
    pub(super) fn report(&self, key: &ProbeKey, push: &Push) -> Report {
        let now = Instant::now();
        let known = self.known();
        let heard = known.get(key);
        let waited = heard.map_or(Duration::ZERO, |heard| now - heard.since);
        let last = heard.and_then(|heard| heard.pushed.as_ref());
        let last = last.map(|(pushed, at)| (pushed, now.saturating_duration_since(*at)));
        let (outcome, evidence) = judge(push, last, waited);
        Report { outcome, latency: Duration::ZERO, evidence: printable(&evidence), figures: Vec::new() }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<ProbeKey, Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a last word of some age comes to, for a probe that has waited for so long. Before the first
/// one nothing is known, so no state moves; but not for longer than a word would hold.
pub(crate) fn judge(push: &Push, last: Option<(&Pushed, Duration)>, waited: Duration) -> (Outcome, String) {
    let is_by_alerts = !push.alert.is_empty();
    match last {
        Some((pushed, age)) => match pushed.ttl.or(push.ttl) {
            Some(ttl) if age > ttl => (Outcome::Failed, format!("nothing was told for {}", short(age))),
            _ if pushed.is_up => (Outcome::Healthy, pushed.evidence.clone()),
            _ => (Outcome::Failed, pushed.evidence.clone()),
        },
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
    use crate::health::Tick;

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
}
