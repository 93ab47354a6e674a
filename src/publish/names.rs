//! Host names of targets as the writer knows them: their addresses, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use crate::resolve::Found;
use crate::route::{Addresses, Resolved};
use crate::state::SavedAddresses;
use crate::wire::name::Name;

/// Addresses of all host names that targets are given by.
#[derive(Debug, Default)]
pub(super) struct Names {
    resolved: Resolved,
    /// Names that didn't resolve the last time, and why: told once, until it is over.
    troubled: BTreeMap<Name, String>,
}

/// What an answer changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Whether the name has other addresses now.
    pub(super) is_changed: bool,
    /// Whether what is told is no good news.
    pub(super) is_trouble: bool,
    /// What is worth telling.
    pub(super) told: Option<String>,
}

impl Names {
    /// What was known before a restart: good until names are resolved again.
    pub(super) fn restored(saved: SavedAddresses) -> Names {
        let known = saved.into_iter().filter_map(|(name, addresses)| {
            Some((Name::parse(&name, None).ok()?, Addresses::new(addresses)))
        });
        Names { resolved: known.collect(), troubled: BTreeMap::new() }
    }

    pub(super) fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    pub(super) fn save(&self) -> SavedAddresses {
        self.resolved.iter().map(|(name, known)| (name.to_string(), known.iter().collect())).collect()
    }

    /// Forgets names that no target is given by any more. Says whether there were any.
    pub(super) fn keep_only(&mut self, wanted: &BTreeSet<Name>) -> bool {
        let before = self.resolved.len();
        self.resolved.retain(|name, _| wanted.contains(name));
        self.troubled.retain(|name, _| wanted.contains(name));
        self.resolved.len() < before
    }

    /// Takes an answer in.
    pub(super) fn take(&mut self, found: &Found) -> News {
        let Found { name, resolution } = found;
        let before = self.resolved.get(name).cloned().unwrap_or_default();
        let (now, trouble) = resolution.after(&before);
        let is_changed = now != before;
        let listed = |addresses: &Addresses| {
            let all: Vec<String> = addresses.iter().map(|address| address.to_string()).collect();
            if all.is_empty() { "nothing".to_owned() } else { all.join(" ") }
        };
        let was_troubled = self.troubled.remove(name).is_some();
        let mut told = Vec::new();
        if is_changed {
            told.push(format!("{name} is {} now, was {}", listed(&now), listed(&before)));
        }
        let is_trouble = trouble.is_some() && !was_troubled;
        match &trouble {
            Some(why) if !was_troubled => {
                told.push(format!("{name} doesn't resolve: {why}; it stays {}", listed(&now)));
            }
            None if was_troubled => told.push(format!("{name} resolves again")),
            _ => {}
        }
        if let Some(why) = trouble {
            self.troubled.insert(name.clone(), why);
        }
        if is_changed {
            self.resolved.insert(name.clone(), now);
        }
        News { is_changed, is_trouble, told: (!told.is_empty()).then(|| told.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::addresses::Resolution;

    #[test]
    fn news_are_told_once() {
        let name = Name::parse("lb.example.net.", None).unwrap();
        let found = |resolution| Found { name: name.clone(), resolution };
        let good = found(Resolution { ipv4: Ok(vec!["192.0.2.1".parse().unwrap()]), ipv6: Ok(vec![]) });
        let bad = found(Resolution::failed("no answer"));
        let mut names = Names::default();
        assert!(!names.take(&bad).is_changed);
        assert_eq!(names.take(&bad), News::default());
        let news = names.take(&good);
        assert!(news.is_changed);
        let told = "lb.example.net. is 192.0.2.1 now, was nothing; lb.example.net. resolves again";
        assert_eq!(news.told.as_deref(), Some(told));
        assert_eq!(names.take(&good), News::default());
        let news = names.take(&bad);
        assert!(news.is_trouble && !news.is_changed);
        let told = "lb.example.net. doesn't resolve: no answer; it stays 192.0.2.1";
        assert_eq!(news.told.as_deref(), Some(told));
        // A restart knows what was known.
        let restored = Names::restored(names.save());
        assert_eq!(restored.resolved(), names.resolved());
        names.keep_only(&BTreeSet::new());
        assert!(names.save().is_empty());
    }
}
