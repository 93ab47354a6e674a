//! The smallest cases of what simulations have found.

use std::time::Duration;

use super::server::{Disk, Server, Texts};
use crate::health::{Contact, Desired, Outcome, ProbeKey, Report, State, Subject, Tick};
use crate::publish::hand::Wish;
use crate::publish::{Alert, Refused, Verdict, Whom};
use crate::resolve::Found;
use crate::route::Family;
use crate::route::addresses::Resolution;
use crate::wire::name::Name;

const NOW: Tick = Tick(1_700_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

const PUSHED: &str = "[probes.p]\ntype = \"push\"\nttl = \"30s\"\n";
const ASKED: &str = "[probes.p]\ntype = \"tcp\"\nport = 25\n";
const ALERTED: &str = "[probes.p]\ntype = \"push\"\nalert = { site = \"{site}\" }\n";

const TARGETS: &str = "\
[targets.a]\nsite = \"east\"\nipv4 = \"198.51.100.1\"\nprobes = [\"p\"]\n\
[targets.b]\nsite = \"west\"\nipv4 = \"198.51.100.2\"\nprobes = [\"p\"]\n\
[targets.c]\nsite = \"west\"\nipv4 = \"198.51.100.3\"\nprobes = [\"p\"]\n\
[routes.r]\ntype = \"address\"\nnames = [\"r\"]\ndefault = [\"a\", \"b\"]\n";

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn texts(server: &str, probes: &str, targets: &str) -> Texts {
    let zone = "$TTL 60\n@ SOA ns.test. h.test. 1 1 1 1 60\n@ NS ns.test.\n";
    Texts {
        regions: vec!["tw".to_owned()],
        server: format!("[regions.tw]\nnetworks = [\"192.0.2.0/26\"]\n{server}"),
        zones: [("example.com.".to_owned(), [zone.to_owned(), format!("{probes}{targets}")])].into(),
    }
}

fn start(texts: &Texts, disk: Disk, at: Duration, now: Tick) -> Server {
    Server::start(texts, disk, at, now).expect("it starts")
}

fn subject(target: &str) -> Subject {
    let zone = Name::parse("example.com.", None).expect("a name");
    Subject { zone, target: target.to_owned(), family: Family::V4 }
}

fn key(target: &str) -> ProbeKey {
    ProbeKey { subject: subject(target), probe: "p".to_owned() }
}

fn said(server: &Server, target: &str, now: Tick) -> Desired {
    server.writer.status().board().standing(&subject(target), now).desired
}

fn tell(server: &mut Server, ttl: Option<Duration>, at: Duration, now: Tick) {
    let (whom, evidence) = (Whom("a".to_owned()), "told".to_owned());
    let told = server.verdict(Verdict { whom, probe: None, is_up: true, evidence, ttl }, at, now);
    assert_eq!(told, 1);
}

fn report(server: &mut Server, target: &str, outcome: Outcome, now: Tick) {
    let (contact, latency, evidence) = (Contact::Answered, Duration::ZERO, "seen".to_owned());
    let report = Report { outcome, contact, latency, evidence, figures: Vec::new() };
    server.report(&key(target), &report, now.since(NOW), now);
}

#[test]
fn a_clock_that_is_set_back_before_a_window_ends_its_drain() {
    let window = "[[maintenance]]\nsite = \"east\"\nfrom = \"2023-11-14T22:00:00Z\"\n\
                  until = \"2023-11-15T04:00:00Z\"\n";
    let mut server = start(&texts(window, ASKED, TARGETS), Disk::default(), Duration::ZERO, NOW);
    assert_eq!(said(&server, "a", NOW), Desired::Drained);
    let earlier = NOW - HOUR;
    server.due(seconds(1), earlier);
    assert_eq!(said(&server, "a", earlier), Desired::Auto, "it is yet to begin");
    let later = NOW + HOUR;
    server.due(seconds(2), later);
    assert_eq!(said(&server, "a", later), Desired::Drained);
}

#[test]
fn a_window_that_ends_in_the_moment_of_a_report_ends_at_once() {
    let window = "[[maintenance]]\nsite = \"east\"\nfrom = \"2023-11-14T22:00:00Z\"\n\
                  until = \"2023-11-14T22:13:30Z\"\n";
    let mut server = start(&texts(window, ASKED, TARGETS), Disk::default(), Duration::ZERO, NOW);
    let end = NOW + seconds(10);
    server.due(seconds(9), NOW + seconds(9));
    report(&mut server, "b", Outcome::Healthy, end);
    assert!(server.writer.next_due(end) <= super::SOON);
    server.due(seconds(10), end);
    assert_eq!(said(&server, "a", end), Desired::Auto);
}

#[test]
fn a_clock_that_is_set_back_while_the_server_is_away_ends_no_order() {
    let texts = texts("", ASKED, TARGETS);
    let mut server = start(&texts, Disk::default(), Duration::ZERO, NOW);
    let wish = Wish::Order(Desired::Drained, Some(seconds(60)));
    server.wish("a", wish, true, Duration::ZERO, NOW).expect("it is carried out");
    let earlier = NOW - HOUR;
    let mut server = start(&texts, server.disk.clone(), seconds(10), earlier);
    assert_eq!(said(&server, "a", earlier), Desired::Drained);
    let after = earlier + seconds(60);
    server.due(seconds(70), after);
    assert_eq!(said(&server, "a", after), Desired::Auto, "and it holds no longer than was said");
}

#[test]
fn who_has_no_address_yet_would_have_clients_if_all_were_well() {
    let targets = "[targets.h]\nhost = \"h.test.\"\naddress_of = \"lb.test\"\nassume = \"down\"\nload = 50\n\
                   [targets.a]\nhost = \"a.test.\"\nload = 30\ncapacity = 60\n\
                   [targets.b]\nhost = \"b.test.\"\ncapacity = 40\n\
                   [routes.r]\ntype = \"cname\"\nnames = [\"r\"]\ndefault = [\"h\", \"a\", \"b\"]\n";
    let mut server = start(&texts("", "", targets), Disk::default(), Duration::ZERO, NOW);
    let drain = || Wish::Order(Desired::Drained, None);
    let refused = server.wish("a", drain(), false, Duration::ZERO, NOW).expect_err("b can't take them");
    let Refused::Overloaded(all) = refused else { panic!("{refused:?}") };
    assert_eq!(all[0].load, 50, "{all:?}");
}

#[test]
fn a_word_gets_older_while_the_clock_is_set_back_and_the_server_away() {
    let texts = texts("", PUSHED, TARGETS);
    let mut server = start(&texts, Disk::default(), Duration::ZERO, NOW);
    tell(&mut server, None, Duration::ZERO, NOW);
    // Something newer is kept, so that the word is known to be 20 seconds old.
    let wish = Wish::Order(Desired::Drained, None);
    server.wish("b", wish, true, seconds(20), NOW + seconds(20)).expect("it is carried out");
    let earlier = NOW - HOUR;
    let server = start(&texts, server.disk.clone(), seconds(20), earlier);
    assert_eq!(server.hear(&key("a"), seconds(30), earlier + seconds(10)), Some(Outcome::Healthy));
    assert_eq!(server.hear(&key("a"), seconds(31), earlier + seconds(11)), Some(Outcome::Blocked));
}

#[test]
fn a_word_that_holds_for_less_is_kept_at_once() {
    let texts = texts("", PUSHED, TARGETS);
    let mut server = start(&texts, Disk::default(), Duration::ZERO, NOW);
    tell(&mut server, None, Duration::ZERO, NOW);
    tell(&mut server, Some(seconds(2)), seconds(1), NOW + seconds(1));
    // It is killed.
    let server = start(&texts, server.disk.clone(), seconds(2), NOW + seconds(2));
    assert_eq!(server.hear(&key("a"), seconds(3), NOW + seconds(3)), Some(Outcome::Healthy));
    assert_eq!(server.hear(&key("a"), seconds(4), NOW + seconds(4)), Some(Outcome::Blocked));
}

#[test]
fn an_alert_says_nothing_to_a_probe_that_asks_for_others_now() {
    let before = texts("", ALERTED, TARGETS);
    let after = texts("", &ALERTED.replace("site", "target"), TARGETS);
    let mut server = start(&before, Disk::default(), Duration::ZERO, NOW);
    let labels = [("site".to_owned(), "east".to_owned())].into();
    let (fingerprint, words) = ("1".to_owned(), "QueueDrowning".to_owned());
    let alert = Alert { fires: true, labels, fingerprint, words };
    assert_eq!(server.alerts(vec![alert], Duration::ZERO, NOW), 1);
    assert_eq!(server.hear(&key("a"), Duration::ZERO, NOW), Some(Outcome::Failed));
    // Nobody would resolve it: the alert that does has another label.
    server.reload(&before, &after, seconds(1), NOW + seconds(1));
    assert_eq!(server.hear(&key("a"), seconds(1), NOW + seconds(1)), Some(Outcome::Healthy));
    let server = start(&after, server.disk.clone(), seconds(2), NOW + seconds(2));
    assert_eq!(server.hear(&key("a"), seconds(2), NOW + seconds(2)), Some(Outcome::Healthy));
}

#[test]
fn a_name_that_was_forgotten_stays_so_over_a_restart() {
    let named = TARGETS.replacen("ipv4 = \"198.51.100.1\"", "address_of = \"lb.example.net\"", 1);
    let (named, plain) = (texts("", ASKED, &named), texts("", ASKED, TARGETS));
    let mut server = start(&named, Disk::default(), Duration::ZERO, NOW);
    let name = Name::parse("lb.example.net.", None).expect("a name");
    let addresses = Resolution { ipv4: Ok(vec![[203, 0, 113, 7].into()]), ipv6: Ok(vec![]) };
    server.found(&Found { name, resolution: addresses }, Duration::ZERO, NOW);
    let known = |server: &Server| {
        let model = server.writer.status().model();
        let targets = &model.zones.values().next().expect("a zone").routing.targets;
        targets.iter().filter(|target| target.part_of.is_some()).count()
    };
    assert_eq!(known(&server), 1);
    server.reload(&named, &plain, seconds(1), NOW);
    server.reload(&plain, &named, seconds(2), NOW);
    assert_eq!(known(&server), 0, "it is to be resolved anew");
    let server = start(&named, server.disk.clone(), seconds(3), NOW);
    assert_eq!(known(&server), 0);
}

const CANARY: &str = "[canaries.u]\naddress = \"192.0.2.53\"\ntype = \"tcp\"\nport = 53\nfall = 1\n";

/// The only canary fails, and so do all probes of a target.
fn fail(server: &mut Server, now: Tick) {
    report(server, "a", Outcome::Healthy, now);
    fail_canary(server, now);
    for _ in 0..3 {
        report(server, "a", Outcome::Failed, now + seconds(1));
    }
}

fn fail_canary(server: &mut Server, now: Tick) {
    let canary = server.jobs.keys().find(|key| key.subject.zone.is_root()).cloned().expect("a canary");
    let (outcome, contact) = (Outcome::Failed, Contact::Answered);
    let (latency, evidence) = (Duration::ZERO, "seen".to_owned());
    let report = Report { outcome, contact, latency, evidence, figures: Vec::new() };
    server.report(&canary, &report, now.since(NOW), now);
}

fn state(server: &Server) -> State {
    server.writer.status().board().standing(&subject("a"), NOW).state
}

#[test]
fn a_doubt_ends_when_its_reason_is_taken_out_of_the_file() {
    let (with, without) = (texts(CANARY, ASKED, TARGETS), texts("", ASKED, TARGETS));
    let mut server = start(&with, Disk::default(), Duration::ZERO, NOW);
    fail(&mut server, NOW);
    assert_eq!(state(&server), State::Suspect, "its death is held");
    server.reload(&with, &without, seconds(2), NOW + seconds(2));
    assert_eq!(state(&server), State::Down, "nobody is left to doubt by");
}

#[test]
fn who_accepts_twice_is_believed_all_the_same() {
    let mut server = start(&texts(CANARY, ASKED, TARGETS), Disk::default(), Duration::ZERO, NOW);
    fail(&mut server, NOW);
    let now = NOW + seconds(2);
    server.wish("", Wish::Believe, true, seconds(2), now).expect("it is doubted");
    assert_eq!(state(&server), State::Down);
    server.wish("", Wish::Believe, true, seconds(2), now).expect_err("nothing is doubted any more");
    fail_canary(&mut server, now + seconds(5));
    report(&mut server, "b", Outcome::Healthy, now + seconds(6));
    assert!(server.writer.status().board().doubt().is_none(), "the failures are real");
}

#[test]
fn who_accepts_deaths_has_not_accepted_that_the_server_is_cut_off() {
    let mut server = start(&texts(CANARY, ASKED, TARGETS), Disk::default(), Duration::ZERO, NOW);
    for (outcome, at) in
        [(Outcome::Healthy, 0), (Outcome::Failed, 1), (Outcome::Failed, 2), (Outcome::Failed, 3)]
    {
        for target in ["a", "b", "c"] {
            report(&mut server, target, outcome, NOW + seconds(at));
        }
    }
    let now = NOW + seconds(4);
    assert!(server.writer.status().board().doubt().is_some(), "all left together");
    server.wish("", Wish::Believe, true, seconds(4), now).expect("it is doubted");
    fail_canary(&mut server, now + seconds(1));
    assert!(server.writer.status().board().doubt().is_some(), "the canary fails as well");
}
