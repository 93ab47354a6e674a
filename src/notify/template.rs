//! Titles and texts with named places, as an operator writes them.

use std::fmt::Write;

use super::message::Message;
use crate::health::tick::rfc3339;

/// What messages say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// In one line.
    pub title: Words,
    /// At length.
    pub text: Words,
}

/// Words with places that a message fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Place(Place),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Summary,
    Events,
    Severity,
    Server,
    Zones,
    Sites,
    Count,
    Time,
}

/// All places, as they are written.
const PLACES: [(&str, Place); 8] = [
    ("summary", Place::Summary),
    ("events", Place::Events),
    ("severity", Place::Severity),
    ("server", Place::Server),
    ("zones", Place::Zones),
    ("sites", Place::Sites),
    ("count", Place::Count),
    ("time", Place::Time),
];

/// What is wrong with words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// There is no such place; this is what stands between the braces.
    Unknown(String),
    /// A brace without its other one. What stands there, from the brace on.
    Brace(String),
}

impl Default for Template {
    fn default() -> Template {
        let only = |place| Words(vec![Piece::Place(place)]);
        Template { title: only(Place::Summary), text: only(Place::Events) }
    }
}

impl Words {
    /// Names of all places.
    pub fn places() -> impl Iterator<Item = &'static str> {
        PLACES.iter().map(|(name, _)| *name)
    }

    /// Reads words with `{places}`; `{{` and `}}` are braces.
    ///
    /// # Errors
    /// The first [`Mistake`].
    pub fn parse(text: &str) -> Result<Words, Mistake> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let from_brace = &rest[at..];
            if let Some(after) = from_brace.strip_prefix("{{").or_else(|| from_brace.strip_prefix("}}")) {
                literal.push_str(&from_brace[..1]);
                rest = after;
                continue;
            }
            let inside = from_brace.strip_prefix('{').and_then(|inside| inside.split_once('}'));
            let Some((name, after)) = inside else { return Err(Mistake::Brace(from_brace.to_owned())) };
            let place = PLACES.iter().find(|(known, _)| *known == name).map(|(_, place)| *place);
            let place = place.ok_or_else(|| Mistake::Unknown(name.to_owned()))?;
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            pieces.push(Piece::Place(place));
            rest = after;
        }
        literal.push_str(rest);
        pieces.push(Piece::Literal(literal));
        Ok(Words(pieces))
    }

    /// The words of a message.
    pub(super) fn fill(&self, message: &Message) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Place(place) => place.fill(message, &mut out),
            }
        }
        out
    }

    /// The words of a message in one line: a line's end would be another header of a mail.
    pub(super) fn fill_line(&self, message: &Message) -> String {
        let line: Vec<String> = self.fill(message).split_whitespace().map(str::to_owned).collect();
        line.join(" ")
    }
}

impl Place {
    fn fill(self, message: &Message, out: &mut String) {
        match self {
            Place::Summary => out.push_str(&message.summary),
            Place::Events => out.push_str(&message.lines().join("\n")),
            Place::Severity => out.push_str(message.severity.word()),
            Place::Server => out.push_str(&message.server),
            Place::Zones => out.push_str(&message.zones().join(" ")),
            Place::Sites => out.push_str(&message.sites().join(" ")),
            Place::Count => {
                let _ = write!(out, "{}", message.count());
            }
            Place::Time => out.push_str(&rfc3339(message.at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_mistakes_found() {
        let message = Message::test("ns1.example.com", crate::health::Tick(0));
        let fill = |text| Words::parse(text).unwrap().fill(&message);
        assert_eq!(fill("{{{severity}}} of {server}: {count}"), "{info} of ns1.example.com: 1");
        assert_eq!(fill("at {time}"), "at 1970-01-01T00:00:00Z");
        assert_eq!(Words::parse("{sumary}"), Err(Mistake::Unknown("sumary".to_owned())));
        assert_eq!(Words::parse("a } b"), Err(Mistake::Brace("} b".to_owned())));
        assert_eq!(Words::parse("a {sites"), Err(Mistake::Brace("{sites".to_owned())));
        let lines = Words::parse("one\r\nBcc: {server}\n").unwrap();
        assert_eq!(lines.fill_line(&message), "one Bcc: ns1.example.com");
    }
}
