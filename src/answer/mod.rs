//! One function for all transports: a query's octets in, the response's octets out.

pub mod client;

pub use client::{Client, Transport};
