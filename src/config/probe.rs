//! `[probes.NAME]`: what a probe asks and how often.

use std::time::Duration;

use super::duration::show;
use super::reader::{File, Table, Value};
use crate::health::Pace;
use crate::probe::spec::{Check, Encryption, Http, Mail, Protocol, Spec, Tls, TlsVersion};
use crate::wire::name::Name;

/// The words of `type`.
const TYPES: &[(&str, Type)] = &[
    ("http", Type::Http),
    ("https", Type::Https),
    ("tcp", Type::Tcp),
    ("tls", Type::Tls),
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
    let pace = pace(file, table);
    let check = check(file, key, table, kind?, apex)?;
    Some(Spec { name: name.to_owned(), check, pace })
}

fn check(file: &File<'_>, key: &Value<'_>, table: &Table<'_>, kind: Type, apex: &Name) -> Option<Check> {
    let port = |default: u16| table.get("port").map_or(Some(default), |value| value.integer(1..=65_535));
    match kind {
        Type::Http | Type::Https => {
            let host = table.need("host", "\"webmail.example.com\"")?.string()?;
            let tls = if kind == Type::Https { Some(tls(table, Some(&host), file, key)?) } else { None };
            Some(Check::Http(Http {
                port: port(if tls.is_some() { 443 } else { 80 })?,
                tls,
                path: path(table)?,
                status: status(table),
                body: table.get("body").and_then(|value| value.string()),
                host,
            }))
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

fn path(table: &Table<'_>) -> Option<String> {
    let Some(value) = table.get("path") else { return Some("/".to_owned()) };
    let path = value.string()?;
    if !path.starts_with('/') {
        value.error(format!("the path \"{path}\" doesn't begin with /"), format!("write \"/{path}\""));
    }
    Some(path)
}

/// Name and verification of TLS. HTTPS takes the name from its host.
fn tls(table: &Table<'_>, host: Option<&str>, file: &File<'_>, key: &Value<'_>) -> Option<Tls> {
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

/// `200`, `"200-399"`, or several of these.
fn status(table: &Table<'_>) -> Vec<(u16, u16)> {
    let Some(value) = table.get("status") else { return vec![(200, 399)] };
    let codes = 100..=599;
    let range = |one: &Value<'_>| {
        if one.is_integer() {
            return one.integer(codes.clone()).map(|code: u16| (code, code));
        }
        let text = one.str()?;
        let (least, most) = text.split_once('-').unwrap_or((text, text));
        let range =
            least.trim().parse().ok().zip(most.trim().parse().ok()).filter(|(least, most): &(u16, u16)| {
                codes.contains(&u64::from(*least)) && codes.contains(&u64::from(*most)) && least <= most
            });
        if range.is_none() {
            one.error(
                format!("\"{text}\" is no range of status codes"),
                "write 200, \"200-399\", or a list of these",
            );
        }
        range
    };
    value.list().iter().filter_map(range).collect()
}

fn pace(file: &File<'_>, table: &Table<'_>) -> Pace {
    let mut pace = Pace::default();
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
