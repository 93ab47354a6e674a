//! What the server says of itself in the CHAOS class, to networks that may ask.
//!
//! `version.bind` and its like answer from the settings. Names below `waypost.` are the published
//! state of the control plane; they may allocate, being rare and for operators alone.

use super::{Client, Kind, Message};
use crate::snapshot::Snapshot;
use crate::wire::edns::ExtendedError;
use crate::wire::name::labels;
use crate::wire::query::{Query, rcode};
use crate::wire::rtype::{CLASS_CH, Rtype};

/// What `version.bind` says.
const VERSION: &str = concat!("waypost ", env!("CARGO_PKG_VERSION"));

/// Octets of one character-string (RFC 1035 3.3).
const STRING_OCTETS_MAX: usize = 255;

pub(super) fn answer(
    snapshot: &Snapshot,
    query: &Query<'_>,
    client: &Client,
    message: &mut Message<'_, '_>,
) -> Kind {
    message.authoritative = true;
    let Some(lines) = lines(snapshot, query, client, message) else {
        message.fail(rcode::REFUSED, ExtendedError::NOT_AUTHORITATIVE);
        return Kind::Rejected;
    };
    if query.qtype == Rtype::TXT || query.qtype == Rtype::ANY {
        for line in lines {
            if !message.write_own(Rtype::TXT, CLASS_CH, &character_strings(&line)) {
                break;
            }
        }
    }
    Kind::Chaos
}

fn lines(
    snapshot: &Snapshot,
    query: &Query<'_>,
    client: &Client,
    message: &mut Message<'_, '_>,
) -> Option<Vec<String>> {
    let name: Vec<&[u8]> = labels(query.name.as_wire()).collect();
    match name.as_slice() {
        [b"version", b"bind" | b"server"] => Some(vec![VERSION.to_owned()]),
        [b"id", b"server"] | [b"hostname", b"bind"] => Some(vec![snapshot.settings.identity.clone()]),
        [below @ .., b"waypost"] => {
            let subnet = query.edns.as_ref().and_then(|edns| edns.subnet);
            let claimed = subnet.and_then(|subnet| Some((subnet.address?, subnet.source_prefix)));
            let (address, prefix) = match claimed.filter(|(_, prefix)| *prefix > 0) {
                Some((address, prefix)) => (address, Some(prefix)),
                None => (client.address, None),
            };
            message.scope = prefix.unwrap_or(0);
            snapshot.inspect.as_ref()?.lines(below, address, prefix)
        }
        _ => None,
    }
}

/// A line as character-strings of up to 255 octets, which readers join again.
fn character_strings(line: &str) -> Vec<u8> {
    let mut rdata = Vec::with_capacity(line.len() + 2);
    let mut chunks = line.as_bytes().chunks(STRING_OCTETS_MAX).peekable();
    if chunks.peek().is_none() {
        rdata.push(0);
    }
    for chunk in chunks {
        rdata.push(chunk.len() as u8);
        rdata.extend(chunk);
    }
    rdata
}
