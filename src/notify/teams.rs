//! An Adaptive Card for a workflow of Microsoft Teams.

use serde_json::{Value, json};

use super::message::Message;
use super::slack::cut;
use super::template::Template;
use crate::health::tick::rfc3339;
use crate::model::severity::Severity;

/// Characters of a card's text: Teams refuses messages of more than 28 KB, and a character may
/// take six octets in JSON.
const TEXT_CHARACTERS: usize = 3_000;

/// Characters of a card's title.
const TITLE_CHARACTERS: usize = 200;

/// The body of a message.
pub(super) fn body(message: &Message, template: &Template) -> String {
    let title = cut(&template.title.fill_line(message), TITLE_CHARACTERS);
    // Lines follow each other as lines only when two ends are between them.
    let text = cut(&template.text.fill(message), TEXT_CHARACTERS).replace('\n', "\n\n");
    let mut facts = vec![
        json!({ "title": "Severity", "value": message.severity.word() }),
        json!({ "title": "Server", "value": message.server }),
        json!({ "title": "Time", "value": rfc3339(message.at) }),
    ];
    for (title, words) in [("Sites", message.sites()), ("Zones", message.zones())] {
        if !words.is_empty() {
            facts.push(json!({ "title": title, "value": cut(&words.join(" "), TITLE_CHARACTERS) }));
        }
    }
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            { "type": "TextBlock", "text": title, "size": "Large", "weight": "Bolder", "wrap": true, "color": color(message) },
            { "type": "TextBlock", "text": text, "wrap": true },
            { "type": "FactSet", "facts": facts },
        ],
        "msteams": { "width": "Full" },
    });
    Value::to_string(&json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    }))
}

fn color(message: &Message) -> &'static str {
    match (message.ends(), message.severity) {
        (true, _) => "Good",
        (false, Severity::Critical) => "Attention",
        (false, Severity::Warning) => "Warning",
        (false, Severity::Info) => "Default",
    }
}
