//! The response while it is being written: header and question first, OPT last.

use super::{Answered, Client, Kind, Transport, payload_octets};
use crate::snapshot::Snapshot;
use crate::wire::edns::{Edns, Reply};
use crate::wire::query::{HEADER_OCTETS, Query};
use crate::wire::rendered::{Place, Rendered};
use crate::wire::rtype::{CLASS_IN, Rtype};

/// Octets of an OPT record without options.
pub(super) const OPT_OCTETS_MIN: usize = 11;
/// Octets of a CNAME record before its target: owner's pointer, type, class, TTL, RDLENGTH.
const CNAME_OCTETS: usize = 12;

/// QR: a response.
const RESPONSE: u16 = 0x8000;
/// AA: an authoritative answer.
const AUTHORITATIVE: u16 = 0x0400;
/// TC: cut short.
const TRUNCATED: u16 = 0x0200;
/// What is copied from the query: opcode, RD and CD (RFC 4035 3.1.6).
const COPIED: u16 = 0x7910;

pub(super) struct Message<'a, 'o> {
    /// The response code.
    pub(super) rcode: u16,
    /// Whether the zone is ours.
    pub(super) authoritative: bool,
    /// For which prefix of the client's network the answer holds (RFC 7871 7.2.1).
    pub(super) scope: u8,
    snapshot: &'a Snapshot,
    edns: Option<Edns<'a>>,
    flags: u16,
    id: [u8; 2],
    question_end: usize,
    counts: [u16; 3],
    truncated: bool,
    /// Position up to which sections may be written; the OPT record has its space behind it.
    limit: usize,
    end: usize,
    out: &'o mut [u8],
}

impl<'a, 'o> Message<'a, 'o> {
    /// Writes the question; nothing if `out` can't even hold that.
    pub(super) fn begin(
        snapshot: &'a Snapshot,
        octets: &[u8],
        query: &Query<'a>,
        client: &Client,
        out: &'o mut [u8],
    ) -> Option<Message<'a, 'o>> {
        let allowed = match client.transport {
            Transport::Udp => payload_octets(query.edns.as_ref(), snapshot.settings.udp_payload),
            Transport::Tcp => crate::limits::MESSAGE_OCTETS,
        };
        let question_end = HEADER_OCTETS + query.question.len();
        let mut message = Message {
            rcode: 0,
            authoritative: false,
            scope: 0,
            snapshot,
            edns: query.edns,
            flags: u16::from_be_bytes([octets[2], octets[3]]) & COPIED,
            id: [octets[0], octets[1]],
            question_end,
            counts: [0; 3],
            truncated: false,
            limit: allowed.min(out.len()),
            end: question_end,
            out,
        };
        let reserved = query.edns.as_ref().map_or(0, |edns| reply(snapshot, edns, 0, 0).octets());
        message.limit = message.limit.checked_sub(reserved).filter(|limit| *limit >= question_end)?;
        message.out[HEADER_OCTETS..question_end].copy_from_slice(query.question);
        Some(message)
    }

    /// Position behind all that is written.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Adds a rendered answer. False if it doesn't fit; then the message is cut back to its
    /// question and marked (RFC 2181 9), for the client to come again over TCP.
    pub(super) fn write(&mut self, rendered: &Rendered<'_>, place: Place) -> bool {
        let space = self.limit - self.end;
        let (octets, left_out) = if rendered.octets() <= space {
            (rendered.octets(), 0)
        } else {
            (rendered.octets_needed(), rendered.optional)
        };
        if octets > space || rendered.write(self.out, place, octets).is_none() {
            self.truncate();
            return false;
        }
        self.end += octets;
        self.counts[0] += rendered.answers;
        self.counts[1] += rendered.authority;
        self.counts[2] += rendered.additional - left_out;
        true
    }

    /// Adds a CNAME made at this moment; the position of its target.
    pub(super) fn write_cname(&mut self, owner_at: usize, ttl: u32, target: &[u8]) -> Option<usize> {
        let rdata_at = self.end + CNAME_OCTETS;
        if rdata_at + target.len() > self.limit {
            self.truncate();
            return None;
        }
        let record = &mut self.out[self.end..rdata_at + target.len()];
        record[0..2].copy_from_slice(&(0xc000 | owner_at as u16).to_be_bytes());
        record[2..4].copy_from_slice(&Rtype::CNAME.0.to_be_bytes());
        record[4..6].copy_from_slice(&CLASS_IN.to_be_bytes());
        record[6..10].copy_from_slice(&ttl.to_be_bytes());
        record[10..12].copy_from_slice(&(target.len() as u16).to_be_bytes());
        record[CNAME_OCTETS..].copy_from_slice(target);
        self.end = rdata_at + target.len();
        self.counts[0] += 1;
        Some(rdata_at)
    }

    /// Adds an answer record whose owner, class and type are the question's, in whole octets.
    pub(super) fn write_own(&mut self, qtype: Rtype, qclass: u16, rdata: &[u8]) -> bool {
        let end = self.end + CNAME_OCTETS + rdata.len();
        if end > self.limit {
            self.truncate();
            return false;
        }
        let record = &mut self.out[self.end..end];
        record[0..2].copy_from_slice(&(0xc000 | HEADER_OCTETS as u16).to_be_bytes());
        record[2..4].copy_from_slice(&qtype.0.to_be_bytes());
        record[4..6].copy_from_slice(&qclass.to_be_bytes());
        record[6..10].fill(0);
        record[10..12].copy_from_slice(&(rdata.len() as u16).to_be_bytes());
        record[CNAME_OCTETS..].copy_from_slice(rdata);
        self.end = end;
        self.counts[0] += 1;
        true
    }

    fn truncate(&mut self) {
        self.truncated = true;
        self.end = self.question_end;
        self.counts = [0; 3];
    }

    /// Writes the OPT record and the header.
    pub(super) fn finish(mut self, kind: Kind) -> Answered {
        if let Some(edns) = &self.edns {
            self.end = reply(self.snapshot, edns, self.rcode, self.scope).write(self.out, self.end);
            self.counts[2] += 1;
        }
        let flags = self.flags
            | RESPONSE
            | if self.authoritative { AUTHORITATIVE } else { 0 }
            | if self.truncated { TRUNCATED } else { 0 }
            | (self.rcode & 15);
        write_header(self.out, self.id, flags, [1, self.counts[0], self.counts[1], self.counts[2]]);
        Answered { octets: self.end, rcode: self.rcode, kind, truncated: self.truncated }
    }
}

fn reply<'r>(snapshot: &'r Snapshot, edns: &'r Edns<'_>, rcode: u16, scope: u8) -> Reply<'r> {
    Reply {
        payload: snapshot.settings.udp_payload,
        extended_rcode: (rcode >> 4) as u8,
        dnssec_ok: edns.dnssec_ok,
        nsid: edns.nsid.then_some(snapshot.settings.identity.as_bytes()),
        subnet: edns.subnet.as_ref().map(|subnet| (subnet, scope)),
    }
}

/// Writes a response without data: header, the question if it can be echoed, OPT. `out` must hold
/// it.
pub(super) fn write_bare(
    snapshot: &Snapshot,
    query: &[u8],
    rcode: u16,
    question_octets: usize,
    edns: bool,
    out: &mut [u8],
) -> usize {
    let flags = u16::from_be_bytes([query[2], query[3]]) & COPIED | RESPONSE | (rcode & 15);
    let counts = [u16::from(question_octets > 0), 0, 0, u16::from(edns)];
    write_header(out, [query[0], query[1]], flags, counts);
    let mut end = HEADER_OCTETS + question_octets;
    out[HEADER_OCTETS..end].copy_from_slice(&query[HEADER_OCTETS..end]);
    if edns {
        let payload = snapshot.settings.udp_payload;
        let extended_rcode = (rcode >> 4) as u8;
        let reply = Reply { payload, extended_rcode, dnssec_ok: false, nsid: None, subnet: None };
        end = reply.write(out, end);
    }
    end
}

fn write_header(out: &mut [u8], id: [u8; 2], flags: u16, counts: [u16; 4]) {
    out[0..2].copy_from_slice(&id);
    out[2..4].copy_from_slice(&flags.to_be_bytes());
    for (at, count) in counts.into_iter().enumerate() {
        out[4 + 2 * at..6 + 2 * at].copy_from_slice(&count.to_be_bytes());
    }
}
