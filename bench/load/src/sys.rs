//! The system calls that std doesn't offer: batches of datagrams, and waiting for many streams.

use std::io;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// Datagrams of one call.
pub(crate) const BATCH: usize = 64;
const QUERY_OCTETS_MAX: usize = 512;
const ANSWER_OCTETS_MAX: usize = 4096;
/// Holds all answers that can be outstanding, so that what is lost was lost by the server.
const SOCKET_BUFFER_OCTETS: libc::c_int = 16 << 20;
const CONTROL_OCTETS: usize = 64;

/// Nanoseconds of the clock by which the kernel stamps what it receives.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a living `timespec`.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut time) };
    nanoseconds(time)
}

fn nanoseconds(time: libc::timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Queries to be sent together.
pub(crate) struct Outgoing {
    buffers: Vec<[u8; QUERY_OCTETS_MAX]>,
    lengths: [usize; BATCH],
    count: usize,
}

impl Outgoing {
    pub(crate) fn new() -> Outgoing {
        Outgoing { buffers: vec![[0; QUERY_OCTETS_MAX]; BATCH], lengths: [0; BATCH], count: 0 }
    }

    /// Adds one; at most `BATCH` until they are sent.
    pub(crate) fn push(&mut self, id: u16, query: &[u8]) {
        let buffer = &mut self.buffers[self.count][..query.len()];
        buffer.copy_from_slice(query);
        buffer[..2].copy_from_slice(&id.to_be_bytes());
        self.lengths[self.count] = query.len();
        self.count += 1;
    }

    /// Sends all.
    pub(crate) fn send(&mut self, socket: &UdpSocket) -> io::Result<()> {
        // SAFETY: plain C structures for which zeros are a valid value.
        let mut vectors: [libc::iovec; BATCH] = unsafe { mem::zeroed() };
        // SAFETY: as above.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        for place in 0..self.count {
            vectors[place].iov_base = self.buffers[place].as_mut_ptr().cast();
            vectors[place].iov_len = self.lengths[place];
            messages[place].msg_hdr.msg_iov = &raw mut vectors[place];
            messages[place].msg_hdr.msg_iovlen = 1;
        }
        let mut sent = 0;
        while sent < self.count {
            // SAFETY: each message points to one vector, each vector into its buffer; all live.
            let done = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    messages[sent..].as_mut_ptr(),
                    (self.count - sent) as libc::c_uint,
                    0,
                )
            };
            match usize::try_from(done) {
                Ok(done) => sent += done,
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
        self.count = 0;
        Ok(())
    }
}

/// Room for answers that come together.
pub(crate) struct Incoming {
    buffers: Vec<[u8; ANSWER_OCTETS_MAX]>,
    controls: Vec<[u64; CONTROL_OCTETS / 8]>,
    lengths: [usize; BATCH],
    times: [u64; BATCH],
}

impl Incoming {
    pub(crate) fn new() -> Incoming {
        Incoming {
            buffers: vec![[0; ANSWER_OCTETS_MAX]; BATCH],
            controls: vec![[0; CONTROL_OCTETS / 8]; BATCH],
            lengths: [0; BATCH],
            times: [0; BATCH],
        }
    }

    /// Takes what is there, or waits for the first as long as the socket does; 0 after that.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, wait: bool) -> io::Result<usize> {
        // SAFETY: plain C structures for which zeros are a valid value.
        let mut vectors: [libc::iovec; BATCH] = unsafe { mem::zeroed() };
        // SAFETY: as above.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        for place in 0..BATCH {
            vectors[place].iov_base = self.buffers[place].as_mut_ptr().cast();
            vectors[place].iov_len = ANSWER_OCTETS_MAX;
            messages[place].msg_hdr.msg_iov = &raw mut vectors[place];
            messages[place].msg_hdr.msg_iovlen = 1;
            messages[place].msg_hdr.msg_control = self.controls[place].as_mut_ptr().cast();
            messages[place].msg_hdr.msg_controllen = CONTROL_OCTETS as _;
        }
        let flags = if wait { libc::MSG_WAITFORONE } else { libc::MSG_DONTWAIT };
        // SAFETY: each message points to one vector and one control buffer, all of the lengths
        // given; all live.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                BATCH as libc::c_uint,
                flags as _,
                ptr::null_mut(),
            )
        };
        let Ok(received) = usize::try_from(received) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        };
        for (place, message) in messages[..received].iter().enumerate() {
            self.lengths[place] = message.msg_len as usize;
            self.times[place] = stamp(&message.msg_hdr).unwrap_or(0);
        }
        Ok(received)
    }

    /// One of those received last, and when the kernel got it; 0 without stamps.
    pub(crate) fn get(&self, place: usize) -> (&[u8], u64) {
        (&self.buffers[place][..self.lengths[place]], self.times[place])
    }
}

fn stamp(header: &libc::msghdr) -> Option<u64> {
    // SAFETY: the kernel has filled in the header's control buffer, which lives.
    let first = unsafe { libc::CMSG_FIRSTHDR(header).as_ref() }?;
    if (first.cmsg_level, first.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
        return None;
    }
    // SAFETY: a message of this type holds a `timespec`, perhaps unaligned.
    Some(nanoseconds(unsafe { libc::CMSG_DATA(first).cast::<libc::timespec>().read_unaligned() }))
}

/// Large buffers, and stamps of the moments at which answers come in.
pub(crate) fn prepare(socket: &UdpSocket, stamps: bool) -> io::Result<()> {
    set(socket, libc::SO_RCVBUF, SOCKET_BUFFER_OCTETS)?;
    // Beyond the system's limit, where we may.
    let _ = set(socket, libc::SO_RCVBUFFORCE, SOCKET_BUFFER_OCTETS);
    set(socket, libc::SO_TIMESTAMPNS, stamps.into())
}

fn set(socket: &UdpSocket, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of a living `c_int`.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            ptr::from_ref(&value).cast(),
            mem::size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Tells which of many streams have something to read.
pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poll {
    pub(crate) fn new() -> io::Result<Poll> {
        // SAFETY: no pointers.
        let descriptor = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else has it.
        let epoll = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Poll { epoll, events: vec![libc::epoll_event { events: 0, u64: 0 }; BATCH] })
    }

    pub(crate) fn add(&self, stream: RawFd, number: usize) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: number as u64 };
        // SAFETY: the pointer is to a living event.
        let done =
            unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, stream, &mut event) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Waits for at most 100 ms.
    pub(crate) fn wait(&mut self) -> io::Result<impl Iterator<Item = usize>> {
        // SAFETY: the pointer and the length are those of `events`.
        let count = unsafe {
            libc::epoll_wait(self.epoll.as_raw_fd(), self.events.as_mut_ptr(), BATCH as libc::c_int, 100)
        };
        let count = match usize::try_from(count) {
            Ok(count) => count,
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => 0,
            Err(_) => return Err(io::Error::last_os_error()),
        };
        Ok(self.events[..count].iter().map(|event| event.u64 as usize))
    }
}
