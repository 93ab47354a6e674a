//! Parameters of SVCB and HTTPS records (RFC 9460 2.1 and appendix A).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::base64;
use super::fields::{Fields, RecordError, parsed, shown, unescaped};
use super::scan::Token;
use super::text::quoted;
use crate::diagnostic::did_you_mean;

/// Names of keys at their numbers (RFC 9460 14.3.2, RFC 9461 8, RFC 9540 6).
const KEYS: [&str; 9] =
    ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"];
const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4_HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6_HINT: u16 = 6;
const DOH_PATH: u16 = 7;
const OHTTP: u16 = 8;

struct Parameter {
    key: u16,
    at: usize,
    value: Vec<u8>,
}

/// Writes what follows the target: parameters by rising key, however they are ordered in text.
pub(super) fn write(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let mut parameters = Vec::new();
    while fields.peek().is_some() {
        parameters.push(parameter(fields)?);
    }
    parameters.sort_by_key(|parameter| parameter.key);
    if let Some(pair) = parameters.windows(2).find(|pair| pair[0].key == pair[1].key) {
        return Err(RecordError::new(pair[1].at, format!("{} stands here twice", key_text(pair[1].key))));
    }
    consistent(&parameters)?;
    for Parameter { key, at, value } in parameters {
        let length = u16::try_from(value.len())
            .map_err(|_| RecordError::new(at, "the value is longer than 65535 octets"))?;
        out.extend(key.to_be_bytes());
        out.extend(length.to_be_bytes());
        out.extend(value);
    }
    Ok(())
}

/// Parameters in wire form as text, a blank before each. Nothing if keys don't rise strictly
/// (RFC 9460 2.2), or the end is missing.
pub(super) fn text(octets: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut previous = None;
    let mut rest = octets;
    while let Some((&[a, b, c, d], after)) = rest.split_first_chunk() {
        let key = u16::from_be_bytes([a, b]);
        let (value, after) = after.split_at_checked(usize::from(u16::from_be_bytes([c, d])))?;
        if previous.is_some_and(|previous| previous >= key) {
            return None;
        }
        previous = Some(key);
        rest = after;
        // Under its number a key takes any octets: for values that aren't of the key's own form.
        text += &known_text(key, value).unwrap_or_else(|| match value {
            [] => format!(" key{key}"),
            _ => format!(" key{key}={}", quoted(value)),
        });
    }
    (rest.is_empty() && previous != Some(u16::MAX)).then_some(text)
}

/// A parameter by the key's name, if the value has its form.
fn known_text(key: u16, value: &[u8]) -> Option<String> {
    let name = KEYS.get(usize::from(key))?;
    let list = match key {
        MANDATORY => {
            let (keys, []) = value.as_chunks() else { return None };
            keys.iter().map(|key| key_text(u16::from_be_bytes(*key))).collect::<Vec<_>>().join(",")
        }
        PORT => u16::from_be_bytes(value.try_into().ok()?).to_string(),
        IPV4_HINT => {
            let (addresses, []) = value.as_chunks::<4>() else { return None };
            addresses.iter().map(|octets| Ipv4Addr::from(*octets).to_string()).collect::<Vec<_>>().join(",")
        }
        IPV6_HINT => {
            let (addresses, []) = value.as_chunks::<16>() else { return None };
            addresses.iter().map(|octets| Ipv6Addr::from(*octets).to_string()).collect::<Vec<_>>().join(",")
        }
        ECH => base64::encode(value),
        NO_DEFAULT_ALPN | OHTTP => return value.is_empty().then(|| format!(" {name}")),
        ALPN => return Some(format!(" {name}={}", quoted(&protocol_list(value)?))),
        _ => return (!value.is_empty()).then(|| format!(" {name}={}", quoted(value))),
    };
    (!list.is_empty()).then(|| format!(" {name}={list}"))
}

/// The list that [`protocols`] reads.
fn protocol_list(value: &[u8]) -> Option<Vec<u8>> {
    let mut list = Vec::new();
    let mut rest = value;
    while let Some((&length, after)) = rest.split_first() {
        let (protocol, after) = after.split_at_checked(usize::from(length)).filter(|_| length > 0)?;
        rest = after;
        if !list.is_empty() {
            list.push(b',');
        }
        for &octet in protocol {
            if matches!(octet, b',' | b'\\') {
                list.push(b'\\');
            }
            list.push(octet);
        }
    }
    (!list.is_empty()).then_some(list)
}

/// RFC 9460 7.1.1 and 8: what one parameter demands of the others.
fn consistent(parameters: &[Parameter]) -> Result<(), RecordError> {
    let has = |key: u16| parameters.iter().any(|parameter| parameter.key == key);
    for Parameter { key, at, value } in parameters {
        let lacking = match *key {
            MANDATORY => {
                let keys = value.as_chunks().0.iter().map(|key| u16::from_be_bytes(*key));
                keys.into_iter().find(|key| !has(*key))
            }
            NO_DEFAULT_ALPN => Some(ALPN).filter(|key| !has(*key)),
            _ => None,
        };
        if let Some(lacking) = lacking {
            let (key, lacking) = (key_text(*key), key_text(lacking));
            return Err(RecordError::new(*at, format!("{key} demands {lacking}, which isn't there")));
        }
    }
    Ok(())
}

/// `key`, `key=value`, or `key="value"`, which comes as two tokens without a gap.
fn parameter(fields: &mut Fields<'_, '_>) -> Result<Parameter, RecordError> {
    let token = fields.next("a parameter")?;
    if token.quoted {
        return Err(RecordError::new(token.at, "quotes stand around values alone")
            .help("write the key before them: alpn=\"h2,h3\""));
    }
    let equals = token.text.iter().position(|&octet| octet == b'=');
    let name = &token.text[..equals.unwrap_or(token.text.len())];
    let key = std::str::from_utf8(name).ok().and_then(key).ok_or_else(|| unknown_key(token, name))?;
    let is_number = name.starts_with(b"key");
    let Some(equals) = equals else { return finish(key, is_number, token.at, None) };
    let mut value = Token { text: &token.text[equals + 1..], at: token.at + equals + 1, quoted: false };
    let end = token.at + token.text.len();
    if value.text.is_empty()
        && let Some(quoted) = fields.peek().filter(|next| next.quoted && next.at == end)
    {
        fields.next("a value")?;
        value = quoted;
    }
    finish(key, is_number, token.at, Some(value))
}

/// Turns the text of a value into octets. Behind `keyNNNNN` it is taken as it is (RFC 9460 2.1).
fn finish(key: u16, is_number: bool, at: usize, token: Option<Token<'_>>) -> Result<Parameter, RecordError> {
    let mut text = Vec::new();
    if let Some(token) = token {
        unescaped(token, &mut text)?;
    }
    let wrong = |help: &str| {
        let place = token.filter(|token| !token.text.is_empty()).map_or(at, |token| token.at);
        RecordError::new(place, format!("this is no value of {}", key_text(key))).help(help)
    };
    let value = match key {
        _ if is_number => text,
        MANDATORY => {
            mandatory(&text).ok_or_else(|| wrong("list other keys, each once: mandatory=alpn,port"))?
        }
        ALPN => protocols(&text).ok_or_else(|| wrong("list protocols of 1 to 255 octets: alpn=h2,h3"))?,
        NO_DEFAULT_ALPN | OHTTP => {
            if !text.is_empty() {
                return Err(wrong("the key stands alone, without a value"));
            }
            text
        }
        PORT => {
            let port = Some(&text).filter(|text| text.iter().all(u8::is_ascii_digit));
            let port = port.and_then(|text| parsed::<u16>(text));
            port.ok_or_else(|| wrong("write a number from 0 to 65535: port=443"))?.to_be_bytes().to_vec()
        }
        IPV4_HINT => addresses(&text, |address: Ipv4Addr| address.octets())
            .ok_or_else(|| wrong("list IPv4 addresses: ipv4hint=192.0.2.1,192.0.2.2"))?,
        IPV6_HINT => addresses(&text, |address: Ipv6Addr| address.octets())
            .ok_or_else(|| wrong("list IPv6 addresses: ipv6hint=2001:db8::1"))?,
        ECH => {
            let mut octets = Vec::new();
            base64::decode(&text, &mut octets)
                .filter(|()| !octets.is_empty())
                .ok_or_else(|| wrong("write Base64, filled up with = to a multiple of four"))?;
            octets
        }
        DOH_PATH if text.is_empty() => return Err(wrong("write a path: dohpath=/dns-query{?dns}")),
        _ => text,
    };
    Ok(Parameter { key, at, value })
}

fn key(name: &str) -> Option<u16> {
    if let Some(number) = KEYS.iter().position(|known| *known == name) {
        return u16::try_from(number).ok();
    }
    // 65535 is reserved; RFC 9460 2.1 allows no leading zeros.
    let number = name.strip_prefix("key")?.parse().ok().filter(|number| *number < u16::MAX)?;
    (format!("key{number}") == name).then_some(number)
}

fn key_text(key: u16) -> String {
    KEYS.get(usize::from(key)).map_or_else(|| format!("key{key}"), |&known| known.to_owned())
}

fn unknown_key(token: Token<'_>, name: &[u8]) -> RecordError {
    let error = RecordError::new(token.at, format!("unknown key {}", shown(name)));
    match did_you_mean(&String::from_utf8_lossy(name), KEYS) {
        Some(help) => error.help(help),
        None => error.help("any key can be written by its number: key65400=value (RFC 9460 2.1)"),
    }
}

/// Keys in rising order (RFC 9460 8).
fn mandatory(text: &[u8]) -> Option<Vec<u8>> {
    let names = std::str::from_utf8(text).ok()?.split(',');
    let mut keys: Vec<u16> = names.map(key).collect::<Option<_>>()?;
    keys.sort_unstable();
    let is_set = !keys.contains(&MANDATORY) && keys.windows(2).all(|pair| pair[0] < pair[1]);
    is_set.then(|| keys.iter().flat_map(|key| key.to_be_bytes()).collect())
}

/// A list with commas and backslashes escaped once more (RFC 9460 A.1), each item behind its length.
fn protocols(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0];
    let mut length_at = 0;
    let close = |out: &mut Vec<u8>, length_at: usize| {
        out[length_at] = u8::try_from(out.len() - length_at - 1).ok().filter(|length| *length > 0)?;
        Some(())
    };
    let mut octets = text.iter();
    while let Some(&octet) = octets.next() {
        match octet {
            b',' => {
                close(&mut out, length_at)?;
                length_at = out.len();
                out.push(0);
            }
            b'\\' => out.push(*octets.next()?),
            _ => out.push(octet),
        }
    }
    close(&mut out, length_at)?;
    Some(out)
}

fn addresses<T: std::str::FromStr, const N: usize>(text: &[u8], octets: fn(T) -> [u8; N]) -> Option<Vec<u8>> {
    let addresses = text.split(|&octet| octet == b',').map(|item| parsed(item).map(octets));
    Some(addresses.collect::<Option<Vec<_>>>()?.concat())
}
