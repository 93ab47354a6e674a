//! What the writer lets others see of its state: health, zones, events.
//!
//! Readers are people (`dig CH TXT`, the command line). They take read locks for microseconds;
//! answering queries takes none of them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::figures::Figures;
use super::journal::Journal;
use super::rows::Rows;
use crate::config::server::Server;
use crate::health::{Board, Orders, Tick};
use crate::load::ZoneFiles;
use crate::model::{Model, ZoneModel};
use crate::wire::name::Name;

/// The writer's state, for looking at.
#[derive(Debug)]
pub struct Status {
    model: ArcSwap<Model>,
    board: RwLock<Board>,
    zones: RwLock<BTreeMap<Name, ZoneStatus>>,
    orders: ArcSwap<Orders>,
    journal: Journal,
    rows: Arc<Rows>,
    server: watch::Sender<Arc<Server>>,
    figures: Figures,
}

/// How a zone is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneStatus {
    /// Serial of what is served; none if nothing is.
    pub serial: Option<u32>,
    /// Records of what is served.
    pub records: usize,
    /// The file that it came from.
    pub source: String,
    /// When it was loaded.
    pub loaded: Option<Tick>,
    /// Whether it is a last good version while the files have errors.
    pub is_stale: bool,
    /// When the first of its signatures ends, if they come from a bundle.
    pub signatures_end: Option<Tick>,
    /// When its signer made the bundle in force.
    pub bundle_made: Option<Tick>,
    /// When its signer said last that this server has its newest bundle, if it is asked: since the
    /// start, if it hasn't since then.
    pub signer_heard: Option<Tick>,
    /// What is in the way of its bundle, when that has been so for half of the zone's `propagation`.
    pub signer_silent: Option<String>,
    /// The first error of the files, and how many there are.
    pub error: Option<(String, usize)>,
}

impl ZoneStatus {
    /// That of a zone which has just been loaded from its files.
    pub(super) fn of(model: &ZoneModel, files: &ZoneFiles, now: Tick) -> ZoneStatus {
        ZoneStatus {
            serial: Some(model.zone.soa().serial()),
            records: model.zone.record_count(),
            source: files.zone.display().to_string(),
            loaded: Some(now),
            ..ZoneStatus::default()
        }
    }
}

impl Status {
    pub(super) fn new(model: Arc<Model>, server: Arc<Server>) -> Status {
        Status {
            model: ArcSwap::new(model),
            board: RwLock::default(),
            zones: RwLock::default(),
            orders: ArcSwap::default(),
            journal: Journal::default(),
            rows: Arc::default(),
            server: watch::Sender::new(server),
            figures: Figures::default(),
        }
    }

    /// Geography and zones as served.
    #[must_use]
    pub fn model(&self) -> Arc<Model> {
        self.model.load_full()
    }

    /// Health of all targets.
    pub fn board(&self) -> RwLockReadGuard<'_, Board> {
        self.board.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How all zones are doing.
    pub fn zones(&self) -> RwLockReadGuard<'_, BTreeMap<Name, ZoneStatus>> {
        self.zones.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Operators' orders that are in force.
    #[must_use]
    pub fn orders(&self) -> Arc<Orders> {
        self.orders.load_full()
    }

    /// What happened.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Who is counted in which row of the workers' counters.
    #[must_use]
    pub fn rows(&self) -> &Arc<Rows> {
        &self.rows
    }

    /// The configuration in force, and each one that takes its place.
    #[must_use]
    pub fn server(&self) -> watch::Receiver<Arc<Server>> {
        self.server.subscribe()
    }

    pub(super) fn set_server(&self, server: Arc<Server>) {
        self.server.send_replace(server);
    }

    /// What the writer counts.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Returns the one before: of many zones it takes a while to be freed.
    pub(super) fn set_model(&self, model: Arc<Model>) -> Arc<Model> {
        self.model.swap(model)
    }

    pub(super) fn set_orders(&self, orders: Orders) {
        self.orders.store(Arc::new(orders));
    }

    pub(super) fn board_mut(&self) -> RwLockWriteGuard<'_, Board> {
        self.board.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn zones_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<Name, ZoneStatus>> {
        self.zones.write().unwrap_or_else(PoisonError::into_inner)
    }
}
