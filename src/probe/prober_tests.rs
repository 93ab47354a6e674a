//! The prober with real sockets: when probes come, and that they end with their configuration.

use std::net::Ipv4Addr;

use tokio::net::TcpListener;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::*;
use crate::health::{Board, Desired, Outcome, Pace, State, Subject, Watched};
use crate::probe::Check;
use crate::route::model::Family;
use crate::wire::name::Name;

type Reports = Receiver<(ProbeKey, Report, Tick)>;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LONG: Duration = Duration::from_secs(5);

fn prober(capacity: usize) -> (Prober, Reports) {
    let (sender, reports) = mpsc::channel(capacity);
    (Prober::new(&ProberOptions::default(), sender, Handle::current()), reports)
}

fn job(target: &str, port: u16, interval: Duration) -> Job {
    let zone = Name::parse("example.com.", None).unwrap();
    let subject = Subject { zone, target: target.to_owned(), family: Family::V4 };
    let pace = Pace { interval, ..Pace::default() };
    let spec = Spec { name: "tcp".to_owned(), check: Check::Tcp { port }, pace, tripwire: None };
    Job { key: ProbeKey { subject, probe: spec.name.clone() }, address: HERE, spec }
}

async fn next(reports: &mut Reports) -> (String, bool) {
    let (key, report, at) = timeout(LONG, reports.recv()).await.unwrap().unwrap();
    assert!(at > Tick(1_700_000_000_000));
    (key.subject.target, report.outcome == Outcome::Healthy)
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[tokio::test]
async fn jobs_begin_at_once_and_go_on() {
    let (_listener, port) = listener().await;
    let (prober, mut reports) = prober(16);
    let started = Instant::now();
    prober.apply(vec![job("a", port, Duration::from_millis(50)), job("b", port, Duration::from_secs(60))]);
    let mut seen = vec![next(&mut reports).await, next(&mut reports).await];
    while seen.iter().filter(|(target, _)| target == "a").count() < 3 {
        seen.push(next(&mut reports).await);
    }
    assert!(started.elapsed() >= Duration::from_millis(90));
    while !seen.iter().any(|(target, _)| target == "b") {
        seen.push(next(&mut reports).await);
    }
    // b's first probe comes within half a second, however long its interval is.
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(seen.iter().all(|(_, healthy)| *healthy));
    assert_eq!((prober.figures().jobs, prober.figures().running), (2, 2));
}

#[tokio::test]
async fn a_pace_shortens_the_wait() {
    let (prober, mut reports) = prober(16);
    let dead = listener().await.1;
    let job = job("a", dead, Duration::from_secs(60));
    prober.apply(vec![job.clone()]);
    assert_eq!(next(&mut reports).await, ("a".to_owned(), false));
    let asked = Instant::now();
    prober.pace(&job.key, Duration::from_millis(100));
    next(&mut reports).await;
    assert!(asked.elapsed() >= Duration::from_millis(80) && asked.elapsed() < LONG);
    // The pace was for one wait; now the interval holds again.
    assert!(timeout(Duration::from_millis(300), reports.recv()).await.is_err());
}

#[tokio::test]
async fn a_job_lives_as_long_as_its_configuration() {
    let (_listener, port) = listener().await;
    let (prober, mut reports) = prober(1024);
    let (a, b) = (job("a", port, Duration::from_millis(20)), job("b", port, Duration::from_secs(60)));
    prober.apply(vec![a, b.clone()]);
    while next(&mut reports).await.0 != "b" {}
    prober.apply(vec![b.clone()]);
    assert_eq!(prober.figures().jobs, 1);
    // What was on its way may still come; then nothing does, of the unchanged job neither.
    while timeout(Duration::from_millis(200), reports.recv()).await.is_ok() {}
    // A changed job begins anew, at once.
    let mut changed = b;
    changed.spec.check = Check::Tcp { port: listener().await.1 };
    prober.apply(vec![changed]);
    assert_eq!(next(&mut reports).await, ("b".to_owned(), false));
    drop(prober);
    assert!(timeout(LONG, reports.recv()).await.unwrap().is_none());
}

#[tokio::test]
async fn reports_that_nobody_takes_are_dropped_and_counted() {
    let (_listener, port) = listener().await;
    let (prober, mut reports) = prober(1);
    prober.apply(vec![job("a", port, Duration::from_millis(10))]);
    timeout(LONG, async {
        while prober.figures().dropped < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    assert!(prober.figures().sent >= 4);
    next(&mut reports).await;
    next(&mut reports).await;
}

/// A job with a tripwire that asks every ten minutes.
fn wired(port: u16) -> Job {
    let mut job = job("a", port, Duration::from_secs(600));
    job.spec.tripwire = Some(true);
    job
}

/// The prober's connections: that of the first probe, and the one that stays.
async fn stretched(listener: &TcpListener) -> tokio::net::TcpStream {
    loop {
        let mut stream = timeout(LONG, listener.accept()).await.unwrap().unwrap().0;
        let mut octet = [0];
        let read = tokio::io::AsyncReadExt::read(&mut stream, &mut octet);
        if timeout(Duration::from_millis(300), read).await.is_err() {
            return stream;
        }
    }
}

#[tokio::test]
async fn a_lost_connection_has_its_target_probed_at_once() {
    let (listener, port) = listener().await;
    let (prober, mut reports) = prober(16);
    prober.apply(vec![wired(port)]);
    assert_eq!(next(&mut reports).await, ("a".to_owned(), true));
    let held = stretched(&listener).await;
    drop(listener);
    let lost = Instant::now();
    held.set_zero_linger().unwrap();
    drop(held);
    assert_eq!(next(&mut reports).await, ("a".to_owned(), false));
    assert!(lost.elapsed() < Duration::from_secs(2), "{:?}", lost.elapsed());
}

#[tokio::test]
async fn a_tripwire_ends_with_its_job() {
    let (listener, port) = listener().await;
    let (prober, mut reports) = prober(16);
    prober.apply(vec![wired(port)]);
    next(&mut reports).await;
    let mut held = stretched(&listener).await;
    prober.apply(Vec::new());
    let ended = timeout(LONG, tokio::io::AsyncReadExt::read(&mut held, &mut [0; 8])).await.unwrap();
    assert_eq!(ended.unwrap(), 0);
}

#[tokio::test]
async fn one_address_is_not_asked_by_more_than_its_budget() {
    let (listener, port) = listener().await;
    let (sender, _reports) = mpsc::channel(64);
    let manners = Manners { max_connections_per_target: 2, ..Manners::default() };
    let options = ProberOptions { manners, ..ProberOptions::default() };
    let prober = Prober::new(&options, sender, Handle::current());
    let jobs = (0..8).map(|nth| {
        let mut job = job(&format!("t{nth}"), port, Duration::from_secs(60));
        // Nobody answers, so that all of them hang.
        job.spec.check = Check::Tls { port, tls: crate::probe::Tls::of("mx.example.com") };
        job
    });
    prober.apply(jobs.collect());
    let mut held = Vec::new();
    while let Ok(Ok((stream, _))) = timeout(Duration::from_millis(600), listener.accept()).await {
        held.push(stream);
    }
    assert_eq!(held.len(), 2);
}

#[tokio::test]
async fn a_death_is_known_within_an_interval_and_the_burst() {
    let (listener, port) = listener().await;
    let (prober, mut reports) = prober(16);
    let job = job("a", port, Duration::from_secs(1));
    let mut board = Board::default();
    let watched = Watched {
        subject: job.key.subject.clone(),
        desired: Desired::Auto,
        said: None,
        site: String::new(),
        is_canary: false,
        need: crate::health::Need::All,
        assume_up: true,
        probes: vec![(job.key.probe.clone(), job.spec.pace)],
        needs: Vec::new(),
    };
    board.configure(vec![watched], now());
    prober.apply(vec![job]);
    let mut listener = Some(listener);
    let mut died = Instant::now();
    loop {
        let (key, report, at) = timeout(LONG, reports.recv()).await.unwrap().unwrap();
        let observed = board.observe(&key, &report, at).unwrap();
        prober.pace(&key, observed.next_after);
        match observed.transition.map(|transition| transition.to) {
            Some(State::Up) => {
                listener = None;
                died = Instant::now();
            }
            Some(State::Down) => break,
            _ => {}
        }
    }
    assert!(listener.is_none());
    // At most one interval, and two more tries 50 ms apart: a refusal needs no patience.
    let took = died.elapsed();
    assert!(took > Duration::from_millis(800) && took < Duration::from_millis(1800), "{took:?}");
}

#[tokio::test]
async fn a_thousand_jobs_all_get_their_turn() {
    let (listener, port) = listener().await;
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let (prober, mut reports) = prober(2000);
    prober.apply((0..1000).map(|n| job(&format!("t{n}"), port, Duration::from_secs(60))).collect());
    let mut seen = std::collections::HashSet::new();
    while seen.len() < 1000 {
        assert!(seen.insert(next(&mut reports).await.0));
    }
}

#[test]
fn waits_are_up_to_a_tenth_shorter() {
    let interval = Duration::from_secs(10);
    assert_eq!(jittered(interval, 0), interval);
    assert_eq!(jittered(interval, u64::MAX), Duration::from_millis(9_000));
    let random = RandomState::new();
    let waits: Vec<Duration> = (0..100u64).map(|nth| jittered(interval, random.hash_one(nth))).collect();
    assert!(waits.iter().any(|wait| *wait < interval.mul_f64(0.95)));
    assert!(waits.iter().all(|wait| *wait <= interval));
}

#[test]
fn only_a_shorter_wait_is_haste() {
    let reported = Instant::now();
    let (interval, soon) = (Duration::from_secs(5), Duration::from_millis(300));
    let next = reported + Duration::from_millis(4900);
    assert_eq!(sooner(next, reported, interval, interval), next);
    assert_eq!(sooner(next, reported, soon, interval), reported + soon);
}
