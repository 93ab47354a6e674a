//! How bad an event is: the one place that says so, for whoever is told by severity.

use serde::{Deserialize, Serialize};

use super::event::{Event, Kind};

/// How bad an event is, from the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For whoever looks back.
    Info,
    /// Somebody should look in working hours.
    Warning,
    /// Somebody should look now.
    Critical,
}

/// Whether an event begins something bad or ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Turn {
    /// It begins something bad.
    Begins,
    /// It ends what another event began.
    Ends,
}

impl Severity {
    /// As files and receivers write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

impl Event {
    /// How bad it is. An end is as bad as its beginning was: who heard of the one hears of the
    /// other.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match (self.kind, self.turn) {
            (Kind::Transition | Kind::Doubt, Some(_)) => Severity::Critical,
            (Kind::Stale | Kind::Fresh | Kind::Error, _) | (Kind::Notice, Some(_)) => Severity::Warning,
            // What an operator ordered or files asked for, and suspicions that nothing confirms.
            (Kind::Transition | Kind::Doubt | Kind::Order | Kind::Failback, _) | (Kind::Notice, None) => {
                Severity::Info
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Tick;

    #[test]
    fn an_end_is_as_bad_as_its_beginning() {
        let severity = |kind, turn| Event { turn, ..Event::new(Tick(1), kind, "something") }.severity();
        for (begins, ends) in [
            (Kind::Transition, Kind::Transition),
            (Kind::Doubt, Kind::Doubt),
            (Kind::Stale, Kind::Fresh),
            (Kind::Error, Kind::Notice),
        ] {
            assert_eq!(severity(begins, Some(Turn::Begins)), severity(ends, Some(Turn::Ends)), "{begins:?}");
        }
        assert_eq!(severity(Kind::Transition, None), Severity::Info);
        assert_eq!(severity(Kind::Order, None), Severity::Info);
    }
}
