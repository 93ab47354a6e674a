//! `GET /v1/events/stream`: events as server-sent events, for pages that follow them.
//!
//! ```text
//! id: 17                     a browser that lost the connection sends it as Last-Event-ID
//! data: {"id":17, ...}       and gets what it missed from the journal
//!
//! event: resync              what it missed is known no more: look at everything again
//! data: 23
//! ```

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::routing::get;
use futures_util::stream::{Stream, unfold};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::api::Problem;
use crate::limits::{ADMIN_STREAM_TIME, ADMIN_STREAMS};
use crate::model::event::Event;
use crate::publish::{Control, Journal};

/// The number of the newest event that a browser has had (HTML, server-sent events).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A comment this often, so that nothing between takes the connection for dead.
const KEPT_ALIVE: Duration = Duration::from_secs(15);

/// What is known of a reader.
struct Reader {
    /// The newest event that it has had.
    last: u64,
    /// What it hasn't had, from before it came.
    missed: VecDeque<Arc<Event>>,
    /// Whether more is missing than is known.
    has_lost: bool,
    told: Receiver<Arc<Event>>,
    until: Instant,
    _permit: OwnedSemaphorePermit,
}

#[derive(Clone)]
pub(super) struct Streams {
    control: Control,
    free: Arc<Semaphore>,
}

/// The stream of events.
pub(super) fn router(control: Control) -> Router {
    let free = Arc::new(Semaphore::new(ADMIN_STREAMS));
    Router::new().route("/v1/events/stream", get(stream)).with_state(Streams { control, free })
}

/// What happens from now on, or behind `Last-Event-ID`, as server-sent events.
#[utoipa::path(get, path = "/v1/events/stream", responses(
    (status = 200, body = String, content_type = "text/event-stream"), (status = 503, body = Problem)))]
pub(super) async fn stream(
    State(Streams { control, free }): State<Streams>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let full = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "events are streamed to too many readers");
    let permit = free.try_acquire_owned().map_err(full)?;
    let asked = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.trim().parse().ok());
    let reader = Reader::new(control.status().journal(), asked, permit);
    Ok(Sse::new(unfold(reader, Reader::next)).keep_alive(KeepAlive::new().interval(KEPT_ALIVE)))
}

impl Reader {
    /// A reader who has had events up to a number; one without hears of those to come.
    fn new(journal: &Journal, had: Option<u64>, permit: OwnedSemaphorePermit) -> Reader {
        // Before the look at what is there, so that nothing falls between.
        let told = journal.subscribe();
        let newest = journal.last();
        let missed: VecDeque<_> = had.map(|id| journal.since(id)).unwrap_or_default().into();
        let has_lost = had.is_some_and(|id| match missed.front() {
            Some(first) => first.id > id + 1,
            // Numbers begin anew when the state directory was lost.
            None => id != newest,
        });
        let last = if has_lost { newest } else { had.unwrap_or(newest) };
        let missed = if has_lost { VecDeque::new() } else { missed };
        Reader { last, missed, has_lost, told, until: Instant::now() + ADMIN_STREAM_TIME, _permit: permit }
    }

    async fn next(mut self) -> Option<(Result<sse::Event, Infallible>, Reader)> {
        loop {
            if std::mem::take(&mut self.has_lost) {
                return Some((Ok(resync(self.last)), self));
            }
            let event = match self.missed.pop_front() {
                Some(event) => event,
                None => match timeout_at(self.until, self.told.recv()).await {
                    Ok(Ok(event)) => event,
                    Ok(Err(RecvError::Lagged(_))) => {
                        self.has_lost = true;
                        continue;
                    }
                    Ok(Err(RecvError::Closed)) | Err(_) => return None,
                },
            };
            // What was missed may have been told meanwhile, too.
            if event.id > self.last {
                self.last = event.id;
                return Some((Ok(told(&event)), self));
            }
        }
    }
}

fn told(event: &Event) -> sse::Event {
    let id = event.id.to_string();
    // Only a map with keys that aren't text can't be written, and there is none.
    sse::Event::default().id(&id).json_data(event).unwrap_or_else(|_| resync(event.id))
}

fn resync(last: u64) -> sse::Event {
    sse::Event::default().event("resync").id(last.to_string()).data(last.to_string())
}
