//! Thousands of queries to one server: several on their way at a time, by datagrams or a stream.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// Datagrams on their way at a time.
const WINDOW: usize = 48;
/// How often an unanswered datagram is sent again.
const ATTEMPTS: usize = 20;

/// The answers, in the order of the queries, whose ids are set here: their numbers.
pub fn udp(server: SocketAddr, queries: &[Vec<u8>]) -> Vec<Vec<u8>> {
    assert!(queries.len() <= 1 << 16, "an id for each query");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut answers: Vec<Vec<u8>> = vec![Vec::new(); queries.len()];
    let mut octets = vec![0; 65_535];
    for (number, window) in queries.chunks(WINDOW).enumerate() {
        let first = number * WINDOW;
        for _ in 0..ATTEMPTS {
            let missing: Vec<usize> =
                (first..first + window.len()).filter(|at| answers[*at].is_empty()).collect();
            for &at in &missing {
                socket.send(&with_id(&queries[at], at)).unwrap();
            }
            for _ in &missing {
                let Ok(length) = socket.recv(&mut octets) else { break };
                if let Some(at) = place(&octets[..length], first, window.len()) {
                    answers[at] = octets[..length].to_vec();
                }
            }
            if missing.is_empty() {
                break;
            }
        }
    }
    answers
}

/// The same over one stream: one thread writes all queries while the other reads.
pub fn tcp(server: SocketAddr, queries: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut octets = Vec::new();
    for (number, query) in queries.iter().enumerate() {
        octets.extend((query.len() as u16).to_be_bytes());
        octets.extend(with_id(query, number));
    }
    let mut answers: Vec<Vec<u8>> = vec![Vec::new(); queries.len()];
    std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&octets).unwrap());
        for _ in queries {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut answer).unwrap();
            // Servers may answer in any order (RFC 7766 7).
            let at = place(&answer, 0, queries.len()).expect("the id of a query");
            answers[at] = answer;
        }
    });
    answers
}

fn with_id(query: &[u8], number: usize) -> Vec<u8> {
    [&(number as u16).to_be_bytes(), &query[2..]].concat()
}

/// Which query of a window an answer belongs to.
fn place(answer: &[u8], first: usize, count: usize) -> Option<usize> {
    let id = u16::from_be_bytes(*answer.first_chunk()?);
    Some(usize::from(id)).filter(|number| (first..first + count).contains(number))
}
