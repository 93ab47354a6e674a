//! Which servers a zone has, and where they are.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Serialize;
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout_at};

use crate::limits::LIVE_RESOLVING;
use crate::model::Model;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::zone::Zone;

const PORT: u16 = 53;

/// One address of a nameserver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Nameserver {
    /// Its name, as the zone has it; none for one that the command line gives.
    #[serde(rename = "nameserver")]
    pub(super) name: Option<String>,
    pub(super) address: SocketAddr,
}

impl fmt::Display for Nameserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(name) = &self.name else { return write!(f, "{}", self.address) };
        match self.address.port() {
            PORT => write!(f, "{name} ({})", self.address.ip()),
            _ => write!(f, "{name} ({})", self.address),
        }
    }
}

/// Addresses of nameservers by name, each resolved once.
#[derive(Debug, Default)]
pub(super) struct Addresses(BTreeMap<Name, Result<Vec<IpAddr>, String>>);

impl Addresses {
    /// The addresses of a name: from the zones here where these have it, else from the system's
    /// resolver.
    pub(super) async fn of(
        &mut self,
        model: &Model,
        name: &Name,
        end: Instant,
    ) -> Result<Vec<IpAddr>, String> {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        let addresses = match model.zone_of(name).map(|zone| held(&zone.zone, name)) {
            Some(addresses) if !addresses.is_empty() => Ok(addresses),
            _ => resolved(name, end).await,
        };
        self.0.insert(name.clone(), addresses.clone());
        addresses
    }
}

/// The nameservers in a zone's NS records.
pub(super) fn names(zone: &Zone) -> Vec<Name> {
    let apex = zone.apex().to_lower();
    let rrset = zone.owner(apex.as_wire()).and_then(|owner| owner.rrset(Rtype::NS));
    rrset.iter().flat_map(|rrset| rrset.rdata()).filter_map(|rdata| Name::from_wire(rdata).ok()).collect()
}

/// One address of a nameserver at the usual port.
pub(super) fn at(name: &Name, address: IpAddr) -> Nameserver {
    Nameserver { name: Some(name.to_string()), address: SocketAddr::new(address, PORT) }
}

fn held(zone: &Zone, name: &Name) -> Vec<IpAddr> {
    let lower = name.to_lower();
    let Some(owner) = zone.owner(lower.as_wire()) else { return Vec::new() };
    let rdata = |rtype| owner.rrset(rtype).into_iter().flat_map(|rrset| rrset.rdata());
    let ipv4 = rdata(Rtype::A).filter_map(|rdata| <[u8; 4]>::try_from(rdata).ok());
    let ipv6 = rdata(Rtype::AAAA).filter_map(|rdata| <[u8; 16]>::try_from(rdata).ok());
    ipv4.map(|octets| Ipv4Addr::from(octets).into())
        .chain(ipv6.map(|octets| Ipv6Addr::from(octets).into()))
        .collect()
}

async fn resolved(name: &Name, end: Instant) -> Result<Vec<IpAddr>, String> {
    let host = name.to_string();
    let end = end.min(Instant::now() + LIVE_RESOLVING);
    match timeout_at(end, lookup_host((host.as_str(), PORT))).await {
        Ok(Ok(found)) => {
            let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            addresses.sort();
            addresses.dedup();
            Ok(addresses)
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the system's resolver doesn't answer".to_owned()),
    }
}
