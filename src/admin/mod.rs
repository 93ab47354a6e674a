//! The local API: what an operator looks at and orders while the server runs.
//!
//! ```text
//! request -> guard (who asks, from where) -> api, page -> status          to look
//!              |                                      \-> writer's queue  to order -> hook
//!            session (who signed in)
//! ```
//!
//! HTTP over a Unix socket, and over TCP for whoever has a token: an API for programs, and a page
//! for people. It runs among the control
//! threads and reads what the writer shows; answering queries knows nothing of it. When it can't
//! be opened the server answers all the same. Metrics are beside it.

pub mod api;
mod attempts;
mod bundles;
mod description;
mod guard;
mod hook;
mod input;
mod metrics;
mod page;
mod session;
mod stream;
mod unplaced;
pub mod verdicts;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::middleware;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Handle;

use self::guard::{Guard, Peer};
use crate::config::server::{Admin, Server};
use crate::metrics::Metrics;
use crate::publish::Control;
use crate::querylog;

/// Name of the socket in the state directory.
const SOCKET: &str = "admin.sock";

/// Who may connect to the socket: its owner and group.
const SOCKET_MODE: u32 = 0o660;

/// Where the socket is.
#[must_use]
pub fn socket_path(server: &Server, state: Option<&Path>) -> PathBuf {
    server.admin.socket.clone().unwrap_or_else(|| state.unwrap_or(&server.state).join(SOCKET))
}

/// What the API shows, and gives orders to.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The writer.
    pub control: Control,
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// What came of copied queries.
    pub queries: querylog::Handle,
}

/// Opens the API. What can't be opened is told in the log.
pub fn start(server: &Server, state: Option<&Path>, shown: &Shown, runtime: &Handle) {
    let _context = runtime.enter();
    let Shown { control, metrics, queries } = shown;
    let mut api = api::router(control.clone())
        .merge(stream::router(control.clone()))
        .merge(unplaced::router(control.clone(), queries.clone()))
        .merge(metrics::router(Arc::clone(metrics)));
    if let Some(bundles) = &server.bundles {
        api = api.merge(bundles::router(bundles.directory.clone()));
    }
    let page = page::router(shown.clone());
    let guard = Guard {
        tokens: server.admin.tokens.clone().unwrap_or_default(),
        sessions: Arc::default(),
        attempts: Arc::default(),
        seal: session::random().unwrap_or_default(),
        cookie: format!("waypost-{}", server.admin.listen.map_or(0, |listen| listen.port())),
    };
    let path = socket_path(server, state);
    match open_socket(&path) {
        Ok(listener) => {
            let layer = middleware::from_fn_with_state(guard.clone(), guard::local);
            let router = api.clone().merge(page.clone()).layer(layer).merge(page::open_router());
            let router = router.layer(middleware::from_fn(guard::origin));
            let service = router.into_make_service_with_connect_info::<Peer>();
            runtime.spawn(async move { axum::serve(listener, service).await });
        }
        Err(error) => tracing::error!(socket = %path.display(), %error, "no local API; answers go on"),
    }
    let Admin { listen: Some(listen), tokens: Some(_), .. } = &server.admin else { return };
    match open_tcp(*listen) {
        Ok(listener) => {
            let api = api.layer(middleware::from_fn_with_state(guard.clone(), guard::remote));
            let page = page.layer(middleware::from_fn_with_state(guard.clone(), guard::page));
            let router = api.merge(page).merge(page::open_router()).merge(page::sign_in_router(guard));
            let router = router.layer(middleware::from_fn(guard::origin));
            let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
            runtime.spawn(async move { axum::serve(listener, service).await });
        }
        Err(error) => tracing::error!(%listen, %error, "no local API over TCP; answers go on"),
    }
}

fn open_socket(path: &Path) -> io::Result<UnixListener> {
    // A socket that nobody listens at was left by a server that died.
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
    Ok(listener)
}

fn open_tcp(listen: std::net::SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
