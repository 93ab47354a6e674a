//! `[bundles]`: signatures that one server makes and others answer with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::{Table, Value};
use super::server::path;
use crate::wire::name::Name;

/// How often a signer is asked, unless the configuration says otherwise.
const INTERVAL: Duration = Duration::from_secs(60);

/// Signatures that one server makes and others answer with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundles {
    /// Which of both this server is.
    pub role: Role,
    /// Where bundles are: `NAME.bundle`.
    pub directory: PathBuf,
    /// DS of keys by which a zone's first bundle is known, as RDATA.
    pub anchors: BTreeMap<Name, Vec<Vec<u8>>>,
    /// Where an edge gets them from; none: others put them into the directory.
    pub pull: Option<Pull>,
}

/// What a server does with bundles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has keys, and writes a bundle of each zone that it signs.
    Signer,
    /// It has none: its signed zones have the signatures of bundles.
    Edge,
}

/// How an edge asks its signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// The signer's local API: `http://192.0.2.1:8080`.
    pub url: String,
    /// The file of the token.
    pub token: PathBuf,
    /// How often.
    pub interval: Duration,
}

pub(super) fn bundles(table: &Table<'_>, directory: &Path) -> Option<Bundles> {
    let role = table.need("role", "\"edge\"");
    let role = role.and_then(|role| role.one_of(&[("signer", Role::Signer), ("edge", Role::Edge)]));
    let place = path(table.get("directory"), directory).unwrap_or_else(|| directory.join("bundles"));
    let url = table.get("url");
    let token = path(table.get("token"), directory);
    let interval = table.get("interval");
    let interval =
        interval.and_then(|value| value.duration(Duration::from_secs(1)..=Duration::from_secs(86_400)));
    let pull = url.and_then(|value| {
        let url = value.string()?;
        if role == Some(Role::Signer) {
            value.key_error("a signer asks nobody for bundles", "leave `url` to its edges");
        }
        if !url.starts_with("http://") && !url.starts_with("https://") {
            value.error(format!("\"{url}\" is no address of a local API"), "write \"http://192.0.2.1:8080\"");
        }
        let Some(token) = token else {
            value.error("the signer gives bundles to whoever has a token", "add token = \"signer.token\"");
            return None;
        };
        let url = url.trim_end_matches('/').to_owned();
        Some(Pull { url, token, interval: interval.unwrap_or(INTERVAL) })
    });
    let mut anchors = BTreeMap::new();
    if let Some(zones) = table.table("anchors") {
        for (zone, value) in zones.others() {
            match Name::parse(zone, Some(&Name::root())) {
                Ok(apex) => {
                    anchors.insert(apex.to_lower(), value.list().iter().filter_map(ds).collect());
                }
                Err(error) => value.key_error(format!("this is no zone: {error}"), "write its name"),
            }
        }
    }
    Some(Bundles { role: role?, directory: place, anchors, pull })
}

/// `12345 13 2 HEX`, as `waypost keys ds` prints it.
fn ds(value: &Value<'_>) -> Option<Vec<u8>> {
    let text = value.str()?;
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let rdata = match fields.as_slice() {
        [tag, algorithm, digest_type, digest @ ..] => {
            let numbers =
                (tag.parse::<u16>().ok(), algorithm.parse::<u8>().ok(), digest_type.parse::<u8>().ok());
            match (numbers, hex(&digest.concat())) {
                ((Some(tag), Some(algorithm), Some(digest_type)), Some(digest)) if digest.len() >= 32 => {
                    Some([&tag.to_be_bytes()[..], &[algorithm, digest_type], &digest].concat())
                }
                _ => None,
            }
        }
        _ => None,
    };
    if rdata.is_none() {
        value.error("this is no DS", "write its data as `waypost keys ds` prints it: \"12345 13 2 HEX\"");
    }
    rdata
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
