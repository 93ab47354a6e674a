//! Who asks, as far as an answer may depend on it.

use std::net::IpAddr;
use std::time::Duration;

/// Who asks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Source address of the query.
    pub address: IpAddr,
    /// What the query came by, and the answer goes by.
    pub transport: Transport,
    /// Differs from query to query: picks among weighted variants. Not a secret.
    pub entropy: u32,
    /// When the query came: seconds since 1970, modulo 2^32, for cookies (RFC 9018 4.3).
    pub now: u32,
}

/// What a query came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams: the answer must fit the client's buffer, or is truncated.
    Udp,
    /// A stream: the answer may have 65,535 octets.
    Tcp {
        /// How long it may be silent, in units of 100 ms (RFC 7828 3.1).
        idle: u16,
    },
    /// A stream inside TLS (RFC 7858): as TCP, and padded for who pads (RFC 7830).
    Tls {
        /// How long it may be silent, in units of 100 ms.
        idle: u16,
    },
    /// A stream of its own in a QUIC connection (RFC 9250): as TLS, without a word on silence,
    /// which QUIC has itself.
    Quic,
}

/// A time as the keepalive option tells it, in units of 100 ms (RFC 7828 3.1).
#[must_use]
pub fn keepalive(idle: Duration) -> u16 {
    u16::try_from(idle.as_millis() / 100).unwrap_or(u16::MAX)
}
