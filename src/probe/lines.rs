//! Bounded conversation in lines, as SMTP and IMAP have it.

use std::io::ErrorKind;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use super::dial::Deadline;
use super::evidence::{Failure, of_error};
use crate::limits::PROBE_ANSWER_OCTETS;

/// A connection that speaks in lines.
pub(super) struct Lines<S> {
    stream: BufReader<S>,
    deadline: Deadline,
    /// Octets that the current answer may still take.
    budget: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lines<S> {
    pub(super) fn new(stream: S, deadline: Deadline) -> Lines<S> {
        Lines { stream: BufReader::new(stream), deadline, budget: PROBE_ANSWER_OCTETS }
    }

    /// From here on nothing that is said matters to the verdict.
    pub(super) fn begin_farewell(&mut self) {
        self.deadline = self.deadline.for_farewell();
    }

    /// Sends a command; the answer to it has a fresh budget.
    pub(super) async fn send(&mut self, command: &str) -> Result<(), Failure> {
        self.budget = PROBE_ANSWER_OCTETS;
        let wire = format!("{command}\r\n");
        let sent = self.deadline.limit("window to send", self.stream.write_all(wire.as_bytes())).await?;
        sent.map_err(|error| Failure::new(of_error(&error)))?;
        let flushed = self.deadline.limit("window to send", self.stream.flush()).await?;
        flushed.map_err(|error| Failure::new(of_error(&error)))
    }

    /// The next line without its end; `step` names what was waited for.
    pub(super) async fn line(&mut self, step: &str) -> Result<String, Failure> {
        let mut line = Vec::new();
        loop {
            let buffered = self.deadline.limit(step, self.stream.fill_buf()).await?;
            let buffered =
                buffered.map_err(|error| Failure::new(format!("{}, no {step}", of_error(&error))))?;
            if buffered.is_empty() {
                return Err(Failure::new(format!("connection closed, no {step}")));
            }
            let end = buffered.iter().position(|octet| *octet == b'\n');
            let taken = end.map_or(buffered.len(), |at| at + 1);
            if taken > self.budget {
                return Err(Failure::new(format!("{step} is longer than {PROBE_ANSWER_OCTETS} octets")));
            }
            self.budget -= taken;
            line.extend_from_slice(&buffered[..taken]);
            self.stream.consume(taken);
            if end.is_some() {
                return Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
            }
        }
    }

    /// The first line of a server that speaks first. A reset before it is how a gate turns away
    /// whom it doesn't want: the server behind has said nothing.
    pub(super) async fn greeting(&mut self, step: &str) -> Result<String, Failure> {
        let first = self.deadline.limit(step, self.stream.fill_buf()).await?;
        if first.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset) {
            return Err(Failure::blocked(format!("connection reset once accepted, no {step}")));
        }
        self.line(step).await
    }

    /// Whether time ran out before all was said that was waited for.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_over()
    }

    /// Ends the connection in order: over TLS with close_notify.
    pub(super) async fn end(&mut self) {
        let _ = self.deadline.limit("end", self.stream.shutdown()).await;
    }

    /// Whether more was received than was asked for.
    pub(super) fn has_leftover(&self) -> bool {
        !self.stream.buffer().is_empty()
    }

    /// The connection itself.
    pub(super) fn into_inner(self) -> S {
        self.stream.into_inner()
    }
}
