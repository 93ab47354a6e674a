//! Numbers that differ from query to query, without a system call or a lock.

use std::hash::{BuildHasher, RandomState};

/// A sequence (SplitMix64) with a seed of its own. It spreads choices; it keeps no secrets.
pub(super) struct Entropy(u64);

impl Entropy {
    /// A sequence unlike any other.
    pub(super) fn new() -> Entropy {
        Entropy(RandomState::new().hash_one(0u8))
    }

    /// The next number.
    #[inline]
    pub(super) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_evenly() {
        let mut entropy = Entropy::new();
        let mut seen = [0u32; 8];
        for _ in 0..80_000 {
            seen[(entropy.next() % 8) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (9_000..11_000).contains(count)), "{seen:?}");
    }
}
