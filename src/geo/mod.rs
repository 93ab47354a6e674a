//! Where a client is: address -> region, and the prefix for which that holds.
//!
//! ```text
//! rules      what an operator says of regions            networks   text of CIDR lists and geofeeds
//! mmdb       address -> country, ASN, ... of a database   build      all of them -> table; explains itself
//! table      what queries read                            special    addresses that are nowhere
//! ```

pub mod build;
pub mod mmdb;
pub mod networks;
pub mod rules;
pub mod special;
pub mod table;

#[cfg(test)]
mod fixture;

/// A region of the configuration by its place there: 0 is `default`, `n` the n-th `[regions.*]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionId(pub u16);

impl RegionId {
    /// Clients that no rule places.
    pub const DEFAULT: RegionId = RegionId(0);
}

/// What placed a client into its region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum How {
    /// Nothing did.
    #[default]
    Default,
    /// A network that the operator listed, or a geofeed's line.
    Network,
    /// The number of the autonomous system, from the database.
    Asn,
    /// The subdivision (ISO 3166-2), from the database.
    Subdivision,
    /// The country (ISO 3166-1), from the database.
    Country,
    /// The continent, from the database.
    Continent,
}

/// The region of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// The region.
    pub region: RegionId,
    /// What placed the address there.
    pub how: How,
    /// Length of the shortest prefix around the address in which every address has this same
    /// region: the SCOPE PREFIX-LENGTH of RFC 7871. Up to 32 for IPv4, 128 for IPv6.
    pub scope: u8,
}
