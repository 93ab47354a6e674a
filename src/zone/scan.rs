//! Tokens with positions: lines, parentheses, quotes, comments (RFC 1035 5.1).
//!
//! Works on octets, so that text over 127 passes whatever its encoding, and allocates nothing for
//! a token.

use std::ops::Range;

/// One word of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    /// The characters, escapes as written; of a quoted string what is between its quotes.
    pub(super) text: &'t [u8],
    /// Offset in the file.
    pub(super) at: usize,
    /// Whether it stood in quotes.
    pub(super) quoted: bool,
}

/// An entry that can't be read to its end. Reading goes on at the next line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScanError {
    /// Where it began to be wrong.
    pub(super) at: usize,
    pub(super) message: &'static str,
    pub(super) help: &'static str,
}

/// Reads entries: a line, or several in parentheses.
#[derive(Debug)]
pub(super) struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
    /// No entry begins from here on.
    end: usize,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl<'t> Scanner<'t> {
    /// Reads the entries that begin in a range of a text.
    pub(super) fn new(text: &'t [u8], range: Range<usize>) -> Scanner<'t> {
        let has_mark = range.start == 0 && text.starts_with(BYTE_ORDER_MARK);
        Scanner { text, at: if has_mark { BYTE_ORDER_MARK.len() } else { range.start }, end: range.end }
    }

    /// How far it has read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Reads the next entry's tokens into `tokens`. Says whether the entry begins with a blank,
    /// which means that the owner is the one before. Nothing at the end of the range.
    pub(super) fn next(&mut self, tokens: &mut Vec<Token<'t>>) -> Option<Result<bool, ScanError>> {
        tokens.clear();
        while self.at < self.end {
            let is_blank = matches!(self.text[self.at], b' ' | b'\t');
            if let Err(error) = self.entry(tokens) {
                self.skip_line(error.at);
                return Some(Err(error));
            }
            if !tokens.is_empty() {
                return Some(Ok(is_blank));
            }
        }
        None
    }

    fn entry(&mut self, tokens: &mut Vec<Token<'t>>) -> Result<(), ScanError> {
        let text = self.text;
        let mut opened: Option<usize> = None;
        while let Some(&octet) = text.get(self.at) {
            match octet {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' => {
                    self.at += 1;
                    if opened.is_none() {
                        return Ok(());
                    }
                }
                b';' => self.at += until(&text[self.at..], |octet| octet == b'\n'),
                b'(' => {
                    if opened.is_some() {
                        return Err(ScanError {
                            at: self.at,
                            message: "parenthesis inside parentheses",
                            help: "take it out: one pair joins any number of lines",
                        });
                    }
                    opened = Some(self.at);
                    self.at += 1;
                }
                b')' => {
                    if opened.take().is_none() {
                        return Err(ScanError {
                            at: self.at,
                            message: "closing parenthesis without an opening one",
                            help: "put ( before the first line break of the record, or escape it as \\)",
                        });
                    }
                    self.at += 1;
                }
                b'"' => {
                    let start = self.at + 1;
                    let length = self.quoted(start)?;
                    tokens.push(Token { text: &text[start..start + length], at: self.at, quoted: true });
                    self.at = start + length + 1;
                }
                _ => {
                    let start = self.at;
                    self.at += word(&text[start..]);
                    tokens.push(Token { text: &text[start..self.at], at: start, quoted: false });
                }
            }
        }
        match opened {
            None => Ok(()),
            Some(at) => Err(ScanError {
                at,
                message: "parenthesis is never closed",
                help: "put ) behind the record's last field",
            }),
        }
    }

    /// Octets up to the closing quote.
    fn quoted(&self, start: usize) -> Result<usize, ScanError> {
        let rest = &self.text[start..];
        let mut length = 0;
        while let Some(&octet) = rest.get(length) {
            match octet {
                b'"' => return Ok(length),
                b'\n' => break,
                b'\\' if rest.get(length + 1).is_some_and(|next| *next != b'\n') => length += 2,
                _ => length += 1,
            }
        }
        Err(ScanError {
            at: start - 1,
            message: "quote is never closed on its line",
            help: "put \" at the end of the string; a quote inside is written \\\"",
        })
    }

    /// Goes on behind the line of the error.
    fn skip_line(&mut self, at: usize) {
        self.at = at + until(&self.text[at..], |octet| octet == b'\n');
    }
}

/// Octets before the first that `stops`.
fn until(text: &[u8], stops: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|&octet| stops(octet)).unwrap_or(text.len())
}

/// Octets of a word without quotes.
fn word(text: &[u8]) -> usize {
    let mut length = 0;
    while let Some(&octet) = text.get(length) {
        match octet {
            b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"' => break,
            b'\\' if text.get(length + 1).is_some_and(|next| *next != b'\n') => length += 2,
            _ => length += 1,
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(text: &[u8]) -> Vec<Result<(bool, Vec<String>), ScanError>> {
        let mut scanner = Scanner::new(text, 0..text.len());
        let mut tokens = Vec::new();
        let mut entries = Vec::new();
        while let Some(result) = scanner.next(&mut tokens) {
            let words = tokens.iter().map(|token| String::from_utf8_lossy(token.text).into_owned()).collect();
            entries.push(result.map(|is_blank| (is_blank, words)));
        }
        entries
    }

    fn words(text: &str) -> Vec<(bool, Vec<String>)> {
        entries(text.as_bytes()).into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn lines_parentheses_quotes_comments() {
        let text = "\u{feff}a A 1 ; comment \" (\r\n\n \t ; only a comment\n  B 2\n\
                    c SOA ( x ; y )\n  z\n) last\nd TXT \"a; (b) \\\" c\" e\\;f\\032";
        let words = words(text);
        assert_eq!(words[0], (false, vec!["a".into(), "A".into(), "1".into()]));
        assert_eq!(words[1], (true, vec!["B".into(), "2".into()]));
        assert_eq!(words[2].1, ["c", "SOA", "x", "z", "last"]);
        assert_eq!(words[3].1, ["d", "TXT", "a; (b) \\\" c", "e\\;f\\032"]);
        assert_eq!(words.len(), 4);
    }

    #[test]
    fn mistakes_point_at_their_beginning_and_the_next_line_is_read() {
        let text = "a TXT \"open\\\nb A 1\nc ) d\ne A 2\nf ( ( g\nh A 3\ni ( j\nk A 4\n";
        let found = entries(text.as_bytes());
        let places: Vec<usize> =
            found.iter().filter_map(|one| one.as_ref().err()).map(|error| error.at).collect();
        assert_eq!(
            places,
            [
                text.find('"').unwrap(),
                text.find(')').unwrap(),
                text.rfind("( g").unwrap(),
                text.rfind('(').unwrap()
            ]
        );
        let good = found.iter().filter(|one| one.is_ok()).count();
        assert_eq!(good, 4, "{found:?}");
    }

    proptest! {
        #[test]
        fn any_octets_end(text in prop::collection::vec(prop_oneof![
            any::<u8>(), prop::sample::select(&b"\n\n\"();\\ \ta1."[..])], 0..300)) {
            entries(&text);
        }
    }
}
