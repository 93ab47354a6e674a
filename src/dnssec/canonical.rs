//! RRsets in the form in which they are signed (RFC 4034 6).

use std::borrow::Cow;

use crate::wire::name::labels;
use crate::wire::rtype::Rtype;

/// RDATA of an RRset in canonical form and order, without duplicates (RFC 4034 6.3).
pub(super) fn canonical_rdatas<'a>(rtype: Rtype, rdatas: &[&'a [u8]]) -> Vec<Cow<'a, [u8]>> {
    let mut all: Vec<Cow<'a, [u8]>> = rdatas.iter().map(|rdata| canonical_rdata(rtype, rdata)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// RDATA with its names in lower case, if its type is one of those (RFC 4034 6.2, without HINFO,
/// which has no name, and NSEC, as RFC 6840 5.1 says).
fn canonical_rdata(rtype: Rtype, rdata: &[u8]) -> Cow<'_, [u8]> {
    /// Types before RFC 3597 that no zone here needs a name for.
    const MD: u16 = 3;
    const MF: u16 = 4;
    const MB: u16 = 7;
    const MG: u16 = 8;
    const MR: u16 = 9;
    const MINFO: u16 = 14;
    const RP: u16 = 17;
    const AFSDB: u16 = 18;
    const RT: u16 = 21;
    const SIG: u16 = 24;
    const PX: u16 = 26;
    const NXT: u16 = 30;
    const KX: u16 = 36;
    const A6: u16 = 38;
    // Octets before the names, and how many names.
    let (before, names) = match (rtype, rtype.0) {
        (Rtype::NS | Rtype::CNAME | Rtype::PTR | Rtype::DNAME, _) | (_, MD | MF | MB | MG | MR | NXT) => {
            (0, 1)
        }
        (Rtype::SOA, _) | (_, MINFO | RP) => (0, 2),
        (Rtype::MX, _) | (_, AFSDB | RT | KX) => (2, 1),
        (_, PX) => (2, 2),
        (Rtype::SRV, _) => (6, 1),
        (Rtype::RRSIG, _) | (_, SIG) => (18, 1),
        (Rtype::NAPTR, _) => {
            let mut at = 4;
            for _ in 0..3 {
                at += 1 + rdata.get(at).copied().map_or(0, usize::from);
            }
            (at, 1)
        }
        (_, A6) => {
            let suffix = 128usize.saturating_sub(rdata.first().copied().unwrap_or(128).into());
            (1 + suffix.div_ceil(8), 1)
        }
        _ => return Cow::Borrowed(rdata),
    };
    let mut end = before;
    for _ in 0..names {
        let name = rdata.get(end..).unwrap_or_default();
        end += labels(name).map(|label| 1 + label.len()).sum::<usize>() + 1;
    }
    let end = end.min(rdata.len());
    let Some(folded) = rdata.get(before..end).filter(|names| names.iter().any(u8::is_ascii_uppercase)) else {
        return Cow::Borrowed(rdata);
    };
    // Lengths of labels are at most 63, below any letter.
    Cow::Owned([&rdata[..before], &folded.to_ascii_lowercase(), &rdata[end..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_listed_types_are_folded_and_nothing_else() {
        for (rtype, rdata, canonical) in [
            (Rtype::NS, &b"\x02NS\0"[..], &b"\x02ns\0"[..]),
            (Rtype::MX, b"AB\x02MX\0", b"AB\x02mx\0"),
            (Rtype::SOA, b"\x01A\0\x01B\0ABCDEFGHIJKLMNOPQRST", b"\x01a\0\x01b\0ABCDEFGHIJKLMNOPQRST"),
            (Rtype::SRV, b"ABCDEF\x01A\0", b"ABCDEF\x01a\0"),
            (Rtype::NAPTR, b"ABCD\x01U\x03SIP\0\x01A\0", b"ABCD\x01U\x03SIP\0\x01a\0"),
            (Rtype(18), b"AB\x01A\0", b"AB\x01a\0"),
            (Rtype::TXT, b"\x02AB", b"\x02AB"),
            (Rtype::NSEC, b"\x01A\0\0\x01\x40", b"\x01A\0\0\x01\x40"),
            (Rtype::HTTPS, b"\0\x01\x01A\0", b"\0\x01\x01A\0"),
            // Broken ones stay within their octets.
            (Rtype::MX, b"A", b"A"),
            (Rtype::NAPTR, b"ABCD\xffU", b"ABCD\xffU"),
            (Rtype::NS, b"\x05AB", b"\x05AB"),
        ] {
            assert_eq!(*canonical_rdata(rtype, rdata), *canonical, "{rtype}");
        }
    }

    #[test]
    fn sorted_as_octets_and_once_each() {
        let rdatas: [&[u8]; 4] = [b"\0\x0a\x01B\0", b"\0\x05\x01z\0", b"\0\x0a\x01b\0", b"\0\x0a\0"];
        let sorted = canonical_rdatas(Rtype::MX, &rdatas);
        let expected: [&[u8]; 3] = [b"\0\x05\x01z\0", b"\0\x0a\0", b"\0\x0a\x01b\0"];
        assert_eq!(sorted.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>(), expected);
    }
}
