//! Resource record types and classes by their numbers (RFC 1035 3.2.2, RFC 3597).

use std::fmt;
use std::str::FromStr;

/// A resource record type: any 16-bit number, the known ones with a mnemonic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rtype(pub u16);

macro_rules! rtypes {
    ($($(#[$doc:meta])* $name:ident = $number:literal),* $(,)?) => {
        impl Rtype {
            $($(#[$doc])* pub const $name: Rtype = Rtype($number);)*

            /// The mnemonic, if the type has one here.
            #[must_use]
            pub fn mnemonic(self) -> Option<&'static str> {
                match self.0 { $($number => Some(stringify!($name)),)* _ => None }
            }

            fn from_mnemonic(text: &str) -> Option<Rtype> {
                $(if text.eq_ignore_ascii_case(stringify!($name)) { return Some(Rtype($number)); })*
                None
            }

            /// Every mnemonic known here, for suggestions in diagnostics.
            pub const MNEMONICS: &'static [&'static str] = &[$(stringify!($name)),*];
        }
    };
}

rtypes! {
    /// IPv4 address (RFC 1035).
    A = 1,
    /// Authoritative name server (RFC 1035).
    NS = 2,
    /// Canonical name (RFC 1035).
    CNAME = 5,
    /// Start of authority (RFC 1035).
    SOA = 6,
    /// Domain name pointer (RFC 1035).
    PTR = 12,
    /// Host information (RFC 1035, RFC 8482).
    HINFO = 13,
    /// Mail exchange (RFC 1035).
    MX = 15,
    /// Text strings (RFC 1035).
    TXT = 16,
    /// IPv6 address (RFC 3596).
    AAAA = 28,
    /// Location (RFC 1876).
    LOC = 29,
    /// Service location (RFC 2782).
    SRV = 33,
    /// Naming authority pointer (RFC 3403).
    NAPTR = 35,
    /// Redirection of a subtree (RFC 6672).
    DNAME = 39,
    /// EDNS pseudo-record (RFC 6891).
    OPT = 41,
    /// Delegation signer (RFC 4034).
    DS = 43,
    /// SSH key fingerprint (RFC 4255).
    SSHFP = 44,
    /// Signature (RFC 4034).
    RRSIG = 46,
    /// Next secure name (RFC 4034).
    NSEC = 47,
    /// Public key of a zone (RFC 4034).
    DNSKEY = 48,
    /// Hashed next secure name (RFC 5155).
    NSEC3 = 50,
    /// NSEC3 parameters (RFC 5155).
    NSEC3PARAM = 51,
    /// TLS certificate association (RFC 6698).
    TLSA = 52,
    /// S/MIME certificate association (RFC 8162).
    SMIMEA = 53,
    /// Child DS (RFC 7344).
    CDS = 59,
    /// Child DNSKEY (RFC 7344).
    CDNSKEY = 60,
    /// OpenPGP public key (RFC 7929).
    OPENPGPKEY = 61,
    /// Zone message digest (RFC 8976).
    ZONEMD = 63,
    /// Service binding (RFC 9460).
    SVCB = 64,
    /// Service binding for HTTPS (RFC 9460).
    HTTPS = 65,
    /// Sender policy in its retired type (RFC 7208).
    SPF = 99,
    /// Incremental transfer, a query type (RFC 1995).
    IXFR = 251,
    /// Full transfer, a query type (RFC 5936).
    AXFR = 252,
    /// Mailbox records, an obsolete query type (RFC 1035 3.2.3).
    MAILB = 253,
    /// Mail agent records, an obsolete query type (RFC 1035 3.2.3).
    MAILA = 254,
    /// All types, a query type (RFC 8482).
    ANY = 255,
    /// Certification authority authorisation (RFC 8659).
    CAA = 257,
}

impl Rtype {
    /// Types that are only asked for or only describe messages: never data of a zone
    /// (RFC 6895 3.1: 41, and 128-255 save those assigned as data).
    #[must_use]
    pub fn is_meta(self) -> bool {
        self == Rtype::OPT || (128..=255).contains(&self.0)
    }
}

impl fmt::Display for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(mnemonic) => f.write_str(mnemonic),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is neither a known mnemonic nor `TYPE` with a number up to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownRtype;

impl fmt::Display for UnknownRtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown record type")
    }
}

impl std::error::Error for UnknownRtype {}

impl FromStr for Rtype {
    type Err = UnknownRtype;

    fn from_str(text: &str) -> Result<Rtype, UnknownRtype> {
        if let Some(known) = Rtype::from_mnemonic(text) {
            return Ok(known);
        }
        match text.get(..4) {
            Some(prefix) if prefix.eq_ignore_ascii_case("TYPE") => {
                text[4..].parse().map(Rtype).map_err(|_| UnknownRtype)
            }
            _ => Err(UnknownRtype),
        }
    }
}

/// The Internet class (RFC 1035 3.2.4).
pub const CLASS_IN: u16 = 1;
/// The Chaos class, in which the server speaks of itself.
pub const CLASS_CH: u16 = 3;
/// Any class, a query class.
pub const CLASS_ANY: u16 = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mnemonics_and_numbers_read_back() {
        for mnemonic in Rtype::MNEMONICS {
            let rtype: Rtype = mnemonic.to_lowercase().parse().unwrap();
            assert_eq!(rtype.to_string(), *mnemonic);
        }
        assert_eq!("TYPE65280".parse(), Ok(Rtype(65280)));
        assert_eq!("type1".parse(), Ok(Rtype::A));
        assert_eq!(Rtype(65280).to_string(), "TYPE65280");
        for wrong in ["", "TYPE", "TYPE65536", "TYPE-1", "AA", "TYP", "ÄÖ"] {
            assert_eq!(wrong.parse::<Rtype>(), Err(UnknownRtype), "{wrong}");
        }
    }

    #[test]
    fn meta_types_are_no_zone_data() {
        assert!(Rtype::OPT.is_meta() && Rtype::ANY.is_meta() && Rtype(128).is_meta());
        assert!(!Rtype::CAA.is_meta() && !Rtype::A.is_meta() && !Rtype(256).is_meta());
    }
}
