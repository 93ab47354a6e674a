//! One target before the question "may it be served now".

use super::trail::Reason;
use super::{Failback, Family, Route, Routing, Target, TargetId};
use crate::health::{Desired, Standing, State, Tick};

/// All that a verdict depends on.
pub(super) struct Judge<'a> {
    pub(super) routing: &'a Routing,
    pub(super) route: &'a Route,
    pub(super) standing: &'a dyn Fn(TargetId, Family) -> Standing,
    pub(super) now: Tick,
}

/// What is asked of a target.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// An address of this family.
    Address(Family),
    /// Its host name.
    Host,
}

/// A target and its verdict.
#[derive(Clone, Copy)]
pub(super) struct Judged {
    pub(super) target: TargetId,
    pub(super) verdict: Verdict,
    /// A failure of it is being confirmed.
    pub(super) moving: bool,
}

/// ```text
/// Eligible > Waiting > Out(by probes) > Out(by the operator)      Lacks: never
/// ```
#[derive(Clone, Copy)]
pub(super) enum Verdict {
    /// May be served.
    Eligible,
    /// Healthy again, but its failback isn't due.
    Waiting {
        /// When the failback was asked from, and when it is due; none: when it is released.
        recovered: Tick,
        until: Option<Tick>,
    },
    /// Not to be served, unless everything fails.
    Out(Reason),
    /// Cannot give what is asked, whatever its health.
    Lacks(Reason),
}

impl Judged {
    pub(super) fn has(&self) -> bool {
        !matches!(self.verdict, Verdict::Lacks(_))
    }

    pub(super) fn is_eligible(&self) -> bool {
        matches!(self.verdict, Verdict::Eligible)
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.verdict, Verdict::Waiting { .. })
    }

    /// Whether the operator took it out.
    pub(super) fn is_held_out(&self) -> bool {
        matches!(self.verdict, Verdict::Out(Reason::Drained | Reason::OperatorDown))
    }

    /// When time alone will make it eligible.
    pub(super) fn recheck_at(&self) -> Option<Tick> {
        match self.verdict {
            Verdict::Waiting { until, .. } => until,
            _ => None,
        }
    }

    /// Why it isn't simply eligible.
    pub(super) fn reason(&self) -> Option<Reason> {
        match self.verdict {
            Verdict::Eligible => None,
            Verdict::Waiting { recovered, until } => Some(Reason::Waiting { recovered, until }),
            Verdict::Out(reason) | Verdict::Lacks(reason) => Some(reason),
        }
    }
}

impl Judge<'_> {
    /// The verdict on one target.
    pub(super) fn judge(&self, id: TargetId, wanted: Wanted) -> Judged {
        let lacks = |reason| Judged { target: id, verdict: Verdict::Lacks(reason), moving: false };
        let Some(target) = self.routing.targets.get(id.0 as usize) else { return lacks(Reason::NoHost) };
        match wanted {
            Wanted::Address(_) if target.address_of.is_some() && target.parts.is_empty() => {
                lacks(Reason::NotResolved)
            }
            Wanted::Address(family) if target.address(family).is_none() => lacks(Reason::NoAddress(family)),
            Wanted::Address(family) => self.weigh(id, (self.standing)(id, family)),
            Wanted::Host if target.host.is_none() => lacks(Reason::NoHost),
            Wanted::Host => self.host(id, target),
        }
    }

    /// A host is as good as the best of its addresses: clients find the one that works.
    fn host(&self, id: TargetId, target: &Target) -> Judged {
        let addresses = self.routing.answering(id).flat_map(|id| Family::BOTH.map(|family| (id, family)));
        let has = |(id, family): &(TargetId, Family)| {
            self.routing.targets.get(id.0 as usize).is_some_and(|target| target.address(*family).is_some())
        };
        let judged: Vec<Judged> = addresses
            .filter(has)
            .map(|(part, family)| self.weigh(id, (self.standing)(part, family)))
            .collect();
        let best = judged.iter().min_by_key(|judged| match judged.verdict {
            Verdict::Eligible => (0, 0),
            // Of two that wait, the one whose time comes first.
            Verdict::Waiting { until, .. } => (1, until.map_or(u64::MAX, |until| until.0)),
            Verdict::Out(_) | Verdict::Lacks(_) => (2, 0),
        });
        match best {
            Some(best) => Judged { moving: judged.iter().any(|judged| judged.moving), ..*best },
            None => {
                let Standing { desired, lacks, is_shaky, recovered, .. } = (self.standing)(id, Family::V4);
                let unprobed = Standing::unprobed(desired, target.assume_up);
                self.weigh(id, Standing { lacks, is_shaky, recovered, ..unprobed })
            }
        }
    }

    fn weigh(&self, target: TargetId, standing: Standing) -> Judged {
        // What is dead itself is told as such.
        let is_itself_out = !Standing { lacks: None, ..standing }.is_eligible();
        let verdict = match standing.desired {
            Desired::Up => Verdict::Eligible,
            Desired::Down => Verdict::Out(Reason::OperatorDown),
            Desired::Drained => Verdict::Out(Reason::Drained),
            Desired::Auto if standing.lacks.is_some() && !is_itself_out => {
                let nth = standing.lacks.unwrap_or_default();
                Verdict::Out(Reason::Needs { target, nth })
            }
            Desired::Auto if standing.is_eligible() => self.failback(standing),
            Desired::Auto if standing.state == State::Unknown => Verdict::Out(Reason::NotProbedYet),
            Desired::Auto => Verdict::Out(Reason::Down { since: standing.since, stale: standing.stale }),
        };
        Judged { target, verdict, moving: standing.is_moving() }
    }

    fn failback(&self, standing: Standing) -> Verdict {
        let Some(recovered) = standing.recovered else { return Verdict::Eligible };
        match self.route.failback {
            Failback::Auto => Verdict::Eligible,
            Failback::After(wait) if self.now >= recovered + wait => Verdict::Eligible,
            Failback::After(wait) => Verdict::Waiting { recovered, until: Some(recovered + wait) },
            Failback::Manual => Verdict::Waiting { recovered, until: None },
        }
    }
}
