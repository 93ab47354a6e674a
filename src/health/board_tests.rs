//! The board as routing, the writer and a restart see it.

use proptest::prelude::*;

use super::*;

const START: Tick = Tick(1_700_000_000_000);

fn subject(target: &str) -> Subject {
    Subject {
        zone: Name::parse("example.com.", None).unwrap(),
        target: target.to_owned(),
        family: Family::V4,
    }
}

fn watched(target: &str, probes: &[&str]) -> Watched {
    Watched {
        subject: subject(target),
        desired: Desired::Auto,
        said: None,
        site: String::new(),
        is_canary: false,
        need: Need::All,
        assume_up: true,
        probes: probes.iter().map(|name| ((*name).to_owned(), Pace::default())).collect(),
        needs: Vec::new(),
    }
}

fn board(targets: &[Watched]) -> Board {
    let mut board = Board::default();
    assert_eq!(board.configure(targets.to_vec(), START), []);
    board
}

/// Lets a probe report results one second apart; gives the last transition.
fn feed(board: &mut Board, now: &mut Tick, target: &str, probe: &str, results: &str) -> Option<Transition> {
    let key = ProbeKey { subject: subject(target), probe: probe.to_owned() };
    let mut last = None;
    for result in results.chars() {
        *now = *now + Duration::from_secs(1);
        let (outcome, evidence) = match result {
            '+' => (Outcome::Healthy, "HTTP 200"),
            '-' => (Outcome::Failed, "HTTP 503"),
            _ => (Outcome::Blocked, "554 you are listed"),
        };
        let report = Report {
            outcome,
            contact: Contact::Answered,
            latency: Duration::from_millis(3),
            evidence: evidence.to_owned(),
            figures: Vec::new(),
        };
        last = board.observe(&key, &report, *now).unwrap().transition.or(last);
    }
    last
}

fn state(board: &Board, target: &str) -> State {
    board.standing(&subject(target), START).state
}

#[test]
fn the_worst_probe_decides() {
    let (mut board, mut now) = (board(&[watched("web-tw", &["web", "tls"])]), START);
    assert_eq!(feed(&mut board, &mut now, "web-tw", "web", "+"), None);
    assert_eq!(state(&board, "web-tw"), State::Unknown);
    feed(&mut board, &mut now, "web-tw", "tls", "+");
    assert_eq!(state(&board, "web-tw"), State::Up);
    feed(&mut board, &mut now, "web-tw", "tls", "-");
    assert_eq!(state(&board, "web-tw"), State::Suspect);
    let down = feed(&mut board, &mut now, "web-tw", "tls", "--").unwrap();
    assert_eq!((down.from, down.to, down.at), (State::Suspect, State::Down, now));
    assert_eq!((down.probe.as_deref(), &*down.evidence), (Some("tls"), "HTTP 503"));
    feed(&mut board, &mut now, "web-tw", "web", "+++");
    assert_eq!(state(&board, "web-tw"), State::Down);
}

#[test]
fn with_some_probes_needed_the_others_may_fail() {
    let two_of_three = Watched { need: Need::AtLeast(2), ..watched("web-tw", &["a", "b", "c"]) };
    let (mut board, mut now) = (board(&[two_of_three]), START);
    feed(&mut board, &mut now, "web-tw", "a", "+");
    assert_eq!(state(&board, "web-tw"), State::Unknown, "unknown counts as neither");
    feed(&mut board, &mut now, "web-tw", "b", "+");
    assert_eq!(state(&board, "web-tw"), State::Up);
    feed(&mut board, &mut now, "web-tw", "c", "---");
    assert_eq!(state(&board, "web-tw"), State::Up, "one may fail");
    feed(&mut board, &mut now, "web-tw", "a", "-");
    assert_eq!(state(&board, "web-tw"), State::Suspect);
    feed(&mut board, &mut now, "web-tw", "a", "--");
    assert_eq!(state(&board, "web-tw"), State::Down);
}

#[test]
fn an_assumption_that_fails_is_suspect_and_one_of_down_is_never_served() {
    let (mut board, mut now) = (board(&[watched("web-tw", &["web"])]), START);
    feed(&mut board, &mut now, "web-tw", "web", "-");
    assert!(board.standing(&subject("web-tw"), now).is_moving());

    let mut careful = Board::default();
    careful.configure(vec![Watched { assume_up: false, ..watched("web-tw", &["web"]) }], START);
    for results in ["", "-", "-", "-", "-"] {
        feed(&mut careful, &mut now, "web-tw", "web", results);
        assert!(!careful.standing(&subject("web-tw"), now).is_eligible());
    }
}

#[test]
fn recovered_from_the_return_until_released() {
    let (mut board, mut now) = (board(&[watched("web-tw", &["web"])]), START);
    feed(&mut board, &mut now, "web-tw", "web", "+-+");
    assert_eq!(board.standing(&subject("web-tw"), now).recovered, None);
    feed(&mut board, &mut now, "web-tw", "web", "---");
    assert_eq!(board.standing(&subject("web-tw"), now).recovered, None);
    let zone = subject("web-tw").zone;
    assert!(!board.release(&zone, "web-tw"));
    let up = feed(&mut board, &mut now, "web-tw", "web", "++++++++++").unwrap();
    assert_eq!(up.to, State::Up);
    feed(&mut board, &mut now, "web-tw", "web", "-+");
    assert_eq!(board.standing(&subject("web-tw"), now).recovered, Some(up.at));
    assert!(board.release(&zone, "web-tw"));
    assert_eq!(board.standing(&subject("web-tw"), now).recovered, None);
}

#[test]
fn configuration_keeps_what_stays() {
    let (mut board, mut now) = (board(&[watched("web-my", &["web"]), watched("web-tw", &["web"])]), START);
    feed(&mut board, &mut now, "web-tw", "web", "+---");
    feed(&mut board, &mut now, "web-my", "web", "+");

    // Renamed and added probes start from the verdict there is.
    let wanted =
        vec![watched("web-tw", &["https"]), watched("web-my", &["web", "tls"]), watched("new", &["web"])];
    assert_eq!(board.configure(wanted.clone(), now), []);
    assert_eq!(state(&board, "web-tw"), State::Down);
    assert_eq!(state(&board, "web-my"), State::Up);
    assert_eq!(state(&board, "new"), State::Unknown);

    // Settings move nothing either.
    let drained = wanted.into_iter().map(|w| Watched { desired: Desired::Drained, ..w }).collect();
    assert_eq!(board.configure(drained, now), []);
    assert_eq!(board.standing(&subject("web-my"), now).desired, Desired::Drained);

    // What is gone is forgotten, and its late reports are nobody's.
    assert_eq!(board.configure(vec![watched("web-my", &["web"])], now), []);
    let late = ProbeKey { subject: subject("web-tw"), probe: "https".to_owned() };
    let report = Report {
        outcome: Outcome::Healthy,
        contact: Contact::Answered,
        latency: Duration::ZERO,
        evidence: String::new(),
        figures: Vec::new(),
    };
    assert_eq!(board.observe(&late, &report, now), None);
    assert_eq!(board.id(&late.subject.zone, "web-tw", Family::V4), None);

    // A failing probe that is taken away makes a subject change without a report.
    feed(&mut board, &mut now, "web-my", "web", "---");
    let changed = board.configure(vec![watched("web-my", &[])], now);
    assert_eq!((changed[0].from, changed[0].to), (State::Down, State::Unknown));
    assert_eq!(changed[0].probe, None);
}

#[test]
fn families_and_zones_are_judged_apart() {
    let v6 = Subject { family: Family::V6, ..subject("web-tw") };
    let elsewhere = Subject { zone: Name::parse("example.net.", None).unwrap(), ..subject("web-tw") };
    let all = [
        watched("web-tw", &["web"]),
        Watched { subject: v6.clone(), ..watched("web-tw", &["web"]) },
        Watched { subject: elsewhere.clone(), ..watched("web-tw", &["web"]) },
    ];
    let (mut board, mut now) = (board(&all), START);
    feed(&mut board, &mut now, "web-tw", "web", "---");
    assert_eq!(state(&board, "web-tw"), State::Down);
    assert_eq!(board.standing(&v6, now).state, State::Unknown);
    assert_eq!(board.standing(&elsewhere, now).state, State::Unknown);
    let ids: Vec<_> =
        [&v6, &elsewhere].iter().map(|s| board.id(&s.zone, &s.target, s.family).unwrap()).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(board.standing_of(ids[0], now), board.standing(&v6, now));
}

#[test]
fn a_prober_that_is_turned_away_moves_nothing_until_it_is_stale() {
    let (mut board, mut now) = (board(&[watched("mx-tw", &["mx"])]), START);
    feed(&mut board, &mut now, "mx-tw", "mx", "+-");
    // Between two failures it ends no burst, and counts as neither.
    assert_eq!(feed(&mut board, &mut now, "mx-tw", "mx", "###"), None);
    assert_eq!(state(&board, "mx-tw"), State::Suspect);
    let blocked_since = now - Duration::from_secs(2);
    let row = board.rows(now).next().unwrap();
    let refusal = row.probes[0].blocked.unwrap();
    assert_eq!((refusal.since, &*refusal.evidence), (blocked_since, "554 you are listed"));
    assert_eq!(row.probes[0].last.unwrap().report.evidence, "HTTP 503", "the last verdict's evidence stays");
    feed(&mut board, &mut now, "mx-tw", "mx", "--");
    assert_eq!(state(&board, "mx-tw"), State::Down);
    assert_eq!(board.rows(now).next().unwrap().probes[0].blocked, None);

    // However long it is turned away, what is dead stays so; that it is an old word is said.
    feed(&mut board, &mut now, "mx-tw", "mx", &"#".repeat(60));
    let standing = board.standing(&subject("mx-tw"), now);
    assert!(standing.stale && standing.state == State::Down);
}

#[test]
fn silence_is_stale_and_the_verdict_stays() {
    let (mut board, mut now) = (board(&[watched("web-tw", &["web"])]), START);
    feed(&mut board, &mut now, "web-tw", "web", "---");
    assert!(!board.standing(&subject("web-tw"), now).stale);
    let later = board.standing(&subject("web-tw"), now + Duration::from_secs(3600));
    assert!(later.stale && later.state == State::Down);
}

#[test]
fn a_restart_serves_nothing_dead() {
    let targets = [watched("web-my", &["web"]), watched("web-tw", &["web"])];
    let (mut old, mut now) = (board(&targets), START);
    feed(&mut old, &mut now, "web-tw", "web", "+---");
    feed(&mut old, &mut now, "web-my", "web", "+");
    let file = serde_json::to_string(&old.save()).unwrap();
    let saved: Saved = serde_json::from_str(&file).unwrap();

    now = now + Duration::from_secs(5);
    let mut new = Board::default();
    new.configure(vec![watched("web-my", &["web"]), watched("web-tw", &["renamed"])], now);
    new.restore(&saved, now);
    assert!(!new.standing(&subject("web-tw"), now).is_eligible());
    assert_eq!(state(&new, "web-my"), State::Up);
    // It takes the usual confirmation to bring it back.
    now = now + Duration::from_secs(60);
    feed(&mut new, &mut now, "web-tw", "renamed", "+");
    assert!(!new.standing(&subject("web-tw"), now).is_eligible());
    feed(&mut new, &mut now, "web-tw", "renamed", "+");
    assert_eq!(new.standing(&subject("web-tw"), now).recovered, Some(now));
}

#[test]
fn a_clock_that_is_set_back_leaves_every_time_as_long_ago_as_it_was() {
    let hour = Duration::from_secs(3600);
    let mut board = board(&[watched("a", &["p"])]);
    let mut now = START;
    feed(&mut board, &mut now, "a", "p", "+---");
    now = now + Duration::from_secs(20);
    feed(&mut board, &mut now, "a", "p", "++");
    let ago = |board: &Board, now: Tick| {
        let standing = board.standing(&subject("a"), now);
        (now.since(standing.since), now.since(standing.recovered.unwrap()))
    };
    now = now + Duration::from_secs(100);
    let before = ago(&board, now);
    let saved = board.save();
    board.set_back(hour);
    assert_eq!(ago(&board, now - hour), before);
    // Over a restart the newest moment is taken for now: nothing lies ahead.
    let mut restarted = self::board(&[watched("a", &["p"])]);
    restarted.restore(&saved, now - hour);
    assert_eq!(ago(&restarted, now - hour), (Duration::ZERO, Duration::ZERO));
    let standing = restarted.standing(&subject("a"), now - hour);
    assert!(standing.recovered.unwrap() <= now - hour && !standing.stale);
}

#[test]
fn a_verdict_that_another_probe_hides_is_told() {
    let mut board = board(&[watched("a", &["p", "q"])]);
    let mut now = START;
    feed(&mut board, &mut now, "a", "p", "+---");
    feed(&mut board, &mut now, "a", "q", "+--");
    let key = ProbeKey { subject: subject("a"), probe: "q".to_owned() };
    let report = Report {
        outcome: Outcome::Failed,
        contact: Contact::Answered,
        latency: Duration::ZERO,
        evidence: "refused".to_owned(),
        figures: Vec::new(),
    };
    let observed = board.observe(&key, &report, now).unwrap();
    assert_eq!((observed.transition, observed.is_verdict_new), (None, true));
    assert!(!board.observe(&key, &report, now).unwrap().is_verdict_new);
}

#[test]
fn rows_show_what_was_seen() {
    let (mut board, mut now) = (board(&[watched("web-tw", &["web"]), watched("mx-tw", &[])]), START);
    feed(&mut board, &mut now, "web-tw", "web", "++-");
    let rows: Vec<Row<'_>> = board.rows(now).collect();
    assert_eq!(rows.iter().map(|row| &*row.subject.target).collect::<Vec<_>>(), ["mx-tw", "web-tw"]);
    assert!(rows[0].probes.is_empty() && rows[0].standing.is_eligible());
    let probe = &rows[1].probes[0];
    assert_eq!((probe.probe, probe.failures, probe.successes), ("web", 1, 0));
    let seen = probe.last.unwrap();
    assert_eq!((seen.at, &*seen.report.evidence), (now, "HTTP 503"));
}

proptest! {
    #[test]
    fn served_means_not_down_and_saving_keeps_every_standing(
        results in prop::collection::vec((0usize..4, any::<bool>(), 0u64..8000), 0..300),
    ) {
        let targets = [watched("a", &["x", "y"]), watched("b", &["x"]), watched("c", &["x"])];
        let keys = [("a", "x"), ("a", "y"), ("b", "x"), ("c", "x")];
        let (mut board, mut now) = (board(&targets), START);
        let mut failures = [0; 4];
        for (which, healthy, after_ms) in results {
            now = now + Duration::from_millis(after_ms);
            let (target, probe) = keys[which];
            let key = ProbeKey { subject: subject(target), probe: probe.to_owned() };
            failures[which] = if healthy { 0 } else { failures[which] + 1 };
            let before = board.standing(&key.subject, now);
            let outcome = if healthy { Outcome::Healthy } else { Outcome::Failed };
            let report = Report {
                outcome,
                contact: Contact::Answered,
                latency: Duration::ZERO,
                evidence: String::new(),
                figures: Vec::new(),
            };
            let observed = board.observe(&key, &report, now).unwrap();
            let after = board.standing(&key.subject, now);
            prop_assert_eq!(observed.transition.is_some(), before.state != after.state);
            if failures[which] >= Pace::default().fall {
                prop_assert!(!after.is_eligible());
            }
            if after.state == State::Down && before.state != State::Down {
                prop_assert!(failures[which] >= Pace::default().fall);
            }
            if before.state == State::Down && after.state != State::Down {
                prop_assert!(now.since(before.since) >= Pace::default().hold);
                prop_assert_eq!(after.recovered, Some(now));
            }
        }
        let mut again = Board::default();
        again.configure(targets.to_vec(), now);
        again.restore(&board.save(), now);
        prop_assert_eq!(again.save(), board.save());
        for watched in &targets {
            let (old, new) = (board.standing(&watched.subject, now), again.standing(&watched.subject, now));
            prop_assert_eq!(old.is_eligible(), new.is_eligible());
            prop_assert_eq!(Standing { stale: false, ..old }, Standing { stale: false, ..new });
        }
    }
}

/// What a report means for those who need the target is settled with what is doubted.
fn feed_settled(board: &mut Board, now: &mut Tick, target: &str, probe: &str, results: &str) {
    feed(board, now, target, probe, results);
    board.reconsider(*now);
}

/// `webmail` needs `imap`, which needs one of two stores.
fn chained() -> Board {
    let needs = |target: &str, needed: &[&str]| Watched {
        needs: vec![needed.iter().map(|name| (*name).to_owned()).collect()],
        ..watched(target, &["web"])
    };
    board(&[
        needs("webmail", &["imap"]),
        needs("imap", &["store-a", "store-b"]),
        watched("store-a", &["web"]),
        watched("store-b", &["web"]),
    ])
}

#[test]
fn what_is_needed_takes_along_all_that_needs_it_and_is_suspected_with_it() {
    let (mut board, mut now) = (chained(), START);
    for target in ["webmail", "imap", "store-a", "store-b"] {
        feed_settled(&mut board, &mut now, target, "web", "+");
    }
    assert_eq!(board.take_need_news(), []);
    let standing = |board: &Board, now| board.standing(&subject("webmail"), now);
    feed_settled(&mut board, &mut now, "store-a", "web", "---");
    assert!(standing(&board, now).is_eligible() && !standing(&board, now).is_moving(), "one store will do");
    feed_settled(&mut board, &mut now, "store-b", "web", "-");
    assert!(standing(&board, now).is_eligible() && standing(&board, now).is_moving());
    feed_settled(&mut board, &mut now, "store-b", "web", "--");
    assert!(!standing(&board, now).is_eligible());
    assert_eq!(state(&board, "webmail"), State::Up, "its own probes are well");
    let lost: Vec<String> = board
        .take_need_news()
        .into_iter()
        .filter(|news| news.lacks.is_some())
        .map(|news| news.subject.target)
        .collect();
    assert_eq!(lost, ["imap", "webmail"]);
    assert_eq!(standing(&board, now).recovered, None);

    now = now + Duration::from_secs(60);
    feed_settled(&mut board, &mut now, "store-a", "web", "++");
    assert!(standing(&board, now).is_eligible());
    assert_eq!(standing(&board, now).recovered, Some(now), "a failback waits for it");
}

#[test]
fn a_restart_knows_at_once_who_lacks_something_and_brings_nothing_back() {
    let (mut before, mut now) = (chained(), START);
    for target in ["webmail", "imap"] {
        feed_settled(&mut before, &mut now, target, "web", "+");
    }
    for store in ["store-a", "store-b"] {
        feed_settled(&mut before, &mut now, store, "web", "---");
    }
    let mut after = chained();
    after.restore(&before.save(), now);
    assert_eq!(after.standing(&subject("webmail"), now), before.standing(&subject("webmail"), now));
    assert!(!after.standing(&subject("webmail"), now).is_eligible());
    assert_eq!(after.take_need_news(), []);
}

#[test]
fn what_an_operator_takes_out_takes_others_along_and_returns_without_a_failback() {
    let mut board = chained();
    let with = |desired, on: &str| -> Vec<Watched> {
        let entries = chained().entries;
        let needs = |entry: &Entry| match &*entry.subject.target {
            "webmail" => vec![vec!["imap".to_owned()]],
            "imap" => vec![vec!["store-a".to_owned(), "store-b".to_owned()]],
            _ => Vec::new(),
        };
        let is_meant = |entry: &Entry| entry.subject.target == on;
        entries
            .iter()
            .map(|entry| Watched {
                desired: if is_meant(entry) { desired } else { Desired::Auto },
                needs: needs(entry),
                ..watched(&entry.subject.target, &["web"])
            })
            .collect()
    };
    board.configure(with(Desired::Drained, "imap"), START);
    board.reconsider(START);
    assert!(!board.standing(&subject("webmail"), START).is_eligible());
    board.configure(with(Desired::Auto, "imap"), START);
    board.reconsider(START);
    let standing = board.standing(&subject("webmail"), START);
    assert!(standing.is_eligible() && standing.recovered.is_none());
    // Who is forced up is served without what it needs.
    let mut now = START;
    for store in ["store-a", "store-b"] {
        feed_settled(&mut board, &mut now, store, "web", "---");
    }
    board.configure(with(Desired::Up, "imap"), now);
    board.reconsider(now);
    assert!(board.standing(&subject("webmail"), now).is_eligible());
}
