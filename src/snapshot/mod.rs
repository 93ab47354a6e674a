//! The published form: all that queries are answered from, immutable behind one pointer.
//!
//! ```text
//! Snapshot -> tree: root[64] -> mid[64] -> shard { groups, arena of entries }   owners of all zones
//!          -> slots[n]: variants of a route's answers, by region                 what health moves
//!          -> zones[n]: apex, negative answer, denials                           what zones share
//!          -> geo: address -> region                        -> settings
//! ```
//!
//! Publishing is copy-on-write: a changed owner copies one root, one mid and one shard, a health
//! transition copies the list of slots and no shard at all; readers keep what they hold. An
//! owner's *entry* (see [`entry`]) has its answers rendered, by type; a routed type has the number
//! of its slot instead.

pub mod denial;
pub mod edit;
pub mod entry;
pub mod find;
mod groups;
pub mod network;
mod row;
mod shard;
pub mod slot;
mod tree;

use std::sync::Arc;

use ipnet::IpNet;

pub use edit::Edits;
pub use find::{Found, Lookup, NameHash};
pub use network::ClientNetwork;
pub use row::Row;
pub use slot::{Slot, SlotId};

use crate::geo::RegionId;
use crate::geo::table::Table;
use crate::wire::cookie::Secrets;
use crate::wire::name::Name;
use denial::Denial;
use tree::Tree;

/// One atomic pointer: the writer stores, workers load.
pub type Published = arc_swap::ArcSwap<Snapshot>;

/// All that queries are answered from.
#[derive(Clone, Debug)]
pub struct Snapshot {
    tree: Tree,
    slots: Arc<[Arc<Slot>]>,
    zones: Arc<[Option<Arc<ZoneAnswers>>]>,
    /// Whether any zone is signed.
    has_signed: bool,
    /// Address -> region.
    pub geo: Arc<Table>,
    /// The counters of each region.
    pub region_rows: Arc<[Row]>,
    /// What the configuration says of answers.
    pub settings: Arc<Settings>,
    /// What the server says of itself, in the CHAOS class.
    pub inspect: Option<Arc<dyn Inspect>>,
}

/// A zone by its place in the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId(pub u32);

/// What all names of a zone share.
#[derive(Debug)]
pub struct ZoneAnswers {
    /// The apex.
    pub apex: Name,
    /// Rendered at the apex: the SOA in the authority section (RFC 2308 3). Nothing for a zone
    /// that never loaded: its names are answered with SERVFAIL.
    pub negative: Option<Box<[u8]>>,
    /// The zone's counters.
    pub row: Row,
    /// In a signed zone, what proves that names and types aren't there.
    pub denial: Option<Denial>,
}

/// What the configuration says of answers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server's name: NSID, `id.server`, `hostname.bind`.
    pub identity: String,
    /// Most octets of a UDP answer.
    pub udp_payload: u16,
    /// Networks that may ask in the CHAOS class.
    pub inspect: Vec<IpNet>,
    /// What server cookies are made with.
    pub cookies: Arc<Secrets>,
}

impl Settings {
    /// Whether an address may ask in the CHAOS class.
    #[must_use]
    pub fn may_inspect(&self, address: std::net::IpAddr) -> bool {
        self.inspect.iter().any(|network| network.contains(&address))
    }
}

/// Lines about the server itself, asked for with `dig CH TXT NAME.why.waypost`. The one part of
/// answering that may allocate: it is rare, and only for allowed networks.
pub trait Inspect: Send + Sync + std::fmt::Debug {
    /// The TXT records of a name below `waypost.`: its labels in lower case without `waypost`.
    /// Nothing if there is no such name. `client` is where the question comes from or claims to,
    /// `subnet` whether by ECS.
    fn lines(&self, labels: &[&[u8]], client: std::net::IpAddr, subnet: Option<u8>) -> Option<Vec<String>>;
}

impl Snapshot {
    /// A server without zones.
    #[must_use]
    pub fn empty(settings: Settings, geo: Arc<Table>) -> Snapshot {
        Snapshot {
            tree: Tree::default(),
            slots: Arc::new([]),
            zones: Arc::new([]),
            has_signed: false,
            geo,
            region_rows: Arc::new([]),
            settings: Arc::new(settings),
            inspect: None,
        }
    }

    /// This snapshot with owners changed and the zones' common answers replaced.
    #[must_use]
    pub fn with_owners(&self, edits: &Edits, zones: Arc<[Option<Arc<ZoneAnswers>>]>) -> Snapshot {
        let has_signed = zones.iter().flatten().any(|zone| zone.denial.is_some());
        Snapshot { tree: self.tree.edited(edits), zones, has_signed, ..self.clone() }
    }

    /// This snapshot with the slots replaced: all that a health transition does.
    #[must_use]
    pub fn with_slots(&self, slots: Arc<[Arc<Slot>]>) -> Snapshot {
        Snapshot { slots, ..self.clone() }
    }

    /// The variants of a route's answers.
    #[must_use]
    pub fn slot(&self, id: SlotId) -> Option<&Slot> {
        self.slots.get(id.0 as usize).map(|slot| &**slot)
    }

    /// The counters of a region.
    #[must_use]
    pub fn region_row(&self, region: RegionId) -> Row {
        self.region_rows.get(usize::from(region.0)).copied().unwrap_or(Row::OTHERS)
    }

    /// What the names of a zone share.
    #[must_use]
    pub fn zone(&self, id: ZoneId) -> Option<&ZoneAnswers> {
        self.zones.get(id.0 as usize)?.as_deref()
    }

    /// What the names of each zone share.
    pub fn zones(&self) -> impl Iterator<Item = &ZoneAnswers> {
        self.zones.iter().flatten().map(|zone| &**zone)
    }

    /// Whether any zone is signed.
    #[must_use]
    pub fn has_signed(&self) -> bool {
        self.has_signed
    }

    /// How many owners there are.
    #[must_use]
    pub fn owner_count(&self) -> usize {
        self.tree.len()
    }
}
