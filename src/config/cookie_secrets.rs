//! The file of secrets that servers of one address share (RFC 9018 5): one a line.

use std::path::Path;

use crate::diagnostic::Diagnostic;
use crate::limits::COOKIE_SECRETS;
use crate::wire::cookie::{Secret, Secrets};

/// Reads secrets of 32 hexadecimal digits, one a line, the one that signs first. Empty lines and
/// what follows `#` mean nothing.
///
/// # Errors
/// Everything that is wrong with it. No line is shown: errors go into logs, secrets don't.
pub fn parse(path: &Path, text: &str) -> Result<Secrets, Vec<Diagnostic>> {
    let mut secrets = Vec::new();
    let mut errors = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let written = line.split('#').next().unwrap_or("").trim();
        let error = |message: String, help| {
            Diagnostic { source_line: None, ..Diagnostic::error(path, message).at(text, start) }.help(help)
        };
        match Secret::from_hex(written) {
            _ if written.is_empty() => {}
            Some(_) if secrets.len() == COOKIE_SECRETS => {
                let message = format!("there are more than {COOKIE_SECRETS} secrets");
                errors.push(error(message, "take out those that nobody signs with any more"));
            }
            Some(secret) if secrets.contains(&secret) => {
                errors.push(error("this secret stands here twice".to_owned(), "take one of them out"));
            }
            Some(secret) => secrets.push(secret),
            None => {
                let message = "this is no secret of 32 hexadecimal digits".to_owned();
                errors.push(error(message, "make one with: openssl rand -hex 16"));
            }
        }
        start += line.len();
    }
    let mut secrets = secrets.into_iter();
    match secrets.next() {
        Some(signing) if errors.is_empty() => Ok(Secrets::new(signing, secrets)),
        None if errors.is_empty() => Err(vec![
            Diagnostic::error(path, "there is no secret").help("make one with: openssl rand -hex 16"),
        ]),
        _ => Err(errors),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(digit: char) -> String {
        digit.to_string().repeat(32)
    }

    #[test]
    fn the_first_line_signs() {
        let text = format!("# made in spring\n\n{}  # signs\r\n{}\n", secret('a'), secret('B'));
        let read = parse(Path::new("c"), &text).unwrap();
        let [first, second] = ['a', 'b'].map(|digit| Secret::from_hex(&secret(digit)).unwrap());
        assert_eq!(read, Secrets::new(first.clone(), [second.clone()]));
        assert_ne!(read, Secrets::new(second, [first]));
    }

    #[test]
    fn errors_say_where_and_show_no_secret() {
        let texts = [
            ("# nothing\n".to_owned(), "c: error: there is no secret"),
            (format!("{}\nabc\n", secret('a')), "c:2:1: error: this is no secret of 32 hexadecimal digits"),
            (format!("{}\n{}", secret('a'), secret('A')), "c:2:1: error: this secret stands here twice"),
            (
                "12345".chars().map(|digit| secret(digit) + "\n").collect(),
                "c:5:1: error: there are more than 4",
            ),
        ];
        for (text, expected) in texts {
            let errors = parse(Path::new("c"), &text).unwrap_err();
            assert_eq!(errors.len(), 1);
            let shown = errors[0].to_string();
            assert!(shown.contains(expected), "{shown}");
            assert!(!shown.contains("abc") && !shown.contains("aaaa") && !shown.contains("5555"), "{shown}");
        }
    }
}
