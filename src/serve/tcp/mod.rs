//! Queries in streams (RFC 7766): each message follows its length in two octets.
//!
//! ```text
//! worker       a thread that waits for all of its connections at once, and closes those that dawdle
//! connection   one of them: read once, answer all whole queries that came, write once
//! desk         the worker's buffers, and framing: what a connection holds only while it must wait
//! ```
//!
//! Answers leave in the order of their queries. RFC 7766 7 allows another, so that a slow answer
//! doesn't hold up others; here none is slow, since each is there before its query.

mod connection;
mod desk;
mod worker;

pub use desk::{Desk, Gathered, Output, Rest};
pub(super) use worker::Worker;
