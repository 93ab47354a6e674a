//! The part of NSEC and NSEC3 that needs no zone.

use crate::wire::rtype::Rtype;

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
}
