//! A connection within the time that a probe has.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::evidence::{Failure, of_socket};
use crate::limits::{PROBE_FAREWELL, REDIAL_AFTER, REDIALS};

/// When a probe must have ended. All its steps share one, so that a slow answer to each of ten
/// steps isn't ten times as patient.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    timeout: Duration,
    /// After so long without an answer a connection is tried once more beside the first.
    redial: Duration,
}

impl Deadline {
    pub(super) fn new(started: Instant, timeout: Duration) -> Deadline {
        Deadline { at: started + timeout, timeout, redial: REDIAL_AFTER }
    }

    /// Whoever takes so long as a rule isn't dialled anew before.
    pub(super) fn with_usual(self, usual: Duration) -> Deadline {
        Deadline { redial: self.redial.max(usual * 2), ..self }
    }

    /// Whether there is no time left.
    pub(super) fn is_over(self) -> bool {
        Instant::now() >= self.at
    }

    /// What is left for being polite once the verdict is made.
    pub(super) fn for_farewell(self) -> Deadline {
        Deadline { at: self.at.min(Instant::now() + PROBE_FAREWELL), ..self }
    }

    /// Waits for a step no longer than until the deadline; `step` is what then was missing.
    pub(super) async fn limit<T>(self, step: &str, work: impl Future<Output = T>) -> Result<T, Failure> {
        match timeout_at(self.at, work).await {
            Ok(done) => Ok(done),
            Err(_) => Err(Failure::new(format!("no {step} within {:?}", self.timeout))),
        }
    }
}

/// Opens connections: from which addresses.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dialer {
    /// The source of connections over IPv4; none: the system's choice.
    pub(super) ipv4: Option<Ipv4Addr>,
    /// The same over IPv6.
    pub(super) ipv6: Option<Ipv6Addr>,
}

impl Dialer {
    pub(super) async fn connect(&self, to: SocketAddr, deadline: Deadline) -> Result<TcpStream, Failure> {
        let connected = self.dial(to, deadline.redial);
        deadline.limit("connection", connected).await?.map_err(|error| of_socket(&error))
    }

    /// Tries again beside a try that nobody answers: TCP itself repeats a lost first packet after a
    /// whole second, which is all the time that a probe has.
    async fn dial(&self, to: SocketAddr, redial: Duration) -> io::Result<TcpStream> {
        let mut tries = JoinSet::new();
        let source = self.source(to);
        tries.spawn(once(to, source));
        let (mut left, mut next) = (REDIALS, Instant::now() + redial);
        loop {
            tokio::select! {
                Some(tried) = tries.join_next() => match tried.map_err(io::Error::other)? {
                    // This machine's own trouble with a further try says nothing of the first.
                    Err(error) if !tries.is_empty() && error.kind() != ErrorKind::ConnectionRefused => {}
                    decided => return decided,
                },
                () = sleep_until(next), if left > 0 => {
                    (left, next) = (left - 1, next + redial);
                    tries.spawn(once(to, source));
                }
            }
        }
    }

    /// The address to send from, with any port.
    pub(super) fn source(&self, to: SocketAddr) -> Option<SocketAddr> {
        match to {
            SocketAddr::V4(_) => self.ipv4.map(|source| SocketAddr::new(source.into(), 0)),
            SocketAddr::V6(_) => self.ipv6.map(|source| SocketAddr::new(source.into(), 0)),
        }
    }
}

async fn once(to: SocketAddr, source: Option<SocketAddr>) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind(source)?;
    }
    socket.connect(to).await
}
