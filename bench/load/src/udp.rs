//! Load over UDP, from one socket.

use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::queries::Queries;
use crate::sys::{self, BATCH, Incoming, Outgoing};
use crate::tally::{PATIENCE, Tally};

/// How long the closed loop waits for an answer before it looks for losses.
const WAIT: Duration = Duration::from_millis(50);

/// Keeps `outstanding` queries on their way: a server is as busy as it can be.
pub(crate) fn closed(
    server: SocketAddr,
    queries: &Queries,
    time: Duration,
    outstanding: usize,
) -> Result<Tally, Box<dyn Error>> {
    let socket = connect(server, false)?;
    let (mut tally, mut outgoing, mut incoming) = (Tally::new(), Outgoing::new(), Incoming::new());
    let begin = sys::now();
    let end = begin + time.as_nanos() as u64;
    let mut looked = begin;
    let mut now = begin;
    while now < end {
        while tally.outstanding() < outstanding {
            for _ in 0..BATCH.min(outstanding - tally.outstanding()) {
                let query = queries.get(tally.sent() as usize);
                outgoing.push(tally.send(now), query);
            }
            outgoing.send(&socket)?;
        }
        let received = incoming.receive(&socket, true)?;
        now = sys::now();
        for place in 0..received {
            tally.receive(incoming.get(place).0, now);
        }
        if now - looked > PATIENCE.as_nanos() as u64 / 4 {
            tally.give_up(now);
            looked = now;
        }
    }
    // Answers to the last ones belong to those asked in the same time.
    drain(&socket, &mut tally, &mut incoming, now)?;
    tally.finish((now - begin) as f64 / 1e9);
    Ok(tally)
}

/// Sends `rate` queries a second whether answers come or not. Latency is from sending to the
/// moment at which the kernel has the answer, so that our own delays don't count.
pub(crate) fn open(
    server: SocketAddr,
    queries: &Queries,
    time: Duration,
    rate: f64,
) -> Result<Tally, Box<dyn Error>> {
    let socket = connect(server, true)?;
    let (mut tally, mut outgoing, mut incoming) = (Tally::new(), Outgoing::new(), Incoming::new());
    let begin = sys::now();
    let wanted = (time.as_secs_f64() * rate) as u64;
    while tally.sent() < wanted {
        let now = sys::now();
        let due = ((now - begin) as f64 / 1e9 * rate) as u64;
        let count = due.min(wanted).saturating_sub(tally.sent()).min(BATCH as u64);
        for _ in 0..count {
            let query = queries.get(tally.sent() as usize);
            let planned = begin + (tally.sent() as f64 / rate * 1e9) as u64;
            tally.delayed(now.saturating_sub(planned));
            outgoing.push(tally.send(now), query);
        }
        if count > 0 {
            outgoing.send(&socket)?;
        }
        take(&socket, &mut tally, &mut incoming, false)?;
    }
    let now = sys::now();
    drain(&socket, &mut tally, &mut incoming, now)?;
    tally.finish((now - begin) as f64 / 1e9);
    Ok(tally)
}

fn take(
    socket: &UdpSocket,
    tally: &mut Tally,
    incoming: &mut Incoming,
    wait: bool,
) -> Result<(), Box<dyn Error>> {
    for place in 0..incoming.receive(socket, wait)? {
        let (answer, time) = incoming.get(place);
        tally.receive(answer, if time == 0 { sys::now() } else { time });
    }
    Ok(())
}

/// Waits for what is still on its way.
fn drain(
    socket: &UdpSocket,
    tally: &mut Tally,
    incoming: &mut Incoming,
    since: u64,
) -> Result<(), Box<dyn Error>> {
    while tally.outstanding() > 0 && sys::now() - since < PATIENCE.as_nanos() as u64 {
        take(socket, tally, incoming, true)?;
    }
    Ok(())
}

fn connect(server: SocketAddr, stamps: bool) -> Result<UdpSocket, Box<dyn Error>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(WAIT))?;
    sys::prepare(&socket, stamps)?;
    Ok(socket)
}
