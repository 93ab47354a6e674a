//! Decisions by example, and what must hold for every route, region and state.

use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::geo::RegionId;
use crate::health::{Desired, Standing, State, Tick};
use crate::wire::name::Name;

const NOW: Tick = Tick(1_000_000);
const TW: RegionId = RegionId(1);
const VN: RegionId = RegionId(2);

/// Targets 0, 1, 2... each with an IPv4 and a host; those in `v6` with an IPv6 too.
fn routing(targets: u32, v6: &[u32], route: Route) -> Routing {
    let apex = Name::parse("example.com.", None).unwrap();
    let target = |n: u32| Target {
        name: format!("t{n}"),
        site: None,
        ipv4: Some([198, 51, 100, u8::try_from(n).unwrap()].into()),
        ipv6: v6.contains(&n).then(|| [0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::try_from(n).unwrap()].into()),
        host: Some(apex.child(format!("t{n}").as_bytes()).unwrap()),
        address_of: None,
        probes_need: crate::health::Need::All,
        parts: Vec::new(),
        part_of: None,
        desired: Desired::Auto,
        assume_up: true,
        probes: vec!["p".to_owned()],
        needs: Vec::new(),
        capacity: None,
        load: None,
    };
    Routing { targets: (0..targets).map(target).collect(), routes: vec![route], apex }
}

fn tiers(chain: &[&[(u32, u16)]]) -> Vec<Tier> {
    let member = |&(target, weight): &(u32, u16)| Member { target: TargetId(target), weight };
    chain.iter().map(|members| Tier { members: members.iter().map(member).collect() }).collect()
}

fn route(kind: Kind, regions: Vec<(RegionId, Vec<Tier>)>, default: Vec<Tier>) -> Route {
    Route {
        label: "r".to_owned(),
        owners: vec![Name::parse("r.example.com.", None).unwrap()],
        kind,
        regions,
        default,
        answers: 0,
        ttl: Ttl { normal: 20, short: 5 },
        failback: Failback::Auto,
        ecs: true,
        sticky: true,
        min_healthy: None,
    }
}

fn standing(state: State) -> Standing {
    Standing {
        state,
        desired: Desired::Auto,
        assume_up: true,
        stale: false,
        since: Tick(0),
        recovered: None,
        lacks: None,
        is_shaky: false,
    }
}

/// Decides for `region` with the targets in `states` as said and all others up.
fn decided(routing: &Routing, region: RegionId, family: Family, states: &[(u32, Standing)]) -> Decision {
    let of = |id: TargetId, _| {
        let said = states.iter().find(|(target, _)| *target == id.0);
        said.map_or(standing(State::Up), |(_, standing)| *standing)
    };
    decide(routing, &routing.routes[0], region, family, &of, NOW)
}

fn ids(targets: &[TargetId]) -> Vec<u32> {
    targets.iter().map(|id| id.0).collect()
}

/// Alternatives as (weight, targets).
fn addresses(decision: &Decision) -> Vec<(u16, Vec<u32>)> {
    match &decision.pick {
        Pick::Addresses(all) | Pick::Cname(all) => all.iter().map(|a| (a.weight, ids(&a.targets))).collect(),
        other => panic!("{other:?}"),
    }
}

fn preferences(decision: &Decision) -> Vec<(u16, u32)> {
    match &decision.pick {
        Pick::Mx(all) => all.iter().map(|entry| (entry.preference, entry.target.0)).collect(),
        other => panic!("{other:?}"),
    }
}

fn words(routing: &Routing, decision: &Decision) -> Vec<String> {
    decision.trail.iter().map(|step| step.describe(routing, NOW)).collect()
}

#[test]
fn the_first_tier_with_an_eligible_target_answers() {
    let chain = tiers(&[&[(0, 0)], &[(1, 0), (2, 0)], &[(3, 0)]]);
    let routing = routing(4, &[], route(Kind::Address, vec![(TW, chain)], tiers(&[&[(3, 0)]])));
    assert_eq!(addresses(&decided(&routing, TW, Family::V4, &[])), [(1, vec![0])]);
    assert_eq!(addresses(&decided(&routing, VN, Family::V4, &[])), [(1, vec![3])]);
    let down =
        [(0, standing(State::Down)), (2, Standing { desired: Desired::Drained, ..standing(State::Up) })];
    let decision = decided(&routing, TW, Family::V4, &down);
    assert_eq!(addresses(&decision), [(1, vec![1])]);
    assert_eq!(
        words(&routing, &decision),
        [
            "t0 passed over: DOWN for 16m 40s",
            "t2 passed over: drained by the operator",
            "t1 served: tier 2",
            "TTL 20"
        ]
    );
}

#[test]
fn weights_make_alternatives_and_fill_up_goes_on() {
    let chain = tiers(&[&[(0, 3), (1, 1)], &[(2, 0)], &[(3, 0)]]);
    let mut routing = routing(4, &[], route(Kind::Address, vec![], chain));
    assert_eq!(addresses(&decided(&routing, TW, Family::V4, &[])), [(3, vec![0]), (1, vec![1])]);
    routing.routes[0].answers = 2;
    assert_eq!(
        addresses(&decided(&routing, TW, Family::V4, &[(2, standing(State::Down))])),
        [(3, vec![0, 3]), (1, vec![1, 3])]
    );
}

#[test]
fn a_tier_with_too_few_healthy_targets_hands_its_clients_on() {
    let chain = tiers(&[&[(0, 0), (1, 0), (2, 0)], &[(3, 0), (4, 0)]]);
    let mut routing = routing(5, &[], route(Kind::Address, vec![], chain));
    let down = |dead: &[u32]| dead.iter().map(|n| (*n, standing(State::Down))).collect::<Vec<_>>();
    let answer = |routing: &Routing, dead: &[u32]| {
        let decision = decided(routing, TW, Family::V4, &down(dead));
        (addresses(&decision).remove(0).1, words(routing, &decision))
    };
    assert_eq!(answer(&routing, &[0, 1]).0, [2]);
    for minimum in [Minimum::Percent(50), Minimum::Targets(2)] {
        routing.routes[0].min_healthy = Some(minimum);
        assert_eq!(answer(&routing, &[0]).0, [1, 2]);
        let (served, why) = answer(&routing, &[0, 1]);
        assert_eq!(served, [3, 4]);
        assert!(why[0].starts_with("tier 1 has 1 of 3 healthy (33%), "), "{why:?}");
    }
    // No tier has two: the one with the greater share of it answers, the first of equal ones.
    routing.routes[0].min_healthy = Some(Minimum::Percent(60));
    let (served, why) = answer(&routing, &[0, 1, 3]);
    assert_eq!(served, [4]);
    assert_eq!(why[2], "no tier has enough: tier 2 comes nearest");
    routing.routes[0].min_healthy = Some(Minimum::Targets(2));
    assert_eq!(answer(&routing, &[0, 1, 3]).0, [2]);
    // A tier of one has all that it can have; with nothing healthy the first tier fails open.
    routing.routes[0].default = tiers(&[&[(0, 0)], &[(1, 0), (2, 0)]]);
    assert_eq!(answer(&routing, &[]).0, [0]);
    assert_eq!(answer(&routing, &[0, 1, 2]).0, [0]);
    // Weights count: one in twenty is no half, however many targets it is.
    routing.routes[0].default = tiers(&[&[(0, 95), (1, 5)], &[(2, 0)]]);
    routing.routes[0].min_healthy = Some(Minimum::Percent(50));
    assert_eq!(answer(&routing, &[1]).0, [0]);
    assert_eq!(answer(&routing, &[0]).0, [2]);
}

#[test]
fn a_host_name_answers_with_all_its_addresses_that_live() {
    let chain = tiers(&[&[(0, 0)], &[(1, 0)]]);
    let mut unresolved = routing(2, &[], route(Kind::Address, vec![], chain));
    let mut resolved = Resolved::new();
    by_a_name(&mut unresolved.targets[0], &mut resolved);
    // Until then the next tier answers, with the normal TTL: nothing has failed.
    let decision = decided(&unresolved, TW, Family::V4, &[]);
    assert_eq!((addresses(&decision), decision.ttl, decision.failed_open), (vec![(1, vec![1])], 20, false));
    let why = words(&unresolved, &decision);
    assert_eq!(why[0], "t0 passed over: the name that says its addresses isn't resolved yet");

    let mut routing = unresolved;
    routing.set_addresses(&resolved);
    assert_eq!(routing.targets[2].name, "t0@198.51.100.0");
    assert_eq!(addresses(&decided(&routing, TW, Family::V4, &[])), [(1, vec![2, 3])]);
    // Each is judged for itself.
    let down = |dead: &[u32]| dead.iter().map(|n| (*n, standing(State::Down))).collect::<Vec<_>>();
    assert_eq!(addresses(&decided(&routing, TW, Family::V4, &down(&[2]))), [(1, vec![3])]);
    assert_eq!(addresses(&decided(&routing, TW, Family::V4, &down(&[2, 3]))), [(1, vec![1])]);
    // The name has no IPv6 address, and neither has the other target.
    assert_eq!(types(&routing, &routing.routes[0]), [crate::wire::rtype::Rtype::A]);
    assert_eq!(decided(&routing, TW, Family::V6, &[]).pick, Pick::Nothing);
    // One share for the name, whatever the number of its addresses.
    routing.routes[0].default = tiers(&[&[(0, 5), (1, 95)]]);
    assert_eq!(addresses(&decided(&routing, TW, Family::V4, &[])), [(5, vec![2, 3]), (95, vec![1])]);
    routing.routes[0].min_healthy = Some(Minimum::Targets(2));
    assert_eq!(decided(&routing, TW, Family::V4, &down(&[2])).trail.len(), 4);
    // Other addresses take the place of the old ones.
    resolved.values_mut().for_each(|known| *known = Addresses::new(["2001:db8::1".parse().unwrap()]));
    routing.set_addresses(&resolved);
    assert_eq!(routing.targets.len(), 3);
    assert_eq!(addresses(&decided(&routing, TW, Family::V6, &[])), [(5, vec![2])]);
    assert_eq!(types(&routing, &routing.routes[0]).len(), 2);
}

#[test]
fn a_drained_site_moves_every_kind_of_route() {
    for kind in [Kind::Address, Kind::Cname, Kind::Mx, Kind::Srv { port: 993 }] {
        let routing = routing(2, &[0, 1], route(kind, vec![], tiers(&[&[(0, 0)], &[(1, 0)]])));
        let drained = [(0, Standing { desired: Desired::Drained, ..standing(State::Up) })];
        let decision = decided(&routing, TW, Family::V4, &drained);
        assert_eq!(answers(&decision.pick)[0][0].0, 1, "{decision:?}");
    }
}

#[test]
fn a_suspect_is_served_with_the_short_ttl() {
    let routing = routing(2, &[], route(Kind::Address, vec![], tiers(&[&[(0, 0)], &[(1, 0)]])));
    let decision = decided(&routing, TW, Family::V4, &[(0, standing(State::Suspect))]);
    assert_eq!((addresses(&decision), decision.ttl), (vec![(1, vec![0])], 5));
    let unconsulted = decided(&routing, TW, Family::V4, &[(1, standing(State::Suspect))]);
    assert_eq!(unconsulted.ttl, 20);
}

#[test]
fn all_down_fails_open_to_the_first_tier_without_what_was_drained() {
    let routing =
        routing(4, &[], route(Kind::Address, vec![], tiers(&[&[(0, 0)], &[(1, 0), (2, 0)], &[(3, 0)]])));
    let down = |drained: &[u32]| -> Vec<(u32, Standing)> {
        let desired = |n| if drained.contains(&n) { Desired::Drained } else { Desired::Auto };
        (0..4).map(|n| (n, Standing { desired: desired(n), ..standing(State::Down) })).collect()
    };
    let decision = decided(&routing, TW, Family::V4, &down(&[]));
    assert_eq!((addresses(&decision), decision.failed_open), (vec![(1, vec![0])], true));
    assert_eq!(decision.ttl, 5);
    assert_eq!(addresses(&decided(&routing, TW, Family::V4, &down(&[0, 2]))), [(1, vec![1])]);
    assert_eq!(addresses(&decided(&routing, TW, Family::V4, &down(&[0, 1, 2, 3]))), [(1, vec![0])]);
}

#[test]
fn a_family_that_the_chain_lacks_comes_from_elsewhere() {
    let tw = tiers(&[&[(0, 0)], &[(1, 0)]]);
    let routing = routing(
        4,
        &[1, 3],
        route(Kind::Address, vec![(TW, tw), (VN, tiers(&[&[(2, 0)]]))], tiers(&[&[(3, 0)]])),
    );
    assert_eq!(addresses(&decided(&routing, TW, Family::V6, &[])), [(1, vec![1])]);
    let outside = decided(&routing, VN, Family::V6, &[(1, standing(State::Down))]);
    assert_eq!(addresses(&outside), [(1, vec![3])]);
    assert!(outside.trail.contains(&Step::LeftChain));
    // The chain has the family, though dead: the operator's boundary holds.
    let inside = decided(&routing, TW, Family::V6, &[(1, standing(State::Down))]);
    assert_eq!((addresses(&inside), inside.failed_open), (vec![(1, vec![1])], true));
}

#[test]
fn no_target_with_the_family_is_no_such_type() {
    let routing = routing(1, &[], route(Kind::Address, vec![], tiers(&[&[(0, 0)]])));
    assert_eq!(decided(&routing, TW, Family::V6, &[]).pick, Pick::Nothing);
    assert_eq!(types(&routing, &routing.routes[0]), [crate::wire::rtype::Rtype::A]);
}

#[test]
fn a_recovered_target_waits_for_its_failback() {
    let mut routing = routing(2, &[], route(Kind::Address, vec![], tiers(&[&[(0, 0)], &[(1, 0)]])));
    let back = Standing { recovered: Some(Tick(990_000)), ..standing(State::Up) };
    assert_eq!(addresses(&decided(&routing, TW, Family::V4, &[(0, back)])), [(1, vec![0])]);

    routing.routes[0].failback = Failback::After(Duration::from_secs(60));
    let waiting = decided(&routing, TW, Family::V4, &[(0, back)]);
    assert_eq!((addresses(&waiting), waiting.recheck_at), (vec![(1, vec![1])], Some(Tick(1_050_000))));
    let due = Standing { recovered: Some(Tick(940_000)), ..back };
    assert_eq!(addresses(&decided(&routing, TW, Family::V4, &[(0, due)])), [(1, vec![0])]);

    routing.routes[0].failback = Failback::Manual;
    let held = decided(&routing, TW, Family::V4, &[(0, due)]);
    assert_eq!((addresses(&held), held.recheck_at), (vec![(1, vec![1])], None));
    // Better a waiting target than a dead one.
    let only = decided(&routing, TW, Family::V4, &[(0, due), (1, standing(State::Down))]);
    assert_eq!((addresses(&only), only.failed_open), (vec![(1, vec![0])], false));
}

#[test]
fn cname_members_take_turns() {
    let routing = routing(3, &[], route(Kind::Cname, vec![], tiers(&[&[(0, 0), (1, 0)], &[(2, 0)]])));
    assert_eq!(addresses(&decided(&routing, TW, Family::V4, &[])), [(1, vec![0]), (1, vec![1])]);
    assert_eq!(addresses(&decided(&routing, TW, Family::V4, &[(0, standing(State::Down))])), [(1, vec![1])]);
}

#[test]
fn a_host_lives_while_one_family_does() {
    let routing = routing(2, &[0], route(Kind::Mx, vec![], tiers(&[&[(0, 0)], &[(1, 0)]])));
    let of = |id: TargetId, family| match (id.0, family) {
        (0, Family::V6) => standing(State::Down),
        _ => standing(State::Up),
    };
    let decision = decide(&routing, &routing.routes[0], TW, Family::V4, &of, NOW);
    assert_eq!(preferences(&decision), [(10, 0), (20, 1)]);
}

#[test]
fn exchangers_move_but_never_leave() {
    let tw = tiers(&[&[(0, 0)], &[(1, 0), (2, 0)]]);
    let routing = routing(4, &[], route(Kind::Mx, vec![(TW, tw)], tiers(&[&[(3, 0)], &[(0, 0)]])));
    assert_eq!(preferences(&decided(&routing, TW, Family::V4, &[])), [(10, 0), (20, 1), (20, 2), (30, 3)]);
    let down = [(0, standing(State::Down)), (2, standing(State::Down))];
    let decision = decided(&routing, TW, Family::V4, &down);
    assert_eq!(preferences(&decision), [(10, 1), (20, 3), (30, 0), (40, 2)]);
    assert_eq!(
        words(&routing, &decision)[..2],
        ["t0 put behind: DOWN for 16m 40s", "t2 put behind: DOWN for 16m 40s"]
    );
    let all: Vec<_> = (0..4).map(|n| (n, standing(State::Down))).collect();
    let dead = decided(&routing, TW, Family::V4, &all);
    assert_eq!(preferences(&dead), [(10, 0), (20, 1), (20, 2), (30, 3)]);
    assert!(dead.failed_open && dead.short);
}

#[test]
fn services_carry_weights_and_port() {
    let routing = routing(
        3,
        &[],
        route(Kind::Srv { port: 993 }, vec![(TW, tiers(&[&[(2, 0)]]))], tiers(&[&[(0, 3), (1, 1)]])),
    );
    let services = |region, states: &[_]| match decided(&routing, region, Family::V4, states).pick {
        Pick::Srv(all) => all.iter().map(|s| (s.priority, s.weight, s.port, s.target.0)).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(services(VN, &[]), [(10, 3, 993, 0), (10, 1, 993, 1), (20, 0, 993, 2)]);
    assert_eq!(
        services(TW, &[(2, standing(State::Down))]),
        [(10, 3, 993, 0), (20, 1, 993, 1), (30, 0, 993, 2)]
    );
}

const TARGETS: u32 = 5;

fn any_chain() -> impl Strategy<Value = Vec<Tier>> {
    let order = Just((0..TARGETS).collect::<Vec<_>>()).prop_shuffle();
    let cuts = prop::collection::vec((1usize..=3, any::<bool>(), 1u16..9), 1..=3);
    (order, cuts).prop_map(|(order, cuts)| {
        let mut order = order.into_iter();
        let tier = |(size, weighted, weight): (usize, bool, u16)| Tier {
            members: order
                .by_ref()
                .take(size)
                .map(|n| Member { target: TargetId(n), weight: if weighted { weight } else { 0 } })
                .collect(),
        };
        let chain: Vec<Tier> = cuts.into_iter().map(tier).collect();
        chain.into_iter().filter(|tier| !tier.members.is_empty()).collect()
    })
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![3 => Just(Kind::Address), 1 => Just(Kind::Cname), 1 => Just(Kind::Mx), 1 => Just(Kind::Srv { port: 993 })]
}

fn any_failback() -> impl Strategy<Value = Failback> {
    prop_oneof![Just(Failback::Auto), Just(Failback::Manual), Just(Failback::After(Duration::from_secs(60)))]
}

fn any_minimum() -> impl Strategy<Value = Option<Minimum>> {
    let minimum =
        prop_oneof![(1u32..=100).prop_map(Minimum::Percent), (1usize..4).prop_map(Minimum::Targets)];
    prop::option::of(minimum)
}

fn any_routing() -> impl Strategy<Value = Routing> {
    let regions = (prop::option::of(any_chain()), prop::option::of(any_chain()));
    let addresses = prop::collection::vec((any::<bool>(), any::<bool>(), 0u8..4), TARGETS as usize);
    let how = (0usize..4, any_failback(), any_minimum());
    (any_kind(), regions, any_chain(), how, addresses).prop_map(
        |(kind, (tw, vn), default, (answers, failback, min_healthy), addresses)| {
            let regions = [(TW, tw), (VN, vn)].into_iter().filter_map(|(id, chain)| Some((id, chain?)));
            let route = Route { answers, failback, min_healthy, ..route(kind, regions.collect(), default) };
            let all: Vec<u32> = (0..TARGETS).collect();
            let mut routing = routing(TARGETS, &all, route);
            let mut resolved = Resolved::new();
            for (target, (v4, v6, by_name)) in routing.targets.iter_mut().zip(addresses) {
                target.ipv4 = target.ipv4.filter(|_| v4);
                target.ipv6 = target.ipv6.filter(|_| v6);
                if by_name == 0 {
                    by_a_name(target, &mut resolved);
                }
            }
            routing.set_addresses(&resolved);
            routing
        },
    )
}

/// Gives a target by a host name, which has two addresses where the target had one.
fn by_a_name(target: &mut Target, resolved: &mut Resolved) {
    let own = Family::BOTH.into_iter().filter_map(|family| target.address(family));
    let addresses = own.flat_map(|address| match address {
        IpAddr::V4(v4) => [address, IpAddr::V4((v4.to_bits() | 128).into())],
        IpAddr::V6(v6) => [address, IpAddr::V6((v6.to_bits() | 128).into())],
    });
    let name = Name::parse(&format!("{}.example.net.", target.name), None).unwrap();
    resolved.insert(name.clone(), Addresses::new(addresses));
    *target = Target { address_of: Some(name), ipv4: None, ipv6: None, ..target.clone() };
}

fn any_standing() -> impl Strategy<Value = Standing> {
    let state = prop_oneof![1 => Just(State::Unknown), 3 => Just(State::Up), 1 => Just(State::Suspect), 3 => Just(State::Down)];
    let desired = prop_oneof![6 => Just(Desired::Auto), 1 => Just(Desired::Up), 1 => Just(Desired::Down), 1 => Just(Desired::Drained)];
    let recovered = prop::option::of((900_000u64..1_000_000).prop_map(Tick));
    (state, desired, any::<bool>(), any::<bool>(), recovered).prop_map(
        |(state, desired, assume_up, stale, recovered)| Standing {
            state,
            desired,
            assume_up,
            stale,
            since: Tick(0),
            recovered: recovered.filter(|_| state == State::Up),
            lacks: None,
            is_shaky: false,
        },
    )
}

/// The standing of each address: `[v4, v6]` of each target.
type Standings = Vec<[Standing; 2]>;

fn any_standings() -> impl Strategy<Value = Standings> {
    // As many as targets with all their parts may be.
    prop::collection::vec([any_standing(), any_standing()], TARGETS as usize * 5)
}

fn look_up(standings: &Standings) -> impl Fn(TargetId, Family) -> Standing {
    move |id, family| standings[id.0 as usize][usize::from(family == Family::V6)]
}

fn exists(decision: &Decision) -> bool {
    decision.pick != Pick::Nothing
}

/// Each set of targets that some client gets.
fn answers(pick: &Pick) -> Vec<Vec<TargetId>> {
    match pick {
        Pick::Nothing => vec![],
        Pick::Addresses(all) | Pick::Cname(all) => all.iter().map(|one| one.targets.clone()).collect(),
        Pick::Mx(all) => vec![all.iter().map(|one| one.target).collect()],
        Pick::Srv(all) => vec![all.iter().map(|one| one.target).collect()],
    }
}

/// Eligible without regard to failback, by this test's own reckoning.
fn is_eligible(routing: &Routing, standings: &Standings, id: TargetId, family: Family) -> bool {
    let target = &routing.targets[id.0 as usize];
    let of = |id, family| look_up(standings)(id, family);
    let has = |id: TargetId, family| routing.targets[id.0 as usize].address(family).is_some();
    let addresses: Vec<(TargetId, Family)> = routing
        .answering(id)
        .flat_map(|id| Family::BOTH.map(|family| (id, family)))
        .filter(|(id, family)| has(*id, *family))
        .collect();
    match routing.routes[0].kind {
        Kind::Address => addresses.iter().any(|one| one.1 == family && of(one.0, family).is_eligible()),
        _ if addresses.is_empty() => match of(id, Family::V4).desired {
            Desired::Auto => target.assume_up,
            desired => desired == Desired::Up,
        },
        _ => addresses.iter().any(|one| of(one.0, one.1).is_eligible()),
    }
}

proptest! {
    #[test]
    fn same_types_in_every_region_and_state(
        routing in any_routing(), one in any_standings(), other in any_standings(),
    ) {
        let route = &routing.routes[0];
        let types = types(&routing, route);
        for (standings, region) in [(&one, TW), (&other, VN), (&one, RegionId::DEFAULT)] {
            for family in Family::BOTH {
                let decision = decide(&routing, route, region, family, &look_up(standings), NOW);
                let expected = match (&route.kind, family) {
                    (Kind::Address, Family::V4) => types.contains(&crate::wire::rtype::Rtype::A),
                    (Kind::Address, Family::V6) => types.contains(&crate::wire::rtype::Rtype::AAAA),
                    _ => true,
                };
                prop_assert_eq!(exists(&decision), expected);
                for targets in answers(&decision.pick) {
                    prop_assert!(!targets.is_empty());
                    let unique: std::collections::HashSet<_> = targets.iter().collect();
                    prop_assert_eq!(unique.len(), targets.len());
                    if route.kind == Kind::Address {
                        let have = |id: &TargetId| routing.targets[id.0 as usize].address(family).is_some();
 prop_assert!(targets.iter().all(have));
                    }
                    if route.kind == Kind::Cname {
                        prop_assert_eq!(targets.len(), 1);
                    }
                }
                prop_assert_eq!(decision.ttl, if decision.short { 5 } else { 20 });
            }
        }
    }

    #[test]
    fn never_a_dead_one_while_the_chain_has_a_live_one(
        routing in any_routing(), standings in any_standings(),
    ) {
        let route = &routing.routes[0];
        prop_assume!(matches!(route.kind, Kind::Address | Kind::Cname));
        for family in Family::BOTH {
            let decision = decide(&routing, route, TW, family, &look_up(&standings), NOW);
            let mut chain = route.chain(TW).iter().flat_map(|tier| &tier.members);
            if chain.any(|member| is_eligible(&routing, &standings, member.target, family)) {
                prop_assert!(!decision.failed_open);
                for id in answers(&decision.pick).concat() {
                    prop_assert!(is_eligible(&routing, &standings, id, family));
                }
            }
        }
    }

    #[test]
    fn whole_sets_stay_whole_and_the_dead_stand_behind(
        routing in any_routing(), one in any_standings(), other in any_standings(),
    ) {
        let route = &routing.routes[0];
        prop_assume!(matches!(route.kind, Kind::Mx | Kind::Srv { .. }));
        let mut all = route.targets();
        all.sort();
        for (standings, region) in [(&one, TW), (&other, VN), (&other, RegionId::DEFAULT)] {
            let decision = decide(&routing, route, region, Family::V4, &look_up(standings), NOW);
            let ranked: Vec<(u16, TargetId)> = match &decision.pick {
                Pick::Mx(all) => all.iter().map(|one| (one.preference, one.target)).collect(),
                Pick::Srv(all) => all.iter().map(|one| (one.priority, one.target)).collect(),
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            let mut targets: Vec<TargetId> = ranked.iter().map(|(_, id)| *id).collect();
            targets.sort();
            prop_assert_eq!(&targets, &all);
            let eligible = |id| is_eligible(&routing, standings, id, Family::V4);
            for (rank, id) in &ranked {
                for (later, behind) in &ranked {
                    prop_assert!(!(later >= rank && eligible(*behind) && !eligible(*id)));
                }
            }
        }
    }

    #[test]
    fn time_moves_nothing_before_the_recheck(routing in any_routing(), standings in any_standings()) {
        let route = &routing.routes[0];
        let at = |now| decide(&routing, route, TW, Family::V4, &look_up(&standings), now);
        let first = at(NOW);
        prop_assert_eq!(&at(NOW), &first);
        let just_before = first.recheck_at.map_or(Tick(u64::MAX), |due| Tick(due.0 - 1));
        prop_assert_eq!(&at(just_before).pick, &first.pick);
    }
}
