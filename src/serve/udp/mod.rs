//! Queries in datagrams: threads that own their sockets, apart from the asynchronous runtime.

mod batch;
mod socket;
mod source;
mod sys;
mod worker;

pub(super) use sys::{coarse_now, prepare};
pub(super) use worker::{Worker, allowed_cores};
