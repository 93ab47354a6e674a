//! How a zone stops being signed (RFC 6781 4.3, RFC 8078 4): it goes on until the parent has no DS,
//! and no cache has one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rollover::{Input, Memory, Start, State};
use crate::health::Tick;

/// RDATA of the CDS that asks for all DS to be taken out (RFC 8078 4).
pub const CDS_DELETE: [u8; 5] = [0; 5];

/// RDATA of the CDNSKEY that asks for the same.
pub const CDNSKEY_DELETE: [u8; 5] = [0, 0, 3, 0, 0];

/// Where a zone is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leaving {
    /// The parent is asked to take the DS out.
    Asked,
    /// It has none since then; caches are forgetting them.
    Gone(Tick),
    /// Nobody expects signatures any more.
    Over,
}

impl Memory {
    /// Takes the next step out of signing. Without news of the parent nothing is taken for granted.
    pub fn leave(&mut self, input: &Input<'_>) {
        let leaving = self.leaving.unwrap_or(Leaving::Asked);
        if let Some(parent) = input.parent {
            self.ds_ttl = self.ds_ttl.max(parent.ttl);
        }
        let next = match (leaving, input.parent) {
            (Leaving::Over, _) => Leaving::Over,
            (_, Some(parent)) if parent.has_any => Leaving::Asked,
            (Leaving::Asked, Some(_)) => Leaving::Gone(input.now),
            (leaving, _) => leaving,
        };
        let wait = if self.was_trusted() {
            Duration::from_secs(self.ds_ttl.max(input.policy.parent_ds_ttl).into()) + input.policy.propagation
        } else {
            Duration::ZERO
        };
        self.leaving = Some(match next {
            Leaving::Gone(since) if since + wait <= input.now => Leaving::Over,
            next => next,
        });
    }

    /// The zone is to be signed, after all. One that had left begins anew: caches may hold what
    /// wasn't signed.
    pub fn stay(&mut self, now: Tick) {
        if self.leaving.take() != Some(Leaving::Over) {
            return;
        }
        self.ds_ttl = 0;
        for key in &mut self.keys {
            key.state = if key.role.is_entry() { State::Published } else { State::Active };
            (key.since, key.start) = (now, Start::First);
        }
    }

    /// Whether the parent ever had a DS, as far as anybody here can know.
    fn was_trusted(&self) -> bool {
        let is_early = |state| matches!(state, State::Signing | State::Published | State::Submitted);
        self.ds_ttl > 0 || self.keys.iter().any(|key| key.role.is_entry() && !is_early(key.state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dnssec::rollover::{KeyId, KeyMemory, ParentDs, Role};
    use crate::dnssec::{Algorithm, Policy};

    fn memory(state: State) -> Memory {
        let id = KeyId { algorithm: Algorithm::Ed25519, tag: 1 };
        let key =
            KeyMemory { id, role: Role::Csk, state, since: Tick(0), start: Start::First, is_unseen: false };
        Memory { keys: vec![key], ..Memory::default() }
    }

    #[test]
    fn signatures_end_when_no_cache_has_a_ds_and_not_before() {
        let policy = Policy { parent_ds_ttl: 100, propagation: Duration::ZERO, ..Policy::default() };
        let with = ParentDs { has_any: true, ttl: 500, ..ParentDs::default() };
        let without = ParentDs::default();
        let mut memory = memory(State::Active);
        let mut at = |seconds: u64, parent: Option<&ParentDs>| {
            let now = Tick(0) + Duration::from_secs(seconds);
            memory.leave(&Input { now, policy: &policy, max_ttl: 1, parent });
            memory.leaving.unwrap()
        };
        // Silence is no news, for any time.
        assert_eq!(at(0, None), Leaving::Asked);
        assert_eq!(at(1_000_000, None), Leaving::Asked);
        assert_eq!(at(1_000_001, Some(&with)), Leaving::Asked);
        let gone = Leaving::Gone(Tick(0) + Duration::from_secs(1_000_010));
        assert_eq!(at(1_000_010, Some(&without)), gone);
        assert_eq!(at(1_000_509, None), gone);
        // It came back meanwhile.
        assert_eq!(at(1_000_509, Some(&with)), Leaving::Asked);
        at(1_001_000, Some(&without));
        assert_ne!(at(1_001_499, Some(&without)), Leaving::Over);
        assert_eq!(at(1_001_500, None), Leaving::Over);
        assert_eq!(at(1_001_501, Some(&with)), Leaving::Over);
    }

    #[test]
    fn a_zone_that_nobody_trusted_leaves_when_the_parent_says_so() {
        let mut memory = memory(State::Submitted);
        let policy = Policy::default();
        let mut leave = |parent| {
            memory.leave(&Input { now: Tick(0), policy: &policy, max_ttl: 1, parent });
            memory.leaving
        };
        assert_eq!(leave(None), Some(Leaving::Asked));
        assert_eq!(leave(Some(&ParentDs::default())), Some(Leaving::Over));
        memory.stay(Tick(5));
        assert_eq!((memory.leaving, memory.keys[0].state), (None, State::Published));
        assert_eq!(memory.keys[0].since, Tick(5));
    }

    #[test]
    fn who_changes_their_mind_in_time_goes_on_as_before() {
        let mut memory = memory(State::Active);
        let before = memory.clone();
        memory.leave(&Input { now: Tick(0), policy: &Policy::default(), max_ttl: 1, parent: None });
        memory.stay(Tick(5));
        assert_eq!(memory, before);
    }
}
