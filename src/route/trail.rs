//! Why a decision is as it is: the steps of the very function that made it, in words.

use std::fmt;
use std::time::Duration;

use super::{Family, Minimum, Routing, TargetId};
use crate::health::Tick;

/// One step of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A target was looked at and not taken.
    PassedOver {
        /// The target.
        target: TargetId,
        /// Why.
        reason: Reason,
    },
    /// No target of the region's chain can give the type: the route's other targets do, so that
    /// all regions have the same types.
    LeftChain,
    /// No target is eligible: the answer stands as though all were healthy.
    FailedOpen,
    /// A tier has eligible targets, and fewer than the route asks for.
    BelowMinimum {
        /// The tier, from 1.
        tier: usize,
        /// How much of it is eligible: weights or targets.
        eligible: u64,
        /// How much of it there is.
        of: u64,
        /// What the route asks for.
        minimum: Minimum,
    },
    /// No tier has what the route asks for: this one comes nearest.
    BestOfAll {
        /// The tier, from 1.
        tier: usize,
    },
    /// A target is in the answer.
    Served {
        /// The target.
        target: TargetId,
        /// Its tier in the chain, from 1.
        tier: usize,
        /// Whether a failure of it is being confirmed.
        suspect: bool,
        /// Its share of the clients; 0: answered together with its tier.
        weight: u16,
    },
    /// A target of a later tier fills the answer up.
    FilledUp {
        /// The target.
        target: TargetId,
        /// Its tier in the chain, from 1.
        tier: usize,
    },
    /// A target of a whole-set route stands behind the eligible ones.
    Demoted {
        /// The target.
        target: TargetId,
        /// Why.
        reason: Reason,
    },
    /// The place of a target in a whole-set route.
    Ranked {
        /// The target.
        target: TargetId,
        /// MX preference or SRV priority.
        rank: u16,
        /// Whether a failure of it is being confirmed.
        suspect: bool,
    },
    /// No target of the route can give the type.
    Nothing,
    /// How long caches may keep the answer.
    Ttl {
        /// Seconds.
        seconds: u32,
        /// Whether it is the short one.
        short: bool,
    },
}

/// Why a target isn't simply eligible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has no address of the family.
    NoAddress(Family),
    /// Its host name has not been resolved yet.
    NotResolved,
    /// It has no host name.
    NoHost,
    /// Probes say that it is dead.
    Down {
        /// Since when.
        since: Tick,
        /// Whether the prober has been silent since, so that this is its last word.
        stale: bool,
    },
    /// No probe has answered yet, and it is assumed down until then.
    NotProbedYet,
    /// Something that it needs isn't served.
    Needs {
        /// Whose need, since a part has those of its whole.
        target: TargetId,
        /// Which, by its place among them.
        nth: u16,
    },
    /// `state = "down"`, by the operator.
    OperatorDown,
    /// `state = "drained"`, by the operator.
    Drained,
    /// It is healthy again, but its failback isn't due.
    Waiting {
        /// When it recovered.
        recovered: Tick,
        /// When it is due; none: when an operator releases it.
        until: Option<Tick>,
    },
}

impl Step {
    /// The step in words, with the targets' names, as seen at `now`.
    #[must_use]
    pub fn describe(&self, routing: &Routing, now: Tick) -> String {
        let name = |id: TargetId| routing.targets.get(id.0 as usize).map_or("?", |target| &target.name);
        let suspicion = |suspect: bool| if suspect { ", suspect: a failure is being confirmed" } else { "" };
        match *self {
            Step::PassedOver { target, reason } => {
                format!("{} passed over: {}", name(target), reason.describe(routing, now))
            }
            Step::LeftChain => {
                "no target of the chain has this type: the route's other targets give it".to_owned()
            }
            Step::FailedOpen => "no target is eligible: failing open, as though all were healthy".to_owned(),
            Step::BelowMinimum { tier, eligible, of, minimum } => {
                let needed = match minimum {
                    Minimum::Percent(percent) => format!("{percent}% are needed"),
                    Minimum::Targets(count) => format!("{count} targets are needed"),
                };
                let percent = (eligible * 100).checked_div(of).unwrap_or(0);
                format!("tier {tier} has {eligible} of {of} healthy ({percent}%), {needed}")
            }
            Step::BestOfAll { tier } => format!("no tier has enough: tier {tier} comes nearest"),
            Step::Served { target, tier, suspect, weight: 0 } => {
                format!("{} served: tier {tier}{}", name(target), suspicion(suspect))
            }
            Step::Served { target, tier, suspect, weight } => {
                format!("{} served: tier {tier}, weight {weight}{}", name(target), suspicion(suspect))
            }
            Step::FilledUp { target, tier } => format!("{} fills up: tier {tier}", name(target)),
            Step::Demoted { target, reason } => {
                format!("{} put behind: {}", name(target), reason.describe(routing, now))
            }
            Step::Ranked { target, rank, suspect } => {
                format!("{} at {rank}{}", name(target), suspicion(suspect))
            }
            Step::Nothing => "no target of the route can give this type".to_owned(),
            Step::Ttl { seconds, short: false } => format!("TTL {seconds}"),
            Step::Ttl { seconds, short: true } => format!("TTL {seconds}, the short one"),
        }
    }
}

impl Reason {
    /// The reason in words, as seen at `now`.
    #[must_use]
    pub fn describe(self, routing: &Routing, now: Tick) -> String {
        match self {
            Reason::NoAddress(Family::V4) => "no IPv4 address".to_owned(),
            Reason::NoAddress(Family::V6) => "no IPv6 address".to_owned(),
            Reason::NotResolved => "the name that says its addresses isn't resolved yet".to_owned(),
            Reason::NoHost => "no host name".to_owned(),
            Reason::Down { since, stale: false } => format!("DOWN for {}", Rough(now.since(since))),
            Reason::Down { since, stale: true } => {
                format!("DOWN for {}, by the last word of a silent prober", Rough(now.since(since)))
            }
            Reason::NotProbedYet => "not probed yet, assumed down".to_owned(),
            Reason::Needs { target, nth } => {
                let target = routing.targets.get(target.0 as usize);
                let needed = target.and_then(|target| target.need(Some(nth))).unwrap_or("?");
                format!("needs {needed}, which isn't served")
            }
            Reason::OperatorDown => "set down by the operator".to_owned(),
            Reason::Drained => "drained by the operator".to_owned(),
            Reason::Waiting { recovered, until } => {
                let due = match until {
                    Some(until) => format!("failback in {}", Rough(until.since(now))),
                    None => "waits to be released by an operator".to_owned(),
                };
                format!("recovered {} ago, {due}", Rough(now.since(recovered)))
            }
        }
    }
}

/// A duration in its two biggest units: `4m 10s`.
struct Rough(Duration);

impl fmt::Display for Rough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
        match seconds {
            0 => write!(f, "{}ms", self.0.as_millis()),
            1..60 => write!(f, "{seconds}s"),
            60..3_600 => write!(f, "{minutes}m {}s", seconds % 60),
            3_600..86_400 => write!(f, "{hours}h {minutes}m"),
            _ => write!(f, "{days}d {hours}h"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_as_sentences() {
        let now = Tick(1_000_000);
        let routing = Routing::none(&crate::wire::name::Name::root());
        let waiting = Reason::Waiting { recovered: Tick(870_000), until: Some(Tick(1_470_000)) };
        assert_eq!(waiting.describe(&routing, now), "recovered 2m 10s ago, failback in 7m 50s");
        let down = Reason::Down { since: Tick(999_500), stale: true };
        assert_eq!(down.describe(&routing, now), "DOWN for 500ms, by the last word of a silent prober");
        assert_eq!(Rough(Duration::from_secs(90_000)).to_string(), "1d 1h");
        assert_eq!(Rough(Duration::from_secs(7_260)).to_string(), "2h 1m");
    }
}
