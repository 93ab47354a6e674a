//! What is due when: many things, each with a time, of which the nearest is asked for all the time.

use std::collections::{BTreeMap, BTreeSet};

/// Times by what they are the times of. The nearest and the farthest are found without a look at
/// the others, so that thousands of signed zones cost nothing between their changes.
#[derive(Debug)]
pub(super) struct Due<K> {
    times: BTreeMap<K, u64>,
    order: BTreeSet<(u64, K)>,
}

impl<K> Default for Due<K> {
    fn default() -> Due<K> {
        Due { times: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Clone + Ord> Due<K> {
    /// Sets the time of one of them, or takes it out.
    pub(super) fn set(&mut self, key: &K, time: Option<u64>) {
        let before = match time {
            Some(time) => self.times.insert(key.clone(), time),
            None => self.times.remove(key),
        };
        if before == time {
            return;
        }
        if let Some(before) = before {
            self.order.remove(&(before, key.clone()));
        }
        if let Some(time) = time {
            self.order.insert((time, key.clone()));
        }
    }

    /// Takes out all that aren't wanted any more.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(&K) -> bool) {
        self.times.retain(|key, _| is_wanted(key));
        self.order.retain(|(_, key)| is_wanted(key));
    }

    /// The nearest time.
    pub(super) fn first(&self) -> Option<u64> {
        self.order.first().map(|(time, _)| *time)
    }

    /// The farthest time.
    pub(super) fn last(&self) -> Option<u64> {
        self.order.last().map(|(time, _)| *time)
    }

    /// Those whose time has come, the longest due first.
    pub(super) fn until(&self, now: u64) -> impl Iterator<Item = &K> {
        self.order.iter().take_while(move |(time, _)| *time <= now).map(|(_, key)| key)
    }

    /// Those whose time is yet to come, the farthest first.
    pub(super) fn behind(&self, now: u64) -> impl Iterator<Item = &K> {
        self.order.iter().rev().take_while(move |(time, _)| *time > now).map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_known_whatever_is_set_moved_and_taken_out() {
        let mut due = Due::default();
        assert_eq!((due.first(), due.last()), (None, None));
        for (key, time) in [("a", 30), ("b", 10), ("c", 20), ("d", 10)] {
            due.set(&key, Some(time));
        }
        assert_eq!((due.first(), due.last()), (Some(10), Some(30)));
        assert_eq!(due.until(20).collect::<Vec<_>>(), [&"b", &"d", &"c"]);
        assert_eq!(due.behind(10).collect::<Vec<_>>(), [&"a", &"c"]);
        due.set(&"b", Some(40));
        due.set(&"d", None);
        due.set(&"d", None);
        assert_eq!((due.first(), due.last()), (Some(20), Some(40)));
        due.retain(|key| *key == "b");
        assert_eq!((due.first(), due.last()), (Some(40), Some(40)));
    }
}
