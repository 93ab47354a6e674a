//! What is wrong or odd in a zone's files, each with its place, and not too many.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::fields::RecordError;
use crate::diagnostic::Diagnostic;
use crate::limits;

/// A file that was read.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) path: PathBuf,
    pub(super) octets: Bytes,
}

/// Findings up to [`limits::DIAGNOSTICS`], and how many more there were.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Diagnostic>,
    uncounted: usize,
}

impl Findings {
    pub(super) fn has_errors(&self) -> bool {
        self.kept.iter().any(Diagnostic::is_error)
    }

    /// Whether a finding would be kept. Finding its place is work; if not, [`count`](Self::count)
    /// it.
    pub(super) fn has_room(&self, is_error: bool) -> bool {
        self.kept.len() < limits::DIAGNOSTICS || is_error && !self.kept.iter().all(Diagnostic::is_error)
    }

    pub(super) fn count(&mut self, more: usize) {
        self.uncounted += more;
    }

    /// Keeps a finding at an offset of a file.
    pub(super) fn add(&mut self, text: &Text, error: RecordError, is_error: bool) {
        if !self.has_room(is_error) {
            self.count(1);
            return;
        }
        let found = if is_error {
            Diagnostic::error(&text.path, error.message)
        } else {
            Diagnostic::warning(&text.path, error.message)
        };
        // Positions are octets; lines are shown as far as they are UTF-8.
        let octets = &*text.octets;
        let at = error.at.min(octets.len());
        let line_start =
            octets[..at].iter().rposition(|&octet| octet == b'\n').map_or(0, |newline| newline + 1);
        let line_end =
            octets[at..].iter().position(|&octet| octet == b'\n').map_or(octets.len(), |length| at + length);
        let before = String::from_utf8_lossy(&octets[line_start..at]);
        let line = format!("{before}{}", String::from_utf8_lossy(&octets[at..line_end]));
        let mut found = found.at(&line, before.len());
        let lines_before = memchr::memchr_iter(b'\n', &octets[..line_start]).count();
        found.line = u32::try_from(lines_before + 1).unwrap_or(u32::MAX);
        found.help = error.help;
        self.keep(found);
    }

    /// Keeps a finding. An error takes the place of a warning when there are too many: a zone
    /// must not pass because its errors stand behind a hundred warnings.
    pub(super) fn keep(&mut self, found: Diagnostic) {
        if self.kept.len() >= limits::DIAGNOSTICS {
            self.uncounted += 1;
            match self.kept.iter().rposition(|kept| !kept.is_error()) {
                Some(warning) if found.is_error() => drop(self.kept.remove(warning)),
                _ => return,
            }
        }
        self.kept.push(found);
    }

    /// All that was kept, and one line about the rest.
    pub(super) fn finish(mut self, path: &Path) -> Vec<Diagnostic> {
        if self.uncounted > 0 {
            self.kept.push(Diagnostic::warning(path, format!("and {} more", self.uncounted)));
        }
        self.kept
    }
}
