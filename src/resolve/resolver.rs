//! When names are resolved: one task for each, which lives as long as a target is given by it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::look_up;
use crate::limits::RESOLVED_AT_ONCE;
use crate::route::addresses::Resolution;
use crate::wire::name::Name;

/// What became of asking for a name's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The name.
    pub name: Name,
    /// Its addresses, by family.
    pub resolution: Resolution,
}

/// Resolves names.
pub struct Resolver {
    runtime: Handle,
    turns: Arc<Semaphore>,
    found: mpsc::Sender<Found>,
    servers: Arc<[SocketAddr]>,
    running: BTreeMap<Name, JoinHandle<()>>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("servers", &self.servers)
            .field("names", &self.running.len())
            .finish()
    }
}

impl Resolver {
    /// A resolver without names, whose tasks run on `runtime` and tell `found` what they see.
    #[must_use]
    pub fn new(found: mpsc::Sender<Found>, runtime: Handle) -> Resolver {
        let turns = Arc::new(Semaphore::new(RESOLVED_AT_ONCE));
        Resolver { runtime, turns, found, servers: [].into(), running: BTreeMap::new() }
    }

    /// Resolves exactly these names, by these servers or else the system's. Names that stay go on;
    /// with other servers all begin anew. Returns at once.
    pub fn apply(&mut self, wanted: BTreeSet<Name>, servers: &[SocketAddr]) {
        if *self.servers != *servers {
            self.servers = servers.into();
            self.stop();
        }
        self.running.retain(|name, task| {
            let stays = wanted.contains(name) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        for name in wanted {
            let (turns, found, servers) =
                (Arc::clone(&self.turns), self.found.clone(), Arc::clone(&self.servers));
            let start = || self.runtime.spawn(run(name.clone(), servers, turns, found));
            self.running.entry(name.clone()).or_insert_with(start);
        }
    }

    fn stop(&mut self) {
        std::mem::take(&mut self.running).values().for_each(JoinHandle::abort);
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One name: ask, tell, wait; until it is aborted.
async fn run(name: Name, servers: Arc<[SocketAddr]>, turns: Arc<Semaphore>, found: mpsc::Sender<Found>) {
    loop {
        let (resolution, again) = {
            let Ok(_turn) = turns.acquire().await else { return };
            look_up(&name, &servers).await
        };
        // When the queue is full this waits; what is known stays in force.
        if found.send(Found { name: name.clone(), resolution }).await.is_err() {
            return;
        }
        tokio::time::sleep(again).await;
    }
}
