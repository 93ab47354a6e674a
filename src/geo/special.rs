//! Addresses that say nothing of where a client is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether the address means something only inside somebody's network (RFC 6890: private, shared,
/// loopback, link local, unique local, "this network"). A client subnet option with such an
/// address is ignored; documentation addresses are taken as any others.
#[must_use]
pub fn is_special(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_special_ipv4(address),
        IpAddr::V6(address) => is_special_ipv6(address),
    }
}

fn is_special_ipv4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || first == 0
        // 100.64.0.0/10, shared between carriers' translators (RFC 6598).
        || (first == 100 && second & 0xc0 == 64)
}

fn is_special_ipv6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_of_special_ranges() {
        let special = [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.0.1",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.255.255",
            "::",
            "::1",
            "fc00::",
            "fdff:ffff::1",
            "fe80::1",
            "febf::1",
            "::ffff:10.0.0.1",
        ];
        let ordinary = [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "169.253.0.1",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "::2",
            "2001:db8::1",
            "fbff::1",
            "fe00::1",
            "fec0::1",
            "::ffff:192.0.2.1",
        ];
        for text in special {
            assert!(is_special(text.parse().unwrap()), "{text}");
        }
        for text in ordinary {
            assert!(!is_special(text.parse().unwrap()), "{text}");
        }
    }
}
