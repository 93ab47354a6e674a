//! TCP: whatever a connection has is read at once, and what answers it is written at once. Waiting
//! for many connections takes one `epoll_wait`; no socket server makes do with less.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::HEADER_OCTETS;

const EVENTS: usize = 64;
const READ_OCTETS: usize = 64 << 10;

struct Connection {
    stream: TcpStream,
    /// The beginning of a message whose rest hasn't come.
    rest: Vec<u8>,
}

/// Accepts, reads and writes until waiting fails.
pub(crate) fn echo(listener: &TcpListener, octets: usize) -> io::Error {
    serve(listener, octets).err().unwrap_or_else(|| ErrorKind::Other.into())
}

fn serve(listener: &TcpListener, octets: usize) -> io::Result<()> {
    // SAFETY: no pointers.
    let descriptor = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and nobody else has it.
    let epoll = unsafe { OwnedFd::from_raw_fd(descriptor) };
    listener.set_nonblocking(true)?;
    add(&epoll, listener.as_raw_fd())?;

    let mut connections: HashMap<RawFd, Connection> = HashMap::new();
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    let mut read = vec![0; READ_OCTETS];
    let mut out = Vec::new();
    loop {
        // SAFETY: the pointer and the length are those of `events`.
        let count =
            unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), EVENTS as libc::c_int, -1) };
        let Ok(count) = usize::try_from(count) else {
            match io::Error::last_os_error() {
                error if error.kind() == ErrorKind::Interrupted => continue,
                error => return Err(error),
            }
        };
        for event in &events[..count] {
            let descriptor = event.u64 as RawFd;
            let Some(connection) = connections.get_mut(&descriptor) else {
                if let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    add(&epoll, stream.as_raw_fd())?;
                    connections.insert(stream.as_raw_fd(), Connection { stream, rest: Vec::new() });
                }
                continue;
            };
            out.clear();
            if !answer(connection, octets, &mut read, &mut out) {
                connections.remove(&descriptor);
            }
        }
    }
}

/// Echoes whatever has come; tells whether the connection goes on.
fn answer(connection: &mut Connection, octets: usize, read: &mut [u8], out: &mut Vec<u8>) -> bool {
    let known = connection.rest.len();
    read[..known].copy_from_slice(&connection.rest);
    let length = match connection.stream.read(&mut read[known..]) {
        Ok(0) => return false,
        Ok(length) => known + length,
        Err(error) => return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    };
    let mut left = &read[..length];
    while let Some((prefix, after)) = left.split_first_chunk() {
        let Some((message, after)) = after.split_at_checked(u16::from_be_bytes(*prefix).into()) else {
            break;
        };
        left = after;
        let wanted = if octets == 0 { message.len() } else { octets };
        let begin = out.len() + 2;
        out.extend((wanted as u16).to_be_bytes());
        out.extend(&message[..message.len().min(wanted)]);
        out.resize(begin + wanted, 0);
        if message.len() >= HEADER_OCTETS && wanted >= HEADER_OCTETS {
            out[begin + 2] |= 0x80;
        }
    }
    connection.rest.clear();
    connection.rest.extend_from_slice(left);
    out.is_empty() || connection.stream.write_all(out).is_ok()
}

fn add(epoll: &OwnedFd, descriptor: RawFd) -> io::Result<()> {
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: descriptor as u64 };
    // SAFETY: the pointer is to a living event.
    let done = unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, descriptor, &mut event) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
