//! One question to one server, and what came back.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::{Name as HickoryName, RecordType};
use hickory_proto::serialize::binary::BinDecodable;
use ipnet::IpNet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};

use crate::limits::{LIVE_ATTEMPTS, LIVE_PATIENCE, MESSAGE_OCTETS, UDP_PAYLOAD_OCTETS};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

/// A question as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) name: Name,
    pub(super) rtype: Rtype,
    /// The client that it is asked for (RFC 7871).
    pub(super) subnet: Option<IpNet>,
    /// EDNS version.
    pub(super) version: u8,
    pub(super) is_stream: bool,
}

/// Why there is no answer to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing came, as often as it was asked.
    Silent,
    /// The server's host refuses the port.
    Refused,
    /// This machine has no way to it: nothing that the server could be blamed for.
    NoWay(String),
    /// What came is no DNS message.
    Garbled(String),
    /// The time for the whole check was over.
    Late,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Silent => f.write_str("doesn't answer"),
            Trouble::Refused => f.write_str("refuses connections"),
            Trouble::NoWay(why) => write!(f, "can't be reached from here: {why}"),
            Trouble::Garbled(why) => write!(f, "answers what can't be read: {why}"),
            Trouble::Late => f.write_str("wasn't asked: time is up"),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Trouble::Refused,
            io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::PermissionDenied => Trouble::NoWay(error.to_string()),
            _ => Trouble::Silent,
        }
    }
}

impl Question {
    /// The message.
    pub(super) fn octets(&self, id: u16) -> Result<Vec<u8>, Trouble> {
        let garbled = |error: &dyn fmt::Display| Trouble::Garbled(error.to_string());
        let name = HickoryName::from_bytes(self.name.as_wire()).map_err(|error| garbled(&error))?;
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(name, RecordType::from(self.rtype.0)));
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD_OCTETS).set_version(self.version);
        if let Some(subnet) = self.subnet {
            let option = ClientSubnet::new(subnet.network(), subnet.prefix_len(), 0);
            edns.options_mut().insert(EdnsOption::Subnet(option));
        }
        message.set_edns(edns);
        message.to_vec().map_err(|error| garbled(&error))
    }
}

/// Asks a server until it answers, at most so often and until `end`. A truncated answer is asked
/// for again over TCP, as resolvers do.
pub(super) async fn ask(server: SocketAddr, question: &Question, end: Instant) -> Result<Message, Trouble> {
    // Answers are told apart by ports too, so these numbers needn't be secret.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let id = NEXT.fetch_add(0x9e37, Ordering::Relaxed) ^ std::process::id() as u16;
    let octets = question.octets(id)?;
    let attempts = async {
        let mut trouble = Trouble::Silent;
        for _ in 0..LIVE_ATTEMPTS {
            let once = async {
                if !question.is_stream {
                    let message = by_datagram(server, &octets, id).await?;
                    if !message.metadata.truncation {
                        return Ok(message);
                    }
                }
                by_stream(server, &octets).await
            };
            match timeout(LIVE_PATIENCE, once).await {
                Ok(Ok(message)) => return Ok(message),
                Ok(Err(found @ (Trouble::NoWay(_) | Trouble::Garbled(_)))) => return Err(found),
                Ok(Err(found)) => trouble = found,
                Err(_) => trouble = Trouble::Silent,
            }
        }
        Err(trouble)
    };
    timeout_at(end, attempts).await.unwrap_or(Err(Trouble::Late))
}

async fn by_datagram(server: SocketAddr, octets: &[u8], id: u16) -> Result<Message, Trouble> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(octets).await?;
    let mut answer = vec![0; MESSAGE_OCTETS];
    loop {
        let length = socket.recv(&mut answer).await?;
        // Others' datagrams, or late ones, aren't this answer.
        if answer[..length].starts_with(&id.to_be_bytes()) {
            return read(&answer[..length]);
        }
    }
}

async fn by_stream(server: SocketAddr, octets: &[u8]) -> Result<Message, Trouble> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(octets.len()).map_err(|error| Trouble::Garbled(error.to_string()))?;
    stream.write_all(&[&length.to_be_bytes()[..], octets].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    read(&answer)
}

fn read(octets: &[u8]) -> Result<Message, Trouble> {
    Message::from_vec(octets).map_err(|error| Trouble::Garbled(error.to_string()))
}
