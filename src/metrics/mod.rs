//! What a collector of metrics reads: OpenMetrics text, made when it asks.
//!
//! Nothing is kept here. Each part reads what others hold anyway: workers' counters, the status
//! that the writer shows, the process. Names and units follow the OpenMetrics conventions: base
//! units, `_total` for what only rises. `docs/metrics.md` lists them all.

mod bundles;
mod family;
mod health;
mod notify;
mod process;
mod queries;
mod querylog;
mod routes;
mod signatures;
mod writer;
mod zones;

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use crate::bundles::Written;
use crate::encrypted::Identity;
use crate::keys::Keeper;
use crate::notify::Tallies;
use crate::publish::{Rows, Status};
use crate::querylog::Handle;
use crate::serve::Meters;
use crate::snapshot::Published;

pub use self::queries::Placed;

/// The media type of what [`Metrics::render`] gives.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What metrics are read from.
#[derive(Debug)]
pub struct Sources {
    /// Workers' counters.
    pub meters: Meters,
    /// What the writer shows.
    pub status: Arc<Status>,
    /// What queries are answered from.
    pub published: Arc<Published>,
    /// What came of copied queries.
    pub query_log: Handle,
    /// Where keys of signed zones are.
    pub keys: Arc<Keeper>,
    /// Bundles that were written for edges.
    pub bundles: Written,
    /// The certificate of encrypted transports, where there are any.
    pub identity: Option<Arc<Identity>>,
    /// What became of messages to people and programs elsewhere.
    pub notify: Arc<Tallies>,
}

/// All metrics of a server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    meters: Meters,
    rows: Arc<Rows>,
}

impl Metrics {
    /// Metrics of a running server.
    #[must_use]
    pub fn new(sources: Sources) -> Metrics {
        let Sources { meters, status, published, query_log, keys, bundles, identity, notify } = sources;
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process::new()));
        let waypost = registry.sub_registry_with_prefix("waypost");
        let rows = Arc::clone(status.rows());
        waypost.register_collector(Box::new(queries::Queries::new(meters.clone(), Arc::clone(&rows))));
        waypost.register_collector(Box::new(querylog::QueryLog(query_log)));
        waypost.register_collector(Box::new(health::Health(Arc::clone(&status))));
        waypost.register_collector(Box::new(routes::Routes(Arc::clone(&status))));
        waypost.register_collector(Box::new(zones::Zones(Arc::clone(&status))));
        waypost.register_collector(Box::new(signatures::Signatures {
            published,
            status: Arc::clone(&status),
            keys,
            identity,
        }));
        waypost
            .register_collector(Box::new(bundles::Bundles { status: Arc::clone(&status), written: bundles }));
        waypost.register_collector(Box::new(notify::Notify(notify)));
        waypost.register_collector(Box::new(writer::Writer(status)));
        Metrics { registry, meters, rows }
    }

    /// Routed responses so far, by where clients were placed.
    #[must_use]
    pub fn placed(&self) -> Vec<Placed> {
        queries::placed(&queries::all(&self.meters), &self.rows)
    }

    /// All metrics as they are now.
    ///
    /// # Errors
    /// None that this room makes: writing to a string doesn't fail.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
