//! `recvmmsg` and `sendmmsg`: the one file with system calls that the compiler can't check.
//!
//! [`Memory`] is one allocation that the kernel reads and writes. Its slots hold the datagrams;
//! its headers point into the slots and are set up once, so that a call costs only what it
//! carries:
//!
//! ```text
//! incoming[i] --> slots[i] { query, peer, control }       always the same slot
//! outgoing[k] --> slots[i] { answer, peer, control }      the k-th response, to the i-th query
//! ```
//!
//! A response goes out with the peer address and the control message (the local address,
//! RFC 3542 6.2) that its query came with, which stay where the kernel wrote them.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::mem::{offset_of, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{NonNull, addr_of, addr_of_mut, null_mut};

use libc::{c_int, c_uint};

use super::source::Exchange;
use crate::limits::{UDP_BATCH, UDP_PAYLOAD_OCTETS_MAX, UDP_QUERY_OCTETS};
use crate::serve::tap::Exchanged;

/// Room for one control message with an `in6_pktinfo`, the larger of the two.
const CONTROL_OCTETS: usize = 64;

/// One datagram in, and the one out that answers it.
#[repr(C, align(64))]
struct Slot {
    query: [u8; UDP_QUERY_OCTETS],
    answer: [u8; UDP_PAYLOAD_OCTETS_MAX],
    peer: libc::sockaddr_storage,
    control: [u64; CONTROL_OCTETS / 8],
    query_part: libc::iovec,
    answer_part: libc::iovec,
    apart: [u64; 8],
}

// An odd number of cache lines: otherwise all slots' first octets share a few sets of the cache.
const _: () = assert!(size_of::<Slot>() % 128 == 64);
const _: () = assert!(offset_of!(Slot, control) % align_of::<libc::cmsghdr>() == 0);

#[repr(C)]
struct Memory {
    incoming: [libc::mmsghdr; UDP_BATCH],
    outgoing: [libc::mmsghdr; UDP_BATCH],
    slots: [Slot; UDP_BATCH],
}

/// The datagrams of one batch.
///
/// Invariant `armed`: each incoming header points to its slot's buffers with their whole
/// lengths, except the first `used`, whose lengths the kernel changed.
pub(super) struct Datagrams {
    memory: NonNull<Memory>,
    used: usize,
    queued: usize,
}

// SAFETY: the memory has one owner, and nothing in it belongs to a thread.
unsafe impl Send for Datagrams {}

impl Datagrams {
    pub(super) fn new() -> Datagrams {
        let layout = Layout::new::<Memory>();
        // SAFETY: the layout isn't of size zero.
        let memory = unsafe { alloc_zeroed(layout) }.cast::<Memory>();
        let Some(memory) = NonNull::new(memory) else { handle_alloc_error(layout) };
        let datagrams = Datagrams { memory, used: UDP_BATCH, queued: 0 };
        for i in 0..UDP_BATCH {
            let slot = datagrams.slot(i);
            // SAFETY: slot and header are inside the allocation, whose zeroes are valid values
            // of all its fields; no reference to it exists.
            unsafe {
                (*slot).query_part =
                    libc::iovec { iov_base: addr_of_mut!((*slot).query).cast(), iov_len: UDP_QUERY_OCTETS };
                (*slot).answer_part.iov_base = addr_of_mut!((*slot).answer).cast();
                let header = addr_of_mut!((*datagrams.incoming(i)).msg_hdr);
                (*header).msg_name = addr_of_mut!((*slot).peer).cast();
                (*header).msg_iov = addr_of_mut!((*slot).query_part);
                (*header).msg_iovlen = 1;
                (*header).msg_control = addr_of_mut!((*slot).control).cast();
            }
        }
        datagrams
    }

    /// Waits for a datagram and takes those that are there, at most [`UDP_BATCH`]. Responses
    /// that weren't sent are forgotten.
    pub(super) fn receive(&mut self, socket: impl AsFd) -> io::Result<usize> {
        for i in 0..self.used {
            // SAFETY: the header is inside the allocation; no reference to it exists.
            unsafe {
                let header = addr_of_mut!((*self.incoming(i)).msg_hdr);
                (*header).msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
                (*header).msg_controllen = CONTROL_OCTETS as _;
            }
        }
        (self.used, self.queued) = (0, 0);
        // SAFETY: by `armed`, each header points to buffers of the lengths that it gives, in
        // memory that this value owns and nobody else touches during the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.incoming(0),
                UDP_BATCH as c_uint,
                libc::MSG_WAITFORONE as _,
                null_mut(),
            )
        };
        self.used = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        Ok(self.used)
    }

    /// The datagrams of the last receive, none of which has a response yet.
    pub(super) fn exchanges(&mut self) -> impl Iterator<Item = Exchange<'_>> {
        let datagrams = &*self;
        (0..self.used).map(|i| {
            let slot = datagrams.slot(i);
            // SAFETY: slot and header are inside the allocation. The exclusive borrow of `self`,
            // which the exchanges carry on, keeps anyone else away; each has a slot of its own, of
            // which query, peer, answer and the answer's length are different fields. The length
            // that the kernel reports is at most that of the buffer: MSG_TRUNC isn't asked for.
            unsafe {
                let header = &*datagrams.incoming(i);
                let octets = &mut *addr_of_mut!((*slot).answer_part.iov_len);
                *octets = 0;
                let whole = header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
                let query =
                    &(&*addr_of_mut!((*slot).query))[..(header.msg_len as usize).min(UDP_QUERY_OCTETS)];
                let peer = address(&*addr_of_mut!((*slot).peer));
                let query = peer.filter(|_| whole).map(|peer| (query, peer));
                Exchange { query, answer: &mut *addr_of_mut!((*slot).answer), octets }
            }
        })
    }

    /// Queues the responses that were written since the last receive, for [`send`](Self::send);
    /// tells how many there are.
    pub(super) fn queue(&mut self) -> usize {
        self.queued = 0;
        for i in 0..self.used {
            let slot = self.slot(i);
            // SAFETY: slot and headers are inside the allocation; no reference to them exists, and
            // `queued` is at most `i`. The kernel wrote the peer address and the control message
            // of this slot.
            unsafe {
                let octets = &mut (*slot).answer_part.iov_len;
                if *octets == 0 {
                    continue;
                }
                *octets = (*octets).min(UDP_PAYLOAD_OCTETS_MAX);
                let incoming = addr_of_mut!((*self.incoming(i)).msg_hdr);
                let outgoing = addr_of_mut!((*self.outgoing(self.queued)).msg_hdr);
                (*outgoing).msg_name = (*incoming).msg_name;
                (*outgoing).msg_namelen = (*incoming).msg_namelen;
                (*outgoing).msg_iov = addr_of_mut!((*slot).answer_part);
                (*outgoing).msg_iovlen = 1;
                (*outgoing).msg_control = (*incoming).msg_control;
                (*outgoing).msg_controllen = (*incoming).msg_controllen;
                if (*incoming).msg_controllen == 0 || !let_routing_choose(incoming) {
                    (*outgoing).msg_controllen = 0;
                }
            }
            self.queued += 1;
        }
        self.queued
    }

    /// The datagrams of the last receive that have a response.
    pub(super) fn exchanged(&self) -> impl Iterator<Item = Exchanged<'_>> {
        (0..self.used).filter_map(|i| {
            let slot = self.slot(i);
            // SAFETY: slot and header are inside the allocation. The shared borrow of `self`, which
            // what is given carries on, keeps writers away: the exclusive one of `exchanges` is over.
            unsafe {
                let header = &*self.incoming(i);
                let octets = (*slot).answer_part.iov_len.min(UDP_PAYLOAD_OCTETS_MAX);
                let answer = &(&*addr_of!((*slot).answer))[..octets];
                let query = &(&*addr_of!((*slot).query))[..(header.msg_len as usize).min(UDP_QUERY_OCTETS)];
                let client = socket_address(&*addr_of!((*slot).peer))?;
                (octets > 0).then_some(Exchanged { client, query, answer })
            }
        })
    }

    /// Sends the queued responses from the `first` on; tells how many the kernel took, at least
    /// one.
    pub(super) fn send(&mut self, socket: impl AsFd, first: usize) -> io::Result<usize> {
        assert!(first < self.queued);
        // SAFETY: the headers from `first` to `queued` were set by `queue` since the last
        // receive, and point to parts of slots that stay as they are until the next one.
        let count = unsafe {
            libc::sendmmsg(
                socket.as_fd().as_raw_fd(),
                self.outgoing(first),
                (self.queued - first) as c_uint,
                0,
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    fn slot(&self, i: usize) -> *mut Slot {
        assert!(i < UDP_BATCH);
        // SAFETY: `i` is inside the array, which is inside the allocation.
        unsafe { addr_of_mut!((*self.memory.as_ptr()).slots).cast::<Slot>().add(i) }
    }

    fn incoming(&self, i: usize) -> *mut libc::mmsghdr {
        assert!(i < UDP_BATCH);
        // SAFETY: `i` is inside the array, which is inside the allocation.
        unsafe { addr_of_mut!((*self.memory.as_ptr()).incoming).cast::<libc::mmsghdr>().add(i) }
    }

    fn outgoing(&self, i: usize) -> *mut libc::mmsghdr {
        assert!(i < UDP_BATCH);
        // SAFETY: `i` is inside the array, which is inside the allocation.
        unsafe { addr_of_mut!((*self.memory.as_ptr()).outgoing).cast::<libc::mmsghdr>().add(i) }
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `new`; its fields need no drop.
        unsafe { dealloc(self.memory.as_ptr().cast(), Layout::new::<Memory>()) }
    }
}

/// The address in what the kernel wrote.
fn address(peer: &libc::sockaddr_storage) -> Option<IpAddr> {
    socket_address(peer).map(|address| address.ip())
}

/// The address in what the kernel wrote, with its port.
fn socket_address(peer: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let peer: *const libc::sockaddr_storage = peer;
    // SAFETY: a sockaddr_storage has the size and alignment of every sockaddr, any octets are
    // valid values of their fields, and the family tells which of them it is.
    unsafe {
        match c_int::from((*peer).ss_family) {
            libc::AF_INET => {
                let peer = &*peer.cast::<libc::sockaddr_in>();
                let address = Ipv4Addr::from(u32::from_be(peer.sin_addr.s_addr));
                Some((address, u16::from_be(peer.sin_port)).into())
            }
            libc::AF_INET6 => {
                let peer = &*peer.cast::<libc::sockaddr_in6>();
                Some((Ipv6Addr::from(peer.sin6_addr.s6_addr), u16::from_be(peer.sin6_port)).into())
            }
            _ => None,
        }
    }
}

/// Makes a received control message one that may be sent: the local address stays, the
/// interface goes, so that routing may choose another for the way back. Only link-local
/// addresses keep it, since they mean nothing without. False if there is no such message.
///
/// # Safety
/// The kernel wrote `header`'s control message, which is inside a slot; no reference to it
/// exists.
unsafe fn let_routing_choose(header: *mut libc::msghdr) -> bool {
    // SAFETY: by the caller's promise; the data of a control message has the type that its
    // level and type name. It is aligned for 8 octets as the buffer is.
    unsafe {
        let control = libc::CMSG_FIRSTHDR(header);
        if control.is_null() {
            return false;
        }
        match ((*control).cmsg_level, (*control).cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                (*libc::CMSG_DATA(control).cast::<libc::in_pktinfo>()).ipi_ifindex = 0;
                true
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let info = libc::CMSG_DATA(control).cast::<libc::in6_pktinfo>();
                if !Ipv6Addr::from((*info).ipi6_addr.s6_addr).is_unicast_link_local() {
                    (*info).ipi6_ifindex = 0;
                }
                true
            }
            _ => false,
        }
    }
}

/// Options of a UDP socket that no safe interface offers: the local address with each datagram
/// where it isn't known from the binding, and no belief in ICMP's word about the path's MTU,
/// which anyone can forge to make us fragment.
pub(crate) fn prepare(socket: impl AsFd, address: SocketAddr) -> io::Result<()> {
    let (level, packet_info, discover, omit) = match address {
        SocketAddr::V4(_) => {
            (libc::IPPROTO_IP, libc::IP_PKTINFO, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)
        }
        SocketAddr::V6(_) => {
            (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT)
        }
    };
    if address.ip().is_unspecified() {
        set(&socket, level, packet_info, 1)?;
    }
    set(&socket, level, discover, omit)
}

fn set(socket: impl AsFd, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the value is an int that lives during the call, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The time in seconds since 1970, modulo 2^32, as of the kernel's last tick: read from memory,
/// without a system call.
pub(crate) fn coarse_now() -> u32 {
    // SAFETY: zeroes are a valid timespec.
    let mut now: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: the time is written during the call, and lives longer.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut now) };
    now.tv_sec as u32
}

/// The cores that this process may run on.
pub(super) fn cores() -> Vec<usize> {
    // SAFETY: zeroes are a valid cpu_set_t, the empty one.
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set lives during the call, and its size is given.
    if unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut allowed) } != 0 {
        return Vec::new();
    }
    // SAFETY: each core's number is below the size of the set.
    (0..libc::CPU_SETSIZE as usize).filter(|&core| unsafe { libc::CPU_ISSET(core, &allowed) }).collect()
}

/// Binds the calling thread to `core`. Where that isn't allowed, the thread goes on unbound.
pub(super) fn pin(core: usize) {
    if core >= libc::CPU_SETSIZE as usize {
        return;
    }
    // SAFETY: zeroes are a valid cpu_set_t, the core's number is below its size, and it lives
    // during the call.
    unsafe {
        let mut only: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut only);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const only);
    }
}
