//! TOML values with their places. What is asked of a table is what it knows: the rest is unknown.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use crate::diagnostic::{Diagnostic, Lines, did_you_mean};
use crate::limits;

/// A file being read, and what was found wrong so far.
#[derive(Debug)]
pub(super) struct File<'a> {
    path: &'a Path,
    lines: Lines<'a>,
    text: &'a str,
    found: RefCell<Vec<Diagnostic>>,
}

/// A table: each key is asked for, then [`finish`](Table::finish) tells which nobody asked for.
#[derive(Debug)]
pub(super) struct Table<'r> {
    file: &'r File<'r>,
    span: Range<usize>,
    /// In the order of the file.
    entries: Vec<(&'r str, Value<'r>)>,
    asked: RefCell<Vec<&'static str>>,
}

/// A value and the key that it stands at.
#[derive(Clone, Debug)]
pub(super) struct Value<'r> {
    file: &'r File<'r>,
    value: &'r DeValue<'r>,
    /// The value's place.
    pub(super) span: Range<usize>,
    /// The key's place.
    pub(super) key_span: Range<usize>,
}

impl<'a> File<'a> {
    pub(super) fn new(path: &'a Path, text: &'a str) -> File<'a> {
        File { path, lines: Lines::of(text), text, found: RefCell::default() }
    }

    /// The file's syntax, as far as it can be understood; mistakes are noted.
    pub(super) fn parse(&self) -> Spanned<DeTable<'a>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            self.push(
                Diagnostic::error(self.path, error.message().replace('\n', ", ")).at_line(&self.lines, at),
            );
        }
        table
    }

    pub(super) fn error(&self, span: &Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.push(Diagnostic::error(self.path, message).at_line(&self.lines, span.start).help(help));
    }

    pub(super) fn warning(&self, span: &Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.push(Diagnostic::warning(self.path, message).at_line(&self.lines, span.start).help(help));
    }

    fn push(&self, found: Diagnostic) {
        let mut all = self.found.borrow_mut();
        if all.len() < limits::DIAGNOSTICS {
            all.push(found);
        }
    }

    /// A finding at a place, to be kept for later: what is wrong then isn't known yet.
    pub(super) fn place(&self, span: &Range<usize>) -> Diagnostic {
        Diagnostic::warning(self.path, "").at_line(&self.lines, span.start)
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_good(&self) -> bool {
        !self.found.borrow().iter().any(Diagnostic::is_error)
    }

    /// Warnings, or with any error all findings; in the order of the file.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<(T, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|one| (one.line, one.column));
        match value.filter(|_| !found.iter().any(Diagnostic::is_error)) {
            Some(value) => Ok((value, found)),
            None => Err(found),
        }
    }
}

impl<'r> Table<'r> {
    pub(super) fn new(file: &'r File<'r>, table: &'r Spanned<DeTable<'r>>) -> Table<'r> {
        Table::of(file, table.span(), table.get_ref())
    }

    fn of(file: &'r File<'r>, span: Range<usize>, table: &'r DeTable<'r>) -> Table<'r> {
        let mut entries: Vec<(&'r str, Value<'r>)> = table
            .iter()
            .map(|(key, value)| {
                let entry = Value { file, value: value.get_ref(), span: value.span(), key_span: key.span() };
                (key.get_ref().as_ref(), entry)
            })
            .collect();
        entries.sort_by_key(|(_, value)| value.key_span.start);
        Table { file, span, entries, asked: RefCell::default() }
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &'static str) -> Option<Value<'r>> {
        self.asked.borrow_mut().push(key);
        self.find(key)
    }

    fn find(&self, key: &str) -> Option<Value<'r>> {
        self.entries.iter().find(|(known, _)| *known == key).map(|(_, value)| value.clone())
    }

    /// The value of a key whose name the file chose: a region in a route.
    pub(super) fn others(&self) -> impl Iterator<Item = (&'r str, Value<'r>)> {
        let asked = self.asked.borrow().clone();
        self.entries.iter().filter(move |(key, _)| !asked.contains(key)).cloned()
    }

    /// The value of a key that must be there.
    pub(super) fn need(&self, key: &'static str, example: &str) -> Option<Value<'r>> {
        let value = self.get(key);
        if value.is_none() {
            self.file.error(
                &self.span,
                format!("`{key}` is missing"),
                format!("add for example {key} = {example}"),
            );
        }
        value
    }

    /// The table at a key.
    pub(super) fn table(&self, key: &'static str) -> Option<Table<'r>> {
        self.get(key).and_then(|value| value.table())
    }

    /// The tables below a key, by name: `[probes.web]`.
    pub(super) fn tables(&self, key: &'static str) -> Vec<(&'r str, Value<'r>, Table<'r>)> {
        let entries = self.table(key).map(|table| table.entries).unwrap_or_default();
        let named = entries.into_iter();
        named.filter_map(|(name, value)| value.table().map(|table| (name, value, table))).collect()
    }

    /// Reports keys that nobody asked for.
    pub(super) fn finish(&self) {
        for (key, value) in self.others() {
            let asked = self.asked.borrow();
            let help = did_you_mean(key, asked.iter().copied())
                .unwrap_or_else(|| format!("known here are {}", asked.join(", ")));
            self.file.error(&value.key_span, format!("unknown key `{key}`"), help);
        }
    }
}

impl<'r> Value<'r> {
    pub(super) fn error(&self, message: impl Into<String>, help: impl Into<String>) {
        self.file.error(&self.span, message, help);
    }

    /// Reports something about a part of the value: where the file has that text, if it is written
    /// as it reads.
    pub(super) fn error_at(&self, part: &str, message: impl Into<String>, help: impl Into<String>) {
        let written = self.file.text.get(self.span.clone()).unwrap_or("");
        let at = self.span.start + written.find(part).unwrap_or(0);
        self.file.error(&(at..at), message, help);
    }

    pub(super) fn warning(&self, message: impl Into<String>, help: impl Into<String>) {
        self.file.warning(&self.span, message, help);
    }

    /// Reports something about the key that the value stands at.
    pub(super) fn key_error(&self, message: impl Into<String>, help: impl Into<String>) {
        self.file.error(&self.key_span, message, help);
    }

    fn wrong_type(&self, wanted: &str) {
        self.error(format!("this is of type {}", self.value.type_str()), format!("write {wanted}"));
    }

    pub(super) fn str(&self) -> Option<&'r str> {
        let text = match self.value {
            DeValue::String(text) => Some(text.as_ref()),
            _ => None,
        };
        if text.is_none() {
            self.wrong_type("text in quotes");
        }
        text
    }

    /// Whether it is this text.
    pub(super) fn str_is(&self, text: &str) -> bool {
        matches!(self.value, DeValue::String(own) if own.as_ref() == text)
    }

    pub(super) fn string(&self) -> Option<String> {
        self.str().map(str::to_owned)
    }

    pub(super) fn bool(&self) -> Option<bool> {
        let value = self.value.as_bool();
        if value.is_none() {
            self.wrong_type("true or false");
        }
        value
    }

    pub(super) fn integer<T: TryFrom<u64>>(&self, range: RangeInclusive<u64>) -> Option<T> {
        let number = self
            .value
            .as_integer()
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        let value =
            number.filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok());
        if value.is_none() {
            self.wrong(&format!("a number from {} to {}", range.start(), range.end()));
        }
        value
    }

    /// A number with or without a fraction.
    pub(super) fn number(&self) -> Option<f64> {
        let text = match self.value {
            DeValue::Integer(number) => Some(number.as_str()),
            DeValue::Float(number) => Some(number.as_str()),
            _ => None,
        };
        let value = text.and_then(|text| text.parse().ok()).filter(|number: &f64| number.is_finite());
        if value.is_none() {
            self.wrong("a number");
        }
        value
    }

    /// Whether it is a number.
    pub(super) fn is_integer(&self) -> bool {
        self.value.is_integer()
    }

    fn wrong(&self, wanted: &str) {
        self.error(format!("this isn't {wanted}"), format!("write {wanted}"));
    }

    /// Text of a type.
    pub(super) fn parsed<T: FromStr>(&self, what: &str, example: &str) -> Option<T> {
        let text = self.str()?;
        let value = text.parse().ok();
        if value.is_none() {
            self.error(format!("\"{text}\" is no {what}"), format!("write it as \"{example}\""));
        }
        value
    }

    /// One of several words.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.str()?;
        let value = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if value.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let help = did_you_mean(text, known.iter().copied())
                .unwrap_or_else(|| format!("write one of {}", known.join(", ")));
            self.error(format!("\"{text}\" isn't known here"), help);
        }
        value
    }

    /// A length of time: `"5s"`, `"300ms"`, `"10m"`, or seconds as a number.
    pub(super) fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let span = match self.value.as_integer() {
            Some(number) => number.as_str().parse().ok().map(Duration::from_secs),
            None => duration::parse(self.str()?),
        };
        let span = span.filter(|span| range.contains(span));
        if span.is_none() {
            let (least, most) = (duration::show(*range.start()), duration::show(*range.end()));
            self.error(
                "this isn't a time that fits here",
                format!("write one from {least} to {most}, as \"5s\" or \"300ms\""),
            );
        }
        span
    }

    /// The elements of an array, or the value alone.
    pub(super) fn list(&self) -> Vec<Value<'r>> {
        self.array().unwrap_or_else(|| vec![self.clone()])
    }

    /// The elements of an array, if it is one.
    pub(super) fn array(&self) -> Option<Vec<Value<'r>>> {
        let elements = self.value.as_array()?.iter();
        let element = |one: &'r Spanned<DeValue<'r>>| Value {
            file: self.file,
            value: one.get_ref(),
            span: one.span(),
            // What is missing in one of several tables is missing there.
            key_span: if one.get_ref().is_table() { one.span() } else { self.key_span.clone() },
        };
        Some(elements.map(element).collect())
    }

    /// Texts of an array.
    pub(super) fn strings(&self) -> Vec<String> {
        self.list().iter().filter_map(Value::string).collect()
    }

    /// Whether it is a table.
    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub(super) fn table(&self) -> Option<Table<'r>> {
        match self.value {
            DeValue::Table(table) => Some(Table::of(self.file, self.key_span.clone(), table)),
            _ => {
                self.wrong_type("a table");
                None
            }
        }
    }
}
