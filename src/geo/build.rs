//! Rules, geofeeds and a database -> table; and the same for one address, told in words.
//!
//! Both ask `operator_claims` and `Placer`, so an explanation can't disagree with the table.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::mmdb::{Database, Place};
use super::networks::GeofeedEntry;
use super::rules::{Claimed, Rules};
use super::table::{Claim, Table};
use super::{How, RegionId};

/// Builds what queries read. Operator networks (of rules and geofeeds together) win by longest
/// prefix; then the database's record decides.
#[must_use]
pub fn build(rules: &Rules, feeds: &[GeofeedEntry], database: Option<&Database>) -> Table {
    let placer = Placer::new(rules);
    let mut layers = Vec::new();
    if let Some(database) = database {
        layers.push(database_claims(&placer, database));
    }
    layers.push(operator_claims(rules, feeds, database).map(|(claim, _)| claim).collect());
    Table::new(&layers)
}

/// Says why an address is in its region.
#[must_use]
pub fn explain(
    rules: &Rules,
    feeds: &[GeofeedEntry],
    database: Option<&Database>,
    address: IpAddr,
) -> Explanation {
    let address = address.to_canonical();
    let record = database.and_then(|database| database.lookup(address));
    let mut longest: Option<(Claim, Source)> = None;
    for (claim, source) in operator_claims(rules, feeds, database) {
        let longer = longest.is_none_or(|(best, _)| claim.network.prefix_len() > best.network.prefix_len());
        if claim.network.contains(&address) && longer {
            longest = Some((claim, source));
        }
    }
    let (region, how, network, key) = match longest {
        Some((claim, source)) => {
            let key = match source {
                Source::Rule => None,
                Source::Feed(entry) => entry.subdivision.clone().or_else(|| entry.country.clone()),
            };
            (claim.region, claim.how, Some(claim.network), key)
        }
        None => match record
            .and_then(|(network, place)| Some((network, place, Placer::new(rules).place(place)?)))
        {
            Some((network, place, (region, how))) => (region, how, Some(network), place.key(how)),
            None => (RegionId::DEFAULT, How::Default, None, None),
        },
    };
    Explanation {
        address,
        region,
        region_name: rules.name(region).to_owned(),
        how,
        network,
        key,
        from_feed: matches!(longest, Some((_, Source::Feed(_)))),
        record: record.map(|(network, place)| (network, place.clone())),
    }
}

/// Why an address is in its region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The address; IPv4 if it was IPv4-mapped.
    pub address: IpAddr,
    /// Its region.
    pub region: RegionId,
    /// The region's name.
    pub region_name: String,
    /// What placed it there.
    pub how: How,
    /// The network that matched: the operator's, or that of the database's record.
    pub network: Option<IpNet>,
    /// The code or number that a rule named: `TW`, `TW-TPE`, `AS3462`.
    pub key: Option<String>,
    /// Whether the network came from a geofeed.
    pub from_feed: bool,
    /// What the database knows of the address, whether or not it decided.
    pub record: Option<(IpNet, Place)>,
}

/// `region tw: country TW (database, 192.0.2.0/24)`.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "region {}: ", self.region_name)?;
        let key = self.key.as_deref().unwrap_or("nowhere");
        let network = self.network.map(|network| network.to_string()).unwrap_or_default();
        match self.how {
            How::Default => f.write_str("no rule places it"),
            How::Network if self.from_feed => write!(f, "{key} (geofeed, {network})"),
            How::Network => write!(f, "network {network}"),
            How::Asn => write!(f, "{key} (database, {network})"),
            How::Subdivision => write!(f, "subdivision {key} (database, {network})"),
            How::Country => write!(f, "country {key} (database, {network})"),
            How::Continent => write!(f, "continent {key} (database, {network})"),
        }
    }
}

/// Entries of rules that match no record of the database: a mistyped code, or a database without
/// such keys.
#[must_use]
pub fn unmatched(rules: &Rules, database: &Database) -> Vec<(RegionId, Claimed)> {
    let mut known = HashSet::new();
    for (_, place) in database.records() {
        known.extend(place.asn.map(Claimed::Asn));
        known.extend(place.subdivision.clone().map(Claimed::Subdivision));
        known.extend(place.full_subdivision().map(Claimed::Subdivision));
        known.extend(place.country.clone().map(Claimed::Country));
        known.extend(place.continent.clone().map(Claimed::Continent));
    }
    let entries = rules.ids().flat_map(|(region, rule)| rule.keys().map(move |key| (region, key)));
    entries.filter(|(_, key)| !known.contains(key)).collect()
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Rule,
    Feed(&'a GeofeedEntry),
}

/// Networks of rules and geofeeds. Of equal networks the first counts: those of rules, in the
/// order of the regions, then those of geofeeds.
fn operator_claims<'a>(
    rules: &'a Rules,
    feeds: &'a [GeofeedEntry],
    database: Option<&Database>,
) -> impl Iterator<Item = (Claim, Source<'a>)> {
    let of_rules = rules.ids().flat_map(|(region, rule)| {
        rule.networks.iter().map(move |&network| (Claim { network, region, how: How::Network }, Source::Rule))
    });
    let placer = Placer::new(rules);
    let continents = match database {
        Some(database) if !feeds.is_empty() => continents(database),
        _ => HashMap::new(),
    };
    let of_feeds = feeds.iter().map(move |entry| {
        let continent = entry.country.as_ref().and_then(|country| continents.get(country));
        let place = Place {
            country: entry.country.clone(),
            subdivision: entry.subdivision.clone(),
            continent: continent.cloned(),
            asn: None,
        };
        // Also a line that no rule places says something: that the client isn't where the
        // database may believe.
        let region = placer.place(&place).map_or(RegionId::DEFAULT, |(region, _)| region);
        (Claim { network: entry.network, region, how: How::Network }, Source::Feed(entry))
    });
    of_rules.chain(of_feeds)
}

/// The continent of each country that the database knows: geofeeds don't name continents, but
/// rules may.
fn continents(database: &Database) -> HashMap<String, String> {
    let mut records: Vec<(usize, &Place)> = database.records().collect();
    // By number, so that a database which contradicts itself gives the same answer each time.
    records.sort_by_key(|&(record, _)| record);
    let mut continents = HashMap::new();
    for (_, place) in records {
        if let (Some(country), Some(continent)) = (&place.country, &place.continent) {
            continents.entry(country.clone()).or_insert_with(|| continent.clone());
        }
    }
    continents
}

fn database_claims(placer: &Placer, database: &Database) -> Vec<Claim> {
    let regions: HashMap<usize, (RegionId, How)> =
        database.records().filter_map(|(record, place)| Some((record, placer.place(place)?))).collect();
    database
        .networks()
        .filter_map(|(network, record)| {
            let &(region, how) = regions.get(&record)?;
            Some(Claim { network, region, how })
        })
        .collect()
}

/// Which region each key belongs to; the first region of the configuration where several claim it.
struct Placer {
    asns: HashMap<u32, RegionId>,
    subdivisions: HashMap<String, RegionId>,
    countries: HashMap<String, RegionId>,
    continents: HashMap<String, RegionId>,
}

impl Placer {
    fn new(rules: &Rules) -> Placer {
        let mut placer = Placer {
            asns: HashMap::new(),
            subdivisions: HashMap::new(),
            countries: HashMap::new(),
            continents: HashMap::new(),
        };
        for (region, rule) in rules.ids() {
            for &asn in &rule.asns {
                placer.asns.entry(asn).or_insert(region);
            }
            for (codes, map) in [
                (&rule.subdivisions, &mut placer.subdivisions),
                (&rule.countries, &mut placer.countries),
                (&rule.continents, &mut placer.continents),
            ] {
                for code in codes {
                    map.entry(code.to_ascii_uppercase()).or_insert(region);
                }
            }
        }
        placer
    }

    /// The most particular key that some region names decides.
    fn place(&self, place: &Place) -> Option<(RegionId, How)> {
        let code = |map: &HashMap<String, RegionId>, code: &Option<String>| {
            code.as_ref().and_then(|code| map.get(code)).copied()
        };
        if let Some(&region) = place.asn.and_then(|asn| self.asns.get(&asn)) {
            return Some((region, How::Asn));
        }
        if let Some(region) = code(&self.subdivisions, &place.full_subdivision())
            .or(code(&self.subdivisions, &place.subdivision))
        {
            return Some((region, How::Subdivision));
        }
        if let Some(region) = code(&self.countries, &place.country) {
            return Some((region, How::Country));
        }
        code(&self.continents, &place.continent).map(|region| (region, How::Continent))
    }
}

impl Place {
    /// The subdivision by ISO 3166-2. GeoLite2 has the part after the country alone.
    fn full_subdivision(&self) -> Option<String> {
        let (country, subdivision) = (self.country.as_ref()?, self.subdivision.as_ref()?);
        let full = subdivision.strip_prefix(country.as_str()).is_some_and(|rest| rest.starts_with('-'));
        Some(if full { subdivision.clone() } else { format!("{country}-{subdivision}") })
    }

    /// The key by which the place was placed.
    fn key(&self, how: How) -> Option<String> {
        match how {
            How::Asn => self.asn.map(|asn| format!("AS{asn}")),
            How::Subdivision => self.full_subdivision().or_else(|| self.subdivision.clone()),
            How::Country => self.country.clone(),
            How::Continent => self.continent.clone(),
            How::Default | How::Network => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::super::fixture::{self, Value};
    use super::super::rules::{Keys, RegionRule};
    use super::*;

    fn rule(name: &str) -> RegionRule {
        RegionRule { name: name.into(), ..RegionRule::default() }
    }

    fn own(codes: &[&str]) -> Vec<String> {
        codes.iter().map(|&code| code.to_owned()).collect()
    }

    fn networks(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn feed(network: &str, country: Option<&str>, subdivision: Option<&str>) -> GeofeedEntry {
        GeofeedEntry {
            network: network.parse().unwrap(),
            country: country.map(str::to_owned),
            subdivision: subdivision.map(str::to_owned),
        }
    }

    fn record(continent: &'static str, country: &'static str, subdivision: &'static str, asn: u32) -> Value {
        Value::Map(vec![
            ("continent", Value::Map(vec![("code", Value::Text(continent))])),
            ("country", Value::Map(vec![("iso_code", Value::Text(country))])),
            ("subdivisions", Value::Array(vec![Value::Map(vec![("iso_code", Value::Text(subdivision))])])),
            ("asn", Value::Number(asn)),
        ])
    }

    fn database() -> Database {
        let content = fixture::database(
            "City",
            &[
                ("192.0.2.0/26", record("AS", "TW", "TPE", 64_496)),
                ("192.0.2.64/26", record("AS", "TW", "KHH", 64_497)),
                ("192.0.2.128/26", record("AS", "JP", "13", 64_498)),
                ("192.0.2.192/26", record("EU", "DE", "BE", 64_499)),
                ("2001:db8::/32", record("AS", "TW", "TPE", 64_500)),
            ],
        );
        Database::open(content, &Keys::default()).unwrap()
    }

    fn rules() -> Rules {
        Rules {
            regions: vec![
                RegionRule { continents: own(&["AS"]), ..rule("asia") },
                RegionRule {
                    countries: own(&["TW"]),
                    networks: networks(&["198.51.100.0/24"]),
                    ..rule("tw")
                },
                RegionRule {
                    subdivisions: own(&["TW-KHH"]),
                    networks: networks(&["192.0.2.200/29"]),
                    ..rule("south")
                },
                RegionRule { asns: vec![64_498], ..rule("partner") },
            ],
            keys: Keys::default(),
        }
    }

    #[test]
    fn the_most_particular_key_decides() {
        let (rules, database) = (rules(), database());
        let feeds = [
            feed("203.0.113.0/24", Some("TW"), Some("TW-KHH")),
            feed("203.0.113.0/25", Some("JP"), None),
            feed("203.0.113.0/26", None, None),
            feed("192.0.2.32/27", Some("DE"), None),
            feed("198.51.100.0/24", Some("JP"), None),
        ];
        let table = build(&rules, &feeds, Some(&database));
        for (address, told, scope) in [
            ("192.0.2.1", "region tw: country TW (database, 192.0.2.0/26)", 27),
            ("192.0.2.33", "region default: DE (geofeed, 192.0.2.32/27)", 27),
            ("192.0.2.65", "region south: subdivision TW-KHH (database, 192.0.2.64/26)", 26),
            ("192.0.2.129", "region partner: AS64498 (database, 192.0.2.128/26)", 26),
            ("192.0.2.193", "region default: no rule places it", 29),
            ("192.0.2.201", "region south: network 192.0.2.200/29", 29),
            ("198.51.100.1", "region tw: network 198.51.100.0/24", 24),
            ("203.0.113.1", "region default: nowhere (geofeed, 203.0.113.0/26)", 26),
            ("203.0.113.65", "region asia: JP (geofeed, 203.0.113.0/25)", 26),
            ("203.0.113.129", "region south: TW-KHH (geofeed, 203.0.113.0/24)", 25),
            ("2001:db8::1", "region tw: country TW (database, 2001:db8::/32)", 32),
            ("::ffff:192.0.2.1", "region tw: country TW (database, 192.0.2.0/26)", 96 + 27),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(explain(&rules, &feeds, Some(&database), address).to_string(), told);
            assert_eq!(table.locate(address).scope, scope, "{address}");
        }
    }

    #[test]
    fn without_a_database_networks_still_count() {
        let rules = rules();
        let table = build(&rules, &[], None);
        assert_eq!(table.locate("198.51.100.1".parse().unwrap()).region, RegionId(2));
        assert_eq!(table.locate("192.0.2.1".parse().unwrap()).region, RegionId::DEFAULT);
    }

    #[test]
    fn codes_that_the_database_lacks() {
        let mut rules = rules();
        rules.regions[1].countries.push("UK".into());
        rules.regions[2].subdivisions.push("13".into());
        rules.regions[3].asns.push(64_511);
        assert_eq!(
            unmatched(&rules, &database()),
            [(RegionId(2), Claimed::Country("UK".into())), (RegionId(4), Claimed::Asn(64_511))]
        );
    }

    proptest! {
        #[test]
        fn explanation_and_table_agree(low in any::<u8>(), block in 0..4_u8, bits in any::<u128>()) {
            let (rules, database) = (rules(), database());
            let feeds = [feed("192.0.2.32/27", Some("DE"), None), feed("2001:db8:1::/48", Some("JP"), None)];
            let table = build(&rules, &feeds, Some(&database));
            let network = [[192, 0, 2], [198, 51, 100], [203, 0, 113], [0, 0, 0]][usize::from(block)];
            let ipv4 = Ipv4Addr::new(network[0], network[1], network[2], low);
            let documentation = Ipv6Addr::from_bits(0x2001_0db8 << 96 | bits >> 32 & !(0xfff0 << 80));
            for address in [ipv4.into(), ipv4.to_ipv6_compatible().into(), documentation.into(), Ipv6Addr::from_bits(bits).into()] {
                let explanation = explain(&rules, &feeds, Some(&database), address);
                let located = table.locate(address);
                prop_assert_eq!((explanation.region, explanation.how), (located.region, located.how), "{}", address);
            }
        }
    }

    /// The database that comes with Waypost, and the networks that the examples and the demo use.
    #[test]
    fn the_shipped_database_places_its_examples() {
        let database =
            Database::open(std::fs::read("geoip/country.mmdb").unwrap(), &Keys::default()).unwrap();
        let countries = ["TW", "MY", "VN"];
        let rules = Rules {
            regions: countries
                .iter()
                .map(|country| RegionRule { countries: own(&[country]), ..rule(country) })
                .collect(),
            keys: Keys::default(),
        };
        let table = build(&rules, &[], Some(&database));
        let places = [
            ("TW", "1.160.0.0"),
            ("TW", "111.240.0.0"),
            ("TW", "168.95.1.0"),
            ("TW", "2001:b011::"),
            ("TW", "2001:b400::"),
            ("MY", "1.32.0.0"),
            ("MY", "60.48.0.0"),
            ("MY", "175.136.0.0"),
            ("MY", "2001:d08::"),
            ("MY", "2001:e68::"),
            ("VN", "14.160.0.0"),
            ("VN", "113.160.0.0"),
            ("VN", "171.224.0.0"),
            ("VN", "2001:ee0::"),
            ("VN", "2402:800::"),
            ("default", "8.8.8.0"),
            ("default", "192.0.2.0"),
            ("default", "2001:db8::"),
        ];
        for (country, address) in places {
            let address: IpAddr = address.parse().unwrap();
            let located = table.locate(address);
            assert_eq!(rules.name(located.region), country, "{address}");
            assert!(located.scope <= if address.is_ipv4() { 24 } else { 48 }, "{address}");
            let explanation = explain(&rules, &[], Some(&database), address);
            assert_eq!((explanation.region, explanation.how), (located.region, located.how), "{address}");
        }
    }
}
