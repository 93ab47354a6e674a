//! What operators have said, reckoned apart from the server.

use std::collections::BTreeMap;
use std::time::Duration;

use super::server::Good;
use super::windows::Window;
use crate::health::{Desired, Order, Scope, Tick};
use crate::route::addresses::PART_MARK;
use crate::wire::name::Name;

/// Orders by whom they are about: a site, or a zone's target.
#[derive(Clone, Default)]
pub(super) struct Given(BTreeMap<String, (Desired, Option<Tick>)>);

/// A target as operators write it: `example.com./web-tw`.
pub(super) fn whole_name(zone: &Name, target: &str) -> String {
    format!("{zone}/{target}")
}

/// The longest order.
const LONGEST: Duration = Duration::from_secs(40);

fn whom(order: &Order) -> String {
    match &order.scope {
        Scope::Target { zone, target } => format!("{zone}/{target}"),
        Scope::Site(site) => site.clone(),
    }
}

impl Given {
    pub(super) fn give(&mut self, whom: &str, desired: Desired, until: Option<Tick>) {
        self.0.insert(whom.to_owned(), (desired, until));
    }

    pub(super) fn take_back(&mut self, whom: &str) {
        self.0.remove(whom);
    }

    pub(super) fn whom(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// Whether there surely is something to take back.
    pub(super) fn is_in_force(&self, whom: &str, now: Tick) -> bool {
        self.0.get(whom).is_some_and(|(_, until)| until.is_none_or(|until| now < until))
    }

    /// An order holds as long as was said, however the clock is set back.
    pub(super) fn set_back(&mut self, by: Duration) {
        for (_, until) in self.0.values_mut() {
            *until = until.map(|until| until - by);
        }
    }

    /// The clock was set back by so much while no server saw it: an order that hasn't ended goes on,
    /// for how long is found out by [`follow`](Self::follow).
    pub(super) fn set_back_unseen(&mut self, by: Duration) {
        self.set_back(by);
    }

    /// What the server has of orders after it was away: all that hasn't ended and nothing else, nor any
    /// for longer than it was given. Whoever can't know for how long it was gone may go on with what had
    /// not ended when it left, at `left`; none: the clock tells.
    pub(super) fn follow<'o>(
        &mut self,
        orders: impl Iterator<Item = &'o Order>,
        left: Option<Tick>,
        now: Tick,
    ) -> Result<(), String> {
        let known: BTreeMap<String, &Order> = orders.map(|order| (whom(order), order)).collect();
        if let Some((whom, order)) = known.iter().find(|(_, order)| !order.is_in_force(now)) {
            return Err(format!("the order on {whom} until {:?} is still kept at {now:?}", order.until));
        }
        for (whom, (_, until)) in &mut self.0 {
            let Some(end) = *until else { continue };
            let order = known.get(whom);
            if end <= now && (order.is_none() || left.is_none_or(|left| end < left)) {
                continue;
            }
            let Some(order) = order else {
                return Err(format!("the order on {whom} until {end:?} is gone at {now:?}"));
            };
            let after = order.until.ok_or("it has no end any more")?;
            if after < end || after.since(now) > LONGEST {
                return Err(format!("the order on {whom} ends at {after:?}, not at {end:?}"));
            }
            *until = Some(after);
        }
        Ok(())
    }

    /// What was said of a target: its own order goes before its site's.
    fn on(&self, target: &str, site: Option<&str>, now: Tick) -> Option<Desired> {
        let orders = [Some(target), site].into_iter().flatten().filter_map(|whom| self.0.get(whom));
        let mut in_force = orders.filter(|(_, until)| until.is_none_or(|until| now < until));
        in_force.next().map(|(desired, _)| *desired)
    }
}

/// All that operators say, by orders and files.
#[derive(Clone, Copy)]
pub(super) struct Sayings<'s> {
    pub(super) orders: &'s Given,
    pub(super) windows: &'s [Window],
    pub(super) good: &'s BTreeMap<Name, Good>,
}

impl Sayings<'_> {
    /// What is said of a target, or of a part of one: the first of all that say something.
    pub(super) fn on(&self, zone: &Name, target: &str, now: Tick) -> Desired {
        let named = target.split(PART_MARK).next().unwrap_or(target);
        let targets = self.good.get(zone).map_or(&[][..], |good| &good.config.routing.targets);
        let Some(file) = targets.iter().find(|target| target.name == named) else { return Desired::Auto };
        let site = file.site.as_deref();
        if let Some(desired) = self.orders.on(&whole_name(zone, named), site, now) {
            return desired;
        }
        // Windows are those of now also where a zone is its last good version.
        let is_planned = self.windows.iter().any(|window| window.drains(site, now));
        if is_planned { Desired::Drained } else { file.desired }
    }
}
