//! The real binary over real sockets, with real resolvers, clients and other servers.

#![allow(unreachable_pub, reason = "a binary's modules are reached from within it alone")]
#![allow(clippy::print_stdout, reason = "figures of a run, shown with --nocapture")]

mod commands;
mod differential;
mod failover;
mod lab;
mod mistakes;
mod packets;
mod peers;
mod reload;
mod resolver;
mod restart;
mod serving;
mod site;
