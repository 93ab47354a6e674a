//! Rolls as a resolver sees them that kept what it was given for as long as it might.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::rollover::*;
use super::{Algorithm, KeySplit, Policy};
use crate::health::Tick;

const P256: Algorithm = Algorithm::EcdsaP256Sha256;

/// What a name server of the zone or of its parent may have given at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shown {
    ds: BTreeSet<KeyId>,
    dnskeys: BTreeSet<KeyId>,
    key_signers: BTreeSet<KeyId>,
    zone_signers: BTreeSet<KeyId>,
}

struct World {
    memory: Memory,
    policy: Policy,
    max_ttl: u32,
    ds_ttl: u32,
    now: Tick,
    tag: u16,
    ds: BTreeSet<KeyId>,
    /// What was shown, and from when on.
    history: Vec<(Tick, Shown)>,
}

impl World {
    fn input<'a>(&'a self, parent: Option<&'a ParentDs>) -> Input<'a> {
        Input { now: self.now, policy: &self.policy, max_ttl: self.max_ttl, parent }
    }

    fn add(&mut self, wants: Vec<Want>) {
        for want in wants {
            self.tag += 1;
            self.memory.add(self.tag, want, self.now);
        }
    }

    fn step(&mut self) {
        let wants = self.memory.due(&self.input(None));
        self.add(wants);
        let parent = ParentDs {
            everywhere: self.ds.clone(),
            anywhere: self.ds.clone(),
            ttl: self.ds_ttl,
            has_any: !self.ds.is_empty(),
        };
        let (policy, mut memory) = (self.policy.clone(), self.memory.clone());
        let input = Input { now: self.now, policy: &policy, max_ttl: self.max_ttl, parent: Some(&parent) };
        memory.step(&input);
        self.memory = memory;
        self.show();
    }

    /// The parent does what CDS asks for (RFC 7344 5).
    fn parent_acts(&mut self) {
        let wanted = self.of(|duties| duties.is_wanted_in_parent);
        if !wanted.is_empty() {
            self.ds = wanted;
            self.show();
        }
    }

    fn of(&self, is: impl Fn(Duties) -> bool) -> BTreeSet<KeyId> {
        let keys = self.memory.keys.iter();
        keys.filter(|key| is(self.memory.duties(key))).map(|key| key.id).collect()
    }

    fn show(&mut self) {
        let shown = Shown {
            ds: self.ds.clone(),
            dnskeys: self.of(|duties| duties.is_published),
            key_signers: self.of(|duties| duties.signs_keys),
            zone_signers: self.of(|duties| duties.signs_zone),
        };
        if self.history.last().is_none_or(|(_, last)| *last != shown) {
            self.history.push((self.now, shown));
        }
    }

    /// All that a resolver may hold now that keeps it for `ttl`, from a server that was `late`.
    fn held(&self, ttl: u32, late: Duration) -> impl Iterator<Item = &Shown> {
        let oldest = self.now - Duration::from_secs(ttl.into()) - late;
        let ends = self.history.iter().skip(1).map(|(from, _)| *from).chain([Tick(u64::MAX)]);
        let held = self.history.iter().zip(ends).filter(move |(_, end)| *end > oldest);
        held.map(|((_, shown), _)| shown)
    }

    /// Every mixture of what may be held is a chain of trust, or the zone is unsigned in it; for
    /// every algorithm of DS there is one, as strict validators want (RFC 6840 5.11 doesn't).
    fn is_trusted(&self) -> Result<(), String> {
        let late = self.policy.propagation;
        for ds in self.held(self.ds_ttl, late).filter(|shown| !shown.ds.is_empty()) {
            for keys in self.held(self.policy.dnskey_ttl, late) {
                for zone in self.held(self.max_ttl, late) {
                    let algorithms: BTreeSet<Algorithm> = ds.ds.iter().map(|id| id.algorithm).collect();
                    for algorithm in algorithms {
                        let is_of = |id: &&KeyId| id.algorithm == algorithm;
                        let is_entry =
                            |id: &KeyId| keys.dnskeys.contains(id) && keys.key_signers.contains(id);
                        let has_keys = ds.ds.iter().filter(is_of).any(is_entry);
                        let has_zone =
                            zone.zone_signers.iter().filter(is_of).any(|id| keys.dnskeys.contains(id));
                        // RFC 4035 2.2: each algorithm among DNSKEYs signs all.
                        let signed_by_all = keys
                            .dnskeys
                            .iter()
                            .all(|key| zone.zone_signers.iter().any(|id| id.algorithm == key.algorithm));
                        if !has_keys || !has_zone || !signed_by_all {
                            return Err(format!("at {}: {ds:?}\n{keys:?}\n{zone:?}", self.now.0));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn world(keys: KeySplit, policy: Policy, max_ttl: u32, ds_ttl: u32) -> World {
    let policy = Policy { keys, ..policy };
    World {
        memory: Memory::default(),
        policy,
        max_ttl,
        ds_ttl,
        now: Tick(1_800_000_000_000),
        tag: 0,
        ds: BTreeSet::new(),
        history: vec![(Tick(0), Shown::default())],
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Wait(u32),
    Parent,
    Roll(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1u32..200_000).prop_map(Act::Wait),
        2 => Just(Act::Parent),
        2 => (0u8..4).prop_map(Act::Roll),
    ]
}

proptest! {
    /// The promise of the whole file.
    #[test]
    fn never_a_moment_without_a_chain_of_trust(
        is_split in any::<bool>(),
        dnskey_ttl in 1u32..100_000,
        max_ttl in 1u32..100_000,
        ds_ttl in 1u32..100_000,
        propagation in 1u64..10_000,
        acts in proptest::collection::vec(act(), 1..120),
    ) {
        let split = if is_split { KeySplit::KskZsk } else { KeySplit::Csk };
        let policy = Policy {
            dnskey_ttl,
            parent_ds_ttl: 1,
            propagation: Duration::from_secs(propagation),
            zsk_lifetime: Some(Duration::from_secs(400_000)),
            ..Policy::default()
        };
        let mut world = world(split, policy, max_ttl, ds_ttl);
        world.step();
        for act in acts {
            match act {
                Act::Wait(seconds) => world.now = world.now + Duration::from_secs(seconds.into()),
                Act::Parent => world.parent_acts(),
                Act::Roll(which) => {
                    let has = world.memory.keys[0].id.algorithm;
                    let other = if has == P256 { Algorithm::Ed25519 } else { P256 };
                    let roll = [Roll::Zsk, Roll::Ksk, Roll::Csk, Roll::Algorithm(other)][usize::from(which)];
                    if let Ok(wants) = world.memory.roll(roll, &world.policy) {
                        world.add(wants);
                        world.show();
                    }
                }
            }
            // Both before the step and after it.
            prop_assert_eq!(world.is_trusted(), Ok(()));
            world.step();
            prop_assert_eq!(world.is_trusted(), Ok(()));
        }
    }
}

fn states(world: &World) -> Vec<(u16, State)> {
    world.memory.keys.iter().map(|key| (key.id.tag, key.state)).collect()
}

fn after(world: &mut World, seconds: u64) -> Vec<(u16, State)> {
    world.now = world.now + Duration::from_secs(seconds);
    world.step();
    states(world)
}

/// Waits for a step to end, each longer than any TTL.
fn settle(world: &mut World) {
    for _ in 0..8 {
        after(world, 200_000);
        world.parent_acts();
    }
}

#[test]
fn a_csk_rolls_when_the_parent_has_its_ds_and_never_before() {
    let mut world = world(KeySplit::Csk, Policy::default(), 300, 86_400);
    world.step();
    assert_eq!(states(&world), [(1, State::Published)]);
    assert!(world.of(|duties| duties.is_wanted_in_parent).is_empty());
    assert_eq!(after(&mut world, 7_199), [(1, State::Published)]);
    assert_eq!(after(&mut world, 1), [(1, State::Submitted)]);
    world.parent_acts();
    assert_eq!(after(&mut world, 1), [(1, State::Active)]);
    let wants = world.memory.roll(Roll::Csk, &world.policy).unwrap();
    world.add(wants);
    assert!(world.memory.roll(Roll::Csk, &world.policy).unwrap_err().contains("taking over already"));
    assert_eq!(after(&mut world, 7_200), [(1, State::Active), (2, State::Submitted)]);
    // Ten years without an answer.
    assert_eq!(after(&mut world, 315_360_000), [(1, State::Active), (2, State::Submitted)]);
    let parent = ParentDs { everywhere: world.ds.clone(), anywhere: world.ds.clone(), ttl: 1, has_any: true };
    let overdue = world.memory.overdue(&world.input(Some(&parent))).unwrap();
    assert_eq!(overdue, "the parent's nameservers to have the DS of key 2 (ecdsap256sha256)");
    // The old one beside it isn't enough either: its DS would be left without a key.
    let both = world.of(|duties| duties.signs_keys);
    world.ds = both;
    assert_eq!(after(&mut world, 1), [(1, State::Active), (2, State::Submitted)]);
    world.parent_acts();
    assert_eq!(after(&mut world, 1), [(1, State::Retired), (2, State::Delegated)]);
    assert_eq!(after(&mut world, 89_999), [(1, State::Retired), (2, State::Delegated)]);
    assert_eq!(after(&mut world, 1), [(2, State::Active)]);
}

#[test]
fn a_zsk_rolls_by_itself() {
    let mut world = world(KeySplit::KskZsk, Policy::default(), 300, 86_400);
    settle(&mut world);
    assert_eq!(states(&world), [(1, State::Active), (2, State::Active)]);
    assert_eq!(after(&mut world, 90 * 86_400)[2], (3, State::Published));
    assert_eq!(after(&mut world, 7_200)[1..], [(2, State::Retired), (3, State::Active)]);
    assert_eq!(after(&mut world, 3_900), [(1, State::Active), (3, State::Active)]);
}

#[test]
fn another_algorithm_signs_before_its_keys_are_seen() {
    for split in [KeySplit::Csk, KeySplit::KskZsk] {
        let policy = Policy { zsk_lifetime: None, ..Policy::default() };
        let mut world = world(split, policy, 300, 86_400);
        settle(&mut world);
        let wants = world.memory.roll(Roll::Algorithm(Algorithm::Ed25519), &world.policy).unwrap();
        world.add(wants);
        world.show();
        let new = |world: &World| -> Vec<State> {
            let keys = world.memory.keys.iter();
            keys.filter(|key| key.id.algorithm == Algorithm::Ed25519).map(|key| key.state).collect()
        };
        assert!(new(&world).iter().all(|state| *state == State::Signing));
        assert!(world.of(|duties| duties.is_published).iter().all(|id| id.algorithm == P256));
        assert!(world.of(|duties| duties.signs_zone).iter().any(|id| id.algorithm != P256));
        for _ in 0..20 {
            after(&mut world, 50_000);
            world.parent_acts();
            assert_eq!(world.is_trusted(), Ok(()));
        }
        assert!(new(&world).iter().all(|state| *state == State::Active));
        assert_eq!(new(&world).len(), world.memory.keys.len());
    }
}
