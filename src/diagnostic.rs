//! What is wrong with a file: where, what, and what to write instead.
//!
//! Every reader of files (zones, TOML, geofeeds) collects these instead of stopping at the
//! first, so that one run shows all that is wrong.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; the file is used.
    Warning,
    /// The file isn't used; its last good version stays.
    Error,
}

/// One finding in one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The file, as the operator named it.
    pub path: PathBuf,
    /// Line, from 1; 0 where the finding has no line (a missing file).
    pub line: u32,
    /// Column in characters, from 1; 0 where there is none.
    pub column: u32,
    /// What is wrong, one sentence without a full stop, beginning in lower case.
    pub message: String,
    /// The line of the file that is meant, without its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_line: Option<String>,
    /// What to write instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// A text, and where its lines begin.
#[derive(Clone, Debug)]
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// The lines of a text.
    #[must_use]
    pub fn of(text: &'t str) -> Lines<'t> {
        let newlines = text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n');
        Lines { text, starts: [0].into_iter().chain(newlines.map(|(at, _)| at + 1)).collect() }
    }
}

/// An error and what caused it, in a line.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl Diagnostic {
    /// An error about a whole file.
    #[must_use]
    pub fn error(path: impl Into<PathBuf>, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            path: path.into(),
            line: 0,
            column: 0,
            message: message.into(),
            source_line: None,
            help: None,
        }
    }

    /// A warning about a whole file.
    #[must_use]
    pub fn warning(path: impl Into<PathBuf>, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(path, message) }
    }

    /// Puts the finding at octet `offset` of `text`, the content of its file.
    #[must_use]
    pub fn at(self, text: &str, offset: usize) -> Diagnostic {
        self.at_line(&Lines::of(text), offset)
    }

    /// Likewise, of a text whose lines are known: many places of one file are found at once.
    #[must_use]
    pub fn at_line(mut self, lines: &Lines<'_>, offset: usize) -> Diagnostic {
        let text = lines.text;
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = lines.starts.partition_point(|start| *start <= offset);
        let line_start = lines.starts[line - 1];
        let line_end = text[offset..].find('\n').map_or(text.len(), |length| offset + length);
        self.line = u32::try_from(line).unwrap_or(u32::MAX);
        self.column = u32::try_from(text[line_start..offset].chars().count() + 1).unwrap_or(u32::MAX);
        self.source_line = Some(text[line_start..line_end].trim_end_matches('\r').to_owned());
        self
    }

    /// Adds what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// Tells it to the log, as an error or a warning.
    pub fn log(&self) {
        let (file, line) = (self.path.display(), self.line);
        match self.severity {
            Severity::Error => tracing::error!(kind = "file", %file, line, "{self}"),
            Severity::Warning => tracing::warn!(kind = "file", %file, line, "{self}"),
        }
    }

    /// Whether this is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Characters of a source line that are shown; a million-octet line is no help at 3 a.m.
const SOURCE_LINE_SHOWN: usize = 160;

impl Diagnostic {
    /// Where and what, in one line.
    #[must_use]
    pub fn place_and_message(&self) -> String {
        format!("{}: {}", self.place(), self.message)
    }

    fn place(&self) -> String {
        match self.line {
            0 => self.path.display().to_string(),
            line => format!("{}:{line}:{}", self.path.display(), self.column),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}: {severity}: {}", self.place(), self.message)?;
        if let Some(line) = &self.source_line {
            let column = self.column.saturating_sub(1) as usize;
            // A tab is shown as one blank, so that the caret stands under its character.
            let start = column.saturating_sub(SOURCE_LINE_SHOWN / 2);
            let start = if line.chars().count() <= SOURCE_LINE_SHOWN { 0 } else { start };
            let shown: String = line
                .chars()
                .skip(start)
                .take(SOURCE_LINE_SHOWN)
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            write!(f, "\n    {}\n    {:width$}^", shown.trim_end(), "", width = column - start)?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n    {help}")?;
        }
        Ok(())
    }
}

/// The known word nearest to `word`, if one is close enough to be meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean "..."?`, where a known word is near.
#[must_use]
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(|candidate| format!("did you mean \"{candidate}\"?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_at_the_character() {
        let text = "one\ntwo märz three\nfour\n";
        let found = Diagnostic::error("zones/x", "no such month")
            .at(text, text.find("three").unwrap())
            .help("write 3");
        assert_eq!(
            found.to_string(),
            "zones/x:2:10: error: no such month\n    two märz three\n             ^\n    write 3"
        );
        assert_eq!(Diagnostic::error("x", "empty").at("", 9).line, 1);
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("{}HERE{}", "a".repeat(5000), "b".repeat(5000));
        let shown = Diagnostic::error("x", "m").at(&text, 5000).to_string();
        assert!(shown.len() < 600 && shown.contains("HERE"), "{shown}");
        let caret = shown.lines().nth(2).unwrap().find('^').unwrap();
        assert_eq!(&shown.lines().nth(1).unwrap()[caret..caret + 4], "HERE");
    }

    #[test]
    fn near_words_only() {
        assert_eq!(nearest("web-tw2", ["web-tw", "web-my", "mx"]), Some("web-tw"));
        assert_eq!(nearest("adress", ["address", "cname"]), Some("address"));
        assert_eq!(nearest("zzz", ["address", "cname"]), None);
    }
}
