//! A whole running server: files, sockets, probes and the writer, started in order, and ended as one.

mod parts;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc;

use self::parts::Parts;
use crate::admin;
use crate::answer::{Answered, Client, Prepared};
use crate::bundles::{Bindery, Puller};
use crate::config::bundles::Role;
use crate::config::server::{Server, Tls};
use crate::diagnostic::Diagnostic;
use crate::encrypted::{self, Encrypted, Identity};
use crate::keys::{Keeper, News, Store as Keys, Witness};
use crate::load::{LoadedZone, Loader, ReadZone, ZoneFiles};
use crate::metrics::{Metrics, Sources};
use crate::notify;
use crate::probe::prober::{Prober, ProberOptions};
use crate::publish::{self, Change, Control, Start, StartError};
use crate::querylog;
use crate::resolve::Resolver;
use crate::serve::{self, BindError};
use crate::snapshot::{Published, Snapshot};
use crate::state::Store;
use crate::watch::{self, Waker};
use crate::wire::cookie::{Secret, Secrets};
use crate::wire::query::LowerName;

/// Reports that wait for the writer. More are dropped: the next one of the same probe says it all.
const REPORTS_QUEUED: usize = 4096;

/// Resolved names that wait for the writer. Further ones wait to be handed over.
const FOUND_QUEUED: usize = 64;

/// What a server is started with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// Listens here instead of where the configuration says.
    pub listen: Option<Vec<SocketAddr>>,
    /// Keeps state here instead.
    pub state: Option<PathBuf>,
    /// Probes go there instead: from a target's address and port to where it listens.
    pub redirect: HashMap<SocketAddr, SocketAddr>,
    /// Certificates that probes trust beside the system's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// How notifications wait.
    pub notify: notify::Pace,
}

/// A running server. One that is dropped ends as one that is told to [`stop`](Daemon::stop).
#[derive(Debug)]
pub struct Daemon {
    control: Control,
    waker: Waker,
    addresses: Vec<SocketAddr>,
    runtime: Handle,
    parts: Parts,
}

/// Why a server couldn't be started.
#[derive(Debug)]
pub enum DaemonError {
    /// Files that must be good have errors.
    Files(StartError),
    /// A socket couldn't be opened.
    Bind(BindError),
    /// The system refused a thread or the like.
    System(std::io::Error),
}

impl fmt::Display for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DaemonError::Files(error) => error.fmt(f),
            DaemonError::Bind(error) => error.fmt(f),
            DaemonError::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DaemonError {}

impl Daemon {
    /// Reads all files, opens the sockets, and answers. Probes start at once.
    ///
    /// # Errors
    /// [`DaemonError`], with nothing left running.
    pub fn start(options: Options) -> Result<Daemon, DaemonError> {
        // What was started until something fails ends with it.
        let mut parts = Parts::default();
        let runtime = parts.runtime.insert(control_threads().map_err(DaemonError::System)?).handle().clone();
        let mut loader = Loader::new(&options.config).with_state(options.state.as_deref());
        let mut pass = loader.pass();
        let puller = loader.server().and_then(|server| puller(server)).transpose();
        let puller = puller.map_err(DaemonError::System)?;
        if let Some(puller) = &puller
            && pass.zones.iter().any(wants_bundle)
        {
            let wanting = pass.zones.iter().filter(|zone| wants_bundle(zone));
            runtime.block_on(puller.ask_first(wanting.map(|(files, _)| files.apex.clone()).collect()));
            loader = Loader::new(&options.config).with_state(options.state.as_deref());
            pass = loader.pass();
        }
        let Some(server) = loader.server().cloned() else {
            let errors = pass.diagnostics().filter(|found| found.is_error()).cloned().collect();
            return Err(DaemonError::Files(StartError::Files(errors)));
        };
        let is_bad = matches!(pass.geography, Some(Err(_))) || matches!(pass.cookie_secrets, Some(Err(_)));
        if !pass.directory.is_empty() || is_bad {
            let errors = pass.diagnostics().filter(|found| found.is_error()).cloned().collect();
            return Err(DaemonError::Files(StartError::Files(errors)));
        }
        let state = options.state.as_deref().unwrap_or(&server.state);
        let store = open_store(state);
        let has_state = store.is_some();
        let mut fallbacks = fallbacks(&pass, store.as_ref(), &server);
        if fallbacks.is_empty() && pass.zones.iter().all(|(_, result)| result.is_err()) {
            // With one good zone the server starts, and the others are SERVFAIL.
            let errors = pass.zones.into_iter().filter_map(|(_, result)| result.err()).flatten();
            return Err(DaemonError::Files(StartError::Files(errors.filter(Diagnostic::is_error).collect())));
        }
        // What ends the start is told once, by whoever asked for it; this is what doesn't.
        pass.diagnostics().for_each(Diagnostic::log);
        let listen = options.listen.as_deref().unwrap_or(&server.listen);
        let sockets = serve::bind(listen, serve_options(&server)).map_err(DaemonError::Bind)?;
        let encrypted = server.tls.as_ref().map(|tls| prepare_encrypted(tls, &server, state)).transpose()?;
        let (sender, reports) = mpsc::channel(REPORTS_QUEUED);
        let prober_options = ProberOptions {
            redirect: options.redirect,
            extra_roots: options.extra_roots,
            manners: server.probing.clone(),
        };
        let prober = Prober::new(&prober_options, sender, runtime.clone());
        let directories = std::mem::take(&mut pass.watch);
        if pass.cookie_secrets.is_none() {
            pass.cookie_secrets = Some(Ok(Arc::new(own_secrets().map_err(DaemonError::System)?)));
        }
        let witness = Witness::new(&state.join("ds"));
        let keeper = Arc::new(Keeper::new(Keys::new(&server.keys), Some(witness)));
        let good = pass.zones.iter_mut().filter_map(|(_, result)| result.as_mut().ok());
        let keyrings = keeper.learn(good.chain(fallbacks.iter_mut().map(|(_, loaded)| loaded)));
        let keyrings = keyrings.into_iter().collect();
        let (sender, found) = mpsc::channel(FOUND_QUEUED);
        let resolver = Resolver::new(sender, runtime.clone());
        let bindery = bindery(&server).map_err(DaemonError::System)?;
        let binds = bindery.clone();
        let query_log = querylog::start().map_err(DaemonError::System)?;
        let query_log = parts.writing.insert(query_log).handle();
        let start = Start {
            pass,
            fallbacks,
            keyrings,
            bindery,
            store,
            prober,
            reports,
            resolver,
            query_log: query_log.clone(),
            found,
        };
        let (control, writer) = publish::start(start, &runtime).map_err(DaemonError::Files)?;
        parts.writer = Some((control.clone(), writer));
        binds.iter().for_each(|bindery| bindery.tell(control.clone()));
        let service = Service(Arc::clone(control.published()));
        let encrypted =
            encrypted.map(|ready| ready.serve(&service)).transpose().map_err(DaemonError::System)?;
        parts.encrypted = encrypted;
        let encrypted = parts.encrypted.as_ref();
        let running = parts.running.insert(sockets.serve(service).map_err(DaemonError::System)?);
        let taps = running.taps().and(encrypted.map(Encrypted::taps).unwrap_or_default());
        query_log.serve(taps, Arc::clone(control.status()), Arc::clone(control.published()));
        let of_encrypted = encrypted.map(Encrypted::counters).unwrap_or_default();
        let told = notify::start(control.status(), has_state.then_some(state), options.notify, &runtime);
        let meters = running.meters().with_encrypted(of_encrypted);
        let metrics = Metrics::new(Sources {
            meters,
            status: Arc::clone(control.status()),
            published: Arc::clone(control.published()),
            query_log: query_log.clone(),
            keys: Arc::clone(&keeper),
            bundles: binds.map(|bindery| bindery.written().clone()).unwrap_or_default(),
            identity: encrypted.map(Encrypted::identity),
            notify: told,
        });
        let shown = admin::Shown { control: control.clone(), metrics: Arc::new(metrics), queries: query_log };
        admin::start(&server, options.state.as_deref(), &shown, &runtime);
        let watcher = watch::start(loader, directories, control.clone(), Arc::clone(&keeper));
        let (waker, _) = parts.watcher.insert(watcher.map_err(DaemonError::System)?);
        let (waker, addresses) = (waker.clone(), running.local_addresses().to_vec());
        let changes = control.clone();
        let started = parts.keeper.insert(keeper).start(move |news| {
            changes.send(match news {
                News::Keys(zone, keyring) => Change::Keys { zone, keyring },
                News::Unsigned(zone) => Change::Unsigned { zone },
                News::Trouble(zone, what) => Change::Trouble { zone, what },
            });
        });
        started.map_err(DaemonError::System)?;
        if let Some(puller) = puller {
            runtime.spawn(puller.run(control.clone()));
        }
        Ok(Daemon { control, waker, addresses, runtime, parts })
    }

    /// Where changes are sent, and what the server knows.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Reads files anew when told so.
    #[must_use]
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What serves TLS and QUIC, if anything does.
    #[must_use]
    pub fn encrypted(&self) -> Option<&Encrypted> {
        self.parts.encrypted.as_ref()
    }

    /// Its runtime, for waiting.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Stops answering, and all else; state is kept. Whatever doesn't end within [`STOP`](crate::limits::STOP)
    /// is told in the log, and left behind.
    pub fn stop(self) {
        drop(self.parts);
    }
}

/// One guard of the snapshot for a batch of queries.
#[derive(Clone, Debug)]
struct Service(Arc<Published>);

impl serve::Service for Service {
    type Batch<'a> = arc_swap::Guard<Arc<Snapshot>>;
    type Prepared<'b> = Prepared<'b>;

    fn begin(&self) -> Self::Batch<'_> {
        self.0.load()
    }

    fn prepare<'b>(batch: &'b Self::Batch<'_>, query: &'b [u8], name: &'b mut LowerName) -> Prepared<'b> {
        Prepared::new(batch, query, name)
    }

    fn fetch<'p, 'b: 'p>(prepared: impl Iterator<Item = &'p Prepared<'b>> + Clone) {
        Prepared::fetch(prepared);
    }

    fn answer(prepared: &Prepared<'_>, client: &Client, out: &mut [u8]) -> Answered {
        prepared.answer(client, out)
    }
}

/// The threads of all that isn't a query: probes, names, the local API, notifications.
fn control_threads() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("control").enable_all().build()
}

/// What writes bundles, on a server that signs for others.
fn bindery(server: &Server) -> std::io::Result<Option<Bindery>> {
    let bundles = server.bundles.as_ref().filter(|bundles| bundles.role == Role::Signer);
    bundles.map(|bundles| Bindery::start(&bundles.directory)).transpose()
}

/// What gets bundles, on a server that asks another for them.
fn puller(server: &Server) -> Option<std::io::Result<Arc<Puller>>> {
    let bundles = server.bundles.as_ref()?;
    Some(Puller::new(bundles.pull.clone()?, bundles.directory.clone()))
}

/// Whether a zone has errors and no bundle yet, or one whose signatures ended while the server stood
/// still: then the signer is asked before anything is answered.
fn wants_bundle((files, result): &ReadZone) -> bool {
    match result {
        Ok(loaded) => {
            let end = loaded.signer.as_ref().and_then(|signer| signer.earliest_end());
            end.is_some_and(|end| end <= publish::now().0 / 1000)
        }
        Err(_) => !files.bundle.exists(),
    }
}

/// How the sockets are served.
fn serve_options(server: &Server) -> serve::Options {
    let defaults = serve::Options::default();
    serve::Options {
        workers: if server.workers == 0 { defaults.workers } else { server.workers },
        udp_payload: server.udp_payload,
        tcp_idle: server.tcp.idle,
        tcp_connections: server.tcp.connections,
        tcp_connections_per_client: server.tcp.connections_per_client,
    }
}

/// Certificate and sockets of the encrypted transports.
fn prepare_encrypted(tls: &Tls, server: &Server, state: &Path) -> Result<encrypted::Ready, DaemonError> {
    let options = encrypted::Options {
        tls: tls.listen.clone(),
        quic: tls.quic.clone(),
        workers: serve_options(server).workers,
        idle: tls.idle,
        connections: tls.connections,
        connections_per_client: tls.connections_per_client,
    };
    let identity = match &tls.files {
        Some(files) => Identity::of(files),
        None => Identity::own(state, &server.identity),
    };
    let identity = identity.map_err(|found| DaemonError::Files(StartError::Files(vec![found])))?;
    encrypted::bind(options, identity, tls.files.clone()).map_err(DaemonError::Bind)
}

/// Without a state directory the server answers all the same; it only forgets more.
fn open_store(directory: &Path) -> Option<Store> {
    match Store::open(directory) {
        Ok(store) => Some(store),
        Err(error) => {
            tracing::error!(%error, "nothing will be kept over a restart");
            None
        }
    }
}

/// A secret that nobody knows: clients get new cookies after a restart.
fn own_secrets() -> std::io::Result<Secrets> {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).map_err(std::io::Error::other)?;
    Ok(Secrets::new(Secret::new(octets), []))
}

/// Last good versions of zones whose files have errors now.
fn fallbacks(
    pass: &crate::load::Pass,
    store: Option<&Store>,
    server: &Server,
) -> Vec<(Arc<ZoneFiles>, LoadedZone)> {
    let failed = pass.zones.iter().filter(|(_, result)| result.is_err()).map(|(files, _)| &files.apex);
    failed
        .filter_map(|apex| {
            let kept = Arc::new(store?.zone(apex)?);
            match crate::load::read_zone(&kept, server) {
                Ok(loaded) => Some((kept, loaded)),
                Err(errors) => {
                    errors.iter().for_each(Diagnostic::log);
                    None
                }
            }
        })
        .collect()
}
