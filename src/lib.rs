//! Waypost: an authoritative DNS server that steers mail domains by where the client is and what
//! is alive now.
//!
//! ```text
//! Data plane   wire, geo, snapshot, answer, serve          reads only what was published
//! Model        zone, route, health, dnssec, model,         pure: time comes in as a value
//!              compile
//! Edges        probe, resolve, config, load, state,        files, sockets, clocks
//!              keys, publish, watch, notify, querylog, metrics,
//!              admin, encrypted, bundles, http, daemon, demo, cli
//! Words        limits, cores, threads, memory, diagnostic  what all rooms use
//! ```
//!
//! Three flows run through these rooms, each one way:
//!
//! ```text
//! a query    packet -> wire (parse) -> geo (client -> region) -> snapshot (owner -> variant) -> wire (patch) -> packet
//! a change   watch -> load -> config + zone (parse, check) -> route (decide) -> compile -> publish
//! a failure  probe -> health (state machine) -> route (decide) -> publish (touches route slots only)
//! ```
//!
//! Everything a query could be answered with is rendered before the query comes, into an
//! immutable snapshot behind one atomic pointer; a change of files or of health publishes
//! another. `ARCHITECTURE.md` has the longer story.

pub mod admin;
pub mod answer;
pub mod bundles;
pub mod cli;
pub mod compile;
pub mod config;
pub mod cores;
pub mod daemon;
pub mod demo;
pub mod diagnostic;
pub mod dnssec;
pub mod encrypted;
pub mod geo;
pub mod health;
mod http;
pub mod keys;
pub mod limits;
pub mod load;
mod memory;
pub mod metrics;
pub mod model;
pub mod notify;
mod prefetch;
pub mod probe;
pub mod publish;
pub mod querylog;
pub mod resolve;
pub mod route;
pub mod serve;
pub mod snapshot;
pub mod state;
pub mod threads;
pub mod watch;
pub mod wire;
pub mod zone;
