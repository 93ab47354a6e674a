//! `[dnssec]` of a zone: whether and how it is signed.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::reader::{Table, Value};
use crate::dnssec::{Algorithm, Denial, KeySplit, Policy, SIGNATURE_LEFT};
use crate::zone::base64;

const DAY: Duration = Duration::from_secs(86_400);

/// The parent's nameservers listen here, unless a port is given.
const PORT: u16 = 53;

/// What is said of a zone that isn't to be signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsigned {
    /// Signatures end now, whatever the parent has.
    pub at_once: bool,
    /// The parent's nameservers; none: as they were.
    pub parent: Vec<SocketAddr>,
}

/// The policy of a zone that is signed, or how it stops.
pub(super) fn policy(root: &Table<'_>) -> (Option<Policy>, Unsigned) {
    let Some(table) = root.table("dnssec") else { return (None, Unsigned::default()) };
    let sign = table.need("sign", "true").and_then(|value| value.bool()).unwrap_or(false);
    let mut policy = Policy::default();
    if let Some(value) = table.get("denial") {
        policy.denial = value.one_of(&[("nsec", Denial::Nsec), ("nsec3", Denial::Nsec3)]).unwrap_or_default();
    }
    if let Some(value) = table.get("algorithm") {
        policy.algorithm = algorithm(&value).unwrap_or(policy.algorithm);
    }
    if let Some(value) = table.get("keys") {
        policy.keys =
            value.one_of(&[("csk", KeySplit::Csk), ("ksk+zsk", KeySplit::KskZsk)]).unwrap_or_default();
    }
    if let Some(value) = table.get("zsk_lifetime") {
        policy.zsk_lifetime = lifetime(&value);
        if policy.keys == KeySplit::Csk {
            value.key_error("a CSK is the zone's only key", "write ksk_lifetime, or keys = \"ksk+zsk\"");
        }
    }
    if let Some(value) = table.get("ksk_lifetime") {
        policy.ksk_lifetime = lifetime(&value);
    }
    if let Some(value) = table.get("signature_validity")
        && let Some(validity) = value.duration(DAY..=365 * DAY)
    {
        policy.signature_validity = validity;
        if validity < 2 * SIGNATURE_LEFT {
            let message = "signatures would hold for less than 14 days";
            value.error(message, "write \"14d\" or more: a week is kept in reserve for a server that stands");
        }
    }
    let ttls = 1..=u64::from(u32::MAX >> 1);
    if let Some(ttl) = table.get("dnskey_ttl").and_then(|value| value.integer(ttls.clone())) {
        policy.dnskey_ttl = ttl;
    }
    if let Some(ttl) = table.get("parent_ds_ttl").and_then(|value| value.integer(ttls)) {
        policy.parent_ds_ttl = ttl;
    }
    if let Some(value) = table.get("propagation") {
        let propagation = value.duration(Duration::from_secs(1)..=30 * DAY);
        policy.propagation = propagation.unwrap_or(policy.propagation);
    }
    if let Some(value) = table.get("parent") {
        policy.parent = value.list().iter().filter_map(server).collect();
    }
    if let Some(value) = table.get("other_dnskeys") {
        policy.others = value.list().iter().filter_map(dnskey).collect();
    }
    let mut unsigned = Unsigned::default();
    if let Some(value) = table.get("at_once") {
        unsigned.at_once = value.bool().unwrap_or(false);
        if sign {
            value.key_error("signatures end at once only where sign = false", "take it out");
        }
    }
    table.finish();
    if sign {
        return (Some(policy), unsigned);
    }
    (None, Unsigned { parent: policy.parent, ..unsigned })
}

/// Names of algorithms that new keys aren't made of are told as such.
fn algorithm(value: &Value<'_>) -> Option<Algorithm> {
    let text = value.str()?.to_ascii_lowercase();
    match text.parse() {
        Ok(Algorithm::RsaSha256) | Err(_) if text.starts_with("rsa") || text.starts_with("dsa") => {
            value.error(
                format!("no new keys of {text} are made"),
                "write ecdsap256sha256, which every resolver knows, or ed25519",
            );
            None
        }
        Ok(algorithm) => Some(algorithm),
        Err(_) => {
            value.one_of(&[("ecdsap256sha256", Algorithm::EcdsaP256Sha256), ("ed25519", Algorithm::Ed25519)])
        }
    }
}

/// A time, or "never".
fn lifetime(value: &Value<'_>) -> Option<Duration> {
    if value.str_is("never") {
        return None;
    }
    // Shorter than the waits of a roll it would only ever be rolling.
    value.duration(7 * DAY..=3_650 * DAY)
}

fn server(value: &Value<'_>) -> Option<SocketAddr> {
    let text = value.str()?;
    match text.parse::<IpAddr>() {
        Ok(address) => Some((address, PORT).into()),
        Err(_) => value.parsed("address of a nameserver", "192.0.2.53"),
    }
}

/// `257 3 13 BASE64`, as in a zone file.
fn dnskey(value: &Value<'_>) -> Option<Vec<u8>> {
    let text = value.str()?;
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let rdata = match fields.as_slice() {
        [flags, "3", algorithm, key @ ..] if !key.is_empty() => {
            let head = (flags.parse::<u16>().ok(), algorithm.parse::<u8>().ok());
            if let (Some(flags), Some(algorithm)) = head {
                let mut rdata = flags.to_be_bytes().to_vec();
                rdata.extend([3, algorithm]);
                base64::decode(key.concat().as_bytes(), &mut rdata).map(|()| rdata)
            } else {
                None
            }
        }
        _ => None,
    };
    if rdata.is_none() {
        value.error("this is no DNSKEY", "write its data as a zone file has it: \"256 3 13 BASE64\"");
    }
    rdata
}
