//! Taking the addresses to listen on: all of them, by UDP and TCP, or none.
//!
//! The sockets of an address form a group, one by UDP and one by TCP (SO_REUSEPORT) among which the kernel spreads
//! clients. The option would as well let us join, unnoticed, the group of another process of
//! the same user, and each would get a part of the queries. So the first socket binds without
//! the option, which fails if anyone is there, and gets it afterwards, for the others to join.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::udp;
use crate::limits::{PORT_ATTEMPTS, TCP_BACKLOG, UDP_SOCKET_BUFFER_OCTETS, UDP_WAIT};

/// The sockets of one address.
pub(super) struct Bound {
    /// As it is, with the port that was chosen if none was given.
    pub(super) address: SocketAddr,
    /// One for each worker.
    pub(super) udp: Vec<UdpSocket>,
    /// Likewise.
    pub(super) tcp: Vec<TcpListener>,
}

/// Why an address can't be listened on.
#[derive(Debug)]
pub enum BindError {
    /// No address was given.
    Nothing,
    /// One of the addresses includes the other.
    Overlap(SocketAddr, SocketAddr),
    /// The system refused.
    Refused {
        /// The address.
        address: SocketAddr,
        /// `UDP` or `TCP`.
        protocol: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

/// Binds all of `listen`, with `workers` sockets of both kinds each.
pub(super) fn bind_all(listen: &[SocketAddr], workers: usize) -> Result<Vec<Bound>, BindError> {
    if listen.is_empty() {
        return Err(BindError::Nothing);
    }
    for (i, &one) in listen.iter().enumerate() {
        if let Some(&other) = listen[..i].iter().find(|&&other| overlap(one, other)) {
            return Err(BindError::Overlap(other, one));
        }
    }
    listen.iter().map(|&address| bind(address, workers)).collect()
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() != 0
        && one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one == other || one.ip().is_unspecified() || other.ip().is_unspecified())
}

fn bind(wanted: SocketAddr, workers: usize) -> Result<Bound, BindError> {
    let mut attempts = if wanted.port() == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match bind_once(wanted, workers) {
            // The port that UDP got is taken for TCP, or was taken in between: try another.
            Err(BindError::Refused { error, .. }) if error.kind() == ErrorKind::AddrInUse && attempts > 0 => {
            }
            result => return result,
        }
    }
}

fn bind_once(wanted: SocketAddr, workers: usize) -> Result<Bound, BindError> {
    let refused = |protocol, address| move |error| BindError::Refused { address, protocol, error };
    let first = udp_socket(wanted, false).map_err(refused("UDP", wanted))?;
    let address = first.local_addr().map_err(refused("UDP", wanted))?;
    let mut tcp = vec![tcp_listener(address, false).map_err(refused("TCP", address))?];
    let mut udp = vec![first];
    for _ in 1..workers {
        udp.push(udp_socket(address, true).map_err(refused("UDP", address))?);
        tcp.push(tcp_listener(address, true).map_err(refused("TCP", address))?);
    }
    Ok(Bound { address, udp, tcp })
}

/// Listeners for streams at an address, one for each worker; with the port that was chosen if none
/// was given.
///
/// # Errors
/// When the system refuses.
pub fn stream_listeners(
    wanted: SocketAddr,
    workers: usize,
) -> Result<(SocketAddr, Vec<TcpListener>), BindError> {
    let refused = |error| BindError::Refused { address: wanted, protocol: "TCP", error };
    let first = tcp_listener(wanted, false).map_err(refused)?;
    let address = first.local_addr().map_err(refused)?;
    let others = (1..workers).map(|_| tcp_listener(address, true).map_err(refused));
    let listeners = [Ok(first)].into_iter().chain(others).collect::<Result<_, _>>()?;
    Ok((address, listeners))
}

/// A socket for datagrams at an address, which nobody shares.
///
/// # Errors
/// When the system refuses.
pub fn datagram_socket(wanted: SocketAddr) -> Result<(SocketAddr, UdpSocket), BindError> {
    let bind = || -> io::Result<(SocketAddr, UdpSocket)> {
        let socket = Socket::new(Domain::for_address(wanted), Type::DGRAM, Some(Protocol::UDP))?;
        if wanted.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&wanted.into())?;
        socket.set_recv_buffer_size(UDP_SOCKET_BUFFER_OCTETS)?;
        socket.set_send_buffer_size(UDP_SOCKET_BUFFER_OCTETS)?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from(socket);
        Ok((socket.local_addr()?, socket))
    };
    bind().map_err(|error| BindError::Refused { address: wanted, protocol: "UDP", error })
}

/// A UDP socket for `address`; one that `joins` needs the group that the first began.
fn udp_socket(address: SocketAddr, joins: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if joins {
        socket.set_reuse_port(true)?;
    }
    udp::prepare(&socket, address)?;
    socket.bind(&address.into())?;
    socket.set_reuse_port(true)?;
    // The kernel cuts these to its limits without an error.
    socket.set_recv_buffer_size(UDP_SOCKET_BUFFER_OCTETS)?;
    socket.set_send_buffer_size(UDP_SOCKET_BUFFER_OCTETS)?;
    socket.set_read_timeout(Some(UDP_WAIT))?;
    socket.set_write_timeout(Some(UDP_WAIT))?;
    Ok(socket.into())
}

/// A listener for `address`, of the group likewise.
fn tcp_listener(address: SocketAddr, joins: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections that our predecessor closed don't keep the port from us; a listener does.
    socket.set_reuse_address(true)?;
    if joins {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.set_reuse_port(true)?;
    socket.listen(TCP_BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindError::Nothing => write!(f, "no address to listen on"),
            BindError::Overlap(one, other) => {
                write!(f, "cannot listen on both {one} and {other}: one includes the other, leave one out")
            }
            BindError::Refused { address, protocol, error } => {
                write!(f, "cannot listen on {address} ({protocol}): ")?;
                match error.kind() {
                    ErrorKind::AddrInUse => {
                        let table = if *protocol == "UDP" { "-lunp" } else { "-ltnp" };
                        let port = address.port();
                        write!(
                            f,
                            "Address already in use — is another nameserver running? \
                             see \"ss {table} sport = :{port}\""
                        )
                    }
                    ErrorKind::PermissionDenied if address.port() < 1024 => write!(
                        f,
                        "Permission denied — ports below 1024 need CAP_NET_BIND_SERVICE (systemd: \
                         AmbientCapabilities=CAP_NET_BIND_SERVICE)"
                    ),
                    ErrorKind::AddrNotAvailable => {
                        write!(f, "no interface of this machine has that address")
                    }
                    _ => write!(f, "{error}"),
                }
            }
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BindError::Refused { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_port_in_use_is_said_clearly() {
        let group = bind(address("127.0.0.1:0"), 3).unwrap();
        let port = group.address.port();
        assert!(group.tcp.iter().all(|listener| listener.local_addr().unwrap() == group.address));
        assert_eq!((group.udp.len(), group.tcp.len()), (3, 3));
        // Another instance of ours would get through, if it began with SO_REUSEPORT.
        let error = bind(group.address, 3).err().unwrap().to_string();
        assert_eq!(
            error,
            format!(
                "cannot listen on 127.0.0.1:{port} (UDP): Address already in use — is another \
                 nameserver running? see \"ss -lunp sport = :{port}\""
            )
        );
        drop(group);

        let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = bind(stranger.local_addr().unwrap(), 1).err().unwrap().to_string();
        assert!(error.contains("(TCP): Address already in use") && error.contains("ss -ltnp"), "{error}");
    }

    #[test]
    fn addresses_that_include_each_other_are_refused() {
        let both = [address("0.0.0.0:5301"), address("127.0.0.1:5301")];
        assert_eq!(
            bind_all(&both, 1).err().unwrap().to_string(),
            "cannot listen on both 0.0.0.0:5301 and 127.0.0.1:5301: one includes the other, leave one out"
        );
        assert!(!overlap(address("0.0.0.0:53"), address("[::]:53")));
        assert!(!overlap(address("127.0.0.1:53"), address("127.0.0.2:53")));
        assert!(!overlap(address("127.0.0.1:0"), address("127.0.0.1:0")));
        assert!(matches!(bind_all(&[], 1), Err(BindError::Nothing)));
    }

    #[test]
    fn addresses_of_others_and_low_ports_are_explained() {
        let error = bind(address("192.0.2.1:0"), 1).err().unwrap().to_string();
        assert!(error.ends_with("no interface of this machine has that address"), "{error}");
        let error = BindError::Refused {
            address: address("[::]:53"),
            protocol: "UDP",
            error: ErrorKind::PermissionDenied.into(),
        };
        assert!(error.to_string().contains("CAP_NET_BIND_SERVICE"));
    }
}
