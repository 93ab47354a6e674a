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
#[cfg(test)]
mod cost_tests;
mod dial;
mod dns;
mod evidence;
mod exec;
pub(crate) mod file;
mod http;
mod icmp;
mod imap;
mod lines;
mod mail;
pub mod manners;
mod pop3;
pub mod prober;
mod prometheus;
pub(crate) mod push;
mod round;
mod sieve;
mod smtp;
pub mod spec;
mod tls;
mod tripwire;
pub mod trust;

pub use ask::Asker;
pub use manners::Manners;
pub use prober::{Figures, Job, Prober, ProberOptions};
pub use prometheus::parse_selector;
pub use spec::{
    Bound, Check, Dns, Encryption, Exec, FileCheck, HeaderRule, Http, HttpMethod, Mail, Prometheus, Protocol,
    Push, Spec, Tls, TlsVersion, Wanted,
};
pub use tls::CERTIFICATE_DAYS;
pub use trust::Trust;
