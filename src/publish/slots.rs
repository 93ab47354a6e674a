//! The slots of all routes: which number each has, and what stands in it now.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::due::Due;
use crate::compile::routed::{self, Compiled, Means, SignedAs, Unrenderable};
use crate::compile::shares::Shares;
use crate::compile::signer::Signer;
use crate::compile::zone::RoutedOwners;
use crate::cores;
use crate::health::{Board, Standing, Tick};
use crate::limits::RENEWALS_TOGETHER;
use crate::model::{Geography, ZoneModel};
use crate::route::{Family, Routing, TargetId, types};
use crate::snapshot::{Slot, SlotId};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// When a route whose answer couldn't be signed decides again.
const UNSIGNED_AGAIN: Duration = Duration::from_secs(10);

/// From so many routes on that are decided at once, a second thread saves more than it costs.
const PARALLEL_ROUTES_MIN: usize = 1_000;

/// How many different answers a core remembers for routes that answer the same.
const ANSWERS_KNOWN: usize = 16;

/// Slots by number, and who has which.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Arc<Slot>>,
    free: Vec<SlotId>,
    zones: BTreeMap<Name, Vec<RouteSlots>>,
    /// Routes by the targets that they name: zone, target -> places in `zones`.
    by_target: HashMap<(Name, String), Vec<usize>>,
    /// When a route decides anew without a transition: a failback that waits.
    rechecks: BTreeMap<(Name, usize), Tick>,
    /// Tables of sticky choices.
    shares: Mutex<Shares>,
    /// When signatures of a route's answers are to be made anew; seconds since 1970.
    renewals: Due<(Name, usize)>,
}

/// The slots of one route. Owners share those of a type, save in a signed zone: signatures name
/// the owner.
#[derive(Clone, Debug)]
struct RouteSlots {
    label: String,
    types: BTreeMap<OfType, SlotId>,
}

/// A type, and whose it is if its owner has a slot of its own: in lower-case wire form.
type OfType = (Rtype, Option<Box<[u8]>>);

/// Slots for a zone's routes, planned and not yet carried out.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    /// Which owners have which slots.
    pub(super) owners: RoutedOwners,
    routes: Vec<RouteSlots>,
}

/// What a zone's routes are decided from.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) geography: &'a Geography,
    pub(super) board: &'a Board,
    /// What signs zones, of those that are signed.
    pub(super) signers: &'a Signers,
    pub(super) now: Tick,
}

/// What signs zones.
pub(super) type Signers = BTreeMap<Name, Arc<Signer>>;

impl Slots {
    /// All slots, for a snapshot.
    pub(super) fn published(&self) -> Arc<[Arc<Slot>]> {
        self.slots.iter().cloned().collect()
    }

    /// When the next waiting failback is due.
    pub(super) fn next_recheck(&self) -> Option<Tick> {
        self.rechecks.values().min().copied()
    }

    /// The clock was set back by so much.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.rechecks.values_mut().for_each(|at| *at = *at - by);
    }

    /// Which slots a zone's routes will have. A route keeps its slots' numbers as long as it keeps
    /// its label, so that a change of chains doesn't touch the zone's entries.
    pub(super) fn plan(&self, apex: &Name, routing: &Routing, is_signed: bool) -> Assignment {
        let mut kept: HashMap<(&str, OfType), SlotId> = HashMap::new();
        for route in self.zones.get(apex).into_iter().flatten() {
            kept.extend(route.types.iter().map(|(key, slot)| ((&*route.label, key.clone()), *slot)));
        }
        let unused =
            (self.slots.len()..).map(|place| SlotId(u32::try_from(place).expect("fewer than 2^32 routes")));
        let mut fresh = self.free.iter().copied().chain(unused);
        let mut assignment = Assignment::default();
        for route in &routing.routes {
            let mut slots = BTreeMap::new();
            let owners: Vec<Box<[u8]>> =
                route.owners.iter().map(|owner| owner.as_wire().to_ascii_lowercase().into()).collect();
            for rtype in types(routing, route) {
                let named: Vec<Option<Box<[u8]>>> =
                    if is_signed { owners.iter().cloned().map(Some).collect() } else { vec![None] };
                for owner in named {
                    let key = (rtype, owner);
                    let Some(slot) = kept.remove(&(&*route.label, key.clone())).or_else(|| fresh.next())
                    else {
                        continue;
                    };
                    let of = key.1.as_ref().map_or(&*owners, std::slice::from_ref);
                    for lower in of {
                        assignment.owners.entry(lower.clone()).or_default().insert(rtype, slot);
                    }
                    slots.insert(key, slot);
                }
            }
            assignment.routes.push(RouteSlots { label: route.label.clone(), types: slots });
        }
        assignment
    }

    /// Carries a plan out.
    pub(super) fn assign(&mut self, apex: &Name, routing: &Routing, assignment: Assignment) {
        let of = |routes: &[RouteSlots]| -> BTreeSet<SlotId> {
            routes.iter().flat_map(|route| route.types.values().copied()).collect()
        };
        let before = self.zones.remove(apex);
        let had_routes = before.is_some();
        let old = of(&before.unwrap_or_default());
        let new = of(&assignment.routes);
        // Numbers that are no longer named may be given again: entries and slots are published
        // together.
        self.free.retain(|slot| !new.contains(slot));
        self.free.extend(old.difference(&new));
        let empty = || Arc::new(Slot { regions: [].into(), variants: [].into(), ecs: false });
        let end = new.last().map_or(0, |slot| slot.0 as usize + 1);
        if end > self.slots.len() {
            self.slots.resize_with(end, empty);
        }
        // A number that was given before doesn't bring the answers of another route along.
        for slot in new.difference(&old) {
            self.slots[slot.0 as usize] = empty();
        }
        if had_routes {
            self.by_target.retain(|(zone, _), _| zone != apex);
            self.rechecks.retain(|(zone, _), _| zone != apex);
            self.renewals.retain(|(zone, _)| zone != apex);
        }
        for (at, route) in routing.routes.iter().enumerate() {
            let targets = route.targets();
            for target in targets.iter().flat_map(|target| routing.answering(*target)) {
                let Some(target) = routing.targets.get(target.0 as usize) else { continue };
                self.by_target.entry((apex.clone(), target.name.clone())).or_default().push(at);
            }
        }
        if !assignment.routes.is_empty() {
            self.zones.insert(apex.clone(), assignment.routes);
        }
    }

    /// Decides all routes of a zone. Says whether any answer changed.
    pub(super) fn decide_zone(&mut self, zone: &ZoneModel, scene: Scene<'_>) -> bool {
        self.decide_routes(zone, 0..zone.routing.routes.len(), scene)
    }

    /// Decides the routes that name a target. Says whether any answer changed.
    pub(super) fn decide_target(&mut self, zone: &ZoneModel, target: &str, scene: Scene<'_>) -> bool {
        let key = (zone.routing.apex.clone(), target.to_owned());
        let routes = self.by_target.get(&key).cloned().unwrap_or_default();
        self.decide_routes(zone, routes, scene)
    }

    /// Decides the routes whose waiting failback is due. Says whether any answer changed.
    pub(super) fn decide_due<'z>(
        &mut self,
        zone_of: impl Fn(&Name) -> Option<&'z ZoneModel>,
        scene: Scene<'_>,
    ) -> bool {
        let due: Vec<(Name, usize)> =
            self.rechecks.iter().filter(|(_, at)| **at <= scene.now).map(|(key, _)| key.clone()).collect();
        due.into_iter().fold(false, |changed, (apex, at)| {
            self.rechecks.remove(&(apex.clone(), at));
            zone_of(&apex).is_some_and(|zone| self.decide_routes(zone, [at], scene)) | changed
        })
    }

    /// When the next signature of any answer is to be made anew.
    pub(super) fn next_renewal(&self) -> Option<u64> {
        self.renewals.first()
    }

    /// Makes signatures anew whose time has come, of a few routes.
    pub(super) fn renew<'z>(&mut self, zone_of: impl Fn(&Name) -> Option<&'z ZoneModel>, scene: Scene<'_>) {
        let now = scene.now.0 / 1000;
        let due = self.renewals.until(now).take(RENEWALS_TOGETHER).cloned();
        for route in due.collect::<Vec<_>>() {
            self.renewals.set(&route, None);
            if let Some(zone) = zone_of(&route.0) {
                self.decide_routes(zone, [route.1], scene);
            }
        }
    }

    fn decide_routes(
        &mut self,
        zone: &ZoneModel,
        routes: impl IntoIterator<Item = usize>,
        scene: Scene<'_>,
    ) -> bool {
        let apex = &zone.routing.apex;
        let Some(of_routes) = self.zones.get(apex) else { return false };
        let routes: Vec<usize> = routes.into_iter().collect();
        let scene = OfZone { zone, signer: scene.signers.get(apex), shares: &self.shares, scene };
        let decide = |number: usize, known: &mut Known| {
            let at = routes[number];
            let (slots, _) = (of_routes.get(at)?, zone.routing.routes.get(at)?);
            Some((at, scene.decide(at, slots, &self.slots, known)))
        };
        let decided: Vec<Option<(usize, Decided)>> = if routes.len() < PARALLEL_ROUTES_MIN {
            let mut known = Known::default();
            (0..routes.len()).map(|number| decide(number, &mut known)).collect()
        } else {
            cores::share(routes.len(), Known::default, decide)
        };
        let mut changed = false;
        for (at, Decided { slots, recheck, renewal }) in decided.into_iter().flatten() {
            for (slot, fresh) in slots {
                self.slots[slot.0 as usize] = fresh;
                changed = true;
            }
            if let Some(renewal) = renewal {
                self.renewals.set(&(apex.clone(), at), Some(renewal));
            }
            if let Some(recheck) = recheck {
                self.rechecks.insert((apex.clone(), at), recheck);
            }
        }
        changed
    }
}

/// A zone whose routes are decided, maybe several at once.
struct OfZone<'a> {
    zone: &'a ZoneModel,
    signer: Option<&'a Arc<Signer>>,
    shares: &'a Mutex<Shares>,
    scene: Scene<'a>,
}

/// What one core has found out so far.
#[derive(Default)]
struct Known {
    /// How targets stand: each is asked for by each region of each route that names it.
    standings: HashMap<(TargetId, Family), Standing>,
    /// The last answers that weren't known, with their types and their routes' places: many services
    /// move together.
    answers: VecDeque<(usize, Rtype, Compiled)>,
}

/// What became of a route.
#[derive(Default)]
struct Decided {
    /// Those that differ from what they were.
    slots: Vec<(SlotId, Arc<Slot>)>,
    recheck: Option<Tick>,
    renewal: Option<u64>,
}

impl OfZone<'_> {
    /// What becomes of the route at a place.
    fn decide(&self, at: usize, slots: &RouteSlots, before: &[Arc<Slot>], known: &mut Known) -> Decided {
        let mut decided = Decided::default();
        for ((rtype, owner), slot) in &slots.types {
            // What was decided stays in force when it can't be rendered; `check` refuses a route too
            // large, so this is a set of hundreds of hosts, or a key that fails.
            let compiled = match self.answer(at, *rtype, owner.as_deref(), known) {
                Ok(compiled) => compiled,
                Err(why) => {
                    let route = &slots.label;
                    tracing::error!(%route, %rtype, "the route's answer {why}: the last one stays");
                    if why == Unrenderable::Unsigned {
                        let again = self.scene.now + UNSIGNED_AGAIN;
                        decided.recheck = decided.recheck.into_iter().chain([again]).min();
                    }
                    continue;
                }
            };
            decided.recheck = decided.recheck.into_iter().chain(compiled.recheck).min();
            decided.renewal = decided.renewal.into_iter().chain(compiled.renewal).min();
            if before[slot.0 as usize] != compiled.slot {
                decided.slots.push((*slot, compiled.slot));
            }
        }
        decided
    }

    /// An answer of the route at a place, as another route's if they answer the same. Where it is
    /// signed it is its owner's alone.
    fn answer(
        &self,
        at: usize,
        rtype: Rtype,
        owner: Option<&[u8]>,
        known: &mut Known,
    ) -> Result<Compiled, Unrenderable> {
        let OfZone { zone, signer, shares, scene } = self;
        let routes = &zone.routing.routes;
        let is_same = |(other, of, _): &&(usize, Rtype, Compiled)| {
            *of == rtype && routes[at].answers_as(&routes[*other])
        };
        if let Some((.., compiled)) = known.answers.iter().find(is_same).filter(|_| signer.is_none()) {
            return Ok(compiled.clone());
        }
        let standings = RefCell::new(&mut known.standings);
        let standing = |target: TargetId, family: Family| {
            *standings
                .borrow_mut()
                .entry((target, family))
                .or_insert_with(|| zone.standing(scene.board, target, family, scene.now))
        };
        let signed_as = signer.zip(owner).map(|(signer, owner)| SignedAs { signer, owner });
        let means = Means { shares, signed_as };
        let regions = scene.geography.regions();
        let compiled = routed::slot(&zone.routing, &routes[at], rtype, regions, &standing, scene.now, means)?;
        if signer.is_none() {
            known.answers.truncate(ANSWERS_KNOWN - 1);
            known.answers.push_front((at, rtype, compiled.clone()));
        }
        Ok(compiled)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::zone as config;
    use crate::geo::rules::Rules;
    use crate::health::{Desired, Subject, Watched};
    use crate::snapshot::slot::Variant;
    use crate::snapshot::{Published, Settings, Snapshot};
    use crate::wire::cookie::{Secret, Secrets};
    use crate::zone::Files;

    #[test]
    fn a_number_given_again_starts_without_answers() {
        let plan = || Assignment {
            owners: RoutedOwners::new(),
            routes: vec![RouteSlots { label: "www".into(), types: [((Rtype::A, None), SlotId(0))].into() }],
        };
        let mut slots = Slots::default();
        let first = Name::parse("a.example.", None).unwrap();
        slots.assign(&first, &Routing::none(&first), plan());
        let variant = Variant { alternatives: [(1, [0, 1].into())].into(), buckets: None };
        let answered = Slot { regions: [0].into(), variants: [variant].into(), ecs: false };
        slots.slots[0] = Arc::new(answered.clone());
        // A route that stays keeps its answers until it is decided anew.
        slots.assign(&first, &Routing::none(&first), plan());
        assert_eq!(*slots.slots[0], answered);
        slots.assign(&first, &Routing::none(&first), Assignment::default());
        let second = Name::parse("b.example.", None).unwrap();
        slots.assign(&second, &Routing::none(&second), plan());
        assert!(slots.slots[0].variants.is_empty());
    }

    #[test]
    fn routes_that_answer_the_same_share_an_answer() {
        let (mut slots, zone, geography) = routed(
            "[targets.a]\nipv4 = \"192.0.2.1\"\n[targets.b]\nipv4 = \"192.0.2.2\"\n\
             [routes.one]\ntype = \"address\"\ndefault = [\"a\", \"b\"]\n\
             [routes.other]\ntype = \"address\"\ndefault = [\"b\", \"a\"]\n\
             [routes.same]\ntype = \"address\"\ndefault = [\"a\", \"b\"]\n",
        );
        let now = Tick(1_700_000_000_000);
        let (mut board, signers) = (Board::default(), Signers::new());
        board.configure(vec![watched("a", Desired::Auto), watched("b", Desired::Auto)], now);
        assert!(
            slots.decide_zone(&zone, Scene { geography: &geography, board: &board, signers: &signers, now })
        );
        let [one, other, same] = &slots.slots[..] else { panic!("{:?}", slots.slots) };
        assert!(Arc::ptr_eq(one, same));
        assert_ne!(one, other);
        board.configure(vec![watched("a", Desired::Down), watched("b", Desired::Auto)], now);
        assert!(slots.decide_target(
            &zone,
            "a",
            Scene { geography: &geography, board: &board, signers: &signers, now }
        ));
        let [one, other, same] = &slots.slots[..] else { panic!("{:?}", slots.slots) };
        assert!(Arc::ptr_eq(one, same));
        assert_eq!(one, other, "b alone is left");
    }

    /// `cargo test --release --lib behind_one_target -- --ignored --nocapture`: how long a
    /// transition takes from its verdict until it is published.
    #[test]
    #[ignore = "a measurement"]
    #[allow(clippy::print_stdout, reason = "its result is what it prints")]
    fn ten_thousand_owners_behind_one_target() {
        let names: Vec<String> = (0..10_000).map(|n| format!("h{n}")).collect();
        let targets = "[targets.a]\nipv4 = \"192.0.2.1\"\n[targets.b]\nipv4 = \"192.0.2.2\"\n";
        let chain = "type = \"address\"\ndefault = [\"a\", \"b\"]\n";
        let each = |more: &dyn Fn(usize) -> String| {
            names.iter().enumerate().fold(targets.to_owned(), |text, (nth, name)| {
                format!("{text}[routes.{name}]\n{chain}{}", more(nth))
            })
        };
        let one = format!("{targets}[routes.all]\nnames = {names:?}\n{chain}");
        let alike = each(&|_| String::new());
        let unlike = each(&|nth| format!("ttl = {}\n", 20 + nth % 1_000));
        for (what, text) in [("one route", one), ("a route each", alike), ("a TTL each", unlike)] {
            let (mut slots, zone, geography) = routed(&text);
            let now = Tick(1_700_000_000_000);
            let mut board = Board::default();
            board.configure(vec![watched("a", Desired::Auto), watched("b", Desired::Auto)], now);
            slots.decide_zone(
                &zone,
                Scene { geography: &geography, board: &board, signers: &Signers::new(), now },
            );
            let snapshot = Snapshot::empty(
                Settings {
                    identity: String::new(),
                    udp_payload: 1232,
                    inspect: Vec::new(),
                    cookies: Arc::new(Secrets::new(Secret::new([0; 16]), [])),
                },
                Arc::default(),
            );
            let published = Published::from_pointee(snapshot.with_slots(slots.published()));
            board.configure(vec![watched("a", Desired::Down), watched("b", Desired::Auto)], now);
            let started = std::time::Instant::now();
            assert!(slots.decide_target(
                &zone,
                "a",
                Scene { geography: &geography, board: &board, signers: &Signers::new(), now }
            ));
            published.store(Arc::new(snapshot.with_slots(slots.published())));
            println!("{what}: {:?}", started.elapsed());
        }
    }

    fn watched(target: &str, desired: Desired) -> Watched {
        let zone = Name::parse("example.", None).unwrap();
        let subject = Subject { zone, target: target.to_owned(), family: Family::V4 };
        Watched {
            subject,
            desired,
            said: None,
            site: String::new(),
            is_canary: false,
            need: crate::health::Need::All,
            assume_up: true,
            probes: Vec::new(),
            needs: Vec::new(),
        }
    }

    /// A zone with these routes, its slots assigned.
    fn routed(text: &str) -> (Slots, ZoneModel, Geography) {
        let apex = Name::parse("example.", None).unwrap();
        let (config, _) = config::parse(Path::new("z.toml"), text, &apex, &[]).unwrap();
        struct Text;
        impl Files for Text {
            fn read(&self, _: &Path) -> std::io::Result<bytes::Bytes> {
                Ok("$TTL 60\n@ SOA ns.test. h.test. 1 1 1 1 60\n@ NS ns.test.\n".into())
            }
        }
        let zone = crate::zone::load(Path::new("z"), &apex, &Text, None, &|_| false).unwrap().zone;
        let zone = ZoneModel { zone: Arc::new(zone), routing: Arc::new(config.routing) };
        let mut slots = Slots::default();
        let assignment = slots.plan(&apex, &zone.routing, false);
        slots.assign(&apex, &zone.routing, assignment);
        let geography =
            Geography { table: Arc::default(), rules: Rules::default(), feeds: Vec::new(), database: None };
        (slots, zone, geography)
    }
}
