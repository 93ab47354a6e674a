//! One function for all transports: a query's octets in, the response's octets out.
//!
//! It reads the snapshot and nothing else, allocates nothing (but see `chaos`), and has one
//! result for counting. The search follows RFC 1034 4.3.2; what is found was rendered ahead, so
//! the rest is copying and a few patched octets.

mod chaos;
mod client;
mod message;

pub use client::{Client, Transport};

use message::Message;

use crate::limits::CNAME_CHAIN;
use crate::snapshot::entry::{Flags, Payload};
use crate::snapshot::{Found, Lookup, NameHash, Slot, Snapshot};
use crate::wire::edns::{ClientSubnet, Edns};
use crate::wire::query::{self, HEADER_OCTETS, LowerName, Query, Rejected, rcode};
use crate::wire::rendered::{FIRST_RDATA_AT, Place, Rendered};
use crate::wire::rtype::{CLASS_CH, CLASS_IN, Rtype};

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Octets of the response; 0: nothing is sent.
    pub octets: usize,
    /// The response code, extended ones included.
    pub rcode: u16,
    /// What kind of answer it is.
    pub kind: Kind,
    /// Whether it was cut short, so that the client comes again over TCP.
    pub truncated: bool,
}

/// Kinds of answers, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Dropped: not a query.
    Dropped,
    /// Refused, malformed or not implemented.
    Rejected,
    /// Data that is the same for all.
    Static,
    /// Data of a route.
    Routed,
    /// The name has no such type.
    NoData,
    /// The name doesn't exist.
    NxDomain,
    /// Others are asked to answer.
    Referral,
    /// The zone never loaded.
    Failed,
    /// The server spoke of itself.
    Chaos,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: usize = 9;
}

/// Answers a query into `out`, which should hold 65,535 octets for TCP and the configured UDP
/// payload otherwise; a smaller one truncates.
#[must_use]
pub fn answer(snapshot: &Snapshot, query: &[u8], client: &Client, out: &mut [u8]) -> Answered {
    Prepared::new(snapshot, query, &mut LowerName::root()).answer(client, out)
}

/// A query that was read, and whose owner may be on its way into the cache.
///
/// Answering waits for memory more than it works. Of several queries all can wait at the same
/// time: prepare them, [`fetch`](Prepared::fetch) for all of them, then answer one by one.
pub struct Prepared<'a> {
    snapshot: &'a Snapshot,
    octets: &'a [u8],
    read: Result<(Query<'a>, NameHash), Rejected>,
}

impl<'a> Prepared<'a> {
    /// Reads a query; `name` has its name from then on.
    #[must_use]
    #[inline]
    pub fn new(snapshot: &'a Snapshot, octets: &'a [u8], name: &'a mut LowerName) -> Prepared<'a> {
        let read = query::parse(octets, name).map(|query| {
            let hash = snapshot.hash(query.name);
            (query, hash)
        });
        Prepared { snapshot, octets, read }
    }

    /// Brings what the answers will be copied from into the cache: one step for all queries, then
    /// the next, so that they wait for memory together.
    #[inline]
    pub fn fetch<'p>(prepared: impl Iterator<Item = &'p Prepared<'a>> + Clone)
    where
        'a: 'p,
    {
        let hashes = prepared
            .filter_map(|prepared| prepared.read.as_ref().ok().map(|(_, hash)| (prepared.snapshot, *hash)));
        for (snapshot, hash) in hashes.clone() {
            snapshot.fetch_place(hash);
        }
        for (snapshot, hash) in hashes {
            snapshot.fetch_entry(hash);
        }
    }

    /// The answer, as [`answer`] gives it.
    #[must_use]
    pub fn answer(&self, client: &Client, out: &mut [u8]) -> Answered {
        let Prepared { snapshot, octets, ref read } = *self;
        let (query, hash) = match read {
            Ok(read) => read,
            Err(rejected) => return reject(snapshot, octets, rejected, out),
        };
        let Some(mut message) = Message::begin(snapshot, octets, query, client, out) else {
            return Answered { octets: 0, rcode: 0, kind: Kind::Dropped, truncated: false };
        };
        let kind = match query.qclass {
            CLASS_IN if is_answerable(query.qtype) => {
                let mut search = Search {
                    snapshot,
                    client,
                    qtype: query.qtype,
                    subnet: query.edns.as_ref().and_then(|edns| edns.subnet.as_ref()),
                    message: &mut message,
                };
                search.run(query, *hash)
            }
            CLASS_CH if snapshot.settings.may_inspect(client.address) => {
                chaos::answer(snapshot, query, client, &mut message)
            }
            _ => {
                message.rcode = rcode::REFUSED;
                Kind::Rejected
            }
        };
        message.finish(kind)
    }
}

/// Transfers and other query types that no RRset answers are refused; ANY is answered.
fn is_answerable(qtype: Rtype) -> bool {
    !qtype.is_meta() || qtype == Rtype::ANY
}

fn reject(snapshot: &Snapshot, query: &[u8], rejected: &Rejected, out: &mut [u8]) -> Answered {
    match *rejected {
        Rejected::Answer { rcode, question_octets, edns }
            if out.len() >= HEADER_OCTETS + question_octets + message::OPT_OCTETS_MIN =>
        {
            let octets = message::write_bare(snapshot, query, rcode, question_octets, edns, out);
            Answered { octets, rcode, kind: Kind::Rejected, truncated: false }
        }
        _ => Answered { octets: 0, rcode: 0, kind: Kind::Dropped, truncated: false },
    }
}

/// The way from the question's name to an answer, over CNAMEs and DNAMEs.
struct Search<'a, 'm, 'o> {
    snapshot: &'a Snapshot,
    client: &'a Client,
    qtype: Rtype,
    subnet: Option<&'a ClientSubnet<'a>>,
    message: &'m mut Message<'a, 'o>,
}

/// What one step of a search came to.
#[expect(clippy::large_enum_variant, reason = "lives on the stack for one step; a box would allocate")]
enum Step {
    /// The answer is complete.
    Done(Kind),
    /// It goes on with another name, which stands in the message at that position.
    Follow(LowerName, usize),
}

impl Search<'_, '_, '_> {
    fn run(&mut self, query: &Query<'_>, hash: NameHash) -> Kind {
        let mut place = Place {
            owner_at: HEADER_OCTETS,
            owner_octets: query.name.as_wire().len(),
            body_at: self.message.end(),
        };
        let Some(lookup) = self.snapshot.find_hashed(query.name, hash) else {
            self.message.rcode = rcode::REFUSED;
            return Kind::Rejected;
        };
        self.message.authoritative = true;
        let mut step = self.step(query.name, lookup, place, true);
        for _ in 0..CNAME_CHAIN {
            let (name, owner_at) = match step {
                Step::Done(kind) => return kind,
                Step::Follow(name, owner_at) => (name, owner_at),
            };
            // A name in nobody's zone here: the resolver goes on from the CNAME.
            let Some(lookup) = self.snapshot.find(&name) else { return Kind::Static };
            place = Place { owner_at, owner_octets: name.as_wire().len(), body_at: self.message.end() };
            step = self.step(&name, lookup, place, false);
        }
        Kind::Static
    }

    fn step(&mut self, name: &LowerName, lookup: Lookup<'_>, place: Place, first: bool) -> Step {
        let Lookup { entry, found } = lookup;
        let negative = self.snapshot.zone(entry.zone()).and_then(|zone| zone.negative.as_deref());
        let Some(negative) = negative.and_then(Rendered::read) else {
            // Behind a CNAME, what was found stands.
            if first {
                self.message.authoritative = false;
                self.message.rcode = rcode::SERVFAIL;
            }
            return Step::Done(Kind::Failed);
        };
        let flags = entry.flags();
        let is_cut = flags.has(Flags::CUT);
        if found == Found::Nothing {
            self.message.rcode = rcode::NXDOMAIN;
            self.message.write(&negative, place);
            return Step::Done(Kind::NxDomain);
        }
        // RFC 4035 3.1.4.1: the parent's side of a cut answers for DS, and for nothing else.
        if is_cut && (found == Found::Referral || self.qtype != Rtype::DS) {
            self.message.authoritative &= !first;
            if let Some(Payload::Rendered(referral)) = entry.find(Rtype::NS) {
                self.message.write(&referral, place);
            }
            return Step::Done(Kind::Referral);
        }
        if found == Found::Dname {
            return self.dname(name, entry.find(Rtype::DNAME), entry.name_octets(), place);
        }
        // RFC 8482 4.1: one RRset answers ANY.
        let payload = if self.qtype == Rtype::ANY { entry.first() } else { entry.find(self.qtype) };
        match payload {
            Some(Payload::Rendered(rendered)) => {
                self.message.write(&rendered, place);
                Step::Done(Kind::Static)
            }
            Some(Payload::Slot(id)) => {
                self.slot(self.snapshot.slot(id), place);
                Step::Done(Kind::Routed)
            }
            None if flags.has(Flags::CNAME) => self.cname(entry.find(Rtype::CNAME), place),
            None => {
                self.message.write(&negative, place);
                Step::Done(Kind::NoData)
            }
        }
    }

    fn cname(&mut self, payload: Option<Payload<'_>>, place: Place) -> Step {
        let rendered = match payload {
            Some(Payload::Rendered(rendered)) => rendered,
            Some(Payload::Slot(id)) => {
                // RFC 7871 7.2.1: a tailored CNAME ends the answer, since what follows may hold
                // for other networks than the CNAME does.
                self.slot(self.snapshot.slot(id), place);
                return Step::Done(Kind::Routed);
            }
            None => return Step::Done(Kind::NoData),
        };
        if !self.message.write(&rendered, place) {
            return Step::Done(Kind::Static);
        }
        match rendered.first_rdata().and_then(LowerName::from_wire) {
            Some(target) => Step::Follow(target, place.body_at + FIRST_RDATA_AT),
            None => Step::Done(Kind::Static),
        }
    }

    /// RFC 6672 3.2: the DNAME, and a CNAME made from it for those who don't know DNAME.
    fn dname(
        &mut self,
        name: &LowerName,
        payload: Option<Payload<'_>>,
        owner_octets: usize,
        place: Place,
    ) -> Step {
        let Some(Payload::Rendered(rendered)) = payload else { return Step::Done(Kind::NoData) };
        if !self.message.write(&rendered, place) {
            return Step::Done(Kind::Static);
        }
        let Some(target) = rendered.first_rdata() else { return Step::Done(Kind::Static) };
        let prefix = &name.as_wire()[..name.as_wire().len() - owner_octets];
        let mut octets = [0; 512];
        let end = prefix.len() + target.len();
        let Some(joined) = octets.get_mut(..end) else { return Step::Done(Kind::Static) };
        joined[..prefix.len()].copy_from_slice(prefix);
        joined[prefix.len()..].copy_from_slice(target);
        let Some(target_name) = LowerName::from_wire(joined) else {
            self.message.rcode = rcode::YXDOMAIN;
            return Step::Done(Kind::Static);
        };
        // RFC 6672 3.1: the CNAME has the DNAME's TTL, which stands 6 octets into its record.
        let ttl = rendered.first_ttl().unwrap_or(0);
        match self.message.write_cname(place.owner_at, ttl, joined) {
            Some(rdata_at) if self.qtype != Rtype::CNAME => Step::Follow(target_name, rdata_at),
            _ => Step::Done(Kind::Static),
        }
    }

    fn slot(&mut self, slot: Option<&Slot>, place: Place) {
        let Some(slot) = slot else { return };
        // RFC 7871 7.1.2: a prefix of 0 asks not to be placed by it; private networks say nothing.
        let usable = self.subnet.filter(|subnet| slot.ecs && subnet.source_prefix > 0);
        let address = usable.and_then(|subnet| subnet.address);
        let region = match address.filter(|address| !crate::geo::special::is_special(*address)) {
            Some(address) => {
                let located = self.snapshot.geo.locate(address);
                self.message.scope = located.scope;
                located.region
            }
            None => self.snapshot.geo.locate(self.client.address).region,
        };
        if let Some(rendered) = slot.pick(region, self.client.entropy) {
            self.message.write(&rendered, place);
        }
    }
}

/// Octets of UDP payload that a client takes (RFC 6891 6.2.3: less than 512 counts as 512).
fn payload_octets(edns: Option<&Edns<'_>>, ours: u16) -> usize {
    edns.map_or(crate::limits::UDP_PLAIN_OCTETS, |edns| {
        usize::from(edns.payload.min(ours)).max(crate::limits::UDP_PLAIN_OCTETS)
    })
}
