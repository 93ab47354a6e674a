//! One query as one line. `docs/logs.md` lists its fields; they are a promise.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use ipnet::IpNet;
use serde::Serialize;

use crate::model::Model;
use crate::serve::{Copied, Protocol, rcode};
use crate::wire::name::Name;
use crate::wire::query::{self, HEADER_OCTETS, LowerName, Rejected};
use crate::wire::rtype::{CLASS_CH, CLASS_IN, Rtype};

/// AA and TC, among the flags of an answer (RFC 1035 4.1.1).
const AUTHORITATIVE: u8 = 0x04;
const TRUNCATED: u8 = 0x02;

/// What a query asked.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// As it was spelled.
    name: Name,
    rtype: Rtype,
    class: u16,
    dnssec_ok: bool,
    subnet: Option<IpNet>,
}

/// The line.
#[derive(Serialize)]
struct Line {
    timestamp: String,
    kind: &'static str,
    client: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    transport: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    rtype: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subnet: Option<String>,
    dnssec_ok: bool,
    rcode: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    answers: u16,
    authoritative: bool,
    truncated: bool,
    query_octets: usize,
    answer_octets: usize,
}

impl Question {
    /// Reads a query; nothing if it has no question that can be read.
    pub(super) fn read(message: &[u8]) -> Option<Question> {
        let mut lower = LowerName::root();
        let (question, edns) = match query::parse(message, &mut lower) {
            Ok(query) => (query.question, query.edns),
            Err(Rejected::Answer { question_octets, edns, .. }) => {
                (message.get(HEADER_OCTETS..HEADER_OCTETS + question_octets)?, edns)
            }
            Err(Rejected::Drop | Rejected::Cookie(_)) => return None,
        };
        let (wire, rest) = question.split_at_checked(question.len().checked_sub(4)?)?;
        let subnet = edns.and_then(|edns| edns.subnet);
        Some(Question {
            name: Name::from_wire(wire).ok()?,
            rtype: Rtype(u16::from_be_bytes([rest[0], rest[1]])),
            class: u16::from_be_bytes([rest[2], rest[3]]),
            dnssec_ok: edns.is_some_and(|edns| edns.dnssec_ok),
            subnet: subnet.and_then(|subnet| IpNet::new(subnet.address?, subnet.source_prefix).ok()),
        })
    }

    /// Whether it is of the Internet's class.
    pub(super) fn is_internet(&self) -> bool {
        self.class == CLASS_IN
    }

    /// The client's network, if its resolver told one.
    pub(super) fn subnet(&self) -> Option<IpNet> {
        self.subnet
    }

    /// The zone that it falls into: the nearest above it.
    pub(super) fn zone<'m>(&self, model: &'m Model) -> Option<&'m Name> {
        if !self.is_internet() {
            return None;
        }
        let mut at = Some(self.name.to_lower());
        while let Some(name) = at {
            if let Some((apex, _)) = model.zones.get_key_value(&name) {
                return Some(apex);
            }
            at = name.parent();
        }
        None
    }
}

/// Appends a line, with its end.
pub(super) fn append(
    copied: &Copied<'_>,
    question: Option<&Question>,
    zone: Option<&Name>,
    out: &mut Vec<u8>,
) {
    let Copied { query, answer, .. } = copied;
    let flags = answer.get(2).copied().unwrap_or(0);
    let line = Line {
        timestamp: timestamp(copied.at),
        kind: "query",
        client: copied.client.ip(),
        port: Some(copied.client.port()).filter(|port| *port > 0),
        transport: match copied.protocol {
            Protocol::Udp => "udp",
            Protocol::Tcp => "tcp",
            Protocol::Tls => "tls",
            Protocol::Quic => "quic",
        },
        name: question.map(|question| question.name.to_string()),
        rtype: question.map(|question| question.rtype.to_string()),
        class: question.map(|question| class(question.class)),
        subnet: question.and_then(Question::subnet).map(|subnet| subnet.to_string()),
        dnssec_ok: question.is_some_and(|question| question.dnssec_ok),
        rcode: rcode(answer).map_or(Cow::Borrowed("?"), query::rcode::word),
        zone: zone.map(Name::to_string),
        answers: answer.get(6..8).map_or(0, |count| u16::from_be_bytes([count[0], count[1]])),
        authoritative: flags & AUTHORITATIVE != 0,
        truncated: flags & TRUNCATED != 0,
        query_octets: query.len(),
        answer_octets: answer.len(),
    };
    let before = out.len();
    // A vector takes all; a name that JSON couldn't hold would be our defect, and no line is lost
    // without the others.
    if serde_json::to_writer(&mut *out, &line).is_err() {
        out.truncate(before);
        return;
    }
    out.push(b'\n');
}

fn class(class: u16) -> Cow<'static, str> {
    match class {
        CLASS_IN => "IN".into(),
        CLASS_CH => "CH".into(),
        _ => format!("CLASS{class}").into(),
    }
}

/// RFC 3339, in UTC, to the microsecond, as the log of the server has it.
fn timestamp(at: Duration) -> String {
    humantime::format_rfc3339_micros(UNIX_EPOCH + at).to_string()
}
