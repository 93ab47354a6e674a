//! `[query_log]`, `[dnstap]` and `[unplaced]`: which queries are written down or counted, and where.

use std::path::Path;

use super::reader::{Table, Value};
use super::server::network;
use crate::limits::UNPLACED_SAMPLE;
use crate::querylog::{Dnstap, QueryLog};
use crate::serve::Selection;
use crate::wire::name::Name;
use crate::wire::query::rcode;

/// One of more than so many isn't a sample any more.
const SAMPLE_MAX: u64 = 1_000_000_000;

/// Where a query log goes that has no file.
const STDOUT: &str = "stdout";

pub(super) fn query_log(table: &Table<'_>, directory: &Path) -> Option<QueryLog> {
    let to = table.need("to", "\"queries.jsonl\"").and_then(|value| value.string());
    let selection = selection(table);
    let file = Some(to?).filter(|to| to != STDOUT).map(|to| directory.join(to));
    Some(QueryLog { file, selection })
}

pub(super) fn dnstap(table: &Table<'_>, directory: &Path, identity: &str) -> Option<Dnstap> {
    let socket = table.need("socket", "\"/run/dnstap.sock\"").and_then(|value| value.string());
    let text = |key, default: String| table.get(key).and_then(|value| value.string()).unwrap_or(default);
    let identity = text("identity", identity.to_owned());
    let version = text("version", concat!("waypost ", env!("CARGO_PKG_VERSION")).to_owned());
    let selection = selection(table);
    Some(Dnstap { socket: directory.join(socket?), identity, version, selection })
}

/// Of how many queries one is looked at; 0: none is.
pub(super) fn unplaced(table: &Table<'_>) -> Option<u32> {
    let sample = table.get("sample").and_then(|value| value.integer(0..=SAMPLE_MAX));
    Some(sample.unwrap_or(UNPLACED_SAMPLE)).filter(|sample| *sample > 0)
}

fn selection(table: &Table<'_>) -> Selection {
    let list = |key| table.get(key).map_or_else(Vec::new, |value| value.list());
    let names = |key| list(key).iter().filter_map(name).collect();
    Selection {
        sample: table.get("sample").and_then(|value| value.integer(1..=SAMPLE_MAX)).unwrap_or(1),
        zones: names("zones"),
        names: names("names"),
        rcodes: list("rcodes").iter().filter_map(|value| value.one_of(&rcode::WORDS)).collect(),
        clients: list("clients").iter().filter_map(network).collect(),
    }
}

fn name(value: &Value<'_>) -> Option<Name> {
    let text = value.str()?;
    let name = Name::parse(text, Some(&Name::root()));
    if let Err(error) = &name {
        value.error(format!("\"{text}\" is no name: {error}"), "write it as \"example.com\"");
    }
    name.ok().map(|name| name.to_lower())
}
