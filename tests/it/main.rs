//! The real binary over real sockets, with real resolvers, clients and other servers.

mod commands;
mod failover;
mod lab;
mod mistakes;
mod peers;
mod reload;
mod resolver;
mod restart;
mod serving;
mod site;
