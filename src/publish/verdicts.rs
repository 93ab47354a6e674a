//! Verdicts that others tell: checked, handed to the probes that wait for them, and kept.

use std::collections::BTreeMap;
use std::time::Duration;

use super::hand::{Refused, Whom};
use super::writer::{Errand, Writer};
use crate::health::pushed::SavedPush;
use crate::health::{ProbeKey, Pushed, Subject, Tick};
use crate::limits::VERDICTS_KEPT_EVERY;
use crate::probe::{Check, Push, Spec};
use crate::route::Target;
use crate::wire::name::Name;

/// What somebody tells of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Of whom.
    pub whom: Whom,
    /// The probe that waits for it; none: all that do.
    pub probe: Option<String>,
    /// Whether it is well.
    pub is_up: bool,
    /// In their words.
    pub evidence: String,
    /// How long it holds; none: as long as the probe says.
    pub ttl: Option<Duration>,
}

/// An alert as Alertmanager tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Whether it fires; otherwise it has been resolved.
    pub fires: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What tells it from others.
    pub fingerprint: String,
    /// In words.
    pub words: String,
}

/// Last words, and when they were kept.
#[derive(Debug, Default)]
pub(super) struct Told {
    words: BTreeMap<ProbeKey, Pushed>,
    kept: Tick,
}

impl Told {
    /// What was told before a restart.
    pub(super) fn restored(saved: &[SavedPush]) -> Told {
        let word = |saved: &SavedPush| {
            let zone = Name::parse(&saved.zone, None).ok()?;
            let subject = Subject { zone, target: saved.target.clone(), family: saved.family };
            Some((ProbeKey { subject, probe: saved.probe.clone() }, saved.pushed.clone()))
        };
        Told { words: saved.iter().filter_map(word).collect(), kept: Tick(0) }
    }

    /// For a file.
    pub(super) fn save(&self) -> Vec<SavedPush> {
        let saved = |(key, pushed): (&ProbeKey, &Pushed)| SavedPush {
            zone: key.subject.zone.to_string(),
            target: key.subject.target.clone(),
            family: key.subject.family,
            probe: key.probe.clone(),
            pushed: pushed.clone(),
        };
        self.words.iter().map(saved).collect()
    }

    /// Probes of a zone are others now. What was told of one by other alerts says nothing any more, and
    /// nobody would resolve it.
    pub(super) fn follow(&mut self, zone: &Name, before: &[Spec], now: &[Spec]) {
        let alert = |specs: &[Spec], probe: &str| {
            let spec = specs.iter().find(|spec| spec.name == probe)?;
            if let Check::Push(push) = &spec.check { Some(push.alert.clone()) } else { None }
        };
        self.words.retain(|key, _| {
            key.subject.zone != *zone || alert(before, &key.probe) == alert(now, &key.probe)
        });
    }

    /// The clock was set back by so much.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.words.values_mut().for_each(|pushed| pushed.at = pushed.at - by);
        self.kept = self.kept - by;
    }
}

/// A probe that waits for words, and whose it is.
struct Waiting<'w> {
    key: ProbeKey,
    push: &'w Push,
    target: &'w Target,
}

impl Writer {
    /// Hands a verdict to the probes of a target that wait for one. How many there are.
    pub(super) fn take_verdict(&mut self, verdict: &Verdict, now: Tick) -> Result<usize, Refused> {
        let meant = self.meant(&verdict.whom)?;
        let is_meant = |subject: &Subject| {
            meant
                .zones
                .iter()
                .any(|(apex, targets)| *apex == subject.zone && targets.contains(&subject.target))
        };
        let is_asked = |waiting: &Waiting<'_>| match &verdict.probe {
            Some(probe) => waiting.key.probe == *probe,
            None => waiting.push.alert.is_empty(),
        };
        let waiting = self.waiting_for_words();
        let keys: Vec<ProbeKey> = waiting
            .into_iter()
            .filter(|waiting| is_meant(&waiting.key.subject) && is_asked(waiting))
            .map(|waiting| waiting.key)
            .collect();
        if keys.is_empty() {
            let probe = verdict.probe.as_ref().map_or_else(String::new, |probe| format!(" \"{probe}\""));
            let text = format!("{} has no probe{probe} of type push", verdict.whom.0);
            return Err(Refused::Nothing(text));
        }
        let pushed = Pushed {
            is_up: verdict.is_up,
            evidence: verdict.evidence.clone(),
            at: now,
            ttl: verdict.ttl,
            firing: BTreeMap::new(),
        };
        let count = keys.len();
        self.tell_probes(keys.into_iter().map(|key| (key, pushed.clone())).collect(), now);
        Ok(count)
    }

    /// Alertmanager tells of alerts. All probes by alerts have heard of it; those whose labels
    /// match follow. How many these are.
    pub(super) fn take_alerts(&mut self, alerts: &[Alert], now: Tick) -> usize {
        let mut news = Vec::new();
        let mut matched = 0;
        for Waiting { key, push, target } in self.waiting_for_words() {
            if push.alert.is_empty() {
                continue;
            }
            let mut pushed = self.told.words.get(&key).cloned().unwrap_or_else(|| Pushed::quiet(now));
            pushed.at = now;
            let mine = alerts.iter().filter(|alert| matches(push, target, &key, alert));
            let mut count = 0;
            for alert in mine {
                pushed.alert(&alert.fingerprint, &alert.words, alert.fires);
                count += 1;
            }
            matched += usize::from(count > 0);
            news.push((key, pushed));
        }
        self.tell_probes(news, now);
        matched
    }

    /// Reminds probes of what they were told before a restart.
    pub(super) fn tell_again(&mut self) {
        let waiting: Vec<ProbeKey> =
            self.waiting_for_words().into_iter().map(|waiting| waiting.key).collect();
        self.told.words.retain(|key, _| waiting.contains(key));
        for (key, pushed) in &self.told.words {
            self.errand(Errand::Remind(key.clone(), pushed.clone()));
        }
    }

    fn tell_probes(&mut self, news: Vec<(ProbeKey, Pushed)>, now: Tick) {
        let mut is_new = false;
        for (key, pushed) in news {
            self.errand(Errand::Tell(key.clone(), pushed.clone()));
            let before = self.told.words.insert(key, pushed.clone());
            // What holds for less is news too: after a crash it must not hold for longer.
            let news = |pushed: &Pushed| (pushed.is_up, pushed.ttl, pushed.firing.clone());
            is_new |= before.is_none_or(|before| news(&before) != news(&pushed));
        }
        // The same words again only say that somebody is there.
        if is_new || now.since(self.told.kept) >= VERDICTS_KEPT_EVERY {
            self.told.kept = now;
            self.keep_health();
        }
    }

    fn waiting_for_words(&self) -> Vec<Waiting<'_>> {
        let mut waiting = Vec::new();
        for (apex, zone) in &self.steered {
            let specs = self.specs.get(apex).map_or(&[][..], Vec::as_slice);
            for spec in specs {
                let Check::Push(push) = &spec.check else { continue };
                for target in zone.routing.targets.iter().filter(|one| one.probes.contains(&spec.name)) {
                    let families = crate::route::Family::BOTH.into_iter();
                    waiting.extend(families.filter(|family| target.address(*family).is_some()).map(
                        |family| {
                            let subject = Subject { zone: apex.clone(), target: target.name.clone(), family };
                            Waiting { key: ProbeKey { subject, probe: spec.name.clone() }, push, target }
                        },
                    ));
                }
            }
        }
        waiting
    }
}

/// Whether an alert has all labels that a probe wants, filled in for its target.
fn matches(push: &Push, target: &Target, key: &ProbeKey, alert: &Alert) -> bool {
    push.alert.iter().all(|(name, wanted)| {
        let address = target.address(key.subject.family).map_or_else(String::new, |one| one.to_string());
        let wanted = wanted
            .replace("{site}", target.site.as_deref().unwrap_or_default())
            .replace("{target}", &target.name)
            .replace("{address}", &address);
        alert.labels.get(name).is_some_and(|label| *label == wanted)
    })
}
