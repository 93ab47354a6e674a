//! What a probe asks: `[probes.*]` of a zone's TOML, checked.

use crate::health::Pace;

/// One probe, as targets name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Name, unique in its zone.
    pub name: String,
    /// What it asks.
    pub check: Check,
    /// How often, and what makes a verdict.
    pub pace: Pace,
}

/// What a probe asks. Ports are TCP ports at the target's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A request over HTTP or HTTPS; healthy if status (and body) are as wanted.
    Http(Http),
    /// A TCP connection that is accepted.
    Tcp {
        /// Port; no default.
        port: u16,
    },
    /// A TLS handshake.
    Tls {
        /// Port; default 443.
        port: u16,
        /// Name and certificate.
        tls: Tls,
    },
    /// SMTP (RFC 5321): banner 220, EHLO 250, STARTTLS if wanted, QUIT.
    Smtp {
        /// Port; default 25.
        port: u16,
        /// Name given with EHLO; default the host's own name.
        ehlo: Option<String>,
        /// With STARTTLS (RFC 3207): must be offered and succeed.
        starttls: Option<Tls>,
    },
    /// IMAP (RFC 9051): greeting `* OK` or `* PREAUTH`, then LOGOUT.
    Imap {
        /// Port; default 143, and 993 with TLS.
        port: u16,
        /// TLS from the start (IMAPS).
        tls: Option<Tls>,
    },
}

/// A request over HTTP. The connection goes to the target's address, whatever `host` resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// HTTPS rather than HTTP.
    pub tls: Option<Tls>,
    /// Port; default 80, and 443 with TLS.
    pub port: u16,
    /// Host header (and SNI, unless `tls.name` says otherwise).
    pub host: String,
    /// Path with query; default `/`.
    pub path: String,
    /// Status codes that are healthy, as inclusive ranges; default 200-399.
    pub status: Vec<(u16, u16)>,
    /// Text that the first 64 KiB of the body must contain.
    pub body: Option<String>,
}

/// How a TLS connection is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Name for SNI, and the name that the certificate must have.
    pub name: String,
    /// Whether the certificate must be valid for `name` and chain to a trusted root.
    pub verify: bool,
}
