//! Wire format: names, types, the one query parser, EDNS, and rendering of answers.
//!
//! Data plane. Nothing here knows of files, clocks or sockets; only rendering, which runs ahead
//! of queries, allocates.

pub mod client_subnet;
pub mod cookie;
pub mod edns;
pub mod name;
pub mod query;
mod reader;
pub mod render;
pub mod rendered;
pub mod rtype;
