//! Probes: they ask a target's address what a client would ask, and report what they saw.

pub mod spec;
