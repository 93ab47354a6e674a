//! The journal of events on disk: JSON lines, the older half aside.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::limits;
use crate::model::event::Event;

/// `events.jsonl`, and `events.1.jsonl` with what came before it.
#[derive(Clone, Debug)]
pub(super) struct JournalFile {
    pub(super) path: PathBuf,
    older: PathBuf,
}

impl JournalFile {
    pub(super) fn of(directory: &Path) -> JournalFile {
        JournalFile { path: directory.join("events.jsonl"), older: directory.join("events.1.jsonl") }
    }

    /// Writes events behind those that are there, and waits until the disk has them.
    pub(super) fn append<'e>(&self, events: impl Iterator<Item = &'e Arc<Event>>) -> io::Result<()> {
        let mut lines = Vec::new();
        for event in events {
            serde_json::to_writer(&mut lines, &**event)?;
            lines.push(b'\n');
        }
        let size = fs::metadata(&self.path).map_or(0, |file| file.len());
        if size >= limits::JOURNAL_OCTETS {
            fs::rename(&self.path, &self.older)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.write_all(&lines)?;
        file.sync_data()
    }

    /// The newest events, the oldest first. A line that a crash cut short is passed over.
    pub(super) fn read(&self) -> io::Result<Vec<Event>> {
        let mut events = Vec::new();
        for path in [&self.older, &self.path] {
            let file = match File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            for line in BufReader::new(file).split(b'\n') {
                events.extend(serde_json::from_slice::<Event>(&line?).ok());
            }
        }
        let first = events.len().saturating_sub(limits::EVENTS_KEPT);
        Ok(events.split_off(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Tick;
    use crate::model::event::Kind;

    #[test]
    fn a_line_cut_short_loses_that_event_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let journal = JournalFile::of(scratch.path());
        assert!(journal.read().unwrap().is_empty());
        let events: Vec<Arc<Event>> = (1..=3)
            .map(|id| Arc::new(Event { id, ..Event::new(Tick(id), Kind::Notice, "loaded") }))
            .collect();
        journal.append(events.iter()).unwrap();
        let whole = fs::read(&journal.path).unwrap();
        fs::write(&journal.path, &whole[..whole.len() - 5]).unwrap();
        let read = journal.read().unwrap();
        assert_eq!(read.iter().map(|event| event.id).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn it_begins_anew_when_it_is_full() {
        let scratch = tempfile::tempdir().unwrap();
        let journal = JournalFile::of(scratch.path());
        fs::write(&journal.path, vec![b'\n'; limits::JOURNAL_OCTETS as usize]).unwrap();
        let event = Arc::new(Event { id: 7, ..Event::new(Tick(7), Kind::Notice, "loaded") });
        journal.append([&event].into_iter()).unwrap();
        assert!(fs::metadata(&journal.path).unwrap().len() < 1000);
        assert_eq!(journal.read().unwrap()[0].id, 7);
    }
}
