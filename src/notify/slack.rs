//! Blocks for an incoming webhook of Slack.

use serde_json::{Value, json};

use super::message::Message;
use super::template::Template;
use crate::health::tick::rfc3339;
use crate::model::severity::Severity;

/// Characters of a header block; Slack refuses more.
const HEADER_CHARACTERS: usize = 150;

/// Characters of a section block, likewise.
const SECTION_CHARACTERS: usize = 3_000;

/// Characters of what notifications and screen readers show.
const FALLBACK_CHARACTERS: usize = 3_000;

/// The body of a message.
pub(super) fn body(message: &Message, template: &Template) -> String {
    let title = template.title.fill_line(message);
    let text = escaped(&template.text.fill(message), SECTION_CHARACTERS);
    let mut blocks = vec![json!({
        "type": "header",
        // Plain text isn't marked up, so nothing in it needs an escape.
        "text": { "type": "plain_text", "text": cut(&format!("{} {title}", sign(message)), HEADER_CHARACTERS) },
    })];
    // A section without text is refused.
    if !text.trim().is_empty() {
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } }));
    }
    let context = format!("{} | {} | {}", message.severity.word(), message.server, rfc3339(message.at));
    blocks.push(json!({
        "type": "context",
        "elements": [{ "type": "mrkdwn", "text": escaped(&context, SECTION_CHARACTERS) }],
    }));
    let fallback = escaped(&format!("{} {title}", sign(message)), FALLBACK_CHARACTERS);
    Value::to_string(&json!({ "text": fallback, "blocks": blocks }))
}

/// What a glance sees.
fn sign(message: &Message) -> &'static str {
    match (message.ends(), message.severity) {
        (true, _) => "\u{1f7e2}",
        (false, Severity::Critical) => "\u{1f534}",
        (false, Severity::Warning) => "\u{1f7e1}",
        (false, Severity::Info) => "\u{1f535}",
    }
}

/// Text in which nothing is a link or a mention, cut where it is too long once it is escaped.
fn escaped(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut count = 0;
    for c in text.chars() {
        let one = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => "",
        };
        let length = one.len().max(1);
        if count + length > most - 1 {
            out.push('\u{2026}');
            break;
        }
        count += length;
        if one.is_empty() { out.push(c) } else { out.push_str(one) }
    }
    out
}

/// Text of so many characters at most.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['\u{2026}']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_behind_their_escapes() {
        let text = escaped(&"<".repeat(5_000), SECTION_CHARACTERS);
        assert!(text.chars().count() <= SECTION_CHARACTERS && text.ends_with("&lt;\u{2026}"), "{text}");
        assert_eq!(escaped("<!channel> & all", 100), "&lt;!channel&gt; &amp; all");
        assert_eq!(cut("abcdef", 4), "abc\u{2026}");
        assert_eq!(cut("abcd", 4), "abcd");
    }
}
