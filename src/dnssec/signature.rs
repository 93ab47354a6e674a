//! RRSIG RDATA, and how long a signature holds.

use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use super::canonical::canonical_rdatas;
use super::key::SigningKey;
use super::rrsigs::Rrsigs;
use crate::wire::name::{Name, labels};
use crate::wire::rtype::{CLASS_IN, Rtype};

/// What is left of a signature's time at least, as long as the server runs: so long it may stand
/// still without harm. Signatures with less left are made anew.
pub const SIGNATURE_LEFT: Duration = Duration::from_secs(7 * 86_400);

/// Clocks of resolvers may be behind by so much.
const INCEPTION_BEFORE: u32 = 3_600;

/// From when until when a signature holds, in seconds since 1970 modulo 2^32 (RFC 4034 3.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Validity {
    /// Not before.
    pub inception: u32,
    /// Not after.
    pub expiration: u32,
}

impl Validity {
    /// The time of the signatures of an owner's RRsets, made at `now`: from an hour ago, for
    /// `length` or somewhat less. How much less is the owner's own, so that the signatures of a
    /// zone don't all end, and are made anew, at one moment.
    #[must_use]
    pub fn of(owner: &[u8], now: u32, length: Duration) -> Validity {
        let mut hasher = SipHasher24::new_with_keys(0, 0);
        hasher.write(owner);
        // A quarter of what isn't kept in reserve.
        let spread = length.saturating_sub(SIGNATURE_LEFT).as_secs() / 4;
        let earlier = hasher.finish() % (spread + 1);
        let length = length.as_secs().saturating_sub(earlier);
        Validity {
            inception: now.wrapping_sub(INCEPTION_BEFORE),
            expiration: now.wrapping_add(u32::try_from(length).unwrap_or(i32::MAX as u32)),
        }
    }

    /// When signatures of this time were made here, seen from `now`; seconds since 1970.
    #[must_use]
    pub fn made(self, now: u64) -> u64 {
        let ago = (now as u32).wrapping_sub(self.inception.wrapping_add(INCEPTION_BEFORE)) as i32;
        now.saturating_add_signed(-i64::from(ago))
    }

    /// When signatures of this time are to be made anew.
    #[must_use]
    pub fn renewal(self) -> u32 {
        self.expiration.wrapping_sub(SIGNATURE_LEFT.as_secs() as u32)
    }

    /// Whether their time is over at `now` (RFC 1982 arithmetic).
    #[must_use]
    pub fn is_over(self, now: u32) -> bool {
        now.wrapping_sub(self.expiration) as i32 > 0
    }

    /// Whether they are due at `now` (RFC 1982 arithmetic).
    #[must_use]
    pub fn is_due(self, now: u32) -> bool {
        now.wrapping_sub(self.renewal()) as i32 >= 0 || (now.wrapping_sub(self.inception) as i32) < 0
    }
}

/// The RDATA of an RRSIG that `key` makes over an RRset (RFC 4034 3.1); none when the key can't.
pub(super) fn rrsig(
    key: &SigningKey,
    apex: &Name,
    owner: &[u8],
    rtype: Rtype,
    original_ttl: u32,
    rdatas: &[std::borrow::Cow<'_, [u8]>],
    validity: Validity,
) -> Option<Vec<u8>> {
    let mut rdata = Vec::with_capacity(18 + apex.as_wire().len() + 64);
    rdata.extend(rtype.0.to_be_bytes());
    rdata.push(key.algorithm().number());
    rdata.push(labels_signed(owner)?);
    rdata.extend(original_ttl.to_be_bytes());
    rdata.extend(validity.expiration.to_be_bytes());
    rdata.extend(validity.inception.to_be_bytes());
    rdata.extend(key.tag().to_be_bytes());
    rdata.extend_from_slice(apex.as_wire());
    let message = message(&rdata, owner, rtype, original_ttl, rdatas)?;
    rdata.extend(key.sign(&message)?);
    Some(rdata)
}

/// What is signed: RDATA up to the signature, then each record (RFC 4034 3.1.8.1).
pub(super) fn message(
    head: &[u8],
    owner: &[u8],
    rtype: Rtype,
    original_ttl: u32,
    rdatas: &[std::borrow::Cow<'_, [u8]>],
) -> Option<Vec<u8>> {
    let mut message = head.to_vec();
    let owner = owner.to_ascii_lowercase();
    for one in rdatas {
        message.extend_from_slice(&owner);
        message.extend(rtype.0.to_be_bytes());
        message.extend(CLASS_IN.to_be_bytes());
        message.extend(original_ttl.to_be_bytes());
        message.extend(u16::try_from(one.len()).ok()?.to_be_bytes());
        message.extend_from_slice(one);
    }
    Some(message)
}

/// An owner's labels as its signatures count them: the root and the asterisk of a wildcard don't
/// (RFC 4034 3.1.3).
pub(super) fn labels_signed(owner: &[u8]) -> Option<u8> {
    u8::try_from(labels(owner).count() - usize::from(owner.starts_with(b"\x01*"))).ok()
}

/// RRSIG RDATA of several keys over one RRset.
pub(super) fn rrsigs<'k>(
    keys: impl Iterator<Item = &'k SigningKey>,
    apex: &Name,
    owner: &[u8],
    rtype: Rtype,
    original_ttl: u32,
    rdatas: &[&[u8]],
    validity: Validity,
) -> Rrsigs {
    let rdatas = canonical_rdatas(rtype, rdatas);
    keys.filter_map(|key| rrsig(key, apex, owner, rtype, original_ttl, &rdatas, validity)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u32 = 86_400;

    #[test]
    fn owners_signatures_end_at_different_times_with_a_week_to_spare() {
        let now = 1_800_000_000;
        let of = |owner: &[u8]| Validity::of(owner, now, Duration::from_secs(21 * 86_400));
        let all: Vec<Validity> = (0..200u8).map(|n| of(&[1, n, 0])).collect();
        for one in &all {
            assert_eq!(one.inception, now - 3_600);
            assert!((now + 17 * DAY..=now + 21 * DAY).contains(&one.expiration), "{one:?}");
            assert!(!one.is_due(now) && !one.is_due(now + 10 * DAY) && one.is_due(now + 14 * DAY));
        }
        let different: std::collections::BTreeSet<u32> = all.iter().map(|one| one.expiration).collect();
        assert!(different.len() > 190, "{}", different.len());
        assert_eq!(of(b"\x01a\0"), of(b"\x01a\0"));
    }

    #[test]
    fn a_clock_that_was_ahead_and_the_year_2106_are_no_trouble() {
        let of = |now| Validity::of(b"\0", now, Duration::from_secs(21 * 86_400));
        // Made by a clock a year ahead: nobody takes it now.
        assert!(of(1_800_000_000 + 365 * DAY).is_due(1_800_000_000));
        let wrapped = of(u32::MAX - DAY);
        assert!(wrapped.expiration < 30 * DAY && !wrapped.is_due(DAY) && wrapped.is_due(15 * DAY));
    }
}
