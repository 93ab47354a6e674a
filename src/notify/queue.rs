//! Messages that wait for one receiver: a file for each, so that a restart forgets none.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::message::Message;
use crate::limits;

/// The file with the number of the last event that was looked at.
const SEEN: &str = "seen";

/// Messages that wait for one receiver. Without a directory they wait in memory alone.
#[derive(Debug)]
pub(super) struct Queue {
    directory: Option<PathBuf>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    messages: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    message: Arc<Message>,
    attempts: u32,
}

impl Queue {
    /// The queue in a directory, with what a run before left there.
    pub(super) fn open(directory: Option<PathBuf>) -> Queue {
        let directory = directory.filter(|directory| match fs::create_dir_all(directory) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(directory = %directory.display(), %error, "notifications won't survive a restart");
                false
            }
        });
        let mut waiting = Waiting::default();
        if let Some(directory) = &directory {
            for (number, path) in numbered(directory) {
                match fs::read(&path).and_then(|octets| Ok(serde_json::from_slice(&octets)?)) {
                    Ok(message) => {
                        waiting.messages.insert(number, Entry { message: Arc::new(message), attempts: 0 });
                    }
                    Err(error) => {
                        tracing::warn!(path = %path.display(), %error, "a notification can't be read");
                        let _ = fs::remove_file(path);
                    }
                }
                waiting.next = waiting.next.max(number + 1);
            }
        }
        Queue { directory, waiting: Mutex::new(waiting) }
    }

    /// Takes a message in. With too many, the oldest of the least severe goes: how many went.
    pub(super) fn push(&self, message: Message) -> usize {
        let mut waiting = self.waiting();
        let number = waiting.next;
        waiting.next += 1;
        if let Some(directory) = &self.directory
            && let Err(error) = write(&file(directory, number), &message)
        {
            tracing::error!(%error, "a notification wouldn't survive a restart");
        }
        waiting.messages.insert(number, Entry { message: Arc::new(message), attempts: 0 });
        let mut dropped = 0;
        while waiting.messages.len() > limits::NOTIFY_QUEUE {
            let least =
                waiting.messages.iter().min_by_key(|(number, entry)| (entry.message.severity, **number));
            let Some(number) = least.map(|(number, _)| *number) else { break };
            waiting.messages.remove(&number);
            self.forget(number);
            dropped += 1;
        }
        dropped
    }

    /// The next one to be sent: one that fails lets the others go first, since it may be the
    /// message itself that the receiver chokes on.
    pub(super) fn next(&self) -> Option<(u64, Arc<Message>)> {
        let waiting = self.waiting();
        let next = waiting.messages.iter().min_by_key(|(number, entry)| (entry.attempts, **number));
        next.map(|(number, entry)| (*number, Arc::clone(&entry.message)))
    }

    /// Notes that it wasn't taken.
    pub(super) fn failed(&self, number: u64) {
        if let Some(entry) = self.waiting().messages.get_mut(&number) {
            entry.attempts += 1;
        }
    }

    /// Forgets it: taken, or given up.
    pub(super) fn remove(&self, number: u64) {
        self.waiting().messages.remove(&number);
        self.forget(number);
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting().messages.len()
    }

    /// The number of the last event that was looked at, before a restart.
    pub(super) fn seen(&self) -> Option<u64> {
        let text = fs::read_to_string(self.directory.as_ref()?.join(SEEN)).ok()?;
        text.trim().parse().ok()
    }

    /// Keeps the number of the last event that was looked at.
    pub(super) fn set_seen(&self, id: u64) {
        let Some(directory) = &self.directory else { return };
        if let Err(error) = replace(&directory.join(SEEN), format!("{id}\n").as_bytes()) {
            tracing::error!(%error, "a restart may send notifications twice");
        }
    }

    fn forget(&self, number: u64) {
        if let Some(directory) = &self.directory {
            let _ = fs::remove_file(file(directory, number));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn file(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:010}.json"))
}

/// The files of messages, by their numbers.
fn numbered(directory: &Path) -> Vec<(u64, PathBuf)> {
    let paths = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let of = |path: PathBuf| {
        let is_message = path.extension().is_some_and(|extension| extension == "json");
        let number = path.file_stem()?.to_str()?.parse().ok()?;
        is_message.then_some((number, path))
    };
    paths.filter_map(of).collect()
}

fn write(path: &Path, message: &Message) -> io::Result<()> {
    replace(path, &serde_json::to_vec(message)?)
}

/// Writes beside the place and renames: a crash leaves a whole file or none.
fn replace(path: &Path, octets: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(octets)?;
    file.sync_data()?;
    fs::rename(fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Tick;
    use crate::model::severity::Severity;

    fn message(id: u64, severity: Severity) -> Message {
        Message { id, severity, ..Message::test("ns1.example.com", Tick(id)) }
    }

    #[test]
    fn messages_survive_a_restart_in_their_order() {
        let scratch = tempfile::tempdir().unwrap();
        let place = scratch.path().join("ops");
        let queue = Queue::open(Some(place.clone()));
        assert_eq!((queue.next(), queue.seen()), (None, None));
        for id in 1..=3 {
            assert_eq!(queue.push(message(id, Severity::Warning)), 0);
        }
        let (first, sent) = queue.next().unwrap();
        assert_eq!(sent.id, 1);
        queue.remove(first);
        queue.set_seen(3);
        // A crash in the middle of writing, and one that somebody broke.
        fs::write(place.join("0000000009.new"), "{").unwrap();
        fs::write(place.join("0000000008.json"), "{").unwrap();
        let again = Queue::open(Some(place));
        assert_eq!((again.len(), again.seen()), (2, Some(3)));
        let (second, next) = again.next().unwrap();
        assert_eq!(next.id, 2);
        again.failed(second);
        assert_eq!(again.next().unwrap().1.id, 3, "one that failed lets the others go first");
    }

    #[test]
    fn the_oldest_of_the_least_severe_is_dropped_first() {
        let queue = Queue::open(None);
        queue.push(message(0, Severity::Critical));
        for id in 1..=limits::NOTIFY_QUEUE as u64 {
            let severity = if id % 2 == 0 { Severity::Info } else { Severity::Warning };
            assert_eq!(queue.push(message(id, severity)), usize::from(id == limits::NOTIFY_QUEUE as u64));
        }
        let ids: Vec<u64> = queue.waiting().messages.values().map(|entry| entry.message.id).collect();
        assert_eq!(ids.len(), limits::NOTIFY_QUEUE);
        assert_eq!(ids[..4], [0, 1, 3, 4]);
    }
}
