//! Octets and texts that nobody means well: no panic, no message that breaks a rule.
//!
//! `cargo test` runs each target over its corpus and some random input. Guided by coverage, for
//! as long as one likes, they run under libFuzzer; README.md tells how.

#![cfg(test)]

mod bundles;
mod files;
mod memory;
mod queries;
mod streams;
mod world;
