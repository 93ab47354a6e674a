//! Zones on their way into the snapshot: numbers, entries, and what a change of one does to others.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use super::due::Due;
use super::rows::Rows;
use crate::compile::fit::Fitted;
use crate::compile::shape::Shape;
use crate::compile::signer::{Signing, Unsigned};
use crate::compile::zone::{self as compile, Above, RoutedOwners, RrsetTooLarge, Source};
use crate::cores;
use crate::model::ZoneModel;
use crate::snapshot::denial::Denial;
use crate::snapshot::{Edits, Snapshot, ZoneAnswers, ZoneId};
use crate::wire::name::Name;
use crate::zone::Zone;

/// How far, in seconds, the clock may be set back before signatures that were made until then are
/// made anew: by as much they begin earlier.
const CLOCK_SLACK: u64 = 3_600;

/// Small zones that one core compiles before it takes others.
const ZONES_TOGETHER: usize = 64;

/// Why a version of a zone can't be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpublishable {
    /// No message can hold one of its RRsets.
    TooLarge(RrsetTooLarge),
    /// A key failed.
    Unsigned(Unsigned),
}

impl From<RrsetTooLarge> for Unpublishable {
    fn from(error: RrsetTooLarge) -> Unpublishable {
        Unpublishable::TooLarge(error)
    }
}

impl fmt::Display for Unpublishable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unpublishable::TooLarge(error) => error.fmt(f),
            Unpublishable::Unsigned(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Unpublishable {}

/// What the snapshot holds, zone by zone.
#[derive(Debug, Default)]
pub(super) struct Zones {
    answers: Vec<Option<Arc<ZoneAnswers>>>,
    free: Vec<ZoneId>,
    placed: BTreeMap<Name, Placed>,
    /// When signatures of each signed zone are to be made anew next.
    renewals: Due<ZoneId>,
    /// When the newest signature of each was made.
    made: Due<ZoneId>,
    /// Where the queries of each are counted.
    rows: Arc<Rows>,
    /// The time at which signatures are made.
    now: u64,
}

#[derive(Debug)]
struct Placed {
    id: ZoneId,
    /// What its entries were compiled from; none for a zone that never loaded.
    compiled: Option<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    zone: Arc<Zone>,
    routed: Arc<RoutedOwners>,
    shape: Arc<Shape>,
    signing: Option<Signing>,
}

/// What a pass of changes does to zones, collected before it is published at once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    edits: Edits,
}

impl Zones {
    /// No zones yet; the queries of those that come are counted in these rows.
    pub(super) fn counted_in(rows: Arc<Rows>) -> Zones {
        Zones { rows, ..Zones::default() }
    }

    /// Sets the time at which signatures are made, in seconds since 1970.
    pub(super) fn set_time(&mut self, now: u64) {
        self.now = now;
    }

    /// Puts a zone in, or another version in its place. `fitted` is what was compiled of it already,
    /// with the same signer.
    ///
    /// # Errors
    /// [`Unpublishable`]: then nothing has changed.
    pub(super) fn put(
        &mut self,
        batch: &mut Batch,
        model: &ZoneModel,
        routed: RoutedOwners,
        signing: Option<Signing>,
        fitted: Option<Fitted>,
    ) -> Result<(), Unpublishable> {
        let apex = model.zone.apex().clone();
        let children = self.children(&apex);
        let parent = self.parent(&apex);
        let is_new = self.placed.get(&apex).is_none_or(|placed| placed.compiled.is_none());
        let id = self.placed.get(&apex).map_or_else(|| self.unused(), |placed| placed.id);
        let routed = Arc::new(routed);
        let source = Source {
            zone: &model.zone,
            id,
            routed: &routed,
            children: &children,
            parent: parent.as_ref(),
            signing: signing.as_ref(),
        };
        // Of an attempt before.
        let _ = source.take_unsigned();
        let common = source.common(None)?;
        let before = self.denial(id).cloned();
        let old = self.placed.get_mut(&apex).and_then(|placed| placed.compiled.as_mut());
        let some = match old {
            Some(old) if old.routed == routed && old.is_signed_as(&source) => old.amended(&source)?,
            _ => None,
        };
        let is_partial = some.is_some();
        let (shape, denial) = match some {
            Some((edits, shape, changed)) => {
                let denial = before.and_then(|before| source.denial(&shape, Some((&before, &changed))));
                if let Some(unsigned) = source.take_unsigned() {
                    if let Some(Placed { compiled: Some(old), .. }) = self.placed.get_mut(&apex) {
                        old.shape = old.undone(shape, &source);
                    }
                    return Err(Unpublishable::Unsigned(unsigned));
                }
                batch.edits.append(edits);
                (shape, denial)
            }
            None => {
                let (shape, denial) = match fitted {
                    Some(Fitted { shape, denial }) => (shape, denial),
                    None => {
                        let shape = Arc::new(Shape::of(&model.zone, &routed));
                        if let Some(signing) = &signing {
                            signing.signer.begin_sweep();
                        }
                        // Signs all, on all cores.
                        let denial = source.denial(&shape, None);
                        (shape, denial)
                    }
                };
                let mut all = Edits::default();
                source.all(&shape, &mut all)?;
                if let Some(unsigned) = source.take_unsigned() {
                    return Err(Unpublishable::Unsigned(unsigned));
                }
                if let Some(signing) = &signing {
                    signing.signer.sweep();
                }
                if let Some(Placed { compiled: Some(old), .. }) = self.placed.get(&apex) {
                    batch.edits.append(compile::names(&old.zone, &old.routed, &old.shape));
                }
                batch.edits.append(all);
                (shape, denial)
            }
        };
        let row = self.rows.zone(&apex.to_string());
        self.set_answers(id, Some(Arc::new(ZoneAnswers { row, denial, ..common })));
        let compiled = Compiled { zone: Arc::clone(&model.zone), routed, shape, signing };
        self.placed.insert(apex.clone(), Placed { id, compiled: Some(compiled) });
        if is_new || !is_partial {
            // Taking this zone's old names out may have touched names that others answer for.
            self.lay_around(batch, &apex, is_new);
        } else {
            // The DS records at their apexes are this zone's.
            for child in self.children(&apex) {
                self.lay_apex(batch, &child);
            }
        }
        Ok(())
    }

    /// Which of these apexes, ascending, are of new zones that are neither above nor below another,
    /// here or among themselves: what these answer depends on nothing else.
    pub(super) fn alone(&self, apexes: &[&Name]) -> Vec<bool> {
        let has_family = |apex: &Name| {
            let behind = self.placed.range((Bound::Included(apex), Bound::Unbounded)).next();
            behind.is_some_and(|(name, _)| name.is_at_or_below(apex)) || self.parent_apex(apex).is_some()
        };
        let mut alone: Vec<bool> =
            apexes.iter().map(|apex| self.placed.is_empty() || !has_family(apex)).collect();
        // Those that the last one is below, each below the one before it.
        let mut above: Vec<usize> = Vec::new();
        for (at, apex) in apexes.iter().enumerate() {
            while above.last().is_some_and(|&last| !apex.is_at_or_below(apexes[last])) {
                above.pop();
            }
            if let Some(&parent) = above.last() {
                (alone[at], alone[parent]) = (false, false);
            }
            above.push(at);
        }
        alone
    }

    /// Puts zones in that stand [`alone`](Self::alone), with neither routes nor signatures: compiled
    /// side by side. What became of each.
    pub(super) fn put_alone(
        &mut self,
        batch: &mut Batch,
        models: &[Arc<ZoneModel>],
    ) -> Vec<Result<(), Unpublishable>> {
        let routed: Arc<RoutedOwners> = Arc::default();
        let fresh =
            (self.answers.len()..).map(|place| ZoneId(u32::try_from(place).expect("fewer than 2^32 zones")));
        let ids: Vec<ZoneId> = self.free.iter().copied().chain(fresh).take(models.len()).collect();
        let compiled = cores::share(
            models.len().div_ceil(ZONES_TOGETHER),
            || (),
            |group, ()| {
                let end = models.len().min((group + 1) * ZONES_TOGETHER);
                let mut edits = Edits::default();
                let compiled: Vec<_> = (group * ZONES_TOGETHER..end)
                    .map(|at| {
                        let (zone, id) = (&models[at].zone, ids[at]);
                        let source =
                            Source { zone, id, routed: &routed, children: &[], parent: None, signing: None };
                        let shape = Arc::new(Shape::of(zone, &routed));
                        let common = source.common(None)?;
                        source.all(&shape, &mut edits)?;
                        Ok((shape, common, zone.apex().to_string()))
                    })
                    .collect();
                (edits, compiled)
            },
        );
        let mut results = Vec::with_capacity(models.len());
        let mut placed = Vec::with_capacity(models.len());
        for (edits, compiled) in compiled {
            batch.edits.append(edits);
            for compiled in compiled {
                let (model, id) = (&models[results.len()], ids[results.len()]);
                results.push(compiled.map(|(shape, common, apex)| {
                    let row = self.rows.zone(&apex);
                    self.set_answers(id, Some(Arc::new(ZoneAnswers { row, ..common })));
                    let (zone, routed) = (Arc::clone(&model.zone), Arc::clone(&routed));
                    let compiled = Compiled { zone, routed, shape, signing: None };
                    placed.push((model.zone.apex().clone(), Placed { id, compiled: Some(compiled) }));
                }));
            }
        }
        add_all(&mut self.placed, placed.into_iter().collect());
        // Numbers of those that weren't put in.
        let unused = results.iter().zip(&ids).filter(|(result, _)| result.is_err()).map(|(_, id)| *id);
        let unused = unused.filter(|id| (id.0 as usize) < self.answers.len() && !self.free.contains(id));
        let unused: Vec<ZoneId> = unused.collect();
        self.free.extend(unused);
        results.into_iter().map(|result| result.map_err(Unpublishable::TooLarge)).collect()
    }

    /// Makes a zone that never loaded answer SERVFAIL.
    pub(super) fn put_broken(&mut self, batch: &mut Batch, apex: &Name) {
        if self.placed.contains_key(apex) {
            return;
        }
        let id = self.unused();
        let (edits, mut answers) = compile::broken(apex, id);
        answers.row = self.rows.zone(&apex.to_string());
        batch.edits.append(edits);
        self.set_answers(id, Some(Arc::new(answers)));
        self.placed.insert(apex.clone(), Placed { id, compiled: None });
        self.lay_around(batch, apex, true);
    }

    /// Takes a zone out.
    pub(super) fn remove(&mut self, batch: &mut Batch, apex: &Name) {
        let Some(placed) = self.placed.remove(apex) else { return };
        let parent = self.parent_apex(apex);
        self.placed_names(batch, apex, &placed);
        self.set_answers(placed.id, None);
        self.free.push(placed.id);
        if let Some(parent) = &parent {
            self.lay(batch, parent);
        }
        self.lay_children(batch, parent.as_ref().unwrap_or(apex));
    }

    /// The snapshot with all collected changes.
    pub(super) fn published(&self, batch: Batch, snapshot: &Snapshot) -> Snapshot {
        snapshot.with_owners(&batch.edits, self.answers.iter().cloned().collect())
    }

    /// Takes out every name that a zone has in the snapshot.
    fn clear(&self, batch: &mut Batch, apex: &Name) {
        if let Some(placed) = self.placed.get(apex) {
            self.placed_names(batch, apex, placed);
        }
    }

    fn placed_names(&self, batch: &mut Batch, apex: &Name, placed: &Placed) {
        match &placed.compiled {
            Some(old) => batch.edits.append(compile::names(&old.zone, &old.routed, &old.shape)),
            None => batch.edits.remove(apex.to_lower().as_wire()),
        }
    }

    /// Puts a zone's names in again as they are, since a zone above or below it came, went or
    /// was laid anew.
    fn lay(&self, batch: &mut Batch, apex: &Name) {
        self.lay_with(batch, apex, |source, shape, edits| source.all(shape, edits));
    }

    /// Likewise its apex alone.
    fn lay_apex(&self, batch: &mut Batch, apex: &Name) {
        self.lay_with(batch, apex, |source, shape, edits| source.apex(shape, edits));
    }

    fn lay_with(
        &self,
        batch: &mut Batch,
        apex: &Name,
        entries: impl FnOnce(&Source<'_>, &Arc<Shape>, &mut Edits) -> Result<(), RrsetTooLarge>,
    ) {
        let Some(placed) = self.placed.get(apex) else { return };
        let Some(compiled) = &placed.compiled else {
            batch.edits.append(compile::broken(apex, placed.id).0);
            return;
        };
        let children = self.children(apex);
        let parent = self.parent(apex);
        let signing = self.at_present(compiled);
        let source = Source {
            zone: &compiled.zone,
            id: placed.id,
            routed: &compiled.routed,
            children: &children,
            parent: parent.as_ref(),
            signing: signing.as_ref(),
        };
        // It compiled before; only its surroundings have changed, which add no RRset but a DS.
        if let Err(error) = entries(&source, &compiled.shape, &mut batch.edits) {
            tracing::error!(kind = "zone", zone = %apex, %error, "the zone stays as it was");
        }
    }

    fn lay_children(&self, batch: &mut Batch, apex: &Name) {
        for child in self.children(apex) {
            self.lay(batch, &child);
        }
    }

    /// Lays the zones below this one anew. A new one parts its parent: what that has at and below
    /// the new apex goes.
    fn lay_around(&self, batch: &mut Batch, apex: &Name, is_new: bool) {
        match self.parent_apex(apex).filter(|_| is_new) {
            Some(parent) => {
                self.clear(batch, &parent);
                self.lay(batch, &parent);
                self.lay_children(batch, &parent);
            }
            None => self.lay_children(batch, apex),
        }
    }

    /// Makes signatures of at most `count` owners anew, of those that are near their end or from a
    /// time to come. The zones that they were in; more may be due.
    pub(super) fn renew(&mut self, batch: &mut Batch, count: usize) -> Vec<Name> {
        let mut renewed: Vec<(Name, ZoneId, Vec<Name>, Arc<Shape>)> = Vec::new();
        let mut left = count;
        let ended = self.renewals.until(self.now);
        for id in ended.chain(self.made.behind(self.now + CLOCK_SLACK)) {
            if left == 0 {
                break;
            }
            let Some(ZoneAnswers { apex, denial: Some(denial), .. }) = self.answers(*id) else { continue };
            let Some(Placed { compiled, .. }) = self.placed.get(apex) else { continue };
            // One that is due for both reasons comes twice.
            if renewed.iter().any(|(_, known, ..)| known == id) {
                continue;
            }
            let due: Vec<Name> = denial
                .due(self.now, CLOCK_SLACK)
                .take(left)
                .filter_map(|link| Name::from_wire(link.name()).ok())
                .collect();
            let Some(compiled) = compiled.as_ref().filter(|_| !due.is_empty()) else { continue };
            left -= due.len();
            renewed.push((apex.clone(), *id, due, Arc::clone(&compiled.shape)));
        }
        for (apex, id, due, shape) in &renewed {
            let mut common = None;
            let before = self.denial(*id).cloned();
            self.lay_with(batch, apex, |source, _, edits| {
                let alone = source.some_alone(shape, due)?;
                let denial = before.map(|before| source.denial_renewed(shape, &before, due));
                let row = self.rows.zone(&apex.to_string());
                common = Some(ZoneAnswers { row, ..source.common(denial)? });
                edits.append(alone);
                Ok(())
            });
            if let Some(common) = common {
                self.set_answers(*id, Some(Arc::new(common)));
            }
            // The DS records at their apexes are this zone's.
            for child in self.children(apex).iter().filter(|child| due.contains(child)) {
                self.lay_apex(batch, child);
            }
        }
        renewed.into_iter().map(|(apex, ..)| apex).collect()
    }

    /// When signatures of any zone are to be made anew next; now, if there are such from a time to
    /// come.
    pub(super) fn next_renewal(&self, now: u64) -> Option<u64> {
        let is_from_a_time_to_come = self.made.last().is_some_and(|made| now + CLOCK_SLACK < made);
        let next = self.renewals.first();
        if is_from_a_time_to_come { Some(next.map_or(now, |next| next.min(now))) } else { next }
    }

    fn answers(&self, id: ZoneId) -> Option<&ZoneAnswers> {
        self.answers.get(id.0 as usize)?.as_deref()
    }

    fn denial(&self, id: ZoneId) -> Option<&Denial> {
        self.answers(id)?.denial.as_ref()
    }

    fn at_present(&self, compiled: &Compiled) -> Option<Signing> {
        compiled.signing.clone().map(|signing| Signing { now: self.now, ..signing })
    }

    fn set_answers(&mut self, id: ZoneId, answers: Option<Arc<ZoneAnswers>>) {
        self.free.retain(|free| *free != id);
        let denial = answers.as_ref().and_then(|answers| answers.denial.as_ref());
        self.renewals.set(&id, denial.and_then(Denial::next_renewal));
        self.made.set(&id, denial.and_then(Denial::newest));
        let place = id.0 as usize;
        if place >= self.answers.len() {
            self.answers.resize(place + 1, None);
        }
        self.answers[place] = answers;
    }

    /// A number that no zone has; it is taken when a zone is placed with it.
    fn unused(&self) -> ZoneId {
        let fresh = || ZoneId(u32::try_from(self.answers.len()).expect("fewer than 2^32 zones"));
        self.free.last().copied().unwrap_or_else(fresh)
    }

    /// Apexes below this one, the higher ones first: they follow it in canonical order.
    fn children(&self, apex: &Name) -> Vec<Name> {
        let behind = self.placed.range((Bound::Excluded(apex), Bound::Unbounded));
        behind.map(|(name, _)| name).take_while(|name| name.is_at_or_below(apex)).cloned().collect()
    }

    fn parent_apex(&self, apex: &Name) -> Option<Name> {
        let mut at = apex.parent();
        while let Some(name) = at {
            if self.placed.contains_key(&name) {
                return Some(name);
            }
            at = name.parent();
        }
        None
    }

    /// The parent zone, where its records are here. A zone above that delegates a name between
    /// isn't the parent: that is elsewhere, and knows of DS records what nobody here knows.
    fn parent(&self, apex: &Name) -> Option<Above> {
        let above = self.parent_apex(apex)?;
        let compiled = self.placed[&above].compiled.as_ref()?;
        let is_parent = !compiled.shape.hides(&above, apex.to_lower().as_wire());
        is_parent.then(|| Above { zone: Arc::clone(&compiled.zone), signing: self.at_present(compiled) })
    }
}

/// Puts many entries into a map, ascending. Of ten thousand, each would be compared with a dozen
/// others to find its place, and nodes would be left half empty.
pub(super) fn add_all<K: Ord, V>(map: &mut BTreeMap<K, V>, mut more: BTreeMap<K, V>) {
    if more.len() > map.len() {
        map.append(&mut more);
    } else {
        map.extend(more);
    }
}

impl Compiled {
    /// Whether another version is signed alike, but for the keys at the apex: else all is anew.
    fn is_signed_as(&self, source: &Source<'_>) -> bool {
        match (&self.signing, source.signing) {
            (None, None) => true,
            (Some(old), Some(new)) => {
                let ttl = |zone: &Zone| zone.soa().ttl().min(zone.soa().minimum());
                new.signer.signs_data_as(&old.signer)
                    && !new.signer.is_littered()
                    && ttl(&self.zone) == ttl(source.zone)
            }
            _ => false,
        }
    }

    /// Owners whose records are the same in another version, and their signatures aren't.
    fn signed_otherwise(&self, source: &Source<'_>) -> Vec<Name> {
        let (Some(old), Some(new)) = (&self.signing, source.signing) else { return Vec::new() };
        let mut others: Vec<Name> = Vec::new();
        if !Arc::ptr_eq(old.signer.keyring(), new.signer.keyring()) {
            others.push(source.zone.apex().clone());
        }
        let owners =
            new.outcomes.iter().filter(|(owner, outcomes)| old.outcomes.get(*owner) != Some(outcomes));
        others.extend(owners.filter_map(|(owner, _)| Name::from_wire(owner).ok()));
        others
    }

    /// Entries of what differs in another version, its shape and which owners these are; nothing if
    /// all must be compiled anew. Then, and after an error, this is what it was; else its shape is
    /// gone.
    #[expect(clippy::type_complexity, reason = "said once")]
    fn amended(
        &mut self,
        source: &Source<'_>,
    ) -> Result<Option<(Edits, Arc<Shape>, Vec<Name>)>, RrsetTooLarge> {
        let changed = crate::zone::diff(&self.zone, source.zone);
        let all = [self.signed_otherwise(source), changed.clone()].concat();
        let shape = Arc::make_mut(&mut self.shape);
        let is_calm = shape.follow(&self.zone, source.zone, &changed);
        let some = if is_calm { source.some(shape, &all) } else { Ok(None) };
        if let Ok(Some(edits)) = some {
            return Ok(Some((edits, std::mem::take(&mut self.shape), all)));
        }
        let _ = Arc::make_mut(&mut self.shape).follow(source.zone, &self.zone, &changed);
        some.map(|_| None)
    }

    /// The shape that this had before it was [`amended`](Self::amended) to that of another version.
    fn undone(&self, mut shape: Arc<Shape>, source: &Source<'_>) -> Arc<Shape> {
        let changed = crate::zone::diff(&self.zone, source.zone);
        let _ = Arc::make_mut(&mut shape).follow(source.zone, &self.zone, &changed);
        shape
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use bytes::Bytes;

    use super::*;
    use crate::geo::table::Table;
    use crate::route::Routing;
    use crate::snapshot::Settings;
    use crate::wire::cookie::{Secret, Secrets};
    use crate::wire::query::LowerName;
    use crate::wire::rtype::Rtype;
    use crate::zone::{self, Files};

    struct Text(String);

    impl Files for Text {
        fn read(&self, _: &Path) -> io::Result<Bytes> {
            Ok(self.0.clone().into_bytes().into())
        }
    }

    fn name(text: &str) -> Name {
        Name::parse(text, None).unwrap()
    }

    fn model(apex: &str, lines: &str) -> ZoneModel {
        let apex = name(apex);
        let text = format!("$TTL 60\n@ SOA ns.test. h.test. 1 1 1 1 60\n@ NS ns.test.\n{lines}");
        let zone = zone::load(Path::new("z"), &apex, &Text(text), None, &|_| false).unwrap().zone;
        ZoneModel { zone: Arc::new(zone), routing: Arc::new(Routing::none(&apex)) }
    }

    fn empty() -> Snapshot {
        let cookies = Arc::new(Secrets::new(Secret::new([0; 16]), []));
        let settings = Settings { identity: String::new(), udp_payload: 1232, inspect: Vec::new(), cookies };
        Snapshot::empty(settings, Arc::new(Table::default()))
    }

    fn put(apex: &'static str, lines: &'static str) -> impl Fn(&mut Zones, &mut Batch) {
        move |zones, batch| zones.put(batch, &model(apex, lines), RoutedOwners::new(), None, None).unwrap()
    }

    #[test]
    fn rfc4035_3_1_4_1_the_parent_alone_answers_for_ds() {
        let mut snapshot = empty();
        let mut zones = Zones::default();
        let mut step = |change: &dyn Fn(&mut Zones, &mut Batch)| {
            let mut batch = Batch::default();
            change(&mut zones, &mut batch);
            snapshot = zones.published(batch, &snapshot);
            let asked = LowerName::from_wire(name("child.sub.example.").as_wire()).unwrap();
            let entry = snapshot.find(&asked).unwrap().entry;
            entry.find(Rtype::DS).is_some()
        };
        step(&put("example.", "a A 192.0.2.1\n"));
        assert!(step(&put("child.sub.example.", "")), "the parent says that there is none");
        assert!(!step(&put("example.", "sub NS ns.test.\n")), "the parent is elsewhere");
        assert!(step(&put("sub.example.", "")), "and has come here");
        assert!(!step(&|zones, batch| zones.remove(batch, &name("sub.example."))), "and went");
        assert!(step(&put("example.", "child.sub NS ns.test.\n")));
    }

    #[test]
    fn a_broken_child_hides_what_its_parent_had_there() {
        let mut snapshot = empty();
        let mut zones = Zones::default();
        let mut step = |change: &dyn Fn(&mut Zones, &mut Batch)| {
            let mut batch = Batch::default();
            change(&mut zones, &mut batch);
            snapshot = zones.published(batch, &snapshot);
            let asked = LowerName::from_wire(name("www.child.example.").as_wire()).unwrap();
            let id = snapshot.find(&asked).unwrap().entry.zone();
            (snapshot.zone(id).unwrap().apex.to_string(), snapshot.owner_count())
        };
        let with = "www.child A 192.0.2.1\na A 192.0.2.1\n";
        assert_eq!(step(&put("example.", with)), ("example.".to_owned(), 4));
        let broken = step(&|zones, batch| zones.put_broken(batch, &name("child.example.")));
        assert_eq!(broken, ("child.example.".to_owned(), 3));
        // Nothing is left when the parent drops the name meanwhile.
        step(&put("example.", "a A 192.0.2.1\n"));
        assert_eq!(step(&put("child.example.", "")), ("child.example.".to_owned(), 3));
        let removed = step(&|zones, batch| zones.remove(batch, &name("child.example.")));
        assert_eq!(removed, ("example.".to_owned(), 2));
    }

    #[test]
    fn zones_put_in_together_answer_as_those_put_in_one_by_one() {
        let lines = "a A 192.0.2.1\nb.c A 192.0.2.2\n*.d A 192.0.2.3\ne NS ns.e\nns.e A 192.0.2.4\n";
        let apexes: Vec<String> = (0..300).map(|n| format!("z{n:03}.example.")).collect();
        let models: Vec<Arc<ZoneModel>> = apexes.iter().map(|apex| Arc::new(model(apex, lines))).collect();
        let (mut one_by_one, mut together) = (Zones::default(), Zones::default());
        let (mut first, mut second) = (Batch::default(), Batch::default());
        for model in &models {
            one_by_one.put(&mut first, model, RoutedOwners::new(), None, None).unwrap();
        }
        assert!(together.put_alone(&mut second, &models).iter().all(Result::is_ok));
        let (first, second) = (one_by_one.published(first, &empty()), together.published(second, &empty()));
        assert_eq!(second.owner_count(), first.owner_count());
        for apex in &apexes {
            for owner in ["", "a.", "b.c.", "c.", "*.d.", "d.", "e.", "ns.e.", "none."] {
                let asked = LowerName::from_wire(name(&format!("{owner}{apex}")).as_wire()).unwrap();
                let (one, other) = (first.find(&asked).unwrap().entry, second.find(&asked).unwrap().entry);
                assert_eq!(format!("{one:?}"), format!("{other:?}"));
                let of = |snapshot: &Snapshot, id| format!("{:?}", snapshot.zone(id).unwrap());
                assert_eq!(of(&first, one.zone()), of(&second, other.zone()));
            }
        }
    }

    #[test]
    fn a_zone_is_alone_without_another_above_or_below_it() {
        let mut zones = Zones::default();
        let alone = |zones: &Zones, apexes: &[&str]| {
            let apexes: Vec<Name> = apexes.iter().map(|apex| name(apex)).collect();
            zones.alone(&apexes.iter().collect::<Vec<_>>())
        };
        let apexes = ["a.", "x.a.", "b.", "c.", "x.y.c.", "z.c.", "d."];
        assert_eq!(alone(&zones, &apexes), [false, false, true, false, false, false, true]);
        let mut batch = Batch::default();
        zones.put(&mut batch, &model("b.", ""), RoutedOwners::new(), None, None).unwrap();
        zones.put_broken(&mut batch, &name("x.d."));
        assert_eq!(alone(&zones, &["b.", "c.", "d."]), [false, true, false]);
        assert_eq!(alone(&zones, &["x.b.", "y.x.d."]), [false, false]);
    }

    #[test]
    fn a_zone_that_cannot_be_put_in_takes_no_number() {
        let large: String = (0..5000).map(|n| format!("a TXT \"{n:060}\"\n")).collect();
        let models: Vec<Arc<ZoneModel>> = [("a.", ""), ("b.", &*large), ("c.", "")]
            .map(|(apex, lines)| Arc::new(model(apex, lines)))
            .into();
        let (mut zones, mut batch) = (Zones::default(), Batch::default());
        let results = zones.put_alone(&mut batch, &models);
        assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        let snapshot = zones.published(batch, &empty());
        let apexes: Vec<String> = snapshot.zones().map(|zone| zone.apex.to_string()).collect();
        assert_eq!(apexes, ["a.", "c."]);
        assert_eq!(zones.unused(), ZoneId(1));
    }
}
