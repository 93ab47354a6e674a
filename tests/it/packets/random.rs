//! Queries that were damaged on their way: the server answers well-formed messages or nothing.

use proptest::prelude::*;
use proptest::sample::Index;

use super::lab::server;
use super::packet::*;

/// Queries that reach far into the server.
fn queries() -> Vec<Vec<u8>> {
    let opt = Opt::new()
        .option(3, b"")
        .option(8, &[0, 1, 32, 0, 203, 0, 113, 128])
        .option(10, &[7; 24])
        .option(11, b"")
        .option(12, &[0; 5]);
    let with = |owner: &str, qtype| Packet::query(owner, qtype).opt(opt.clone()).octets();
    vec![
        with("routed2.packets.example.", A),
        with("x.old.packets.example.", A),
        with("x.there.packets.example.", AAAA),
        with("loop1.packets.example.", MX),
        with("x.y.wild.packets.example.", TXT),
        with("www.sub.packets.example.", ANY),
        with("big.packets.example.", TXT),
        with("www.foreign.example.", DS),
        Packet::empty().option(10, &[7; 24]).octets(),
        Packet::empty().question("id.server.", TXT, CH).opt(opt).octets(),
        Packet::query("packets.example.", IXFR)
            .record(2, &record(&[0xc0, 12], SOA, IN, 0, &[0; 22]))
            .octets(),
    ]
}

#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Flip(Index, u8),
    Cut(Index),
    Double(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), prop_oneof![any::<u8>(), Just(0), Just(0xff), Just(0xc0)])
            .prop_map(|(at, octet)| Damage::Set(at, octet)),
        (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Double(from, to)),
    ]
}

/// Damages what is behind the id.
fn apply(octets: &mut Vec<u8>, damage: &Damage) {
    let place = |index: &Index, octets: &[u8]| 2 + index.index(octets.len() - 2);
    match damage {
        _ if octets.len() < 3 => {}
        Damage::Set(at, octet) => {
            let at = place(at, octets);
            octets[at] = *octet;
        }
        Damage::Flip(at, bit) => {
            let at = place(at, octets);
            octets[at] ^= 1 << bit;
        }
        Damage::Cut(at) => octets.truncate(place(at, octets)),
        Damage::Double(from, to) => {
            let (from, to) = (place(from, octets), place(to, octets));
            let part = octets[from.min(to)..from.max(to)].to_vec();
            octets.extend(part);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rfc8906_2_a_damaged_query_gets_a_message_or_nothing(
        base in any::<Index>(),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let queries = queries();
        let mut octets = queries[base.index(queries.len())].clone();
        damages.iter().for_each(|damage| apply(&mut octets, damage));
        let is_query = octets.len() >= 12 && octets[2] & 0x80 == 0;
        let reply = udp_if_any(server(), &octets);
        prop_assert_eq!(reply.is_some(), is_query);
        if let Some(reply) = reply {
            prop_assert!(reply.octets.len() <= 1232);
            prop_assert_eq!(reply.flags >> 11 & 15, u16::from(octets[2] >> 3 & 15));
        }
    }
}
