//! Asks the server as a resolver would that sends its client's network (RFC 7871).

use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::str::FromStr;
use std::time::Duration;

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::{Name, Record, RecordType};
use hickory_proto::serialize::binary::DecodeError;
use ipnet::IpNet;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a query is sent before giving up.
const TRIES: u16 = 3;

/// Why there is no answer.
#[derive(Debug)]
pub enum AskError {
    /// Nothing came, or nothing could be sent.
    Silence(SocketAddr, io::Error),
    /// What was asked for is no name.
    Question(ProtoError),
    /// What came is no DNS message.
    Answer(SocketAddr, DecodeError),
    /// The server has no answer for us.
    Code(SocketAddr, ResponseCode),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::Silence(server, error) => write!(f, "{server}: no answer over UDP: {error}"),
            AskError::Question(error) => error.fmt(f),
            AskError::Answer(server, error) => write!(f, "{server}: no DNS message: {error}"),
            AskError::Code(server, code) => write!(f, "{server}: answered {code}"),
        }
    }
}

impl std::error::Error for AskError {}

impl From<ProtoError> for AskError {
    fn from(error: ProtoError) -> AskError {
        AskError::Question(error)
    }
}

/// The answer's records, for a client in `subnet`.
pub(super) fn ask(
    server: SocketAddr,
    name: &str,
    rtype: RecordType,
    subnet: IpNet,
) -> Result<Vec<Record>, AskError> {
    let silence = |error| AskError::Silence(server, error);
    let any: SocketAddr = if server.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(any).map_err(silence)?;
    socket.connect(server).map_err(silence)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(silence)?;
    let mut last = io::ErrorKind::TimedOut.into();
    for id in 1..=TRIES {
        match exchange(&socket, &query(id, name, rtype, subnet)?.to_vec()?) {
            Ok(octets) => {
                let answer = Message::from_vec(&octets).map_err(|error| AskError::Answer(server, error))?;
                // A late answer to an earlier try says the same.
                return match answer.metadata.response_code {
                    ResponseCode::NoError => Ok(answer.answers),
                    code => Err(AskError::Code(server, code)),
                };
            }
            Err(error) => last = error,
        }
    }
    Err(silence(last))
}

fn exchange(socket: &UdpSocket, query: &[u8]) -> io::Result<Vec<u8>> {
    socket.send(query)?;
    let mut answer = vec![0; usize::from(crate::limits::UDP_PAYLOAD_OCTETS)];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

fn query(id: u16, name: &str, rtype: RecordType, subnet: IpNet) -> Result<Message, ProtoError> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_str(name)?, rtype));
    let mut edns = Edns::new();
    edns.set_max_payload(crate::limits::UDP_PAYLOAD_OCTETS);
    let option = ClientSubnet::new(subnet.network(), subnet.prefix_len(), 0);
    edns.options_mut().insert(EdnsOption::Subnet(option));
    message.set_edns(edns);
    Ok(message)
}
