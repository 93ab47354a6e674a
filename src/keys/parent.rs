//! DS as the parent's nameservers have it, each asked itself.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name as HickoryName, RData, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinEncodable};

use crate::dnssec::rollover::{KeyId, ParentDs};
use crate::dnssec::{DigestType, SigningKey, ds};
use crate::limits::{MESSAGE_OCTETS, PARENT_ANSWER, PARENT_ATTEMPTS, PARENT_TIME, UDP_PAYLOAD_OCTETS};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// Where nameservers listen.
const PORT: u16 = 53;

/// Why nothing is known of the parent's DS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParentError {
    /// Its nameservers weren't found.
    NotFound(String),
    /// One of them gave no answer that says anything.
    Server(SocketAddr, String),
}

impl fmt::Display for ParentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParentError::NotFound(why) => write!(f, "the parent's nameservers aren't found: {why}"),
            ParentError::Server(address, why) => write!(f, "the parent's nameserver {address} {why}"),
        }
    }
}

impl std::error::Error for ParentError {}

/// What all nameservers of the parent say of a zone's keys, and the DS of no key here. Servers that
/// this machine has no way to are passed over; one that is silent leaves it unknown, since it may
/// give an old DS to others.
///
/// # Errors
/// Why it isn't known.
pub fn ask_parent(
    apex: &Name,
    servers: &[SocketAddr],
    keys: &[SigningKey],
) -> Result<(ParentDs, Vec<Vec<u8>>), ParentError> {
    ask_parent_until(apex, servers, keys, Instant::now() + PARENT_TIME)
}

/// The same, until some moment.
///
/// # Errors
/// Why it isn't known.
pub(super) fn ask_parent_until(
    apex: &Name,
    servers: &[SocketAddr],
    keys: &[SigningKey],
    end: Instant,
) -> Result<(ParentDs, Vec<Vec<u8>>), ParentError> {
    let found;
    let servers = if servers.is_empty() {
        found = find(apex, end)?;
        &found
    } else {
        servers
    };
    let mut said = ParentDs::default();
    let mut unknown: Vec<Vec<u8>> = Vec::new();
    let mut heard = 0;
    for &server in servers {
        let message = match ask(server, apex, Rtype::DS, false, end) {
            Ok(message) => message,
            Err(error) if is_no_way(&error) => continue,
            Err(error) => return Err(ParentError::Server(server, format!("doesn't answer: {error}"))),
        };
        if !message.metadata.authoritative {
            return Err(ParentError::Server(server, "isn't authoritative for the parent zone".to_owned()));
        }
        let mut here = Vec::new();
        for record in message.answers.iter().filter(|record| record.record_type() == RecordType::DS) {
            said.ttl = said.ttl.max(record.ttl);
            here.extend(record.data.to_bytes().ok());
        }
        said.has_any |= !here.is_empty();
        let has = |key: &&SigningKey| {
            [DigestType::Sha256, DigestType::Sha384].into_iter().any(|digest_type| {
                let rdata = ds(apex, key.dnskey(), digest_type);
                here.contains(&rdata)
            })
        };
        let known: Vec<&SigningKey> = keys.iter().filter(has).collect();
        let tags: Vec<[u8; 2]> = known.iter().map(|key| key.tag().to_be_bytes()).collect();
        unknown.extend(here.iter().filter(|rdata| !tags.iter().any(|tag| rdata.starts_with(tag))).cloned());
        let ids = known.iter().map(|key| KeyId { algorithm: key.algorithm(), tag: key.tag() }).collect();
        said.anywhere.extend(&ids);
        said.everywhere =
            if heard == 0 { ids } else { said.everywhere.intersection(&ids).copied().collect() };
        heard += 1;
    }
    if heard == 0 {
        return Err(ParentError::NotFound("this machine has no way to any of them".to_owned()));
    }
    unknown.sort_unstable();
    unknown.dedup();
    Ok((said, unknown))
}

/// The addresses of the parent's nameservers, by the system's resolver.
fn find(apex: &Name, end: Instant) -> Result<Vec<SocketAddr>, ParentError> {
    let not_found = |why: String| ParentError::NotFound(why);
    let file = std::fs::read_to_string("/etc/resolv.conf")
        .map_err(|error| not_found(format!("/etc/resolv.conf: {error}")))?;
    let lines = file.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let resolvers = lines.filter_map(|rest| rest.trim().parse().ok().map(|ip| SocketAddr::new(ip, PORT)));
    let resolvers: Vec<SocketAddr> = resolvers.collect();
    let mut parent = apex.parent();
    while let Some(name) = parent {
        for &resolver in &resolvers {
            let Ok(message) = ask(resolver, &name, Rtype::NS, true, end) else { continue };
            let mut addresses = Vec::new();
            for record in &message.answers {
                if let RData::NS(host) = &record.data {
                    let host = host.0.to_ascii();
                    addresses.extend((host.as_str(), PORT).to_socket_addrs().into_iter().flatten());
                }
            }
            if !addresses.is_empty() {
                addresses.sort_unstable();
                addresses.dedup();
                return Ok(addresses);
            }
            break;
        }
        parent = name.parent();
    }
    Err(not_found("the system's resolver knows none: write `parent` with their addresses".to_owned()))
}

fn is_no_way(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::Unsupported
    )
}

/// One question to one server, over TCP too where the answer was cut.
fn ask(server: SocketAddr, name: &Name, rtype: Rtype, recurse: bool, end: Instant) -> io::Result<Message> {
    let mut random = [0; 2];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let id = u16::from_be_bytes(random);
    let query = HickoryName::from_bytes(name.as_wire()).map_err(io::Error::other)?;
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = recurse;
    message.add_query(Query::query(query, RecordType::from(rtype.0)));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD_OCTETS);
    message.set_edns(edns);
    let octets = message.to_vec().map_err(io::Error::other)?;
    let mut trouble = io::Error::from(io::ErrorKind::TimedOut);
    for _ in 0..PARENT_ATTEMPTS {
        let answer =
            by_datagram(server, &octets, id, end).and_then(|answer| match answer.metadata.truncation {
                true => by_stream(server, &octets, end),
                false => Ok(answer),
            });
        match answer {
            // The question again: what is somebody else's answer says nothing.
            Ok(answer) if answer.metadata.id == id && answer.queries == message.queries => return Ok(answer),
            Ok(_) => trouble = io::Error::other("answers another question"),
            Err(error) if is_no_way(&error) => return Err(error),
            Err(error) => trouble = error,
        }
    }
    Err(trouble)
}

/// What is left for one answer.
fn patience(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now()).min(PARENT_ANSWER);
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn by_datagram(server: SocketAddr, octets: &[u8], id: u16, end: Instant) -> io::Result<Message> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.send(octets)?;
    let end = Instant::now() + patience(end)?;
    let mut answer = vec![0; MESSAGE_OCTETS];
    loop {
        socket.set_read_timeout(Some(patience(end)?))?;
        let length = socket.recv(&mut answer)?;
        if answer[..length].starts_with(&id.to_be_bytes()) {
            return Message::from_vec(&answer[..length]).map_err(io::Error::other);
        }
    }
}

fn by_stream(server: SocketAddr, octets: &[u8], end: Instant) -> io::Result<Message> {
    let mut stream = TcpStream::connect_timeout(&server, patience(end)?)?;
    stream.set_read_timeout(Some(patience(end)?))?;
    stream.set_write_timeout(Some(patience(end)?))?;
    let length = u16::try_from(octets.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], octets].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    Message::from_vec(&answer).map_err(io::Error::other)
}
