//! EDNS (RFC 6891) and its options that matter here: client subnet (RFC 7871) and NSID (RFC 5001).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::reader::Reader;
use super::rtype::Rtype;

const OPTION_NSID: u16 = 3;
const OPTION_CLIENT_SUBNET: u16 = 8;

/// Octets of an OPT record without options.
const OPT_OCTETS: usize = 11;

/// What a query's OPT record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns<'q> {
    /// EDNS version; anything but 0 is answered with BADVERS.
    pub version: u8,
    /// Octets of UDP payload that the client takes.
    pub payload: u16,
    /// DNSSEC OK: the client wants signatures (RFC 3225).
    pub dnssec_ok: bool,
    /// The client asks who answers (RFC 5001).
    pub nsid: bool,
    /// The network that the query comes from, if a resolver says so.
    pub subnet: Option<ClientSubnet<'q>>,
}

/// The client subnet option as received (RFC 7871 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientSubnet<'q> {
    /// FAMILY, SOURCE PREFIX-LENGTH and ADDRESS are echoed from here, octet by octet.
    received: &'q [u8],
    /// The address, low bits zero; none for FAMILY 0.
    pub address: Option<IpAddr>,
    /// SOURCE PREFIX-LENGTH: how many bits of the address are known.
    pub source_prefix: u8,
}

/// Reads an OPT record behind its owner and type. Nothing if it is malformed, or an option that
/// is understood here is.
pub(super) fn read<'q>(reader: &mut Reader<'q>) -> Option<Edns<'q>> {
    let payload = reader.u16()?;
    let _extended_rcode = reader.u8()?;
    let version = reader.u8()?;
    let flags = reader.u16()?;
    let length = reader.u16()?;
    let mut options = Reader::new(reader.take(usize::from(length))?);
    let mut edns = Edns { version, payload, dnssec_ok: flags & 0x8000 != 0, nsid: false, subnet: None };
    while !options.is_empty() {
        let code = options.u16()?;
        let length = options.u16()?;
        let data = options.take(usize::from(length))?;
        match code {
            OPTION_NSID => edns.nsid = true,
            OPTION_CLIENT_SUBNET => edns.subnet = Some(ClientSubnet::read(data)?),
            _ => {}
        }
    }
    Some(edns)
}

impl<'q> ClientSubnet<'q> {
    /// RFC 7871 6: as many octets as the prefix needs, the bits behind it zero, and a scope of 0
    /// in queries.
    fn read(data: &'q [u8]) -> Option<ClientSubnet<'q>> {
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
            1 if octets.len() <= 4 => {
                let mut whole = [0; 4];
                whole[..octets.len()].copy_from_slice(octets);
                Some(IpAddr::V4(Ipv4Addr::from(whole)))
            }
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

/// What an answer's OPT record says.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// UDP payload that this server takes.
    pub payload: u16,
    /// The upper eight bits of the response code.
    pub extended_rcode: u8,
    /// DNSSEC OK, copied from the query (RFC 3225 3).
    pub dnssec_ok: bool,
    /// Who answers, if asked.
    pub nsid: Option<&'a [u8]>,
    /// The query's client subnet, and the prefix length for which the answer holds.
    pub subnet: Option<(&'a ClientSubnet<'a>, u8)>,
}

impl Reply<'_> {
    /// Octets that [`write`](Reply::write) will take.
    #[must_use]
    pub fn octets(&self) -> usize {
        let nsid = self.nsid.map_or(0, |nsid| 4 + nsid.len());
        let subnet = self.subnet.map_or(0, |(subnet, _)| 4 + subnet.received.len());
        OPT_OCTETS + nsid + subnet
    }

    /// Writes the OPT record at `at`, where it must fit; returns the position behind it.
    pub fn write(&self, out: &mut [u8], at: usize) -> usize {
        let options = (self.octets() - OPT_OCTETS) as u16;
        let record = &mut out[at..at + OPT_OCTETS];
        record[0] = 0;
        record[1..3].copy_from_slice(&Rtype::OPT.0.to_be_bytes());
        record[3..5].copy_from_slice(&self.payload.to_be_bytes());
        record[5..9].copy_from_slice(&[self.extended_rcode, 0, u8::from(self.dnssec_ok) << 7, 0]);
        record[9..11].copy_from_slice(&options.to_be_bytes());
        let mut end = at + OPT_OCTETS;
        if let Some(nsid) = self.nsid {
            end = write_option(out, end, OPTION_NSID, nsid);
        }
        if let Some((subnet, scope)) = self.subnet {
            let start = end;
            end = write_option(out, end, OPTION_CLIENT_SUBNET, subnet.received);
            out[start + 4 + 3] = scope;
        }
        end
    }
}

fn write_option(out: &mut [u8], at: usize, code: u16, data: &[u8]) -> usize {
    out[at..at + 2].copy_from_slice(&code.to_be_bytes());
    out[at + 2..at + 4].copy_from_slice(&(data.len() as u16).to_be_bytes());
    out[at + 4..at + 4 + data.len()].copy_from_slice(data);
    at + 4 + data.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_7871_6_prefix_and_address_agree() {
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
            (&[0, 1, 24], "cut off"),
        ] {
            assert_eq!(ClientSubnet::read(malformed), None, "{why}");
        }
    }

    #[test]
    fn echoes_the_subnet_and_its_scope() {
        let received = [0, 1, 20, 0, 192, 0, 0x20];
        let subnet = ClientSubnet::read(&received).unwrap();
        let reply = Reply {
            payload: 1232,
            extended_rcode: 1,
            dnssec_ok: true,
            nsid: Some(b"ns1"),
            subnet: Some((&subnet, 18)),
        };
        let mut out = [0xff; 64];
        let end = reply.write(&mut out, 2);
        assert_eq!(end - 2, reply.octets());
        let expected = [
            &[0, 0, 41, 4, 208, 1, 0, 128, 0, 0, 18][..],
            &[0, 3, 0, 3, b'n', b's', b'1'],
            &[0, 8, 0, 7, 0, 1, 20, 18, 192, 0, 0x20],
        ]
        .concat();
        assert_eq!(out[2..end], expected);
    }
}
