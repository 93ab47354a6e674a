//! A thread that serves connections: all that wait, wait in one call of the system.
//!
//! Events come once for each change (`EPOLLET`), so a query that comes alone costs one wait, one
//! read and one write. Nothing is set up for the time-outs: all deadlines are looked at a few
//! times in the shortest of them.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use super::connection::{Connection, Means, Turn};
use super::desk::Desk;
use crate::answer::{Transport, keepalive};
use crate::limits::{TCP_ACCEPT_PAUSE, TCP_EVENTS, TCP_WRITE};
use crate::serve::connections::Connections;
use crate::serve::counters::{Counters, alone};
use crate::serve::service::Service;
use crate::serve::tap::Switch;

/// How many times deadlines are looked at in the shortest time-out: one is late by its eighth.
const LOOKS: u32 = 8;
/// The least time between two looks.
const LOOK_MIN: Duration = Duration::from_millis(10);

/// The token of the waker; listeners follow, then connections.
const WAKER: Token = Token(0);

/// What one worker needs.
pub(crate) struct Worker<S> {
    /// Its own listeners, one of each address.
    pub(crate) listeners: Vec<std::net::TcpListener>,
    /// Its own handle of the service.
    pub(crate) service: S,
    /// Its own counters.
    pub(crate) counters: Arc<Counters>,
    /// The connections of all workers.
    pub(crate) connections: Arc<Connections>,
    /// Its own tap.
    pub(crate) tap: Arc<Switch>,
    /// Set when it shall end.
    pub(crate) stop: Arc<AtomicBool>,
    /// How long a connection may take from query to query.
    pub(crate) idle: Duration,
}

/// A worker's thread.
pub(crate) struct Started {
    /// Makes it look at its stop flag.
    pub(crate) waker: Arc<Waker>,
    /// The thread.
    pub(crate) thread: JoinHandle<()>,
}

impl<S: Service> Worker<S> {
    /// Starts the thread.
    pub(crate) fn start(self, name: String) -> io::Result<Started> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let mut listeners: Vec<TcpListener> = self.listeners.into_iter().map(TcpListener::from_std).collect();
        for (i, listener) in listeners.iter_mut().enumerate() {
            poll.registry().register(listener, Token(WAKER.0 + 1 + i), Interest::READABLE)?;
        }
        let serving = Serving {
            first_connection: WAKER.0 + 1 + listeners.len(),
            listeners,
            service: self.service,
            counters: self.counters,
            connections: self.connections,
            stop: self.stop,
            idle: self.idle,
            poll,
            _waker: Arc::clone(&waker),
            open: Vec::new(),
            free: Vec::new(),
            again: VecDeque::new(),
            accept_at: None,
            desk: Desk::new(Transport::Tcp { idle: keepalive(self.idle) }, self.tap),
        };
        let thread = thread::Builder::new().name(name).spawn(move || serving.run())?;
        Ok(Started { waker, thread })
    }
}

/// A running worker.
struct Serving<S> {
    listeners: Vec<TcpListener>,
    service: S,
    counters: Arc<Counters>,
    connections: Arc<Connections>,
    stop: Arc<AtomicBool>,
    idle: Duration,
    poll: Poll,
    /// Kept by the thread that waits: a waker that is closed takes its wake along.
    _waker: Arc<Waker>,
    first_connection: usize,
    /// Connections by their place, which is their token.
    open: Vec<Option<Connection>>,
    /// Places without one.
    free: Vec<usize>,
    /// Places of connections that may have more to read.
    again: VecDeque<usize>,
    /// When to accept after a failure; the event that told of a connection won't come again.
    accept_at: Option<Instant>,
    desk: Desk,
}

impl<S: Service> Serving<S> {
    fn run(mut self) {
        let look = (self.idle.min(TCP_WRITE) / LOOKS).max(LOOK_MIN);
        let mut events = Events::with_capacity(TCP_EVENTS);
        let mut now = Instant::now();
        let mut next_look = now + look;
        let mut end = None;
        loop {
            match self.poll.poll(&mut events, self.patience(now, next_look)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    alone(&self.counters.receive_errors, 1);
                    // Out of memory: asking again at once would only spin.
                    thread::sleep(TCP_ACCEPT_PAUSE);
                }
                _ => {}
            }
            now = Instant::now();
            for event in &events {
                match event.token().0.checked_sub(self.first_connection) {
                    Some(place) => self.serve(place, event.is_read_closed(), now),
                    None if event.token() == WAKER => {}
                    None => self.accept(event.token().0 - WAKER.0 - 1, now),
                }
            }
            for _ in 0..self.again.len() {
                if let Some(place) = self.again.pop_front() {
                    self.serve(place, false, now);
                }
            }
            if self.accept_at.take_if(|at| *at <= now).is_some() {
                (0..self.listeners.len()).for_each(|listener| self.accept(listener, now));
            }
            if now >= next_look {
                self.close(|connection| connection.deadline <= now);
                next_look = now + look;
            }
            if self.stop.load(Ordering::Relaxed) {
                self.listeners.clear();
                // Whoever takes answers slowly, and has asked for many, doesn't hold up the end.
                let end = *end.get_or_insert(now + TCP_WRITE);
                self.close(|connection| !connection.owes() || now >= end);
                if self.open.iter().all(Option::is_none) {
                    return;
                }
            }
        }
    }

    /// How long to wait for events at most.
    fn patience(&self, now: Instant, next_look: Instant) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let is_busy = self.free.len() < self.open.len();
        let until = is_busy.then_some(next_look).into_iter().chain(self.accept_at).min()?;
        Some(until.saturating_duration_since(now))
    }

    /// Accepts all connections that wait at a listener.
    fn accept(&mut self, listener: usize, now: Instant) {
        loop {
            let Some(listener) = self.listeners.get(listener) else { return };
            match listener.accept() {
                // A refused connection is closed here, by the drop of its stream.
                Ok((stream, peer)) => {
                    if let Some(ticket) = self.connections.enter(peer.ip()) {
                        let deadline = now + self.idle;
                        self.keep(stream, |stream| Connection::new(stream, peer.ip(), deadline, ticket));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // A signal came, or the peer was gone before we came.
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(_) => {
                    alone(&self.counters.receive_errors, 1);
                    self.accept_at = Some(now + TCP_ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    fn keep(&mut self, mut stream: TcpStream, connection: impl FnOnce(TcpStream) -> Connection) {
        // Answers are written whole; there is nothing to wait for. Without it they are only slower.
        let _ = stream.set_nodelay(true);
        let place = self.free.pop().unwrap_or_else(|| {
            self.open.push(None);
            self.open.len() - 1
        });
        let token = Token(self.first_connection + place);
        let registered =
            self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE);
        match registered {
            Ok(()) => self.open[place] = Some(connection(stream)),
            Err(_) => {
                alone(&self.counters.receive_errors, 1);
                self.free.push(place);
            }
        }
    }

    /// Gives a connection its turn.
    fn serve(&mut self, place: usize, is_read_closed: bool, now: Instant) {
        let Some(Some(connection)) = self.open.get_mut(place) else { return };
        connection.is_read_closed |= is_read_closed;
        let means = Means { service: &self.service, counters: &self.counters, idle: self.idle, now };
        let desk = &mut self.desk;
        // A defect that panics costs the connection that met it, not the server.
        let turn = catch_unwind(AssertUnwindSafe(|| connection.turn(desk, &means)));
        match turn {
            Ok(Turn::Waits) if !connection.is_read_closed || connection.owes() => {}
            Ok(Turn::Waits | Turn::Again) => self.again.push_back(place),
            Ok(Turn::Ends) => self.close_one(place),
            Err(_) => {
                tracing::error!("answering over TCP panicked; the connection was closed");
                alone(&self.counters.panics, 1);
                self.close_one(place);
            }
        }
    }

    fn close(&mut self, which: impl Fn(&Connection) -> bool) {
        for place in 0..self.open.len() {
            if self.open[place].as_ref().is_some_and(&which) {
                self.close_one(place);
            }
        }
    }

    fn close_one(&mut self, place: usize) {
        if self.open[place].take().is_some() {
            self.free.push(place);
        }
    }
}
