//! The operator's hand: orders given while the server runs, which win over files and probes.
//!
//! Precedence, the first that says something wins:
//!
//! ```text
//! order on the target > order on its site > maintenance window
//!     > `state` of the target > `state` of its site > probes
//! ```

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::tick::rfc3339;
use super::{Desired, Tick};

/// Whom an order is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One target of a zone.
    Target {
        /// Apex of the zone, absolute.
        zone: String,
        /// Name of the target.
        target: String,
    },
    /// All targets of a site, in all zones.
    Site(String),
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scope::Target { zone, target } => write!(f, "{zone}/{target}"),
            Scope::Site(site) => write!(f, "site {site}"),
        }
    }
}

/// An order, with whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Whom it is about.
    pub scope: Scope,
    /// What was ordered; never [`Desired::Auto`].
    pub desired: Desired,
    /// Who gave it.
    pub by: String,
    /// When.
    pub since: Tick,
    /// When it ends by itself; none: when it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Tick>,
    /// Why, in the words of whoever gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// All orders in force, one for each scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Orders(Vec<Order>);

impl FromIterator<Order> for Orders {
    fn from_iter<T: IntoIterator<Item = Order>>(orders: T) -> Orders {
        Orders(orders.into_iter().collect())
    }
}

impl Orders {
    /// Gives an order, in place of an older one of the same scope.
    pub fn give(&mut self, order: Order) {
        self.take_back(&order.scope);
        self.0.push(order);
    }

    /// Takes an order back, if there is one.
    pub fn take_back(&mut self, scope: &Scope) -> Option<Order> {
        let place = self.0.iter().position(|order| order.scope == *scope)?;
        Some(self.0.remove(place))
    }

    /// Removes orders whose time is over.
    pub fn expire(&mut self, now: Tick) -> Vec<Order> {
        self.0.extract_if(.., |order| order.until.is_some_and(|until| until <= now)).collect()
    }

    /// When the next of them begins or ends after a moment.
    #[must_use]
    pub fn next_change(&self, now: Tick) -> Option<Tick> {
        let moments = self.0.iter().flat_map(|order| [Some(order.since), order.until]);
        moments.flatten().filter(|at| *at > now).min()
    }

    /// Those that began or ended behind `since` and up to `now`.
    pub fn changed(&self, since: Tick, now: Tick) -> impl Iterator<Item = &Order> {
        let is_between = move |at: Tick| since < at && at <= now;
        self.0.iter().filter(move |order| is_between(order.since) || order.until.is_some_and(is_between))
    }

    /// When the next order ends by itself.
    #[must_use]
    pub fn next_end(&self) -> Option<Tick> {
        self.0.iter().filter_map(|order| order.until).min()
    }

    /// The order that holds for a target at a moment.
    #[must_use]
    pub fn on(&self, zone: &str, target: &str, site: Option<&str>, now: Tick) -> Option<&Order> {
        let in_force = || self.0.iter().filter(move |order| order.is_in_force(now));
        let own = in_force().find(|order| match &order.scope {
            Scope::Target { zone: of, target: named } => of == zone && named == target,
            Scope::Site(_) => false,
        });
        let is_site =
            |order: &&Order| matches!(&order.scope, Scope::Site(named) if Some(named.as_str()) == site);
        own.or_else(|| in_force().find(is_site))
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Order> {
        self.0.iter()
    }
}

impl Order {
    /// Whether it holds at a moment.
    #[must_use]
    pub fn is_in_force(&self, now: Tick) -> bool {
        // An order that was given holds at once, also when the clock was set back since.
        self.until.is_none_or(|until| self.since <= now && now < until)
    }

    /// `drained by alice until 2026-11-24T14:00:00Z: kernel update`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = format!("{} by {}", word(self.desired), self.by);
        if let Some(until) = self.until {
            let _ = write!(text, " until {}", rfc3339(until));
        }
        if let Some(reason) = &self.reason {
            let _ = write!(text, ": {reason}");
        }
        text
    }
}

/// What was said of a target, as people say it.
#[must_use]
pub fn word(desired: Desired) -> &'static str {
    match desired {
        Desired::Auto => "left to its probes",
        Desired::Up => "forced up",
        Desired::Down => "forced down",
        Desired::Drained => "drained",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(scope: Scope, desired: Desired, until: Option<Tick>) -> Order {
        let reason = Some("kernel update".to_owned());
        Order { scope, desired, by: "alice".to_owned(), since: Tick(1000), until, reason }
    }

    #[test]
    fn a_targets_order_goes_before_its_sites_and_each_ends_in_time() {
        let target = Scope::Target { zone: "example.com.".to_owned(), target: "web-tw".to_owned() };
        let site = Scope::Site("tw".to_owned());
        let mut orders = Orders::default();
        orders.give(order(site.clone(), Desired::Drained, None));
        orders.give(order(target.clone(), Desired::Up, Some(Tick(60_000))));
        let on = |orders: &Orders| {
            orders.on("example.com.", "web-tw", Some("tw"), Tick(2000)).map(|order| order.desired)
        };
        assert_eq!(on(&orders), Some(Desired::Up));
        assert_eq!(
            orders.on("example.com.", "mx-tw", Some("tw"), Tick(2000)).unwrap().desired,
            Desired::Drained
        );
        assert_eq!(orders.on("example.com.", "web-my", Some("my"), Tick(2000)), None);
        assert_eq!(orders.next_end(), Some(Tick(60_000)));
        assert_eq!(orders.expire(Tick(59_999)), []);
        let ended = orders.expire(Tick(60_000));
        assert_eq!(ended[0].sentence(), "forced up by alice until 1970-01-01T00:01:00Z: kernel update");
        assert_eq!(on(&orders), Some(Desired::Drained));
        assert!(orders.take_back(&site).is_some());
        assert_eq!(on(&orders), None);
    }
}
