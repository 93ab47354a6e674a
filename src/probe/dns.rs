//! The probe `dns`: a query to the target's address, which must be answered with NOERROR.

use std::net::SocketAddr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use super::Dns;
use super::dial::{Deadline, Dialer};
use super::evidence::{Failure, Seen, of_error, of_socket};
use crate::limits::MESSAGE_OCTETS;

pub(super) async fn ask(
    to: SocketAddr,
    dns: &Dns,
    id: u16,
    dialer: &Dialer,
    deadline: Deadline,
) -> Result<Seen, Failure> {
    let cannot =
        |error: &dyn std::fmt::Display| Failure::new(format!("the question can't be asked: {error}"));
    let name = Name::read(&mut BinDecoder::new(dns.name.as_wire())).map_err(|error| cannot(&error))?;
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = dns.recursion;
    message.add_query(Query::query(name, RecordType::from(dns.rtype.0)));
    let query = message.to_vec().map_err(|error| cannot(&error))?;
    let answer = if dns.tcp {
        over_tcp(to, &query, dialer, deadline).await?
    } else {
        over_udp(to, &query, dialer, deadline).await?
    };
    judge(dns, &message, &answer)
}

async fn over_udp(
    to: SocketAddr,
    query: &[u8],
    dialer: &Dialer,
    deadline: Deadline,
) -> Result<Vec<u8>, Failure> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let source = dialer.source(to).unwrap_or_else(|| any.parse().expect("an address"));
    let socket = UdpSocket::bind(source).await.map_err(|error| of_socket(&error))?;
    // A connected socket hears of closed ports, and nothing of strangers.
    socket.connect(to).await.map_err(|error| of_socket(&error))?;
    socket.send(query).await.map_err(|error| of_socket(&error))?;
    let mut answer = vec![0; MESSAGE_OCTETS];
    loop {
        let received = deadline.limit("DNS answer", socket.recv(&mut answer)).await?;
        let octets = received.map_err(|error| of_socket(&error))?;
        // What isn't the answer to this query may be forged.
        if answer[..octets].starts_with(&query[..2]) {
            answer.truncate(octets);
            return Ok(answer);
        }
    }
}

async fn over_tcp(
    to: SocketAddr,
    query: &[u8],
    dialer: &Dialer,
    deadline: Deadline,
) -> Result<Vec<u8>, Failure> {
    let mut stream = dialer.connect(to, deadline).await?;
    let exchange = async {
        // Length and message in one segment (RFC 7766 8).
        let length = u16::try_from(query.len()).unwrap_or(u16::MAX);
        stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    deadline.limit("DNS answer", exchange).await?.map_err(|error| Failure::new(of_error(&error)))
}

fn judge(dns: &Dns, query: &Message, answer: &[u8]) -> Result<Seen, Failure> {
    let answer =
        Message::from_vec(answer).map_err(|error| Failure::new(format!("no DNS answer: {error}")))?;
    if answer.metadata.message_type != MessageType::Response || answer.metadata.id != query.metadata.id {
        return Err(Failure::new("no DNS answer: another message"));
    }
    let count = answer.answers.len();
    match answer.metadata.response_code {
        ResponseCode::NoError if dns.wants_answer && count == 0 => {
            Err(Failure::new("NOERROR, but nothing in the answer section"))
        }
        ResponseCode::NoError => Ok(Seen::new(format!("NOERROR, {count} in the answer section"))),
        code => Err(Failure::new(format!("RCODE {} ({code})", u16::from(code)))),
    }
}
