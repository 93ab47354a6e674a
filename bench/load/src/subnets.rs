//! Clients' subnets, drawn from the networks that a database has.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use maxminddb::{PathElement, Reader};

/// What resolvers send (RFC 7871 11.1).
const IPV4_PREFIX: u8 = 24;
const IPV6_PREFIX: u8 = 56;

/// `count` lines `SUBNET COUNTRY`, spread evenly over `countries` and, as one more, all others. In
/// each, networks are drawn with the same chance and a subnet of the network at random. The same
/// arguments give the same lines.
pub(crate) fn draw(path: &Path, countries: &[&str], count: usize) -> Result<String, Box<dyn Error>> {
    let reader = Reader::open_readfile(path)?;
    let mut groups: BTreeMap<&str, Vec<(IpAddr, u8, String)>> = BTreeMap::new();
    for result in reader.networks(Default::default())? {
        let result = result?;
        let flat = result.decode_path::<String>(&[PathElement::Key("country_code")])?;
        let nested = [PathElement::Key("country"), PathElement::Key("iso_code")];
        let Some(country) =
            flat.map_or_else(|| result.decode_path::<String>(&nested), |flat| Ok(Some(flat)))?
        else {
            continue;
        };
        let network = result.network()?;
        let group = countries.iter().find(|one| **one == country).copied().unwrap_or("");
        groups.entry(group).or_default().push((network.ip(), network.prefix(), country));
    }

    let groups: Vec<_> = groups.into_values().collect();
    if groups.is_empty() {
        return Err("no network has a country".into());
    }
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut text = String::new();
    for number in 0..count {
        let group = &groups[number % groups.len()];
        let (network, prefix, country) = &group[random.below(group.len() as u64) as usize];
        writeln!(text, "{} {country}", inside(*network, *prefix, &mut random))?;
    }
    text.pop();
    Ok(text)
}

/// A subnet of usual length inside a network; the network itself where that is smaller.
fn inside(network: IpAddr, prefix: u8, random: &mut Random) -> String {
    match network {
        IpAddr::V4(network) => {
            let length = IPV4_PREFIX.max(prefix);
            let host = u64::from(length - prefix);
            let below = random.below(1 << host) as u32;
            let address = u32::from(network) | below.checked_shl(32 - u32::from(length)).unwrap_or(0);
            format!("{}/{length}", Ipv4Addr::from(address))
        }
        IpAddr::V6(network) => {
            let length = IPV6_PREFIX.max(prefix);
            let host = u64::from(length - prefix).min(48);
            let below = u128::from(random.below(1 << host));
            let address = u128::from(network) | below.checked_shl(128 - u32::from(length)).unwrap_or(0);
            format!("{}/{length}", Ipv6Addr::from(address))
        }
    }
}

/// A small generator of good enough numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let product = u128::from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)) * u128::from(bound);
        (product >> 64) as u64
    }
}
