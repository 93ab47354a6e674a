//! The signatures of one RRset, in one piece of memory: a large zone has millions.
//!
//! ```text
//! { octets u16 | RDATA of RRSIG } ...
//! ```

use super::signature::Validity;
use super::verify::validity;

/// RDATA of RRSIGs over one RRset, one of each key that signs its type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rrsigs(Box<[u8]>);

impl Rrsigs {
    /// From octets as [`as_octets`](Self::as_octets) gives them.
    pub(crate) fn from_octets(octets: &[u8]) -> Rrsigs {
        Rrsigs(octets.into())
    }

    /// As they lie in memory, and in bundles.
    pub(crate) fn as_octets(&self) -> &[u8] {
        &self.0
    }

    /// RDATA of each.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (octets, after) = rest.split_first_chunk()?;
            let (rdata, after) = after.split_at_checked(u16::from_be_bytes(*octets).into())?;
            rest = after;
            Some(rdata)
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The time of the one that ends first, seen from `now`; none if one is too short to have a time.
    #[must_use]
    pub fn validity(&self, now: u32) -> Option<Validity> {
        let all = self.iter().map(validity).collect::<Option<Vec<_>>>()?;
        all.into_iter().min_by_key(|one| one.expiration.wrapping_sub(now) as i32)
    }
}

/// RDATA has at most 65,535 octets; longer ones are left out.
impl FromIterator<Vec<u8>> for Rrsigs {
    fn from_iter<I: IntoIterator<Item = Vec<u8>>>(rdatas: I) -> Rrsigs {
        let mut octets = Vec::new();
        for rdata in rdatas {
            let Ok(length) = u16::try_from(rdata.len()) else { continue };
            octets.reserve_exact(2 + rdata.len());
            octets.extend(length.to_be_bytes());
            octets.extend(rdata);
        }
        Rrsigs(octets.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_in_comes_out(all in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5)) {
            let rrsigs: Rrsigs = all.iter().cloned().collect();
            prop_assert!(rrsigs.iter().eq(all.iter().map(Vec::as_slice)));
            prop_assert_eq!((rrsigs.len(), rrsigs.is_empty()), (all.len(), all.is_empty()));
            prop_assert_eq!(&Rrsigs::from_octets(rrsigs.as_octets()), &rrsigs);
        }

        #[test]
        fn any_octets_are_read_without_a_panic(octets: Vec<u8>) {
            let rrsigs = Rrsigs::from_octets(&octets);
            prop_assert!(rrsigs.len() <= octets.len());
            let _ = rrsigs.validity(0);
        }
    }

    #[test]
    fn of_several_the_time_of_the_first_to_end_counts() {
        let of = |expiration: u32| [&[0; 8][..], &expiration.to_be_bytes(), &[0; 10]].concat();
        let rrsigs: Rrsigs = [of(30), of(10), of(20)].into_iter().collect();
        assert_eq!(rrsigs.validity(5).unwrap().expiration, 10);
        // The clock of 2106 goes round.
        let rrsigs: Rrsigs = [of(10), of(u32::MAX - 5)].into_iter().collect();
        assert_eq!(rrsigs.validity(u32::MAX - 10).unwrap().expiration, u32::MAX - 5);
        let rrsigs: Rrsigs = [of(10), vec![0; 9]].into_iter().collect();
        assert_eq!(rrsigs.validity(5), None);
    }
}
