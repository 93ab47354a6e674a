//! `needs` of targets and sites: who is nothing without whom.

use std::collections::BTreeMap;
use std::ops::Range;

use super::reader::{Table, Value};
use super::zone::Reader;
use crate::diagnostic::did_you_mean;
use crate::health::Desired;
use crate::limits::NEEDS_DEPTH;
use crate::route::{Dependency, TargetId};

/// What is said of a whole site.
pub(super) struct Site<'r> {
    /// The operator's word.
    pub(super) desired: Desired,
    /// What all its targets need.
    pub(super) needs: Vec<Wish<'r>>,
    /// What each of them can take.
    pub(super) capacity: Option<u32>,
    /// What each of them has.
    pub(super) load: Option<u32>,
}

/// A name in a list of needs, and where it stands.
pub(super) type Wish<'r> = (&'r str, Value<'r>);

/// The names at `needs`.
pub(super) fn wishes<'r>(table: &Table<'r>) -> Vec<Wish<'r>> {
    let values = table.get("needs").map_or_else(Vec::new, |value| value.list());
    values.into_iter().filter_map(|value| Some((value.str()?, value))).collect()
}

impl<'r> Reader<'r> {
    /// Finds out whom the names mean, once all targets and routes are known.
    pub(super) fn needs(&mut self, sites: &BTreeMap<&'r str, Site<'r>>) {
        let wishes = std::mem::take(&mut self.wishes);
        let mut places: Vec<Vec<Range<usize>>> = Vec::new();
        for (at, own) in wishes.iter().enumerate() {
            let site = self.config.routing.targets[at].site.clone();
            let here = site.as_deref().and_then(|site| sites.get(site));
            let mut needs = Vec::new();
            for wish in own {
                needs.extend(self.dependency(at, wish, true).map(|found| (found, wish.1.span.clone())));
            }
            let of_site: Vec<_> = here
                .into_iter()
                .flat_map(|site| &site.needs)
                .filter_map(|wish| Some((self.dependency(at, wish, false)?, wish.1.span.clone())))
                .collect();
            // What a site stands on doesn't stand on the site.
            let id = TargetId(u32::try_from(at).unwrap_or(u32::MAX));
            if !of_site.iter().any(|(needed, _)| needed.any_of.contains(&id)) {
                needs.extend(of_site);
            }
            let (found, spans) = needs.into_iter().unzip();
            self.config.routing.targets[at].needs = found;
            places.push(spans);
        }
        // An unknown name of a site is told once, also where the site has no target.
        for wish in sites.values().flat_map(|site| &site.needs) {
            if !self.target_ids.contains_key(wish.0) && !self.is_route(wish.0) {
                self.unknown(wish);
            }
        }
        self.circles(&places);
    }

    /// A target of this name, or the targets of the route of this name that stand at the same site.
    fn dependency(&self, at: usize, wish: &Wish<'r>, is_told: bool) -> Option<Dependency> {
        let (name, value) = wish;
        if let Some(id) = self.target_ids.get(name) {
            return Some(Dependency { name: (*name).to_owned(), any_of: vec![*id] });
        }
        if !self.is_route(name) {
            if is_told {
                self.unknown(wish);
            }
            return None;
        }
        let routing = &self.config.routing;
        let Some(site) = &routing.targets[at].site else {
            value.error(
                format!("\"{name}\" is a route, and \"{}\" stands at no site", routing.targets[at].name),
                "name a target, or give it a site: then the route's targets at that site are meant",
            );
            return None;
        };
        let routes = routing.routes.iter().filter(|route| route.label == *name);
        let is_here = |id: &TargetId| routing.targets[id.0 as usize].site.as_ref() == Some(site);
        let any_of: Vec<TargetId> = routes.flat_map(|route| route.targets()).filter(is_here).collect();
        if any_of.is_empty() {
            value.error(
                format!("route \"{name}\" has no target at site \"{site}\""),
                "name a target that stands elsewhere, or take it out",
            );
            return None;
        }
        Some(Dependency { name: format!("{name} at {site}"), any_of })
    }

    fn is_route(&self, name: &str) -> bool {
        self.config.routing.routes.iter().any(|route| route.label == name)
    }

    fn unknown(&self, (name, value): &Wish<'r>) {
        let routes = self.config.routing.routes.iter().map(|route| route.label.as_str());
        let help = did_you_mean(name, self.target_ids.keys().copied().chain(routes));
        value.error(
            format!("\"{name}\" is neither a target nor a route"),
            help.unwrap_or_else(|| format!("add [targets.{name}]")),
        );
    }

    /// Who needs himself in the end would never be served again.
    fn circles(&self, places: &[Vec<Range<usize>>]) {
        let targets = &self.config.routing.targets;
        // How long the chain behind a target is; none while that is being found out.
        let mut known: Vec<Option<Option<usize>>> = vec![None; targets.len()];
        for start in 0..targets.len() {
            if known[start].is_none() {
                self.depth(start, 0, places, &mut known);
            }
        }
    }

    fn depth(
        &self,
        at: usize,
        above: usize,
        places: &[Vec<Range<usize>>],
        known: &mut [Option<Option<usize>>],
    ) -> usize {
        known[at] = Some(None);
        let target = &self.config.routing.targets[at];
        let mut deepest = 0;
        for (needed, place) in target.needs.iter().zip(&places[at]) {
            for next in &needed.any_of {
                let next = next.0 as usize;
                let depth = match known[next] {
                    Some(None) => {
                        let message = format!(
                            "\"{}\" needs \"{}\", which in the end needs \"{}\"",
                            target.name, needed.name, target.name
                        );
                        self.file.error(place, message, "a circle would never be served again: take one out");
                        0
                    }
                    Some(Some(depth)) => depth,
                    None if above > NEEDS_DEPTH => 0,
                    None => self.depth(next, above + 1, places, known),
                };
                if depth + 1 > NEEDS_DEPTH {
                    let message = format!("a chain of more than {NEEDS_DEPTH} targets that need each other");
                    self.file.error(place, message, "name what it needs itself, and no more");
                    known[at] = Some(Some(0));
                    return 0;
                }
                deepest = deepest.max(depth + 1);
            }
        }
        known[at] = Some(Some(deepest));
        deepest
    }
}
