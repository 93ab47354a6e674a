//! The probe `icmp`: an echo and its reply (RFC 792, RFC 4443 4.1), by the kernel's ping sockets,
//! which need no rights where `net.ipv4.ping_group_range` lets the process's group have them.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::dial::{Deadline, Dialer};
use super::evidence::{Failure, Seen, of_socket};

/// Octets behind the header: who asks.
const PAYLOAD: &[u8] = b"waypost health probe";

/// ICMP's types of echo and its reply, over IPv4 and IPv6.
const V4: (u8, u8) = (8, 0);
const V6: (u8, u8) = (128, 129);

pub(super) async fn ask(
    to: IpAddr,
    sequence: u16,
    dialer: &Dialer,
    deadline: Deadline,
) -> Result<Seen, Failure> {
    let (request, reply) = if to.is_ipv4() { V4 } else { V6 };
    let to = SocketAddr::new(to, 0);
    let socket = open(to, dialer.source(to)).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => Failure::blocked(
            "not sent: the kernel allows no ping sockets (net.ipv4.ping_group_range lacks our group)",
        ),
        _ => of_socket(&error),
    })?;
    // The kernel fills in identifier and checksum.
    let [high, low] = sequence.to_be_bytes();
    let echo = [&[request, 0, 0, 0, 0, 0, high, low], PAYLOAD].concat();
    socket.send(&echo).await.map_err(|error| of_socket(&error))?;
    let mut answer = [0; 128];
    loop {
        let received = deadline.limit("echo reply", socket.recv(&mut answer)).await?;
        let octets = received.map_err(|error| of_socket(&error))?;
        if octets >= echo.len() && answer[0] == reply && answer[6..octets].starts_with(&echo[6..]) {
            return Ok(Seen::new("echo reply"));
        }
    }
}

fn open(to: SocketAddr, source: Option<SocketAddr>) -> io::Result<UdpSocket> {
    let (domain, protocol) =
        if to.is_ipv4() { (Domain::IPV4, Protocol::ICMPV4) } else { (Domain::IPV6, Protocol::ICMPV6) };
    let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if let Some(source) = source {
        socket.bind(&source.into())?;
    }
    socket.connect(&to.into())?;
    UdpSocket::from_std(socket.into())
}
