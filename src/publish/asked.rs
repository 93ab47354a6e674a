//! Signers that are asked for bundles: when each was heard last, and that an edge lags behind.
//!
//! How far an edge may lag is in every roll's waits, as the zone's `propagation`; half of that is
//! left for somebody to act.

use std::collections::BTreeMap;
use std::time::Duration;

use super::writer::Writer;
use crate::dnssec::Policy;
use crate::health::Tick;
use crate::health::tick::short;
use crate::model::event::{Event, Kind};
use crate::model::severity::Turn;
use crate::wire::name::Name;

/// The signers of zones, by zone.
#[derive(Debug, Default)]
pub(super) struct Asked(BTreeMap<Name, Signer>);

#[derive(Debug)]
struct Signer {
    /// When it said last that its newest bundle is here.
    heard: Tick,
    /// What was in the way since.
    trouble: Option<String>,
    /// After how long a silence it is told.
    patience: Duration,
    is_told: bool,
}

impl Asked {
    pub(super) fn forget(&mut self, apex: &Name) {
        self.0.remove(apex);
    }

    pub(super) fn set_back(&mut self, by: Duration) {
        self.0.values_mut().for_each(|signer| signer.heard = signer.heard - by);
    }
}

impl Writer {
    /// From now on the signer of a zone should answer, if it is asked. When it did last, and what is
    /// in the way if that is too long ago.
    pub(super) fn expect_answers(
        &mut self,
        apex: &Name,
        policy: Option<&Policy>,
        now: Tick,
    ) -> (Option<Tick>, Option<String>) {
        let is_asked = self.server.bundles.as_ref().is_some_and(|bundles| bundles.pull.is_some());
        let Some(policy) = policy.filter(|_| is_asked) else {
            self.asked.forget(apex);
            return (None, None);
        };
        let patience = policy.propagation / 2;
        let new = Signer { heard: now, trouble: None, patience, is_told: false };
        let signer = self.asked.0.entry(apex.clone()).or_insert(new);
        signer.patience = patience;
        (Some(signer.heard), signer.trouble.clone().filter(|_| signer.is_told))
    }

    /// What came of asking.
    pub(super) fn take_answer(&mut self, apex: &Name, answer: Result<(), String>, now: Tick) {
        // A zone that isn't signed is asked for while its files have errors.
        let Some(signer) = self.asked.0.get_mut(apex) else { return };
        if let Err(trouble) = answer {
            signer.trouble = Some(trouble);
            return;
        }
        (signer.heard, signer.trouble) = (now, None);
        let was_told = std::mem::take(&mut signer.is_told);
        if let Some(status) = self.status.zones_mut().get_mut(apex) {
            (status.signer_heard, status.signer_silent) = (Some(now), None);
        }
        if was_told {
            let text = format!("{apex}: its signer is heard again, and its newest bundle is here");
            self.tell_of_signer(apex, Kind::Notice, Turn::Ends, text, now);
        }
    }

    /// Tells of signers that weren't heard for so long that a roll may soon pass this server by.
    pub(super) fn look_for_lag(&mut self, now: Tick) {
        let mut silent = Vec::new();
        for (apex, signer) in &mut self.asked.0 {
            let since = now.since(signer.heard);
            if !signer.is_told && since >= signer.patience {
                signer.is_told = true;
                let why = signer.trouble.clone().unwrap_or_else(|| "it doesn't answer".to_owned());
                silent.push((apex.clone(), since, signer.patience, why));
            }
        }
        for (apex, since, left, why) in silent {
            let (since, left) = (short(since), short(left));
            let text = format!(
                "{apex}: its signer's newest bundle hasn't been here for {since}: {why}; in {left} more a roll \
                 of keys may make answers here bogus"
            );
            tracing::error!(kind = "bundle", zone = %apex, "{text}");
            if let Some(status) = self.status.zones_mut().get_mut(&apex) {
                status.signer_silent = Some(why);
            }
            self.tell_of_signer(&apex, Kind::Error, Turn::Begins, text, now);
        }
    }

    fn tell_of_signer(&self, apex: &Name, kind: Kind, turn: Turn, text: String, now: Tick) {
        let subject = Some(apex.to_string());
        self.tell(Event { subject, turn: Some(turn), ..Event::new(now, kind, text) });
    }
}
