//! The newcomer's minute: the server with the example zone, and the sites that it steers clients
//! between, all on this machine.
//!
//! Nothing in it is played: probes connect, shake hands and verify certificates as anywhere; they
//! are only led from the example's addresses, which belong to nobody, to listeners here.

mod certificate;
mod client;
mod files;
mod service;
mod site;
mod table;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tempfile::TempDir;
use tokio::runtime::Runtime;

pub use client::AskError;
pub use site::Site;
pub use table::{CLIENTS, MAIL_DOMAIN, Network, Table, WEBMAIL};

use crate::daemon::{Daemon, DaemonError, Options};
use crate::load::{Offline, read_once};
use crate::publish::Status;
use crate::route::{Family, Target};
use certificate::Authority;
use service::Service;
use table::Places;

/// A running server and its sites.
#[derive(Debug)]
pub struct Demo {
    daemon: Daemon,
    sites: Vec<Site>,
    places: Places,
    runtime: Runtime,
    _directory: TempDir,
}

/// Why the demo couldn't be started.
#[derive(Debug)]
pub enum DemoError {
    /// The server couldn't be started.
    Server(DaemonError),
    /// The example's own files have errors: all of them, a line each or more.
    Example(String),
    /// The sites' certificates couldn't be made.
    Certificate(rcgen::Error),
    /// Likewise.
    Tls(rustls::Error),
    /// A file couldn't be written or a site's socket not be opened.
    System(io::Error),
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DemoError::Server(error) => error.fmt(f),
            DemoError::Example(errors) => write!(f, "the example has errors:\n{errors}"),
            DemoError::Certificate(error) => write!(f, "cannot make the sites' certificates: {error}"),
            DemoError::Tls(error) => write!(f, "cannot use the sites' certificates: {error}"),
            DemoError::System(error) => write!(f, "cannot set the demo up: {error}"),
        }
    }
}

impl std::error::Error for DemoError {}

impl From<io::Error> for DemoError {
    fn from(error: io::Error) -> DemoError {
        DemoError::System(error)
    }
}

impl Demo {
    /// Opens the sites and starts the server.
    ///
    /// # Errors
    /// [`DemoError`], with nothing left running.
    pub fn start(listen: SocketAddr) -> Result<Demo, DemoError> {
        let directory = tempfile::Builder::new().prefix("waypost-demo-").tempdir()?;
        let config = files::write(directory.path())?;
        let example = read_once(&config);
        if example.has_errors() {
            let errors: Vec<String> = example
                .diagnostics
                .iter()
                .filter(|found| found.is_error())
                .map(ToString::to_string)
                .collect();
            return Err(DemoError::Example(errors.join("\n")));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("sites")
            .enable_all()
            .build()?;
        let authority = Authority::new().map_err(DemoError::Certificate)?;
        let (sites, redirect) = runtime.block_on(open_sites(&example, &authority))?;
        let options = Options {
            config,
            listen: Some(vec![listen]),
            state: Some(directory.path().join("state")),
            redirect,
            extra_roots: vec![authority.root()],
            ..Options::default()
        };
        let daemon = Daemon::start(options).map_err(DemoError::Server)?;
        let places = Places::of(&example);
        Ok(Demo { daemon, sites, places, runtime, _directory: directory })
    }

    /// Where the server is to be asked.
    #[must_use]
    pub fn server(&self) -> SocketAddr {
        let mut address = self
            .daemon
            .addresses()
            .first()
            .copied()
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 53)));
        match address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        address
    }

    /// The sites, in the order of the example.
    #[must_use]
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// What the server knows.
    #[must_use]
    pub fn status(&self) -> &Status {
        self.daemon.control().status()
    }

    /// The runtime of the sites.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Closes all sockets of a site, or opens them again. A site that isn't there stays so.
    ///
    /// # Errors
    /// When a port can't be had back.
    pub fn switch(&mut self, site: &str, up: bool) -> io::Result<()> {
        let Some(site) = self.sites.iter_mut().find(|candidate| candidate.name() == site) else {
            return Ok(());
        };
        self.runtime.block_on(async { if up { site.bring_up() } else { site.take_down().await } })
    }

    /// What clients of each network get now, asked over UDP.
    ///
    /// # Errors
    /// When the server doesn't answer.
    pub fn table(&self) -> Result<Table, AskError> {
        Table::ask(self.server(), &self.places)
    }

    /// Stops the server and closes the sites.
    pub fn stop(self) {
        self.daemon.stop();
        self.runtime.shutdown_background();
    }
}

/// Opens a site for each that the example's targets stand in, with the services that their probes
/// ask for, and tells where each target's ports are to be found here.
async fn open_sites(
    example: &Offline,
    authority: &Authority,
) -> Result<(Vec<Site>, HashMap<SocketAddr, SocketAddr>), DemoError> {
    let configs = || example.zones.iter().map(|(_, loaded)| &*loaded.config);
    let names = configs().flat_map(|config| &config.probes).filter_map(|spec| service::tls_name(&spec.check));
    let tls = authority.acceptor(names.map(str::to_owned).collect())?;
    let mut sites: Vec<Site> = Vec::new();
    let mut redirect = HashMap::new();
    for config in configs() {
        for target in &config.routing.targets {
            let name = site_of(target);
            let place = sites.iter().position(|site| site.name() == name).unwrap_or_else(|| {
                sites.push(Site::new(name, tls.clone()));
                sites.len() - 1
            });
            for spec in config.probes.iter().filter(|spec| target.probes.contains(&spec.name)) {
                let Some((service, port)) = Service::asked_by(&spec.check) else { continue };
                let here = sites[place].open(service)?;
                let addresses = Family::BOTH.into_iter().filter_map(|family| target.address(family));
                redirect.extend(addresses.map(|address| (SocketAddr::new(address, port), here)));
            }
        }
    }
    Ok((sites, redirect))
}

/// A target that stands in no site is one of its own.
fn site_of(target: &Target) -> &str {
    target.site.as_deref().unwrap_or(&target.name)
}
