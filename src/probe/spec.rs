//! What a probe asks: `[probes.*]` of a zone's TOML, checked.

use std::time::Duration;

use crate::health::Pace;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// One probe, as targets name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Name, unique in its zone.
    pub name: String,
    /// What it asks.
    pub check: Check,
    /// How often, and what makes a verdict.
    pub pace: Pace,
    /// Whether an idle connection is held, whose loss has it asked at once; none: as is usual for
    /// its kind.
    pub tripwire: Option<bool>,
}

/// What a probe asks. Ports are TCP ports at the target's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A request over HTTP or HTTPS; healthy if status (and body) are as wanted.
    Http(Http),
    /// A metric of an exporter, summed up and compared.
    Prometheus(Prometheus),
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
    /// A DNS query.
    Dns(Dns),
    /// An ICMP echo.
    Icmp,
    /// A program that judges (the interface of Nagios plugins).
    Exec(Exec),
    /// Nothing: others tell.
    Push(Push),
    /// A file in which a script says how the target is.
    File(FileCheck),
}

impl Check {
    /// What a file calls it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Check::Http(Http { tls: None, .. }) => "http",
            Check::Http(_) => "https",
            Check::Prometheus(_) => "prometheus",
            Check::Tcp { .. } => "tcp",
            Check::Tls { .. } => "tls",
            Check::Mail(mail) => match mail.protocol {
                Protocol::Smtp => "smtp",
                Protocol::Submission => "submission",
                Protocol::Lmtp => "lmtp",
                Protocol::Imap => "imap",
                Protocol::Pop3 => "pop3",
                Protocol::Sieve => "managesieve",
            },
            Check::Dns(_) => "dns",
            Check::Icmp => "icmp",
            Check::Exec(_) => "exec",
            Check::Push(_) => "push",
            Check::File(_) => "file",
        }
    }
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
    /// GET or HEAD.
    pub method: HttpMethod,
    /// Status codes that are healthy, as inclusive ranges; default 200-399.
    pub status: Vec<(u16, u16)>,
    /// What headers must say.
    pub headers: Vec<HeaderRule>,
    /// Text that the first 64 KiB of the body must contain.
    pub body: Option<String>,
    /// Whether redirects to the same host are followed; otherwise they are judged by their status.
    pub follow: bool,
}

impl Http {
    /// `GET /` over HTTP.
    #[must_use]
    pub fn get(host: &str) -> Http {
        Http {
            tls: None,
            port: 80,
            host: host.to_owned(),
            path: "/".to_owned(),
            method: HttpMethod::Get,
            status: vec![(200, 399)],
            headers: Vec::new(),
            body: None,
            follow: false,
        }
    }
}

/// How a page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMethod {
    /// The page.
    Get,
    /// Its headers alone.
    Head,
}

/// What a header of an answer must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    /// The header's name, in any case.
    pub name: String,
    /// What is wanted of it.
    pub wanted: Wanted,
}

/// What is wanted of a header; of several with one name, one has to be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It is there.
    Present,
    /// It is exactly this.
    Equals(String),
    /// It has this in it.
    Contains(String),
}

/// A metric of an exporter (Prometheus text format), compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prometheus {
    /// The page with metrics.
    pub page: Http,
    /// Name of the metric.
    pub metric: String,
    /// Labels that it must have, beside any others.
    pub labels: Vec<(String, String)>,
    /// Healthy below this; at least one bound is there.
    pub below: Option<Bound>,
    /// Healthy above this.
    pub above: Option<Bound>,
}

/// A number to compare with. Two are the same if their octets are, so that probes can be compared.
#[derive(Clone, Copy, Debug)]
pub struct Bound(pub f64);

impl PartialEq for Bound {
    fn eq(&self, other: &Bound) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Bound {}

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

/// A query over DNS; healthy if its answer is NOERROR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Port; default 53.
    pub port: u16,
    /// Over TCP rather than UDP.
    pub tcp: bool,
    /// The name asked for.
    pub name: Name,
    /// The type asked for; default SOA.
    pub rtype: Rtype,
    /// Whether recursion is asked for.
    pub recursion: bool,
    /// Whether something must stand in the answer section.
    pub wants_answer: bool,
}

/// A program that is run, without a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// Program and arguments; `{address}` and `{target}` in them are filled in.
    pub argv: Vec<String>,
    /// Whether exit code 1 is healthy; default yes.
    pub warning_is_healthy: bool,
}

/// Verdicts that others tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// How long a word holds; silence beyond that is a failure. None, by alerts alone: for ever.
    pub ttl: Option<Duration>,
    /// Labels of the alerts that take the target down; empty: whoever tells says how it is. With
    /// `{site}`, `{target}` and `{address}` in their values.
    pub alert: Vec<(String, String)>,
}

/// A file whose first line is `up`, or `down` and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCheck {
    /// Its path, with `{address}` and `{target}` in it.
    pub path: String,
    /// How old it may be.
    pub ttl: Duration,
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

impl Tls {
    /// A certificate that must be valid for `name`, and no more.
    #[must_use]
    pub fn of(name: &str) -> Tls {
        Tls { name: name.to_owned(), verify: true, least: TlsVersion::default(), days: 0 }
    }
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
