//! UDP: batches of 32 by `recvmmsg` and `sendmmsg`, as servers do.

use std::mem;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::{io, ptr};

use crate::HEADER_OCTETS;

const BATCH: usize = 32;
const RECEIVED_OCTETS_MAX: usize = 4096;
const SOCKET_BUFFER_OCTETS: libc::c_int = 4 << 20;

/// Receives and sends until receiving fails.
pub(crate) fn echo(socket: &UdpSocket, octets: usize) -> io::Error {
    let buffer_octets = RECEIVED_OCTETS_MAX.max(octets);
    let mut buffers = vec![0_u8; BATCH * buffer_octets];
    // SAFETY: all three are plain C structures for which zeros are a valid value.
    let mut addresses: [libc::sockaddr_storage; BATCH] = unsafe { mem::zeroed() };
    // SAFETY: as above.
    let mut vectors: [libc::iovec; BATCH] = unsafe { mem::zeroed() };
    // SAFETY: as above.
    let mut messages: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
    let pieces = buffers.chunks_exact_mut(buffer_octets);
    for (((piece, vector), address), message) in
        pieces.zip(&mut vectors).zip(&mut addresses).zip(&mut messages)
    {
        vector.iov_base = piece.as_mut_ptr().cast();
        message.msg_hdr.msg_iov = vector;
        message.msg_hdr.msg_iovlen = 1;
        message.msg_hdr.msg_name = ptr::from_mut(address).cast();
    }

    loop {
        for (vector, message) in vectors.iter_mut().zip(&mut messages) {
            vector.iov_len = RECEIVED_OCTETS_MAX;
            message.msg_hdr.msg_namelen = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        }
        // SAFETY: each message points to one vector and one address, each vector to
        // `RECEIVED_OCTETS_MAX` octets of `buffers`; all of them outlive the loop and none moves.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_WAITFORONE as _,
                ptr::null_mut(),
            )
        };
        let Ok(received) = usize::try_from(received) else {
            match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => continue,
                error => return error,
            }
        };

        for place in 0..received {
            let length = messages[place].msg_len as usize;
            let wanted = if octets == 0 { length } else { octets };
            // SAFETY: the vector points to `buffer_octets` octets of `buffers` that are its own;
            // the kernel doesn't touch them between the calls, and no other reference lives.
            let piece = unsafe {
                std::slice::from_raw_parts_mut(vectors[place].iov_base.cast::<u8>(), buffer_octets)
            };
            if length >= HEADER_OCTETS {
                piece[2] |= 0x80;
            }
            if wanted > length {
                piece[length..wanted].fill(0);
            }
            vectors[place].iov_len = wanted;
        }

        let mut sent = 0;
        while sent < received {
            // SAFETY: as for receiving; vectors are at most `buffer_octets` long.
            let count = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    messages[sent..].as_mut_ptr(),
                    (received - sent) as libc::c_uint,
                    0,
                )
            };
            // One that can't be sent is lost, as with any server; the others go on.
            sent += usize::try_from(count).unwrap_or(1).max(1);
        }
    }
}

/// A socket that shares its port with those of the other workers.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: no pointers.
    let descriptor = unsafe { libc::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and nobody else has it.
    let socket = UdpSocket::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    set(&socket, libc::SO_REUSEPORT, 1)?;
    set(&socket, libc::SO_RCVBUF, SOCKET_BUFFER_OCTETS)?;
    set(&socket, libc::SO_SNDBUF, SOCKET_BUFFER_OCTETS)?;

    // SAFETY: zeros are a valid value; the cast places are inside a `sockaddr_storage`, which is
    // large enough and aligned for both.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let length = match address {
        SocketAddr::V4(address) => {
            // SAFETY: as above.
            let ipv4 = unsafe { &mut *ptr::from_mut(&mut storage).cast::<libc::sockaddr_in>() };
            ipv4.sin_family = libc::AF_INET as libc::sa_family_t;
            ipv4.sin_port = address.port().to_be();
            ipv4.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
            mem::size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(address) => {
            // SAFETY: as above.
            let ipv6 = unsafe { &mut *ptr::from_mut(&mut storage).cast::<libc::sockaddr_in6>() };
            ipv6.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            ipv6.sin6_port = address.port().to_be();
            ipv6.sin6_addr.s6_addr = address.ip().octets();
            ipv6.sin6_scope_id = address.scope_id();
            mem::size_of::<libc::sockaddr_in6>()
        }
    };
    // SAFETY: the first `length` octets of `storage` are the address of that family.
    let bound =
        unsafe { libc::bind(socket.as_raw_fd(), ptr::from_ref(&storage).cast(), length as libc::socklen_t) };
    if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
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
