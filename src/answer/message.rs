//! The response while it is being written: header and question first, OPT last.

use super::{Answered, Client, Facts, Kind, Transport};
use crate::limits::{MESSAGE_OCTETS, UDP_PLAIN_OCTETS};
use crate::snapshot::Snapshot;
use crate::wire::cookie::Standing;
use crate::wire::edns::{self, Edns, ExtendedError, Keepalive, Reply};
use crate::wire::query::{HEADER_OCTETS, Query};
use crate::wire::rendered::{POINTER_MAX, Place, Rendered};
use crate::wire::rtype::{CLASS_IN, Rtype};

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
    /// Why there are no data, for clients that understand it.
    pub(super) extended_error: Option<ExtendedError>,
    /// What is counted.
    pub(super) facts: Facts,
    reply: Option<Reply<'a>>,
    flags: u16,
    id: [u8; 2],
    question_end: usize,
    counts: [u16; 3],
    truncated: bool,
    /// Whether it is padded at the end.
    pads: bool,
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
            Transport::Tcp { .. } | Transport::Tls { .. } | Transport::Quic => MESSAGE_OCTETS,
        };
        let pads = query.edns.as_ref().is_some_and(|edns| pads(edns, client.transport));
        let (reply, cookie) = reply(snapshot, query.edns.as_ref(), client);
        // An extended error needs no room kept for it: it comes without data.
        let reserved = reply.as_ref().map_or(0, Reply::octets);
        let question_end = HEADER_OCTETS + query.question.len();
        let limit = allowed.min(out.len()).checked_sub(reserved).filter(|limit| *limit >= question_end)?;
        out[HEADER_OCTETS..question_end].copy_from_slice(query.question);
        Some(Message {
            rcode: 0,
            authoritative: false,
            scope: 0,
            extended_error: None,
            facts: Facts::new(query.qtype, query.edns.as_ref(), cookie),
            reply,
            flags: u16::from_be_bytes([octets[2], octets[3]]) & COPIED,
            id: [octets[0], octets[1]],
            question_end,
            counts: [0; 3],
            truncated: false,
            pads,
            limit,
            end: question_end,
            out,
        })
    }

    /// Answers with a code and no data. Nothing was written yet.
    pub(super) fn fail(&mut self, rcode: u16, extended_error: ExtendedError) {
        self.rcode = rcode;
        self.authoritative = false;
        self.extended_error = Some(extended_error);
    }

    /// Position behind all that is written.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Whether it was cut short.
    pub(super) fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Octets that are written.
    pub(super) fn octets(&self, at: usize, octets: usize) -> &[u8] {
        &self.out[at..at + octets]
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

    /// Adds an answer record of the name at a position: all of it from its type on.
    pub(super) fn write_record(&mut self, owner_at: usize, record: &[u8]) {
        let end = self.end + 2 + record.len();
        if self.truncated || end > self.limit || owner_at > POINTER_MAX {
            return self.truncate();
        }
        self.out[self.end..self.end + 2].copy_from_slice(&(0xc000 | owner_at as u16).to_be_bytes());
        self.out[self.end + 2..end].copy_from_slice(record);
        self.end = end;
        self.counts[0] += 1;
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
        if let Some(reply) = &mut self.reply {
            reply.extended_rcode = (self.rcode >> 4) as u8;
            reply.extended_error = self.extended_error;
            if let Some((_, scope)) = &mut reply.subnet {
                *scope = self.scope;
            }
            let opt_at = self.end;
            self.end = reply.write(self.out, opt_at);
            if self.pads {
                self.end = edns::pad(self.out, opt_at, self.end);
            }
            self.counts[2] += 1;
        }
        let flags = self.flags
            | RESPONSE
            | if self.authoritative { AUTHORITATIVE } else { 0 }
            | if self.truncated { TRUNCATED } else { 0 }
            | (self.rcode & 15);
        write_header(self.out, self.id, flags, [1, self.counts[0], self.counts[1], self.counts[2]]);
        Answered { octets: self.end, rcode: self.rcode, kind, truncated: self.truncated, facts: self.facts }
    }
}

/// What the OPT record of an answer says whatever the answer is, and what the cookie proved.
fn reply<'r>(
    snapshot: &'r Snapshot,
    edns: Option<&Edns<'r>>,
    client: &Client,
) -> (Option<Reply<'r>>, Option<Standing>) {
    let Some(edns) = edns else { return (None, None) };
    let settings = &snapshot.settings;
    let cookie =
        edns.cookie.as_ref().map(|cookie| settings.cookies.check(cookie, client.address, client.now));
    let reply = Reply {
        payload: settings.udp_payload,
        extended_rcode: 0,
        dnssec_ok: edns.dnssec_ok,
        nsid: edns.nsid.then_some(settings.identity.as_bytes()),
        subnet: edns.subnet.map(|subnet| (subnet, 0)),
        cookie: cookie.as_ref().map(|cookie| cookie.answer),
        keepalive: match client.transport {
            Transport::Tcp { idle } | Transport::Tls { idle } if edns.keepalive == Keepalive::Asked => {
                Some(idle)
            }
            // RFC 7828 3.2.2: in datagrams it is ignored. RFC 9250 5.5.2: over QUIC it isn't sent.
            _ => None,
        },
        extended_error: None,
    };
    (Some(reply), cookie.map(|cookie| cookie.standing))
}

/// Whether an answer is padded: only where nobody sees what is inside (RFC 7830 6), and for clients
/// that pad themselves (RFC 8467 4.1).
fn pads(edns: &Edns<'_>, transport: Transport) -> bool {
    edns.padding && matches!(transport, Transport::Tls { .. } | Transport::Quic)
}

/// Octets of UDP payload that a client takes (RFC 6891 6.2.3: less than 512 counts as 512).
fn payload_octets(edns: Option<&Edns<'_>>, ours: u16) -> usize {
    edns.map_or(UDP_PLAIN_OCTETS, |edns| usize::from(edns.payload.min(ours)).max(UDP_PLAIN_OCTETS))
}

/// A response without data: header, the question if it can be echoed, OPT if the query had one.
#[derive(Clone, Copy)]
pub(super) struct Bare<'q> {
    pub(super) rcode: u16,
    pub(super) question_octets: usize,
    pub(super) edns: Option<Edns<'q>>,
    pub(super) extended_error: Option<ExtendedError>,
}

impl<'q> Bare<'q> {
    /// Writes it; nothing if `out` can't hold it.
    pub(super) fn write(
        self,
        snapshot: &'q Snapshot,
        query: &[u8],
        client: &Client,
        out: &mut [u8],
    ) -> Option<Answered> {
        let Bare { rcode, question_octets, edns, extended_error } = self;
        let extended_rcode = (rcode >> 4) as u8;
        let pads = edns.is_some_and(|edns| pads(&edns, client.transport));
        let (reply, cookie) = reply(snapshot, edns.as_ref(), client);
        let reply = reply.map(|reply| Reply { extended_rcode, extended_error, ..reply });
        let mut end = HEADER_OCTETS + question_octets;
        if end + reply.as_ref().map_or(0, Reply::octets) > out.len() {
            return None;
        }
        let flags = u16::from_be_bytes([query[2], query[3]]) & COPIED | RESPONSE | (rcode & 15);
        let counts = [u16::from(question_octets > 0), 0, 0, u16::from(reply.is_some())];
        write_header(out, [query[0], query[1]], flags, counts);
        out[HEADER_OCTETS..end].copy_from_slice(&query[HEADER_OCTETS..end]);
        if let Some(reply) = reply {
            let opt_at = end;
            end = reply.write(out, opt_at);
            if pads {
                end = edns::pad(out, opt_at, end);
            }
        }
        let facts = Facts::new(Rtype(0), edns.as_ref(), cookie);
        Some(Answered { octets: end, rcode, kind: Kind::Rejected, truncated: false, facts })
    }
}

fn write_header(out: &mut [u8], id: [u8; 2], flags: u16, counts: [u16; 4]) {
    out[0..2].copy_from_slice(&id);
    out[2..4].copy_from_slice(&flags.to_be_bytes());
    for (at, count) in counts.into_iter().enumerate() {
        out[4 + 2 * at..6 + 2 * at].copy_from_slice(&count.to_be_bytes());
    }
}
