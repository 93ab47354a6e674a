//! Where lines go: a file that may be moved away, or standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::Tally;
use super::line::{self, Question};
use crate::limits::TAP_AGAIN;
use crate::serve::{Copied, Taker};
use crate::wire::name::Name;

/// Lines on their way.
pub(super) struct Lines {
    /// None: standard output.
    path: Option<PathBuf>,
    file: Option<File>,
    /// When the file is looked at again: whether it is still there, or can be opened now.
    look_at: Option<Instant>,
    waiting: Vec<u8>,
    count: u64,
    /// Whether it is told that nothing can be written.
    is_told: bool,
}

impl Lines {
    pub(super) fn new(path: Option<PathBuf>) -> Lines {
        Lines { path, file: None, look_at: None, waiting: Vec::new(), count: 0, is_told: false }
    }

    /// Makes a line, to be written with this round.
    pub(super) fn put(&mut self, copied: &Copied<'_>, question: Option<&Question>, zone: Option<&Name>) {
        line::append(copied, question, zone, &mut self.waiting);
        self.count += 1;
    }

    /// Writes what waits. What can't be written is lost: it would only pile up.
    pub(super) fn write(&mut self, now: Instant, tally: &Tally) {
        let opened = self.follow(now);
        if self.waiting.is_empty() {
            return;
        }
        let written = opened.and_then(|()| match &mut self.file {
            Some(file) => file.write_all(&self.waiting),
            None if self.path.is_none() => {
                let mut out = io::stdout().lock();
                out.write_all(&self.waiting).and_then(|()| out.flush())
            }
            None => Err(io::ErrorKind::NotFound.into()),
        });
        match written {
            Ok(()) => {
                tally.write(Taker::QueryLog, self.count);
                self.is_told = false;
            }
            Err(error) => {
                tally.lose(Taker::QueryLog, self.count);
                if !std::mem::replace(&mut self.is_told, true) {
                    let file = self.path.as_deref().unwrap_or(Path::new("standard output")).display();
                    tracing::error!(%file, %error, "queries can't be written down; answers go on");
                }
            }
        }
        self.waiting.clear();
        self.count = 0;
    }

    /// Opens the file, and opens it again once it was moved away, as programs that rotate logs do.
    fn follow(&mut self, now: Instant) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if self.look_at.is_some_and(|at| now < at) {
            return Ok(());
        }
        self.look_at = Some(now + TAP_AGAIN);
        if self.file.as_ref().is_some_and(|file| is_at(file, path)) {
            return Ok(());
        }
        self.file = None;
        self.file = Some(OpenOptions::new().append(true).create(true).open(path)?);
        Ok(())
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let of = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().ok().map(of) == fs::metadata(path).ok().map(of)
}
