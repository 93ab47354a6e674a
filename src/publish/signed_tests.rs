//! Signed zones as they change: what is left is what a whole build gives, signature by signature
//! (those of Ed25519 are the same each time), and nothing is signed twice.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;

use super::slots::{Scene, Signers, Slots};
use super::writer::{Beginning, Change, Writer};
use super::zones::{Batch, Zones};
use crate::compile::fit::{self, Fitted};
use crate::compile::outcomes::outcomes;
use crate::compile::routed::{self, Means, SignedAs};
use crate::compile::signed_tests::{NOW, proves, signing};
use crate::compile::signer::{Lacking, Signer, Signing};
use crate::compile::tests::{ask_signed, empty, questions, random_zone, try_parse};
use crate::compile::zone::RoutedOwners;
use crate::config::zone as config;
use crate::dnssec::bundle::Bundle;
use crate::dnssec::{Denial, Keyring, Member, SigningKey};
use crate::geo::RegionId;
use crate::geo::rules::Rules;
use crate::health::{Board, Desired, Standing, Subject, Tick, Watched};
use crate::load::{LoadedZone, Pass, ZoneFiles};
use crate::model::event::Event;
use crate::model::severity::{Severity, Turn};
use crate::model::{Geography, ZoneModel};
use crate::route::{Family, Routing};
use crate::snapshot::Snapshot;
use crate::state::SavedAddresses;
use crate::wire::cookie::{Secret, Secrets};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::zone::Zone;

const DAY: u64 = 86_400;

fn apex() -> Name {
    Name::parse("example.", None).unwrap()
}

fn put(zones: &mut Zones, snapshot: &Snapshot, zone: &Arc<Zone>, signing: &Signing) -> Snapshot {
    put_fitted(zones, snapshot, zone, signing, None)
}

fn put_fitted(
    zones: &mut Zones,
    snapshot: &Snapshot,
    zone: &Arc<Zone>,
    signing: &Signing,
    fitted: Option<Fitted>,
) -> Snapshot {
    let model = ZoneModel { zone: Arc::clone(zone), routing: Arc::new(Routing::none(&apex())) };
    let mut batch = Batch::default();
    zones.set_time(signing.now);
    zones.put(&mut batch, &model, RoutedOwners::new(), Some(signing.clone()), fitted).unwrap();
    zones.published(batch, snapshot)
}

/// The first difference between two snapshots, as clients see them.
fn difference(one: &Snapshot, other: &Snapshot) -> Option<String> {
    let types = [Rtype::A, Rtype::DS, Rtype::NSEC, Rtype::SOA, Rtype::TXT, Rtype::DNSKEY];
    let questions = questions().into_iter().flat_map(|name| types.map(|rtype| (name.clone(), rtype)));
    questions.into_iter().find_map(|(name, rtype)| {
        let asked = |snapshot| ask_signed(snapshot, &name, rtype);
        (asked(one) != asked(other)).then(|| {
            let shown = |snapshot| hickory_proto::op::Message::from_vec(&asked(snapshot)).unwrap();
            format!("{name} {rtype}: {}\ninstead of {}", shown(one), shown(other))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn changes_leave_what_a_whole_build_gives(
        versions in prop::collection::vec(random_zone(), 2..5), is_hashed: bool,
    ) {
        let signing = signing(&apex(), if is_hashed { Denial::Nsec3 } else { Denial::Nsec });
        let (mut zones, mut snapshot) = (Zones::default(), empty());
        for zone in &versions {
            snapshot = put(&mut zones, &snapshot, zone, &signing);
            let whole = put(&mut Zones::default(), &empty(), zone, &signing);
            let difference = difference(&snapshot, &whole);
            prop_assert!(difference.is_none(), "{}", difference.unwrap_or_default());
        }
    }
}

/// Zones that differ without a cut or DNAME that comes or goes, so that each follows from the last.
fn calm_zone() -> impl Strategy<Value = Arc<Zone>> {
    let label = || prop::sample::select(vec!["a", "b", "*", "c"]);
    prop::collection::vec(prop::collection::vec(label(), 1..4), 0..8).prop_map(|owners| {
        let mut text = "$TTL 60\n@ SOA ns.test. h.test. 1 1 1 1 60\n@ NS ns.test.\n".to_owned();
        owners.iter().for_each(|labels| text += &format!("{} TXT x\n", labels.join(".")));
        try_parse("example.", &text).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn names_that_come_and_go_move_their_neighbours(
        versions in prop::collection::vec(calm_zone(), 2..6), is_hashed: bool,
    ) {
        let signing = signing(&apex(), if is_hashed { Denial::Nsec3 } else { Denial::Nsec });
        let (mut zones, mut snapshot) = (Zones::default(), empty());
        for zone in &versions {
            snapshot = put(&mut zones, &snapshot, zone, &signing);
        }
        let whole = put(&mut Zones::default(), &empty(), versions.last().unwrap(), &signing);
        let difference = difference(&snapshot, &whole);
        prop_assert!(difference.is_none(), "{}", difference.unwrap_or_default());
    }
}

const ZONE: &str = "$TTL 60\n@ SOA ns.test. h.test. 1 1 1 1 60\n@ NS ns.test.\na A 192.0.2.1\n*.w TXT x\n\
                    d DNAME a\ns NS ns.test.\ns DS 1 13 2 AB\nx.y.z MX 1 a\n";

#[test]
fn signatures_near_their_end_are_made_anew_in_slices_and_no_others() {
    let zone = try_parse("example.", ZONE).unwrap();
    for denial in [Denial::Nsec, Denial::Nsec3] {
        let signing = signing(&apex(), denial);
        let mut zones = Zones::default();
        let mut snapshot = put(&mut zones, &empty(), &zone, &signing);
        let first = zones.next_renewal(NOW).unwrap();
        assert!((NOW + 10 * DAY..NOW + 14 * DAY).contains(&first), "{}", first - NOW);
        zones.set_time(NOW + 9 * DAY);
        assert!(zones.renew(&mut Batch::default(), 64).is_empty(), "nothing is due");
        // All of them, three owners at a time.
        let later = NOW + 15 * DAY;
        zones.set_time(later);
        let mut slices = 0;
        while zones.next_renewal(later).unwrap() <= later {
            let mut batch = Batch::default();
            assert_eq!(zones.renew(&mut batch, 3), [apex()]);
            snapshot = zones.published(batch, &snapshot);
            slices += 1;
        }
        assert!((2..6).contains(&slices), "{slices}");
        let signer = Signer::new(Arc::clone(signing.signer.keyring()), denial, None);
        let fresh = Signing { signer: Arc::new(signer), now: later, ..signing.clone() };
        let whole = put(&mut Zones::default(), &empty(), &zone, &fresh);
        assert_eq!(difference(&snapshot, &whole), None);
        // A clock that is set back makes those invalid that begin later.
        assert_eq!(zones.next_renewal(NOW), Some(NOW));
    }
}

#[test]
fn another_key_signs_all_and_a_published_one_its_own_rrset() {
    let zone = try_parse("example.", ZONE).unwrap();
    let first = signing(&apex(), Denial::Nsec);
    let mut zones = Zones::default();
    let before = put(&mut zones, &empty(), &zone, &first);
    // Another that is only published.
    let mut members = first.signer.keyring().members().to_vec();
    let mut waiting = crate::compile::signed_tests::keyring(&apex()).members()[0].clone();
    (waiting.signs_keys, waiting.signs_zone, waiting.is_wanted_in_parent) = (false, false, false);
    members.push(waiting);
    let keyring = |members| {
        let length = Duration::from_secs(21 * DAY);
        Arc::new(Keyring::new(&apex(), members, Vec::new(), 3600, length))
    };
    let sign = |members, signer: &Signer| {
        let signer = Arc::new(Signer::new(keyring(members), Denial::Nsec, Some(signer)));
        Signing { signer, ..first.clone() }
    };
    let made = first.signer.cached();
    let second = sign(members.clone(), &first.signer);
    let published = put(&mut zones, &before, &zone, &second);
    assert_eq!(second.signer.cached(), made + 1, "DNSKEY alone");
    let asked = |snapshot: &Snapshot, name, rtype| ask_signed(snapshot, name, rtype);
    assert_ne!(asked(&before, "example.", Rtype::DNSKEY), asked(&published, "example.", Rtype::DNSKEY));
    assert_eq!(asked(&before, "a.example.", Rtype::A), asked(&published, "a.example.", Rtype::A));
    // It takes over.
    (members[0].signs_zone, members[1].signs_zone) = (false, true);
    let third = sign(members, &second.signer);
    let rolled = put(&mut zones, &published, &zone, &third);
    let whole = put(&mut Zones::default(), &empty(), &zone, &third);
    assert_eq!(difference(&rolled, &whole), None);
    assert_ne!(asked(&rolled, "a.example.", Rtype::A), asked(&published, "a.example.", Rtype::A));
}

const ROUTES: &str = r#"
[probes.p]
type = "tcp"
port = 80
[targets.one]
ipv4 = "192.0.2.1"
probes = ["p"]
[targets.two]
ipv4 = "192.0.2.2"
probes = ["p"]
[targets.three]
ipv4 = "192.0.2.3"
probes = ["p"]
[routes.www]
name = ["www", "*.www"]
type = "address"
default = [["one", "two"], "three"]
"#;

/// Tiers of targets, with or without weights.
fn tiers() -> impl Strategy<Value = String> {
    let target = || prop::sample::select(vec!["one", "two", "three", "four"]);
    let tier =
        (prop::collection::btree_set(target(), 1..4), any::<bool>()).prop_map(|(targets, is_weighted)| {
            let one = |(at, name): (usize, &&str)| match is_weighted {
                true => format!("{{ target = \"{name}\", weight = {} }}", at + 1),
                false => format!("\"{name}\""),
            };
            format!("[{}]", targets.iter().enumerate().map(one).collect::<Vec<_>>().join(", "))
        });
    prop::collection::vec(tier, 1..3).prop_filter_map("each target once", |tiers| {
        let all = tiers.concat();
        let is_once = |name: &str| all.matches(&format!("\"{name}\"")).count() < 2;
        ["one", "two", "three", "four"].iter().all(|name| is_once(name)).then(|| tiers.join(", "))
    })
}

const HOSTS: &str = r#"
[targets.one]
ipv4 = "192.0.2.1"
ipv6 = "2001:db8::1"
host = "one.test."
[targets.two]
ipv4 = "192.0.2.2"
host = "two"
[targets.three]
ipv4 = "192.0.2.3"
ipv6 = "2001:db8::3"
host = "three.a"
[targets.four]
ipv6 = "2001:db8::4"
host = "four.test."
"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn whatever_routes_answer_in_whatever_state_is_proven(
        tiers in prop::collection::vec(tiers(), 4), down in 0u8..255, is_hashed: bool, zone in random_zone(),
    ) {
        let text = format!(
            "{HOSTS}[routes.address]\nname = [\"www\", \"*.www\"]\ntype = \"address\"\ndefault = [{}]\n\
             [routes.alias]\nname = [\"x.alias\", \"*.star\"]\ntype = \"cname\"\ndefault = [{}]\n\
             [routes.mail]\nname = \"@\"\ntype = \"mx\"\ndefault = [{}]\n\
             [routes.service]\nname = \"_s._tcp\"\ntype = \"srv\"\nport = 465\ndefault = [{}]\n",
            tiers[0], tiers[1], tiers[2], tiers[3],
        );
        // What no target of a route can answer is refused, and none of this test's.
        let parsed = config::parse(Path::new("z.toml"), &text, &apex(), &[]);
        prop_assume!(parsed.is_ok());
        let model = ZoneModel { zone: Arc::clone(&zone), routing: Arc::new(parsed.unwrap().0.routing) };
        let denial = if is_hashed { Denial::Nsec3 } else { Denial::Nsec };
        let signing = Signing { outcomes: Arc::new(outcomes(&model.routing)), ..signing(&apex(), denial) };
        let signers = Signers::from([(apex(), Arc::clone(&signing.signer))]);
        let (mut zones, mut slots, mut batch) = (Zones::default(), Slots::default(), Batch::default());
        let assignment = slots.plan(&apex(), &model.routing, true);
        zones.set_time(NOW);
        zones.put(&mut batch, &model, assignment.owners.clone(), Some(signing.clone()), None).unwrap();
        slots.assign(&apex(), &model.routing, assignment);
        let geography =
            Geography { table: Arc::default(), rules: Rules::default(), feeds: Vec::new(), database: None };
        let both = ["one", "two", "three", "four"].map(|name| [Family::V4, Family::V6].map(|family| (name, family)));
        let board = board(&both.concat(), down.into());
        let scene = Scene { geography: &geography, board: &board, signers: &signers, now: Tick(NOW * 1000) };
        slots.decide_zone(&model, scene);
        let snapshot = zones.published(batch, &empty()).with_slots(slots.published());
        let names = ["www", "a.www", "x.y.www", "x.alias", "alias", "b.star", "star", "_s._tcp", "_tcp", "none"];
        let names = names.map(|name| format!("{name}.example.")).into_iter().chain(["example.".to_owned()]);
        for name in names {
            // An answer ends with a routed alias: what lies behind is the resolver's to ask.
            let is_alias = name.starts_with("x.alias.") || name.starts_with("b.star.");
            for rtype in [Rtype::A, Rtype::AAAA, Rtype::CNAME, Rtype::MX, Rtype::SRV, Rtype::TXT] {
                if is_alias && rtype != Rtype::CNAME {
                    continue;
                }
                if let Err(why) = proves(&snapshot, &zone, &signing, &name, rtype) {
                    prop_assert!(false, "{}\n{}", why, text);
                }
            }
        }
    }
}

/// Targets that nobody probes; bits of `down` say which are taken for dead.
fn board(targets: &[(&str, Family)], down: u32) -> Board {
    let watched = targets.iter().enumerate().map(|(at, &(name, family))| Watched {
        subject: Subject { zone: apex(), target: name.to_owned(), family },
        desired: Desired::Auto,
        said: None,
        site: String::new(),
        is_canary: false,
        need: crate::health::Need::All,
        assume_up: down >> at & 1 == 0,
        probes: Vec::new(),
        needs: Vec::new(),
    });
    let mut board = Board::default();
    board.configure(watched.collect(), Tick(NOW * 1000));
    board
}

#[test]
fn a_transition_signs_nothing() {
    let zone = try_parse("example.", ZONE).unwrap();
    let (config, _) = config::parse(Path::new("z.toml"), ROUTES, &apex(), &[]).unwrap();
    let model = ZoneModel { zone, routing: Arc::new(config.routing) };
    let signing = Signing { outcomes: Arc::new(outcomes(&model.routing)), ..signing(&apex(), Denial::Nsec) };
    let signers = Signers::from([(apex(), Arc::clone(&signing.signer))]);
    let (mut zones, mut slots) = (Zones::default(), Slots::default());
    let assignment = slots.plan(&apex(), &model.routing, true);
    let different: HashMap<_, _> = assignment.owners.iter().map(|(owner, slots)| (slots, owner)).collect();
    assert_eq!(different.len(), 2, "each owner has its own slot");
    let mut batch = Batch::default();
    zones.set_time(NOW);
    zones.put(&mut batch, &model, assignment.owners.clone(), Some(signing.clone()), None).unwrap();
    slots.assign(&apex(), &model.routing, assignment);
    let made = signing.signer.cached();
    let geography =
        Geography { table: Arc::default(), rules: Rules::default(), feeds: Vec::new(), database: None };
    let names = ["one", "two", "three"];
    let mut seen = std::collections::BTreeSet::new();
    for down in 0..8 {
        let board = board(&names.map(|name| (name, Family::V4)), down);
        let scene = Scene { geography: &geography, board: &board, signers: &signers, now: Tick(NOW * 1000) };
        slots.decide_zone(&model, scene);
        let snapshot = empty().with_slots(slots.published());
        seen.insert(format!("{:?}", snapshot.slot(crate::snapshot::SlotId(0)).unwrap().variants));
    }
    assert_eq!(seen.len(), 5, "four sets, and all of the first tier with the short TTL when it failed open");
    assert_eq!(signing.signer.cached(), made);
    // What is answered is renewed by its own time too.
    let later = NOW + 15 * DAY;
    assert!(slots.next_renewal().unwrap() < later);
    let before = slots.published();
    let board = Board::default();
    let scene = Scene { geography: &geography, board: &board, signers: &signers, now: Tick(later * 1000) };
    slots.renew(|_| Some(&model), scene);
    assert!(slots.next_renewal().unwrap() > later);
    assert!(slots.published().iter().zip(before.iter()).all(|(after, before)| after != before));
}

/// What an edge has of a signer's zone.
fn edge(signing: &Signing, before: Option<&Signer>) -> Signing {
    let octets = signing.signer.to_bundle(1, NOW * 1000).unwrap();
    let bundle = Arc::new(Bundle::read(&apex(), &octets).unwrap());
    Signing { signer: Arc::new(Signer::of_bundle(bundle, before)), ..signing.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn a_zone_signed_by_a_bundle_answers_as_its_signer_does(
        versions in prop::collection::vec(random_zone(), 1..4), is_hashed: bool,
    ) {
        let signing = signing(&apex(), if is_hashed { Denial::Nsec3 } else { Denial::Nsec });
        let (mut there, mut here) = (Zones::default(), Zones::default());
        let (mut one, mut other) = (empty(), empty());
        let mut before: Option<Arc<Signer>> = None;
        for zone in &versions {
            one = put(&mut there, &one, zone, &signing);
            let taken = edge(&signing, before.as_deref());
            let routing = Routing::none(&apex());
            // As the loader hands it over, with the chain that it compiled.
            let fitted = fit::fit(zone, &routing, &taken.signer, NOW).unwrap();
            let kept = taken.signer.cached();
            other = put_fitted(&mut here, &other, zone, &taken, Some(fitted));
            prop_assert!(taken.signer.cached() <= kept);
            prop_assert_eq!(taken.signer.lacking(), Lacking::default(), "nothing else is asked for");
            let difference = difference(&other, &one);
            prop_assert!(difference.is_none(), "{}", difference.unwrap_or_default());
            before = Some(taken.signer);
        }
    }
}

#[test]
fn a_bundle_lacks_what_a_later_zone_has_and_what_other_keys_would_sign() {
    let (zone, routing) = (try_parse("example.", ZONE).unwrap(), Routing::none(&apex()));
    let signing = signing(&apex(), Denial::Nsec);
    put(&mut Zones::default(), &empty(), &zone, &signing);
    let taken = edge(&signing, None);
    assert!(fit::fit(&zone, &routing, &taken.signer, NOW).is_ok());
    let end = taken.signer.earliest_end().unwrap();
    assert!((NOW + 17 * DAY..NOW + 21 * DAY).contains(&end), "{}", end - NOW);
    let later = try_parse("example.", &format!("{ZONE}new A 192.0.2.9\n")).unwrap();
    let taken = edge(&signing, None);
    let lacking = fit::fit(&later, &routing, &taken.signer, NOW).unwrap_err();
    // The address, its NSEC and the one before.
    assert_eq!((lacking.count, lacking.first.is_some()), (3, true), "{lacking:?}");
}

#[test]
fn signatures_that_were_renewed_take_the_place_of_others_at_an_edge() {
    let zone = try_parse("example.", ZONE).unwrap();
    let signing = signing(&apex(), Denial::Nsec);
    let mut there = Zones::default();
    put(&mut there, &empty(), &zone, &signing);
    let first = edge(&signing, None);
    let mut here = Zones::default();
    let before = put(&mut here, &empty(), &zone, &first);
    assert_eq!(here.next_renewal(NOW + 1000 * DAY).filter(|at| *at < NOW + 1000 * DAY), None);
    let later = NOW + 15 * DAY;
    there.set_time(later);
    let mut batch = Batch::default();
    while there.next_renewal(later).unwrap() <= later {
        there.renew(&mut batch, 64);
    }
    let renewed = there.published(batch, &before);
    let second = edge(&signing, Some(&first.signer));
    let after = put(&mut here, &before, &zone, &Signing { now: later, ..second.clone() });
    assert_eq!(difference(&after, &renewed), None);
    assert!(second.signer.earliest_end().unwrap() >= later + 17 * DAY);
}

#[test]
fn an_edge_picks_by_health_and_beyond_what_is_signed_answers_as_though_all_lived() {
    let zone = try_parse("example.", ZONE).unwrap();
    let (config, _) = config::parse(Path::new("z.toml"), ROUTES, &apex(), &[]).unwrap();
    let (route, routing) = (&config.routing.routes[0], &config.routing);
    let signing = Signing { outcomes: Arc::new(outcomes(routing)), ..signing(&apex(), Denial::Nsec) };
    assert!(fit::fit(&zone, routing, &signing.signer, NOW).is_ok());
    let taken = edge(&signing, None);
    assert!(fit::fit(&zone, routing, &taken.signer, NOW).is_ok());
    let owner = b"\x03www\x07example\0";
    let compiled = |signer: &Signer, down: u8| {
        let standing =
            |id: crate::route::TargetId, _| Standing::unprobed(Desired::Auto, down >> id.0 & 1 == 0);
        let signed_as = Some(SignedAs { signer, owner });
        let means = Means { shares: &Mutex::default(), signed_as };
        let regions = [RegionId::DEFAULT].into_iter();
        routed::slot(routing, route, Rtype::A, regions, &standing, Tick(NOW * 1000), means).unwrap().slot
    };
    for down in 0..8 {
        assert_eq!(compiled(&taken.signer, down), compiled(&signing.signer, down), "{down:03b} are down");
    }
    // A bundle of a signer that knows one target less.
    let text = ROUTES.replace("[[\"one\", \"two\"], \"three\"]", "[[\"one\", \"two\"]]");
    let (less, _) = config::parse(Path::new("z.toml"), &text, &apex(), &[]).unwrap();
    let keys = Arc::new(Signer::new(Arc::clone(signing.signer.keyring()), Denial::Nsec, None));
    let _ = fit::fit(&zone, &less.routing, &keys, NOW);
    let short = edge(&Signing { signer: keys, ..signing.clone() }, None);
    assert_eq!(compiled(&short.signer, 0b011), compiled(&signing.signer, 0), "neither first target lives");
}

/// An edge with this configuration, a bundle and the end of its first signature.
fn edge_server(config: &str) -> (Writer, u64) {
    let zone = try_parse("example.", ZONE).unwrap();
    let signing = signing(&apex(), Denial::Nsec);
    let _ = fit::fit(&zone, &Routing::none(&apex()), &signing.signer, NOW);
    let signer = edge(&signing, None).signer;
    let _ = fit::fit(&zone, &Routing::none(&apex()), &signer, NOW);
    let end = signer.earliest_end().unwrap();
    let files = Arc::new(ZoneFiles::in_directory(Path::new("zones"), &apex()));
    let (policy, _) = config::parse(&files.routes, "[dnssec]\nsign = true\n", &apex(), &[]).unwrap();
    let loaded = LoadedZone {
        zone,
        config: Arc::new(policy),
        signer: Some(signer),
        fitted: None,
        warnings: Vec::new(),
        contents: Vec::new(),
    };
    let (server, _) = crate::config::server::parse(Path::new("w.toml"), config).unwrap();
    let geography =
        Geography { table: Arc::default(), rules: Rules::default(), feeds: Vec::new(), database: None };
    let beginning = Beginning {
        server: Arc::new(server),
        geography: Arc::new(geography),
        cookie_secrets: Arc::new(Secrets::new(Secret::new([0; 16]), [])),
        pass: Pass { zones: vec![(files, Ok(loaded))], ..Pass::default() },
        fallbacks: Vec::new(),
        keyrings: BTreeMap::new(),
        health: None,
        addresses: SavedAddresses::new(),
        events: Vec::new(),
    };
    (Writer::begin(beginning, Tick(NOW * 1000)), end)
}

#[test]
fn an_edge_whose_signer_answers_no_more_says_so_when_half_of_propagation_is_over() {
    let pull = "[bundles]\nrole = \"edge\"\nurl = \"http://192.0.2.1:8080\"\ntoken = \"t\"\n";
    let (mut writer, _) = edge_server(pull);
    let status = Arc::clone(writer.status());
    let at = |seconds: u64| Tick((NOW + seconds) * 1000);
    let asked =
        |answer: Result<(), &str>| Change::Asked { zone: apex(), answer: answer.map_err(str::to_owned) };
    let told = || -> Vec<Arc<Event>> {
        let events = status.journal().since(0);
        events.into_iter().filter(|event| event.text.contains("its signer")).collect()
    };
    let zone = || status.zones()[&apex()].clone();
    assert_eq!((zone().bundle_made, zone().signer_heard), (Some(at(0)), Some(at(0))));
    // An hour is the default.
    for minutes in 1..=60 {
        writer.take(asked(Ok(())), at(60 * minutes));
        writer.take_due(at(60 * minutes));
    }
    assert!(told().is_empty());
    for minutes in 61..90 {
        writer.take(asked(Err("connection refused")), at(60 * minutes));
        writer.take_due(at(60 * minutes + 1));
    }
    assert!(told().is_empty() && zone().signer_silent.is_none());
    assert_eq!(zone().signer_heard, Some(at(3600)));
    writer.take_due(at(5400));
    writer.take_due(at(9000));
    let begun = told();
    assert_eq!(begun.len(), 1, "once");
    assert_eq!((begun[0].severity(), begun[0].turn), (Severity::Warning, Some(Turn::Begins)));
    let said = "example.: its signer's newest bundle hasn't been here for 30m: connection refused; in 30m";
    assert!(begun[0].text.starts_with(said), "{}", begun[0].text);
    assert_eq!(zone().signer_silent.as_deref(), Some("connection refused"));
    writer.take(asked(Ok(())), at(9060));
    let ended = told().pop().unwrap();
    assert_eq!((ended.severity(), ended.turn), (Severity::Warning, Some(Turn::Ends)));
    assert_eq!((zone().signer_heard, zone().signer_silent), (Some(at(9060)), None));
    // A clock that is set back is no silence, nor is the time that it takes back.
    writer.take_due(at(8000));
    writer.take_due(at(9700));
    assert_eq!(told().len(), 2);
    // One that is brought files by others is asked nothing.
    let (mut writer, _) = edge_server("[bundles]\nrole = \"edge\"\n");
    writer.take(asked(Err("nobody asked")), at(1));
    writer.take_due(at(90_000));
    let status = writer.status();
    assert_eq!(status.zones()[&apex()].signer_heard, None);
    assert!(!status.journal().since(0).iter().any(|event| event.text.contains("its signer")));
}

#[test]
fn an_edge_whose_signer_is_silent_says_so_each_day_and_answers_on() {
    let (mut writer, end) = edge_server("[bundles]\nrole = \"edge\"");
    let status = Arc::clone(writer.status());
    assert_eq!(status.zones()[&apex()].signatures_end, Some(Tick(end * 1000)));
    let mut told = |at: u64| {
        writer.take_due(Tick(at * 1000));
        writer.renew(Tick(at * 1000));
        let events = status.journal().since(0);
        let told = events.iter().filter(|event| event.text.contains("no bundle with others comes"));
        told.map(|event| event.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(told(end - 6 * DAY).len(), 0);
    assert!(told(end - 5 * DAY + 60)[0].starts_with("example.: signatures end in 4days 23h"));
    assert_eq!(told(end - 5 * DAY + 3600).len(), 1, "once a day");
    assert_eq!(told(end - 4 * DAY + 120).len(), 2);
    assert!(told(end + 10)[2].starts_with("example.: signatures are over"));
    let snapshot = writer.published().load();
    let answer = ask_signed(&snapshot, "a.example.", Rtype::A);
    assert_eq!(hickory_proto::op::Message::from_vec(&answer).unwrap().answers.len(), 2, "with its signature");
}

#[test]
fn the_next_renewal_is_that_of_the_zone_whose_signatures_are_the_oldest() {
    let mut zones = Zones::default();
    let apexes = ["one.example.", "two.example.", "three.example."];
    let put_at = |zones: &mut Zones, apex: &str, now| {
        let apex = Name::parse(apex, None).unwrap();
        let zone =
            try_parse(&apex.to_string(), "$TTL 60\n@ SOA ns.test. h.test. 1 1 1 1 60\n@ NS ns.test.\n");
        let signing = Signing { now, ..signing(&apex, Denial::Nsec) };
        put(zones, &empty(), &zone.unwrap(), &signing);
    };
    for (apex, age) in apexes.into_iter().zip([2, 3, 1]) {
        put_at(&mut zones, apex, NOW - age * DAY);
    }
    let first = zones.next_renewal(NOW).unwrap();
    put_at(&mut zones, apexes[1], NOW);
    let second = zones.next_renewal(NOW).unwrap();
    zones.remove(&mut Batch::default(), &Name::parse(apexes[0], None).unwrap());
    let third = zones.next_renewal(NOW).unwrap();
    assert!(first < second && second < third, "{first} {second} {third}");
    for apex in &apexes[1..] {
        zones.remove(&mut Batch::default(), &Name::parse(apex, None).unwrap());
    }
    assert_eq!(zones.next_renewal(NOW), None, "there is nothing left to renew");
}

/// A key whose private half may fail, as a token or a source of random numbers does.
struct Fickle {
    key: Arc<dyn crate::dnssec::Signer>,
    fails: AtomicBool,
}

impl crate::dnssec::Signer for Fickle {
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        if self.fails.load(Ordering::Relaxed) { None } else { self.key.sign(message) }
    }
}

fn fickle(denial: Denial) -> (Arc<Fickle>, Signing) {
    let signing = signing(&apex(), denial);
    let members = signing.signer.keyring().members().to_vec();
    let key = members[0].key.clone();
    let fickle = Arc::new(Fickle { key: Arc::new(Whole(key.clone())), fails: AtomicBool::new(false) });
    let half: Arc<dyn crate::dnssec::Signer> = Arc::<Fickle>::clone(&fickle);
    let key = SigningKey::with_signer(key.algorithm(), key.flags(), key.dnskey(), half);
    let members = vec![Member { key, ..members[0].clone() }];
    let keyring = Keyring::new(&apex(), members, Vec::new(), 3600, Duration::from_secs(21 * DAY));
    let signer = Arc::new(Signer::new(Arc::new(keyring), denial, None));
    (fickle, Signing { signer, ..signing })
}

struct Whole(SigningKey);

impl crate::dnssec::Signer for Whole {
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.0.sign(message)
    }
}

#[test]
fn a_version_that_no_key_signs_is_not_published_and_the_last_one_stays() {
    let old = try_parse("example.", ZONE).unwrap();
    let other = |more: &str| try_parse("example.", &(ZONE.to_owned() + more)).unwrap();
    for denial in [Denial::Nsec, Denial::Nsec3] {
        let (fickle, signing) = fickle(denial);
        let mut zones = Zones::default();
        let snapshot = put(&mut zones, &empty(), &old, &signing);
        let whole = |zone: &Arc<Zone>| put(&mut Zones::default(), &empty(), zone, &signing);
        // One name more follows from the version before; a cut has all compiled anew.
        for new in [other("b TXT x\n"), other("a.b NS ns.test.\n")] {
            fickle.fails.store(true, Ordering::Relaxed);
            let model = ZoneModel { zone: Arc::clone(&new), routing: Arc::new(Routing::none(&apex())) };
            let mut batch = Batch::default();
            let refused = zones.put(&mut batch, &model, RoutedOwners::new(), Some(signing.clone()), None);
            assert!(refused.unwrap_err().to_string().contains("can't be signed by all keys"));
            let same = zones.published(batch, &snapshot);
            assert_eq!(difference(&same, &snapshot), None);
            // What is due stays as well, and is tried again soon.
            zones.set_time(NOW + 15 * DAY);
            let mut batch = Batch::default();
            zones.renew(&mut batch, 1_000);
            let same = zones.published(batch, &snapshot);
            assert_eq!(difference(&same, &snapshot), None);
            let next = zones.next_renewal(NOW + 15 * DAY).unwrap();
            assert!((NOW + 15 * DAY..=NOW + 15 * DAY + 60).contains(&next));
            // As soon as the key signs, it is as though nothing had been.
            fickle.fails.store(false, Ordering::Relaxed);
            let now = put(&mut zones, &snapshot, &new, &signing);
            assert_eq!(difference(&now, &whole(&new)), None);
            let back = put(&mut zones, &now, &old, &signing);
            assert_eq!(difference(&back, &whole(&old)), None);
        }
    }
}
