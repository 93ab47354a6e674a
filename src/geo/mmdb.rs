//! Geolocation databases in MaxMind's format, of any layout: GeoLite2, DB-IP, ip-location-db.
//!
//! Opening walks the whole tree and decodes each record once, so that a database which opened
//! has nothing left to go wrong. Records are few (one for each country, city or AS) where
//! networks are many, therefore places are kept by record.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use maxminddb::{MaxMindDbError, PathElement, Reader, WithinOptions};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::rules::Keys;

/// How many times a sound database can show its IPv4 tree: itself, IPv4-mapped, 6to4, Teredo, and
/// as many again for what writers may think of. More leaves than so many for each node are an
/// error.
const TREE_ENTRANCES: usize = 8;

/// What a database, or a geofeed's line, says of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// ISO 3166-1 alpha-2 code, upper case.
    pub country: Option<String>,
    /// Two-letter code, upper case.
    pub continent: Option<String>,
    /// The subdivision in upper case, as the database has it: `TPE` or `TW-TPE`.
    pub subdivision: Option<String>,
    /// Number of the autonomous system.
    pub asn: Option<u32>,
}

/// An opened database, wholly read once.
pub struct Database {
    reader: Reader<Vec<u8>>,
    places: HashMap<usize, Place>,
    networks: usize,
}

impl Database {
    /// Opens the content of a file.
    ///
    /// # Errors
    ///
    /// What doesn't read as a whole database.
    pub fn open(content: Vec<u8>, keys: &Keys) -> Result<Database, DatabaseError> {
        let reader = Reader::from_source(content).map_err(DatabaseError::unreadable)?;
        let mut database = Database { reader, places: HashMap::new(), networks: 0 };
        let paths = Paths::new(keys);
        let (mut places, mut networks) = (HashMap::new(), 0);
        for found in database.walk() {
            let found = found?;
            networks += 1;
            if let Some(offset) = found.offset()
                && !places.contains_key(&offset)
            {
                // The rest of the record must be sound as well: it is what a cut file lacks.
                found.decode::<IgnoredAny>().map_err(DatabaseError::unreadable)?;
                places.insert(offset, paths.place(&found)?);
            }
        }
        database.places = places;
        database.networks = networks;
        Ok(database)
    }

    /// What the database says of an address, and the network for which it says so.
    #[must_use]
    pub fn lookup(&self, address: IpAddr) -> Option<(IpNet, &Place)> {
        let address = address.to_canonical();
        // `::/96` is where databases keep IPv4.
        if matches!(address, IpAddr::V6(ipv6) if ipv6.to_bits() <= u128::from(u32::MAX)) {
            return None;
        }
        let found = self.reader.lookup(address).ok()?;
        let network = network(&found)?;
        let place = self.places.get(&found.offset()?)?;
        (network.addr().is_ipv4() == address.is_ipv4()).then_some((network, place))
    }

    /// Every network with its record; equal records have equal numbers.
    pub(crate) fn networks(&self) -> impl Iterator<Item = (IpNet, usize)> + '_ {
        // Opening has seen that none of these fail.
        self.walk().filter_map(|found| {
            let found = found.ok()?;
            Some((network(&found)?, found.offset()?))
        })
    }

    /// Every record's number and place.
    pub(crate) fn records(&self) -> impl Iterator<Item = (usize, &Place)> + '_ {
        self.places.iter().map(|(&record, place)| (record, place))
    }

    /// The kind of database: `GeoLite2-Country`.
    #[must_use]
    pub fn database_type(&self) -> &str {
        &self.reader.metadata().database_type
    }

    /// When it was made, in seconds since 1970.
    #[must_use]
    pub fn build_epoch(&self) -> u64 {
        self.reader.metadata().build_epoch
    }

    /// Nodes of its search tree.
    #[must_use]
    pub fn node_count(&self) -> u32 {
        self.reader.metadata().node_count
    }

    /// Networks in it, with those that have no data.
    #[must_use]
    pub fn network_count(&self) -> usize {
        self.networks
    }

    /// All leaves of the tree, also those through which IPv6 transition addresses (6to4, Teredo)
    /// lead to IPv4. In a damaged file nodes may share children, and then there are more leaves
    /// than years to count them.
    fn walk(&self) -> impl Iterator<Item = Result<Found<'_>, DatabaseError>> + '_ {
        let options = WithinOptions::default().include_aliased_networks().include_networks_without_data();
        let nodes = self.reader.metadata().node_count as usize;
        let most = nodes.saturating_add(1).saturating_mul(TREE_ENTRANCES);
        let (leaves, failed) = match self.reader.networks(options) {
            Ok(leaves) => (Some(leaves), None),
            Err(error) => (None, Some(Err(DatabaseError::unreadable(error)))),
        };
        let leaves = leaves.into_iter().flatten().enumerate().map(move |(count, leaf)| {
            if count >= most { Err(DatabaseError::Tangled) } else { leaf.map_err(DatabaseError::unreadable) }
        });
        leaves.chain(failed)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("metadata", self.reader.metadata()).finish_non_exhaustive()
    }
}

/// Why a file isn't a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseError {
    /// Damaged, cut short, or no database at all.
    Unreadable(String),
    /// Its search tree isn't a tree.
    Tangled,
}

impl DatabaseError {
    fn unreadable(error: MaxMindDbError) -> DatabaseError {
        DatabaseError::Unreadable(error.to_string())
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatabaseError::Unreadable(why) => write!(f, "not a whole MMDB file: {why}"),
            DatabaseError::Tangled => write!(f, "not a whole MMDB file: parts of its tree are shared"),
        }
    }
}

impl std::error::Error for DatabaseError {}

type Found<'a> = maxminddb::LookupResult<'a, Vec<u8>>;

fn network(found: &Found<'_>) -> Option<IpNet> {
    let network = found.network().ok()?;
    IpNet::new(network.ip(), network.prefix()).ok()
}

/// [`Keys`], taken apart.
struct Paths<'a> {
    country: Vec<Vec<PathElement<'a>>>,
    continent: Vec<Vec<PathElement<'a>>>,
    subdivision: Vec<Vec<PathElement<'a>>>,
    asn: Vec<Vec<PathElement<'a>>>,
}

impl<'a> Paths<'a> {
    fn new(keys: &'a Keys) -> Paths<'a> {
        let element = |part: &'a str| match part.parse::<usize>() {
            Ok(index) => PathElement::Index(index),
            Err(_) => PathElement::Key(part),
        };
        let paths =
            |texts: &'a [String]| texts.iter().map(|text| text.split('.').map(element).collect()).collect();
        Paths {
            country: paths(&keys.country),
            continent: paths(&keys.continent),
            subdivision: paths(&keys.subdivision),
            asn: paths(&keys.asn),
        }
    }

    fn place(&self, found: &Found<'_>) -> Result<Place, DatabaseError> {
        let code = |scalar| match scalar {
            Scalar::Text(text) if !text.is_empty() => Some(text.to_ascii_uppercase()),
            _ => None,
        };
        Ok(Place {
            country: first(found, &self.country, code)?,
            continent: first(found, &self.continent, code)?,
            subdivision: first(found, &self.subdivision, code)?,
            asn: first(found, &self.asn, |scalar| match scalar {
                Scalar::Number(number) => u32::try_from(number).ok(),
                Scalar::Text(text) => text.trim_start_matches(['A', 'a', 'S', 's']).parse().ok(),
                Scalar::Other => None,
            })?,
        })
    }
}

/// What stands at the first of the paths that leads to something.
fn first<'de, T>(
    found: &Found<'de>,
    paths: &[Vec<PathElement<'_>>],
    take: impl Fn(Scalar<'de>) -> Option<T>,
) -> Result<Option<T>, DatabaseError> {
    for path in paths {
        match found.decode_path(path) {
            Ok(scalar) => {
                if let Some(value) = scalar.and_then(&take) {
                    return Ok(Some(value));
                }
            }
            // The path expects a map or an array where this layout has something else.
            Err(MaxMindDbError::Decoding { .. }) => {}
            Err(error) => return Err(DatabaseError::unreadable(error)),
        }
    }
    Ok(None)
}

/// A value at the end of a path.
enum Scalar<'a> {
    Text(&'a str),
    Number(u64),
    Other,
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar<'de>, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a code or a number")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(text))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar<'de>, E> {
        Ok(u64::try_from(number).map_or(Scalar::Other, Scalar::Number))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Scalar<'de>, E> {
        Ok(u64::try_from(number).map_or(Scalar::Other, Scalar::Number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Scalar<'de>, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, Value};
    use super::*;

    fn open(content: Vec<u8>) -> Result<Database, DatabaseError> {
        Database::open(content, &Keys::default())
    }

    fn place(database: &Database, address: &str) -> Option<(String, Place)> {
        let (network, place) = database.lookup(address.parse().unwrap())?;
        Some((network.to_string(), place.clone()))
    }

    /// The layout of GeoLite2-City and DB-IP City.
    fn nested() -> Vec<u8> {
        let record = Value::Map(vec![
            ("city", Value::Map(vec![("names", Value::Map(vec![("en", Value::Text("Taipei"))]))])),
            ("continent", Value::Map(vec![("code", Value::Text("AS"))])),
            ("country", Value::Map(vec![("iso_code", Value::Text("TW"))])),
            ("subdivisions", Value::Array(vec![Value::Map(vec![("iso_code", Value::Text("TPE"))])])),
        ]);
        let bare = Value::Map(vec![("continent", Value::Map(vec![("code", Value::Text("AS"))]))]);
        fixture::database("GeoLite2-City", &[("192.0.2.0/24", record), ("2001:db8::/48", bare)])
    }

    #[test]
    fn nested_layout() {
        let database = open(nested()).unwrap();
        let whole = Place {
            country: Some("TW".into()),
            continent: Some("AS".into()),
            subdivision: Some("TPE".into()),
            asn: None,
        };
        assert_eq!(place(&database, "192.0.2.9"), Some(("192.0.2.0/24".into(), whole.clone())));
        assert_eq!(place(&database, "::ffff:192.0.2.9"), Some(("192.0.2.0/24".into(), whole)));
        let bare = Place { continent: Some("AS".into()), ..Place::default() };
        assert_eq!(place(&database, "2001:db8::1"), Some(("2001:db8::/48".into(), bare)));
        assert_eq!(place(&database, "198.51.100.1"), None);
        assert_eq!(place(&database, "::192.0.2.9"), None);
        assert_eq!((database.database_type(), database.build_epoch()), ("GeoLite2-City", 1_700_000_000));
    }

    #[test]
    fn flat_layouts_and_numbers_as_text() {
        let database = open(fixture::database(
            "flat",
            &[
                ("192.0.2.0/25", Value::Map(vec![("country_code", Value::Text("my"))])),
                ("192.0.2.128/25", Value::Map(vec![("country", Value::Text("VN"))])),
                ("198.51.100.0/24", Value::Map(vec![("autonomous_system_number", Value::Number(64_496))])),
                ("203.0.113.0/24", Value::Map(vec![("asn", Value::Text("AS64511"))])),
                ("2001:db8::/32", Value::Map(vec![("country", Value::Map(vec![]))])),
            ],
        ))
        .unwrap();
        let one = |address| place(&database, address).unwrap().1;
        assert_eq!(one("192.0.2.1").country.as_deref(), Some("MY"));
        assert_eq!(one("192.0.2.129").country.as_deref(), Some("VN"));
        assert_eq!(one("198.51.100.1").asn, Some(64_496));
        assert_eq!(one("203.0.113.1").asn, Some(64_511));
        assert_eq!(one("2001:db8::1"), Place::default());
    }

    #[test]
    fn other_paths_can_be_configured() {
        let record = Value::Map(vec![("geo", Value::Array(vec![Value::Text("x"), Value::Text("TW")]))]);
        let content = fixture::database("own", &[("192.0.2.0/24", record)]);
        let keys = Keys { country: vec!["nowhere.0".into(), "geo.1".into()], ..Keys::default() };
        let database = Database::open(content, &keys).unwrap();
        assert_eq!(place(&database, "192.0.2.1").unwrap().1.country.as_deref(), Some("TW"));
    }

    #[test]
    fn damaged_files_are_errors_and_never_panics() {
        let whole = nested();
        for cut in 0..whole.len() - 1 {
            let error = open(whole[..cut].to_vec()).unwrap_err().to_string();
            assert!(error.starts_with("not a whole MMDB file: "), "{error}");
        }
        for place in 0..whole.len() {
            for flip in [0x01, 0x10, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[place] ^= flip;
                if let Ok(database) = open(damaged) {
                    let _ = database.lookup("192.0.2.9".parse().unwrap());
                    let _ = database.networks().count();
                }
            }
        }
        assert!(open(Vec::new()).is_err());
        assert!(open(b"<html>404 Not Found</html>".to_vec()).is_err());
    }

    #[test]
    fn a_tree_that_is_none_ends() {
        assert_eq!(open(fixture::tangled()).unwrap_err(), DatabaseError::Tangled);
    }

    #[test]
    fn the_shipped_database() {
        let content = std::fs::read("geoip/country.mmdb").unwrap();
        let size = content.len();
        for cut in 0..50 {
            assert!(open(content[..size * cut / 50].to_vec()).is_err());
        }
        let database = open(content).unwrap();
        assert_eq!(place(&database, "1.160.0.1").unwrap().1.country.as_deref(), Some("TW"));
        assert!(database.network_count() > 100_000);
    }
}
