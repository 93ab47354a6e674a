//! The parts of NSEC and NSEC3 that need no zone.

use ring::digest;

use crate::wire::rtype::Rtype;

/// The hash of a name in wire form (RFC 5155 5): SHA-1 without salt and without further rounds, as
/// RFC 9276 3.1 wants it.
#[must_use]
pub fn nsec3_hash(name: &[u8]) -> [u8; 20] {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &name.to_ascii_lowercase());
    let mut hash = [0; 20];
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// Types as NSEC and NSEC3 list them, in any order and any number of times (RFC 4034 4.1.2).
#[must_use]
pub fn type_bitmap(types: impl Iterator<Item = Rtype>) -> Vec<u8> {
    let mut types: Vec<u16> = types.map(|rtype| rtype.0).collect();
    types.sort_unstable();
    let mut bitmap = Vec::new();
    for window in types.chunk_by(|one, other| one >> 8 == other >> 8) {
        let mut bits = [0u8; 32];
        let mut octets = 0;
        for rtype in window {
            let low = usize::from(rtype & 0xff);
            bits[low / 8] |= 0x80 >> (low % 8);
            octets = low / 8 + 1;
        }
        bitmap.push((window[0] >> 8) as u8);
        bitmap.push(octets as u8);
        bitmap.extend_from_slice(&bits[..octets]);
    }
    bitmap
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::name::Name;

    #[test]
    fn bitmap_of_rfc_4034() {
        // RFC 4034 4.3: A MX RRSIG NSEC TYPE1234.
        let types = [Rtype(1234), Rtype::MX, Rtype::A, Rtype::NSEC, Rtype::RRSIG, Rtype::A];
        let mut expected = vec![0, 6, 0x40, 0x01, 0, 0, 0, 0x03, 4, 27];
        expected.extend([0; 26]);
        expected.push(0x20);
        assert_eq!(type_bitmap(types.into_iter()), expected);
        assert_eq!(type_bitmap(std::iter::empty()), Vec::<u8>::new());
    }

    /// Vectors of `ldns-nsec3-hash -t 0 -a 1 NAME`.
    #[test]
    fn hashes_are_those_of_another_implementation() {
        for (name, expected) in [
            ("example.com.", "onib9mgub9h0rml3cdf5bgrj59dkjhvk"),
            ("WWW.Example.com.", "mifdndt3nff3od53o7tla1hrff95jkuk"),
        ] {
            let hash = nsec3_hash(Name::parse(name, None).unwrap().as_wire());
            assert_eq!(base32(&hash), expected, "{name}");
        }
    }

    fn base32(octets: &[u8]) -> String {
        let bits = octets.iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1));
        let bits: Vec<u8> = bits.collect();
        let digit = |five: &[u8]| five.iter().fold(0, |value, bit| value << 1 | bit);
        bits.chunks(5).map(|five| char::from_digit(digit(five).into(), 32).unwrap()).collect()
    }
}
