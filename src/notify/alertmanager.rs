//! Alerts for an Alertmanager: not what happened, but what is wrong now, told again and again.
//!
//! An alert that isn't told again lapses there, so a server that dies leaves none burning, and one
//! that restarts goes on without having kept anything. What is no longer wrong is told with its
//! end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout, timeout_at};

use super::Pace;
use super::about::{About, site_of};
use super::attempt::{Outcome, post};
use super::deliver::Backoff;
use super::message::Message;
use super::receiver::{Endpoint, Receiver};
use super::tally::Tally;

use crate::health::tick::rfc3339;
use crate::health::{Desired, State, Tick};
use crate::limits;
use crate::model::event::Event;
use crate::model::severity::Severity;
use crate::publish::{Status, now};
use crate::route::Family;

/// How many turns of telling an alert outlives the last one.
const TURNS: u32 = 4;

/// How long the alert of a test burns.
const TEST: Duration = Duration::from_secs(60);

/// What tells one alert from another.
type Labels = BTreeMap<&'static str, String>;

/// An alert as the API takes it (version 2).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: Labels,
    annotations: BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
}

/// Something that is wrong now.
#[derive(Clone, Debug)]
struct Trouble {
    severity: Severity,
    about: About,
    since: Tick,
    summary: String,
    text: String,
}

/// Tells what is wrong, until it is aborted.
pub(super) async fn run(
    receiver: Receiver,
    endpoint: Endpoint,
    status: Arc<Status>,
    tally: Arc<Tally>,
    pace: Pace,
) {
    let mut happened = status.journal().subscribe();
    let mut burning: BTreeMap<Labels, Trouble> = BTreeMap::new();
    let mut backoff = Backoff::new(pace);
    loop {
        let server = status.server().borrow().identity.clone();
        let wrong = troubles(&status, &receiver, &server, now());
        let over: Vec<(&Labels, &Trouble)> =
            burning.iter().filter(|(labels, _)| !wrong.contains_key(*labels)).collect();
        let until = now() + pace.resend * TURNS;
        let alerts: Vec<Alert> = wrong
            .iter()
            .map(|(labels, trouble)| alert(labels, trouble, until, &receiver, &server))
            .chain(over.iter().map(|(labels, trouble)| alert(labels, trouble, now(), &receiver, &server)))
            .collect();
        let again = if alerts.is_empty() {
            burning = wrong;
            pace.resend
        } else {
            match send(&endpoint, &alerts, pace).await {
                Outcome::Taken(_) => {
                    tally.sent();
                    burning = wrong;
                    backoff.reset();
                    pace.resend
                }
                Outcome::Later(why, after) => {
                    tally.failed();
                    // Ends that weren't taken are told again.
                    burning.extend(wrong);
                    let wait = backoff.next(after);
                    tracing::warn!(notify = receiver.name, why, "alerts weren't taken");
                    tokio::time::sleep(wait).await;
                    continue;
                }
                Outcome::Refused(why) => {
                    tally.failed();
                    tally.dropped(1);
                    burning = wrong;
                    tracing::error!(notify = receiver.name, why, "alerts were refused");
                    pace.resend
                }
            }
        };
        // The next turn, or something happens; then a moment more, for what happens with it.
        match timeout(again, happened.recv()).await {
            Err(_) => {}
            Ok(Err(RecvError::Closed)) => return,
            Ok(_) => settle(&mut happened, pace).await,
        }
    }
}

/// Waits until nothing more has happened for a moment.
async fn settle(happened: &mut broadcast::Receiver<Arc<Event>>, pace: Pace) {
    let latest = Instant::now() + pace.window_most;
    loop {
        let due = latest.min(Instant::now() + pace.window);
        match timeout_at(due, happened.recv()).await {
            Ok(Ok(_) | Err(RecvError::Lagged(_))) if Instant::now() < latest => {}
            _ => return,
        }
    }
}

/// Sends an alert that says that it is a test, and ends by itself.
pub(super) async fn send_test(endpoint: &Endpoint, message: &Message, pace: Pace) -> Outcome {
    let labels = Labels::from([
        ("alertname", "WaypostTest".to_owned()),
        ("severity", message.severity.word().to_owned()),
        ("instance", message.server.clone()),
    ]);
    let annotations = BTreeMap::from([("summary", message.summary.clone())]);
    let (starts_at, ends_at) = (rfc3339(message.at), rfc3339(message.at + TEST));
    send(endpoint, &[Alert { labels, annotations, starts_at, ends_at }], pace).await
}

async fn send(endpoint: &Endpoint, alerts: &[Alert], pace: Pace) -> Outcome {
    let body = match serde_json::to_string(alerts) {
        Ok(body) => body,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let silent = || Outcome::later(format!("no answer within {:?}", pace.patience));
    timeout(pace.patience, post(endpoint, &[], body)).await.unwrap_or_else(|_| silent())
}

fn alert(labels: &Labels, trouble: &Trouble, until: Tick, receiver: &Receiver, server: &str) -> Alert {
    let message = Message::of_trouble(
        (trouble.severity, &trouble.about),
        (&trouble.summary, &trouble.text),
        server,
        trouble.since,
    );
    let annotations = BTreeMap::from([
        ("summary", receiver.template.title.fill_line(&message)),
        ("description", receiver.template.text.fill(&message)),
    ]);
    Alert { labels: labels.clone(), annotations, starts_at: rfc3339(trouble.since), ends_at: rfc3339(until) }
}

/// All that is wrong now and that the receiver wants to hear of.
fn troubles(status: &Status, receiver: &Receiver, server: &str, now: Tick) -> BTreeMap<Labels, Trouble> {
    let mut found = Vec::new();
    let model = status.model();
    {
        let board = status.board();
        if let Some(doubt) = board.doubt() {
            let summary = "the server doubts its probes: the last states are held".to_owned();
            let (severity, about, since) = (Severity::Critical, About::default(), doubt.from);
            let text = doubt.why.clone();
            found.push(("WaypostDoubt", Trouble { severity, about, since, summary, text }, None));
        }
        for row in board.rows(now).filter(|row| !row.is_canary) {
            let (subject, standing) = (row.subject, row.standing);
            // What is out on purpose, and deaths that the server itself doubts, are no news.
            let is_wanted = matches!(standing.desired, Desired::Auto | Desired::Up) && !row.is_held;
            let is_down = standing.state == State::Down && is_wanted;
            if !is_down && !standing.stale {
                continue;
            }
            let site = site_of(&model, &subject.zone, &subject.target);
            let (zone, target) = (subject.zone.to_string(), subject.target.clone());
            let family = match subject.family {
                Family::V4 => "ipv4",
                Family::V6 => "ipv6",
            };
            let at = site.as_ref().map_or_else(String::new, |site| format!(" at site {site}"));
            let said = row.probes.iter().filter_map(|probe| Some((probe.probe, probe.last?)));
            let said: Vec<String> =
                said.map(|(probe, last)| format!("{probe}: {}", last.report.evidence)).collect();
            let about = About { zone: Some(zone), target: Some(target.clone()), site };
            let mut add = |name, severity, word, since| {
                let summary = format!("{target}{at} ({family}) {word}");
                let trouble =
                    Trouble { severity, about: about.clone(), since, summary, text: said.join("\n") };
                found.push((name, trouble, Some(family)));
            };
            if is_down {
                add("WaypostTargetDown", Severity::Critical, "DOWN", standing.since);
            }
            if standing.stale {
                add("WaypostProberSilent", Severity::Warning, "STALE", standing.since);
            }
        }
    }
    for (apex, zone) in status.zones().iter() {
        let mut add = |name, since: Option<Tick>, what, text: &str| {
            let about = About { zone: Some(apex.to_string()), ..About::default() };
            let (severity, since) = (Severity::Warning, since.unwrap_or(now));
            let (summary, text) = (format!("{apex}: {what}"), text.to_owned());
            found.push((name, Trouble { severity, about, since, summary, text }, None));
        };
        if let Some((error, _)) = &zone.error {
            add("WaypostZoneFailed", zone.loaded, "its files have errors", error);
        }
        if let Some(why) = &zone.signer_silent {
            add("WaypostSignerSilent", zone.signer_heard, "its signer's newest bundle isn't here", why);
        }
    }
    found.retain(|(_, trouble, _)| receiver.wants(trouble.severity, &trouble.about));
    if found.len() > limits::NOTIFY_ALERTS {
        tracing::warn!(notify = receiver.name, alerts = found.len(), "more alerts than are sent");
        found.truncate(limits::NOTIFY_ALERTS);
    }
    let labelled = |(name, trouble, family): (&'static str, Trouble, Option<&str>)| {
        let About { zone, target, site } = trouble.about.clone();
        let own = [("zone", zone), ("target", target), ("site", site), ("family", family.map(str::to_owned))];
        let mut labels: Labels = own.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        labels.insert("alertname", name.to_owned());
        labels.insert("severity", trouble.severity.word().to_owned());
        labels.insert("instance", server.to_owned());
        (labels, trouble)
    };
    found.into_iter().map(labelled).collect()
}
