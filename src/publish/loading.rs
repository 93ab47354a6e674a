//! What the writer does with zones that were read, and with those whose files are gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::slots::Assignment;
use super::status::ZoneStatus;
use super::writer::{Errand, Writer};
use super::zones::{Batch, add_all};
use crate::config::zone::ZoneConfig;
use crate::cores;
use crate::diagnostic::Diagnostic;
use crate::health::Tick;
use crate::load::{LoadedZone, Pass, ZoneFiles};
use crate::model::ZoneModel;
use crate::model::event::{Event, Kind};
use crate::model::severity::Turn;
use crate::route::Routing;

/// Zones that are told one by one when they are loaded. Of more at once only the number is told:
/// ten thousand lines say no more, and take longer than loading.
const TOLD_ONE_BY_ONE: usize = 100;

/// How a zone comes to be loaded.
#[derive(Clone, Copy)]
pub(super) struct Occasion {
    pub(super) now: Tick,
    /// From the state directory, since its files have errors.
    pub(super) is_stale: bool,
    pub(super) is_one_of_many: bool,
}

impl Writer {
    pub(super) fn take_zones(&mut self, pass: &mut Pass, batch: &mut Batch, now: Tick) {
        for apex in std::mem::take(&mut pass.gone) {
            self.note(now, Kind::Notice, format!("{apex} was removed"));
            self.zones.remove(batch, &apex);
            Arc::make_mut(&mut self.model).zones.remove(&apex);
            self.steered.remove(&apex);
            self.slots.assign(&apex, &Routing::none(&apex), Assignment::default());
            self.specs.remove(&apex);
            self.signers.remove(&apex);
            self.asked.forget(&apex);
            self.keyless.remove(&apex);
            self.status.zones_mut().remove(&apex);
            self.errand(Errand::ForgetZone(ZoneFiles::in_directory(&self.server.zones, &apex)));
        }
        let is_one_of_many = pass.zones.len() > TOLD_ONE_BY_ONE;
        if is_one_of_many {
            let zones = pass.zones.iter().filter(|(_, result)| result.is_ok()).count();
            tracing::info!(kind = "zone", zones, "zones loaded");
            self.note(now, Kind::Notice, format!("{zones} zones loaded"));
        }
        let occasion = Occasion { now, is_stale: false, is_one_of_many };
        let mut zones = std::mem::take(&mut pass.zones);
        zones.sort_by(|(a, _), (b, _)| a.apex.cmp(&b.apex));
        let alone = self.zones.alone(&zones.iter().map(|(files, _)| &files.apex).collect::<Vec<_>>());
        let (mut together, mut others) = (Vec::with_capacity(zones.len()), Vec::new());
        for ((files, result), is_alone) in zones.into_iter().zip(alone) {
            match result {
                Ok(loaded) if is_alone && loaded.is_plain() => together.push((files, loaded)),
                result => others.push((files, result)),
            }
        }
        self.put_plain_zones(together, batch, occasion);
        // The deepest first, so that a parent is compiled once and knows its children.
        for (files, result) in others.into_iter().rev() {
            match result {
                Ok(loaded) => self.put_zone(&files, loaded, batch, occasion),
                Err(errors) => self.refuse_zone(&files, &errors, batch, now),
            }
        }
    }

    /// Puts new zones in that have neither routes nor signatures, and no other zone above or below
    /// them.
    fn put_plain_zones(
        &mut self,
        zones: Vec<(Arc<ZoneFiles>, LoadedZone)>,
        batch: &mut Batch,
        Occasion { now, is_one_of_many, .. }: Occasion,
    ) {
        if zones.is_empty() {
            return;
        }
        let resolved = self.names.resolved();
        let model_of = |at: usize, (): &mut ()| {
            let (files, loaded) = &zones[at];
            let mut routing = loaded.config.routing.clone();
            routing.set_addresses(resolved);
            let model = ZoneModel { zone: Arc::clone(&loaded.zone), routing: Arc::new(routing) };
            let status = ZoneStatus::of(&model, files, now);
            (Arc::new(model), status)
        };
        let (models, statuses): (Vec<_>, Vec<_>) =
            cores::share(zones.len(), || (), model_of).into_iter().unzip();
        let apexes = || zones.iter().map(|(files, _)| files.apex.clone());
        let maps = || -> (BTreeMap<_, _>, BTreeMap<_, _>) {
            (apexes().zip(models.iter().cloned()).collect(), apexes().zip(statuses).collect())
        };
        let ((mut served, mut stand), results) = cores::both(maps, || self.zones.put_alone(batch, &models));
        for (((files, loaded), model), result) in zones.into_iter().zip(models).zip(results) {
            if let Err(error) = result {
                served.remove(&files.apex);
                stand.remove(&files.apex);
                self.refuse_zone(&files, &[Diagnostic::error(&files.zone, error.to_string())], batch, now);
                continue;
            }
            if !is_one_of_many {
                self.tell_loaded(&model, false, now);
            }
            if !loaded.config.probes.is_empty() {
                self.specs.insert(files.apex.clone(), loaded.config.probes.clone());
            }
            if !model.routing.targets.is_empty() {
                self.steered.insert(files.apex.clone(), model);
            }
            self.errand(Errand::KeepZone(files, loaded.contents));
        }
        add_all(&mut self.status.zones_mut(), stand);
        add_all(&mut Arc::make_mut(&mut self.model).zones, served);
    }

    /// Tells that a zone is served now.
    fn tell_loaded(&self, model: &ZoneModel, was_refused: bool, now: Tick) {
        let (apex, serial) = (model.zone.apex(), model.zone.soa().serial());
        let (records, routes) = (model.zone.record_count(), model.routing.routes.len());
        tracing::info!(kind = "zone", zone = %apex, serial, records, routes, "zone loaded");
        let (subject, turn) = (Some(apex.to_string()), was_refused.then_some(Turn::Ends));
        let text = format!("{apex} loaded, serial {serial}, {records} records");
        self.tell(Event { subject, turn, ..Event::new(now, Kind::Notice, text) });
    }

    pub(super) fn put_zone(
        &mut self,
        files: &Arc<ZoneFiles>,
        loaded: LoadedZone,
        batch: &mut Batch,
        Occasion { now, is_stale, is_one_of_many }: Occasion,
    ) {
        let apex = files.apex.clone();
        self.keyless.remove(&apex);
        let signer = match (loaded.config.dnssec.as_ref().map(|policy| policy.denial), &loaded.signer) {
            (None, _) => None,
            (Some(_), Some(signer)) => Some(Arc::clone(signer)),
            (Some(denial), None) => match self.keyrings.get(&apex) {
                Some(keyring) => Some(self.signer(&apex, keyring, denial)),
                None => {
                    let message = "the zone is to be signed, and there are no keys for it";
                    self.refuse_zone(files, &[Diagnostic::error(&files.zone, message)], batch, now);
                    self.keyless.insert(apex, (Arc::clone(files), loaded));
                    return;
                }
            },
        };
        let LoadedZone { zone, config, contents, fitted, .. } = loaded;
        let ZoneConfig { mut routing, probes, dnssec, .. } = Arc::unwrap_or_clone(config);
        let before = self.model.zones.get(&apex).cloned();
        routing.set_addresses(self.names.resolved());
        let model = Arc::new(ZoneModel { zone, routing: Arc::new(routing) });
        if let Err(error) = self.place(&model, signer, fitted, batch, now) {
            self.refuse_zone(files, &[Diagnostic::error(&files.zone, error.to_string())], batch, now);
            return;
        }
        let serial = model.zone.soa().serial();
        if let Some(before) = before.filter(|before| before.zone.soa().serial() == serial)
            && !crate::zone::diff(&before.zone, &model.zone).is_empty()
        {
            tracing::warn!(kind = "zone", zone = %apex, serial, "records changed and the serial didn't: secondaries won't see it");
            self.note(now, Kind::Notice, format!("{apex}: records changed, the serial {serial} didn't"));
        }
        let was_refused =
            !is_stale && self.status.zones().get(&apex).is_some_and(|status| status.error.is_some());
        if !is_one_of_many || was_refused {
            self.tell_loaded(&model, was_refused, now);
        }
        if let Some(before) = self.specs.remove(&apex) {
            self.told.follow(&apex, &before, &probes);
        }
        self.specs.insert(apex.clone(), probes);
        let status = ZoneStatus::of(&model, files, now);
        self.set_model(apex.clone(), model);
        let bundle = self.signers.get(&apex).and_then(|signer| signer.bundle()).map(|bundle| bundle.made());
        let (heard, silent) = self.expect_answers(&apex, dnssec.as_ref(), now);
        let signatures_end = self.signers.get(&apex).and_then(|signer| signer.earliest_end());
        let signatures_end = signatures_end.map(|end| Tick(end.saturating_mul(1000)));
        let mut zones = self.status.zones_mut();
        let error = if is_stale { zones.get(&apex).and_then(|status| status.error.clone()) } else { None };
        zones.insert(
            apex,
            ZoneStatus {
                is_stale,
                error,
                signatures_end,
                bundle_made: bundle.map(Tick),
                signer_heard: heard,
                signer_silent: silent,
                ..status
            },
        );
        drop(zones);
        if !is_stale {
            self.errand(Errand::KeepZone(Arc::clone(files), contents));
        }
    }

    fn refuse_zone(&mut self, files: &ZoneFiles, errors: &[Diagnostic], batch: &mut Batch, now: Tick) {
        let count = errors.iter().filter(|error| error.is_error()).count();
        let first = errors.iter().find(|error| error.is_error());
        let first = first.map_or_else(String::new, Diagnostic::place_and_message);
        let (subject, turn) = (Some(files.apex.to_string()), Some(Turn::Begins));
        let text = format!("{} wasn't loaded: {first}", files.apex);
        self.tell(Event { subject, turn, ..Event::new(now, Kind::Error, text) });
        self.zones.put_broken(batch, &files.apex);
        let mut zones = self.status.zones_mut();
        let status = zones.entry(files.apex.clone()).or_default();
        if status.source.is_empty() {
            status.source = files.zone.display().to_string();
        }
        status.is_stale = status.serial.is_some();
        status.error = Some((first, count));
    }
}
