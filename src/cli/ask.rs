//! Asks a running server about itself, as `dig CH TXT` would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::str::FromStr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use ipnet::IpNet;

use super::Failure;

/// Time for connecting, and for each read.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where the server is.
#[derive(Debug, clap::Args)]
pub(super) struct ServerArg {
    /// Ask the server here; it must allow this address to inspect it
    #[arg(short, long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:53")]
    pub(super) server: SocketAddr,
}

/// The TXT records of a name in the CHAOS class, each joined from its strings.
pub(super) fn lines(server: SocketAddr, name: &str, subnet: Option<IpNet>) -> Result<Vec<String>, Failure> {
    let failed = |what: &str| Failure::Message(format!("{server}: {what}"));
    let query = query(name, subnet)?;
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)
        .map_err(|error| failed(&format!("no answer over TCP: {error}")))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let octets = query.to_vec()?;
    let length = u16::try_from(octets.len())?;
    stream.write_all(&[&length.to_be_bytes()[..], &octets].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut octets)?;
    let message = Message::from_vec(&octets)?;
    match message.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::Refused => {
            return Err(failed(&format!(
                "refused {name}: there is no such name, or this address isn't in `inspect` of its configuration"
            )));
        }
        other => return Err(failed(&format!("answered {other}"))),
    }
    let mut lines = Vec::new();
    for record in &message.answers {
        if let RData::TXT(txt) = &record.data {
            let octets: Vec<u8> = txt.txt_data.iter().flat_map(|part| part.iter().copied()).collect();
            lines.push(String::from_utf8_lossy(&octets).into_owned());
        }
    }
    Ok(lines)
}

fn query(name: &str, subnet: Option<IpNet>) -> Result<Message, Failure> {
    let mut query = Query::query(Name::from_str(name)?, RecordType::TXT);
    query.set_query_class(DNSClass::CH);
    let mut message = Message::new(std::process::id() as u16, MessageType::Query, OpCode::Query);
    message.add_query(query);
    let mut edns = Edns::new();
    edns.set_max_payload(crate::limits::UDP_PAYLOAD_OCTETS);
    if let Some(subnet) = subnet {
        let option = ClientSubnet::new(subnet.network(), subnet.prefix_len(), 0);
        edns.options_mut().insert(EdnsOption::Subnet(option));
    }
    message.set_edns(edns);
    Ok(message)
}
