//! What an operator says about regions, in the terms of this room.

use std::collections::HashMap;
use std::fmt;

use ipnet::IpNet;

use super::RegionId;

/// Rules of all regions. The order of `regions` gives their [`RegionId`]s: the
/// first has 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The regions, in the order of the configuration.
    pub regions: Vec<RegionRule>,
    /// Where in a database's record each key stands.
    pub keys: Keys,
}

impl Rules {
    /// Regions with their ids.
    pub fn ids(&self) -> impl Iterator<Item = (RegionId, &RegionRule)> {
        (1..=u16::MAX).map(RegionId).zip(&self.regions)
    }

    /// The name of a region.
    #[must_use]
    pub fn name(&self, region: RegionId) -> &str {
        let rule = usize::from(region.0).checked_sub(1).and_then(|place| self.regions.get(place));
        rule.map_or("default", |rule| &rule.name)
    }

    /// What more than one region claims. The first region gets it; whoever wrote the second
    /// meant something else.
    #[must_use]
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut owners: HashMap<Claimed, RegionId> = HashMap::new();
        let mut conflicts = Vec::new();
        for (region, rule) in self.ids() {
            let claimed = rule.networks.iter().copied().map(Claimed::Network).chain(rule.keys());
            for claimed in claimed {
                let first = *owners.entry(claimed.clone()).or_insert(region);
                if first != region {
                    conflicts.push(Conflict { claimed, first, second: region });
                }
            }
        }
        conflicts
    }
}

/// Something that two regions claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// What.
    pub claimed: Claimed,
    /// The region that gets it.
    pub first: RegionId,
    /// The region that doesn't.
    pub second: RegionId,
}

/// One entry of a [`RegionRule`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Claimed {
    /// A network.
    Network(IpNet),
    /// An autonomous system.
    Asn(u32),
    /// A subdivision.
    Subdivision(String),
    /// A country.
    Country(String),
    /// A continent.
    Continent(String),
}

/// `country TW`.
impl fmt::Display for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Claimed::Network(network) => write!(f, "network {network}"),
            Claimed::Asn(asn) => write!(f, "AS{asn}"),
            Claimed::Subdivision(code) => write!(f, "subdivision {code}"),
            Claimed::Country(code) => write!(f, "country {code}"),
            Claimed::Continent(code) => write!(f, "continent {code}"),
        }
    }
}

/// What belongs to one region. Networks win by longest prefix; then ASN, subdivision, country,
/// continent; the first region of the configuration wins among equals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegionRule {
    /// Name, as routes use it.
    pub name: String,
    /// CIDR networks, from the configuration.
    pub networks: Vec<IpNet>,
    /// Autonomous system numbers.
    pub asns: Vec<u32>,
    /// Subdivisions by ISO 3166-2 code: `TW-TPE`, or as the database has them.
    pub subdivisions: Vec<String>,
    /// Countries by ISO 3166-1 alpha-2 code, upper case.
    pub countries: Vec<String>,
    /// Continents by two-letter code: AF AN AS EU NA OC SA.
    pub continents: Vec<String>,
}

impl RegionRule {
    /// What of the rule is looked for in databases and geofeeds.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Claimed> {
        let asns = self.asns.iter().copied().map(Claimed::Asn);
        let subdivisions =
            self.subdivisions.iter().map(|code| Claimed::Subdivision(code.to_ascii_uppercase()));
        let countries = self.countries.iter().map(|code| Claimed::Country(code.to_ascii_uppercase()));
        let continents = self.continents.iter().map(|code| Claimed::Continent(code.to_ascii_uppercase()));
        asns.chain(subdivisions).chain(countries).chain(continents)
    }
}

/// Paths into a database's record: keys joined by dots, numbers index arrays
/// (`country.iso_code`, `subdivisions.0.iso_code`). The first path that finds something wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Paths to the country's code.
    pub country: Vec<String>,
    /// Paths to the continent's code.
    pub continent: Vec<String>,
    /// Paths to the subdivision's code.
    pub subdivision: Vec<String>,
    /// Paths to the autonomous system's number (a number, or text like `AS3462`).
    pub asn: Vec<String>,
}

impl Default for Keys {
    /// The layouts of GeoLite2, DB-IP and ip-location-db.
    fn default() -> Keys {
        let own = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
        Keys {
            country: own(&["country.iso_code", "country_code", "country"]),
            continent: own(&["continent.code", "continent_code", "continent"]),
            subdivision: own(&["subdivisions.0.iso_code", "subdivision_code", "state1"]),
            asn: own(&["autonomous_system_number", "asn"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicts_name_both_regions() {
        let rule = |name: &str, networks: &[&str], countries: &[&str]| RegionRule {
            name: name.into(),
            networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
            countries: countries.iter().map(|&country| country.to_owned()).collect(),
            ..RegionRule::default()
        };
        let rules = Rules {
            regions: vec![
                rule("tw", &["192.0.2.0/24"], &["TW", "TW"]),
                rule("my", &["192.0.2.0/25"], &["MY"]),
                rule("vn", &["192.0.2.0/24"], &["VN", "MY"]),
            ],
            keys: Keys::default(),
        };
        let told: Vec<String> = rules
            .conflicts()
            .iter()
            .map(|found| {
                format!("{}: {}, {}", found.claimed, rules.name(found.first), rules.name(found.second))
            })
            .collect();
        assert_eq!(told, ["network 192.0.2.0/24: tw, vn", "country MY: my, vn"]);
    }
}
