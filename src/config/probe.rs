//! `[probes.NAME]`: what a probe asks and how often.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::duration::show;
use super::reader::{File, Table, Value};
use super::{http, metrics};
use crate::health::Pace;
use crate::limits::VERDICT_TTL_MOST;
use crate::probe::spec::{
    Check, Dns, Encryption, Exec, FileCheck, Mail, Protocol, Push, Spec, Tls, TlsVersion,
};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// How long a word may hold.
const TTLS: RangeInclusive<Duration> = Duration::from_secs(1)..=VERDICT_TTL_MOST;

const ALERT_HELP: &str = "write for example alert = { alertname = \"QueueDrowning\", site = \"{site}\" }";

/// The words of `type`.
const TYPES: &[(&str, Type)] = &[
    ("http", Type::Http),
    ("https", Type::Https),
    ("tcp", Type::Tcp),
    ("tls", Type::Tls),
    ("dns", Type::Dns),
    ("icmp", Type::Icmp),
    ("exec", Type::Exec),
    ("prometheus", Type::Prometheus),
    ("push", Type::Push),
    ("file", Type::File),
    ("smtp", Type::Mail(Protocol::Smtp, Encrypted::IfTold, 25)),
    ("submission", Type::Mail(Protocol::Submission, Encrypted::Start, 587)),
    ("submissions", Type::Mail(Protocol::Submission, Encrypted::Implicit, 465)),
    ("lmtp", Type::Mail(Protocol::Lmtp, Encrypted::IfTold, 24)),
    ("imap", Type::Mail(Protocol::Imap, Encrypted::IfTold, 143)),
    ("imaps", Type::Mail(Protocol::Imap, Encrypted::Implicit, 993)),
    ("pop3", Type::Mail(Protocol::Pop3, Encrypted::IfTold, 110)),
    ("pop3s", Type::Mail(Protocol::Pop3, Encrypted::Implicit, 995)),
    ("managesieve", Type::Mail(Protocol::Sieve, Encrypted::IfTold, 4190)),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Http,
    Https,
    Tcp,
    Tls,
    Dns,
    Icmp,
    Exec,
    Prometheus,
    Push,
    File,
    /// With its encryption and its port.
    Mail(Protocol, Encrypted, u16),
}

/// How a type of mail probe encrypts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encrypted {
    /// Only if the file says `starttls = true`.
    IfTold,
    Start,
    Implicit,
}

/// Reads a probe; nothing if its type is missing or it lacks what that needs.
pub(super) fn spec(
    file: &File<'_>,
    name: &str,
    key: &Value<'_>,
    table: &Table<'_>,
    apex: &Name,
) -> Option<Spec> {
    let kind = table.need("type", "\"https\"")?.one_of(TYPES);
    let usual = match kind {
        // These cost nothing, and who waits for a word wants it heard.
        Some(Type::Push | Type::File) => Pace { interval: Duration::from_secs(1), ..Pace::default() },
        _ => Pace::default(),
    };
    let pace = pace(file, table, usual);
    let check = check(file, key, table, kind?, apex)?;
    let has_connection = !matches!(
        check,
        Check::Prometheus(_) | Check::Dns(_) | Check::Icmp | Check::Exec(_) | Check::Push(_) | Check::File(_)
    );
    let tripwire = if has_connection { table.get("tripwire").and_then(|value| value.bool()) } else { None };
    Some(Spec { name: name.to_owned(), check, pace, tripwire })
}

fn check(file: &File<'_>, key: &Value<'_>, table: &Table<'_>, kind: Type, apex: &Name) -> Option<Check> {
    let port = |default: u16| table.get("port").map_or(Some(default), |value| value.integer(1..=65_535));
    match kind {
        Type::Http | Type::Https => {
            let host = table.need("host", "\"webmail.example.com\"")?.string()?;
            let tls = if kind == Type::Https { Some(tls(table, Some(&host), file, key)?) } else { None };
            Some(Check::Http(http::page(table, host, tls, port)?))
        }
        Type::Prometheus => Some(Check::Prometheus(metrics::metric(file, key, table, port)?)),
        Type::Dns => Some(Check::Dns(Dns {
            port: port(53)?,
            tcp: table.get("tcp").and_then(|value| value.bool()).unwrap_or(false),
            name: question(&table.need("name", "\"example.com.\"")?, apex)?,
            rtype: table.get("rtype").map_or(Some(Rtype::SOA), |value| value.parsed("type", "SOA"))?,
            recursion: table.get("recursion").and_then(|value| value.bool()).unwrap_or(false),
            wants_answer: table.get("answer").and_then(|value| value.bool()).unwrap_or(false),
        })),
        Type::Icmp => Some(Check::Icmp),
        Type::Exec => {
            let command =
                table.need("command", "[\"/usr/lib/nagios/plugins/check_imap\", \"-H\", \"{address}\"]")?;
            let argv = command.strings();
            if !argv.first().is_some_and(|program| program.starts_with('/')) {
                command.error("a program is named by its whole path", "write a list as [\"/usr/bin/true\"]");
                return None;
            }
            let warning = table.get("warning_is_healthy").and_then(|value| value.bool()).unwrap_or(true);
            Some(Check::Exec(Exec { argv, warning_is_healthy: warning }))
        }
        Type::Push => {
            let mut alert = Vec::new();
            if let Some(labels) = table.table("alert") {
                for (name, value) in labels.others() {
                    alert.extend(value.string().map(|wanted| (name.to_owned(), wanted)));
                }
                if alert.is_empty() {
                    file.error(&key.key_span, "no label is wanted: every alert would match", ALERT_HELP);
                    return None;
                }
            }
            // Alerts are silent while all is well; who tells how it is, isn't.
            let ttl = if alert.is_empty() { table.need("ttl", "\"30s\"") } else { table.get("ttl") };
            let ttl = match ttl {
                Some(value) => Some(value.duration(TTLS)?),
                None if alert.is_empty() => return None,
                None => None,
            };
            Some(Check::Push(Push { ttl, alert }))
        }
        Type::File => {
            let path = table.need("path", "\"/run/waypost/{target}\"")?;
            let text = path.string()?;
            if !text.starts_with('/') {
                path.error("a file is named by its whole path", "write it as \"/run/waypost/{target}\"");
                return None;
            }
            let ttl = table.need("ttl", "\"30s\"")?.duration(TTLS)?;
            Some(Check::File(FileCheck { path: text, ttl }))
        }
        Type::Tcp => Some(Check::Tcp { port: table.need("port", "25")?.integer(1..=65_535)? }),
        Type::Tls => Some(Check::Tls { port: port(443)?, tls: tls(table, None, file, key)? }),
        Type::Mail(protocol, encrypted, usual) => {
            let speaks_hello = matches!(protocol, Protocol::Smtp | Protocol::Submission | Protocol::Lmtp);
            let ehlo = if speaks_hello { table.get("ehlo") } else { None };
            let ehlo = ehlo.and_then(|value| host_name(&value, apex));
            let port = port(usual)?;
            let starttls = || table.get("starttls").and_then(|value| value.bool()).unwrap_or(false);
            let encryption = match encrypted {
                Encrypted::Implicit => Encryption::Implicit(tls(table, None, file, key)?),
                Encrypted::Start => Encryption::StartTls(tls(table, None, file, key)?),
                Encrypted::IfTold if starttls() => Encryption::StartTls(tls(table, None, file, key)?),
                Encrypted::IfTold => Encryption::None,
            };
            Some(Check::Mail(Mail { protocol, port, encryption, ehlo }))
        }
    }
}

/// Name and verification of TLS. HTTPS takes the name from its host.
pub(super) fn tls(table: &Table<'_>, host: Option<&str>, file: &File<'_>, key: &Value<'_>) -> Option<Tls> {
    let name = table.get("tls_name").and_then(|value| value.string());
    let verify = table.get("verify").and_then(|value| value.bool()).unwrap_or(true);
    let name = name.or_else(|| host.map(str::to_owned));
    if name.is_none() {
        let help = "add for example tls_name = \"mail.example.com\"; verify = false takes any certificate";
        file.error(&key.key_span, "TLS needs the name that the certificate must have", help);
    }
    let versions = [("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)];
    let least = table.get("tls_min").and_then(|value| value.one_of(&versions)).unwrap_or_default();
    let days = table.get("cert_days").and_then(|value| value.integer(0..=3_650)).unwrap_or(0);
    Some(Tls { name: name?, verify, least, days })
}

fn host_name(value: &Value<'_>, apex: &Name) -> Option<String> {
    let text = value.string()?;
    if let Err(error) = Name::parse(&text, Some(apex)) {
        value.error(format!("\"{text}\" is no host name: {error}"), "write a name as \"ns1.example.com\"");
    }
    Some(text)
}

fn question(value: &Value<'_>, apex: &Name) -> Option<Name> {
    let text = value.str()?;
    Name::parse(text, Some(apex))
        .map_err(|error| value.error(format!("\"{text}\" is no name: {error}"), "write \"example.com.\""))
        .ok()
}

fn pace(file: &File<'_>, table: &Table<'_>, usual: Pace) -> Pace {
    let mut pace = usual;
    let day = Duration::from_secs(86_400);
    let times = [
        ("interval", &mut pace.interval, Duration::from_millis(100)..=day),
        ("timeout", &mut pace.timeout, Duration::from_millis(10)..=Duration::from_secs(3_600)),
        ("confirm_interval", &mut pace.confirm_interval, Duration::from_millis(10)..=day),
        ("hold", &mut pace.hold, Duration::ZERO..=day),
    ];
    let mut timeout_span = None;
    for (key, place, range) in times {
        if let Some(value) = table.get(key) {
            if key == "timeout" {
                timeout_span = Some(value.span.clone());
            }
            if let Some(span) = value.duration(range) {
                *place = span;
            }
        }
    }
    for (key, place) in [("fall", &mut pace.fall), ("rise", &mut pace.rise)] {
        if let Some(count) = table.get(key).and_then(|value| value.integer(1..=100)) {
            *place = count;
        }
    }
    if let Some(span) = timeout_span.filter(|_| pace.timeout > pace.interval) {
        let message = format!(
            "the time-out {} is longer than the interval {}",
            show(pace.timeout),
            show(pace.interval)
        );
        file.warning(&span, message, "a dead target is found later than the interval says");
    }
    pace
}
