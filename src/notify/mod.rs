//! Notifications: what happens, told to people and programs elsewhere.
//!
//! ```text
//! journal --> collect --> queue (on disk) --> deliver --> webhook, slack, teams, email
//! status  --> alertmanager
//! ```
//!
//! Each receiver has tasks and a queue of its own, so that one that hangs holds up nobody else.
//! They listen to the journal, whose writer never waits for them.

mod about;
mod alertmanager;
mod attempt;
mod collect;
mod deliver;
mod email;
mod message;
mod queue;
mod receiver;
mod slack;
mod tally;
mod teams;
mod template;
mod webhook;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;

pub use attempt::Outcome;
pub use email::is_mailbox;
pub use receiver::{Channel, Email, Encryption, Endpoint, Receiver, Url};
pub use tally::{Counts, Tallies, Tally};
pub use template::{Mistake, Template, Words};

use self::message::Message;
use self::queue::Queue;
use crate::limits;
use crate::publish::{Status, now};

/// Where queues are in the state directory.
const DIRECTORY: &str = "notify";

/// How notifications wait: for more of the same, and for receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// A message is made so long after its last event.
    pub window: Duration,
    /// And so long after its first one at the latest.
    pub window_most: Duration,
    /// The wait after a first attempt that failed.
    pub backoff: Duration,
    /// The longest wait between attempts.
    pub backoff_most: Duration,
    /// How long an attempt may take.
    pub patience: Duration,
    /// How often an Alertmanager is told what is still wrong.
    pub resend: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            window: Duration::from_secs(2),
            window_most: Duration::from_secs(10),
            backoff: Duration::from_secs(1),
            backoff_most: Duration::from_secs(300),
            patience: limits::NOTIFY_TIME,
            resend: Duration::from_secs(60),
        }
    }
}

/// Starts telling the receivers of the configuration, and follows its changes. Queues are in the
/// state directory, if there is one.
pub fn start(status: &Arc<Status>, state: Option<&Path>, pace: Pace, runtime: &Handle) -> Arc<Tallies> {
    let tallies = Arc::<Tallies>::default();
    let directory = state.map(|state| state.join(DIRECTORY));
    runtime.spawn(follow(Arc::clone(status), directory, pace, Arc::clone(&tallies)));
    tallies
}

/// Sends a message that says that it is a test, and tells what became of it.
pub async fn test(receiver: &Receiver, server: &str) -> Outcome {
    deliver::send(receiver, &Message::test(server, now()), Pace::default()).await
}

async fn follow(status: Arc<Status>, directory: Option<PathBuf>, pace: Pace, tallies: Arc<Tallies>) {
    let mut changes = status.server();
    let mut running: BTreeMap<String, (Receiver, JoinSet<()>)> = BTreeMap::new();
    loop {
        let wanted = changes.borrow_and_update().notify.clone();
        let mut ended = Vec::new();
        let mut kept = BTreeMap::new();
        for (name, (receiver, tasks)) in running {
            if wanted.contains(&receiver) {
                kept.insert(name, (receiver, tasks));
            } else {
                ended.push(tasks);
            }
        }
        running = kept;
        for mut tasks in ended {
            // Its successor opens the same queue.
            tasks.shutdown().await;
        }
        let names: Vec<String> = wanted.iter().map(|receiver| receiver.name.clone()).collect();
        tallies.keep_only(|name| names.iter().any(|known| known == name));
        if let Some(directory) = directory.clone() {
            let _ = tokio::task::spawn_blocking(move || forget_others(&directory, &names)).await;
        }
        for receiver in wanted {
            if !running.contains_key(&receiver.name) {
                let place = directory.as_ref().map(|directory| directory.join(&receiver.name));
                let tasks = begin(&receiver, place, &status, &tallies, pace).await;
                running.insert(receiver.name.clone(), (receiver, tasks));
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// The tasks of one receiver.
async fn begin(
    receiver: &Receiver,
    place: Option<PathBuf>,
    status: &Arc<Status>,
    tallies: &Tallies,
    pace: Pace,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let tally = tallies.of(&receiver.name);
    if let Channel::Alertmanager(endpoint) = &receiver.channel {
        tasks.spawn(alertmanager::run(receiver.clone(), endpoint.clone(), Arc::clone(status), tally, pace));
        return tasks;
    }
    let opened = tokio::task::spawn_blocking(move || Queue::open(place)).await;
    let queue = Arc::new(opened.unwrap_or_else(|_| Queue::open(None)));
    let came = Arc::<Notify>::default();
    let (kept, told, counted) = (Arc::clone(&queue), Arc::clone(&came), Arc::clone(&tally));
    tasks.spawn(collect::run(receiver.clone(), Arc::clone(status), kept, told, counted, pace));
    tasks.spawn(deliver::run(receiver.clone(), queue, came, tally, pace));
    tasks
}

/// Removes queues of receivers that are no more: nobody would ever take them.
fn forget_others(directory: &Path, names: &[String]) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_known = entry.file_name().to_str().is_some_and(|name| names.iter().any(|known| known == name));
        if !is_known && let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "an old queue can't be removed");
        }
    }
}
