//! Where lines go: a file that may be moved away, or standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Instant;

use super::Tally;
use super::line::{self, Question};
use crate::limits::{LINES_WAITING_OCTETS, TAP_AGAIN};
use crate::serve::{Copied, Taker};
use crate::wire::name::Name;

/// Lines on their way to the thread that writes them: whatever it waits for, nobody else does.
pub(super) struct Lines {
    to: Sender<Batch>,
    /// Nothing comes here; it is over when the thread is.
    end: Receiver<()>,
    in_flight: Arc<InFlight>,
    batch: Batch,
}

/// Lines that are written together.
#[derive(Debug, Default)]
struct Batch {
    octets: Vec<u8>,
    count: u64,
}

/// What was handed over and isn't written yet.
#[derive(Debug, Default)]
struct InFlight {
    octets: AtomicUsize,
    lines: AtomicU64,
}

impl Lines {
    /// Starts the thread; none as a path is standard output.
    pub(super) fn start(path: Option<PathBuf>, tally: &Arc<Tally>) -> Lines {
        let (to, batches) = channel();
        let (ending, end) = channel();
        let in_flight = Arc::<InFlight>::default();
        let (of_thread, tally) = (Arc::clone(&in_flight), Arc::clone(tally));
        let run = move || {
            let _until_the_end = ending;
            Sink { path, file: None, is_told: false }.run(&batches, &of_thread, &tally);
        };
        if let Err(error) = thread::Builder::new().name("query-log-lines".into()).spawn(run) {
            tracing::error!(%error, "queries can't be written down; answers go on");
        }
        Lines { to, end, in_flight, batch: Batch::default() }
    }

    /// Makes a line, to be written with this round. Nothing piles up behind a place that takes
    /// nothing.
    pub(super) fn put(
        &mut self,
        copied: &Copied<'_>,
        question: Option<&Question>,
        zone: Option<&Name>,
        tally: &Tally,
    ) {
        let waiting = self.in_flight.octets.load(Ordering::Relaxed) + self.batch.octets.len();
        if waiting >= LINES_WAITING_OCTETS {
            return tally.lose(Taker::QueryLog, 1);
        }
        line::append(copied, question, zone, &mut self.batch.octets);
        self.batch.count += 1;
    }

    /// Hands over what was put.
    pub(super) fn write(&mut self, tally: &Tally) {
        let batch = std::mem::take(&mut self.batch);
        if batch.count == 0 {
            return;
        }
        let count = batch.count;
        self.in_flight.octets.fetch_add(batch.octets.len(), Ordering::Relaxed);
        self.in_flight.lines.fetch_add(count, Ordering::Relaxed);
        if self.to.send(batch).is_err() {
            tally.lose(Taker::QueryLog, count);
        }
    }

    /// The orderly end: what was handed over is still written, while others end too.
    pub(super) fn close(self) -> Closing {
        Closing { end: self.end, in_flight: self.in_flight }
    }
}

/// Lines of which no more come.
pub(super) struct Closing {
    end: Receiver<()>,
    in_flight: Arc<InFlight>,
}

impl Closing {
    /// Waits for the last one, until a time at most. What isn't written by then is lost.
    pub(super) fn wait(self, until: Instant, tally: &Tally) {
        let rest = until.saturating_duration_since(Instant::now());
        if self.end.recv_timeout(rest) == Err(RecvTimeoutError::Timeout) {
            let lost = self.in_flight.lines.load(Ordering::Relaxed);
            tally.lose(Taker::QueryLog, lost);
            tracing::warn!(lost, "the query log's last lines are lost: nobody takes them");
        }
    }
}

/// Where lines go, on a thread of its own.
struct Sink {
    /// None: standard output.
    path: Option<PathBuf>,
    file: Option<File>,
    /// Whether it is told that nothing can be written.
    is_told: bool,
}

impl Sink {
    fn run(mut self, batches: &Receiver<Batch>, in_flight: &InFlight, tally: &Tally) {
        // When the file is looked at again: whether it is still there, or can be opened now.
        let mut look_at = Instant::now();
        loop {
            let now = Instant::now();
            if now >= look_at {
                look_at = now + TAP_AGAIN;
                self.follow();
            }
            let batch = match batches.recv_timeout(look_at - now) {
                Ok(batch) => batch,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.write(&batch, tally);
            in_flight.octets.fetch_sub(batch.octets.len(), Ordering::Relaxed);
            in_flight.lines.fetch_sub(batch.count, Ordering::Relaxed);
        }
    }

    /// What can't be written is lost: it would only pile up.
    fn write(&mut self, batch: &Batch, tally: &Tally) {
        let written = match &mut self.file {
            Some(file) => file.write_all(&batch.octets),
            None if self.path.is_none() => {
                let mut out = io::stdout().lock();
                out.write_all(&batch.octets).and_then(|()| out.flush())
            }
            None => return tally.lose(Taker::QueryLog, batch.count),
        };
        match written {
            Ok(()) => {
                tally.write(Taker::QueryLog, batch.count);
                self.is_told = false;
            }
            Err(error) => {
                tally.lose(Taker::QueryLog, batch.count);
                self.tell(&error);
            }
        }
    }

    fn tell(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.is_told, true) {
            let file = self.path.as_deref().unwrap_or(Path::new("standard output")).display();
            tracing::error!(%file, %error, "queries can't be written down; answers go on");
        }
    }

    /// Opens the file, and opens it again once it was moved away, as programs that rotate logs do.
    fn follow(&mut self) {
        let Some(path) = &self.path else { return };
        if self.file.as_ref().is_some_and(|file| is_at(file, path)) {
            return;
        }
        self.file = None;
        match OpenOptions::new().append(true).create(true).open(path) {
            Ok(file) => self.file = Some(file),
            Err(error) => self.tell(&error),
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let of = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().ok().map(of) == fs::metadata(path).ok().map(of)
}
