//! Queries in streams: RFC 1035 4.2.2, 7766, 7828.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use super::lab::{IDLE, server};
use super::packet::*;
use crate::lab::Lab;

const KEEPALIVE: u16 = 11;

fn www() -> Packet {
    Packet::query("www.packets.example.", A)
}

#[test]
fn rfc1035_4_2_2_answers_have_their_length_before_them() {
    let reply = www().tcp();
    assert_eq!((reply.rcode(), reply.answers.len()), (NOERROR, 2));
}

#[test]
fn rfc7766_8_a_query_may_come_in_pieces() {
    let mut stream = connect(server());
    for octet in framed(&www().octets()) {
        stream.write_all(&[octet]).unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(read_framed(&mut stream).answers.len(), 2);
}

#[test]
fn rfc7766_6_2_1_a_connection_serves_one_query_after_another() {
    let mut stream = connect(server());
    for _ in 0..3 {
        stream.write_all(&framed(&www().octets())).unwrap();
        assert_eq!(read_framed(&mut stream).answers.len(), 2);
    }
}

#[test]
fn rfc7766_6_2_1_1_queries_may_come_before_answers_went() {
    let mut stream = connect(server());
    let types = [A, AAAA, TXT, A, MX, SOA];
    let queries: Vec<u8> = types
        .iter()
        .flat_map(|qtype| framed(&Packet::query("www.packets.example.", *qtype).octets()))
        .collect();
    stream.write_all(&queries).unwrap();
    for qtype in types {
        // RFC 7766 7: any order would do; here it is the queries'.
        let reply = read_framed(&mut stream);
        assert_eq!(reply.question[reply.question.len() - 4..reply.question.len() - 2], qtype.to_be_bytes());
    }
}

#[test]
fn rfc7766_5_streams_hold_what_datagrams_do_not() {
    let packet = Packet::query("big.packets.example.", TXT);
    assert!(packet.udp().has(TC));
    let reply = packet.tcp();
    assert!(!reply.has(TC));
    assert_eq!(reply.answers.len(), 40);
}

#[test]
fn rfc6891_6_2_3_the_payload_is_of_datagrams_alone() {
    let reply = Packet::query("big.packets.example.", TXT).opt(Opt::new().payload(512)).tcp();
    assert!(!reply.has(TC) && reply.answers.len() == 40);
}

#[test]
fn rfc7766_6_2_4_a_client_that_says_no_more_gets_its_answers() {
    let mut stream = connect(server());
    stream.write_all(&framed(&www().octets()).repeat(2)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_framed(&mut stream).answers.len(), 2);
    assert_eq!(read_framed(&mut stream).answers.len(), 2);
    assert!(is_closed(&mut stream));
}

#[test]
fn rfc7766_6_2_4_what_is_no_query_ends_the_connection() {
    let response = framed(&www().flags(QR).octets());
    for garbage in [&[0, 0][..], &[0, 5, 1, 2, 3, 4, 5], &response] {
        let mut stream = connect(server());
        stream.write_all(garbage).unwrap();
        assert!(is_closed(&mut stream), "{garbage:?}");
    }
}

#[test]
fn rfc7766_6_2_4_a_malformed_query_does_not_end_the_connection() {
    let mut stream = connect(server());
    stream.write_all(&framed(&Packet::empty().octets())).unwrap();
    assert_eq!(read_framed(&mut stream).rcode(), FORMERR);
    stream.write_all(&framed(&www().octets())).unwrap();
    assert_eq!(read_framed(&mut stream).answers.len(), 2);
}

#[test]
fn rfc8906_8_1_5_tcp_is_there() {
    let reply = Packet::query("packets.example.", SOA).tcp();
    assert!(reply.has(AA) && reply.answers.len() == 1);
}

#[test]
fn rfc7828_3_3_2_who_asks_in_a_stream_is_told_the_time() {
    let reply = www().option(KEEPALIVE, &[]).tcp();
    assert_eq!((reply.rcode(), reply.option(KEEPALIVE)), (NOERROR, Some(&IDLE.to_be_bytes()[..])));
    let refused = Packet::query("www.foreign.example.", A).option(KEEPALIVE, &[]).tcp();
    assert!(refused.option(KEEPALIVE).is_some());
}

#[test]
fn rfc7828_3_3_2_who_does_not_ask_is_not_told() {
    assert_eq!(www().opt(Opt::new()).tcp().option(KEEPALIVE), None);
    assert!(www().tcp().opt.is_none());
}

#[test]
fn rfc7828_3_2_2_in_datagrams_the_option_is_ignored() {
    for data in [&[][..], &[0], &[0, 100], &[0; 9]] {
        let reply = www().option(KEEPALIVE, data).udp();
        assert_eq!((reply.rcode(), reply.answers.len()), (NOERROR, 2), "{data:?}");
        assert_eq!(reply.option(KEEPALIVE), None);
    }
}

#[test]
fn rfc7828_3_2_1_in_a_query_the_option_is_empty() {
    for data in [&[0][..], &[0, 100], &[0; 9]] {
        let reply = www().option(KEEPALIVE, data).tcp();
        assert_eq!(reply.rcode(), FORMERR, "{data:?}");
        assert!(reply.is_bare() && reply.opt.is_some() && reply.option(KEEPALIVE).is_none());
    }
}

fn lab(tcp: &str) -> Lab {
    let lab = Lab::new();
    lab.write("zones/plain.example.zone", "$TTL 60\n@ SOA ns h 1 1 1 1 60\n@ NS ns\nns A 192.0.2.1\n");
    let config = std::fs::read_to_string(lab.path("waypost.toml")).unwrap();
    lab.write("waypost.toml", &format!("{config}\n[tcp]\n{tcp}\n"));
    lab
}

#[test]
fn rfc7766_6_2_3_a_silent_connection_is_closed_when_it_was_told() {
    let lab = lab("idle = \"700ms\"");
    let server = lab.start();
    let mut stream = connect(server.address);
    let packet = Packet::query("plain.example.", SOA).option(KEEPALIVE, &[]);
    stream.write_all(&framed(&packet.octets())).unwrap();
    assert_eq!(read_framed(&mut stream).option(KEEPALIVE), Some(&[0, 7][..]));
    let begin = Instant::now();
    assert!(is_closed(&mut stream));
    assert!(begin.elapsed() >= Duration::from_millis(600), "{:?}", begin.elapsed());
    server.stop();
}

#[test]
fn rfc7766_6_2_2_a_client_has_so_many_connections_and_no_more() {
    let lab = lab("connections_per_client = 2");
    let server = lab.start();
    let query = framed(&Packet::query("plain.example.", SOA).octets());
    let mut inside = [connect(server.address), connect(server.address)];
    for stream in &mut inside {
        stream.write_all(&query).unwrap();
        assert_eq!(read_framed(stream).answers.len(), 1);
    }
    assert!(is_closed(&mut connect(server.address)));
    // Those inside aren't disturbed, and their places are given on.
    let [first, mut second] = inside;
    second.write_all(&query).unwrap();
    assert_eq!(read_framed(&mut second).answers.len(), 1);
    drop(first);
    crate::lab::wait_for("a place", Duration::from_secs(10), || {
        let mut stream = connect(server.address);
        stream.write_all(&query).ok()?;
        stream.read_exact(&mut [0; 2]).ok()
    });
    server.stop();
}
