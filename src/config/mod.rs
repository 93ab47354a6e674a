//! The configuration's two formats: text -> the rooms' own types, which know nothing of TOML.
//!
//! `server` reads `waypost.toml`, `zone` a zone's routes; both through `reader`, which gives every
//! mistake its place and finds all of a file at once. `schema` describes the formats to editors.
//! `cookie_secrets` reads the one file that is only lines.

pub mod bundles;
pub mod cookie_secrets;
pub mod schema;
pub mod server;
pub mod zone;

mod against_zone;
mod chain;
mod dnssec;
mod duration;
mod http;
mod metrics;
mod needs;
mod notify;
mod probe;
mod probing;
mod query_log;
mod reader;
mod route_options;
#[cfg(test)]
mod tests;
mod worst_case;
