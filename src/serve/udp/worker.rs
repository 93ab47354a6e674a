//! The thread that owns one UDP socket.

use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::{io, thread};

use super::batch::Batch;
use super::socket::Socket;
use super::sys;
use crate::limits::UDP_WAIT;
use crate::serve::counters::{Counters, alone};
use crate::serve::service::Service;
use crate::serve::tap::Tapped;

/// What one worker needs.
pub(crate) struct Worker<S> {
    /// Its own socket, one of the group that shares the address.
    pub(crate) socket: UdpSocket,
    /// Its own handle of the service.
    pub(crate) service: S,
    /// Its own counters.
    pub(crate) counters: Arc<Counters>,
    /// Its own tap.
    pub(crate) tapped: Tapped,
    /// Set when it shall end.
    pub(crate) stop: Arc<AtomicBool>,
    /// Octets of an answer, at most.
    pub(crate) payload: usize,
    /// The core to stay on, if any.
    pub(crate) core: Option<usize>,
}

impl<S: Service> Worker<S> {
    /// Starts the thread.
    pub(crate) fn start(self, name: String) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name(name).spawn(move || self.run())
    }

    fn run(mut self) {
        if let Some(core) = self.core {
            sys::pin(core);
        }
        while !self.stop.load(Ordering::Relaxed) {
            // A defect that panics costs the batch that met it, not the server.
            if catch_unwind(AssertUnwindSafe(|| self.rounds())).is_err() {
                alone(&self.counters.panics, 1);
                tracing::error!("a UDP worker panicked; its batch was lost, it goes on");
            }
        }
    }

    fn rounds(&mut self) {
        let mut batch = Batch::new(Socket::new(&self.socket), self.payload);
        while !self.stop.load(Ordering::Relaxed) {
            if batch.round(&self.service, &self.counters, &mut self.tapped).is_err() {
                alone(&self.counters.receive_errors, 1);
                // Out of memory, or an interface gone: asking again at once would only spin.
                thread::sleep(UDP_WAIT);
            }
        }
    }
}

/// The core of each worker: given only if there is one worker for each allowed core.
/// Otherwise the scheduler knows better.
pub(crate) fn allowed_cores(workers: usize) -> Vec<Option<usize>> {
    let cores = sys::cores();
    if cores.len() == workers { cores.into_iter().map(Some).collect() } else { vec![None; workers] }
}
