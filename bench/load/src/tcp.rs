//! Load over TCP (RFC 7766): connections stay, each with so many queries on their way.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::queries::Queries;
use crate::sys::{self, Poll};
use crate::tally::{PATIENCE, Tally};

const READ_OCTETS: usize = 64 << 10;

struct Connection {
    stream: TcpStream,
    /// The beginning of an answer whose rest hasn't come.
    rest: Vec<u8>,
}

/// Each answer is followed by another query on the same connection; those whose answers came
/// together go out together.
pub(crate) fn closed(
    server: SocketAddr,
    queries: &Queries,
    time: Duration,
    connections: usize,
    pipelined: usize,
) -> Result<Tally, Box<dyn Error>> {
    let mut poll = Poll::new()?;
    let mut open = Vec::with_capacity(connections);
    for number in 0..connections {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        poll.add(stream.as_raw_fd(), number)?;
        open.push(Connection { stream, rest: Vec::new() });
    }

    let mut tally = Tally::new();
    let mut out = Vec::new();
    let mut read = vec![0; READ_OCTETS];
    let begin = sys::now();
    let end = begin + time.as_nanos() as u64;
    for connection in &mut open {
        ask(connection, queries, &mut tally, pipelined, begin, &mut out)?;
    }
    let mut now = begin;
    while now < end || (tally.outstanding() > 0 && now < end + PATIENCE.as_nanos() as u64) {
        for number in poll.wait()? {
            let connection = &mut open[number];
            now = sys::now();
            let answered = answers(connection, &mut tally, &mut read, now)?;
            if answered > 0 && now < end {
                ask(connection, queries, &mut tally, answered, now, &mut out)?;
            }
        }
        now = sys::now();
    }
    tally.finish((now - begin) as f64 / 1e9);
    Ok(tally)
}

fn ask(
    connection: &mut Connection,
    queries: &Queries,
    tally: &mut Tally,
    count: usize,
    now: u64,
    out: &mut Vec<u8>,
) -> Result<(), Box<dyn Error>> {
    out.clear();
    for _ in 0..count {
        let query = queries.get(tally.sent() as usize);
        out.extend(u16::try_from(query.len())?.to_be_bytes());
        out.extend(tally.send(now).to_be_bytes());
        out.extend(&query[2..]);
    }
    // So few octets always fit into a socket's buffer.
    Ok(connection.stream.write_all(out)?)
}

/// Reads once; returns how many answers were whole.
fn answers(
    connection: &mut Connection,
    tally: &mut Tally,
    read: &mut [u8],
    now: u64,
) -> Result<usize, Box<dyn Error>> {
    let known = connection.rest.len();
    read[..known].copy_from_slice(&connection.rest);
    let length = match connection.stream.read(&mut read[known..]) {
        Ok(0) => return Err("the server closed a connection".into()),
        Ok(length) => known + length,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    let mut left = &read[..length];
    let mut answered = 0;
    while let Some((prefix, after)) = left.split_first_chunk() {
        let Some((message, after)) = after.split_at_checked(u16::from_be_bytes(*prefix).into()) else {
            break;
        };
        answered += usize::from(tally.receive(message, now));
        left = after;
    }
    connection.rest.clear();
    connection.rest.extend_from_slice(left);
    Ok(answered)
}
