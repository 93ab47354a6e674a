//! The client subnet option of a query (RFC 7871 6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::reader::Reader;

/// The client subnet option as received (RFC 7871 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientSubnet<'q> {
    /// FAMILY, SOURCE PREFIX-LENGTH and ADDRESS are echoed from here, octet by octet.
    pub(super) received: &'q [u8],
    /// The address, low bits zero; none for FAMILY 0.
    pub address: Option<IpAddr>,
    /// SOURCE PREFIX-LENGTH: how many bits of the address are known.
    pub source_prefix: u8,
}

impl<'q> ClientSubnet<'q> {
    /// RFC 7871 6: as many octets as the prefix needs, the bits behind it zero, and a scope of 0
    /// in queries. FAMILY 0 has no address, so it goes with a prefix of 0 alone; other families
    /// than 1 and 2 have no format.
    pub(super) fn read(data: &'q [u8]) -> Option<ClientSubnet<'q>> {
        let mut reader = Reader::new(data);
        let family = reader.u16()?;
        let source_prefix = reader.u8()?;
        let scope_prefix = reader.u8()?;
        let octets = reader.take(usize::from(source_prefix).div_ceil(8))?;
        if scope_prefix != 0 || !reader.is_empty() {
            return None;
        }
        let spare_bits = octets.len() * 8 - usize::from(source_prefix);
        if octets.last().is_some_and(|last| last & !(0xff << spare_bits) != 0) {
            return None;
        }
        let address = match family {
            0 if octets.is_empty() => None,
            1 => Some(IpAddr::V4(match *octets {
                [] => Ipv4Addr::UNSPECIFIED,
                [a] => Ipv4Addr::new(a, 0, 0, 0),
                [a, b] => Ipv4Addr::new(a, b, 0, 0),
                [a, b, c] => Ipv4Addr::new(a, b, c, 0),
                [a, b, c, d] => Ipv4Addr::new(a, b, c, d),
                _ => return None,
            })),
            2 if octets.len() <= 16 => {
                let mut whole = [0; 16];
                whole[..octets.len()].copy_from_slice(octets);
                Some(IpAddr::V6(Ipv6Addr::from(whole)))
            }
            _ => return None,
        };
        Some(ClientSubnet { received: data, address, source_prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7871_6_prefix_and_address_agree() {
        let read = |data: &'static [u8]| ClientSubnet::read(data);
        let subnet = read(&[0, 1, 24, 0, 192, 0, 2]).unwrap();
        assert_eq!(subnet.address, Some("192.0.2.0".parse().unwrap()));
        let subnet = read(&[0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 1, 0]).unwrap();
        assert_eq!(subnet.address, Some("2001:db8:1::".parse().unwrap()));
        assert_eq!(read(&[0, 1, 0, 0]).unwrap().address, Some("0.0.0.0".parse().unwrap()));
        assert_eq!(read(&[0, 0, 0, 0]).unwrap().address, None);
        for (malformed, why) in [
            (&[0, 1, 24, 0, 192, 0][..], "too few octets"),
            (&[0, 1, 24, 0, 192, 0, 2, 0], "too many octets"),
            (&[0, 1, 23, 0, 192, 0, 3], "bits behind the prefix"),
            (&[0, 1, 24, 8, 192, 0, 2], "scope in a query"),
            (&[0, 1, 33, 0, 192, 0, 2, 1, 0], "prefix over 32"),
            (&[0, 3, 8, 0, 1], "unknown family"),
            (&[0, 3, 0, 0], "unknown family without an address"),
            (&[0, 0, 8, 0, 1], "family 0 with an address"),
            (&[0, 1, 24], "cut off"),
        ] {
            assert_eq!(ClientSubnet::read(malformed), None, "{why}");
        }
    }
}
