//! The yardstick: an echo over UDP and TCP that does nothing but receive and send.
//!
//! ```text
//! echo ADDRESS:PORT [OCTETS [WORKERS]]
//! ```
//!
//! Each message goes back with the QR bit set, so that load generators for DNS count it as an
//! answer, and padded with zeros (or cut) to OCTETS; 0 leaves it as long as it came. No server
//! that uses sockets in this way can spend less on a query: what it spends more is its own.
//!
//! As servers do, each UDP worker has a socket of its own (`SO_REUSEPORT`). One thread serves TCP.

mod tcp;
mod udp;

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::ExitCode;
use std::{env, io, process, thread};

/// TCP's length prefix has 16 bits, and UDP carries less.
const SENT_OCTETS_MAX: usize = 65_507;
/// Octets of a DNS header; shorter messages are echoed as they are.
const HEADER_OCTETS: usize = 12;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((address, octets, workers)) = parse(&arguments) else {
        eprintln!("usage: echo ADDRESS:PORT [OCTETS [WORKERS]]");
        return ExitCode::from(2);
    };
    let error = run(address, octets, workers);
    eprintln!("echo: {address}: {error}");
    ExitCode::FAILURE
}

fn run(address: SocketAddr, octets: usize, workers: usize) -> io::Error {
    // All are bound before the first one receives, so that the kernel spreads clients evenly.
    let sockets: io::Result<Vec<UdpSocket>> = (0..workers).map(|_| udp::bind(address)).collect();
    let (sockets, listener) = match sockets.and_then(|sockets| Ok((sockets, TcpListener::bind(address)?))) {
        Ok(bound) => bound,
        Err(error) => return error,
    };
    for socket in sockets {
        thread::spawn(move || {
            eprintln!("echo: {address}: {}", udp::echo(&socket, octets));
            process::exit(1);
        });
    }
    tcp::echo(&listener, octets)
}

fn parse(arguments: &[String]) -> Option<(SocketAddr, usize, usize)> {
    let address = arguments.first()?.parse().ok()?;
    let octets = arguments.get(1).map_or(Some(0), |text| text.parse().ok())?;
    let workers = arguments.get(2).map_or(Some(1), |text| text.parse().ok())?;
    (octets <= SENT_OCTETS_MAX && workers > 0 && arguments.len() <= 3).then_some((address, octets, workers))
}
