//! The log as programs read it: every line is JSON, and has the fields that the docs promise.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::Command;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::failover::{mail_lab, wait_until_all_up};
use crate::hand::ordered;
use crate::lab::{repository, stdout, wait_for, waypost};

/// A JSON object whose keys are each there once, which a map wouldn't tell.
struct Line(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Line, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Line;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line, A::Error> {
                let mut line = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if line.insert(key.clone(), value).is_some() {
                        return Err(serde::de::Error::custom(format!("{key} is there twice")));
                    }
                }
                Ok(Line(line))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Kinds of lines with their fields, as the docs have them.
fn described() -> BTreeMap<String, BTreeSet<String>> {
    let docs = std::fs::read_to_string(repository().join("docs/logs.md")).unwrap();
    let table = docs.split("| kind | fields | what |").nth(1).unwrap().split("\n\n").next().unwrap();
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        (quoted(cells[1]).remove(0), quoted(cells[2]).into_iter().collect())
    })
    .collect()
}

#[test]
fn every_line_is_json_with_the_fields_that_the_docs_promise() {
    let (lab, mut sites) = mail_lab("200ms");
    let server = lab.start();
    wait_until_all_up(&server);
    sites.web[0].down();
    server.wait_for_log("\"to\":\"DOWN\"");
    sites.web[0].up();
    ordered(&lab, &["drain", "my", "--reason", "kernel \"update\""]);
    ordered(&lab, &["undrain", "my"]);
    lab.write("zones/broken.example.zone", "@ SOA\n");
    server.wait_for_log("\"kind\":\"file\"");
    server.signal("HUP");
    server.wait_for_log("reading all files anew");
    let described = described();
    assert!(described.len() > 8, "{described:?}");
    let mut seen = BTreeSet::new();
    for text in server.log().lines() {
        let Line(line) = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        for field in ["timestamp", "level", "message"] {
            assert!(line.contains_key(field), "no {field} in {text}");
        }
        let Some(kind) = line.get("kind").and_then(Value::as_str) else { continue };
        let fields = described.get(kind).unwrap_or_else(|| panic!("the docs don't know {kind}"));
        let others = line.keys().filter(|key| !["timestamp", "level", "message", "kind"].contains(&&***key));
        let undescribed: Vec<&String> = others.filter(|key| !fields.contains(*key)).collect();
        assert!(undescribed.is_empty(), "the docs have no {undescribed:?} of {kind}: {text}");
        if kind == "transition" {
            assert!(fields.iter().all(|field| line.contains_key(field)), "not all of {fields:?} in {text}");
        }
        seen.insert(kind.to_owned());
    }
    for kind in ["transition", "order", "zone", "file"] {
        assert!(seen.contains(kind), "{kind} was to be seen");
    }
    let log = server.log();
    let down = log.lines().find(|line| line.contains("\"to\":\"DOWN\"")).unwrap();
    let down: Value = serde_json::from_str(down).unwrap();
    assert_eq!((&down["target"], &down["site"]), (&"web-tw".into(), &"tw".into()), "the probed one: {down}");
    server.stop();
}

#[test]
fn the_kinds_of_the_sources_are_those_of_the_docs() {
    let sources =
        stdout(Command::new("grep").args(["-rhoE", "kind = \"[a-z]+\"", "src"]).current_dir(repository()));
    let used: BTreeSet<&str> = sources.lines().filter_map(|line| line.split('"').nth(1)).collect();
    let described = described();
    assert_eq!(used, described.keys().map(String::as_str).collect());
}

/// The fields of every call that logs at info or above, with where it is; the message isn't one.
fn logged() -> Vec<(String, BTreeMap<String, String>)> {
    let files = stdout(Command::new("grep").args(["-rlE", "tracing::", "src"]).current_dir(repository()));
    let mut logged = Vec::new();
    for file in files.lines() {
        let text = std::fs::read_to_string(repository().join(file)).unwrap();
        for level in ["info", "warn", "error"] {
            for (at, call) in text.match_indices(&format!("tracing::{level}!(")) {
                let line = text[..at].lines().count() + 1;
                logged.push((format!("{file}:{line}"), fields(&text[at + call.len()..])));
            }
        }
    }
    logged
}

/// `name = value`, `%name`, `?name` and `name`, up to the message.
fn fields(arguments: &str) -> BTreeMap<String, String> {
    let (mut fields, mut rest) = (BTreeMap::new(), arguments.trim_start());
    while !rest.starts_with(['"', ')']) {
        let mut depth = 0;
        let end = rest.find(|c| {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                _ => {}
            }
            depth < 0 || (depth == 0 && c == ',')
        });
        let (field, after) = rest.split_at(end.unwrap());
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        fields.insert(name.trim().trim_start_matches(['%', '?']).to_owned(), value.trim().to_owned());
        rest = after.strip_prefix(',').unwrap_or(")").trim_start();
    }
    fields
}

#[test]
fn every_line_that_the_sources_log_has_the_kind_and_the_fields_that_the_docs_promise() {
    let (described, logged) = (described(), logged());
    assert!(logged.len() > 60, "{} calls were found", logged.len());
    // Who has one of these is about something that the docs promise a kind for.
    let general = ["by", "error", "file", "line", "name"];
    let subjects: BTreeSet<&str> =
        described.values().flatten().map(String::as_str).filter(|field| !general.contains(field)).collect();
    let mut wrong = Vec::new();
    for (place, fields) in &logged {
        match fields.get("kind").map(|kind| kind.trim_matches('"')) {
            Some(kind) => {
                let known = &described[kind];
                let unknown = |field: &&String| *field != "kind" && !known.contains(*field);
                wrong.extend(
                    fields.keys().filter(unknown).map(|field| format!("{place}: {kind} has {field}")),
                );
            }
            None => {
                let promised = fields.keys().filter(|field| subjects.contains(field.as_str()));
                wrong.extend(promised.map(|field| format!("{place}: {field} without a kind")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn text_is_for_people_wherever_it_is_asked_for() {
    let (lab, _sites) = mail_lab("500ms");
    let mut command = waypost();
    command.args(["run", "--log-format", "text"]).current_dir(lab.directory.path());
    let log = std::fs::File::create(lab.path("log")).unwrap();
    let mut child = command.stderr(log).spawn().unwrap();
    let read = || std::fs::read_to_string(lab.path("log")).ok();
    let text =
        wait_for("it answers", Duration::from_secs(20), || read().filter(|text| text.contains("answering")));
    assert!(text.lines().all(|line| !line.starts_with('{')), "{text}");
    child.kill().unwrap();
    child.wait().unwrap();
}
