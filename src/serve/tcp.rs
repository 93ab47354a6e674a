//! Queries in streams (RFC 7766): each message follows its length in two octets.
//!
//! A connection's turn: read until there is a whole query, answer all whole queries that are
//! there, write the answers in that order. RFC 7766 7 allows another order, so that a slow answer
//! doesn't hold up others; here none is slow, since each is there before its query. While it waits it keeps two small buffers; the
//! 65,535 octets that an answer may need are each thread's, not each connection's.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::connections::Connections;
use super::counters::{Counters, shared};
use super::entropy::Entropy;
use super::service::Service;
use super::udp::coarse_now;
use crate::answer::{Client, Transport};
use crate::limits::{MESSAGE_OCTETS, TCP_ACCEPT_PAUSE, TCP_GATHERED_OCTETS, TCP_KEPT_OCTETS, TCP_WRITE};

/// Octets of the length before each message.
const LENGTH_OCTETS: usize = 2;

/// Octets of a message's header (RFC 1035 4.1.1). What is shorter isn't a message.
const HEADER_OCTETS: usize = 12;

/// Octets that are read at a time, at least, if they are there.
const READ_OCTETS: usize = 512;

thread_local! {
    /// Where an answer is written before it is copied to its connection.
    static ANSWER: RefCell<Vec<u8>> = RefCell::new(vec![0; MESSAGE_OCTETS]);
}

/// What all connections share.
pub(super) struct Streams<S> {
    pub(super) service: S,
    pub(super) counters: Arc<Counters>,
    pub(super) connections: Arc<Connections>,
    pub(super) idle: Duration,
}

/// Accepts connections until `stop` says so, and serves each.
pub(super) async fn listen<S: Service>(
    listener: TcpListener,
    streams: Arc<Streams<S>>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|&stop| stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                // A refused connection is closed here, by the drop of its stream.
                if let Some(ticket) = streams.connections.enter(peer.ip()) {
                    let (streams, stop) = (Arc::clone(&streams), stop.clone());
                    tokio::spawn(async move {
                        let _ticket = ticket;
                        converse(stream, peer, &streams, stop).await;
                    });
                }
            }
            // The peer was gone before we came.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => {
                shared(&streams.counters.receive_errors, 1);
                sleep(TCP_ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end. Whatever ends it, there is nobody to tell.
async fn converse<S: Service>(
    mut stream: TcpStream,
    peer: SocketAddr,
    streams: &Streams<S>,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are written whole; there is nothing to wait for. Without it they are only slower.
    let _ = stream.set_nodelay(true);
    let mut conversation = Conversation::new(peer.ip(), streams.idle);
    loop {
        let whole = tokio::select! {
            // One time-out for the whole query: octet by octet doesn't stretch it.
            whole = timeout(streams.idle, conversation.read(&mut stream)) => whole,
            _ = stop.wait_for(|&stop| stop) => return,
        };
        if !matches!(whole, Ok(Ok(true))) {
            return;
        }
        loop {
            let counters = &streams.counters;
            let answered = catch_unwind(AssertUnwindSafe(|| conversation.answer(&streams.service, counters)));
            // A defect that panics costs the connection that met it, not the server.
            let Ok(more) = answered else {
                tracing::error!("answering over TCP panicked; the connection was closed");
                return shared(&counters.panics, 1);
            };
            if !conversation.output.is_empty() {
                let written = timeout(TCP_WRITE, stream.write_all(&conversation.output)).await;
                let written = matches!(written, Ok(Ok(())));
                let counter = if written { &counters.answered } else { &counters.send_errors };
                shared(counter, conversation.answers);
                if !written {
                    return;
                }
            }
            match more {
                More::Answers => {}
                More::Octets => break,
                More::Nothing => return,
            }
        }
        conversation.give_back();
    }
}

/// What the rest of the input holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    /// Whole queries, which wait until what was gathered is written.
    Answers,
    /// A part of a query at most: more octets are needed.
    Octets,
    /// Something that isn't a query: the connection is of no use any more.
    Nothing,
}

/// One connection's buffers.
struct Conversation {
    peer: IpAddr,
    /// How long it may be silent, in units of 100 ms.
    idle: u16,
    entropy: Entropy,
    /// Octets received and not yet answered.
    input: Vec<u8>,
    /// Answers with their lengths, to be written.
    output: Vec<u8>,
    /// How many answers `output` holds.
    answers: usize,
}

impl Conversation {
    fn new(peer: IpAddr, idle: Duration) -> Conversation {
        Conversation {
            peer,
            idle: u16::try_from(idle.as_millis() / 100).unwrap_or(u16::MAX),
            entropy: Entropy::new(),
            input: Vec::new(),
            output: Vec::new(),
            answers: 0,
        }
    }

    /// Reads until the input begins with a whole query, or with something that can't become
    /// one. False at the end of the stream.
    async fn read(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        loop {
            let needed = match message_octets(&self.input) {
                Some(octets) if octets < HEADER_OCTETS => return Ok(true),
                Some(octets) if self.input.len() >= LENGTH_OCTETS + octets => return Ok(true),
                Some(octets) => LENGTH_OCTETS + octets - self.input.len(),
                None => 0,
            };
            // Only as much as the query at hand needs: who announces 65,535 octets gets room
            // for them as they come.
            self.input.reserve(needed.clamp(READ_OCTETS, TCP_KEPT_OCTETS));
            if stream.read_buf(&mut self.input).await? == 0 {
                return Ok(false);
            }
        }
    }

    /// Answers the whole queries of the input, until enough is gathered.
    fn answer<S: Service>(&mut self, service: &S, counters: &Counters) -> More {
        self.output.clear();
        self.answers = 0;
        ANSWER.with_borrow_mut(|answer| {
            let mut batch = service.begin();
            let (transport, now) = (Transport::Tcp { idle: self.idle }, coarse_now());
            let mut start = 0;
            let more = loop {
                let Some(octets) = message_octets(&self.input[start..]) else { break More::Octets };
                if octets < HEADER_OCTETS {
                    break More::Nothing;
                }
                let begin = start + LENGTH_OCTETS;
                let Some(query) = self.input.get(begin..begin + octets) else { break More::Octets };
                if self.output.len() >= TCP_GATHERED_OCTETS {
                    break More::Answers;
                }
                start = begin + octets;
                shared(&counters.received, 1);
                let client = Client { address: self.peer, transport, entropy: self.entropy.next(), now };
                let reply = S::answer(&mut batch, query, &client, answer);
                counters.record(reply, answer, shared);
                let Ok(length @ 1..) = u16::try_from(reply.octets) else {
                    // Whoever gets nothing here would wait for it: rather the end.
                    break More::Nothing;
                };
                self.output.extend_from_slice(&length.to_be_bytes());
                self.output.extend_from_slice(&answer[..reply.octets]);
                self.answers += 1;
            };
            self.input.drain(..start);
            more
        })
    }

    /// Lets go of buffers that grew for a large message.
    fn give_back(&mut self) {
        self.output.clear();
        self.output.shrink_to(TCP_KEPT_OCTETS);
        self.input.shrink_to(TCP_KEPT_OCTETS);
    }
}

/// The length that `input` begins with.
fn message_octets(input: &[u8]) -> Option<usize> {
    let length = input.first_chunk::<LENGTH_OCTETS>()?;
    Some(usize::from(u16::from_be_bytes(*length)))
}
