//! Probes: they ask a target's address what a client would ask, and report what they saw.
//!
//! ```text
//! configuration -> prober (one task per job: when) -> ask (one probe: what) -> report -> the writer
//!                     ^                                                                     |
//!                     +------------------------- pace: ask again so soon -------------------+
//! ```
//!
//! Nothing waits for a probe, and a probe waits for nothing but its target: it has one deadline,
//! reads bounded answers, and its report is dropped (and counted) if nobody takes it.

mod ask;
mod blocked;
mod dial;
mod evidence;
mod http;
mod imap;
mod lines;
mod mail;
mod pop3;
pub mod prober;
mod sieve;
mod smtp;
pub mod spec;
mod tls;
pub mod trust;

pub use ask::Asker;
pub use prober::{Figures, Job, Prober, ProberOptions};
pub use spec::{Check, Encryption, Http, Mail, Protocol, Spec, Tls, TlsVersion};
pub use trust::Trust;
