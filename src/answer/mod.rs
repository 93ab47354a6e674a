//! One function for all transports: a query's octets in, the response's octets out.
//!
//! It reads the snapshot and nothing else, allocates nothing (but see `chaos`), and has one
//! result for counting. The search follows RFC 1034 4.3.2; what is found was rendered ahead, so
//! the rest is copying and a few patched octets.

mod chaos;
mod client;
mod facts;
mod message;
mod proofs;

pub use client::{Client, Transport, keepalive};
pub use facts::{Facts, Placed};

use std::net::IpAddr;

use message::{Bare, Message};
use proofs::{Denied, Proofs};

use crate::limits::CNAME_CHAIN;
use crate::snapshot::denial::{Denial, Order};
use crate::snapshot::entry::{Entry, Flags, Payload, SIGNED_GLUE, SIGNED_REFERRAL};
use crate::snapshot::{ClientNetwork, Found, Lookup, NameHash, SlotId, Snapshot};
use crate::wire::client_subnet::ClientSubnet;
use crate::wire::cookie::Standing;
use crate::wire::edns::{ExtendedError, Keepalive};
use crate::wire::name::parent;
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
    /// What the query asked.
    pub facts: Facts,
}

/// Kinds of answers, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Dropped: not a query.
    Dropped,
    /// Refused, malformed or not implemented; or nothing but a cookie was asked for.
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
    /// All kinds, in the order of their numbers.
    pub const ALL: [Kind; 9] = [
        Kind::Dropped,
        Kind::Rejected,
        Kind::Static,
        Kind::Routed,
        Kind::NoData,
        Kind::NxDomain,
        Kind::Referral,
        Kind::Failed,
        Kind::Chaos,
    ];
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
    read: Result<Query<'a>, Rejected<'a>>,
    /// Of the name, if one was read. Beside the query, not within: that would cost a copy of it.
    hash: Option<NameHash>,
}

impl<'a> Prepared<'a> {
    /// Reads a query; `name` has its name from then on.
    ///
    /// Always inlined: what it makes is put together where it stays. To move it there would cost more
    /// than a copy: a processor waits before it reads widely what was just written in narrow pieces.
    #[must_use]
    #[inline(always)]
    pub fn new(snapshot: &'a Snapshot, octets: &'a [u8], name: &'a mut LowerName) -> Prepared<'a> {
        let read = query::parse(octets, name);
        let hash = read.as_ref().ok().map(|query| snapshot.hash(query.name));
        let prepared = Prepared { snapshot, octets, read, hash };
        if let Some(address) = prepared.subnet() {
            snapshot.geo.fetch::<0>(address);
        }
        prepared
    }

    /// What the client is placed by, if its resolver tells.
    fn subnet(&self) -> Option<IpAddr> {
        self.read.as_ref().ok()?.edns.as_ref()?.subnet.as_ref()?.address
    }

    /// Brings what the answers will be copied from into the cache: one step for all queries, then
    /// the next, so that they wait for memory together.
    #[inline]
    pub fn fetch<'p>(prepared: impl Iterator<Item = &'p Prepared<'a>> + Clone)
    where
        'a: 'p,
    {
        let hashed = prepared.filter_map(|prepared| prepared.hash.map(|hash| (prepared, hash)));
        for (prepared, hash) in hashed.clone() {
            prepared.snapshot.fetch_place(hash);
            if let Some(address) = prepared.subnet() {
                prepared.snapshot.geo.fetch::<1>(address);
            }
        }
        for (prepared, hash) in hashed {
            prepared.snapshot.fetch_entry(hash);
            if let Some(address) = prepared.subnet() {
                prepared.snapshot.geo.fetch::<2>(address);
            }
        }
    }

    /// The answer, as [`answer`] gives it.
    #[must_use]
    pub fn answer(&self, client: &Client, out: &mut [u8]) -> Answered {
        let Prepared { snapshot, octets, ref read, hash } = *self;
        let query = match read {
            Ok(query) => query,
            Err(rejected) => return reject(snapshot, octets, client, rejected, out),
        };
        if let Some(malformed) = malformed_for(query, client.transport) {
            return reject(snapshot, octets, client, &malformed, out);
        }
        let Some(mut message) = Message::begin(snapshot, octets, query, client, out) else {
            return DROPPED;
        };
        let kind = match (query.qclass, askable(query.qtype)) {
            (CLASS_IN, Ok(())) => {
                let mut search = Search {
                    snapshot,
                    client,
                    qtype: query.qtype,
                    subnet: query.edns.as_ref().and_then(|edns| edns.subnet.as_ref()),
                    is_first: true,
                    has_dname: false,
                    proofs: (snapshot.has_signed() && query.edns.as_ref().is_some_and(|edns| edns.dnssec_ok))
                        .then(Proofs::new),
                    message: &mut message,
                };
                let kind = search.run(query, hash);
                search.prove();
                kind
            }
            (CLASS_CH, Ok(())) if snapshot.settings.may_inspect(client.address) => {
                chaos::answer(snapshot, query, client, &mut message)
            }
            (_, Err((rcode, extended_error))) => {
                message.fail(rcode, extended_error);
                Kind::Rejected
            }
            (class, Ok(())) => {
                let why =
                    if class == CLASS_CH { ExtendedError::PROHIBITED } else { ExtendedError::NOT_SUPPORTED };
                message.fail(rcode::REFUSED, why);
                Kind::Rejected
            }
        };
        message.finish(kind)
    }
}

const DROPPED: Answered =
    Answered { octets: 0, rcode: 0, kind: Kind::Dropped, truncated: false, facts: Facts::NONE };

/// Types of queries that RRsets answer, and ANY (RFC 8482). Otherwise the code, and why.
fn askable(qtype: Rtype) -> Result<(), (u16, ExtendedError)> {
    match qtype {
        Rtype::ANY => Ok(()),
        Rtype::AXFR | Rtype::IXFR => Err((rcode::REFUSED, ExtendedError::NOT_SUPPORTED)),
        // RFC 1035 3.2.3: obsolete kinds of queries.
        Rtype::MAILA | Rtype::MAILB => Err((rcode::NOTIMP, ExtendedError::NOT_SUPPORTED)),
        // Types of messages, not of data (RFC 6895 3.1); for NXNAME RFC 9824 3.5 says so.
        meta if meta.is_meta() => Err((rcode::FORMERR, ExtendedError::INVALID_QUERY_TYPE)),
        _ => Ok(()),
    }
}

/// What is malformed for the transport alone: the keepalive option means something in streams.
fn malformed_for<'q>(query: &Query<'q>, transport: Transport) -> Option<Rejected<'q>> {
    let edns = query.edns.filter(|edns| edns.keepalive != Keepalive::Absent)?;
    match transport {
        Transport::Tcp { .. } | Transport::Tls { .. } if edns.keepalive == Keepalive::Malformed => {
            Some(Rejected::Answer {
                rcode: rcode::FORMERR,
                question_octets: query.question.len(),
                edns: Some(edns),
            })
        }
        Transport::Quic => Some(Rejected::Drop),
        _ => None,
    }
}

/// RFC 9250 5.5.2: a query over QUIC with the keepalive option, whatever else is wrong with it, is
/// a mistake that ends the connection; there is no answer.
fn ends_connection(rejected: &Rejected<'_>, transport: Transport) -> bool {
    let edns = match rejected {
        Rejected::Drop => return false,
        Rejected::Answer { edns, .. } => *edns,
        Rejected::Cookie(edns) => Some(*edns),
    };
    transport == Transport::Quic && edns.is_some_and(|edns| edns.keepalive != Keepalive::Absent)
}

fn reject(
    snapshot: &Snapshot,
    query: &[u8],
    client: &Client,
    rejected: &Rejected<'_>,
    out: &mut [u8],
) -> Answered {
    if ends_connection(rejected, client.transport) {
        return DROPPED;
    }
    let bare = match *rejected {
        Rejected::Drop => return DROPPED,
        Rejected::Answer { rcode, question_octets, edns } => {
            let extended_error = (rcode == rcode::NOTIMP).then_some(ExtendedError::NOT_SUPPORTED);
            Bare { rcode, question_octets, edns, extended_error }
        }
        Rejected::Cookie(edns) => {
            let standing = edns
                .cookie
                .map(|cookie| snapshot.settings.cookies.check(&cookie, client.address, client.now).standing);
            // RFC 7873 5.4. Elsewhere a bad server cookie is no error: the answer brings a good one.
            let rcode = if standing == Some(Standing::Invalid) { rcode::BADCOOKIE } else { rcode::NOERROR };
            Bare { rcode, question_octets: 0, edns: Some(edns), extended_error: None }
        }
    };
    bare.write(snapshot, query, client, out).unwrap_or(DROPPED)
}

/// The way from the question's name to an answer, over CNAMEs and DNAMEs.
struct Search<'a, 'm, 'o> {
    snapshot: &'a Snapshot,
    client: &'a Client,
    qtype: Rtype,
    subnet: Option<&'a ClientSubnet<'a>>,
    /// Whether the name at hand is the question's.
    is_first: bool,
    /// Whether the message has the DNAME already that redirects the name at hand.
    has_dname: bool,
    /// Proofs to be added, if the client wants signatures (RFC 4035 3.2.1) and any zone has some.
    proofs: Option<Proofs<'a>>,
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

/// Names by their places in the message, where they stand whole.
#[derive(Default)]
struct Names {
    places: [(u16, u8); CNAME_CHAIN],
    count: usize,
}

impl<'a> Search<'a, '_, '_> {
    fn run(&mut self, query: &Query<'_>, hash: Option<NameHash>) -> Kind {
        let place = Place {
            owner_at: HEADER_OCTETS,
            owner_octets: query.name.as_wire().len(),
            body_at: self.message.end(),
        };
        let Some(lookup) = hash.and_then(|hash| self.snapshot.find_hashed(query.name, hash)) else {
            self.message.fail(rcode::REFUSED, ExtendedError::NOT_AUTHORITATIVE);
            return Kind::Rejected;
        };
        self.message.authoritative = true;
        match self.step(query.name, lookup, place) {
            Step::Done(kind) => kind,
            Step::Follow(name, owner_at) => self.follow(lookup, place, name, owner_at),
        }
    }

    /// Goes on behind a first CNAME. A loop ends where it closes, each of its records once; a
    /// resolver that follows sees it as well.
    fn follow(
        &mut self,
        mut lookup: Lookup<'a>,
        mut place: Place,
        mut name: LowerName,
        mut owner_at: usize,
    ) -> Kind {
        self.is_first = false;
        let mut owners = Names::default();
        let mut dnames = Names::default();
        for _ in 0..CNAME_CHAIN {
            owners.add(place.owner_at, place.owner_octets);
            if lookup.found == Found::Dname {
                let dname_octets = lookup.entry.name_octets();
                dnames.add(place.owner_at + place.owner_octets - dname_octets, dname_octets);
            }
            if owners.contains(name.as_wire(), self.message) {
                return Kind::Static;
            }
            // A name in nobody's zone here: the resolver goes on from the CNAME.
            let Some(next) = self.snapshot.find(&name) else { return Kind::Static };
            // Denials of two zones may have one owner, a cut and an apex: a validator would take them
            // for one RRset. The resolver goes on from the CNAME.
            let has_proofs = self.proofs.as_ref().is_some_and(|proofs| !proofs.is_empty());
            if has_proofs && next.entry.zone() != lookup.entry.zone() {
                return Kind::Static;
            }
            lookup = next;
            place = Place { owner_at, owner_octets: name.as_wire().len(), body_at: self.message.end() };
            self.has_dname = lookup.found == Found::Dname && {
                let labels_octets = name.as_wire().len() - lookup.entry.name_octets();
                dnames.contains(&name.as_wire()[labels_octets..], self.message)
            };
            match self.step(&name, lookup, place) {
                Step::Done(kind) => return kind,
                Step::Follow(next, next_at) => (name, owner_at) = (next, next_at),
            }
        }
        Kind::Static
    }

    fn step(&mut self, name: &LowerName, lookup: Lookup<'a>, place: Place) -> Step {
        let Lookup { entry, found } = lookup;
        let zone = self.snapshot.zone(entry.zone());
        if let Some(zone) = zone.filter(|_| self.is_first) {
            self.message.facts.zone = zone.row;
        }
        let negative = zone.and_then(|zone| zone.negative.as_deref());
        let denial = zone.and_then(|zone| zone.denial.as_ref());
        let Some(negative) = negative else {
            // Behind a CNAME, what was found stands.
            if self.is_first {
                self.message.fail(rcode::SERVFAIL, ExtendedError::INVALID_DATA);
            }
            return Step::Done(Kind::Failed);
        };
        let flags = entry.flags();
        let is_cut = flags.has(Flags::CUT);
        if found == Found::Nothing {
            self.message.rcode = rcode::NXDOMAIN;
            self.deny(negative, place);
            if let (Some(proofs), Some(denial)) = (&mut self.proofs, denial) {
                proofs.no_name(denial, entry.name_octets(), Denied { name: name.as_wire(), place });
            }
            return Step::Done(Kind::NxDomain);
        }
        // RFC 4035 3.1.4.1: the parent's side of a cut answers for DS, and for nothing else.
        if is_cut && (found == Found::Referral || self.qtype != Rtype::DS) {
            self.message.authoritative &= !self.is_first;
            self.referral(name, entry, denial, place);
            return Step::Done(Kind::Referral);
        }
        if found == Found::Dname {
            return self.dname(name, entry.find(Rtype::DNAME), entry.name_octets(), place);
        }
        if let (Found::Wildcard, Some(proofs), Some(denial)) = (found, &mut self.proofs, denial) {
            // Data or none: nothing closer than the `*` may be there.
            proofs.expanded(denial, entry.name_octets() - 2, Denied { name: name.as_wire(), place });
        }
        let payload = match self.qtype {
            // RFC 8482 4.1: one RRset answers ANY.
            Rtype::ANY => entry.first(),
            Rtype::RRSIG if denial.is_some() => {
                return self.of_denial(name, lookup, denial, place, negative);
            }
            Rtype::NSEC if denial.is_some_and(|denial| denial.order() == Order::Names) => {
                return self.of_denial(name, lookup, denial, place, negative);
            }
            qtype => entry.find(qtype),
        };
        match payload {
            Some(Payload::Rendered(rendered)) => {
                self.write(rendered, place);
                // The parent's zone says that there is no DS.
                if rendered.answers == 0 {
                    self.no_ds(name, place);
                }
                Step::Done(Kind::Static)
            }
            Some(Payload::Slot(id)) => {
                self.slot(id, place);
                Step::Done(Kind::Routed)
            }
            None if flags.has(Flags::CNAME) => self.cname(entry.find(Rtype::CNAME), place),
            None => self.no_data(name, lookup, denial, place, negative),
        }
    }

    fn no_data(
        &mut self,
        name: &LowerName,
        Lookup { entry, found }: Lookup<'a>,
        denial: Option<&'a Denial>,
        place: Place,
        negative: &[u8],
    ) -> Step {
        self.deny(negative, place);
        if let (Some(proofs), Some(denial)) = (&mut self.proofs, denial) {
            let denied = Denied { name: name.as_wire(), place };
            if found == Found::Wildcard {
                proofs.wildcard_no_data(denial, entry.name_octets() - 2, denied);
            } else {
                proofs.no_data(denial, denied.name, denied);
            }
        }
        Step::Done(Kind::NoData)
    }

    /// The records that make a zone a signed one, asked for by their types: signatures of one
    /// RRset (as for ANY, RFC 8482 4.1), or NSEC, which isn't among an entry's answers.
    fn of_denial(
        &mut self,
        name: &LowerName,
        lookup: Lookup<'a>,
        denial: Option<&'a Denial>,
        place: Place,
        negative: &[u8],
    ) -> Step {
        if self.qtype == Rtype::RRSIG {
            let rendered = match lookup.entry.first() {
                Some(Payload::Rendered(rendered)) => Some(rendered),
                Some(Payload::Slot(id)) => self.pick(id),
                None => None,
            };
            if let Some(signatures) = rendered.and_then(Rendered::signatures) {
                self.message.write(&signatures, place);
                return Step::Done(Kind::Static);
            }
            return self.no_data(name, lookup, denial, place, negative);
        }
        let mut wildcard = [0; 257];
        let owner = if lookup.found == Found::Wildcard {
            let octets = lookup.entry.name_octets();
            wildcard[..2].copy_from_slice(b"\x01*");
            let encloser = &name.as_wire()[name.as_wire().len() + 2 - octets..];
            wildcard[2..octets].copy_from_slice(encloser);
            &wildcard[..octets]
        } else {
            name.as_wire()
        };
        let link = denial.and_then(|denial| denial.matching(owner)).and_then(|link| link.rendered());
        let Some(link) = link else { return self.no_data(name, lookup, denial, place, negative) };
        let link = if self.proofs.is_some() { link } else { link.without_signatures() };
        for record in link.records() {
            self.message.write_record(place.owner_at, record);
        }
        Step::Done(Kind::Static)
    }

    /// RFC 4035 3.1.4: a signed zone's referral has the DS records, or proves that there are none.
    fn referral(&mut self, name: &LowerName, entry: Entry<'a>, denial: Option<&'a Denial>, place: Place) {
        let find = |rtype| match entry.find(rtype) {
            Some(Payload::Rendered(rendered)) => Some(rendered),
            _ => None,
        };
        let signed = denial.filter(|_| self.proofs.is_some()).and_then(|_| find(SIGNED_REFERRAL));
        let (Some(signed), Some(denial)) = (signed, denial) else {
            if let Some(referral) = find(Rtype::NS) {
                self.message.write(&referral, place);
            }
            return;
        };
        self.message.write(&signed, place);
        if let Some(proofs) = self.proofs.as_mut().filter(|_| entry.find(Rtype::DS).is_none()) {
            let cut = &name.as_wire()[name.as_wire().len() - entry.name_octets()..];
            proofs.no_data(denial, cut, Denied { name: name.as_wire(), place });
        }
        self.prove();
        if let Some(glue) = find(SIGNED_GLUE).filter(|_| !self.message.is_truncated()) {
            self.message.write(&glue, Place { body_at: self.message.end(), ..place });
        }
    }

    /// RFC 4035 3.1.4.1: at an apex, the zone above denies DS.
    fn no_ds(&mut self, name: &LowerName, place: Place) {
        let Some(proofs) = &mut self.proofs else { return };
        let above = parent(name.as_wire()).and_then(LowerName::from_wire);
        let zone = above.and_then(|above| self.snapshot.find(&above)).map(|lookup| lookup.entry.zone());
        let denial = zone.and_then(|zone| self.snapshot.zone(zone)).and_then(|zone| zone.denial.as_ref());
        if let Some(denial) = denial {
            proofs.no_data(denial, name.as_wire(), Denied { name: name.as_wire(), place });
        }
    }

    /// Writes the proofs that were gathered.
    fn prove(&mut self) {
        if let Some(proofs) = &mut self.proofs {
            proofs.write(self.message);
        }
    }

    /// Adds a zone's negative answer.
    fn deny(&mut self, negative: &[u8], place: Place) {
        if let Some(rendered) = Rendered::read(negative) {
            self.write(rendered, place);
        }
    }

    /// Adds an answer, with signatures if the client wants them.
    #[inline]
    fn write(&mut self, rendered: Rendered<'_>, place: Place) -> bool {
        let rendered = if self.proofs.is_some() { rendered } else { rendered.without_signatures() };
        self.message.write(&rendered, place)
    }

    fn cname(&mut self, payload: Option<Payload<'a>>, place: Place) -> Step {
        let rendered = match payload {
            Some(Payload::Rendered(rendered)) => rendered,
            Some(Payload::Slot(id)) => {
                // RFC 7871 7.2.1: a tailored CNAME ends the answer, since what follows may hold
                // for other networks than the CNAME does.
                self.slot(id, place);
                return Step::Done(Kind::Routed);
            }
            None => return Step::Done(Kind::NoData),
        };
        if !self.write(rendered, place) {
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
        if !self.has_dname && !self.write(rendered, place) {
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

    fn slot(&mut self, id: SlotId, place: Place) {
        if let Some(rendered) = self.pick(id) {
            self.write(rendered, place);
        }
    }

    /// The client's variant of a route's answers.
    fn pick(&mut self, id: SlotId) -> Option<Rendered<'a>> {
        let slot = self.snapshot.slot(id)?;
        // RFC 7871 7.1.2: a prefix of 0 asks not to be placed by it; private networks say nothing.
        let usable = self.subnet.filter(|subnet| slot.ecs && subnet.source_prefix > 0);
        let address = usable.and_then(|subnet| subnet.address);
        let told = address.filter(|address| !crate::geo::special::is_special(*address));
        let placed_by = told.unwrap_or(self.client.address);
        let located = self.snapshot.geo.locate(placed_by);
        self.message.facts.placed = Some(Placed {
            region: self.snapshot.region_row(located.region),
            by_subnet: told.is_some(),
            how: located.how,
        });
        let network = ClientNetwork::of(placed_by);
        let picked = slot.pick(located.region, network, self.client.entropy)?;
        if told.is_some() {
            // RFC 7871 7.2.1: caches must not give one network's choice to others.
            let chosen_for = if picked.by_network { network.prefix_length() } else { 0 };
            self.message.scope = located.scope.max(chosen_for);
        }
        Some(picked.rendered)
    }
}

impl Names {
    fn add(&mut self, at: usize, octets: usize) {
        if let Some(place) = self.places.get_mut(self.count) {
            *place = (at as u16, octets as u8);
            self.count += 1;
        }
    }

    fn contains(&self, name: &[u8], message: &Message<'_, '_>) -> bool {
        let mut places = self.places[..self.count].iter();
        places.any(|&(at, octets)| message.octets(at.into(), octets.into()).eq_ignore_ascii_case(name))
    }
}
