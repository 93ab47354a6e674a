//! What is asked of every server of a zone, and what the files here would answer.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::Message;
use ipnet::IpNet;

use super::exchange::Question;
use crate::answer::{Client, Transport, answer};
use crate::geo::RegionId;
use crate::geo::special::is_special;
use crate::limits::{LIVE_QUESTIONS, MESSAGE_OCTETS};
use crate::model::{Geography, ZoneModel};
use crate::route::types;
use crate::snapshot::Snapshot;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// The label of a name that nobody has.
const NOBODY: &[u8] = b"no-such-name-of-waypost-check";

/// A question with the reason for it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) about: About,
    pub(super) question: Question,
    /// The answer of the files here, with every target alive.
    pub(super) expected: Message,
}

/// What a question is to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Whether the server has the zone, and which version.
    Soa,
    /// The same over TCP (RFC 7766).
    Stream,
    /// The zone's nameservers, asked for a client: the scope has to be 0.
    Nameservers,
    /// A version of EDNS that doesn't exist (RFC 6891 6.1.3).
    Version,
    /// A name that isn't there.
    Nobody,
    /// A route, by its place, asked for a region's client.
    Routed(usize),
}

/// What is asked about a zone. The SOA comes first.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) items: Vec<Item>,
    /// Questions that were left out, since there are too many.
    pub(super) left_out: usize,
}

/// A client of each region, as resolvers tell them by ECS.
pub(super) fn clients(geography: &Geography) -> Vec<IpNet> {
    geography.regions().filter_map(|region| client(geography, region)).collect()
}

/// Plans the questions about a zone.
pub(super) fn plan(zone: &ZoneModel, snapshot: &Snapshot, clients: &[IpNet]) -> Plan {
    let apex = zone.zone.apex();
    let question = |name: &Name, rtype| Question {
        name: name.clone(),
        rtype,
        subnet: None,
        version: 0,
        is_stream: false,
    };
    let mut wanted = vec![
        (About::Soa, question(apex, Rtype::SOA)),
        (About::Stream, Question { is_stream: true, ..question(apex, Rtype::SOA) }),
        (About::Nameservers, Question { subnet: clients.first().copied(), ..question(apex, Rtype::NS) }),
        (About::Version, Question { version: 1, ..question(apex, Rtype::SOA) }),
    ];
    wanted.extend(apex.child(NOBODY).ok().map(|name| (About::Nobody, question(&name, Rtype::A))));
    for (place, route) in zone.routing.routes.iter().enumerate() {
        for owner in &route.owners {
            let Some(name) = a_name_of(owner) else { continue };
            for rtype in types(&zone.routing, route) {
                if clients.is_empty() {
                    wanted.push((About::Routed(place), question(&name, rtype)));
                }
                for client in clients {
                    let question = Question { subnet: Some(*client), ..question(&name, rtype) };
                    wanted.push((About::Routed(place), question));
                }
            }
        }
    }
    let left_out = wanted.len().saturating_sub(LIVE_QUESTIONS);
    wanted.truncate(LIVE_QUESTIONS);
    let items = wanted.into_iter().filter_map(|(about, question)| {
        let expected = expected(snapshot, &question)?;
        Some(Item { about, question, expected })
    });
    Plan { items: items.collect(), left_out }
}

/// The owner itself, or a name that a wildcard stands for.
fn a_name_of(owner: &Name) -> Option<Name> {
    if owner.is_wildcard() { owner.parent()?.child(NOBODY).ok() } else { Some(owner.clone()) }
}

/// What the files here answer.
fn expected(snapshot: &Snapshot, question: &Question) -> Option<Message> {
    let query = question.octets(0).ok()?;
    let transport = if question.is_stream { Transport::Tcp { idle: 0 } } else { Transport::Udp };
    // Questions about routes say by ECS who the client is.
    let client = Client { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), transport, entropy: 0, now: 0 };
    let mut octets = vec![0; MESSAGE_OCTETS];
    let answered = answer(snapshot, &query, &client, &mut octets);
    Message::from_vec(&octets[..answered.octets]).ok()
}

/// A public network in a region: one that the operator named, or else the first of the database.
fn client(geography: &Geography, region: RegionId) -> Option<IpNet> {
    let is_in = |address: IpAddr, prefix| {
        !is_special(address) && geography.table.locate_prefix(address, prefix).region == region
    };
    let named = usize::from(region.0).checked_sub(1).and_then(|place| geography.rules.regions.get(place));
    let named = named.into_iter().flat_map(|rule| &rule.networks).filter_map(|network| {
        let prefix = if network.addr().is_ipv4() { 24 } else { 56 };
        IpNet::new(network.network(), prefix.max(network.prefix_len())).ok()
    });
    // Each 65,536th address: regions are countries and larger.
    let all = (1..=223u8).flat_map(|first| (0..=255u8).map(move |second| Ipv4Addr::new(first, second, 0, 0)));
    let all = all.filter_map(|address| IpNet::new(address.into(), 24).ok());
    named.chain(all).find(|network| is_in(network.network(), network.prefix_len()))
}
