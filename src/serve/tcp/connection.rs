//! One connection, and its turn: read once, answer all whole queries that came, write once.
//!
//! It keeps octets of its own only while it must wait: the beginning of a query whose rest hasn't
//! come, or answers that the client doesn't take yet.

use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::desk::{Desk, Output, Rest};
use crate::limits::{TCP_KEPT_OCTETS, TCP_WRITE};
use crate::serve::connections::Ticket;
use crate::serve::counters::{Counters, alone};
use crate::serve::service::Service;

/// An open connection.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    peer: IpAddr,
    /// When it is closed unless something happens.
    pub(super) deadline: Instant,
    /// Octets received and not yet answered: a part of a query, or `held` ones.
    input: Vec<u8>,
    /// Whether `input` has whole queries, which wait until `output` is written.
    held: bool,
    /// Answers that the client didn't take yet.
    output: Vec<u8>,
    /// How many answers end in `output`.
    answers: usize,
    /// Whether the connection ends once `output` is written.
    ends: bool,
    /// Whether the client will send nothing more: then it must be read to its end, for no further
    /// event would tell.
    pub(super) is_read_closed: bool,
    _ticket: Ticket,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The connection waits for its client.
    Waits,
    /// It may have more to read; others come first.
    Again,
    /// It is to be closed.
    Ends,
}

/// What a turn needs beside the connection.
pub(super) struct Means<'w, S> {
    pub(super) service: &'w S,
    pub(super) counters: &'w Counters,
    pub(super) idle: Duration,
    pub(super) now: Instant,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, peer: IpAddr, deadline: Instant, ticket: Ticket) -> Connection {
        Connection {
            stream,
            peer,
            deadline,
            input: Vec::new(),
            held: false,
            output: Vec::new(),
            answers: 0,
            ends: false,
            is_read_closed: false,
            _ticket: ticket,
        }
    }

    /// Whether the client still has to take answers.
    pub(super) fn owes(&self) -> bool {
        !self.output.is_empty()
    }

    /// Goes on as far as the socket allows without waiting.
    pub(super) fn turn<S: Service>(&mut self, desk: &mut Desk, means: &Means<'_, S>) -> Turn {
        if self.owes() {
            match self.write_owed(means) {
                Turn::Again => {}
                other => return other,
            }
        }
        let (read, mut output) = desk.split();
        if self.held {
            return self.answer_held(&mut output, means);
        }
        let octets = match self.stream.read(read) {
            Ok(0) => return Turn::Ends,
            Ok(octets) => octets,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Turn::Waits,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Turn::Again,
            Err(_) => return Turn::Ends,
        };
        // Less than there was room for: the socket is empty, and says when it no longer is.
        let is_empty = octets < read.len();
        let turn = if self.input.is_empty() {
            let (used, turn) = self.answer(&read[..octets], &mut output, means);
            self.input.extend_from_slice(&read[used..octets]);
            turn
        } else {
            self.input.extend_from_slice(&read[..octets]);
            self.answer_held(&mut output, means)
        };
        if turn == Turn::Again && is_empty { Turn::Waits } else { turn }
    }

    /// Answers what stands in the connection's own input.
    fn answer_held<S: Service>(&mut self, output: &mut Output<'_>, means: &Means<'_, S>) -> Turn {
        let mut input = std::mem::take(&mut self.input);
        let (used, turn) = self.answer(&input, output, means);
        input.drain(..used);
        if input.is_empty() {
            input.shrink_to(TCP_KEPT_OCTETS);
        }
        self.input = input;
        turn
    }

    /// Answers the whole queries of `input` and writes the answers; tells how many octets are done
    /// with.
    fn answer<S: Service>(
        &mut self,
        input: &[u8],
        output: &mut Output<'_>,
        means: &Means<'_, S>,
    ) -> (usize, Turn) {
        let mut used = 0;
        loop {
            let gathered = output.answer(&input[used..], self.peer, means.service, means.counters);
            used += gathered.used;
            let written = write(&mut self.stream, gathered.output);
            if gathered.answers > 0 {
                self.deadline = means.now + means.idle;
            }
            self.held = gathered.rest == Rest::Queries;
            match written {
                Ok(octets) if octets == gathered.output.len() => {
                    alone(&means.counters.answered, gathered.answers);
                }
                Ok(octets) => {
                    self.output.extend_from_slice(&gathered.output[octets..]);
                    self.answers = gathered.answers;
                    self.ends = gathered.rest == Rest::Garbage;
                    self.deadline = means.now + TCP_WRITE;
                    return (used, Turn::Waits);
                }
                Err(_) => {
                    alone(&means.counters.send_errors, gathered.answers);
                    return (used, Turn::Ends);
                }
            }
            match gathered.rest {
                Rest::Queries => {}
                Rest::Part => return (used, Turn::Again),
                Rest::Garbage => return (used, Turn::Ends),
            }
        }
    }

    /// Writes what the client didn't take before. `Again` when it has taken all.
    fn write_owed<S>(&mut self, means: &Means<'_, S>) -> Turn {
        match write(&mut self.stream, &self.output) {
            Ok(octets) if octets == self.output.len() => {
                alone(&means.counters.answered, self.answers);
                self.output.clear();
                self.output.shrink_to(TCP_KEPT_OCTETS);
                self.deadline = means.now + means.idle;
                if self.ends { Turn::Ends } else { Turn::Again }
            }
            Ok(octets) => {
                self.output.drain(..octets);
                Turn::Waits
            }
            Err(_) => {
                alone(&means.counters.send_errors, self.answers);
                Turn::Ends
            }
        }
    }
}

/// Writes as much as the socket takes now.
fn write(stream: &mut TcpStream, octets: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < octets.len() {
        match stream.write(&octets[written..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}
