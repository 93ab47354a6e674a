//! How many connections there are, of whom, and whether one more is let in.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Octets of an IPv6 address that name a client's network: a /64 is one client's, and has more
/// addresses than any limit.
const IPV6_NETWORK_OCTETS: usize = 8;

/// The connections at one moment, and the most that there may be.
#[derive(Debug)]
pub struct Connections {
    limit: usize,
    limit_per_client: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    clients: HashMap<IpAddr, usize>,
    accepted: u64,
    refused: u64,
}

/// Numbers of TCP connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionTally {
    /// Open now.
    pub open: usize,
    /// Let in since the start.
    pub accepted: u64,
    /// Closed at once since the start, because there were too many.
    pub refused: u64,
}

/// One open connection; counts until it is dropped.
pub struct Ticket {
    connections: Arc<Connections>,
    client: IpAddr,
}

impl Connections {
    /// None yet, and so many at once at most: in all, and of one client.
    #[must_use]
    pub fn new(limit: usize, limit_per_client: usize) -> Arc<Connections> {
        Arc::new(Connections { limit, limit_per_client, open: Mutex::default() })
    }

    /// Lets a connection in, unless there are too many.
    pub fn enter(self: &Arc<Connections>, peer: IpAddr) -> Option<Ticket> {
        let client = client(peer);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_client = open.clients.get(&client).copied().unwrap_or(0);
        if open.total >= self.limit || of_client >= self.limit_per_client {
            open.refused += 1;
            return None;
        }
        open.total += 1;
        open.accepted += 1;
        open.clients.insert(client, of_client + 1);
        drop(open);
        Some(Ticket { connections: Arc::clone(self), client })
    }

    /// Whether half of all places are taken, or half of this client's.
    #[must_use]
    pub fn is_crowded(&self, peer: IpAddr) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_client = open.clients.get(&client(peer)).copied().unwrap_or(0);
        open.total >= self.limit.div_ceil(2) || of_client >= self.limit_per_client.div_ceil(2)
    }

    /// The numbers now.
    pub fn tally(&self) -> ConnectionTally {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        ConnectionTally { open: open.total, accepted: open.accepted, refused: open.refused }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        if let Some(count) = open.clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.clients.remove(&self.client);
            }
        }
    }
}

/// What is counted as one client.
fn client(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[IPV6_NETWORK_OCTETS..].fill(0);
            Ipv6Addr::from(octets).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_places_are_given_back() {
        let connections = Connections::new(3, 2);
        let enter = |peer: &str| connections.enter(peer.parse().unwrap());
        let first = enter("2001:db8::1").unwrap();
        let _second = enter("2001:db8::2").unwrap();
        assert!(enter("2001:db8::3").is_none(), "the same /64");
        assert!(connections.is_crowded("2001:db8::3".parse().unwrap()));
        let _third = enter("192.0.2.1").unwrap();
        assert!(enter("192.0.2.2").is_none(), "three in all");
        drop(first);
        let _fourth = enter("192.0.2.2").unwrap();
        assert_eq!(connections.tally(), ConnectionTally { open: 3, accepted: 4, refused: 2 });
    }

    #[test]
    fn nothing_is_kept_of_those_who_left() {
        let connections = Connections::new(10, 10);
        drop(connections.enter("192.0.2.1".parse().unwrap()));
        assert!(connections.open.lock().unwrap().clients.is_empty());
    }
}
