//! Wrong tokens, counted by whoever shows them: who guesses has to wait, at the status page's form as
//! with any request.
//!
//! Sessions aren't guessed at, and the Unix socket asks for nothing, so an operator whose neighbour
//! guesses goes on working.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{ADMIN_WRONG_CLIENTS, ADMIN_WRONG_TIME, ADMIN_WRONG_TOKENS};

/// Who has shown wrong tokens lately.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<IpAddr, Wrong>>);

#[derive(Clone, Copy, Debug)]
struct Wrong {
    since: Instant,
    tokens: u32,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attempt<T> {
    /// The token is known.
    Right(T),
    /// It isn't.
    Wrong,
    /// It isn't, and further ones of this client aren't looked at for a while.
    LastWrong,
    /// It wasn't looked at, right or wrong; another one will be after so long.
    Refused(Duration),
}

impl Attempts {
    /// Has a token looked at, unless its client has shown too many wrong ones. One after the other:
    /// side by side more would be looked at than are counted.
    pub(super) fn look<T>(
        &self,
        client: IpAddr,
        now: Instant,
        known: impl FnOnce() -> Option<T>,
    ) -> Attempt<T> {
        let client = counted_as(client);
        let mut all = self.lock();
        all.retain(|_, wrong| now.duration_since(wrong.since) < ADMIN_WRONG_TIME);
        let before = all.get(&client).copied().unwrap_or(Wrong { since: now, tokens: 0 });
        if before.tokens >= ADMIN_WRONG_TOKENS {
            return Attempt::Refused(ADMIN_WRONG_TIME.saturating_sub(now.duration_since(before.since)));
        }
        if let Some(known) = known() {
            return Attempt::Right(known);
        }
        if all.len() >= ADMIN_WRONG_CLIENTS && !all.contains_key(&client) {
            let oldest = all.iter().min_by_key(|(_, wrong)| wrong.since).map(|(client, _)| *client);
            oldest.and_then(|oldest| all.remove(&oldest));
        }
        let tokens = before.tokens + 1;
        all.insert(client, Wrong { tokens, ..before });
        if tokens == ADMIN_WRONG_TOKENS { Attempt::LastWrong } else { Attempt::Wrong }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Wrong>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An IPv4 address, or an IPv6 /64: one client has all of that.
fn counted_as(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        ipv4 @ IpAddr::V4(_) => ipv4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(attempts: &Attempts, client: &str, now: Instant) -> Attempt<()> {
        attempts.look(client.parse().unwrap(), now, || None)
    }

    #[test]
    fn who_guesses_waits_and_nobody_else_does() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for _ in 1..ADMIN_WRONG_TOKENS {
            assert_eq!(wrong(&attempts, "2001:db8::1", now), Attempt::Wrong);
        }
        let right = |client: &str, now| attempts.look(client.parse().unwrap(), now, || Some("alice"));
        assert_eq!(right("2001:db8::2", now), Attempt::Right("alice"), "not yet");
        assert_eq!(wrong(&attempts, "2001:db8::2", now), Attempt::LastWrong, "the same /64");
        let later = now + Duration::from_secs(1);
        let rest = ADMIN_WRONG_TIME - Duration::from_secs(1);
        assert_eq!(right("2001:db8::3", later), Attempt::Refused(rest), "a right one tells nothing either");
        assert_eq!(right("2001:db8:0:1::1", later), Attempt::Right("alice"));
        assert_eq!(right("2001:db8::1", now + ADMIN_WRONG_TIME), Attempt::Right("alice"));
    }

    #[test]
    fn as_many_clients_are_remembered_as_are_bounded() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for at in 0..2 * ADMIN_WRONG_CLIENTS {
            let client = std::net::Ipv4Addr::from_bits(at as u32).to_string();
            wrong(&attempts, &client, now + Duration::from_micros(at as u64));
        }
        assert_eq!(attempts.lock().len(), ADMIN_WRONG_CLIENTS);
        assert!(!attempts.lock().contains_key(&IpAddr::from([0, 0, 0, 0])), "the oldest are forgotten");
    }
}
