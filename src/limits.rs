//! Every bound in one place, each with what happens at it.

/// CNAMEs followed inside our zones. Longer chains get what was found so far; resolvers go on.
pub const CNAME_CHAIN: usize = 16;

/// Octets of a UDP answer, unless the client asks for less (RFC 9715: no fragmentation on any
/// usual path). Longer answers are truncated and come again over TCP.
pub const UDP_PAYLOAD_OCTETS: u16 = 1232;

/// Octets of a UDP answer to a client without EDNS (RFC 1035 2.3.4).
pub const UDP_PLAIN_OCTETS: usize = 512;

/// Octets of the longest message (RFC 1035 4.2.2: its length has 16 bits).
pub const MESSAGE_OCTETS: usize = 65_535;

/// Octets of a zone file with all that it includes. A larger one is refused with an error.
pub const ZONE_TEXT_OCTETS: u64 = 4 << 30;

/// `$INCLUDE` inside `$INCLUDE`. Deeper nesting, or a file that includes itself, is an error.
pub const INCLUDE_DEPTH: usize = 16;

/// Diagnostics kept of one file. The rest are counted; nobody reads a thousand lines.
pub const DIAGNOSTICS: usize = 100;
