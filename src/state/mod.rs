//! What must survive a restart: verdicts of health, and the last good version of each zone.
//!
//! ```text
//! state/health.json               verdicts, with the format's version
//! state/zones/example.com/...     the files that the zone was last loaded from
//! ```
//!
//! A thread of its own writes, so that a slow or full disk holds up nobody: the newest state
//! waits in one place, older ones are passed over. Files are written beside their place and
//! renamed, so a crash leaves the old or the new one.

mod store;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;
pub use store::{Store, StoreError};

use crate::health::Saved;
use crate::load::ZoneFiles;

/// Zones that wait to be written. When the disk is slower than so many reloads, the version of a
/// zone on disk is an older good one.
const ZONES_QUEUED: usize = 1024;

/// What can be kept.
enum Keep {
    Health(Saved),
    Zone(ZoneFiles, Vec<(PathBuf, Bytes)>),
    Forget(ZoneFiles),
}

/// Hands state to the thread that writes it.
#[derive(Debug)]
pub struct Keeper {
    sender: Option<SyncSender<Keep>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Keep::Health(_) => "Health",
            Keep::Zone(..) => "Zone",
            Keep::Forget(_) => "Forget",
        })
    }
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(store: Store) -> std::io::Result<Keeper> {
        let (sender, receiver) = sync_channel(ZONES_QUEUED);
        let thread =
            std::thread::Builder::new().name("state".into()).spawn(move || run(&store, &receiver))?;
        Ok(Keeper { sender: Some(sender), thread: Some(thread) })
    }

    /// Keeps verdicts.
    pub fn health(&self, saved: Saved) {
        self.send(Keep::Health(saved));
    }

    /// Keeps a zone that loaded well.
    pub fn zone(&self, files: ZoneFiles, contents: Vec<(PathBuf, Bytes)>) {
        self.send(Keep::Zone(files, contents));
    }

    /// Forgets a zone that an operator took away.
    pub fn forget(&self, files: ZoneFiles) {
        self.send(Keep::Forget(files));
    }

    fn send(&self, keep: Keep) {
        let Some(sender) = &self.sender else { return };
        match sender.try_send(keep) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(keep)) => {
                tracing::warn!(what = ?keep, "the state directory is slower than changes come; one wasn't kept");
            }
        }
    }
}

impl Drop for Keeper {
    /// Waits until what was handed over is written.
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(store: &Store, receiver: &Receiver<Keep>) {
    // The same trouble is told once, until it is over.
    let mut in_trouble = false;
    while let Ok(first) = receiver.recv() {
        let mut waiting = vec![first];
        waiting.extend(receiver.try_iter());
        let newest_health = waiting.iter().rposition(|keep| matches!(keep, Keep::Health(_)));
        for (at, keep) in waiting.into_iter().enumerate() {
            let result = match &keep {
                Keep::Health(_) if newest_health != Some(at) => Ok(()),
                Keep::Health(saved) => store.write_health(saved),
                Keep::Zone(files, contents) => store.write_zone(files, contents),
                Keep::Forget(files) => store.remove_zone(files),
            };
            match result {
                Ok(()) => in_trouble = false,
                Err(error) if !in_trouble => {
                    in_trouble = true;
                    tracing::error!(%error, "state isn't kept over a restart; answers go on");
                }
                Err(_) => {}
            }
        }
    }
}
