//! Queries in wire format, ready but for their id.

use std::error::Error;
use std::net::IpAddr;
use std::path::Path;

/// Octets of a UDP answer that we take (RFC 6891 6.2.3).
const PAYLOAD: u16 = 1232;
const OPT: u16 = 41;
const CLIENT_SUBNET: u16 = 8;
/// DNSSEC OK among the flags of OPT (RFC 3225 3).
const DNSSEC_OK: u32 = 0x8000;

/// Queries one behind the other; the first two octets of each are room for its id.
pub(crate) struct Queries {
    octets: Vec<u8>,
    ends: Vec<u32>,
}

impl Queries {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Query `number`, counted round and round.
    pub(crate) fn get(&self, number: usize) -> &[u8] {
        let place = number % self.ends.len();
        let begin = if place == 0 { 0 } else { self.ends[place - 1] as usize };
        &self.octets[begin..self.ends[place] as usize]
    }
}

pub(crate) fn read(path: &Path) -> Result<Queries, Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut queries = Queries { octets: Vec::with_capacity(text.len() * 2), ends: Vec::new() };
    for (number, line) in text.lines().enumerate() {
        append(&mut queries.octets, line).ok_or_else(|| format!("line {}: \"{line}\"", number + 1))?;
        queries.ends.push(u32::try_from(queries.octets.len())?);
    }
    if queries.len() == 0 {
        return Err("no queries".into());
    }
    Ok(queries)
}

fn append(out: &mut Vec<u8>, line: &str) -> Option<()> {
    let mut words = line.split_ascii_whitespace();
    let (name, rtype) = (words.next()?, code(words.next()?)?);
    // No recursion desired; one question, one additional record.
    out.extend([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    for label in name.trim_end_matches('.').split('.') {
        out.push(u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?);
        out.extend(label.as_bytes());
    }
    out.push(0);
    out.extend(rtype.to_be_bytes());
    out.extend(1_u16.to_be_bytes());

    out.push(0);
    out.extend(OPT.to_be_bytes());
    out.extend(PAYLOAD.to_be_bytes());
    let (mut flags, mut option) = (0, Vec::new());
    for word in words {
        match word {
            "DO" => flags |= DNSSEC_OK,
            subnet => option = client_subnet(subnet)?,
        }
    }
    out.extend(flags.to_be_bytes());
    out.extend(u16::try_from(option.len()).ok()?.to_be_bytes());
    out.extend(option);
    Some(())
}

fn client_subnet(text: &str) -> Option<Vec<u8>> {
    let (address, prefix) = text.split_once('/')?;
    let prefix: u8 = prefix.parse().ok()?;
    let (family, address) = match address.parse().ok()? {
        IpAddr::V4(address) => (1_u16, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    // Only the octets that the prefix reaches into (RFC 7871 6).
    let address = address.get(..usize::from(prefix.div_ceil(8)))?;
    let length = u16::try_from(4 + address.len()).ok()?;
    let mut option = Vec::new();
    option.extend(CLIENT_SUBNET.to_be_bytes());
    option.extend(length.to_be_bytes());
    option.extend(family.to_be_bytes());
    option.extend([prefix, 0]);
    option.extend(address);
    Some(option)
}

fn code(rtype: &str) -> Option<u16> {
    Some(match rtype {
        "A" => 1,
        "MX" => 15,
        "TXT" => 16,
        "AAAA" => 28,
        "SRV" => 33,
        _ => return None,
    })
}
