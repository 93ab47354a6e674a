//! The real binary over real sockets, with real resolvers, clients and other servers.

#![allow(unreachable_pub, reason = "a binary's modules are reached from within it alone")]
#![allow(clippy::print_stdout, reason = "figures of a run, shown with --nocapture")]

mod across;
mod browser;
mod by_name;
mod commands;
mod delegated;
mod differential;
mod dnsviz;
mod edges;
mod encrypted;
mod encrypted_client;
mod ends;
mod export;
mod failover;
mod hand;
mod keys;
mod keys_safe;
mod lab;
mod live;
mod logs;
mod mail_servers;
mod manners;
mod metrics;
mod mistakes;
mod namespace;
mod notify;
mod packets;
mod page;
mod peers;
mod query_log;
mod recorder;
mod reload;
mod resolver;
mod restart;
mod reverse;
mod roll_failover;
mod rolls;
mod routing;
mod serving;
mod signed;
mod signed_sweep;
mod site;
mod small_disk;
mod tools;
mod unplaced;
mod verdicts;
mod view;
mod watch;
