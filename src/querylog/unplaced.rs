//! Which clients no region has: their networks, counted by samples of the queries that they asked.
//!
//! What placed a client is told by the code that answers, which is asked once more with the copied
//! query; so workers do nothing for it but copying. No address is kept, only its network: that of
//! the client subnet, or an IPv4 /24 or IPv6 /56 around the source address, and never a longer one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ipnet::IpNet;
use serde::Serialize;
use utoipa::ToSchema;

use super::line::Question;
use super::sketch::{Counted, Sketch};
use crate::answer::{Client, Prepared, Transport};
use crate::geo::How;
use crate::geo::mmdb::Place;
use crate::health::Tick;
use crate::health::tick::rfc3339;
use crate::limits::{UNPLACED_NETWORKS, UNPLACED_TIME, UNPLACED_TOLD, UNPLACED_ZONES};
use crate::model::Geography;
use crate::publish::now;
use crate::serve::Copied;
use crate::snapshot::Snapshot;
use crate::wire::name::Name;
use crate::wire::query::LowerName;

/// Octets of the longest answer.
const MESSAGE_OCTETS: usize = 65_535;

/// Networks that no region has, and so get what routes say of `default`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Unplaced {
    /// Of how many queries one is looked at; null: none is.
    pub sample: Option<u32>,
    /// Since when those below were counted.
    pub since: Option<String>,
    /// Queries that were looked at since then and got a routed answer.
    pub routed: u64,
    /// Those of them whose client no region has.
    pub unplaced: u64,
    /// The networks that ask most, as long as no region has them.
    pub networks: Vec<UnplacedNetwork>,
}

/// A network that no region has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct UnplacedNetwork {
    /// The network.
    #[schema(example = "198.51.100.0/24")]
    pub network: String,
    /// Whether resolvers told it by client subnet (ECS); otherwise queries came from it.
    pub by_subnet: bool,
    /// Queries of it in the sample, at most.
    pub sampled: u64,
    /// By how much that may be too many.
    pub overcounted: u64,
    /// The zones that they asked, the most asked first.
    pub zones: Vec<UnplacedZone>,
    /// What the database says of it, which a region could name.
    #[schema(example = "JP, AS64500")]
    pub known: Option<String>,
}

/// A zone that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct UnplacedZone {
    /// Its apex.
    pub zone: String,
    /// Queries in the sample.
    pub sampled: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Network {
    network: IpNet,
    by_subnet: bool,
}

/// Queries of a network by zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Zones(Vec<(Name, u64)>);

/// What is counted from one moment on.
#[derive(Debug)]
struct Period {
    since: Tick,
    began: Instant,
    routed: u64,
    unplaced: u64,
    networks: Sketch<Network, Zones>,
}

/// The counts: this period's, and those of the one before.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    sample: Option<u32>,
    current: Option<Period>,
    before: Option<Period>,
}

/// What looks at copies, with what it needs for each.
#[derive(Debug)]
pub(super) struct Looker {
    name: LowerName,
    answer: Vec<u8>,
}

impl Looker {
    pub(super) fn new() -> Looker {
        Looker { name: LowerName::root(), answer: vec![0; MESSAGE_OCTETS] }
    }

    /// Counts the client of a query, if the answer depended on where it is.
    pub(super) fn look(
        &mut self,
        copied: &Copied<'_>,
        question: &Question,
        zone: Option<&Name>,
        snapshot: &Snapshot,
        counts: &Counts,
    ) {
        if !question.is_internet() {
            return;
        }
        // A stream, for there all of a chain is answered.
        let transport = Transport::Tcp { idle: 0 };
        let source = copied.client.ip().to_canonical();
        let client = Client { address: source, transport, entropy: 0, now: 0 };
        let answered =
            Prepared::new(snapshot, copied.query, &mut self.name).answer(&client, &mut self.answer);
        let Some(placed) = answered.facts.placed else { return };
        let network = (placed.how == How::Default).then(|| Network {
            network: network(source, question.subnet().filter(|_| placed.by_subnet)),
            by_subnet: placed.by_subnet,
        });
        counts.lock().count(network, zone, Instant::now());
    }
}

/// The network that is counted for a client.
fn network(source: IpAddr, subnet: Option<IpNet>) -> IpNet {
    let (address, known) = match subnet {
        Some(subnet) => (subnet.network(), subnet.prefix_len()),
        None => (source, u8::MAX),
    };
    let longest = if address.is_ipv4() { 24 } else { 56 };
    IpNet::new(address, known.min(longest)).map_or_else(|_| address.into(), |network| network.trunc())
}

impl Counts {
    /// One of so many is looked at from now on: what was counted before isn't comparable.
    pub(super) fn sample(&self, sample: Option<u32>) {
        let mut kept = self.lock();
        if kept.sample != sample {
            let current = sample.map(|_| Period::new(Instant::now()));
            *kept = Kept { sample, current, before: None };
        }
    }

    /// What was counted, without networks that a region has by now.
    pub(super) fn told(&self, geography: &Geography) -> Unplaced {
        self.lock().told(geography)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Period {
    fn new(began: Instant) -> Period {
        Period { since: now(), began, routed: 0, unplaced: 0, networks: Sketch::new(UNPLACED_NETWORKS) }
    }
}

impl Kept {
    /// A routed answer, to a client of this network if no region has it.
    fn count(&mut self, network: Option<Network>, zone: Option<&Name>, at: Instant) {
        if self.current.as_ref().is_some_and(|period| at.duration_since(period.began) >= UNPLACED_TIME) {
            self.before = self.current.replace(Period::new(at));
        }
        let Some(period) = &mut self.current else { return };
        period.routed += 1;
        let Some(network) = network else { return };
        period.unplaced += 1;
        let zones = period.networks.count(network);
        if let Some(zone) = zone {
            zones.count(zone);
        }
    }

    fn told(&self, geography: &Geography) -> Unplaced {
        let periods = || self.before.iter().chain(&self.current);
        let mut merged: BTreeMap<Network, Counted<Zones>> = BTreeMap::new();
        for (network, counted) in periods().flat_map(|period| period.networks.iter()) {
            let all = merged.entry(network).or_default();
            all.count += counted.count;
            all.inherited += counted.inherited;
            counted.note.0.iter().for_each(|(zone, count)| all.note.add(zone, *count));
        }
        let mut networks: Vec<_> =
            merged.into_iter().filter(|(network, _)| !is_placed(network.network, geography)).collect();
        // As many are told in the order of addresses each time.
        networks.sort_by_key(|(_, counted)| std::cmp::Reverse(counted.count));
        let told = networks.into_iter().take(UNPLACED_TOLD);
        Unplaced {
            sample: self.sample,
            since: periods().map(|period| rfc3339(period.since)).next(),
            routed: periods().map(|period| period.routed).sum(),
            unplaced: periods().map(|period| period.unplaced).sum(),
            networks: told.map(|(network, counted)| tell(network, counted, geography)).collect(),
        }
    }
}

impl Zones {
    fn count(&mut self, zone: &Name) {
        self.add(zone, 1);
    }

    fn add(&mut self, zone: &Name, count: u64) {
        if let Some((_, all)) = self.0.iter_mut().find(|(known, _)| known == zone) {
            *all += count;
        } else if self.0.len() < UNPLACED_ZONES {
            self.0.push((zone.clone(), count));
        }
    }
}

/// Whether one region has all of a network now.
fn is_placed(network: IpNet, geography: &Geography) -> bool {
    let located = geography.table.locate(network.network());
    located.how != How::Default && located.scope <= network.prefix_len()
}

fn tell(
    Network { network, by_subnet }: Network,
    counted: Counted<Zones>,
    geography: &Geography,
) -> UnplacedNetwork {
    let Counted { count, inherited, note: Zones(mut zones) } = counted;
    zones.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let record = geography.database.as_ref().and_then(|database| database.lookup(network.network()));
    UnplacedNetwork {
        network: network.to_string(),
        by_subnet,
        sampled: count,
        overcounted: inherited,
        zones: zones
            .into_iter()
            .map(|(zone, sampled)| UnplacedZone { zone: zone.to_string(), sampled })
            .collect(),
        known: record.and_then(|(_, place)| words(place)),
    }
}

/// What a region's `countries`, `subdivisions`, `continents` or `asns` would name.
fn words(place: &Place) -> Option<String> {
    let asn = place.asn.map(|asn| format!("AS{asn}"));
    let country = place.subdivision.clone().filter(|code| code.contains('-')).or(place.country.clone());
    let all: Vec<String> = country.or_else(|| place.continent.clone()).into_iter().chain(asn).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::geo::RegionId;
    use crate::geo::rules::Rules;
    use crate::geo::table::{Claim, Table};

    fn geography(networks: &[&str]) -> Geography {
        let claim = |network: &&str| Claim {
            network: network.parse().unwrap(),
            region: RegionId(1),
            how: How::Network,
        };
        let table = Arc::new(Table::new(&[networks.iter().map(claim).collect()]));
        Geography { table, rules: Rules::default(), feeds: Vec::new(), database: None }
    }

    fn of(network: &str) -> Option<Network> {
        Some(Network { network: network.parse().unwrap(), by_subnet: true })
    }

    #[test]
    fn no_network_is_longer_than_resolvers_would_tell() {
        let shortened = |source: &str, subnet: Option<&str>| {
            network(source.parse().unwrap(), subnet.map(|subnet| subnet.parse().unwrap())).to_string()
        };
        assert_eq!(shortened("192.0.2.77", None), "192.0.2.0/24");
        assert_eq!(shortened("2001:db8:1:2ff::1", None), "2001:db8:1:200::/56");
        assert_eq!(shortened("192.0.2.77", Some("198.51.100.129/32")), "198.51.100.0/24");
        assert_eq!(shortened("192.0.2.77", Some("198.51.96.0/20")), "198.51.96.0/20");
        assert_eq!(shortened("192.0.2.77", Some("2001:db8:1:2ff::/64")), "2001:db8:1:200::/56");
    }

    #[test]
    fn two_periods_are_told_and_older_counts_are_forgotten() {
        let counts = Counts::default();
        counts.sample(Some(10));
        let apex = Name::parse("example.com.", None).unwrap();
        let began = Instant::now();
        let mut kept = counts.lock();
        kept.count(of("198.51.100.0/24"), Some(&apex), began);
        kept.count(None, Some(&apex), began);
        for after in [1, 2] {
            kept.count(
                of("203.0.113.0/24"),
                Some(&apex),
                began + after * (UNPLACED_TIME + Duration::from_secs(1)),
            );
            let told = kept.told(&geography(&[]));
            let networks: Vec<_> = told.networks.iter().map(|one| (&*one.network, one.sampled)).collect();
            match after {
                1 => {
                    assert_eq!(networks, [("198.51.100.0/24", 1), ("203.0.113.0/24", 1)]);
                    assert_eq!((told.routed, told.unplaced), (3, 2));
                }
                _ => assert_eq!(networks, [("203.0.113.0/24", 2)]),
            }
        }
        drop(kept);
        counts.sample(Some(1));
        assert!(counts.told(&geography(&[])).networks.is_empty(), "another sample isn't comparable");
        counts.sample(None);
        assert_eq!(counts.told(&geography(&[])), Unplaced::default());
    }

    #[test]
    fn what_a_region_has_by_now_is_told_no_more_but_what_it_has_in_part_is() {
        let counts = Counts::default();
        counts.sample(Some(1));
        for network in ["198.51.100.0/24", "203.0.113.0/24"] {
            counts.lock().count(of(network), None, Instant::now());
        }
        let told = counts.told(&geography(&["198.51.100.0/24", "203.0.113.0/28"]));
        assert_eq!(told.networks.iter().map(|one| &*one.network).collect::<Vec<_>>(), ["203.0.113.0/24"]);
        assert_eq!(told.unplaced, 2);
    }

    #[test]
    fn a_networks_zones_are_bounded() {
        let mut zones = Zones::default();
        for at in 0..2 * UNPLACED_ZONES {
            zones.count(&Name::parse(&format!("z{at}.example."), None).unwrap());
        }
        assert_eq!(zones.0.len(), UNPLACED_ZONES);
    }
}
