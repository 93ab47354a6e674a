//! DNS over TLS (RFC 7858) and over QUIC (RFC 9250), as resolvers speak it with authoritative
//! servers (RFC 9539).
//!
//! ```text
//! address --+-- TCP listener -- thread tls-0 --+--> handshake -> desk: framing, answers
//!           +-- TCP listener -- thread tls-1 --+
//! address ----- UDP socket ---- one of them, with all its QUIC connections and streams
//! ```
//!
//! Answers are the octets that `answer` makes, as over TCP: framing is the same (RFC 9250 4.2), so
//! is the [`Desk`] that does it. Each thread waits for all its connections at once, in a runtime of
//! its own: handshakes cost processor time, and probes that wait behind them would see the dead.
//! A QUIC socket has one thread, since its connections may change their addresses, by which the
//! kernel would spread them.
//!
//! Not hickory-server, which has listeners for both: it answers what it can't parse by itself,
//! before a handler sees it, and a handler can't give it octets. Decoding ours and encoding them
//! again would lose what they promise: the spelling of names, compression, the options' order and
//! padding, DROP. It serves the streams of a QUIC connection one after the other, a hundred in all,
//! and knows no limits by client. `tokio-rustls` and `quinn`, which it is made of, are used here.

mod identity;
mod kept;
mod quic;
mod tls;

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

use crate::answer::{Transport, keepalive};
use crate::limits;
use crate::serve::{
    BindError, Connections, Counters, Desk, Rest, Service, Switch, Taps, datagram_socket, stream_listeners,
};

pub use identity::{Files, Identity};

/// How to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where to listen for TLS.
    pub tls: Vec<SocketAddr>,
    /// Where to listen for QUIC.
    pub quic: Vec<SocketAddr>,
    /// Threads.
    pub workers: usize,
    /// How long a connection may take from query to query.
    pub idle: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once of one client.
    pub connections_per_client: usize,
}

/// Bound sockets, from which nothing was read yet, and what clients will be shown.
#[derive(Debug)]
pub struct Ready {
    tls: Vec<(SocketAddr, Vec<TcpListener>)>,
    quic: Vec<(SocketAddr, UdpSocket)>,
    options: Options,
    identity: Arc<Identity>,
    files: Option<Files>,
}

/// Binds every address, or none. `files`, if there are any, are what `identity` was read from; it
/// follows them.
///
/// # Errors
/// When the system refuses one.
pub fn bind(mut options: Options, identity: Arc<Identity>, files: Option<Files>) -> Result<Ready, BindError> {
    options.workers = options.workers.clamp(1, limits::UDP_WORKERS);
    let tls = options.tls.iter().map(|&address| stream_listeners(address, options.workers));
    let tls = tls.collect::<Result<_, _>>()?;
    let quic = options.quic.iter().map(|&address| datagram_socket(address)).collect::<Result<_, _>>()?;
    Ok(Ready { tls, quic, options, identity, files })
}

impl Ready {
    /// Starts answering, on new threads.
    ///
    /// # Errors
    /// When the system refuses one; then nothing is served.
    pub fn serve<S: Service>(self, service: &S) -> io::Result<Encrypted> {
        let Ready { tls, quic, options, identity, files } = self;
        let (stop, stopped) = watch::channel(false);
        let connections = Connections::new(options.connections, options.connections_per_client);
        let mut running = Encrypted {
            tls: tls.iter().map(|(address, _)| *address).collect(),
            quic: quic.iter().map(|(address, _)| *address).collect(),
            stop,
            counters: Vec::new(),
            taps: Taps::default(),
            identity: Arc::clone(&identity),
            threads: Vec::new(),
            follower: None,
        };
        let mut shares: Vec<Share> = (0..options.workers).map(|_| Share::default()).collect();
        for (_, listeners) in tls {
            for (listener, share) in listeners.into_iter().zip(&mut shares) {
                share.tls.push(listener);
            }
        }
        for (at, (_, socket)) in quic.into_iter().enumerate() {
            shares[at % options.workers].quic.push(socket);
        }
        for (at, share) in shares.into_iter().enumerate() {
            let counters = Arc::<Counters>::default();
            running.counters.push(Arc::clone(&counters));
            let (service, identity) = (service.clone(), Arc::clone(&identity));
            let (connections, stopped) = (Arc::clone(&connections), stopped.clone());
            let idle = options.idle;
            let taps = [Arc::<Switch>::default(), Arc::<Switch>::default()];
            running.taps = running.taps.and(Taps::new(taps.to_vec()));
            let [tls_tap, quic_tap] = taps;
            let run = move || {
                let desks = Desks {
                    tls: RefCell::new(Desk::new(Transport::Tls { idle: keepalive(idle) }, tls_tap)),
                    quic: RefCell::new(Desk::new(Transport::Quic, quic_tap)),
                };
                let seat = Rc::new(Seat { service, counters, desks, connections, idle, stopped });
                if let Err(error) = share.run(&seat, &identity) {
                    tracing::error!(%error, "an encrypted transport can't be served");
                }
            };
            running.threads.push(thread::Builder::new().name(format!("tls-{at}")).spawn(run)?);
        }
        if let Some(files) = files {
            let (end, ended) = mpsc::channel();
            let follow = move || identity.follow(&files, &ended);
            let thread = thread::Builder::new().name("tls-files".into()).spawn(follow)?;
            running.follower = Some((end, thread));
        }
        Ok(running)
    }
}

/// Sockets that are served, until this is ended or dropped.
#[derive(Debug)]
pub struct Encrypted {
    tls: Vec<SocketAddr>,
    quic: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    counters: Vec<Arc<Counters>>,
    taps: Taps,
    identity: Arc<Identity>,
    threads: Vec<JoinHandle<()>>,
    /// What looks at the files of the certificate, until its sender is dropped.
    follower: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Encrypted {
    /// Where TLS is served.
    #[must_use]
    pub fn tls(&self) -> &[SocketAddr] {
        &self.tls
    }

    /// Where QUIC is served.
    #[must_use]
    pub fn quic(&self) -> &[SocketAddr] {
        &self.quic
    }

    /// Its counters, for whoever sums them up.
    #[must_use]
    pub fn counters(&self) -> Vec<Arc<Counters>> {
        self.counters.clone()
    }

    /// What clients are shown.
    #[must_use]
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.identity)
    }

    /// What has its workers copy queries.
    #[must_use]
    pub fn taps(&self) -> Taps {
        self.taps.clone()
    }

    /// Ends it: answers that are made are sent, and connections are closed as each protocol has it.
    /// The threads end when that is done.
    #[must_use]
    pub fn end(self) -> Vec<JoinHandle<()>> {
        // Nobody listens once all threads have ended.
        let _ = self.stop.send(true);
        let follower = self.follower.map(|(_end, thread)| thread);
        self.threads.into_iter().chain(follower).collect()
    }
}

/// The sockets of one thread.
#[derive(Default)]
struct Share {
    tls: Vec<TcpListener>,
    quic: Vec<UdpSocket>,
}

impl Share {
    fn run<S: Service>(self, seat: &Rc<Seat<S>>, identity: &Arc<Identity>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, async {
            let mut serving = JoinSet::new();
            for listener in self.tls {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                serving.spawn_local(tls::serve(listener, identity.tls()?, Rc::clone(seat)));
            }
            for socket in self.quic {
                let endpoint = quic::endpoint(socket, identity.quic()?, seat.idle)?;
                serving.spawn_local(quic::serve(endpoint, Rc::clone(seat)));
            }
            while serving.join_next().await.is_some() {}
            Ok(())
        })
    }
}

/// What all connections of a thread share.
struct Seat<S> {
    service: S,
    counters: Arc<Counters>,
    desks: Desks,
    connections: Arc<Connections>,
    idle: Duration,
    stopped: watch::Receiver<bool>,
}

/// Memory for answering, by transport.
struct Desks {
    tls: RefCell<Desk>,
    quic: RefCell<Desk>,
}

/// What queries came to.
struct Answers {
    /// With their lengths.
    octets: Vec<u8>,
    count: usize,
    used: usize,
    rest: Rest,
}

impl<S: Service> Seat<S> {
    /// Answers whole queries that `input` begins with. Nothing if a defect of ours came up.
    fn answer(&self, desk: &RefCell<Desk>, input: &[u8], peer: IpAddr) -> Option<Answers> {
        let answered = catch_unwind(AssertUnwindSafe(|| {
            let mut desk = desk.borrow_mut();
            let (_, mut output) = desk.split();
            let gathered = output.answer(input, peer, &self.service, &self.counters);
            let octets = gathered.output.to_vec();
            Answers { octets, count: gathered.answers, used: gathered.used, rest: gathered.rest }
        }));
        if answered.is_err() {
            tracing::error!("answering over an encrypted transport panicked; the connection was closed");
            self.counters.panicked();
        }
        answered.ok()
    }

    /// Waits until the server ends.
    async fn stopped(&self) {
        // A sender that is gone ends the server too.
        let _ = self.stopped.clone().wait_for(|is_stopped| *is_stopped).await;
    }
}
