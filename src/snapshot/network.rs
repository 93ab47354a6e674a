//! The client's network, by which a sticky choice goes.
//!
//! A network is what client subnets tell of by default (RFC 7871 11.1): an IPv4 /24, an IPv6 /56.
//! It falls into one of a few thousand buckets, and a variant says for each bucket which
//! alternative it gets. So a query costs one hash and one index, whatever the weights.

use std::net::IpAddr;

/// Buckets that networks fall into: enough that shares are right to a hundredth.
pub const BUCKETS: usize = 1 << BUCKET_BITS;

const BUCKET_BITS: u32 = 12;

/// Which alternative the networks of each bucket get, by its place in the variant.
pub type Buckets = [u8; BUCKETS];

/// A client's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientNetwork {
    /// The prefix, right-aligned; IPv6 is told from IPv4 by its top bit.
    bits: u64,
    prefix_length: u8,
}

impl ClientNetwork {
    /// The network around an address, or around the first address of a client subnet: of a
    /// shorter subnet the bits that aren't known are zero.
    #[must_use]
    pub fn of(address: IpAddr) -> ClientNetwork {
        let ipv4 = |bits: u32| u64::from(bits >> 8);
        match address {
            IpAddr::V4(address) => ClientNetwork { bits: ipv4(address.to_bits()), prefix_length: 24 },
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                // One client is in one network, whichever socket its query came by.
                Some(mapped) => ClientNetwork { bits: ipv4(mapped.to_bits()), prefix_length: 96 + 24 },
                None => ClientNetwork { bits: (address.to_bits() >> 72) as u64 | 1 << 63, prefix_length: 56 },
            },
        }
    }

    /// Length of its prefix: a choice by it holds for no shorter one, so the scope must not be
    /// shorter either (RFC 7871 7.2.1).
    #[must_use]
    pub fn prefix_length(self) -> u8 {
        self.prefix_length
    }

    /// Its bucket, below [`BUCKETS`]; the same in every server and after every restart.
    #[must_use]
    pub fn bucket(self) -> usize {
        (mixed(self.bits) >> (u64::BITS - BUCKET_BITS)) as usize
    }
}

/// A number of which every bit depends on every bit of `bits` (the finalizer of SplitMix64).
#[must_use]
pub fn mixed(bits: u64) -> u64 {
    let mut mixed = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> ClientNetwork {
        ClientNetwork::of(address.parse().unwrap())
    }

    #[test]
    fn a_network_is_a_slash_24_or_a_slash_56() {
        assert_eq!(of("192.0.2.1"), of("192.0.2.255"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("2001:db8:0:ff::1"), of("2001:db8::"));
        assert_ne!(of("2001:db8:0:100::"), of("2001:db8::"));
        assert_ne!(of("0.0.1.0"), of("::100:0:0:0:0"));
        assert_eq!(of("::ffff:192.0.2.1").bucket(), of("192.0.2.7").bucket());
        assert_eq!(
            [of("192.0.2.1"), of("2001:db8::"), of("::ffff:192.0.2.1")].map(|n| n.prefix_length()),
            [24, 56, 120]
        );
    }

    #[test]
    fn neighbouring_networks_fill_all_buckets_alike() {
        let mut counts = vec![0u32; BUCKETS];
        for third in 0..=u16::MAX {
            let [a, b] = third.to_be_bytes();
            counts[ClientNetwork::of(IpAddr::from([10, a, b, 9])).bucket()] += 1;
        }
        // 16 each, and chance.
        assert!(counts.iter().all(|count| *count < 48), "{:?}", counts.iter().max());
        assert!(counts.iter().filter(|count| **count == 0).count() < 4);
    }
}
