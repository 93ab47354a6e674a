//! One host name's addresses, asked of recursive resolvers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::{Name as HickoryName, RData, RecordType};
use hickory_proto::serialize::binary::BinDecodable;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use crate::limits::{RESOLVE_AGAIN_MAX, RESOLVE_AGAIN_MIN, RESOLVE_PATIENCE};
use crate::route::addresses::Resolution;
use crate::wire::name::Name;

/// Asks for both families of a name; the time after which to ask again follows from the TTLs.
/// Without `servers` those of the system are asked, as its configuration has them now.
pub async fn look_up(name: &Name, servers: &[SocketAddr]) -> (Resolution, Duration) {
    let resolver = match resolver(servers) {
        Ok(resolver) => resolver,
        Err(error) => return (Resolution::failed(&error.to_string()), RESOLVE_AGAIN_MIN),
    };
    let (ipv4, ipv6) =
        tokio::join!(ask(&resolver, name, RecordType::A), ask(&resolver, name, RecordType::AAAA));
    let ttls = [&ipv4, &ipv6].map(|family| family.as_ref().map_or(Some(0), |(_, ttl)| *ttl));
    let ttl = ttls.into_iter().flatten().min().unwrap_or(0);
    let again = Duration::from_secs(u64::from(ttl)).clamp(RESOLVE_AGAIN_MIN, RESOLVE_AGAIN_MAX);
    let addresses = |family: Result<(Vec<IpAddr>, Option<u32>), String>| family.map(|(found, _)| found);
    (Resolution { ipv4: addresses(ipv4), ipv6: addresses(ipv6) }, again)
}

/// One for each look-up: it follows `/etc/resolv.conf` when that changes, and holds no sockets in
/// between.
fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = servers.iter().map(|server| {
            let mut config = NameServerConfig::udp_and_tcp(server.ip());
            config.connections.iter_mut().for_each(|connection| connection.port = server.port());
            config
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    // Its own memory would give an old answer at the moment when a new one is due.
    builder.options_mut().cache_size = 0;
    builder.build()
}

/// Addresses of one family with the lowest TTL on the way to them. None at all is an answer too,
/// which has no such TTL.
async fn ask(
    resolver: &TokioResolver,
    name: &Name,
    rtype: RecordType,
) -> Result<(Vec<IpAddr>, Option<u32>), String> {
    let name = HickoryName::from_bytes(name.as_wire()).map_err(|error| error.to_string())?;
    let lookup = match tokio::time::timeout(RESOLVE_PATIENCE, resolver.lookup(name, rtype)).await {
        Ok(Ok(lookup)) => lookup,
        Ok(Err(error)) if error.is_no_records_found() => return Ok((Vec::new(), None)),
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("no answer".to_owned()),
    };
    let address = |data: &RData| match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    };
    let found = lookup.answers().iter().filter_map(|record| address(&record.data)).collect();
    let ttl = lookup.answers().iter().map(|record| record.ttl).min();
    Ok((found, ttl))
}
