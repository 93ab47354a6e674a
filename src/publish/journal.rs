//! What happened, in order: kept in memory for looking at, handed to whoever subscribes.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::broadcast;

use crate::limits;
use crate::model::event::Event;

/// The events of this server.
#[derive(Debug)]
pub struct Journal {
    kept: RwLock<Kept>,
    told: broadcast::Sender<Arc<Event>>,
}

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    events: VecDeque<Arc<Event>>,
}

impl Default for Journal {
    fn default() -> Journal {
        Journal { kept: RwLock::default(), told: broadcast::Sender::new(limits::EVENTS_WAITING) }
    }
}

impl Journal {
    /// Every event from now on. A subscriber that is slow loses the oldest, and is told how many.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.told.subscribe()
    }

    /// The kept events with a higher number, the oldest first.
    #[must_use]
    pub fn since(&self, id: u64) -> Vec<Arc<Event>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let first = kept.events.partition_point(|event| event.id <= id);
        kept.events.range(first..).cloned().collect()
    }

    /// The number of the newest event; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).last
    }

    /// Takes over what was told before a restart, so that numbers go on.
    pub(super) fn restore(&self, events: Vec<Event>) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            kept.push(event);
        }
    }

    /// Numbers an event and tells it.
    pub(super) fn tell(&self, mut event: Event) -> Arc<Event> {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        event.id = kept.last + 1;
        let event = kept.push(event);
        // Told under the lock, so that subscribers see the order of the numbers. Without a
        // subscriber there is nobody to tell.
        let _ = self.told.send(Arc::clone(&event));
        event
    }
}

impl Kept {
    fn push(&mut self, event: Event) -> Arc<Event> {
        if self.events.len() == limits::EVENTS_KEPT {
            self.events.pop_front();
        }
        self.last = self.last.max(event.id);
        let event = Arc::new(event);
        self.events.push_back(Arc::clone(&event));
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Tick;
    use crate::model::event::Kind;

    #[test]
    fn numbers_go_on_after_a_restart() {
        let journal = Journal::default();
        let notice = || Event::new(Tick(1), Kind::Notice, "something");
        let first: Vec<Event> = (0..3).map(|_| Event::clone(&journal.tell(notice()))).collect();
        let again = Journal::default();
        again.restore(first);
        let mut subscriber = again.subscribe();
        assert_eq!(again.tell(notice()).id, 4);
        assert_eq!(subscriber.try_recv().unwrap().id, 4);
        assert_eq!(again.since(2).iter().map(|event| event.id).collect::<Vec<_>>(), [3, 4]);
        assert!(again.since(9).is_empty());
    }
}
