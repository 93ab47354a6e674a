//! Messages of dnstap, field by field as `dnstap.proto` numbers them (<https://dnstap.info/>, in the
//! public domain by CC0). Written out, for a compiler of such files would be one more tool to build
//! with.

use std::net::IpAddr;

use prost::Message as _;

use crate::serve::{Copied, Protocol};
use crate::wire::name::Name;

/// What an envelope holds: a `Message`.
const TYPE_MESSAGE: i32 = 1;

/// A query as an authoritative server received it, and its answer.
const AUTH_QUERY: i32 = 1;
const AUTH_RESPONSE: i32 = 2;

#[derive(Clone, PartialEq, prost::Message)]
struct Envelope {
    #[prost(bytes = "vec", optional, tag = "1")]
    identity: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    version: Option<Vec<u8>>,
    #[prost(message, optional, tag = "14")]
    message: Option<Message>,
    #[prost(int32, required, tag = "15")]
    kind: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(int32, required, tag = "1")]
    kind: i32,
    #[prost(int32, optional, tag = "2")]
    socket_family: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    socket_protocol: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "4")]
    query_address: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "6")]
    query_port: Option<u32>,
    #[prost(uint64, optional, tag = "8")]
    query_time_sec: Option<u64>,
    #[prost(fixed32, optional, tag = "9")]
    query_time_nsec: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "10")]
    query_message: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "11")]
    query_zone: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "12")]
    response_time_sec: Option<u64>,
    #[prost(fixed32, optional, tag = "13")]
    response_time_nsec: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "14")]
    response_message: Option<Vec<u8>>,
}

/// The two messages of a query: what was received, and what was answered.
pub(super) fn messages(
    copied: &Copied<'_>,
    zone: Option<&Name>,
    identity: &str,
    version: &str,
) -> [Vec<u8>; 2] {
    let address = copied.client.ip();
    // One moment is known: when the answer was on its way. It is less than a millisecond after
    // the query was read.
    let (seconds, nanoseconds) = (Some(copied.at.as_secs()), Some(copied.at.subsec_nanos()));
    let both = Message {
        kind: AUTH_QUERY,
        socket_family: Some(if address.is_ipv4() { 1 } else { 2 }),
        socket_protocol: Some(match copied.protocol {
            Protocol::Udp => 1,
            Protocol::Tcp => 2,
            Protocol::Tls => 3,
            Protocol::Quic => 7,
        }),
        query_address: Some(match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        }),
        query_port: Some(u32::from(copied.client.port())).filter(|port| *port > 0),
        query_time_sec: seconds,
        query_time_nsec: nanoseconds,
        query_zone: zone.map(|zone| zone.as_wire().to_vec()),
        ..Message::default()
    };
    let query = Message { query_message: Some(copied.query.to_vec()), ..both.clone() };
    let response = Message {
        kind: AUTH_RESPONSE,
        response_time_sec: seconds,
        response_time_nsec: nanoseconds,
        response_message: Some(copied.answer.to_vec()),
        ..both
    };
    [query, response].map(|message| {
        let envelope = Envelope {
            identity: Some(identity.as_bytes().to_vec()),
            version: Some(version.as_bytes().to_vec()),
            message: Some(message),
            kind: TYPE_MESSAGE,
        };
        envelope.encode_to_vec()
    })
}
