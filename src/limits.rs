//! Every bound in one place, each with what happens at it.

use std::time::Duration;

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

/// Probes on their way at one time. Further ones wait for their turn, so that with more targets
/// than this hanging until their time-outs, verdicts come later; sockets stay within the usual
/// limit of 1024 files.
pub const PROBES_AT_ONCE: usize = 512;

/// Time for a probe to take its leave once its verdict is made. A server that is slower sees its
/// connection closed; it doesn't hold up the news of a failure.
pub const PROBE_FAREWELL: Duration = Duration::from_millis(200);

/// Octets of one answer of a probed mail server. A longer one is a failure: nothing that greets
/// its clients needs more.
pub const PROBE_ANSWER_OCTETS: usize = 8 * 1024;

/// Lines of one answer of a probed mail server (RFC 5321 4.2.1). More are a failure.
pub const PROBE_ANSWER_LINES: usize = 100;

/// Octets of a page in which a probe looks for its text. What stands behind isn't read.
pub const PROBE_BODY_OCTETS: usize = 64 * 1024;

/// Characters of a probe's evidence. The rest is cut: it goes into logs, tables and TXT records.
pub const PROBE_EVIDENCE_CHARACTERS: usize = 120;
