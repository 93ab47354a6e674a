//! Any octets as a query, by datagrams and streams, outside of encryption and inside.

use hickory_proto::op::Message;
use waypost::answer::{Client, Transport, answer};
use waypost::limits::{MESSAGE_OCTETS, PADDING_BLOCK_OCTETS, UDP_PLAIN_OCTETS};
use waypost::wire::query::{self, LowerName};

use crate::world::world;

/// A client subnet of FAMILY 0. It is echoed as it came (RFC 7871 7.2.1); hickory-proto reads 1 and
/// 2 alone.
const FAMILY_0: [u8; 8] = [0, 8, 0, 4, 0, 0, 0, 0];

#[test]
fn queries() {
    bolero::check!().for_each(|octets: &[u8]| {
        let snapshot = world().published.load();
        for transport in [Transport::Udp, Transport::Tcp { idle: 100 }, Transport::Tls { idle: 100 }] {
            let client = Client { address: [1, 160, 0, 1].into(), transport, entropy: 7, now: 0 };
            let payload = usize::from(snapshot.settings.udp_payload);
            let mut name = LowerName::from_wire(&[0]).unwrap();
            let parsed = query::parse(octets, &mut name);
            let limit = match (transport, &parsed) {
                (Transport::Udp, Ok(query)) => {
                    let offered = query.edns.as_ref().map_or(0, |edns| usize::from(edns.payload));
                    offered.clamp(UDP_PLAIN_OCTETS, payload)
                }
                (Transport::Udp, Err(_)) => UDP_PLAIN_OCTETS,
                (Transport::Tcp { .. } | Transport::Tls { .. } | Transport::Quic, _) => MESSAGE_OCTETS,
            };
            let room = if transport != Transport::Udp { MESSAGE_OCTETS } else { payload };
            let mut out = vec![0; room];
            let answered = answer(&snapshot, octets, &client, &mut out);
            let out = &out[..answered.octets];
            assert!(out.len() <= limit, "{} octets where {limit} are allowed", out.len());
            if out.is_empty() {
                // A response answered would be a loop; a query is always answered.
                assert!(parsed.is_err(), "a good query got nothing");
                continue;
            }
            assert_eq!(out[..2], octets[..2], "the query's id");
            assert_eq!(out[2] & 0x80, 0x80, "a response");
            if let Ok(parsed) = &parsed {
                assert_eq!(out[12..12 + parsed.question.len()], *parsed.question, "the question as asked");
            }
            if out.windows(FAMILY_0.len()).any(|octets| octets == FAMILY_0) {
                continue;
            }
            let message = Message::from_vec(out);
            let message = message.unwrap_or_else(|error| panic!("{error}: {out:?}"));
            assert!(transport == Transport::Udp || !message.metadata.truncation);
            if let Ok(parsed) = parsed {
                assert_eq!(message.edns.is_some(), parsed.edns.is_some(), "OPT for OPT");
                let is_padded = parsed.edns.is_some_and(|edns| edns.padding);
                if is_padded && matches!(transport, Transport::Tls { .. }) {
                    // The longest messages have no room for a whole block.
                    let last_block = MESSAGE_OCTETS - PADDING_BLOCK_OCTETS;
                    assert!(out.len() % PADDING_BLOCK_OCTETS == 0 || out.len() > last_block);
                }
            }
        }
    });
}
