//! Packets in, packets out: one test for each rule, named after the RFC and the section that has
//! it. All ask one server, which runs in this process behind real sockets; what needs other
//! settings starts its own.

mod anycast;
mod cookies;
mod documented;
mod edns;
mod encrypted;
mod header;
mod lab;
mod names;
mod negative;
mod packet;
mod random;
mod reply;
mod streams;
mod subnet;
mod types;
