//! Gathers events into messages: what happens within a few seconds is one.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::Pace;
use super::about::About;
use super::message::Message;
use super::queue::Queue;
use super::receiver::Receiver;
use super::tally::Tally;
use crate::limits;
use crate::model::event::Event;
use crate::publish::Status;

/// Events that will be one message, and when they came.
#[derive(Debug, Default)]
struct Gathered {
    events: Vec<Arc<Event>>,
    times: Option<(Instant, Instant)>,
    /// When the first event came that the receiver doesn't want. That it was seen is kept too: a
    /// receiver that is changed to want such events hears of new ones alone.
    passed_over: Option<Instant>,
}

/// Listens to what happens, for one receiver, until it is aborted. The writer that tells events
/// never waits for it: who is behind reads the journal.
pub(super) async fn run(
    receiver: Receiver,
    status: Arc<Status>,
    queue: Arc<Queue>,
    came: Arc<Notify>,
    tally: Arc<Tally>,
    pace: Pace,
) {
    let mut happens = status.journal().subscribe();
    let last = status.journal().last();
    // A receiver that is new hears of what comes; one that was here before, of what it missed.
    let mut seen = queue.seen().unwrap_or(last).min(last);
    let mut gathered = Gathered::default();
    let mut missed = true;
    loop {
        if std::mem::take(&mut missed) {
            for event in status.journal().since(seen) {
                seen = event.id;
                gathered.add(event, &receiver, &status);
            }
        }
        let told = match gathered.due(pace) {
            Some(due) => timeout_at(due, happens.recv()).await,
            None => Ok(happens.recv().await),
        };
        match told {
            // What was read from the journal already comes by subscription too.
            Ok(Ok(event)) if event.id > seen => {
                seen = event.id;
                gathered.add(event, &receiver, &status);
            }
            Ok(Ok(_)) => {}
            Ok(Err(RecvError::Lagged(_))) => missed = true,
            Ok(Err(RecvError::Closed)) => return,
            Err(_) => {
                let events = std::mem::take(&mut gathered).events;
                let server = status.server().borrow().identity.clone();
                let message = Message::of(&events, &receiver, &status.model(), &server);
                let (disk, number) = (Arc::clone(&queue), seen);
                let kept = tokio::task::spawn_blocking(move || {
                    // In this order: a crash between them tells twice rather than never.
                    let dropped = message.map_or(0, |message| disk.push(message));
                    disk.set_seen(number);
                    dropped
                });
                let dropped = kept.await.unwrap_or(0);
                if dropped > 0 {
                    tracing::error!(
                        notify = receiver.name,
                        dropped,
                        "too many notifications wait: the oldest are dropped"
                    );
                    tally.dropped(dropped);
                }
                tally.wait(queue.len());
                came.notify_one();
            }
        }
    }
}

impl Gathered {
    fn add(&mut self, event: Arc<Event>, receiver: &Receiver, status: &Status) {
        let now = Instant::now();
        // Only what the receiver wants to hear of lets others wait for more.
        if !receiver.wants(event.severity(), &About::of(&event, &status.model())) {
            self.passed_over.get_or_insert(now);
            return;
        }
        let first = self.times.map_or(now, |(first, _)| first);
        self.times = Some((first, now));
        self.events.push(event);
    }

    /// When it becomes a message, or only what was seen is kept.
    fn due(&self, pace: Pace) -> Option<Instant> {
        let Some((first, last)) = self.times else {
            return self.passed_over.map(|at| at + pace.window_most);
        };
        // So many at once are told at once, before they fill the memory.
        if self.events.len() >= limits::EVENTS_WAITING {
            return Some(first);
        }
        Some((last + pace.window).min(first + pace.window_most))
    }
}
