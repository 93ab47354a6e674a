//! `waypost.toml`: where to listen, where files are, and where clients are.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ipnet::IpNet;

use super::bundles::{self, Bundles};
use super::reader::{File, Table, Value};
use super::zone::ROUTE_KEYS;
use super::{notify, probing, query_log};
use crate::diagnostic::Diagnostic;
use crate::encrypted::Files;
use crate::geo::RegionId;
use crate::geo::networks::parse_network;
use crate::geo::rules::{Keys, RegionRule, Rules};
use crate::health::{Desired, Order, Orders, Scope, Tick};
use crate::limits;
use crate::notify::Receiver;
use crate::probe::Manners;
use crate::probe::spec::{Check, Spec};
use crate::querylog;
use crate::wire::name::Name;

/// Octets of the server's name: with it in an answer (NSID), the longest question and all other
/// options still fit the 512 octets that every client takes.
const IDENTITY_OCTETS_MAX: usize = 128;

/// The server's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where to listen, UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// UDP workers for each address; 0: one for each core.
    pub workers: usize,
    /// The zone directory.
    pub zones: PathBuf,
    /// The state directory.
    pub state: PathBuf,
    /// The directory of signed zones' keys.
    pub keys: PathBuf,
    /// The server's name: NSID, `id.server`.
    pub identity: String,
    /// Networks that may ask in the CHAOS class.
    pub inspect: Vec<IpNet>,
    /// Octets of a UDP answer, at most.
    pub udp_payload: u16,
    /// Secrets of cookies, shared with other servers of the same address.
    pub cookie_secrets: Option<PathBuf>,
    /// Bounds of TCP.
    pub tcp: Tcp,
    /// The local API.
    pub admin: Admin,
    /// A program to run when a site or target was drained.
    pub drain_hook: Hook,
    /// Addresses outside of all sites that vouch for the network, with what they are asked.
    pub canaries: Vec<(IpAddr, Spec)>,
    /// Maintenance windows: orders with a beginning and an end.
    pub maintenance: Orders,
    /// Who is told of what happens.
    pub notify: Vec<Receiver>,
    /// How probes behave.
    pub probing: Manners,
    /// Recursive resolvers that say the addresses of targets' host names; none: the system's.
    pub resolvers: Vec<SocketAddr>,
    /// DNS over TLS and QUIC, where it is wanted.
    pub tls: Option<Tls>,
    /// Signatures that one server makes and others answer with.
    pub bundles: Option<Bundles>,
    /// Which queries are written down, and where.
    pub query_log: querylog::Wanted,
    /// The database that places clients.
    pub database: Option<PathBuf>,
    /// What belongs to which region.
    pub rules: Rules,
    /// Geofeeds (RFC 8805).
    pub geofeeds: Vec<PathBuf>,
    /// CIDR lists of regions.
    pub network_files: Vec<(RegionId, PathBuf)>,
}

/// Who is told of drains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hook {
    /// A program with its arguments; empty: none.
    pub program: Vec<String>,
    /// Where it is posted.
    pub url: Option<String>,
}

/// The local API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admin {
    /// Its Unix socket; none: `admin.sock` in the state directory.
    pub socket: Option<PathBuf>,
    /// A TCP address too, for whoever has a token.
    pub listen: Option<SocketAddr>,
    /// The file of tokens, which TCP needs.
    pub tokens: Option<PathBuf>,
}

/// Bounds of TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// How long a connection may be silent.
    pub idle: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once of one client.
    pub connections_per_client: usize,
}

/// DNS over TLS and QUIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Where to listen for TLS.
    pub listen: Vec<SocketAddr>,
    /// Where to listen for QUIC.
    pub quic: Vec<SocketAddr>,
    /// Certificate and key; none: the server signs its own.
    pub files: Option<Files>,
    /// How long a connection may be silent.
    pub idle: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once of one client.
    pub connections_per_client: usize,
}

/// Reads `waypost.toml`; paths in it are relative to its directory. With it come warnings.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(path: &Path, text: &str) -> Result<(Server, Vec<Diagnostic>), Vec<Diagnostic>> {
    let file = File::new(path, text);
    let parsed = file.parse();
    // Behind broken syntax keys seem unknown or missing.
    if !file.is_good() {
        return file.finish(None);
    }
    let root = Table::new(&file, &parsed);
    let server = read(&file, &root, path.parent().unwrap_or(Path::new("")));
    root.finish();
    drop(root);
    finish(file, server)
}

fn finish(file: File<'_>, server: Server) -> Result<(Server, Vec<Diagnostic>), Vec<Diagnostic>> {
    file.finish(Some(server))
}

fn read(file: &File<'_>, root: &Table<'_>, directory: &Path) -> Server {
    let mut server = Server {
        listen: vec!["0.0.0.0:53".parse().expect("an address"), "[::]:53".parse().expect("an address")],
        workers: 0,
        zones: directory.join("zones"),
        state: directory.join("state"),
        keys: directory.join("keys"),
        identity: host_name(),
        inspect: vec!["127.0.0.0/8".parse().expect("a network"), "::1/128".parse().expect("a network")],
        udp_payload: limits::UDP_PAYLOAD_OCTETS,
        cookie_secrets: None,
        tcp: Tcp {
            idle: limits::TCP_IDLE,
            connections: limits::TCP_CONNECTIONS,
            connections_per_client: limits::TCP_CONNECTIONS_PER_CLIENT,
        },
        probing: Manners::default(),
        resolvers: Vec::new(),
        tls: None,
        bundles: None,
        admin: Admin::default(),
        drain_hook: Hook::default(),
        query_log: querylog::Wanted { unplaced: Some(limits::UNPLACED_SAMPLE), ..Default::default() },
        canaries: Vec::new(),
        maintenance: Orders::default(),
        notify: Vec::new(),
        database: None,
        rules: Rules::default(),
        geofeeds: Vec::new(),
        network_files: Vec::new(),
    };
    if let Some(table) = root.table("server") {
        section_server(&table, directory, &mut server);
        table.finish();
    }
    if let Some(table) = root.table("tcp") {
        section_tcp(&table, &mut server.tcp);
        table.finish();
    }
    if let Some(table) = root.table("probing") {
        server.probing = probing::manners(&table);
        table.finish();
    }
    if let Some(table) = root.table("resolver") {
        server.resolvers = resolvers(&table);
        table.finish();
    }
    if let Some(table) = root.table("tls") {
        server.tls = Some(section_tls(&table, directory));
        table.finish();
    }
    if let Some(table) = root.table("bundles") {
        server.bundles = bundles::bundles(&table, directory);
        table.finish();
    }
    if let Some(table) = root.table("query_log") {
        server.query_log.lines = query_log::query_log(&table, directory);
        table.finish();
    }
    if let Some(table) = root.table("dnstap") {
        server.query_log.dnstap = query_log::dnstap(&table, directory, &server.identity);
        table.finish();
    }
    if let Some(table) = root.table("unplaced") {
        server.query_log.unplaced = query_log::unplaced(&table);
        table.finish();
    }
    if let Some(table) = root.table("admin") {
        section_admin(&table, directory, &mut server.admin);
        table.finish();
    }
    if let Some(table) = root.table("hooks") {
        server.drain_hook = Hook {
            program: table.get("drain").map_or_else(Vec::new, |value| value.strings()),
            url: table.get("drain_url").and_then(|value| url(&value)),
        };
        table.finish();
    }
    for (name, key, table) in root.tables("canaries") {
        let address =
            table.need("address", "\"192.0.2.53\"").and_then(|value| value.parsed("address", "192.0.2.53"));
        let spec = super::probe::spec(file, name, &key, &table, &Name::root());
        if spec.as_ref().is_some_and(|spec| matches!(spec.check, Check::Push(_))) {
            file.error(&key.key_span, "nobody tells how a canary is", "use a probe that asks");
        }
        server.canaries.extend(address.zip(spec));
        table.finish();
    }
    if let Some(value) = root.get("maintenance") {
        let windows: Vec<Order> = value.list().iter().filter_map(maintenance).collect();
        server.maintenance = windows.into_iter().collect();
    }
    if let Some(value) = root.get("notify") {
        server.notify = notify::receivers(&value, directory);
    }
    if let Some(table) = root.table("geoip") {
        section_geoip(&table, directory, &mut server);
        table.finish();
    }
    for (name, key, table) in root.tables("regions") {
        let rule = region(name, &key, &table, directory, &mut server);
        server.rules.regions.push(rule);
        table.finish();
    }
    server
}

fn resolvers(table: &Table<'_>) -> Vec<SocketAddr> {
    let Some(value) = table.get("servers") else { return Vec::new() };
    let server = |value: &Value<'_>| {
        let text = value.str()?;
        let server = text.parse().or_else(|_| text.parse().map(|address: IpAddr| (address, 53).into())).ok();
        if server.is_none() {
            let message = format!("\"{text}\" is no address of a resolver");
            value.error(message, "write \"192.0.2.53\", with a port where it isn't 53");
        }
        server
    };
    value.list().iter().filter_map(server).collect()
}

fn section_server(table: &Table<'_>, directory: &Path, server: &mut Server) {
    if let Some(value) = table.get("listen") {
        server.listen = addresses(&value, 53);
    }
    let most_workers = limits::UDP_WORKERS as u64;
    set(&mut server.workers, table.get("workers").and_then(|value| value.integer(0..=most_workers)));
    set(&mut server.zones, path(table.get("zones"), directory));
    set(&mut server.state, path(table.get("state"), directory));
    set(&mut server.keys, path(table.get("keys"), directory));
    if let Some(value) = table.get("identity") {
        let identity = value.string().filter(|identity| {
            let fits = (1..=IDENTITY_OCTETS_MAX).contains(&identity.len());
            if !fits {
                value.error("the identity has to fit beside an answer", "write a name of 1 to 128 octets");
            }
            fits
        });
        set(&mut server.identity, identity);
    }
    if let Some(value) = table.get("inspect") {
        server.inspect = value.list().iter().filter_map(network).collect();
    }
    let payloads = limits::UDP_PLAIN_OCTETS as u64..=limits::UDP_PAYLOAD_OCTETS_MAX as u64;
    set(&mut server.udp_payload, table.get("udp_payload").and_then(|value| value.integer(payloads)));
    server.cookie_secrets = path(table.get("cookie_secrets"), directory);
}

fn section_tcp(table: &Table<'_>, tcp: &mut Tcp) {
    let idle = Duration::from_millis(100)..=Duration::from_secs(3_600);
    set(&mut tcp.idle, table.get("idle").and_then(|value| value.duration(idle)));
    set(&mut tcp.connections, table.get("connections").and_then(|value| value.integer(1..=1_000_000)));
    let per_client = table.get("connections_per_client").and_then(|value| value.integer(1..=1_000_000));
    set(&mut tcp.connections_per_client, per_client);
}

fn section_tls(table: &Table<'_>, directory: &Path) -> Tls {
    let mut tls = Tls {
        listen: Vec::new(),
        quic: Vec::new(),
        files: None,
        idle: limits::TLS_IDLE,
        connections: limits::TLS_CONNECTIONS,
        connections_per_client: limits::TLS_CONNECTIONS_PER_CLIENT,
    };
    set(&mut tls.listen, table.get("listen").map(|value| addresses(&value, 853)));
    set(&mut tls.quic, table.get("quic").map(|value| addresses(&value, 853)));
    let of_both = |value: &Value<'_>, other| {
        value.error(
            format!("`{other}` is missing"),
            "give both files, or neither for a certificate of its own",
        );
    };
    tls.files = match (table.get("certificate"), table.get("key")) {
        (Some(certificate), Some(key)) => {
            match (path(Some(certificate), directory), path(Some(key), directory)) {
                (Some(certificate), Some(key)) => Some(Files { certificate, key }),
                _ => None,
            }
        }
        (Some(certificate), None) => {
            of_both(&certificate, "key");
            None
        }
        (None, Some(key)) => {
            of_both(&key, "certificate");
            None
        }
        (None, None) => None,
    };
    let idle = Duration::from_millis(100)..=Duration::from_secs(3_600);
    set(&mut tls.idle, table.get("idle").and_then(|value| value.duration(idle)));
    set(&mut tls.connections, table.get("connections").and_then(|value| value.integer(1..=1_000_000)));
    let per_client = table.get("connections_per_client").and_then(|value| value.integer(1..=1_000_000));
    set(&mut tls.connections_per_client, per_client);
    tls
}

fn section_admin(table: &Table<'_>, directory: &Path, admin: &mut Admin) {
    admin.socket = path(table.get("socket"), directory);
    admin.tokens = path(table.get("tokens"), directory);
    if let Some(value) = table.get("listen") {
        admin.listen = value.parsed("address with a port", "127.0.0.1:8080");
        if admin.tokens.is_none() {
            value.error(
                "anybody who reaches this address could drain a site",
                "add tokens = \"admin.tokens\"",
            );
        }
    }
}

/// A window in which a site is drained.
fn maintenance(value: &Value<'_>) -> Option<Order> {
    let table = value.table()?;
    let site = table.need("site", "\"tw\"").and_then(|site| site.string());
    let moment = |key: &'static str| {
        let value = table.need(key, "\"2026-11-24T02:00:00Z\"")?;
        let text = value.str()?;
        let moment = humantime::parse_rfc3339_weak(text).ok();
        let since_epoch = moment.and_then(|moment| moment.duration_since(SystemTime::UNIX_EPOCH).ok());
        if since_epoch.is_none() {
            value.error(format!("\"{text}\" is no moment"), "write it in UTC as \"2026-11-24T02:00:00Z\"");
        }
        since_epoch.map(|span| Tick(0) + span)
    };
    let (since, until) = (moment("from"), moment("until"));
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        value.error("the window ends before it begins", "write a later `until`");
    }
    let reason = table.get("reason").and_then(|value| value.string());
    table.finish();
    let by = "a maintenance window of waypost.toml".to_owned();
    let (scope, since, until) = (Scope::Site(site?), since?, Some(until?));
    Some(Order { scope, desired: Desired::Drained, by, since, until, reason })
}

fn section_geoip(table: &Table<'_>, directory: &Path, server: &mut Server) {
    server.database = path(table.get("database"), directory);
    if let Some(value) = table.get("geofeeds") {
        server.geofeeds = value.strings().iter().map(|text| directory.join(text)).collect();
    }
    if let Some(keys) = table.table("keys") {
        let Keys { country, continent, subdivision, asn } = &mut server.rules.keys;
        for (key, paths) in
            [("country", country), ("continent", continent), ("subdivision", subdivision), ("asn", asn)]
        {
            set(paths, keys.get(key).map(|value| value.strings()));
        }
        keys.finish();
    }
}

fn region(
    name: &str,
    key: &Value<'_>,
    table: &Table<'_>,
    directory: &Path,
    server: &mut Server,
) -> RegionRule {
    if ROUTE_KEYS.contains(&name) {
        key.key_error(
            format!("a region can't be called \"{name}\""),
            "routes have a key of this name: take another",
        );
    }
    let strings = |key| table.get(key).map_or_else(Vec::new, |value| value.strings());
    let codes = |key: &'static str, length: Option<usize>| -> Vec<String> {
        let values = table.get(key).map_or_else(Vec::new, |value| value.list());
        let code = |value: &Value<'_>| {
            let text = value.string()?.to_ascii_uppercase();
            if length.is_some_and(|length| text.len() != length) {
                value.error(
                    format!("\"{text}\" is no code of {key}"),
                    "write two letters, as \"TW\" (ISO 3166-1)",
                );
            }
            Some(text)
        };
        values.iter().filter_map(code).collect()
    };
    let id = RegionId(u16::try_from(server.rules.regions.len() + 1).unwrap_or(u16::MAX));
    server.network_files.extend(strings("network_files").iter().map(|file| (id, directory.join(file))));
    RegionRule {
        name: name.to_owned(),
        networks: table
            .get("networks")
            .map_or_else(Vec::new, |value| value.list().iter().filter_map(network).collect()),
        asns: table.get("asns").map_or_else(Vec::new, |value| {
            value.list().iter().filter_map(|one| one.integer(1..=u64::from(u32::MAX))).collect()
        }),
        subdivisions: codes("subdivisions", None),
        countries: codes("countries", Some(2)),
        continents: codes("continents", Some(2)),
    }
}

pub(super) fn network(value: &Value<'_>) -> Option<IpNet> {
    match parse_network(value.str()?) {
        Ok(network) => Some(network),
        Err(error) => {
            value.error(error.message, error.help);
            None
        }
    }
}

fn addresses(value: &Value<'_>, port: u16) -> Vec<SocketAddr> {
    let list = value.list();
    if list.is_empty() {
        let example = format!("write [\"0.0.0.0:{port}\", \"[::]:{port}\"]");
        value.error("there is no address to listen on", example);
    }
    let example = if port == 53 { "0.0.0.0:53" } else { "0.0.0.0:853" };
    list.iter().filter_map(|one| one.parsed("address with a port", example)).collect()
}

pub(super) fn path(value: Option<Value<'_>>, directory: &Path) -> Option<PathBuf> {
    value.and_then(|value| value.str()).map(|text| directory.join(text))
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// The host's name, for whoever asks which server answers.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::env::var("HOSTNAME").map_err(std::io::Error::other));
    name.ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "waypost".to_owned())
}

/// An address that can be posted to.
fn url(value: &Value<'_>) -> Option<String> {
    let text = value.string()?;
    if !text.starts_with("http://") && !text.starts_with("https://") {
        value.error(
            format!("\"{text}\" is no address to post to"),
            "write \"https://hooks.example.com/drained\"",
        );
        return None;
    }
    Some(text)
}
