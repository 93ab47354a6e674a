//! Real sockets on loopback, with a service that sends back what it gets.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::*;
use crate::answer::{Answered, Client, Facts, Kind, Transport};
use crate::wire::query::LowerName;

const PATIENCE: Duration = Duration::from_secs(5);

/// Answers with the query, QR set, or as the octet after the header says:
/// `w` all octets that the transport takes, `d` nothing, `p` a panic, `t` a truncated answer.
#[derive(Clone)]
struct Mirror;

impl Service for Mirror {
    type Batch<'a> = ();
    type Prepared<'b> = &'b [u8];

    fn begin(&self) {}

    fn prepare<'b>((): &'b (), query: &'b [u8], _: &'b mut LowerName) -> &'b [u8] {
        query
    }

    fn fetch<'p, 'b: 'p>(_: impl Iterator<Item = &'p &'b [u8]> + Clone) {}

    fn answer(query: &&[u8], client: &Client, out: &mut [u8]) -> Answered {
        let mut octets = query.len();
        out[..octets].copy_from_slice(query);
        out[2] |= 0x80;
        match query.get(12) {
            Some(b'w') => {
                out[octets..].fill(b'w');
                octets = out.len();
            }
            Some(b'd') => octets = 0,
            Some(b'p') => panic!("asked to"),
            Some(b't') => out[2] |= 0x02,
            _ => {}
        }
        let kind = if client.transport == Transport::Udp { Kind::Static } else { Kind::Routed };
        Answered { octets, rcode: 0, kind, truncated: out[2] & 0x02 != 0, facts: Facts::NONE }
    }
}

struct Server {
    running: Option<Running>,
}

impl Server {
    fn start(listen: &[&str], options: Options) -> Server {
        let listen: Vec<SocketAddr> = listen.iter().map(|text| text.parse().unwrap()).collect();
        let running = bind(&listen, options).unwrap().serve(Mirror).unwrap();
        Server { running: Some(running) }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    fn address(&self, i: usize) -> SocketAddr {
        self.running().local_addresses()[i]
    }

    /// Waits until what the counters tell is true: workers count after they sent.
    fn eventually(&self, expected: impl Fn(&Meters) -> bool) {
        let meters = self.running().meters();
        let begin = Instant::now();
        while !expected(&meters) {
            assert!(
                begin.elapsed() < PATIENCE,
                "{:?} {:?} {:?}",
                meters.udp(),
                meters.tcp(),
                meters.connections()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn udp_client(server: SocketAddr) -> UdpSocket {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // A connected socket takes answers from the very address it asked, and no other.
    socket.connect(server).unwrap();
    socket
}

fn query(id: u16, command: &[u8]) -> Vec<u8> {
    let mut query = vec![0; 12];
    query[..2].copy_from_slice(&id.to_be_bytes());
    query.extend_from_slice(command);
    query
}

fn ask_udp(server: SocketAddr, id: u16, command: &[u8]) -> Vec<u8> {
    let client = udp_client(server);
    client.send(&query(id, command)).unwrap();
    let mut answer = vec![0; 65_535];
    let octets = client.recv(&mut answer).unwrap_or_else(|error| panic!("{server}: {error}"));
    answer.truncate(octets);
    answer
}

fn tcp_client(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(message);
    frame
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    message
}

/// Whether the other side closed, within its patience.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 16]) {
        Ok(octets) => octets == 0,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn udp_and_tcp_on_the_same_port_by_both_families() {
    let server = Server::start(&["127.0.0.1:0", "[::1]:0"], Options::default());
    for i in 0..2 {
        let answer = ask_udp(server.address(i), 7, b"hello");
        assert_eq!((&answer[..2], answer[2], &answer[12..]), (&[0, 7][..], 0x80, &b"hello"[..]));
        let mut stream = tcp_client(server.address(i));
        stream.write_all(&frame(&query(8, b"hello"))).unwrap();
        assert_eq!(read_frame(&mut stream)[..3], [0, 8, 0x80]);
    }
    server.eventually(|meters| meters.udp().answered == 2 && meters.tcp().answered == 2);
    assert_eq!(server.running().meters().udp().kinds[Kind::Static as usize], 2);
    assert_eq!(server.running().meters().tcp().kinds[Kind::Routed as usize], 2);
}

#[test]
fn answers_leave_from_the_address_that_was_asked() {
    let server = Server::start(&["0.0.0.0:0", "[::]:0"], Options::default());
    for (i, host) in [(0, "127.0.0.1"), (0, "127.0.0.2"), (0, "127.9.8.7"), (1, "::1")] {
        let host: IpAddr = host.parse().unwrap();
        let answer = ask_udp(SocketAddr::new(host, server.address(i).port()), 9, b"x");
        assert_eq!(answer[..2], [0, 9], "{host}");
    }
}

#[test]
fn a_burst_is_answered_whole() {
    const QUERIES: u16 = 10_000;
    const WINDOW: u16 = 500;
    let server = Server::start(&["127.0.0.1:0"], Options { workers: 2, ..Options::default() });
    let clients: Vec<UdpSocket> = (0..8).map(|_| udp_client(server.address(0))).collect();
    let mut answered = vec![false; usize::from(QUERIES)];
    for first in (0..QUERIES).step_by(usize::from(WINDOW)) {
        let ids = first..first + WINDOW;
        for id in ids.clone() {
            clients[usize::from(id) % clients.len()].send(&query(id, b"burst")).unwrap();
        }
        for id in ids {
            let mut answer = [0; 64];
            clients[usize::from(id) % clients.len()].recv(&mut answer).unwrap();
            answered[usize::from(u16::from_be_bytes([answer[0], answer[1]]))] = true;
        }
    }
    assert!(answered.iter().all(|&answered| answered));
    server.eventually(|meters| meters.udp().answered == u64::from(QUERIES));
    // The kernel spread the eight clients over the group, its first socket included.
    let meters = server.running().meters();
    let shares: Vec<u64> = meters.udp.iter().map(|counters| counters.read().received).collect();
    assert_eq!(shares.iter().sum::<u64>(), u64::from(QUERIES), "{shares:?}");
}

#[test]
fn the_kernel_spreads_clients_over_all_workers() {
    let server = Server::start(&["127.0.0.1:0"], Options { workers: 4, ..Options::default() });
    for id in 0..200 {
        ask_udp(server.address(0), id, b"x");
    }
    server.eventually(|meters| meters.udp().answered == 200);
    let meters = server.running().meters();
    let shares: Vec<u64> = meters.udp.iter().map(|counters| counters.read().received).collect();
    assert!(shares.iter().all(|&share| share > 10), "{shares:?}");
}

#[test]
fn udp_counts_what_got_no_answer_and_survives_it() {
    let options = Options { workers: 1, udp_payload: 1400, ..Options::default() };
    let server = Server::start(&["127.0.0.1:0"], options);
    let client = udp_client(server.address(0));
    client.send(&query(1, b"d")).unwrap();
    client.send(&vec![0; limits::UDP_QUERY_OCTETS + 1]).unwrap();
    server.eventually(|meters| meters.udp().dropped == 2);
    client.send(&query(2, b"p")).unwrap();
    server.eventually(|meters| meters.udp().panics == 1);
    assert_eq!(ask_udp(server.address(0), 3, b"w").len(), 1400);
    assert_eq!(ask_udp(server.address(0), 4, b"t")[2], 0x82);
    server.eventually(|meters| meters.udp().answered == 2);
    let tally = server.running().meters().udp();
    assert_eq!((tally.received, tally.truncated, tally.rcodes[0]), (5, 1, 2));
}

#[test]
fn tcp_answers_pipelined_queries_in_order() {
    let server = Server::start(&["127.0.0.1:0"], Options::default());
    let mut stream = tcp_client(server.address(0));
    let mut queries = Vec::new();
    for id in 0..2000 {
        queries.extend(frame(&query(id, b"one of many, and long enough to fill the buffers")[..]));
    }
    // In pieces that end inside lengths and messages.
    let mut writer = stream.try_clone().unwrap();
    let writing = thread::spawn(move || {
        for piece in queries.chunks(4099) {
            writer.write_all(piece).unwrap();
        }
    });
    for id in 0..2000u16 {
        assert_eq!(read_frame(&mut stream)[..2], id.to_be_bytes());
    }
    writing.join().unwrap();
}

#[test]
fn tcp_answers_of_65535_octets_come_whole() {
    let server = Server::start(&["127.0.0.1:0"], Options::default());
    let mut stream = tcp_client(server.address(0));
    for id in 0..3 {
        stream.write_all(&frame(&query(id, b"w"))).unwrap();
    }
    for id in 0..3u8 {
        let answer = read_frame(&mut stream);
        assert_eq!((answer.len(), answer[1], answer[65_534]), (65_535, id, b'w'));
    }
    let mut longest = query(9, b"x");
    longest.resize(65_535, 5);
    stream.write_all(&frame(&longest)).unwrap();
    assert_eq!(read_frame(&mut stream)[13..], longest[13..]);
}

#[test]
fn a_client_that_reads_late_gets_everything_and_holds_up_nobody() {
    const QUERIES: u16 = 300;
    let server = Server::start(&["127.0.0.1:0"], Options { workers: 1, ..Options::default() });
    let mut late = tcp_client(server.address(0));
    let queries: Vec<u8> = (0..QUERIES).flat_map(|id| frame(&query(id, b"w"))).collect();
    late.write_all(&queries).unwrap();
    // Its answers, 20 MB, fill the buffers of both sides, while another is answered at once.
    let mut other = tcp_client(server.address(0));
    for id in 0..10 {
        other.write_all(&frame(&query(id, b"x"))).unwrap();
        assert_eq!(read_frame(&mut other)[..2], id.to_be_bytes());
    }
    assert!(server.running().meters().tcp().answered < u64::from(QUERIES));
    for id in 0..QUERIES {
        let answer = read_frame(&mut late);
        assert_eq!((answer.len(), &answer[..2]), (65_535, &id.to_be_bytes()[..]));
    }
    server.eventually(|meters| meters.tcp().answered == u64::from(QUERIES) + 10);
}

#[test]
fn a_client_that_closes_its_side_gets_its_answers_and_the_end() {
    let server = Server::start(&["127.0.0.1:0"], Options::default());
    for count in [1, 3, 1000] {
        let mut stream = tcp_client(server.address(0));
        let queries: Vec<u8> =
            (0..count).flat_map(|id| frame(&query(id, b"a query of some length, then the end"))).collect();
        stream.write_all(&queries).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        for id in 0..count {
            assert_eq!(read_frame(&mut stream)[..2], id.to_be_bytes());
        }
        let begin = Instant::now();
        assert!(is_closed(&mut stream));
        assert!(begin.elapsed() < Duration::from_secs(1), "not by the time-out");
    }
    server.eventually(|meters| meters.connections().open == 0);
}

#[test]
fn tcp_closes_on_what_is_no_query() {
    let server = Server::start(&["127.0.0.1:0"], Options::default());
    for garbage in [&[0, 0][..], &[0, 11, 1, 2, 3]] {
        let mut stream = tcp_client(server.address(0));
        stream.write_all(garbage).unwrap();
        assert!(is_closed(&mut stream), "{garbage:?}");
    }
    let mut stream = tcp_client(server.address(0));
    stream.write_all(&frame(&query(1, b"p"))).unwrap();
    assert!(is_closed(&mut stream));
    server.eventually(|meters| meters.tcp().panics == 1);
    // What came before is answered still; a dropped query ends the stream.
    let mut stream = tcp_client(server.address(0));
    stream.write_all(&[frame(&query(1, b"x")), frame(&query(2, b"d"))].concat()).unwrap();
    assert_eq!(read_frame(&mut stream)[..2], [0, 1]);
    assert!(is_closed(&mut stream));
    server.eventually(|meters| meters.connections().open == 0 && meters.tcp().dropped == 1);
}

#[test]
fn tcp_closes_idle_connections_and_slow_queries() {
    let options = Options { tcp_idle: Duration::from_millis(300), ..Options::default() };
    let server = Server::start(&["127.0.0.1:0"], options);
    let begin = Instant::now();
    assert!(is_closed(&mut tcp_client(server.address(0))));
    assert!(begin.elapsed() >= Duration::from_millis(300));

    // An octet each 50 ms isn't progress: the query would take two seconds.
    let mut stream = tcp_client(server.address(0));
    let begin = Instant::now();
    let sent = frame(&query(1, &[b'x'; 30]))
        .iter()
        .take_while(|&&octet| {
            thread::sleep(Duration::from_millis(50));
            stream.write_all(&[octet]).is_ok() && begin.elapsed() < Duration::from_secs(2)
        })
        .count();
    assert!(sent < 20, "{sent}");
    assert!(is_closed(&mut stream));
}

#[test]
fn tcp_refuses_connections_beyond_the_limits() {
    let options = Options { tcp_connections_per_client: 2, tcp_connections: 3, ..Options::default() };
    let server = Server::start(&["127.0.0.1:0"], options);
    let mut first = tcp_client(server.address(0));
    let _second = tcp_client(server.address(0));
    server.eventually(|meters| meters.connections().open == 2);
    assert!(is_closed(&mut tcp_client(server.address(0))));
    assert_eq!(server.running().meters().connections().refused, 1);
    first.write_all(&frame(&query(1, b"x"))).unwrap();
    assert_eq!(read_frame(&mut first)[..2], [0, 1], "those inside aren't disturbed");
    drop(first);
    server.eventually(|meters| meters.connections().open == 1);
    let mut third = tcp_client(server.address(0));
    third.write_all(&frame(&query(2, b"x"))).unwrap();
    assert_eq!(read_frame(&mut third)[..2], [0, 2]);
}

#[test]
fn stopping_frees_the_ports() {
    let mut server = Server::start(&["127.0.0.1:0", "[::]:0"], Options::default());
    let addresses = server.running().local_addresses().to_vec();
    let mut idle = tcp_client(addresses[0]);
    ask_udp(addresses[0], 1, b"x");
    let begin = Instant::now();
    server.running.take().unwrap().end().into_iter().for_each(|thread| thread.join().unwrap());
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(is_closed(&mut idle));
    assert!(bind(&addresses, Options::default()).is_ok());
}
