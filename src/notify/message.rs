//! One message: what happened within a few seconds, told together.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::about::About;
use super::receiver::Receiver;
use crate::health::Tick;
use crate::health::tick::rfc3339;
use crate::limits;
use crate::model::Model;
use crate::model::event::{Event, Kind};
use crate::model::severity::{Severity, Turn};

/// What a receiver is told at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Message {
    /// The number of its last event.
    pub(super) id: u64,
    /// When that happened.
    pub(super) at: Tick,
    /// The server's name.
    pub(super) server: String,
    /// The worst of its events'.
    pub(super) severity: Severity,
    /// Whether somebody only tries whether it arrives.
    pub(super) test: bool,
    /// All in a line.
    pub(super) summary: String,
    /// What happened, the oldest first.
    pub(super) events: Vec<Item>,
    /// Events beyond the bound.
    pub(super) omitted: usize,
}

/// One event of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    pub(super) severity: Severity,
    #[serde(flatten)]
    pub(super) about: About,
    #[serde(flatten)]
    pub(super) event: Event,
}

impl Message {
    /// What a receiver is told of some events; nothing if it wants to hear of none of them.
    pub(super) fn of(
        events: &[Arc<Event>],
        receiver: &Receiver,
        model: &Model,
        server: &str,
    ) -> Option<Message> {
        let item = |event: &Arc<Event>| {
            let (severity, about) = (event.severity(), About::of(event, model));
            receiver.wants(severity, &about).then(|| Item { severity, about, event: Event::clone(event) })
        };
        let mut events: Vec<Item> = events.iter().filter_map(item).collect();
        let last = events.last()?;
        let (id, at) = (last.event.id, last.event.at);
        let severity = events.iter().map(|item| item.severity).max()?;
        let summary = summary(&events);
        let omitted = events.len().saturating_sub(limits::NOTIFY_EVENTS);
        events.truncate(limits::NOTIFY_EVENTS);
        Some(Message { id, at, server: server.to_owned(), severity, test: false, summary, events, omitted })
    }

    /// A message that says that it is a test.
    pub(super) fn test(server: &str, now: Tick) -> Message {
        let text = "This is a test of notifications: nothing has happened".to_owned();
        let event = Event::new(now, Kind::Notice, text.clone());
        let (severity, about) = (Severity::Info, About::default());
        Message {
            id: 0,
            at: now,
            server: server.to_owned(),
            severity,
            test: true,
            summary: format!("[TEST] {text}"),
            events: vec![Item { severity, about, event }],
            omitted: 0,
        }
    }

    /// A message about one thing that is wrong, for its words alone.
    pub(super) fn of_trouble(
        (severity, about): (Severity, &About),
        (summary, text): (&str, &str),
        server: &str,
        since: Tick,
    ) -> Message {
        let (summary, server, test) = (summary.to_owned(), server.to_owned(), false);
        let item = Item { severity, about: about.clone(), event: Event::new(since, Kind::Notice, text) };
        Message { id: 0, at: since, server, severity, test, summary, events: vec![item], omitted: 0 }
    }

    /// Whether all that it tells of is an end of something bad.
    pub(super) fn ends(&self) -> bool {
        let mut turns = self.events.iter().filter_map(|item| item.event.turn).peekable();
        turns.peek().is_some() && turns.all(|turn| turn == Turn::Ends)
    }

    /// How many events it tells of.
    pub(super) fn count(&self) -> usize {
        self.events.len() + self.omitted
    }

    /// Its events for people: a line, and one more for each changed answer.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for Item { event, .. } in &self.events {
            lines.push(format!("{} {}", rfc3339(event.at), event.text));
            for effect in &event.effects {
                let regions = effect.regions.join(" ");
                lines.push(format!(
                    "    {} {} for {regions}: {} -> {}",
                    effect.name, effect.rtype, effect.old, effect.new
                ));
            }
        }
        if self.omitted > 0 {
            lines.push(format!("and {} more: waypost events", self.omitted));
        }
        lines
    }

    /// The zones that it is about.
    pub(super) fn zones(&self) -> Vec<&str> {
        distinct(self.events.iter().filter_map(|item| item.about.zone.as_deref()))
    }

    /// The sites that it is about.
    pub(super) fn sites(&self) -> Vec<&str> {
        distinct(self.events.iter().filter_map(|item| item.about.site.as_deref()))
    }
}

fn distinct<'a>(words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    words.collect::<BTreeSet<&str>>().into_iter().collect()
}

/// All in a line: who died, who is back, and what else; of much else the worst and the number.
fn summary(events: &[Item]) -> String {
    let turned = |item: &&Item, turn| item.event.kind == Kind::Transition && item.event.turn == Some(turn);
    let mut parts = Vec::new();
    for (turn, what) in [(Turn::Begins, "DOWN"), (Turn::Ends, "UP again")] {
        let moved: Vec<&Item> = events.iter().filter(|item| turned(item, turn)).collect();
        parts.extend(targets(&moved).map(|whom| format!("{whom} {what}")));
    }
    let mut others: Vec<&Item> = events
        .iter()
        .filter(|item| !turned(item, Turn::Begins) && !turned(item, Turn::Ends))
        // What else is said of a target on its way down or up is no news beside that.
        .filter(|item| parts.is_empty() || item.severity > Severity::Info)
        .collect();
    others.sort_by_key(|item| std::cmp::Reverse(item.severity));
    match &others[..] {
        [] => {}
        [one] => parts.push(one.event.text.clone()),
        [worst, rest @ ..] => parts.push(format!("{}, and {} more events", worst.event.text, rest.len())),
    }
    parts.join("; ")
}

/// Targets by name when they are few, else their number and sites.
fn targets(moved: &[&Item]) -> Option<String> {
    let targets: BTreeSet<(&Option<String>, &str)> =
        moved.iter().map(|item| (&item.about.zone, item.about.target.as_deref().unwrap_or("?"))).collect();
    let sites = distinct(moved.iter().filter_map(|item| item.about.site.as_deref()));
    let at = match &sites[..] {
        [] => String::new(),
        [site] => format!(" at site {site}"),
        several => format!(" at sites {}", several.join(", ")),
    };
    match targets.len() {
        0 => None,
        1..=2 => {
            let names: Vec<&str> = targets.iter().map(|(_, target)| *target).collect();
            Some(format!("{}{at}", names.join(" and ")))
        }
        count => Some(format!("{count} targets{at}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(target: &str, site: Option<&str>, turn: Option<Turn>) -> Item {
        let event = Event { turn, ..Event::new(Tick(1), Kind::Transition, format!("{target} moved")) };
        let about = About {
            zone: Some("example.com.".to_owned()),
            target: Some(target.to_owned()),
            site: site.map(str::to_owned),
        };
        Item { severity: event.severity(), about, event }
    }

    #[test]
    fn a_summary_says_who_died_and_where() {
        let down = |target: &str, site: Option<&str>| item(target, site, Some(Turn::Begins));
        assert_eq!(summary(&[down("web-tw", Some("tw"))]), "web-tw at site tw DOWN");
        // Both families of one target are one.
        assert_eq!(summary(&[down("web", None), down("web", None)]), "web DOWN");
        let mut all: Vec<Item> = (0..12).map(|at| down(&format!("t{at}"), Some("tw"))).collect();
        all.push(item("t1", Some("tw"), None));
        assert_eq!(summary(&all), "12 targets at site tw DOWN");
        all.push(item("x", Some("my"), Some(Turn::Ends)));
        assert_eq!(summary(&all), "12 targets at site tw DOWN; x at site my UP again");
        assert_eq!(summary(&[item("x", None, None)]), "x moved");
    }
}
