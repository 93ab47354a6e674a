//! Algorithms of keys (RFC 8624 3.1, as RFC 9904 has it), those that are signed with here.

use std::fmt;
use std::str::FromStr;

/// What a key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// RSASHA256 (RFC 5702): keys that are there already; none is made anew.
    #[serde(rename = "rsasha256")]
    RsaSha256,
    /// ECDSAP256SHA256 (RFC 6605), which every resolver that validates knows.
    #[serde(rename = "ecdsap256sha256")]
    EcdsaP256Sha256,
    /// ED25519 (RFC 8080).
    #[serde(rename = "ed25519")]
    Ed25519,
}

impl Algorithm {
    /// All, in the order of their numbers.
    pub const ALL: [Algorithm; 3] = [Algorithm::RsaSha256, Algorithm::EcdsaP256Sha256, Algorithm::Ed25519];

    /// Its number in DNSKEY, DS and RRSIG.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Algorithm::RsaSha256 => 8,
            Algorithm::EcdsaP256Sha256 => 13,
            Algorithm::Ed25519 => 15,
        }
    }

    /// The algorithm of a number, if it can be signed with here.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.number() == number)
    }

    /// Its mnemonic, in lower case as Knot and BIND take it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::RsaSha256 => "rsasha256",
            Algorithm::EcdsaP256Sha256 => "ecdsap256sha256",
            Algorithm::Ed25519 => "ed25519",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Algorithm, String> {
        let found = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| format!("\"{text}\" is none of ecdsap256sha256, ed25519, rsasha256"))
    }
}
