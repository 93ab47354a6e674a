//! DNS cookies (RFC 7873), with server cookies that all servers of one address make alike
//! (RFC 9018).
//!
//! ```text
//! client cookie 8 | version 1 | reserved 3 | timestamp 4 | SipHash-2-4 8      24 octets in an answer
//!                   ^ server cookie: whoever has the secret makes and knows it, nothing is stored
//! ```

use std::fmt;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

use super::reader::Reader;

/// Octets of a client cookie (RFC 7873 4).
const CLIENT_OCTETS: usize = 8;
/// Octets of a server cookie of version 1.
const SERVER_OCTETS: usize = 16;
/// Octets of server cookies that anyone may make (RFC 7873 4).
const SERVER_OCTETS_ALLOWED: std::ops::RangeInclusive<usize> = 8..=32;
/// Octets of an answer's option.
pub(super) const ANSWER_OCTETS: usize = CLIENT_OCTETS + SERVER_OCTETS;
/// Version, reserved and timestamp: what of a server cookie is hashed.
const HASHED_OCTETS: usize = 8;
/// The version that RFC 9018 4 describes.
const VERSION: u8 = 1;

/// Seconds for which a server cookie is valid (RFC 9018 4.3).
const VALID_S: i32 = 3_600;
/// Seconds after which a client gets another one in time (RFC 9018 4.3).
const FRESH_S: i32 = 1_800;
/// Seconds by which another server's clock may be ahead (RFC 9018 4.3).
const AHEAD_S: i32 = 300;

/// The COOKIE option of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie<'q> {
    client: [u8; CLIENT_OCTETS],
    /// What the client was given before; empty if it doesn't know us.
    server: &'q [u8],
}

/// What a query's cookie is worth, and the answer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The answer's option.
    pub answer: [u8; ANSWER_OCTETS],
    /// What the query's server cookie proves.
    pub standing: Standing,
}

/// What a query's server cookie proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There was none.
    Unknown,
    /// It isn't ours, or not for this client, or too old.
    Invalid,
    /// An answer has reached the client at this address within the hour.
    Valid,
}

/// A secret that server cookies are made with.
#[derive(Clone)]
pub struct Secret([u8; 16]);

/// Secrets of the servers that share an address. The first signs; cookies by any of them are
/// valid, so that secrets roll over without a cookie lost.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets(Vec<Secret>);

impl<'q> Cookie<'q> {
    /// RFC 7873 5.2.2: a client cookie, alone or with a server cookie of 8 to 32 octets.
    pub(super) fn read(data: &'q [u8]) -> Option<Cookie<'q>> {
        let mut reader = Reader::new(data);
        let client = *reader.take(CLIENT_OCTETS)?.first_chunk()?;
        let server = &data[CLIENT_OCTETS..];
        (server.is_empty() || SERVER_OCTETS_ALLOWED.contains(&server.len()))
            .then_some(Cookie { client, server })
    }
}

impl Secrets {
    /// The secret that signs, and others whose cookies are valid too.
    #[must_use]
    pub fn new(signing: Secret, others: impl IntoIterator<Item = Secret>) -> Secrets {
        Secrets(std::iter::once(signing).chain(others).collect())
    }

    /// Checks a cookie of a client and makes that of the answer. `now` is in seconds since 1970,
    /// modulo 2^32 (RFC 9018 4.3).
    #[must_use]
    pub fn check(&self, cookie: &Cookie<'_>, client: IpAddr, now: u32) -> Checked {
        let standing = match self.find(cookie, client, now) {
            // The client keeps what it has; this costs one hash, and another one none.
            Some((0, age)) if age <= FRESH_S => {
                let mut answer = [0; ANSWER_OCTETS];
                answer[..CLIENT_OCTETS].copy_from_slice(&cookie.client);
                answer[CLIENT_OCTETS..].copy_from_slice(cookie.server);
                return Checked { answer, standing: Standing::Valid };
            }
            Some(_) => Standing::Valid,
            None if cookie.server.is_empty() => Standing::Unknown,
            None => Standing::Invalid,
        };
        Checked { answer: self.make(cookie.client, client, now), standing }
    }

    /// The secret that a valid server cookie was made with, and its age in seconds.
    fn find(&self, cookie: &Cookie<'_>, client: IpAddr, now: u32) -> Option<(usize, i32)> {
        let server: &[u8; SERVER_OCTETS] = cookie.server.try_into().ok()?;
        let (hashed, hash) = server.split_first_chunk::<HASHED_OCTETS>()?;
        let [VERSION, _, _, _, made @ ..] = hashed else { return None };
        // Serial number arithmetic (RFC 1982).
        let age = now.wrapping_sub(u32::from_be_bytes(*made)) as i32;
        if !(-AHEAD_S..=VALID_S).contains(&age) {
            return None;
        }
        // As one number: a comparison octet by octet would end earlier the earlier they differ.
        let hash = u64::from_le_bytes(*hash.first_chunk()?);
        let place =
            self.0.iter().position(|secret| secret.hash(cookie.client, *hashed, client) ^ hash == 0)?;
        Some((place, age))
    }

    fn make(&self, cookie: [u8; CLIENT_OCTETS], client: IpAddr, now: u32) -> [u8; ANSWER_OCTETS] {
        let mut hashed = [VERSION, 0, 0, 0, 0, 0, 0, 0];
        hashed[4..].copy_from_slice(&now.to_be_bytes());
        let hash = self.0.first().map_or(0, |secret| secret.hash(cookie, hashed, client));
        let mut answer = [0; ANSWER_OCTETS];
        answer[..CLIENT_OCTETS].copy_from_slice(&cookie);
        answer[CLIENT_OCTETS..CLIENT_OCTETS + HASHED_OCTETS].copy_from_slice(&hashed);
        answer[CLIENT_OCTETS + HASHED_OCTETS..].copy_from_slice(&hash.to_le_bytes());
        answer
    }
}

impl Secret {
    /// A secret of 128 bits.
    #[must_use]
    pub fn new(octets: [u8; 16]) -> Secret {
        Secret(octets)
    }

    /// A secret as 32 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Secret> {
        let mut octets = [0; 16];
        let digits: &[u8; 32] = text.as_bytes().try_into().ok()?;
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            *octet = (digit(0)? << 4 | digit(1)?) as u8;
        }
        Some(Secret(octets))
    }

    fn hash(&self, cookie: [u8; CLIENT_OCTETS], hashed: [u8; HASHED_OCTETS], client: IpAddr) -> u64 {
        let mut input = [0; CLIENT_OCTETS + HASHED_OCTETS + 16];
        input[..CLIENT_OCTETS].copy_from_slice(&cookie);
        input[CLIENT_OCTETS..CLIENT_OCTETS + HASHED_OCTETS].copy_from_slice(&hashed);
        let address = &mut input[CLIENT_OCTETS + HASHED_OCTETS..];
        let octets = match client {
            IpAddr::V4(client) => {
                address[..4].copy_from_slice(&client.octets());
                4
            }
            IpAddr::V6(client) => {
                address.copy_from_slice(&client.octets());
                16
            }
        };
        SipHasher24::new_with_key(&self.0).hash(&input[..CLIENT_OCTETS + HASHED_OCTETS + octets])
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        u128::from_ne_bytes(self.0) ^ u128::from_ne_bytes(other.0) == 0
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    fn secrets(texts: &[&str]) -> Secrets {
        let mut secrets = texts.iter().map(|text| Secret::from_hex(text).unwrap());
        Secrets::new(secrets.next().unwrap(), secrets)
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    fn check(secrets: &Secrets, cookie: &str, client: &str, now: u32) -> (Standing, Vec<u8>) {
        let option = hex(cookie);
        let checked = secrets.check(&Cookie::read(&option).unwrap(), client.parse().unwrap(), now);
        (checked.standing, checked.answer.to_vec())
    }

    #[test]
    fn rfc9018_a_1_learning_a_new_server_cookie() {
        let (standing, answer) =
            check(&secrets(&[SECRET]), "2464c4abcf10c957", "198.51.100.100", 1_559_731_985);
        assert_eq!(standing, Standing::Unknown);
        assert_eq!(answer, hex("2464c4abcf10c957010000005cf79f111f8130c3eee29480"));
    }

    #[test]
    fn rfc9018_a_2_the_same_client_learning_a_renewed_server_cookie() {
        let old = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        let (standing, answer) = check(&secrets(&[SECRET]), old, "198.51.100.100", 1_559_734_385);
        assert_eq!(standing, Standing::Valid);
        assert_eq!(answer, hex("2464c4abcf10c957010000005cf7a871d4a564a1442aca77"));
    }

    #[test]
    fn rfc9018_a_3_another_client_learning_a_renewed_server_cookie() {
        let old = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
        let (standing, answer) = check(&secrets(&[SECRET]), old, "203.0.113.203", 0x5cf7_8f71 + 60);
        assert_eq!((standing, answer), (Standing::Valid, hex(old)), "reserved octets are hashed as they are");
        let (_, answer) = check(&secrets(&[SECRET]), old, "203.0.113.203", 1_559_734_700);
        assert_eq!(answer, hex("fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"));
    }

    #[test]
    fn rfc9018_a_4_ipv6_and_a_rolled_over_secret() {
        let secrets = secrets(&["445536bcd2513298075a5d379663c962", "dd3bdf9344b678b185a6f5cb60fca715"]);
        let old = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
        let (standing, answer) = check(&secrets, old, "2001:db8:220:1:59de:d0f4:8769:82b8", 0x5cf7_c609);
        assert_eq!(standing, Standing::Valid);
        assert_eq!(answer, hex("22681ab97d52c298010000005cf7c609a6bb79d16625507a"));
    }

    #[test]
    fn rfc9018_4_3_an_hour_of_the_past_and_five_minutes_of_the_future() {
        let secrets = secrets(&[SECRET]);
        // Across the end of 32 bits too (RFC 1982).
        for made in [1_559_731_985, u32::MAX - 10, 5] {
            let (_, answer) = check(&secrets, "2464c4abcf10c957", "192.0.2.1", made);
            let cookie: String = answer.iter().map(|octet| format!("{octet:02x}")).collect();
            let standing =
                |client, seconds: i32| check(&secrets, &cookie, client, made.wrapping_add_signed(seconds)).0;
            for (seconds, expected) in [
                (0, Standing::Valid),
                (3_600, Standing::Valid),
                (3_601, Standing::Invalid),
                (-300, Standing::Valid),
                (-301, Standing::Invalid),
                (i32::MIN, Standing::Invalid),
            ] {
                assert_eq!(standing("192.0.2.1", seconds), expected, "{made} {seconds}");
            }
            assert_eq!(standing("192.0.2.2", 0), Standing::Invalid, "another client's");
            assert_eq!(standing("2001:db8::1", 0), Standing::Invalid, "another family's");
            let kept = check(&secrets, &cookie, "192.0.2.1", made.wrapping_add(1_800)).1;
            assert_eq!(kept, answer, "kept while it is fresh");
            let renewed = check(&secrets, &cookie, "192.0.2.1", made.wrapping_add(1_801)).1;
            assert_ne!(renewed, answer, "renewed in time");
        }
    }

    #[test]
    fn rfc7873_5_2_2_lengths() {
        let data = [7; 64];
        let allowed: Vec<usize> = (0..64).filter(|octets| Cookie::read(&data[..*octets]).is_some()).collect();
        assert_eq!(allowed, [8].into_iter().chain(16..=40).collect::<Vec<_>>());
    }

    #[test]
    fn cookies_of_others_are_invalid() {
        let secrets = secrets(&[SECRET]);
        let (_, mine) = check(&secrets, "2464c4abcf10c957", "192.0.2.1", 1_000_000);
        let text = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
        // Any flipped bit, but one of the timestamp within the hour is a forgery all the same.
        for bit in 0..mine.len() * 8 {
            let mut forged = mine.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check(&secrets, &text(&forged), "192.0.2.1", 1_000_000).0, Standing::Invalid, "{bit}");
        }
        for other in [&mine[..16], &[&mine[..], &[0]].concat()[..]] {
            assert_eq!(check(&secrets, &text(other), "192.0.2.1", 1_000_000).0, Standing::Invalid);
        }
    }

    #[test]
    fn secrets_are_hexadecimal_and_not_shown() {
        assert_eq!(Secret::from_hex(SECRET), Secret::from_hex(&SECRET.to_uppercase()));
        for wrong in ["", "e5e9", "x5e973e5a6b2a43f48e7dc849e37bfcf", "e5e973e5a6b2a43f48e7dc849e37bfcf0"] {
            assert_eq!(Secret::from_hex(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{:?}", secrets(&[SECRET])), "1 secrets");
    }
}
