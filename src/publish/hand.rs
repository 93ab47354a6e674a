//! The operator's hand: drains and the like, checked before they are carried out.

use std::fmt;
use std::time::Duration;

use super::watching::target_id;
use super::writer::Writer;
use crate::config::server::Hook;
use crate::health::{Desired, Order, Scope, Tick, order};
use crate::limits;
use crate::model::ZoneModel;
use crate::model::capacity::{Overload, overloaded};
use crate::model::effect::{Effect, Standings, Stranded, effects, stranded};
use crate::model::event::{Event, Kind};
use crate::model::severity::Turn;
use crate::route::addresses::is_meant;
use crate::route::{Family, TargetId};
use crate::wire::name::Name;

/// What caches may be late by, beyond the TTL: an answer on its way, a clock that ticks in seconds.
const CACHE_MARGIN: Duration = Duration::from_secs(2);

/// What an operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hand {
    /// Of whom.
    pub whom: Whom,
    /// What: an order; [`Desired::Auto`] takes the one in force back.
    pub wish: Wish,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// Also if clients are left without an eligible target.
    pub force: bool,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// An order, for so long or until it is taken back.
    Order(Desired, Option<Duration>),
    /// The order in force is taken back.
    TakeBack,
    /// A recovered target has its clients back.
    Failback,
    /// The failures that this server doubts are real.
    Believe,
}

/// A site, a target, or a zone's target, as people write it: `tw`, `web-tw`,
/// `example.com/web-tw`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whom(pub String);

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// In one line.
    pub text: String,
    /// When it ends by itself.
    pub until: Option<Tick>,
    /// After how long no cache can hold an older answer.
    pub settled_after: Duration,
    /// Which answers changed.
    pub effects: Vec<Effect>,
    /// Who is told of drains.
    pub drain_hook: Hook,
    /// Targets concerned, by zone.
    pub targets: Vec<(String, String)>,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nobody is called so, or several are.
    Whom(String),
    /// It can't be as it was written.
    Invalid(String),
    /// There is nothing to take back or to release.
    Nothing(String),
    /// Clients would be left without an eligible target.
    Stranded(Vec<Stranded>),
    /// Those who are left couldn't take the load.
    Overloaded(Vec<Overload>),
    /// The server is ending.
    Ending,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Whom(text) | Refused::Invalid(text) | Refused::Nothing(text) => f.write_str(text),
            Refused::Overloaded(routes) => {
                let routes: Vec<String> = routes.iter().map(Overload::to_string).collect();
                write!(f, "refused, since {}. --force does it all the same", routes.join("; "))
            }
            Refused::Ending => f.write_str("the server is ending"),
            Refused::Stranded(routes) => {
                f.write_str("refused, since no eligible target would be left for")?;
                for (at, Stranded { route, zone, rtype, regions }) in routes.iter().enumerate() {
                    let comma = if at > 0 { ";" } else { "" };
                    write!(f, "{comma} route {route} of {zone} ({rtype}) in {}", regions.join(" "))?;
                }
                f.write_str(". --force does it all the same: those routes then fail open")
            }
        }
    }
}

impl std::error::Error for Refused {}

/// Who is meant.
pub(super) struct Meant {
    scope: Scope,
    pub(super) zones: Vec<(Name, Vec<String>)>,
}

impl Writer {
    /// Carries an order out.
    pub(super) fn take_hand(&mut self, hand: Hand, now: Tick) -> Result<Done, Refused> {
        if hand.reason.as_ref().is_some_and(|reason| reason.chars().count() > limits::REASON_CHARACTERS) {
            let most = limits::REASON_CHARACTERS;
            return Err(Refused::Invalid(format!("the reason is longer than {most} characters")));
        }
        if hand.wish == Wish::Believe {
            return self.believe(&hand, now);
        }
        let meant = self.meant(&hand.whom)?;
        match hand.wish {
            Wish::Order(desired, span) => self.give(&hand, meant, desired, span, now),
            Wish::TakeBack => self.take_back(&hand, meant, now),
            Wish::Failback | Wish::Believe => self.fail_back(&hand, meant, now),
        }
    }

    /// When an order ends, or a maintenance window begins or ends.
    pub(super) fn next_hand(&self, now: Tick) -> Option<Duration> {
        // Not behind now: a report may be taken in the very moment, before the look at windows.
        let windows = self.server.maintenance.next_change(self.looked);
        self.orders.next_end().into_iter().chain(windows).min().map(|at| at.since(now))
    }

    /// Ends orders whose time is over, and follows maintenance windows.
    pub(super) fn end_orders(&mut self, now: Tick) {
        let ended = self.orders.expire(now);
        for order in &ended {
            let text =
                format!("{} is no longer {}: its time is over", order.scope, order::word(order.desired));
            tracing::info!(kind = "order", "{text}");
            let subject = Some(order.scope.to_string());
            self.tell(Event { subject, ..Event::new(now, Kind::Order, text) });
        }
        let since = std::mem::replace(&mut self.looked, now);
        let windows: Vec<Order> = self.server.maintenance.changed(since, now).cloned().collect();
        for window in &windows {
            let begins = window.until.is_none_or(|until| until > now);
            let what = if begins { "begins" } else { "is over" };
            let reason = window.reason.as_deref().unwrap_or("no reason given");
            let text = format!("maintenance of {} {what}: {reason}", window.scope);
            tracing::info!(kind = "order", "{text}");
            let subject = Some(window.scope.to_string());
            self.tell(Event { subject, ..Event::new(now, Kind::Order, text) });
        }
        if !ended.is_empty() || !windows.is_empty() {
            self.follow_words(now);
        }
    }

    /// The clock was set back: a maintenance window that had begun may be yet to begin, and one that
    /// was over may not be.
    pub(super) fn follow_clock(&mut self, before: Tick, now: Tick) {
        let windows = self.server.maintenance.iter();
        let others: Vec<Order> =
            windows.filter(|window| window.is_in_force(before) != window.is_in_force(now)).cloned().collect();
        if others.is_empty() {
            return;
        }
        for window in others {
            let what = if window.is_in_force(now) { "begins" } else { "is yet to begin" };
            let text = format!("maintenance of {} {what}: the clock was set back", window.scope);
            tracing::info!(kind = "order", "{text}");
            let subject = Some(window.scope.to_string());
            self.tell(Event { subject, ..Event::new(now, Kind::Order, text) });
        }
        self.follow_words(now);
    }

    fn give(
        &mut self,
        hand: &Hand,
        meant: Meant,
        desired: Desired,
        span: Option<Duration>,
        now: Tick,
    ) -> Result<Done, Refused> {
        let order = Order {
            scope: meant.scope.clone(),
            desired,
            by: hand.by.clone(),
            since: now,
            until: span.map(|span| now + span),
            reason: hand.reason.clone(),
        };
        let takes_out = matches!(desired, Desired::Drained | Desired::Down);
        if takes_out && !hand.force {
            self.check_order(&order, &meant, now)?;
        }
        let text = format!("{} {}", order.scope, order.sentence());
        let until = order.until;
        self.orders.give(order);
        Ok(self.carried_out(hand, &meant, text, until, now))
    }

    /// Whether clients would be left without an eligible target, or go to too few: found out with a board that has
    /// heard the order.
    fn check_order(&mut self, order: &Order, meant: &Meant, now: Tick) -> Result<(), Refused> {
        let board = self.status.board().clone();
        let mut rehearsed = board.clone();
        let orders = self.orders.clone();
        let looked = std::mem::replace(&mut self.looked, now);
        self.orders.give(order.clone());
        rehearsed.configure(self.watched(), now);
        rehearsed.reconsider(now);
        (self.orders, self.looked) = (orders, looked);
        let (mut left, mut heavy) = (Vec::new(), Vec::new());
        for (zone, targets) in self.zones_of(meant) {
            let before = |target: TargetId, family: Family| zone.standing(&board, target, family, now);
            let after = |target: TargetId, family: Family| zone.standing(&rehearsed, target, family, now);
            let (geography, standings): (_, (Standings<'_>, Standings<'_>)) =
                (&self.model.geography, (&before, &after));
            left.extend(stranded(&zone, geography, &targets, standings, now));
            heavy.extend(overloaded(&zone, geography, &targets, standings, now));
        }
        match (left.is_empty(), heavy.is_empty()) {
            (false, _) => Err(Refused::Stranded(left)),
            (true, false) => Err(Refused::Overloaded(heavy)),
            (true, true) => Ok(()),
        }
    }

    fn take_back(&mut self, hand: &Hand, meant: Meant, now: Tick) -> Result<Done, Refused> {
        let Some(order) = self.orders.take_back(&meant.scope) else {
            return Err(Refused::Nothing(self.why_nothing(&meant)));
        };
        let text = format!("{} is no longer {}: by {}", order.scope, order::word(order.desired), hand.by);
        Ok(self.carried_out(hand, &meant, text, None, now))
    }

    /// What else keeps the targets out, since no order does.
    fn why_nothing(&self, meant: &Meant) -> String {
        let mut others = Vec::new();
        for (zone, targets) in self.zones_of(meant) {
            for target in targets.iter().filter_map(|id| zone.routing.targets.get(id.0 as usize)) {
                let (_, said) = self.word_on(zone.zone.apex(), &zone, target);
                others.extend(said.map(|said| format!("{} is {said}", target.name)));
            }
        }
        let others = if others.is_empty() { String::new() } else { format!("; {}", others.join("; ")) };
        format!("there is no order on {}{others}", meant.scope)
    }

    fn fail_back(&mut self, hand: &Hand, meant: Meant, now: Tick) -> Result<Done, Refused> {
        let before = self.status.board().clone();
        let mut released = Vec::new();
        for (apex, targets) in &meant.zones {
            let mut board = self.status.board_mut();
            released.extend(targets.iter().filter(|target| board.release(apex, target)).cloned());
        }
        if released.is_empty() {
            return Err(Refused::Nothing(format!("nothing of {} waits to be released", meant.scope)));
        }
        let text = format!("{} was released by {}: it has its clients back", released.join(" "), hand.by);
        let effects = self.decided_anew(&meant, &before, now);
        Ok(self.told(hand, &meant, text, (Kind::Failback, None), effects, now))
    }

    fn believe(&mut self, hand: &Hand, now: Tick) -> Result<Done, Refused> {
        if !self.status.board_mut().accept(now) {
            return Err(Refused::Nothing("nothing is doubted".to_owned()));
        }
        self.decide_all(now);
        self.publish(None, now);
        self.keep_health();
        let text = format!("the failures are real, says {}: what probes say holds", hand.by);
        tracing::info!(kind = "doubt", by = %hand.by, "{text}");
        let cause = Some(hand.by.clone());
        let turn = Some(Turn::Ends);
        self.tell(Event { cause, turn, ..Event::new(now, Kind::Doubt, text.clone()) });
        self.tell_need_news(now);
        let (until, settled_after) = (None, CACHE_MARGIN);
        Ok(Done { text, until, settled_after, effects: vec![], drain_hook: Hook::default(), targets: vec![] })
    }

    fn carried_out(
        &mut self,
        hand: &Hand,
        meant: &Meant,
        text: String,
        until: Option<Tick>,
        now: Tick,
    ) -> Done {
        let before = self.status.board().clone();
        let (_, judged) = self.watch_targets(now);
        let effects = self.decided_anew(meant, &before, now);
        self.tell_judged(judged, now);
        self.told(hand, meant, text, (Kind::Order, until), effects, now)
    }

    fn decided_anew(&mut self, meant: &Meant, before: &crate::health::Board, now: Tick) -> Vec<Effect> {
        self.decide_all(now);
        self.publish(None, now);
        let mut found = Vec::new();
        for (zone, targets) in self.zones_of(meant) {
            let board = self.status.board();
            let then = |target: TargetId, family: Family| zone.standing(before, target, family, now);
            let after = |target: TargetId, family: Family| zone.standing(&board, target, family, now);
            found.extend(effects(&zone, &self.model.geography, &targets, (&then, &after), now));
        }
        found.truncate(limits::EVENT_EFFECTS);
        found
    }

    fn told(
        &self,
        hand: &Hand,
        meant: &Meant,
        text: String,
        (kind, until): (Kind, Option<Tick>),
        effects: Vec<Effect>,
        now: Tick,
    ) -> Done {
        tracing::info!(kind = "order", by = %hand.by, "{text}");
        self.tell(Event {
            subject: Some(meant.scope.to_string()),
            cause: Some(hand.by.clone()),
            evidence: hand.reason.clone(),
            effects: effects.clone(),
            ..Event::new(now, kind, text.clone())
        });
        self.tell_need_news(now);
        self.keep_health();
        let zones = self.zones_of(meant);
        let ttls = zones.iter().flat_map(|(zone, targets)| {
            let concerned = |id: &TargetId| targets.contains(id);
            let routes =
                zone.routing.routes.iter().filter(move |route| route.targets().iter().any(concerned));
            routes.map(|route| route.ttl.normal)
        });
        let ttl = Duration::from_secs(u64::from(ttls.max().unwrap_or(0)));
        let named = |(apex, targets): &(Name, Vec<String>)| -> Vec<(String, String)> {
            targets.iter().map(|target| (apex.to_string(), target.clone())).collect()
        };
        let targets = meant.zones.iter().flat_map(named).collect();
        Done {
            text,
            until,
            settled_after: ttl + CACHE_MARGIN,
            effects,
            drain_hook: self.server.drain_hook.clone(),
            targets,
        }
    }

    /// Has orders, windows and files heard anew, and publishes what follows.
    fn follow_words(&mut self, now: Tick) {
        let (_, judged) = self.watch_targets(now);
        self.decide_all(now);
        self.publish(None, now);
        self.tell_judged(judged, now);
        self.tell_need_news(now);
        self.keep_health();
    }

    fn zones_of(&self, meant: &Meant) -> Vec<(std::sync::Arc<ZoneModel>, Vec<TargetId>)> {
        let zones = meant.zones.iter();
        zones
            .filter_map(|(apex, names)| {
                let zone = self.model.zones.get(apex)?.clone();
                let targets = names.iter().filter_map(|name| target_id(&zone, name)).collect();
                let targets = zone.routing.with_dependents(targets);
                Some((zone, targets))
            })
            .collect()
    }

    pub(super) fn meant(&self, Whom(text): &Whom) -> Result<Meant, Refused> {
        if let Some((zone, target)) = text.rsplit_once('/') {
            let apex = Name::parse(zone, Some(&Name::root()))
                .map_err(|error| Refused::Whom(format!("\"{zone}\" is no zone: {error}")))?;
            let named = self.model.zones.get_key_value(&apex).and_then(|(apex, zone)| {
                let targets = named_so(zone, target);
                (!targets.is_empty()).then(|| (apex.clone(), targets))
            });
            let Some(one) = named else {
                return Err(Refused::Whom(format!("zone {apex} has no target \"{target}\"")));
            };
            let scope = Scope::Target { zone: one.0.to_string(), target: target.to_owned() };
            return Ok(Meant { scope, zones: vec![one] });
        }
        let all = |targets: &dyn Fn(&ZoneModel) -> Vec<String>| -> Vec<(Name, Vec<String>)> {
            let zones = self.model.zones.iter().map(|(apex, zone)| (apex.clone(), targets(zone)));
            zones.filter(|(_, targets)| !targets.is_empty()).collect()
        };
        let of_site = all(&|zone| {
            let here = zone.routing.targets.iter().filter(|target| target.site.as_deref() == Some(text));
            here.map(|target| target.name.clone()).collect()
        });
        let mut of_name = all(&|zone| named_so(zone, text));
        match (of_site.is_empty(), of_name.len()) {
            (false, 0) => Ok(Meant { scope: Scope::Site(text.clone()), zones: of_site }),
            (true, 1) => {
                let one = of_name.remove(0);
                let scope = Scope::Target { zone: one.0.to_string(), target: text.clone() };
                Ok(Meant { scope, zones: vec![one] })
            }
            (true, 0) => Err(Refused::Whom(format!("there is no site and no target \"{text}\""))),
            _ => {
                let zones: Vec<String> = of_name.iter().map(|(apex, _)| format!("{apex}/{text}")).collect();
                let site = if of_site.is_empty() { "" } else { "a site and " };
                Err(Refused::Whom(format!(
                    "\"{text}\" is {site}several targets: write {}",
                    zones.join(" or ")
                )))
            }
        }
    }
}

/// A target of this name, with its parts.
fn named_so(zone: &ZoneModel, name: &str) -> Vec<String> {
    let targets = zone.routing.targets.iter().map(|target| &target.name);
    targets.filter(|target| is_meant(target, name)).cloned().collect()
}
