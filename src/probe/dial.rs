//! A connection within the time that a probe has.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::evidence::{Failure, of_socket};
use crate::limits::PROBE_FAREWELL;

/// When a probe must have ended. All its steps share one, so that a slow answer to each of ten
/// steps isn't ten times as patient.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    timeout: Duration,
}

impl Deadline {
    pub(super) fn new(started: Instant, timeout: Duration) -> Deadline {
        Deadline { at: started + timeout, timeout }
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

pub(super) async fn connect(to: SocketAddr, deadline: Deadline) -> Result<TcpStream, Failure> {
    match deadline.limit("connection", TcpStream::connect(to)).await? {
        Ok(stream) => Ok(stream),
        Err(error) => Err(of_socket(&error)),
    }
}
