//! What routing needs to know of one address of one target.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Tick;

/// What probes say of one address of a target. The machine that moves between these is in
/// `machine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Never probed yet: `assume` of the target decides.
    Unknown,
    /// Answers as its probes want.
    Up,
    /// A failure was seen and is being confirmed: still served, with the short TTL.
    Suspect,
    /// Confirmed dead: not served.
    Down,
}

impl State {
    /// All of them, in the order of their numbers.
    pub const ALL: [State; 4] = [State::Unknown, State::Up, State::Suspect, State::Down];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Unknown => "UNKNOWN",
            State::Up => "UP",
            State::Suspect => "SUSPECT",
            State::Down => "DOWN",
        })
    }
}

/// What the operator says of a target; wins over probes unless `Auto`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Desired {
    /// Probes decide.
    #[default]
    Auto,
    /// Served whatever probes say.
    Up,
    /// Not served whatever probes say.
    Down,
    /// Not served: taken out on purpose, as for maintenance.
    Drained,
}

/// How many of a target's probes must be well for it to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Need {
    /// All: the worst decides.
    #[default]
    All,
    /// At least so many of those that are configured.
    AtLeast(usize),
}

/// One address of one target as routing sees it at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What probes say.
    pub state: State,
    /// What the operator says.
    pub desired: Desired,
    /// What to take `Unknown` for: true is up.
    pub assume_up: bool,
    /// Whether results are overdue: the prober itself is silent. The last verdict stays in force.
    pub stale: bool,
    /// When `state` began.
    pub since: Tick,
    /// When it last came back from `Down`, if a failback has not been released since; a route
    /// with `failback = "manual"` or `"after"` asks this.
    pub recovered: Option<Tick>,
    /// Which of the needs of its target isn't met, by its place among them: then it may not be
    /// served, however well it is itself.
    pub lacks: Option<u16>,
    /// Whether a need rests on something whose failure is being confirmed.
    pub is_shaky: bool,
}

impl Standing {
    /// A target without probes: as good as its operator says.
    #[must_use]
    pub fn unprobed(desired: Desired, assume_up: bool) -> Standing {
        Standing {
            state: State::Unknown,
            desired,
            assume_up,
            stale: false,
            since: Tick(0),
            recovered: None,
            lacks: None,
            is_shaky: false,
        }
    }

    /// Whether it may be served.
    #[must_use]
    pub fn is_eligible(&self) -> bool {
        match self.desired {
            Desired::Up => true,
            Desired::Down | Desired::Drained => false,
            Desired::Auto if self.lacks.is_some() => false,
            Desired::Auto => match self.state {
                State::Up | State::Suspect => true,
                State::Down => false,
                State::Unknown => self.assume_up,
            },
        }
    }

    /// Whether something is moving here, so that answers should carry the short TTL.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.desired == Desired::Auto && (self.is_shaky || self.state == State::Suspect)
    }
}
