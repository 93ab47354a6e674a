//! `waypost check [DIR]`: everything, as the server would read it, and with `--live` as the world
//! sees it.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

use super::live::{self, Served, View};
use super::{CONFIG, Failure, Format};
use crate::config::zone::worst_case;
use crate::diagnostic::{Diagnostic, Severity};
use crate::keys;
use crate::load::{Offline, read_once};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Directory with a waypost.toml, or a configuration file itself
    #[arg(value_name = "DIR", default_value = ".")]
    place: PathBuf,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Warnings count as errors
    #[arg(long)]
    strict: bool,
    /// Ask every nameserver of every zone too: which are lame, stale or different
    #[arg(long)]
    live: bool,
    /// With --live, ask these servers instead of those in the zones' NS records
    #[arg(long, value_name = "ADDRESS:PORT", requires = "live")]
    server: Vec<SocketAddr>,
}

/// How long a route's clients may be sent to a dead target.
#[derive(Debug, Serialize)]
struct RouteCase {
    zone: String,
    route: String,
    worst_case: String,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    diagnostics: &'a [Diagnostic],
    routes: &'a [RouteCase],
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<&'a [Served]>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = if args.place.is_dir() { args.place.join(CONFIG) } else { args.place.clone() };
    let mut offline = read_once(&config);
    offline.diagnostics.extend(certificate(&offline));
    let mut of_keys = keys::check(&offline);
    if args.live {
        of_keys.extend(keys::check_parent(&offline));
    }
    offline.diagnostics.append(&mut of_keys);
    let routes = routes(&offline);
    let mut view = View::default();
    // What servers should answer is known from files without errors alone.
    if args.live && !offline.has_errors() {
        view = live::look(&offline, &args.server)?;
        offline.diagnostics.append(&mut view.findings);
    }
    match args.format {
        Format::Text => text(&offline, &routes, &view.servers),
        Format::Json => {
            let servers = args.live.then_some(&*view.servers);
            let report = Report { diagnostics: &offline.diagnostics, routes: &routes, servers };
            println!("{}", serde_json::to_string_pretty(&report)?);
        }
        Format::Github => offline.diagnostics.iter().for_each(|found| println!("{}", annotation(found))),
    }
    let is_bad = |found: &Diagnostic| found.is_error() || args.strict;
    if offline.diagnostics.iter().any(is_bad) { Err(Failure::Said) } else { Ok(()) }
}

/// What is wrong with the certificate of TLS, or its key.
fn certificate(offline: &Offline) -> Option<Diagnostic> {
    offline.server.as_ref()?.tls.as_ref()?.files.as_ref()?.read().err()
}

fn routes(offline: &Offline) -> Vec<RouteCase> {
    let zones = offline.zones.iter();
    zones
        .flat_map(|(files, loaded)| {
            loaded.config.routing.routes.iter().map(|route| RouteCase {
                zone: files.apex.to_string(),
                route: route.label.clone(),
                worst_case: worst_case(&loaded.config, route).to_string(),
            })
        })
        .collect()
}

fn text(offline: &Offline, routes: &[RouteCase], servers: &[Served]) {
    for found in &offline.diagnostics {
        println!("{found}");
    }
    for (files, loaded) in &offline.zones {
        let zone = &loaded.zone;
        let (serial, records) = (zone.soa().serial(), zone.record_count());
        println!("{} serial {serial}, {records} records", files.apex);
        let apex = files.apex.to_string();
        for case in routes.iter().filter(|case| case.zone == apex) {
            println!("  route {}: worst case {}", case.route, case.worst_case);
        }
        for served in servers.iter().filter(|served| served.zone == apex) {
            println!("  {served}");
        }
    }
    let count = |severity| offline.diagnostics.iter().filter(|found| found.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if errors + warnings > 0 {
        let counted = |count, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        println!("{}, {}", counted(errors, "error"), counted(warnings, "warning"));
    }
}

/// A workflow command of GitHub Actions. Its values escape what would end them.
fn annotation(found: &Diagnostic) -> String {
    let property = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
            .replace(':', "%3A")
            .replace(',', "%2C")
    };
    let level = if found.is_error() { "error" } else { "warning" };
    let mut place = format!("file={}", property(&found.path.display().to_string()));
    if found.line > 0 {
        place += &format!(",line={},col={}", found.line, found.column);
    }
    let mut message = found.message.clone();
    if let Some(help) = &found.help {
        message = format!("{message}; {help}");
    }
    let message = message.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    format!("::{level} {place}::{message}")
}
