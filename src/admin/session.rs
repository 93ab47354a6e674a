//! Who has signed in by the status page's form: browsers can't send a token by themselves.
//!
//! ```text
//! form with a token -> cookie, which is a random number      kept here for 12 hours
//! request with it   -> whose it is, if the token is still in the file
//! ```
//!
//! Sessions are in memory alone, so a restart ends them all.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use crate::health::Tick;
use crate::limits::{ADMIN_SESSION_TIME, ADMIN_SESSIONS};

/// All sessions, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<VecDeque<Session>>);

/// One browser that signed in.
#[derive(Clone)]
pub(super) struct Session {
    /// What its cookie holds.
    pub(super) cookie: String,
    /// What its forms must hold, so that no other page's form is taken for one of them.
    pub(super) seal: String,
    /// The digest of its token: once that has left the file, the session is over.
    pub(super) token: [u8; 32],
    until: Tick,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("until", &self.until).finish_non_exhaustive()
    }
}

impl Sessions {
    /// Begins one for whoever has shown this token. Nothing if the system has no random numbers.
    pub(super) fn begin(&self, token: &str, now: Tick) -> Option<Session> {
        let session = Session {
            cookie: random()?,
            seal: random()?,
            token: digest_of(token),
            until: now + ADMIN_SESSION_TIME,
        };
        let mut sessions = self.lock();
        sessions.retain(|session| session.until > now);
        if sessions.len() == ADMIN_SESSIONS {
            sessions.pop_front();
        }
        sessions.push_back(session.clone());
        Some(session)
    }

    /// The session of a cookie. All are compared, so that the time tells nothing.
    pub(super) fn of(&self, cookie: &str, now: Tick) -> Option<Session> {
        let sessions = self.lock();
        let mut found = None;
        for session in sessions.iter().filter(|session| session.until > now) {
            if is_same(&session.cookie, cookie) {
                found = Some(session.clone());
            }
        }
        found
    }

    /// Ends one.
    pub(super) fn end(&self, cookie: &str) {
        self.lock().retain(|session| !is_same(&session.cookie, cookie));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two secrets are the same, in a time that tells nothing of them.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// The digest of a token, which is kept in its place.
pub(super) fn digest_of(token: &str) -> [u8; 32] {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    octets
}

/// 256 random bits in hexadecimal.
pub(super) fn random() -> Option<String> {
    let mut octets = [0; 32];
    getrandom::fill(&mut octets).ok()?;
    let mut text = String::with_capacity(64);
    for octet in octets {
        write!(text, "{octet:02x}").ok()?;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn sessions_end_in_time_on_demand_and_by_number() {
        let (sessions, now) = (Sessions::default(), Tick(1_000));
        let first = sessions.begin("s3cret", now).unwrap();
        assert_ne!(first.cookie, first.seal);
        assert_eq!(sessions.of(&first.cookie, now).unwrap().token, digest_of("s3cret"));
        assert!(sessions.of(&first.cookie[1..], now).is_none() && sessions.of("", now).is_none());
        assert!(sessions.of(&first.cookie, now + ADMIN_SESSION_TIME).is_none());
        sessions.end(&first.cookie);
        assert!(sessions.of(&first.cookie, now).is_none());

        let oldest = sessions.begin("s3cret", now).unwrap();
        for _ in 0..ADMIN_SESSIONS {
            sessions.begin("s3cret", now + Duration::from_secs(1)).unwrap();
        }
        assert!(sessions.of(&oldest.cookie, now).is_none(), "a further one ends the oldest");
        assert_eq!(sessions.lock().len(), ADMIN_SESSIONS);
    }
}
