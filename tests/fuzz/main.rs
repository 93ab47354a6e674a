//! Octets and texts that nobody means well: no panic, no message that breaks a rule.
//!
//! `cargo test --test fuzz` runs each target over its corpus and some random input. Guided by
//! coverage, for as long as one likes, they run under libFuzzer; tests/fuzz/README.md tells how.

#![allow(unreachable_pub, reason = "a binary's modules are reached from within it alone")]

mod files;
mod queries;
mod streams;
mod world;
