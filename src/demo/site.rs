//! One site: small real listeners that can die and come back.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::service::Service;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 64;

/// The services of a site, each at a port of its own on loopback.
pub struct Site {
    name: String,
    tls: TlsAcceptor,
    is_up: bool,
    doors: Vec<Door>,
}

/// The port of a service.
struct Door {
    service: Service,
    address: SocketAddr,
    state: State,
}

enum State {
    Open(JoinHandle<()>),
    /// Bound but not listening: connections are refused, as by a host whose service died, and
    /// nobody else gets the port meanwhile.
    Closed(TcpSocket),
    /// The port couldn't be had again.
    Lost,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("name", &self.name).field("is_up", &self.is_up).finish_non_exhaustive()
    }
}

impl Site {
    /// A site without services, which is up.
    pub(super) fn new(name: &str, tls: TlsAcceptor) -> Site {
        Site { name: name.to_owned(), tls, is_up: true, doors: Vec::new() }
    }

    /// Opens a service, unless it is there. Gives its address. Needs a runtime.
    pub(super) fn open(&mut self, service: Service) -> io::Result<SocketAddr> {
        if let Some(door) = self.doors.iter().find(|door| door.service == service) {
            return Ok(door.address);
        }
        let socket = reserve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = socket.local_addr()?;
        let state = State::Open(listen(socket, service, &self.tls)?);
        self.doors.push(Door { service, address, state });
        Ok(address)
    }

    /// Its name in the example: `tw`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it listens.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// Closes all listeners and connections.
    pub(super) async fn take_down(&mut self) -> io::Result<()> {
        self.is_up = false;
        for door in &mut self.doors {
            if let State::Open(task) = &mut door.state {
                task.abort();
                // Its sockets are closed when it has ended, which is what cancels it.
                let _ = task.await;
                door.state = State::Lost;
                door.state = State::Closed(reserve(door.address)?);
            }
        }
        Ok(())
    }

    /// Listens again, at the same ports. Needs a runtime.
    pub(super) fn bring_up(&mut self) -> io::Result<()> {
        for door in &mut self.doors {
            let socket = match std::mem::replace(&mut door.state, State::Lost) {
                State::Open(task) => {
                    door.state = State::Open(task);
                    continue;
                }
                State::Closed(socket) => socket,
                State::Lost => reserve(door.address)?,
            };
            door.state = State::Open(listen(socket, door.service, &self.tls)?);
        }
        self.is_up = true;
        Ok(())
    }
}

fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections that were just closed would keep the port for a minute (TIME-WAIT).
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(socket: TcpSocket, service: Service, tls: &TlsAcceptor) -> io::Result<JoinHandle<()>> {
    Ok(tokio::spawn(accept(socket.listen(BACKLOG)?, service, tls.clone())))
}

/// Accepts until it is cancelled, which closes listener and connections alike.
async fn accept(listener: TcpListener, service: Service, tls: TlsAcceptor) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(service.serve(stream, tls.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::certificate::Authority;
    use super::*;
    use crate::health::{Outcome, Pace};
    use crate::probe::{Asker, Check, Encryption, Http, Mail, ProberOptions, Protocol, Spec, Tls};

    fn checks() -> Vec<Check> {
        let tls = || Tls::of("mail.example.com");
        let http = |tls: Option<Tls>, port| {
            Check::Http(Http {
                tls,
                port,
                path: "/healthz".to_owned(),
                status: vec![(200, 200)],
                ..Http::get("mail.example.com")
            })
        };
        let mail = |protocol, port, encryption| Check::Mail(Mail { protocol, port, encryption, ehlo: None });
        vec![
            http(Some(tls()), 443),
            http(None, 80),
            Check::Tcp { port: 7 },
            Check::Tls { port: 4433, tls: tls() },
            mail(Protocol::Smtp, 25, Encryption::StartTls(tls())),
            mail(Protocol::Smtp, 587, Encryption::None),
            mail(Protocol::Imap, 993, Encryption::Implicit(tls())),
            mail(Protocol::Imap, 143, Encryption::None),
        ]
    }

    #[tokio::test]
    async fn probes_find_a_site_well_then_dead_then_well() {
        let authority = Authority::new().unwrap();
        let mut site = Site::new("tw", authority.acceptor(vec!["mail.example.com".to_owned()]).unwrap());
        let address = "198.51.100.10".parse().unwrap();
        let mut options = ProberOptions { extra_roots: vec![authority.root()], ..ProberOptions::default() };
        for check in checks() {
            let (service, port) = Service::asked_by(&check).unwrap();
            let here = site.open(service).unwrap();
            options.redirect.insert(SocketAddr::new(address, port), here);
        }
        let asker = Asker::new(&options);
        let pace = Pace { timeout: Duration::from_secs(10), ..Pace::default() };
        for up in [true, false, true] {
            if up {
                site.bring_up().unwrap();
            } else {
                site.take_down().await.unwrap();
            }
            for check in checks() {
                let spec = Spec { name: "probe".to_owned(), check, pace, tripwire: None };
                let report = asker.ask(address, "mail-tw", &spec).await;
                assert_eq!(report.outcome == Outcome::Healthy, up, "{:?}: {report:?}", spec.check);
                assert!(up || report.evidence.contains("refused"), "{report:?}");
            }
        }
    }

    #[tokio::test]
    async fn taking_it_down_ends_connections() {
        use tokio::io::AsyncReadExt;

        let authority = Authority::new().unwrap();
        let mut site = Site::new("tw", authority.acceptor(vec!["mail.example.com".to_owned()]).unwrap());
        let here = site.open(Service::Smtp).unwrap();
        let mut client = tokio::net::TcpStream::connect(here).await.unwrap();
        client.read_u8().await.unwrap();
        site.take_down().await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), client.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "the connection is still open");
        assert!(!site.is_up());
    }
}
