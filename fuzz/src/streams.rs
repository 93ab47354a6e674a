//! Any octets as a TCP stream, in any pieces: the answers are those of `answer`, in order.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use waypost::answer::{Client, Transport, answer};
use waypost::limits::MESSAGE_OCTETS;

use crate::world::{World, world};

/// Octets of a message's header; what is shorter ends the connection.
const HEADER_OCTETS: usize = 12;

#[test]
fn streams() {
    bolero::check!().for_each(|input: &[u8]| {
        // The first octet says how many octets go at a time.
        let Some((&piece, stream)) = input.split_first() else { return };
        let piece = usize::from(piece).max(1);
        let begin = now();
        let (answers, is_reset) = conversation(world(), stream, piece);
        // Cookies tell the second (RFC 9018 4.3). The server's clock is behind ours by a tick.
        let seconds = begin - 1..=now();
        let rest = behind_expected(world(), stream, &answers, is_reset, seconds);
        assert!(rest.is_empty(), "{answers:?}\nends with {rest:?}");
    });
}

/// What is left of the answers behind those that the server ought to send until the client's end
/// of the stream, each made in one of these seconds. A reset may have lost the last ones.
fn behind_expected<'a>(
    world: &World,
    mut stream: &[u8],
    mut answers: &'a [u8],
    is_reset: bool,
    seconds: RangeInclusive<u32>,
) -> &'a [u8] {
    let snapshot = world.published.load();
    let mut out = vec![0; MESSAGE_OCTETS];
    while let Some((length, rest)) = stream.split_first_chunk() {
        let octets = usize::from(u16::from_be_bytes(*length));
        let Some((query, rest)) = rest.split_at_checked(octets) else { break };
        stream = rest;
        if octets < HEADER_OCTETS {
            break;
        }
        let transport = Transport::Tcp { idle: 100 };
        let mut last = 0;
        let behind = seconds.clone().find_map(|now| {
            let client = Client { address: [127, 0, 0, 1].into(), transport, entropy: 0, now };
            last = answer(&snapshot, query, &client, &mut out).octets;
            let (length, rest) = answers.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)) == last).then(|| rest.strip_prefix(&out[..last]))?
        });
        if last == 0 {
            break;
        }
        let Some(behind) = behind else {
            if is_reset {
                return &[];
            }
            panic!("{answers:?} doesn't begin with {:?}", &out[..last]);
        };
        answers = behind;
    }
    answers
}

/// What the server sends, and whether it ended the connection before it had read all.
fn conversation(world: &World, stream: &[u8], piece: usize) -> (Vec<u8>, bool) {
    let mut client = TcpStream::connect(world.address).unwrap();
    client.set_nodelay(true).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut reader = client.try_clone().unwrap();
    let mut answers = Vec::new();
    let mut is_reset = false;
    std::thread::scope(|scope| {
        // A reset is told once: to the writer or to the reader.
        let writer = scope.spawn(|| {
            let is_whole = stream.chunks(piece).all(|piece| client.write_all(piece).is_ok());
            is_whole && client.shutdown(Shutdown::Write).is_ok()
        });
        let mut octets = [0; 4096];
        loop {
            match reader.read(&mut octets) {
                Ok(0) => break,
                Ok(length) => answers.extend(&octets[..length]),
                Err(error) => {
                    is_reset = error.kind() == ErrorKind::ConnectionReset;
                    break;
                }
            }
        }
        is_reset |= !writer.join().expect("writing doesn't panic");
    });
    // Thousands of connections a minute: none may wait for its port.
    let _ = socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO));
    (answers, is_reset)
}

fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32
}
