//! The sockets, on threads of their own, apart from the asynchronous runtime.
//!
//! ```text
//! address --+-- UDP socket ---- thread udp-0 --------+
//!           +-- UDP socket ---- thread udp-1 --------+--> Service::answer, from one snapshot a batch
//!           +-- TCP listener -- thread tcp-0, with --+
//!           +-- TCP listener -- thread tcp-1, all its connections
//! ```
//!
//! The streams' part that isn't TCP, [`Desk`] with its framing and counters, serves encrypted
//! connections too (`encrypted`, an edge).
//!
//! [`bind()`] takes all addresses or none, before anything is served; [`Sockets::serve`] starts
//! answering; [`Running::end`] ends it.

mod bind;
mod connections;
mod counters;
mod durations;
mod entropy;
mod service;
mod tap;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::Waker;

use self::bind::Bound;
use self::tap::Tapped;
use self::udp::allowed_cores;
use crate::limits;

pub use self::bind::{BindError, datagram_socket, stream_listeners};
pub use self::connections::{ConnectionTally, Connections, Ticket};
pub use self::counters::{Counters, Tally, WAYS, type_at, way_at};
pub use self::durations::Spread;
pub use self::service::Service;
pub use self::tap::{Copied, Copies, Protocol, Selection, Selections, Switch, Taker, Taps, rcode};
pub use self::tcp::{Desk, Gathered, Output, Rest};

/// How to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// UDP workers for each address, and TCP workers for all; kept between 1 and
    /// [`limits::UDP_WORKERS`].
    pub workers: usize,
    /// Octets of a UDP answer, at most; kept between [`limits::UDP_PLAIN_OCTETS`] and
    /// [`limits::UDP_PAYLOAD_OCTETS_MAX`].
    pub udp_payload: u16,
    /// How long a TCP connection may take from query to query.
    pub tcp_idle: Duration,
    /// TCP connections at once.
    pub tcp_connections: usize,
    /// TCP connections at once of one client.
    pub tcp_connections_per_client: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            workers: thread::available_parallelism().map_or(1, usize::from),
            udp_payload: limits::UDP_PAYLOAD_OCTETS,
            tcp_idle: limits::TCP_IDLE,
            tcp_connections: limits::TCP_CONNECTIONS,
            tcp_connections_per_client: limits::TCP_CONNECTIONS_PER_CLIENT,
        }
    }
}

/// Bound sockets, from which nothing was read yet.
pub struct Sockets {
    bound: Vec<Bound>,
    options: Options,
}

/// Binds every address of `listen` by UDP and TCP, or none. Port 0 chooses one that is free for
/// both.
pub fn bind(listen: &[SocketAddr], mut options: Options) -> Result<Sockets, BindError> {
    options.workers = options.workers.clamp(1, limits::UDP_WORKERS);
    Ok(Sockets { bound: bind::bind_all(listen, options.workers)?, options })
}

impl Sockets {
    /// The addresses, with the ports that were chosen.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|bound| bound.address).collect()
    }

    /// Starts answering, on new threads. An error is the system's refusal of one; then nothing is
    /// served.
    pub fn serve<S: Service>(self, service: S) -> io::Result<Running> {
        let options = &self.options;
        let connections = Connections::new(options.tcp_connections, options.tcp_connections_per_client);
        let mut running = Running {
            addresses: self.local_addresses(),
            stop: Arc::default(),
            wakers: Vec::new(),
            threads: Vec::new(),
            taps: Taps::default(),
            meters: Meters { udp: Vec::new(), tcp: Vec::new(), encrypted: Vec::new(), connections },
        };
        let cores = allowed_cores(options.workers);
        let payload =
            usize::from(options.udp_payload).clamp(limits::UDP_PLAIN_OCTETS, limits::UDP_PAYLOAD_OCTETS_MAX);
        let mut listeners: Vec<Vec<TcpListener>> = (0..options.workers).map(|_| Vec::new()).collect();
        for bound in self.bound {
            for (socket, &core) in bound.udp.into_iter().zip(&cores) {
                let counters = Arc::<Counters>::default();
                running.meters.udp.push(Arc::clone(&counters));
                let (service, stop) = (service.clone(), Arc::clone(&running.stop));
                let tapped = running.tapped();
                let worker = udp::Worker { socket, service, counters, tapped, stop, payload, core };
                let name = format!("udp-{}", running.threads.len());
                running.threads.push(worker.start(name)?);
            }
            for (listener, own) in bound.tcp.into_iter().zip(&mut listeners) {
                own.push(listener);
            }
        }
        for (i, listeners) in listeners.into_iter().enumerate() {
            let counters = Arc::<Counters>::default();
            running.meters.tcp.push(Arc::clone(&counters));
            let worker = tcp::Worker {
                listeners,
                service: service.clone(),
                counters,
                connections: Arc::clone(&running.meters.connections),
                tap: running.tap(),
                stop: Arc::clone(&running.stop),
                idle: options.tcp_idle,
            };
            let started = worker.start(format!("tcp-{i}"))?;
            running.wakers.push(started.waker);
            running.threads.push(started.thread);
        }
        Ok(running)
    }
}

/// Sockets that are served, until this is ended or dropped.
pub struct Running {
    addresses: Vec<SocketAddr>,
    stop: Arc<AtomicBool>,
    wakers: Vec<Arc<Waker>>,
    threads: Vec<JoinHandle<()>>,
    taps: Taps,
    meters: Meters,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// Reads the counters of sockets that are served.
#[derive(Clone, Debug)]
pub struct Meters {
    udp: Vec<Arc<Counters>>,
    tcp: Vec<Arc<Counters>>,
    encrypted: Vec<Arc<Counters>>,
    connections: Arc<Connections>,
}

impl Running {
    /// The addresses that are served.
    #[must_use]
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What reads the counters, also from elsewhere.
    #[must_use]
    pub fn meters(&self) -> Meters {
        self.meters.clone()
    }

    /// What has the workers copy queries.
    #[must_use]
    pub fn taps(&self) -> Taps {
        self.taps.clone()
    }

    /// Ends it: queries being answered get their answers, then all sockets are closed. The threads
    /// end when that is done; a client that doesn't take its answers has until its time-out.
    #[must_use]
    pub fn end(mut self) -> Vec<JoinHandle<()>> {
        self.signal();
        std::mem::take(&mut self.threads)
    }

    fn tap(&mut self) -> Arc<Switch> {
        let switch = Arc::<Switch>::default();
        self.taps = std::mem::take(&mut self.taps).and(Taps::new(vec![Arc::clone(&switch)]));
        switch
    }

    fn tapped(&mut self) -> Tapped {
        Tapped::new(self.tap())
    }

    fn signal(&self) {
        self.stop.store(true, Ordering::Relaxed);
        for waker in &self.wakers {
            // A worker that can't be woken sees the flag with its next event.
            let _ = waker.wake();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal();
    }
}

impl Meters {
    /// Sums of all UDP workers.
    #[must_use]
    pub fn udp(&self) -> Tally {
        sum(&self.udp)
    }

    /// Sums of all TCP connections.
    #[must_use]
    pub fn tcp(&self) -> Tally {
        sum(&self.tcp)
    }

    /// These, with the counters of TLS and QUIC.
    #[must_use]
    pub fn with_encrypted(self, counters: Vec<Arc<Counters>>) -> Meters {
        Meters { encrypted: counters, ..self }
    }

    /// Sums of TLS and QUIC.
    #[must_use]
    pub fn encrypted(&self) -> Tally {
        sum(&self.encrypted)
    }

    /// How many workers answer UDP, and TCP.
    #[must_use]
    pub fn workers(&self) -> [usize; 2] {
        [self.udp.len(), self.tcp.len()]
    }

    /// Numbers of TCP connections.
    #[must_use]
    pub fn connections(&self) -> ConnectionTally {
        self.connections.tally()
    }
}

fn sum(workers: &[Arc<Counters>]) -> Tally {
    let mut sum = Tally::default();
    for counters in workers {
        sum += &counters.read();
    }
    sum
}
