//! An idle connection to a target: its loss is noticed at once, where the next probe would be
//! seconds away.
//!
//! ```text
//! connect -> greeting or first page -> wait -+-> a reset, silence of the network, an early end: trip
//!    ^                                        +-> an end that servers make of idle connections
//!    +---------------- backoff ---------------+
//! ```
//!
//! A trip is no verdict. It only makes the prober ask now.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use super::dial::{Deadline, Dialer};
use super::{Check, Encryption, Http, Protocol, Tls, Trust};
use crate::limits::{
    PROBE_HEADER_OCTETS, TRIPWIRE_BACKOFF, TRIPWIRE_BACKOFF_MOST, TRIPWIRE_KEEPALIVE, TRIPWIRE_KEEPALIVES,
    TRIPWIRE_OPENING,
};

/// What a tripwire connects with.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub(super) to: SocketAddr,
    pub(super) kind: Kind,
    pub(super) dialer: Dialer,
    pub(super) trust: Trust,
    pub(super) user_agent: HeaderValue,
}

/// What is said before the wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing, or a handshake.
    Silent { tls: Option<Tls> },
    /// A page, over a connection that stays.
    Http(Http),
    /// The greeting is heard.
    Greeted { tls: Option<Tls> },
}

impl Kind {
    /// The kind that suits a check, and its port; none where there is no connection to hold.
    pub(super) fn of(check: &Check) -> Option<(Kind, u16)> {
        match check {
            Check::Http(http) => Some((Kind::Http(http.clone()), http.port)),
            Check::Tcp { port } => Some((Kind::Silent { tls: None }, *port)),
            Check::Tls { port, tls } => Some((Kind::Silent { tls: Some(tls.clone()) }, *port)),
            Check::Mail(mail) => {
                let tls = match &mail.encryption {
                    Encryption::Implicit(tls) => Some(tls.clone()),
                    Encryption::None | Encryption::StartTls(_) => None,
                };
                Some((Kind::Greeted { tls }, mail.port))
            }
            Check::Prometheus(_)
            | Check::Dns(_)
            | Check::Icmp
            | Check::Exec(_)
            | Check::Push(_)
            | Check::File(_) => None,
        }
    }

    /// Whether probes of this kind have one unless told otherwise: their servers are made for
    /// clients that stay.
    #[must_use]
    pub(super) fn is_usual(check: &Check) -> bool {
        match check {
            Check::Http(_) => true,
            Check::Mail(mail) => mail.protocol == Protocol::Imap,
            _ => false,
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It couldn't be opened: the probes see that too.
    Unopened,
    /// The server was done with an idle client.
    Orderly,
    /// The server or the way to it is gone, as far as can be told.
    Lost,
}

/// Holds connections until it is aborted; counts up `trips` at each loss. `budget` is the target's
/// own: what it holds, probes can't have.
pub(super) async fn hold(wire: Wire, budget: Arc<Semaphore>, trips: Arc<watch::Sender<u64>>) {
    let mut backoff = TRIPWIRE_BACKOFF;
    // How long the server leaves an idle connection open, as seen before.
    let mut patience = None;
    loop {
        // Never the last one: probes come first.
        if budget.available_permits() > 1
            && let Ok(_held) = budget.try_acquire()
        {
            let opened = Instant::now();
            let end = wire.once(&mut patience).await;
            if end == End::Lost {
                trips.send_modify(|count| *count += 1);
            }
            if end != End::Unopened && opened.elapsed() > backoff {
                backoff = TRIPWIRE_BACKOFF;
            }
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(TRIPWIRE_BACKOFF_MOST);
    }
}

impl Wire {
    async fn once(&self, patience: &mut Option<Duration>) -> End {
        let deadline = Deadline::new(Instant::now(), TRIPWIRE_OPENING);
        let Ok(stream) = self.dialer.connect(self.to, deadline).await else { return End::Unopened };
        if watched(&stream).is_err() {
            return End::Unopened;
        }
        let tls = match &self.kind {
            Kind::Silent { tls } | Kind::Greeted { tls } => tls.as_ref(),
            Kind::Http(http) => http.tls.as_ref(),
        };
        match tls {
            None => self.idle(stream, patience, false).await,
            Some(tls) => match self.trust.connect(stream, tls, deadline).await {
                Ok(stream) => self.idle(stream, patience, true).await,
                Err(_) => End::Unopened,
            },
        }
    }

    async fn idle<S>(&self, mut stream: S, patience: &mut Option<Duration>, is_tls: bool) -> End
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Ok(Ok(said)) = timeout(TRIPWIRE_OPENING, self.open(&mut stream)).await else {
            return End::Unopened;
        };
        let announced = announced_patience(&said);
        let began = Instant::now();
        let mut said = Vec::new();
        let mut buffer = [0; 1024];
        let read = loop {
            match stream.read(&mut buffer).await {
                Ok(0) => break Ok(()),
                // The end of what was said: a farewell, whatever came before it.
                Ok(octets) => {
                    said.extend_from_slice(&buffer[..octets]);
                    said.drain(..said.len().saturating_sub(buffer.len()));
                }
                Err(error) => break Err(error),
            }
        };
        let idle = began.elapsed();
        match read {
            Err(_) => End::Lost,
            // Killed servers send no close_notify: that is an error above.
            Ok(()) if is_tls && said.is_empty() && matches!(self.kind, Kind::Http(_)) => End::Orderly,
            Ok(()) if matches!(self.kind, Kind::Greeted { .. }) => {
                if is_for_idleness(&said) {
                    End::Orderly
                } else {
                    End::Lost
                }
            }
            Ok(()) => {
                let expected = announced.or(*patience);
                *patience = Some(idle);
                if expected.is_some_and(|expected| is_about(idle, expected)) {
                    End::Orderly
                } else {
                    End::Lost
                }
            }
        }
    }

    /// What comes before the wait; gives what the server said.
    async fn open<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S) -> io::Result<Vec<u8>> {
        let mut said = Vec::new();
        let end: &[u8] = match &self.kind {
            Kind::Silent { .. } => return Ok(said),
            Kind::Http(http) => {
                let agent = self.user_agent.to_str().unwrap_or_default();
                let (host, path) = (&http.host, &http.path);
                if [host, path].iter().any(|text| !text.bytes().all(|octet| octet.is_ascii_graphic())) {
                    return Err(ErrorKind::InvalidInput.into());
                }
                // HEAD: nothing but headers comes, whatever the page is.
                let request = format!("HEAD {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {agent}\r\n\r\n");
                stream.write_all(request.as_bytes()).await?;
                stream.flush().await?;
                b"\r\n\r\n"
            }
            Kind::Greeted { .. } => b"\r\n",
        };
        let mut buffer = [0; 1024];
        while !said.windows(end.len()).any(|window| window == end) {
            let octets = stream.read(&mut buffer).await?;
            if octets == 0 || said.len() > PROBE_HEADER_OCTETS {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            said.extend_from_slice(&buffer[..octets]);
        }
        Ok(said)
    }
}

/// Has the kernel find out soon when nobody is there any more.
fn watched(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(TRIPWIRE_KEEPALIVE)
        .with_interval(TRIPWIRE_KEEPALIVE)
        .with_retries(TRIPWIRE_KEEPALIVES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(TRIPWIRE_KEEPALIVE * TRIPWIRE_KEEPALIVES))?;
    Ok(())
}

/// `Keep-Alive: timeout=75`.
fn announced_patience(said: &[u8]) -> Option<Duration> {
    let said = String::from_utf8_lossy(said).to_ascii_lowercase();
    let value = said.lines().find_map(|line| line.strip_prefix("keep-alive:"))?;
    let seconds = value.split("timeout=").nth(1)?;
    let digits: String = seconds.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().map(Duration::from_secs)
}

/// Whether a mail server says farewell because nothing was said to it.
fn is_for_idleness(said: &[u8]) -> bool {
    let said = String::from_utf8_lossy(said).to_ascii_lowercase();
    ["inactivity", "idle", "timeout", "timed out", "autologout"].iter().any(|word| said.contains(word))
}

/// Servers look at their idle connections now and then, so the end comes somewhat later or sooner.
fn is_about(idle: Duration, expected: Duration) -> bool {
    let slack = (expected / 10).max(Duration::from_secs(1));
    idle + slack >= expected && idle <= expected + slack
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_that_servers_make() {
        assert_eq!(
            announced_patience(b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=75, max=9\r\n\r\n"),
            Some(Duration::from_secs(75))
        );
        assert_eq!(announced_patience(b"HTTP/1.1 200 OK\r\n\r\n"), None);
        assert!(is_for_idleness(b"* BYE Disconnected for inactivity.\r\n"));
        assert!(is_for_idleness(b"421 4.4.2 mx.example.com Error: timeout exceeded\r\n"));
        assert!(!is_for_idleness(b"* BYE Server shutting down.\r\n"));
        assert!(!is_for_idleness(b""));
        let seconds = Duration::from_secs;
        assert!(is_about(seconds(75), seconds(75)) && is_about(seconds(70), seconds(75)));
        assert!(!is_about(seconds(10), seconds(75)) && !is_about(seconds(90), seconds(75)));
    }
}
