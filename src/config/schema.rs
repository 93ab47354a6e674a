//! The formats as types, for JSON Schema: editors complete and check with it.
//!
//! The readers don't read through these types, since they must find every mistake with its place;
//! a test keeps both to the same keys. The kept files in `schema/` are written anew by
//! `WAYPOST_WRITE_SCHEMA=1 cargo test schema`.

#![allow(missing_docs, reason = "the documentation of fields is the schema's text")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

/// `waypost.toml`: where Waypost listens, where its files are, and where clients are.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ServerFile {
    pub server: Option<ServerSection>,
    pub tcp: Option<TcpSection>,
    pub probing: Option<ProbingSection>,
    pub resolver: Option<ResolverSection>,
    pub tls: Option<TlsSection>,
    pub bundles: Option<BundlesSection>,
    pub geoip: Option<GeoipSection>,
    pub admin: Option<AdminSection>,
    pub query_log: Option<QueryLogSection>,
    pub dnstap: Option<DnstapSection>,
    pub unplaced: Option<UnplacedSection>,
    pub hooks: Option<HooksSection>,
    /// Addresses outside of all sites that vouch for the network, by name.
    pub canaries: Option<BTreeMap<String, CanarySection>>,
    /// Windows in which sites are drained.
    pub maintenance: Option<OneOrMany<MaintenanceSection>>,
    /// Who is told of what happens.
    pub notify: Option<Vec<NotifySection>>,
    /// Regions by name. Networks win by longest prefix; then ASN, subdivision, country, continent.
    pub regions: Option<BTreeMap<String, RegionSection>>,
}

/// The server itself.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ServerSection {
    /// Addresses with ports to listen on, UDP and TCP. Default: port 53 of all addresses.
    pub listen: Option<OneOrMany<String>>,
    /// UDP workers for each address; 0: one for each core.
    pub workers: Option<u64>,
    /// The zone directory, relative to this file. Default: zones.
    pub zones: Option<String>,
    /// The state directory, relative to this file. Default: state.
    pub state: Option<String>,
    /// The directory of signed zones' keys, relative to this file. Default: keys.
    pub keys: Option<String>,
    /// The server's name in NSID and id.server. Default: the host's name.
    pub identity: Option<String>,
    /// Networks that may ask for health.waypost and the like. Default: loopback.
    pub inspect: Option<OneOrMany<String>>,
    /// Octets of a UDP answer, at most: 512 to 4096. Default: 1232.
    pub udp_payload: Option<u16>,
    /// A file of secrets that DNS cookies are made with, relative to this file: 32 hexadecimal
    /// digits a line; the first one signs, all are accepted. Servers of one address share it.
    /// Default: one that nobody knows, made at each start.
    pub cookie_secrets: Option<String>,
}

/// Signatures that one server makes and others answer with, which have no private key.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BundlesSection {
    /// Whether this server has keys and writes bundles, or answers with those of another.
    pub role: RoleWord,
    /// The directory of bundles, relative to this file. Default: bundles.
    pub directory: Option<String>,
    /// DS of keys by which a zone's first bundle is known, by zone: "12345 13 2 HEX". Default: the
    /// first one is taken as it is.
    pub anchors: Option<BTreeMap<String, OneOrMany<String>>>,
    /// The signer's local API, which an edge asks for bundles. Default: they are put into the
    /// directory by other means.
    pub url: Option<String>,
    /// A file with the token for it, relative to this file.
    pub token: Option<String>,
    /// How often the signer is asked. Default: 60s.
    pub interval: Option<DurationText>,
}

/// Words for it.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoleWord {
    Signer,
    Edge,
}

/// Bounds of TCP.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TcpSection {
    /// How long a connection may be silent.
    pub idle: Option<DurationText>,
    /// Connections at once.
    pub connections: Option<u64>,
    /// Connections at once of one client.
    pub connections_per_client: Option<u64>,
}

/// How probes behave towards those they ask. Read at the start.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ProbingSection {
    /// The address that probes of IPv4 targets come from. Default: the system's choice.
    pub source_ipv4: Option<String>,
    /// The address that probes of IPv6 targets come from. Default: the system's choice.
    pub source_ipv6: Option<String>,
    /// Name given with EHLO and LHLO. Default: the address that the probe comes from.
    pub ehlo: Option<String>,
    /// User-Agent of HTTP probes. Default: waypost/VERSION (health probe).
    pub user_agent: Option<String>,
    /// Connections to one address at once. Default: 16.
    pub max_connections_per_target: Option<u64>,
    /// Probes on their way at once. Default: 512.
    pub max_in_flight: Option<u64>,
}

/// Who says the addresses of targets that are host names.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ResolverSection {
    /// Recursive resolvers: addresses, with a port where it isn't 53. Default: the system's.
    pub servers: Option<OneOrMany<String>>,
}

/// DNS over TLS and QUIC. Without this section there is neither.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TlsSection {
    /// Addresses with ports to listen on for TLS; usually port 853. Default: none.
    pub listen: Option<OneOrMany<String>>,
    /// Addresses with ports to listen on for QUIC; usually port 853. Default: none.
    pub quic: Option<OneOrMany<String>>,
    /// A file with the certificate and those of its issuers (PEM), relative to this file. Default:
    /// one that the server signs itself and keeps in the state directory.
    pub certificate: Option<String>,
    /// A file with the certificate's key (PEM), relative to this file.
    pub key: Option<String>,
    /// How long a connection may be silent. Default: 30s.
    pub idle: Option<DurationText>,
    /// Connections at once, TLS and QUIC together. Default: 1024.
    pub connections: Option<u64>,
    /// Connections at once of one client. Default: 32.
    pub connections_per_client: Option<u64>,
}

/// Queries written down as lines of JSON. Without this section there are none.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct QueryLogSection {
    /// A file, relative to this one, or stdout.
    pub to: String,
    #[schemars(flatten)]
    pub selection: SelectionKeys,
}

/// Queries handed to a dnstap reader. Without this section there is none.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DnstapSection {
    /// The Unix socket that the reader listens at.
    pub socket: String,
    /// Who the messages come from. Default: the server's identity.
    pub identity: Option<String>,
    /// Which version of it. Default: waypost and its version.
    pub version: Option<String>,
    #[schemars(flatten)]
    pub selection: SelectionKeys,
}

/// Which queries are written down.
#[derive(JsonSchema)]
pub struct SelectionKeys {
    /// One of how many queries. Default: 1, all of them.
    pub sample: Option<u32>,
    /// Zones that answered. Default: all, and none.
    pub zones: Option<OneOrMany<String>>,
    /// Names that a question is at or below. Default: all.
    pub names: Option<OneOrMany<String>>,
    /// Response codes, as NXDOMAIN. Default: all.
    pub rcodes: Option<OneOrMany<String>>,
    /// Networks that queries come from. Default: all.
    pub clients: Option<OneOrMany<String>>,
}

/// Client networks that no region has, which are counted for the status page.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct UnplacedSection {
    /// One of how many queries is looked at; 0: none. Default: 100.
    pub sample: Option<u32>,
}

/// The local API.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AdminSection {
    /// Its Unix socket, relative to this file. Default: admin.sock in the state directory.
    pub socket: Option<String>,
    /// A TCP address for it too, as 127.0.0.1:8080. Needs `tokens`.
    pub listen: Option<String>,
    /// A file of tokens, one a line behind the name of whose it is, relative to this file.
    pub tokens: Option<String>,
}

/// Programs to run.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct HooksSection {
    /// When a site or target was drained: a program and its arguments.
    pub drain: Option<OneOrMany<String>>,
    /// Where it is posted as JSON, beside that.
    pub drain_url: Option<String>,
}

/// A canary: an address, and a probe of it.
#[derive(JsonSchema)]
pub struct CanarySection {
    /// The address.
    pub address: String,
    #[serde(flatten)]
    pub probe: ProbeSection,
}

/// A window in which a site is drained.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct MaintenanceSection {
    /// The site.
    pub site: String,
    /// When it begins, in UTC: 2026-11-24T02:00:00Z.
    pub from: String,
    /// When it ends.
    pub until: String,
    /// Why, for people.
    pub reason: Option<String>,
}

/// A receiver of notifications. Paths are relative to this file.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct NotifySection {
    /// Its name: letters, digits, hyphens, underscores.
    pub name: String,
    /// What it speaks.
    pub r#type: NotifyType,
    /// Severities that it is told of. Default: critical and warning.
    pub severity: Option<OneOrMany<SeverityWord>>,
    /// Zones that it is told of. Default: all.
    pub zones: Option<OneOrMany<String>>,
    /// Sites that it is told of. Default: all.
    pub sites: Option<OneOrMany<String>>,
    pub template: Option<TemplateSection>,
    /// URL of webhook, slack and teams; of an alertmanager without the path of its API.
    pub url: Option<String>,
    /// A file with the URL, in place of url.
    pub url_file: Option<String>,
    /// A file of certificates that are trusted beside the system's (PEM).
    pub ca_file: Option<String>,
    /// A file with the secret that bodies of a webhook are signed with.
    pub secret_file: Option<String>,
    /// Submission server of email: a host name, which its certificate must have.
    pub server: Option<String>,
    /// Its port. Default: 587, with implicit TLS 465, without TLS 25.
    pub port: Option<u16>,
    /// When TLS begins. Default: starttls.
    pub encryption: Option<EncryptionWord>,
    /// The user that mail is handed in by.
    pub user: Option<String>,
    /// A file with the user's password.
    pub password_file: Option<String>,
    /// Whom mail is from.
    pub from: Option<String>,
    /// Whom mail goes to.
    pub to: Option<OneOrMany<String>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum NotifyType {
    Webhook,
    Slack,
    Teams,
    Alertmanager,
    Email,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum SeverityWord {
    Critical,
    Warning,
    Info,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum EncryptionWord {
    Starttls,
    Implicit,
    None,
}

/// What messages say. Places: {summary} {events} {severity} {server} {zones} {sites} {count} {time}.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TemplateSection {
    /// In one line. Default: {summary}.
    pub title: Option<String>,
    /// At length. Default: {events}.
    pub text: Option<String>,
}

/// Where clients are.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct GeoipSection {
    /// An MMDB database, relative to this file.
    pub database: Option<String>,
    /// Geofeeds (RFC 8805), relative to this file.
    pub geofeeds: Option<OneOrMany<String>>,
    pub keys: Option<KeysSection>,
}

/// Paths into the database's records, as `country.iso_code`; the first that finds something wins.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct KeysSection {
    pub country: Option<OneOrMany<String>>,
    pub continent: Option<OneOrMany<String>>,
    pub subdivision: Option<OneOrMany<String>>,
    pub asn: Option<OneOrMany<String>>,
}

/// What belongs to a region.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RegionSection {
    /// ISO 3166-1 alpha-2 codes.
    pub countries: Option<OneOrMany<String>>,
    /// AF, AN, AS, EU, NA, OC, SA.
    pub continents: Option<OneOrMany<String>>,
    /// ISO 3166-2 codes, as TW-TPE.
    pub subdivisions: Option<OneOrMany<String>>,
    /// Numbers of autonomous systems.
    pub asns: Option<OneOrMany<u32>>,
    /// CIDR networks; they win over the database.
    pub networks: Option<OneOrMany<String>>,
    /// Files with one network a line, relative to this file.
    pub network_files: Option<OneOrMany<String>>,
}

/// How a zone's names move: the TOML file beside the zone file.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ZoneFile {
    /// Sites (datacentres), by name. Needed only to say something of a whole site.
    pub sites: Option<BTreeMap<String, SiteSection>>,
    /// What "alive" means, by name.
    pub probes: Option<BTreeMap<String, ProbeSection>>,
    /// Where clients can be sent, by name.
    pub targets: Option<BTreeMap<String, TargetSection>>,
    /// Names that move. The key is the owner name, relative to the zone, unless `name` says otherwise.
    pub routes: Option<BTreeMap<String, RouteSection>>,
    pub dnssec: Option<DnssecSection>,
}

/// Whether and how the zone is signed.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DnssecSection {
    /// Whether it is signed here.
    pub sign: bool,
    /// How names that aren't there are denied. Default: nsec.
    pub denial: Option<DenialWord>,
    /// The algorithm of new keys. Default: ecdsap256sha256.
    pub algorithm: Option<AlgorithmWord>,
    /// One key for all, or one for keys and one for the zone. Default: csk.
    pub keys: Option<KeysWord>,
    /// How long a ZSK signs, or "never". Default: 90d.
    pub zsk_lifetime: Option<DurationText>,
    /// How long a KSK or CSK signs, or "never". Default: never.
    pub ksk_lifetime: Option<DurationText>,
    /// How long signatures hold, at least 14d. Default: 21d.
    pub signature_validity: Option<DurationText>,
    /// Seconds that caches keep DNSKEY, CDS and CDNSKEY. Default: 3600.
    pub dnskey_ttl: Option<u32>,
    /// Seconds that caches keep the parent's DS, if a longer TTL isn't seen there. Default: 86400.
    pub parent_ds_ttl: Option<u32>,
    /// How long a change takes to reach all nameservers of the zone. Default: 1h.
    pub propagation: Option<DurationText>,
    /// Addresses of the parent's nameservers, asked for DS. Default: those that the system's
    /// resolver finds.
    pub parent: Option<OneOrMany<String>>,
    /// With sign = false: signatures end now, though the parent may have DS. Default: false.
    pub at_once: Option<bool>,
    /// DNSKEYs of other providers that sign this zone too (RFC 8901): "256 3 13 BASE64".
    pub other_dnskeys: Option<OneOrMany<String>>,
}

/// How many of a target's probes must be well.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum ProbesNeed {
    Word(ProbesNeedWord),
    Number(u64),
}

/// Words for it.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProbesNeedWord {
    All,
    Any,
}

/// A site.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SiteSection {
    /// For people.
    pub description: Option<String>,
    /// What the operator says of all its targets.
    pub state: Option<StateWord>,
    /// What must be served for the site to be: all its other targets need these.
    pub needs: Option<OneOrMany<String>>,
    /// How many shares of clients each of its targets can take in all.
    pub capacity: Option<u32>,
    /// How many each has while everything is well.
    pub load: Option<u32>,
}

/// A probe.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ProbeSection {
    /// What it asks.
    pub r#type: ProbeType,
    /// Host header of http, https and prometheus, and the certificate's name.
    pub host: Option<String>,
    /// Path of http, https and prometheus, by default / and /metrics; or the file of file, with
    /// {address} and {target} filled in.
    pub path: Option<String>,
    /// Port, where it isn't the type's own.
    pub port: Option<u16>,
    /// GET or HEAD. Default: GET.
    pub method: Option<MethodWord>,
    /// Healthy status codes: 200, "200-399", or a list of these.
    pub status: Option<OneOrMany<StatusRange>>,
    /// What headers of the answer must be.
    pub header: Option<OneOrMany<HeaderSection>>,
    /// Text that the body must contain.
    pub body: Option<String>,
    /// Whether redirects to the same host are followed. Default: refuse, which judges their status.
    pub redirects: Option<RedirectsWord>,
    /// A metric with labels, as 'postfix_queue_length{queue="deferred"}'; several are summed up.
    pub metric: Option<String>,
    /// The metric is healthy below this.
    pub below: Option<f64>,
    /// The metric is healthy above this.
    pub above: Option<f64>,
    /// Whether the page with metrics is asked for over TLS. Default: false.
    pub tls: Option<bool>,
    /// Name that a dns probe asks for, relative to the zone.
    pub name: Option<String>,
    /// Type that a dns probe asks for. Default: SOA.
    pub rtype: Option<String>,
    /// Whether a dns probe asks over TCP. Default: false.
    pub tcp: Option<bool>,
    /// Whether a dns probe asks for recursion. Default: false.
    pub recursion: Option<bool>,
    /// Whether a dns probe wants something in the answer section. Default: false.
    pub answer: Option<bool>,
    /// Program of exec and its arguments; {address} and {target} are filled in.
    pub command: Option<OneOrMany<String>>,
    /// Whether exit code 1 of exec is healthy. Default: true.
    pub warning_is_healthy: Option<bool>,
    /// How long a verdict of push or file holds; silence beyond that is a failure.
    pub ttl: Option<DurationText>,
    /// Labels of the alerts that take a target of push down; {site}, {target} and {address} are
    /// filled in.
    pub alert: Option<BTreeMap<String, String>>,
    /// Name given with EHLO and LHLO. Default: that of `[probing]`.
    pub ehlo: Option<String>,
    /// Whether smtp, lmtp, imap, pop3 and managesieve must offer STARTTLS and its handshake succeed.
    pub starttls: Option<bool>,
    /// Name for SNI, which the certificate must have.
    pub tls_name: Option<String>,
    /// Whether the certificate is verified. Default: true.
    pub verify: Option<bool>,
    /// The oldest version of TLS that will do. Default: 1.2.
    pub tls_min: Option<TlsVersionWord>,
    /// Days that the certificate must still be valid for. Default: 0, which asks nothing.
    pub cert_days: Option<u16>,
    /// Whether an idle connection is held, whose loss has the target probed at once. Default: true
    /// for http, https, imap and imaps, false for others.
    pub tripwire: Option<bool>,
    /// Time between two probes. Default: 5s.
    pub interval: Option<DurationText>,
    /// Time after which an unanswered probe has failed. Default: 2s.
    pub timeout: Option<DurationText>,
    /// Failures in a row that make it DOWN. Default: 3.
    pub fall: Option<u32>,
    /// Successes in a row that make it UP again. Default: 2.
    pub rise: Option<u32>,
    /// Time between two probes while a failure is being confirmed. Default: 300ms.
    pub confirm_interval: Option<DurationText>,
    /// Least time in DOWN. Default: 10s.
    pub hold: Option<DurationText>,
}

/// What a header of an answer must be: there, unless more is said.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct HeaderSection {
    pub name: String,
    pub equals: Option<String>,
    pub contains: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "UPPERCASE")]
pub enum MethodWord {
    Get,
    Head,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum RedirectsWord {
    Refuse,
    Follow,
}

/// A target.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TargetSection {
    /// The site that it stands in.
    pub site: Option<String>,
    /// IPv4 address: answered by address routes, and probed.
    pub ipv4: Option<String>,
    /// IPv6 address, likewise.
    pub ipv6: Option<String>,
    /// Host name that others serve and that says the addresses, in place of ipv4 and ipv6:
    /// resolved again and again by its TTL. Always absolute.
    pub address_of: Option<String>,
    /// Host name: answered by cname, mx and srv routes.
    pub host: Option<String>,
    /// Names of its probes.
    pub probes: Option<OneOrMany<String>>,
    /// How many of them must be well: "all", "any", or a number. Default: all.
    pub probes_need: Option<ProbesNeed>,
    /// What the operator says of it; wins over probes and over its site's state.
    pub state: Option<StateWord>,
    /// What to take it for until its first probe has answered. Default: up.
    pub assume: Option<AssumeWord>,
    /// Targets, or routes at its site, that must be served for this to be.
    pub needs: Option<OneOrMany<String>>,
    /// How many shares of clients it can take in all. Default: its site's.
    pub capacity: Option<u32>,
    /// How many it has while everything is well. Default: its site's.
    pub load: Option<u32>,
}

/// A route. Every other key is a region's name, with its chain.
#[derive(JsonSchema)]
pub struct RouteSection {
    /// What it answers.
    pub r#type: RouteType,
    /// The owner, relative to the zone; @ is the apex. Default: the route's key.
    pub name: Option<String>,
    /// Several owners that move together.
    pub names: Option<Vec<String>>,
    /// Port of an srv route.
    pub port: Option<u16>,
    /// The chain of all clients whose region has none of its own.
    pub default: OneOrMany<TierItem>,
    /// Least number of targets in an answer, filled up from following tiers.
    pub answers: Option<u64>,
    /// Seconds that caches may keep answers. Default: 20, and 300 for mx and srv.
    pub ttl: Option<u32>,
    /// Seconds while something is moving. Default: 5, and 60 for mx and srv.
    pub short_ttl: Option<u32>,
    /// When a recovered target gets its clients back: auto, manual, or a time.
    pub failback: Option<String>,
    /// The second site must not be taken over from by itself: failback is manual.
    pub active_standby: Option<bool>,
    /// Whether the client subnet places the client. Default: true.
    pub ecs: Option<bool>,
    /// Whether a client's network always gets the same of several targets with shares. Default:
    /// true; otherwise each query gets one by chance.
    pub sticky: Option<bool>,
    /// How much of a tier must be healthy for it to answer: "50%" of its weights, or a number of
    /// targets. A tier below it hands all its clients to the next.
    pub min_healthy: Option<MinimumText>,
    #[schemars(flatten)]
    pub regions: BTreeMap<String, OneOrMany<TierItem>>,
}

/// One value or several.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// A target, or targets of equal rank.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum TierItem {
    Target(String),
    Weighted(WeightedTarget),
    Tier(Vec<TierMember>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum TierMember {
    Target(String),
    Weighted(WeightedTarget),
}

/// Part of a tier: "50%", or a number of targets.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum MinimumText {
    Percent(String),
    Targets(u32),
}

/// A target with its share of the tier's clients: by weight, or in per cent.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct WeightedTarget {
    pub target: String,
    pub weight: Option<u16>,
    /// Per cent of the tier's clients; targets of the tier without it share the rest.
    pub percent: Option<u8>,
}

/// A length of time: "5s", "300ms", "10m", or seconds.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum DurationText {
    Text(String),
    Seconds(u64),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum StatusRange {
    Code(u16),
    Range(String),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum StateWord {
    Auto,
    Up,
    Down,
    Drained,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum AssumeWord {
    Up,
    Down,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum ProbeType {
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
    Smtp,
    Submission,
    Submissions,
    Lmtp,
    Imap,
    Imaps,
    Pop3,
    Pop3s,
    Managesieve,
}

#[derive(JsonSchema)]
pub enum TlsVersionWord {
    #[schemars(rename = "1.2")]
    V1_2,
    #[schemars(rename = "1.3")]
    V1_3,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum DenialWord {
    Nsec,
    Nsec3,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum AlgorithmWord {
    EcdsaP256Sha256,
    Ed25519,
}

#[derive(JsonSchema)]
pub enum KeysWord {
    #[schemars(rename = "csk")]
    Csk,
    #[schemars(rename = "ksk+zsk")]
    KskZsk,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum RouteType {
    Address,
    Cname,
    Mx,
    Srv,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn kept(name: &str, schema: &schemars::Schema) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(name);
        let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
        if std::env::var_os("WAYPOST_WRITE_SCHEMA").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "{name} is old: run WAYPOST_WRITE_SCHEMA=1 cargo test schema");
    }

    #[test]
    fn schema_files_are_current() {
        kept("waypost.schema.json", &schemars::schema_for!(ServerFile));
        kept("zone.schema.json", &schemars::schema_for!(ZoneFile));
    }

    /// Keys of a type in its schema.
    fn keys<T: JsonSchema>() -> BTreeSet<String> {
        let schema = schemars::schema_for!(T);
        let properties = schema.get("properties").and_then(|value| value.as_object()).unwrap();
        properties.keys().cloned().collect()
    }

    /// Reads a file with a key that no reader knows, and gives the keys that it says are known.
    fn known(message: &str) -> BTreeSet<String> {
        let list = message.strip_prefix("known here are ").unwrap_or_else(|| panic!("{message}"));
        list.split(", ").map(str::to_owned).collect()
    }

    #[test]
    fn schema_has_the_keys_that_the_readers_know() {
        let apex = crate::wire::name::Name::parse("example.com.", None).unwrap();
        let server = |text: &str| {
            let errors = super::super::server::parse(Path::new("waypost.toml"), text).unwrap_err();
            known(errors[0].help.as_deref().unwrap())
        };
        let zone = |text: &str| {
            let errors = super::super::zone::parse(Path::new("z.toml"), text, &apex, &[]).unwrap_err();
            let error = errors.iter().find(|error| error.message.contains("zzzzzzzz")).unwrap();
            known(error.help.as_deref().unwrap())
        };
        assert_eq!(server("zzzzzzzz = 1"), keys::<ServerFile>());
        assert_eq!(server("[server]\nzzzzzzzz = 1"), keys::<ServerSection>());
        assert_eq!(server("[tcp]\nzzzzzzzz = 1"), keys::<TcpSection>());
        assert_eq!(server("[probing]\nzzzzzzzz = 1"), keys::<ProbingSection>());
        assert_eq!(server("[resolver]\nzzzzzzzz = 1"), keys::<ResolverSection>());
        assert_eq!(server("[tls]\nzzzzzzzz = 1"), keys::<TlsSection>());
        assert_eq!(server("[bundles]\nrole = \"edge\"\nzzzzzzzz = 1"), keys::<BundlesSection>());
        assert_eq!(server("[geoip]\nzzzzzzzz = 1"), keys::<GeoipSection>());
        assert_eq!(server("[geoip.keys]\nzzzzzzzz = 1"), keys::<KeysSection>());
        assert_eq!(server("[admin]\nzzzzzzzz = 1"), keys::<AdminSection>());
        assert_eq!(server("[query_log]\nto = \"stdout\"\nzzzzzzzz = 1"), keys::<QueryLogSection>());
        assert_eq!(server("[dnstap]\nsocket = \"s\"\nzzzzzzzz = 1"), keys::<DnstapSection>());
        assert_eq!(server("[unplaced]\nzzzzzzzz = 1"), keys::<UnplacedSection>());
        assert_eq!(server("[hooks]\nzzzzzzzz = 1"), keys::<HooksSection>());
        let window = "site = \"tw\"\nfrom = \"2026-11-24T02:00:00Z\"\nuntil = \"2026-11-24T04:00:00Z\"";
        let maintenance = format!("[[maintenance]]\n{window}\nzzzzzzzz = 1");
        assert_eq!(server(&maintenance), keys::<MaintenanceSection>());
        let mut of_notify = BTreeSet::new();
        for (kind, keys) in [
            ("webhook", "url = \"https://a.example\""),
            ("slack", "url = \"https://a.example\""),
            ("email", "server = \"a.example\"\nfrom = \"a@b.example\"\nto = \"a@b.example\""),
        ] {
            let text = format!("[[notify]]\nname = \"a\"\ntype = \"{kind}\"\n{keys}\nzzzzzzzz = 1");
            of_notify.extend(server(&text));
        }
        assert_eq!(of_notify, keys::<NotifySection>());
        let template = "[[notify]]\nname = \"a\"\ntype = \"slack\"\nurl = \"https://a.example\"\n\
                        [notify.template]\nzzzzzzzz = 1";
        assert_eq!(server(template), keys::<TemplateSection>());
        assert_eq!(server("[regions.tw]\nzzzzzzzz = 1"), keys::<RegionSection>());
        assert_eq!(zone("zzzzzzzz = 1"), keys::<ZoneFile>());
        assert_eq!(zone("[dnssec]\nsign = true\nzzzzzzzz = 1"), keys::<DnssecSection>());
        assert_eq!(zone("[sites.tw]\nzzzzzzzz = 1"), keys::<SiteSection>());
        assert_eq!(zone("[targets.a]\nipv4 = \"192.0.2.1\"\nzzzzzzzz = 1"), keys::<TargetSection>());
        let mut of_probes = BTreeSet::new();
        for (probe, keys) in [
            ("http", "host = \"h\""),
            ("https", "host = \"h\""),
            ("prometheus", "host = \"h\"\nmetric = \"m\"\nbelow = 1\ntls = true"),
            ("push", "ttl = \"30s\""),
            ("file", "path = \"/run/waypost/tw\"\nttl = \"30s\""),
            ("tcp", "port = 1"),
            ("tls", "tls_name = \"h\""),
            ("smtp", "starttls = true\ntls_name = \"h\""),
            ("submission", "tls_name = \"h\""),
            ("dns", "name = \"n\""),
            ("icmp", ""),
            ("exec", "command = \"/bin/true\""),
        ] {
            of_probes.extend(zone(&format!("[probes.a]\ntype = \"{probe}\"\n{keys}\nzzzzzzzz = 1")));
        }
        assert_eq!(of_probes, keys::<ProbeSection>());
        let of_routes: BTreeSet<String> =
            super::super::zone::ROUTE_KEYS.iter().map(|&key| key.to_owned()).collect();
        assert_eq!(of_routes, keys::<RouteSection>());
    }
}
