//! What every answer must be, whatever happened: reckoned from the files and from verdicts, not by
//! the code that decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::decoded::{Alternative, Reader};
use super::names::Names;
use super::orders::Sayings;
use super::server::Good;
use crate::compile::routed::{self, family_of};
use crate::compile::shares::Shares;
use crate::geo::RegionId;
use crate::health::{Board, Desired, State, Subject, Tick};
use crate::model::explain;
use crate::model::{Model, ZoneModel};
use crate::route::{Failback, Family, Kind, Minimum, Route, Step, TargetId, Tier, decide};
use crate::snapshot::Snapshot;
use crate::snapshot::entry::Payload;
use crate::snapshot::slot::Slot;
use crate::wire::name::Name;
use crate::wire::query::LowerName;
use crate::wire::rtype::Rtype;
use crate::zone::rdata_text;

/// What answers are judged by.
pub(super) struct Scene<'s> {
    pub(super) model: &'s Model,
    pub(super) board: &'s Board,
    pub(super) snapshot: &'s Snapshot,
    pub(super) waiting: &'s BTreeSet<Subject>,
    pub(super) names: &'s Names,
    pub(super) said: Sayings<'s>,
    pub(super) now: Tick,
}

/// Every answer by owner, type and region.
pub(super) type Answers = BTreeMap<(String, String, String), Vec<Alternative>>;

/// What it needs from check to check, to be quick.
#[derive(Default)]
pub(super) struct Examiner {
    reader: Reader,
    shares: Mutex<Shares>,
}

/// How good a target is; the best of a chain answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Eligible,
    Waiting,
    /// By probes.
    Down,
    /// By the operator.
    HeldOut,
}

/// A target that can give what is asked.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The target of the file.
    pub(super) member: TargetId,
    data: String,
    pub(super) class: Class,
    is_suspect: bool,
    pub(super) weight: u16,
}

/// One route of one zone.
pub(super) struct Routed<'s> {
    pub(super) scene: &'s Scene<'s>,
    pub(super) zone: &'s ZoneModel,
    pub(super) good: &'s Good,
    pub(super) route: &'s Route,
}

impl Examiner {
    /// Every answer as it is, and that each is as it must be.
    pub(super) fn check(&mut self, scene: &Scene<'_>) -> Result<Answers, String> {
        let mut answers = Answers::new();
        if !scene.model.zones.keys().eq(scene.said.good.keys()) {
            return Err(format!("served are {:?}", scene.model.zones.keys()));
        }
        for (zone, good) in scene.model.zones.values().zip(scene.said.good.values()) {
            good.is_served(zone)?;
            scene.names.are_served(zone)?;
            for route in &zone.routing.routes {
                let routed = Routed { scene, zone, good, route };
                self.check_route(&routed, &mut answers)
                    .map_err(|error| format!("{} {}: {error}", zone.routing.apex, route.label))?;
            }
        }
        Ok(answers)
    }

    fn check_route(&mut self, routed: &Routed<'_>, answers: &mut Answers) -> Result<(), String> {
        let Routed { scene, route, .. } = routed;
        for (rtype, exists) in routed.types() {
            let mut slots = Vec::new();
            for owner in &route.owners {
                match routed.payload(owner, rtype) {
                    Some(Payload::Slot(slot)) if exists => slots.push(slot),
                    None | Some(Payload::Rendered(_)) if !exists => {}
                    found => return Err(format!("{owner} {rtype} is answered by {found:?}")),
                }
            }
            let Some(id) = slots.first() else { continue };
            if slots.iter().any(|slot| slot != id) {
                return Err(format!("owners of one route have slots {slots:?}"));
            }
            let slot = scene.snapshot.slot(*id).ok_or("its slot isn't there")?;
            self.is_what_a_whole_build_gives(routed, rtype, slot)?;
            for region in scene.model.geography.regions() {
                let name = scene.model.geography.region_name(region);
                let place = slot.regions.get(usize::from(region.0)).copied().unwrap_or(0);
                if region != RegionId::DEFAULT && !routed.good.has_chain(route, name) {
                    if place != 0 {
                        return Err(format!("{name} has no chain, and not the answer of default"));
                    }
                    continue;
                }
                let variant = slot.variants.get(usize::from(place)).ok_or("no variant")?;
                let alternatives = self.reader.alternatives(variant)?;
                routed
                    .check(region, name, rtype, &alternatives)
                    .map_err(|error| format!("{rtype} in {name}: {error}; answered are {alternatives:?}"))?;
                for owner in &route.owners {
                    let key = (owner.to_string(), rtype.to_string(), name.to_owned());
                    answers.insert(key, alternatives.clone());
                }
            }
        }
        Ok(())
    }

    fn is_what_a_whole_build_gives(
        &mut self,
        routed: &Routed<'_>,
        rtype: Rtype,
        slot: &Slot,
    ) -> Result<(), String> {
        let Routed { scene, zone, route, .. } = routed;
        let standing = |target, family| zone.standing(scene.board, target, family, scene.now);
        let regions = scene.model.geography.regions();
        let means = routed::Means { shares: &self.shares, signed_as: None };
        let whole = routed::slot(&zone.routing, route, rtype, regions, &standing, scene.now, means);
        let whole = whole.map_err(|_| "it doesn't fit in a message".to_owned())?;
        if *whole.slot != *slot {
            return Err(format!("{rtype} isn't what a whole build gives"));
        }
        Ok(())
    }
}

impl Good {
    /// Whether the zone's routes are those of its last good file.
    fn is_served(&self, zone: &ZoneModel) -> Result<(), String> {
        let (wanted, served) = (&self.config.routing, &zone.routing);
        let of_file = served.targets.iter().filter(|target| target.part_of.is_none());
        let same_targets = of_file.clone().count() == wanted.targets.len()
            && of_file.zip(&wanted.targets).all(|(served, wanted)| {
                (&served.name, served.desired, served.ipv4, served.ipv6)
                    == (&wanted.name, wanted.desired, wanted.ipv4, wanted.ipv6)
            });
        let same_routes = served.routes.len() == wanted.routes.len()
            && served.routes.iter().zip(&wanted.routes).all(|(served, wanted)| {
                (&served.label, &served.default, served.failback)
                    == (&wanted.label, &wanted.default, wanted.failback)
            });
        if same_targets && same_routes {
            Ok(())
        } else {
            Err(format!("{} isn't its last good version", wanted.apex))
        }
    }

    fn has_chain(&self, route: &Route, region: &str) -> bool {
        !std::ptr::eq(self.chain(route, region), self.chain(route, "default"))
    }

    /// The chain of a region, by the region's name.
    pub(super) fn chain<'g>(&'g self, route: &Route, region: &str) -> &'g [Tier] {
        let routes = &self.config.routing.routes;
        let place =
            self.regions.iter().position(|name| name == region).filter(|_| !self.lost.contains(region));
        let id = place.map_or(RegionId::DEFAULT, |place| RegionId(place as u16 + 1));
        routes.iter().find(|one| one.label == route.label).map_or(&[], |route| route.chain(id))
    }
}

impl<'s> Routed<'s> {
    /// The types that the route may answer, and whether it does: those that any of its targets
    /// can give, in any region and state.
    pub(super) fn types(&self) -> Vec<(Rtype, bool)> {
        let any = |wanted| self.all_tiers(wanted).iter().any(|tier| !tier.is_empty());
        match self.route.kind {
            Kind::Address => vec![(Rtype::A, any(Rtype::A)), (Rtype::AAAA, any(Rtype::AAAA))],
            Kind::Cname => vec![(Rtype::CNAME, true)],
            Kind::Mx => vec![(Rtype::MX, true)],
            Kind::Srv { .. } => vec![(Rtype::SRV, true)],
        }
    }

    fn payload(&self, owner: &Name, rtype: Rtype) -> Option<Payload<'s>> {
        let name = LowerName::from_wire(owner.as_wire())?;
        self.scene.snapshot.find(&name)?.entry.find(rtype)
    }

    fn check(
        &self,
        region: RegionId,
        name: &str,
        rtype: Rtype,
        alternatives: &[Alternative],
    ) -> Result<(), String> {
        if alternatives.is_empty() || alternatives.iter().any(|one| one.records.is_empty() || one.weight == 0)
        {
            return Err("an empty answer".to_owned());
        }
        let records = || alternatives.iter().flat_map(|one| one.records.iter());
        let ttl = alternatives[0].records[0].ttl;
        if records().any(|record| record.ttl != ttl) {
            return Err("one RRset has several TTLs (RFC 2181 5.2)".to_owned());
        }
        let answered: BTreeSet<&str> = records().map(|record| record.data.as_str()).collect();
        let (failed_open, shortest) = match self.route.kind {
            Kind::Address | Kind::Cname => self.check_chain(name, rtype, alternatives, &answered)?,
            Kind::Mx | Kind::Srv { .. } => self.check_set(name, rtype, &answered)?,
        };
        let normal = self.route.ttl.normal;
        if (failed_open || shortest == Some(true)) && ttl != self.route.ttl.short
            || !failed_open && shortest == Some(false) && ttl != normal
        {
            return Err(format!("TTL {ttl}, failed open {failed_open}, suspects {shortest:?}"));
        }
        self.is_explained(region, rtype, alternatives, &answered, failed_open)
    }

    /// Address and CNAME: the first tier of the chain whose targets are as good as the best.
    /// Says whether it failed open, and whether the TTL must be short (or mustn't).
    fn check_chain(
        &self,
        region: &str,
        rtype: Rtype,
        alternatives: &[Alternative],
        answered: &BTreeSet<&str>,
    ) -> Result<(bool, Option<bool>), String> {
        let tiers = self.tiers(region, rtype);
        let best = tiers.iter().flatten().map(|one| one.class).min().ok_or("nobody can give it")?;
        for data in answered {
            let class = tiers.iter().flatten().filter(|one| one.data == *data).map(|one| one.class).min();
            if class != Some(best) {
                return Err(format!("{data} is {class:?}, and the chain has one that is {best:?}"));
            }
        }
        let place = self.answering(&tiers, best);
        let tier = place.map(|place| &tiers[place]).ok_or("no tier answers")?;
        let accepted = || tier.iter().filter(|one| one.class == best);
        let is_shared = accepted().any(|one| one.weight > 0);
        let expected: BTreeSet<&str> = accepted().map(|one| one.data.as_str()).collect();
        let is_right =
            if self.route.answers == 0 { expected == *answered } else { expected.is_subset(answered) };
        if !is_right {
            return Err(format!("the tier has {expected:?}"));
        }
        if rtype == Rtype::CNAME && alternatives.iter().any(|one| one.records.len() != 1) {
            return Err("several CNAMEs at one name (RFC 2181 10.1)".to_owned());
        }
        if rtype != Rtype::CNAME && !is_shared && alternatives.len() != 1 {
            return Err("shares that nobody asked for".to_owned());
        }
        let is_suspect = if accepted().any(|one| one.is_suspect) {
            Some(true)
        } else if tiers.iter().flatten().any(|one| one.is_suspect) {
            None
        } else {
            Some(false)
        };
        Ok((best >= Class::Down, is_suspect))
    }

    /// A region's chain, by what its members can give; all targets of the route if they can't.
    pub(super) fn tiers(&self, region: &str, wanted: Rtype) -> Vec<Vec<Candidate>> {
        let chain = self.good.chain(self.route, region).iter();
        let tiers = chain.map(|tier| {
            tier.members.iter().flat_map(|one| self.candidates(one.target, one.weight, wanted)).collect()
        });
        let tiers: Vec<Vec<Candidate>> = tiers.collect();
        if tiers.iter().all(Vec::is_empty) { self.all_tiers(wanted) } else { tiers }
    }

    /// The place of the tier that answers, as `best` as any in the chain is.
    pub(super) fn answering(&self, tiers: &[Vec<Candidate>], best: Class) -> Option<usize> {
        match self.route.min_healthy {
            Some(minimum) if best == Class::Eligible => {
                let shares: Vec<_> = tiers.iter().map(|tier| share(tier, minimum)).collect();
                spilled_to(&shares)
            }
            _ => tiers.iter().position(|tier| tier.iter().any(|one| one.class == best)),
        }
    }

    /// MX and SRV: all targets of the route, whatever their health; the better before the worse,
    /// and among equals the operator's order.
    fn check_set(
        &self,
        region: &str,
        rtype: Rtype,
        answered: &BTreeSet<&str>,
    ) -> Result<(bool, Option<bool>), String> {
        let all: Vec<Candidate> = self.all_tiers(rtype).into_iter().flatten().collect();
        let mut ranked: Vec<(u16, &str)> = Vec::new();
        for data in answered {
            let mut words = data.split(' ');
            let rank = words.next().and_then(|rank| rank.parse().ok()).ok_or("no rank")?;
            ranked.push((rank, words.next_back().ok_or("no host")?));
        }
        let hosts: BTreeSet<&str> = ranked.iter().map(|(_, host)| *host).collect();
        let wanted: BTreeSet<&str> = all.iter().map(|one| one.data.as_str()).collect();
        if hosts != wanted || ranked.len() != wanted.len() {
            return Err(format!("the set is {wanted:?}"));
        }
        let chain = self.good.chain(self.route, region);
        let place = |target: TargetId| {
            let tier = chain.iter().position(|tier| tier.members.iter().any(|one| one.target == target));
            tier.unwrap_or(chain.len())
        };
        let order = |host: &str| {
            let one = all.iter().find(|one| one.data == host)?;
            Some((one.class.min(Class::Down), place(one.member)))
        };
        for (rank, host) in &ranked {
            for (other_rank, other) in &ranked {
                let (one, two) = (order(host), order(other));
                let is_behind = two.is_some_and(|(_, place)| place == chain.len());
                if one < two && rank >= other_rank || one == two && !is_behind && rank != other_rank {
                    return Err(format!("{host} ({one:?}) is at {rank}, {other} ({two:?}) at {other_rank}"));
                }
            }
        }
        let failed_open = all.iter().all(|one| one.class >= Class::Down);
        Ok((failed_open, Some(all.iter().any(|one| one.is_suspect))))
    }

    /// `why` and the trail tell what is answered.
    fn is_explained(
        &self,
        region: RegionId,
        rtype: Rtype,
        alternatives: &[Alternative],
        answered: &BTreeSet<&str>,
        failed_open: bool,
    ) -> Result<(), String> {
        let Routed { scene, zone, route, .. } = self;
        let told = explain::answer(zone, scene.board, route, rtype, region, None, scene.now);
        let is_shared = alternatives.len() > 1;
        let records: Vec<String> =
            alternatives
                .iter()
                .flat_map(|one| one.records.iter().map(move |record| (one.weight, record)))
                .map(|(weight, record)| {
                    if is_shared { format!("{} (weight {weight})", record.data) } else { record.data.clone() }
                })
                .collect();
        let ttl = alternatives[0].records[0].ttl;
        if (&told.records, told.ttl, told.failed_open) != (&records, ttl, failed_open) {
            return Err(format!("why tells {:?} TTL {} {}", told.records, told.ttl, told.failed_open));
        }
        let standing = |target, family| zone.standing(scene.board, target, family, scene.now);
        let decision = decide(&zone.routing, route, region, family_of(rtype), &standing, scene.now);
        let mut targets = BTreeSet::new();
        for step in &decision.trail {
            if let Step::Served { target, .. } | Step::FilledUp { target, .. } | Step::Ranked { target, .. } =
                step
            {
                targets.extend(self.data(*target, rtype));
            }
        }
        let hosts: BTreeSet<&str> =
            answered.iter().map(|data| data.rsplit(' ').next().unwrap_or(data)).collect();
        if !targets.iter().map(String::as_str).eq(hosts) {
            return Err(format!("the trail tells {targets:?}"));
        }
        Ok(())
    }

    /// Every target of the route that can give a type, each in a tier of its own.
    pub(super) fn all_tiers(&self, wanted: Rtype) -> Vec<Vec<Candidate>> {
        self.route.targets().into_iter().map(|target| self.candidates(target, 0, wanted)).collect()
    }

    /// The target itself, or those of its addresses that can give the type.
    fn candidates(&self, member: TargetId, weight: u16, wanted: Rtype) -> Vec<Candidate> {
        let answering: Vec<TargetId> = match wanted {
            Rtype::A | Rtype::AAAA => self.zone.routing.answering(member).collect(),
            _ => vec![member],
        };
        let candidate = |target| {
            let data = self.data(target, wanted)?;
            let (class, is_suspect) = self.class(target, wanted);
            Some(Candidate { member, data, class, is_suspect, weight })
        };
        answering.into_iter().filter_map(candidate).collect()
    }

    /// What a target answers: an address, or a host without what stands before it.
    fn data(&self, target: TargetId, wanted: Rtype) -> Option<String> {
        let target = self.zone.routing.targets.get(target.0 as usize)?;
        match wanted {
            Rtype::A => Some(rdata_text(wanted, &target.ipv4?.octets())),
            Rtype::AAAA => Some(rdata_text(wanted, &target.ipv6?.octets())),
            _ => Some(rdata_text(Rtype::CNAME, target.host.as_ref()?.as_wire())),
        }
    }

    /// A host is as good as the best of its addresses, and suspect with any of them.
    fn class(&self, id: TargetId, wanted: Rtype) -> (Class, bool) {
        let family = family_of(wanted);
        if matches!(wanted, Rtype::A | Rtype::AAAA) {
            return self.class_of_address(id, family);
        }
        let has = |(id, family): &(TargetId, Family)| {
            let target = self.zone.routing.targets.get(id.0 as usize);
            target.is_some_and(|target| target.address(*family).is_some())
        };
        let addresses =
            self.zone.routing.answering(id).flat_map(|id| Family::BOTH.map(|family| (id, family)));
        let classes: Vec<_> =
            addresses.filter(has).map(|(id, family)| self.class_of_address(id, family)).collect();
        match classes.iter().map(|(class, _)| *class).min() {
            Some(best) => (best, classes.iter().any(|(_, is_suspect)| *is_suspect)),
            None => self.class_of_address(id, Family::V4),
        }
    }

    fn class_of_address(&self, id: TargetId, family: Family) -> (Class, bool) {
        let Scene { board, now, waiting, .. } = self.scene;
        let target = &self.zone.routing.targets[id.0 as usize];
        let whole = self.zone.routing.whole(id);
        let file = &self.good.config.routing.targets[whole.0 as usize];
        let subject = Subject { zone: self.zone.routing.apex.clone(), target: target.name.clone(), family };
        let standing = board.standing(&subject, *now);
        let is_watched = target.address(family).is_some();
        let state = if is_watched { standing.state } else { State::Unknown };
        let (lacks, is_shaky) = self.needs(whole);
        let desired = self.scene.said.on(&self.zone.routing.apex, &file.name, *now);
        let class = match (desired, state) {
            (Desired::Up, _) => Class::Eligible,
            (Desired::Down | Desired::Drained, _) => Class::HeldOut,
            (Desired::Auto, State::Down) => Class::Down,
            (Desired::Auto, State::Unknown) if !file.assume_up => Class::Down,
            (Desired::Auto, _) if lacks => Class::Down,
            (Desired::Auto, _) => match self.route.failback {
                Failback::Manual if waiting.contains(&subject) => Class::Waiting,
                Failback::After(wait) if standing.recovered.is_some_and(|at| *now < at + wait) => {
                    Class::Waiting
                }
                _ => Class::Eligible,
            },
        };
        (class, desired == Desired::Auto && (is_shaky || state == State::Suspect))
    }

    /// Whether something that a target needs isn't served, and whether something is that may soon
    /// not be. What is needed has no route here, so no failback either.
    fn needs(&self, whole: TargetId) -> (bool, bool) {
        let (mut lacks, mut is_shaky) = (false, false);
        for need in &self.good.config.routing.targets[whole.0 as usize].needs {
            let answering = need.any_of.iter().flat_map(|id| self.zone.routing.answering(*id));
            let mut members = Vec::new();
            for id in answering {
                let target = &self.zone.routing.targets[id.0 as usize];
                let has: Vec<Family> =
                    Family::BOTH.into_iter().filter(|family| target.address(*family).is_some()).collect();
                let families = if has.is_empty() { vec![Family::V4] } else { has };
                members.extend(families.into_iter().map(|family| self.class_of_address(id, family)));
            }
            let mut served = members.iter().filter(|(class, _)| *class <= Class::Waiting).peekable();
            lacks |= served.peek().is_none();
            is_shaky |= served.peek().is_some() && served.all(|(_, is_suspect)| *is_suspect);
        }
        (lacks, is_shaky)
    }
}

/// How much of a tier is eligible, and how much of it the route asks for: in hundredths of its
/// weights, or of its targets.
fn share(tier: &[Candidate], minimum: Minimum) -> (u64, u64) {
    let members: BTreeMap<TargetId, (u64, bool)> = tier.iter().fold(BTreeMap::new(), |mut members, one| {
        let member = members.entry(one.member).or_insert((u64::from(one.weight), false));
        member.1 |= one.class == Class::Eligible;
        members
    });
    let by_weight = matches!(minimum, Minimum::Percent(_)) && members.values().any(|(weight, _)| *weight > 0);
    let size = |(weight, _): &(u64, bool)| if by_weight { *weight } else { 1 };
    let whole: u64 = members.values().map(size).sum();
    let eligible: u64 = members.values().filter(|(_, is_eligible)| *is_eligible).map(size).sum();
    let wanted = match minimum {
        Minimum::Percent(percent) => whole * u64::from(percent),
        Minimum::Targets(count) => whole.min(count as u64) * 100,
    };
    (eligible * 100, wanted)
}

/// The first tier with as much as is asked for; else the one that comes nearest to it, the first of
/// several.
fn spilled_to(shares: &[(u64, u64)]) -> Option<usize> {
    let alive = || shares.iter().enumerate().filter(|(_, (eligible, _))| *eligible > 0);
    let enough = alive().find(|(_, (eligible, wanted))| eligible >= wanted);
    let nearest = || {
        alive().reduce(|best, next| {
            let ((_, (most, of)), (_, (eligible, wanted))) = (best, next);
            if eligible * of > most * wanted { next } else { best }
        })
    };
    enough.or_else(nearest).map(|(place, _)| place)
}
