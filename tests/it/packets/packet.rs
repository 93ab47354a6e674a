//! A query, octet by octet: nothing here keeps a test from sending what is wrong.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::lab::server;
use super::reply::Reply;

pub const A: u16 = 1;
pub const NS: u16 = 2;
pub const CNAME: u16 = 5;
pub const SOA: u16 = 6;
pub const MX: u16 = 15;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const DNAME: u16 = 39;
pub const OPT: u16 = 41;
pub const DS: u16 = 43;
pub const DNSKEY: u16 = 48;
pub const IXFR: u16 = 251;
pub const AXFR: u16 = 252;
pub const ANY: u16 = 255;

pub const IN: u16 = 1;
pub const CH: u16 = 3;

pub const QR: u16 = 0x8000;
pub const AA: u16 = 0x0400;
pub const TC: u16 = 0x0200;
pub const RD: u16 = 0x0100;
pub const RA: u16 = 0x0080;
pub const Z: u16 = 0x0040;
pub const AD: u16 = 0x0020;
pub const CD: u16 = 0x0010;

pub const NOERROR: u16 = 0;
pub const FORMERR: u16 = 1;
pub const SERVFAIL: u16 = 2;
pub const NXDOMAIN: u16 = 3;
pub const NOTIMP: u16 = 4;
pub const REFUSED: u16 = 5;
pub const YXDOMAIN: u16 = 6;
pub const BADVERS: u16 = 16;
pub const BADCOOKIE: u16 = 23;

/// The id of every query here.
pub const ID: u16 = 0x5ca1;

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// By how much an answer may be overtaken by the one to the query behind it.
const REORDERED: Duration = Duration::from_millis(100);

/// A name in wire form, uncompressed and as it is spelled.
pub fn name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// A resource record.
pub fn record(owner: &[u8], rtype: u16, class: u16, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let mut octets = owner.to_vec();
    octets.extend([rtype, class].iter().flat_map(|number| number.to_be_bytes()));
    octets.extend(ttl.to_be_bytes());
    octets.extend((rdata.len() as u16).to_be_bytes());
    octets.extend(rdata);
    octets
}

/// An OPT record.
#[derive(Clone)]
pub struct Opt {
    pub owner: Vec<u8>,
    pub payload: u16,
    pub version: u8,
    pub flags: u16,
    pub options: Vec<u8>,
}

impl Opt {
    pub fn new() -> Opt {
        Opt { owner: vec![0], payload: 1232, version: 0, flags: 0, options: Vec::new() }
    }

    pub fn payload(self, payload: u16) -> Opt {
        Opt { payload, ..self }
    }

    pub fn version(self, version: u8) -> Opt {
        Opt { version, ..self }
    }

    pub fn flags(self, flags: u16) -> Opt {
        Opt { flags, ..self }
    }

    pub fn owner(self, owner: &str) -> Opt {
        Opt { owner: name(owner), ..self }
    }

    pub fn option(mut self, code: u16, data: &[u8]) -> Opt {
        self.options.extend(code.to_be_bytes());
        self.options.extend((data.len() as u16).to_be_bytes());
        self.options.extend(data);
        self
    }

    fn octets(&self) -> Vec<u8> {
        let ttl = u32::from(self.version) << 16 | u32::from(self.flags);
        record(&self.owner, OPT, self.payload, ttl, &self.options)
    }
}

/// A query.
#[derive(Clone)]
pub struct Packet {
    pub flags: u16,
    /// Of the four sections, as the header says.
    pub counts: [u16; 4],
    /// All behind the header.
    pub body: Vec<u8>,
}

impl Packet {
    pub fn empty() -> Packet {
        Packet { flags: 0, counts: [0; 4], body: Vec::new() }
    }

    pub fn query(owner: &str, qtype: u16) -> Packet {
        Packet::empty().question(owner, qtype, IN)
    }

    pub fn question(mut self, owner: &str, qtype: u16, class: u16) -> Packet {
        self.counts[0] += 1;
        self.body.extend(name(owner));
        self.body.extend([qtype, class].iter().flat_map(|number| number.to_be_bytes()));
        self
    }

    pub fn flags(self, flags: u16) -> Packet {
        Packet { flags, ..self }
    }

    pub fn opcode(self, opcode: u16) -> Packet {
        Packet { flags: self.flags | opcode << 11, ..self }
    }

    /// A record in section 1 (answer), 2 (authority) or 3 (additional), behind those before.
    pub fn record(mut self, section: usize, octets: &[u8]) -> Packet {
        self.counts[section] += 1;
        self.raw(octets)
    }

    pub fn opt(self, opt: Opt) -> Packet {
        self.record(3, &opt.octets())
    }

    /// With an OPT record of one option.
    pub fn option(self, code: u16, data: &[u8]) -> Packet {
        self.opt(Opt::new().option(code, data))
    }

    /// Octets that no count counts.
    pub fn raw(mut self, octets: &[u8]) -> Packet {
        self.body.extend(octets);
        self
    }

    pub fn octets(&self) -> Vec<u8> {
        let mut octets = ID.to_be_bytes().to_vec();
        octets.extend(self.flags.to_be_bytes());
        octets.extend(self.counts.iter().flat_map(|count| count.to_be_bytes()));
        octets.extend(&self.body);
        octets
    }

    /// Asks by UDP.
    pub fn udp(&self) -> Reply {
        udp_from("127.0.0.1", server(), &self.octets())
    }

    /// Asks by TCP.
    pub fn tcp(&self) -> Reply {
        let mut stream = connect(server());
        stream.write_all(&framed(&self.octets())).unwrap();
        read_framed(&mut stream)
    }
}

/// Asks by UDP from a source address.
pub fn udp_from(source: &str, server: SocketAddr, octets: &[u8]) -> Reply {
    let socket = socket(source, server);
    socket.send(octets).unwrap();
    Reply::read(&receive(&socket).expect("an answer"))
}

/// Asks by UDP where there may be no answer. A good query behind it tells when to stop waiting:
/// its answer comes later, or a little earlier where the kernel hands packets from core to core.
pub fn udp_if_any(server: SocketAddr, octets: &[u8]) -> Option<Reply> {
    let socket = socket("127.0.0.1", server);
    socket.send(octets).unwrap();
    let mut behind = Packet::query("behind.invalid.", A).octets();
    behind[..2].copy_from_slice(&(!ID).to_be_bytes());
    socket.send(&behind).unwrap();
    let is_behind = |answer: &Vec<u8>| answer[..2] == behind[..2];
    let first = receive(&socket).expect("an answer to the good query");
    if !is_behind(&first) {
        return Some(Reply::read(&first));
    }
    socket.set_read_timeout(Some(REORDERED)).unwrap();
    receive(&socket).map(|answer| Reply::read(&answer))
}

fn socket(source: &str, server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((source, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(server).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut answer = [0; 65_535];
    let length = socket.recv(&mut answer).ok()?;
    Some(answer[..length].to_vec())
}

pub fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A message behind its length (RFC 1035 4.2.2).
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

pub fn read_framed(stream: &mut impl Read) -> Reply {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut octets).unwrap();
    Reply::read(&octets)
}

/// Whether the server closed the connection, with nothing more on it.
pub fn is_closed(stream: &mut impl Read) -> bool {
    match stream.read(&mut [0; 16]) {
        Ok(octets) => octets == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}
