//! What operators have said, reckoned apart from the server.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::health::{Desired, Tick};
use crate::wire::name::Name;

/// Orders by whom they are about: a site, or a zone's target.
#[derive(Default)]
pub(super) struct Given(BTreeMap<String, (Desired, Option<Tick>)>);

/// A target as operators write it: `example.com./web-tw`.
pub(super) fn whole_name(zone: &Name, target: &str) -> String {
    format!("{zone}/{target}")
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

    /// An order holds as long as was said, however the clock is set back.
    pub(super) fn set_back(&mut self, by: Duration) {
        for (_, until) in self.0.values_mut() {
            *until = until.map(|until| until - by);
        }
    }

    /// What was said of a target: its own order goes before its site's.
    pub(super) fn on(&self, target: &str, site: Option<&str>, now: Tick) -> Option<Desired> {
        let orders = [Some(target), site].into_iter().flatten().filter_map(|whom| self.0.get(whom));
        let mut in_force = orders.filter(|(_, until)| until.is_none_or(|until| now < until));
        in_force.next().map(|(desired, _)| *desired)
    }
}
