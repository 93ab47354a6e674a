//! What comes next for a key, and what has been waited for too long: for people.

use std::time::Duration;

use super::algorithm::Algorithm;
use super::rollover::{Input, KeyMemory, Memory, Role, State};
use crate::health::Tick;

/// How long the parent may be waited for in silence.
const PARENT_PATIENCE: Duration = Duration::from_secs(3 * 86_400);

/// What comes next for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// In words.
    pub what: String,
    /// When; none: whenever what it waits for comes.
    pub when: Option<Tick>,
}

impl Memory {
    /// What comes next for a key, and when.
    #[must_use]
    pub fn outlook(&self, key: &KeyMemory, input: &Input<'_>) -> Outlook {
        if key.is_unseen {
            return Outlook { what: "waits for a server to take it up".to_owned(), when: None };
        }
        let when = self.ready(key, input);
        let what = match key.state {
            State::Signing => "its DNSKEY is published",
            State::Published if key.role.is_entry() => "the parent is asked for its DS",
            State::Published if when.is_none() => "active together with its KSK",
            State::Published => "it signs the zone",
            State::Submitted => {
                let awaited = self.awaited(key, input);
                let what =
                    awaited.map_or_else(|| "it goes on".to_owned(), |what| format!("waits for {what}"));
                return Outlook { what, when: None };
            }
            State::Delegated => "active",
            State::Retired | State::Withdrawn => "removed",
            State::Active => {
                let lifetime = match key.role {
                    Role::Zsk => input.policy.zsk_lifetime,
                    Role::Ksk | Role::Csk => input.policy.ksk_lifetime,
                };
                let lifetime = lifetime.filter(|_| key.id.algorithm != Algorithm::RsaSha256);
                let what =
                    if lifetime.is_some() { "another takes over" } else { "stays until rolled by hand" };
                return Outlook {
                    what: what.to_owned(),
                    when: lifetime.map(|lifetime| key.since + lifetime),
                };
            }
        };
        Outlook { what: what.to_owned(), when }
    }

    /// Whether the parent should be asked now.
    #[must_use]
    pub fn waits_for_parent(&self) -> bool {
        self.keys.iter().any(|key| key.state == State::Submitted)
    }

    /// What the parent has been waited for too long.
    #[must_use]
    pub fn overdue(&self, input: &Input<'_>) -> Option<String> {
        let late =
            |key: &&KeyMemory| key.state == State::Submitted && input.now.since(key.since) >= PARENT_PATIENCE;
        self.keys.iter().find(late).and_then(|key| self.awaited(key, input))
    }
}
