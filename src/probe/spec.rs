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
    /// A mail server's greeting, and encryption as wanted.
    Mail(Mail),
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

/// The beginning and the end of a conversation with a mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// What is spoken.
    pub protocol: Protocol,
    /// Port; the protocol has a default.
    pub port: u16,
    /// When the connection is encrypted.
    pub encryption: Encryption,
    /// Name given with EHLO or LHLO; default the prober's own name.
    pub ehlo: Option<String>,
}

/// What mail servers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 5321: banner 220, EHLO 250, QUIT.
    Smtp,
    /// RFC 6409: SMTP that offers AUTH (RFC 4954), and only to encrypted connections.
    Submission,
    /// RFC 2033: SMTP that is greeted by LHLO.
    Lmtp,
    /// RFC 9051: greeting `* OK` or `* PREAUTH`, LOGOUT.
    Imap,
    /// RFC 1939: greeting `+OK`, QUIT.
    Pop3,
    /// RFC 5804 (ManageSieve): capabilities and `OK`, LOGOUT.
    Sieve,
}

/// When a mail server's connection is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Never.
    None,
    /// After STARTTLS or STLS, which must be offered and succeed.
    StartTls(Tls),
    /// From the start (RFC 8314 3).
    Implicit(Tls),
}

impl Encryption {
    /// How the certificate is checked, if there is one.
    #[must_use]
    pub fn tls(&self) -> Option<&Tls> {
        match self {
            Encryption::None => None,
            Encryption::StartTls(tls) | Encryption::Implicit(tls) => Some(tls),
        }
    }
}

/// How a TLS connection is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Name for SNI, and the name that the certificate must have.
    pub name: String,
    /// Whether the certificate must be valid for `name` and chain to a trusted root.
    pub verify: bool,
    /// The oldest version that will do.
    pub least: TlsVersion,
    /// Days that the certificate must still be valid for; 0 asks nothing.
    pub days: u16,
}

/// Versions of TLS that probes speak. What is older is refused, as clients do (RFC 8996).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    V1_2,
    /// RFC 8446.
    V1_3,
}
