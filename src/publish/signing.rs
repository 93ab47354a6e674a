//! What the writer does with signatures: takes keys, renews in time, watches the clock.

use std::sync::Arc;
use std::time::Duration;

use super::loading::Occasion;
use super::slots::Scene;
use super::writer::{Errand, Writer};
use super::zones::{Batch, Unpublishable};
use crate::compile::fit::Fitted;
use crate::compile::outcomes::outcomes;
use crate::compile::signer::{Signer, Signing};
use crate::config::bundles::Role;
use crate::dnssec::{Denial, Keyring};
use crate::health::Tick;
use crate::limits::{BUNDLE_LEFT, RENEWALS_TOGETHER};
use crate::model::ZoneModel;
use crate::model::event::Kind;
use crate::wire::name::Name;

/// How often it is told that signatures end.
const DAY: Duration = Duration::from_secs(86_400);

impl Writer {
    /// Signs a zone with other keys: all of it if these sign data, and the keys alone else.
    pub(super) fn take_keyring(&mut self, apex: Name, keyring: Arc<Keyring>, now: Tick) {
        self.keyrings.insert(apex.clone(), Arc::clone(&keyring));
        let mut batch = Batch::default();
        if let Some((files, loaded)) = self.keyless.remove(&apex) {
            self.put_zone(
                &files,
                loaded,
                &mut batch,
                Occasion { now, is_stale: false, is_one_of_many: false },
            );
            let (_, judged) = self.watch_targets(now);
            self.decide_all(now);
            self.publish(Some(batch), now);
            self.tell_judged(judged, now);
            self.probe();
            return;
        }
        let (Some(before), Some(model)) = (self.signers.get(&apex), self.model.zones.get(&apex).cloned())
        else {
            return;
        };
        let signer = Arc::new(Signer::new(keyring, before.denial(), Some(before)));
        if let Err(error) = self.place(&model, Some(signer), None, &mut batch, now) {
            tracing::error!(kind = "zone", zone = %apex, %error, "the zone stays signed by its former keys");
            self.note(now, Kind::Error, format!("{apex} stays signed by its former keys: {error}"));
            return;
        }
        self.note(now, Kind::Notice, format!("{apex}: keys taken"));
        self.decide_all(now);
        self.publish(Some(batch), now);
    }

    /// A zone has left signing: from now on it is served as its file has it.
    pub(super) fn take_signatures_off(&mut self, apex: &Name, now: Tick) {
        self.keyrings.remove(apex);
        let model = self.model.zones.get(apex).cloned();
        let Some(model) = model.filter(|_| self.signers.contains_key(apex)) else { return };
        let mut batch = Batch::default();
        if let Err(error) = self.place(&model, None, None, &mut batch, now) {
            tracing::error!(kind = "zone", zone = %apex, %error, "the zone stays signed");
            return;
        }
        tracing::info!(kind = "zone", zone = %apex, "the zone isn't signed any more");
        self.note(now, Kind::Notice, format!("{apex} isn't signed any more: no DS is left"));
        self.decide_all(now);
        self.publish(Some(batch), now);
    }

    /// Puts a zone's entries and slots in place, signed if there is what signs them; `fitted` is what
    /// the loader compiled of it with that.
    ///
    /// # Errors
    /// [`Unpublishable`]: then nothing has changed.
    pub(super) fn place(
        &mut self,
        model: &ZoneModel,
        signer: Option<Arc<Signer>>,
        fitted: Option<Fitted>,
        batch: &mut Batch,
        now: Tick,
    ) -> Result<(), Unpublishable> {
        let apex = model.zone.apex();
        let signing = signer.clone().map(|signer| Signing {
            signer,
            outcomes: Arc::new(outcomes(&model.routing)),
            now: now.0 / 1000,
        });
        self.zones.set_time(now.0 / 1000);
        let assignment = self.slots.plan(apex, &model.routing, signing.is_some());
        self.zones.put(batch, model, assignment.owners.clone(), signing, fitted)?;
        self.slots.assign(apex, &model.routing, assignment);
        match signer {
            Some(signer) => {
                self.bind(&signer, model);
                self.signers.insert(apex.clone(), signer);
            }
            None => drop(self.signers.remove(apex)),
        }
        Ok(())
    }

    /// What signs a zone: as before, if nothing of it has changed.
    pub(super) fn signer(&self, apex: &Name, keyring: &Arc<Keyring>, denial: Denial) -> Arc<Signer> {
        let before = self.signers.get(apex);
        let is_same =
            |before: &&Arc<Signer>| Arc::ptr_eq(before.keyring(), keyring) && before.denial() == denial;
        before.filter(is_same).cloned().unwrap_or_else(|| {
            Arc::new(Signer::new(Arc::clone(keyring), denial, before.map(|before| &**before)))
        })
    }

    /// When signatures are to be made anew next.
    pub(super) fn next_renewal(&self, now: u64) -> Option<u64> {
        if self.signers.is_empty() {
            return None;
        }
        self.zones.next_renewal(now).into_iter().chain(self.slots.next_renewal()).min()
    }

    /// Makes some of the signatures anew that are due. Called between any two changes, so that no
    /// load keeps it from its turn; a slice is small, so that it keeps nothing from theirs.
    pub(super) fn renew(&mut self, now: Tick) {
        let seconds = now.0 / 1000;
        if self.next_renewal(seconds).is_none_or(|at| at > seconds) {
            return;
        }
        self.zones.set_time(seconds);
        let mut batch = Batch::default();
        let renewed = self.zones.renew(&mut batch, RENEWALS_TOGETHER);
        for apex in &renewed {
            if let (Some(signer), Some(zone)) = (self.signers.get(apex), self.model.zones.get(apex)) {
                self.bind(signer, zone);
            }
        }
        {
            let board = self.status.board();
            let scene =
                Scene { geography: &self.model.geography, board: &board, signers: &self.signers, now };
            for zone in renewed.iter().filter_map(|apex| self.model.zones.get(apex)) {
                self.slots.decide_zone(zone, scene);
            }
            let model = &self.model;
            self.slots.renew(|apex| model.zones.get(apex).map(|zone| &**zone), scene);
        }
        self.publish(Some(batch), now);
    }

    /// Has a zone's signatures written for servers without its keys, if there are such.
    fn bind(&self, signer: &Arc<Signer>, model: &ZoneModel) {
        let is_signer = self.server.bundles.as_ref().is_some_and(|bundles| bundles.role == Role::Signer);
        if is_signer && signer.bundle().is_none() {
            self.errand(Errand::WriteBundle(Arc::clone(signer), model.zone.soa().serial()));
        }
    }

    /// Tells of bundles whose signatures end soon: their signer is silent, or they don't come.
    pub(super) fn look_for_ends(&mut self, now: Tick) {
        let left = |signer: &Signer| {
            signer.earliest_end().map(|end| Duration::from_secs(end.saturating_sub(now.0 / 1000)))
        };
        let near = self.signers.iter().filter_map(|(apex, signer)| {
            let left = left(signer).filter(|left| *left < BUNDLE_LEFT)?;
            let is_told = self.ends_told.get(apex).is_some_and(|told| now.since(*told) < DAY);
            (!is_told).then(|| (apex.clone(), left))
        });
        for (apex, left) in near.collect::<Vec<_>>() {
            let ends = if left.is_zero() {
                "are over".to_owned()
            } else {
                format!("end in {}", crate::health::tick::short(left))
            };
            tracing::error!(kind = "bundle", zone = %apex, "signatures {ends}, and no bundle with others comes");
            let text = format!("{apex}: signatures {ends}, and no bundle with others comes");
            self.note(now, Kind::Error, text);
            self.ends_told.insert(apex, now);
        }
    }

    /// Signatures hold by the clock of the world: one that was set is told (one set back always is).
    /// Those that it makes invalid are due, and made anew.
    pub(super) fn clock_was_set_forward(&self, by: Duration, now: Tick) {
        if !self.signers.is_empty() {
            tracing::warn!(
                kind = "clock",
                ?by,
                "the clock was set forward: signatures that it ends are made anew"
            );
            let by = crate::health::tick::short(by);
            self.note(now, Kind::Notice, format!("the clock was set forward by {by}"));
        }
    }
}
