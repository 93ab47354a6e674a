//! What an operator says about regions, in the terms of this room.

use ipnet::IpNet;

/// Rules of all regions. The order of `regions` gives their [`RegionId`](super::RegionId)s: the
/// first has 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The regions, in the order of the configuration.
    pub regions: Vec<RegionRule>,
    /// Where in a database's record each key stands.
    pub keys: Keys,
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
