//! Queries inside TLS and QUIC: RFC 7830, 7858, 8467, 9250.

use super::lab::{quic, server, tls};
use super::packet::*;
use super::reply::Reply;
use crate::encrypted_client::{self as client, Quic, exchange, try_tls};

const KEEPALIVE: u16 = 11;
const PADDING: u16 = 12;
/// RFC 9250 4.3.
const DOQ_PROTOCOL_ERROR: u64 = 2;
const DOQ_EXCESSIVE_LOAD: u64 = 4;

fn www() -> Packet {
    Packet::query("www.packets.example.", A)
}

fn over_tls(packet: &Packet) -> Reply {
    Reply::read(&exchange(&mut client::tls(tls()), &framed(&packet.octets())).unwrap())
}

/// RFC 9250 4.2.1: the id is 0 on the way.
fn without_id(packet: &Packet) -> Vec<u8> {
    let mut octets = packet.octets();
    octets[..2].fill(0);
    framed(&octets)
}

/// The message of a stream, with the id that was left out.
fn with_id(framed: &[u8]) -> Vec<u8> {
    let (length, message) = framed.split_first_chunk::<2>().unwrap();
    assert_eq!(usize::from(u16::from_be_bytes(*length)), message.len());
    assert_eq!(message[..2], [0, 0]);
    [&ID.to_be_bytes()[..], &message[2..]].concat()
}

fn over_quic(packet: &Packet) -> Reply {
    let client = Quic::new();
    let connection = client.connect(quic()).unwrap();
    Reply::read(&with_id(&connection.exchange(&without_id(packet)).unwrap()))
}

/// Queries of all kinds, right and wrong.
fn queries() -> Vec<Packet> {
    let types = [A, AAAA, NS, MX, SOA, TXT, DS, ANY, AXFR, 65_280, 251, 128, 253];
    let names = [
        "packets.example.",
        "WWW.packets.Example.",
        "case.packets.example.",
        "strange.packets.example.",
        "alias2.packets.example.",
        "loop1.packets.example.",
        "a.b.wild.packets.example.",
        "x.old.packets.example.",
        "www.sub.packets.example.",
        "routed.packets.example.",
        "big.packets.example.",
        "none.packets.example.",
        "www.broken.example.",
        "www.foreign.example.",
    ];
    let mut queries = vec![
        Packet::empty(),
        www().opcode(4),
        www().opcode(5),
        www().flags(RD | CD | AD | Z),
        www().question("other.example.", A, IN),
        www().raw(&[1, 2, 3]),
        Packet::empty().question("version.bind.", TXT, CH),
        Packet::empty().question("www.packets.example.", A, 4),
        www().opt(Opt::new().version(1)),
        www().opt(Opt::new()).opt(Opt::new()),
        www().option(3, &[]),
        www().option(8, &[0, 1, 24, 0, 203, 0, 113]),
        www().option(8, &[0, 1, 24]),
        www().option(10, &[1]),
        Packet::query("routed.packets.example.", A).option(8, &[0, 1, 24, 0, 203, 0, 113]),
    ];
    for name in names {
        for qtype in types {
            queries.push(Packet::query(name, qtype));
            queries.push(Packet::query(name, qtype).opt(Opt::new().flags(0x8000)));
        }
    }
    queries
}

#[test]
fn rfc7858_3_3_answers_are_octet_for_octet_those_of_tcp() {
    let mut plain = connect(server());
    let mut inside = client::tls(tls());
    for packet in queries() {
        let octets = framed(&packet.octets());
        assert_eq!(
            exchange(&mut inside, &octets).unwrap(),
            exchange(&mut plain, &octets).unwrap(),
            "{octets:?}"
        );
    }
}

#[test]
fn rfc9250_4_2_answers_are_octet_for_octet_those_of_tcp() {
    let mut plain = connect(server());
    let client = Quic::new();
    let connection = client.connect(quic()).unwrap();
    let packets = queries();
    let sent: Vec<Vec<u8>> = packets.iter().map(without_id).collect();
    // More streams at once than the server allows: the rest wait for their turn.
    assert!(sent.len() > waypost::limits::QUIC_STREAMS as usize);
    let sent: Vec<&[u8]> = sent.iter().map(Vec::as_slice).collect();
    for (packet, answer) in packets.iter().zip(connection.exchange_all(&sent)) {
        let expected = exchange(&mut plain, &framed(&packet.octets())).unwrap();
        assert_eq!(with_id(&answer.expect("an answer")), expected, "{:?}", packet.octets());
    }
}

#[test]
fn rfc7858_3_2_the_protocol_may_be_named_or_not() {
    let mut named = try_tls(tls(), &["dot"]).unwrap();
    assert_eq!(named.conn.alpn_protocol(), Some(&b"dot"[..]));
    let mut silent = try_tls(tls(), &[]).unwrap();
    for stream in [&mut named, &mut silent] {
        assert!(exchange(stream, &framed(&www().octets())).is_ok());
    }
    // RFC 7301 3.2: nothing in common is an alert.
    assert!(try_tls(tls(), &["h2"]).is_err());
}

#[test]
fn rfc7766_6_2_1_1_queries_inside_tls_may_come_before_answers_went() {
    let mut stream = client::tls(tls());
    let types = [A, AAAA, TXT, MX, SOA];
    let queries: Vec<u8> = (0..2_000)
        .flat_map(|n| framed(&Packet::query("www.packets.example.", types[n % types.len()]).octets()))
        .collect();
    // In pieces that end inside lengths and messages.
    for piece in queries.chunks(1_009) {
        std::io::Write::write_all(&mut stream, piece).unwrap();
    }
    for n in 0..2_000 {
        let reply = read_framed(&mut stream);
        let qtype = types[n % types.len()].to_be_bytes();
        assert_eq!(reply.question[reply.question.len() - 4..reply.question.len() - 2], qtype);
    }
}

#[test]
fn rfc7766_6_2_4_what_is_no_query_ends_a_connection_inside_tls() {
    let response = framed(&www().flags(QR).octets());
    for garbage in [&[0, 0][..], &[0, 5, 1, 2, 3, 4, 5], &response] {
        let mut stream = client::tls(tls());
        std::io::Write::write_all(&mut stream, garbage).unwrap();
        // With TLS's own end, so that nobody wonders whether something was cut off.
        assert!(is_closed(&mut stream), "{garbage:?}");
    }
}

#[test]
fn rfc8467_4_1_padded_queries_get_padded_answers() {
    let packets = [
        www(),
        Packet::query("big.packets.example.", TXT),
        Packet::query("none.packets.example.", A),
        Packet::query("www.foreign.example.", A),
        Packet::query("www.broken.example.", A),
        www().opcode(5),
    ];
    // RFC 7830 3: padding of queries should be zeroes, and whatever it is, it is accepted.
    for padding in [&[][..], &[0; 100], &[0xff; 9]] {
        for packet in &packets {
            let opt = Opt::new().option(PADDING, padding).option(3, &[]);
            for reply in [over_tls(&packet.clone().opt(opt.clone())), over_quic(&packet.clone().opt(opt))] {
                assert_eq!(reply.octets.len() % 468, 0, "{}", reply.octets.len());
                let opt = reply.opt.as_ref().unwrap();
                let (code, zeroes) = opt.options.last().unwrap();
                assert_eq!(*code, PADDING, "the last option");
                assert!(zeroes.iter().all(|octet| *octet == 0));
                assert!(reply.octets.ends_with(zeroes), "of the last record");
                assert!(reply.option(3).is_some());
            }
        }
    }
}

#[test]
fn rfc7830_4_who_does_not_pad_gets_no_padding() {
    for reply in [over_tls(&www().opt(Opt::new())), over_quic(&www().opt(Opt::new()))] {
        assert_eq!(reply.option(PADDING), None);
    }
    assert!(over_tls(&www()).opt.is_none());
}

#[test]
fn rfc7830_6_outside_of_encryption_there_is_no_padding() {
    let packet = www().option(PADDING, &[0; 100]);
    for reply in [packet.udp(), packet.tcp()] {
        assert_eq!((reply.answers.len(), reply.option(PADDING)), (2, None));
    }
}

#[test]
fn rfc7858_3_4_who_asks_is_told_how_long_a_connection_may_be_silent() {
    let idle = (waypost::limits::TLS_IDLE.as_millis() / 100) as u16;
    let reply = over_tls(&www().option(KEEPALIVE, &[]));
    assert_eq!(reply.option(KEEPALIVE), Some(&idle.to_be_bytes()[..]));
    assert_eq!(over_tls(&www().option(KEEPALIVE, &[0, 1])).rcode(), FORMERR);
}

#[test]
fn rfc9250_5_5_2_the_keepalive_option_ends_a_quic_connection() {
    let cookie = [7; 8];
    let without_question = Packet::empty().opt(Opt::new().option(10, &cookie).option(KEEPALIVE, &[]));
    for packet in [
        www().option(KEEPALIVE, &[]),
        www().option(KEEPALIVE, &[0, 9]),
        Packet::query("www.foreign.example.", A).option(KEEPALIVE, &[]),
        without_question,
    ] {
        let client = Quic::new();
        let connection = client.connect(quic()).unwrap();
        assert_eq!(connection.exchange(&without_id(&packet)), None);
        assert_eq!(connection.closed(), DOQ_PROTOCOL_ERROR);
    }
}

#[test]
fn rfc9250_4_3_3_mistakes_of_the_protocol_end_a_quic_connection() {
    let query = without_id(&www());
    for octets in [
        framed(&www().octets()),
        without_id(&www().flags(QR)),
        [&query[..], &query].concat(),
        query[..query.len() - 1].to_vec(),
        Vec::new(),
        vec![0, 3, 0, 0, 0],
    ] {
        let client = Quic::new();
        let connection = client.connect(quic()).unwrap();
        assert_eq!(connection.exchange(&octets), None, "{octets:?}");
        assert_eq!(connection.closed(), DOQ_PROTOCOL_ERROR);
    }
}

#[test]
fn rfc9250_4_3_a_query_longer_than_any_ends_a_quic_connection() {
    let octets = waypost::limits::QUIC_QUERY_OCTETS;
    let fixed = www().option(PADDING, &[]).octets().len();
    let padded = |octets: usize| without_id(&www().option(PADDING, &vec![0; octets - fixed]));
    let client = Quic::new();
    let connection = client.connect(quic()).unwrap();
    assert!(connection.exchange(&padded(octets)).is_some());
    assert_eq!(connection.exchange(&padded(octets + 1)), None);
    assert_eq!(connection.closed(), DOQ_EXCESSIVE_LOAD);
    // Inside TLS it is a query like any other.
    assert_eq!(over_tls(&www().option(PADDING, &vec![0; 60_000])).answers.len(), 2);
}

#[test]
fn rfc9250_4_5_there_is_no_early_data() {
    let client = Quic::new();
    for _ in 0..2 {
        let connection = client.connect(quic()).unwrap();
        assert!(connection.exchange(&without_id(&www())).is_some());
    }
    assert!(!client.has_early_data(quic()));
}
