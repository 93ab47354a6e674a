//! Where dnstap messages go: Frame Streams over a Unix socket, with its handshake.
//!
//! ```text
//! READY ->  <- ACCEPT   START ->   frame, frame, frame ->   STOP ->  <- FINISH
//! ```
//!
//! Nothing here waits but the end. A reader that stalls fills what may wait for it; one that goes
//! away is looked for again.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use super::{Dnstap, Tally, dnstap};
use crate::limits::{DNSTAP_HANDSHAKE, DNSTAP_WAITING_OCTETS, TAP_AGAIN, TAP_FINISH};
use crate::serve::{Copied, Taker};
use crate::wire::name::Name;

/// What frames hold; both sides must name the same.
const CONTENT: &[u8] = b"protobuf:dnstap.Dnstap";

/// The field of a control frame that names it.
const FIELD_CONTENT: u32 = 1;

/// Octets of a control frame that a reader sends, at most.
const CONTROL_OCTETS: usize = 512;

/// Kinds of control frames.
mod control {
    pub(super) const ACCEPT: u32 = 1;
    pub(super) const START: u32 = 2;
    pub(super) const STOP: u32 = 3;
    pub(super) const READY: u32 = 4;
    pub(super) const FINISH: u32 = 5;
}

/// Frames on their way to one reader.
pub(super) struct Frames {
    to: Dnstap,
    state: State,
    /// One entry for each query: its two frames.
    waiting: VecDeque<Vec<u8>>,
    waiting_octets: usize,
    /// Whether it is told that nobody reads.
    is_told: bool,
}

enum State {
    /// Nobody is there; looked for again at a time.
    Away(Option<Instant>),
    /// We said what we have, and wait for consent until a time.
    Greeting(Connection, Instant),
    /// Frames flow.
    Streaming(Connection),
}

/// A connection, and what stands in its way.
struct Connection {
    stream: UnixStream,
    /// The rest of what was begun.
    out: Vec<u8>,
    /// Whether that is a query's frames.
    is_query: bool,
    read: Vec<u8>,
}

impl Frames {
    pub(super) fn new(to: Dnstap) -> Frames {
        Frames { to, state: State::Away(None), waiting: VecDeque::new(), waiting_octets: 0, is_told: false }
    }

    /// Has the frames of a query wait for their turn.
    pub(super) fn put(&mut self, copied: &Copied<'_>, zone: Option<&Name>, tally: &Tally) {
        let is_away = matches!(self.state, State::Away(_)) && self.is_told;
        if is_away || self.waiting_octets >= DNSTAP_WAITING_OCTETS {
            tally.lose(Taker::Dnstap, 1);
            return;
        }
        let messages = dnstap::messages(copied, zone, &self.to.identity, &self.to.version);
        let mut frames = Vec::with_capacity(messages.iter().map(|message| 4 + message.len()).sum());
        for message in messages {
            // Two DNS messages at most are far below 2^32 octets.
            frames.extend((message.len() as u32).to_be_bytes());
            frames.extend(message);
        }
        self.waiting_octets += frames.len();
        self.waiting.push_back(frames);
    }

    /// Goes on with whatever can go on without waiting.
    pub(super) fn write(&mut self, now: Instant, tally: &Tally) {
        if let Err(error) = self.advance(now, tally) {
            self.fail(&error, now, tally);
        }
        let is_connected = matches!(self.state, State::Streaming(_));
        tally.is_connected.store(is_connected, Ordering::Relaxed);
    }

    /// The orderly end: what waits is written, and the reader says that it has it all. Waits, until
    /// a time at most; what is left is lost.
    pub(super) fn finish(&mut self, until: Instant, tally: &Tally) {
        let mut is_stopped = false;
        while matches!(self.state, State::Streaming(_)) && Instant::now() < until {
            self.write(Instant::now(), tally);
            let State::Streaming(connection) = &mut self.state else { break };
            if self.waiting.is_empty() && connection.out.is_empty() && !is_stopped {
                connection.out = control_frame(control::STOP, false);
                is_stopped = true;
            }
            if is_stopped && connection.received(control::FINISH).unwrap_or(true) {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        tally.lose(Taker::Dnstap, self.waiting.len() as u64);
        self.waiting.clear();
        self.state = State::Away(None);
        tally.is_connected.store(false, Ordering::Relaxed);
    }

    /// The end of this one while the server goes on.
    pub(super) fn close(&mut self, tally: &Tally) {
        self.finish(Instant::now() + TAP_FINISH, tally);
    }

    fn advance(&mut self, now: Instant, tally: &Tally) -> io::Result<()> {
        if let State::Away(again) = &self.state {
            if again.is_some_and(|at| now < at) {
                return Ok(());
            }
            let connection = Connection::open(&self.to.socket)?;
            self.state = State::Greeting(connection, now + DNSTAP_HANDSHAKE);
        }
        if let State::Greeting(connection, until) = &mut self.state {
            connection.flush()?;
            if connection.received(control::ACCEPT)? {
                connection.out = control_frame(control::START, true);
                let greeting = std::mem::replace(&mut self.state, State::Away(None));
                if let State::Greeting(connection, _) = greeting {
                    self.state = State::Streaming(connection);
                }
                tracing::info!(socket = %self.to.socket.display(), "a dnstap reader listens");
                self.is_told = false;
            } else if now >= *until {
                return Err(io::Error::new(ErrorKind::TimedOut, "the reader accepts nothing"));
            }
        }
        let State::Streaming(connection) = &mut self.state else { return Ok(()) };
        loop {
            let is_query = connection.is_query && !connection.out.is_empty();
            if !connection.flush()? {
                break;
            }
            if is_query {
                tally.write(Taker::Dnstap, 1);
            }
            let Some(frames) = self.waiting.pop_front() else { break };
            self.waiting_octets -= frames.len();
            (connection.out, connection.is_query) = (frames, true);
        }
        connection.look()
    }

    fn fail(&mut self, error: &io::Error, now: Instant, tally: &Tally) {
        if let State::Streaming(connection) = &self.state
            && connection.is_query
            && !connection.out.is_empty()
        {
            tally.lose(Taker::Dnstap, 1);
        }
        if !std::mem::replace(&mut self.is_told, true) {
            let socket = self.to.socket.display();
            tracing::warn!(%socket, %error, "no dnstap reader; answers go on, and it is looked for");
        }
        self.state = State::Away(Some(now + TAP_AGAIN));
    }
}

impl Connection {
    /// Connects without waiting: a listener that takes nobody in is no reader.
    fn open(path: &std::path::Path) -> io::Result<Connection> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)?;
        let out = control_frame(control::READY, true);
        Ok(Connection {
            stream: UnixStream::from(std::os::fd::OwnedFd::from(socket)),
            out,
            is_query: false,
            read: Vec::new(),
        })
    }

    /// Writes what was begun. Whether all of it is gone.
    fn flush(&mut self) -> io::Result<bool> {
        let mut written = 0;
        let result = loop {
            if written == self.out.len() {
                break Ok(true);
            }
            match self.stream.write(&self.out[written..]) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(false),
                Err(error) => break Err(error),
            }
        };
        self.out.drain(..written);
        result
    }

    /// Reads what there is. An error if the reader has gone.
    fn look(&mut self) -> io::Result<()> {
        let mut octets = [0; CONTROL_OCTETS];
        loop {
            match self.stream.read(&mut octets) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) if self.read.len() + count <= 2 * CONTROL_OCTETS => {
                    self.read.extend_from_slice(&octets[..count]);
                }
                Ok(_) => return Err(io::Error::new(ErrorKind::InvalidData, "the reader talks too much")),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a control frame of this kind has come. Another one, or one about other content, is
    /// an error.
    fn received(&mut self, wanted: u32) -> io::Result<bool> {
        self.look()?;
        let invalid = |what| Err(io::Error::new(ErrorKind::InvalidData, what));
        let word = |at: usize| {
            let octets = self.read.get(at..at + 4)?;
            Some(u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]]))
        };
        let (Some(escape), Some(length)) = (word(0), word(4)) else { return Ok(false) };
        let length = length as usize;
        if escape != 0 || !(4..=CONTROL_OCTETS).contains(&length) {
            return invalid("the reader doesn't speak Frame Streams");
        }
        let Some(frame) = self.read.get(8..8 + length) else { return Ok(false) };
        if word(8) != Some(wanted) {
            return invalid("the reader says something else than is its turn");
        }
        let is_ours = frame.len() == 4 || frame.windows(CONTENT.len()).any(|window| window == CONTENT);
        if !is_ours {
            return invalid("the reader wants something else than dnstap");
        }
        self.read.drain(..8 + length);
        Ok(true)
    }
}

/// A control frame: an escape, its length, its kind, and what frames will hold.
fn control_frame(kind: u32, with_content: bool) -> Vec<u8> {
    let mut payload = kind.to_be_bytes().to_vec();
    if with_content {
        payload.extend(FIELD_CONTENT.to_be_bytes());
        payload.extend((CONTENT.len() as u32).to_be_bytes());
        payload.extend_from_slice(CONTENT);
    }
    let mut frame = 0_u32.to_be_bytes().to_vec();
    frame.extend((payload.len() as u32).to_be_bytes());
    frame.extend(payload);
    frame
}
