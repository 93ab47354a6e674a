//! Flap damping, as BGP has it (RFC 2439 4.2): a target that dies again and again waits longer
//! before it is believed again.
//!
//! Each death adds a penalty, which halves every two minutes. Above one threshold the target is
//! held down, until the penalty has decayed below another. A held target can't die again, so the
//! penalty never passes the threshold plus one death, and no hold is longer than 170 seconds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Tick;

/// Points that a death adds.
const DEATH: u32 = 1000;
/// Points above which a target is held: the fourth death within about two minutes.
const SUPPRESS: u32 = 3000;
/// Points below which it is let go.
const REUSE: u32 = 1500;
/// Time in which the penalty halves.
const HALF_LIFE: Duration = Duration::from_secs(120);

/// The penalty of one probed address, as of a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Damping {
    points: u32,
    counted: Tick,
    holds: bool,
}

impl Damping {
    /// Counts a death.
    pub(super) fn died(&mut self, now: Tick) {
        let points = self.points_at(now).saturating_add(DEATH);
        self.holds = points > SUPPRESS;
        // A penalty read from a file may be anything; one that was counted is never higher.
        *self = Damping { points: points.min(SUPPRESS + DEATH), counted: now, ..*self };
    }

    /// How long it goes on holding; zero if it doesn't.
    pub(super) fn remaining(&self, now: Tick) -> Duration {
        if !self.holds || self.points < REUSE {
            return Duration::ZERO;
        }
        let half_lives = (f64::from(self.points.min(SUPPRESS + DEATH)) / f64::from(REUSE)).log2();
        HALF_LIFE.mul_f64(half_lives).saturating_sub(now.since(self.counted))
    }

    /// Moves a stamp that lies ahead back to `now`: a clock that was set back must not stretch
    /// a hold.
    pub(super) fn rewind(&mut self, now: Tick) {
        self.counted = self.counted.min(now);
    }

    /// The clock was set back by so much.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.counted = self.counted - by;
    }

    fn points_at(&self, now: Tick) -> u32 {
        let half_lives = now.since(self.counted).as_secs_f64() / HALF_LIFE.as_secs_f64();
        // Decayed points lie between zero and `points`, so the cast only drops the fraction.
        (f64::from(self.points) * (-half_lives).exp2()) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_quick_death_is_held_for_less_than_three_minutes() {
        let mut damping = Damping::default();
        let mut now = Tick(1_000_000);
        for death in 1..=4 {
            damping.died(now);
            assert_eq!(damping.remaining(now) > Duration::ZERO, death == 4, "death {death}");
            now = now + Duration::from_secs(10);
        }
        assert!(damping.remaining(now) > Duration::from_secs(100));
        assert!(damping.remaining(now) < Duration::from_secs(170));
        assert_eq!(damping.remaining(now + Duration::from_secs(170)), Duration::ZERO);
    }

    #[test]
    fn rare_deaths_are_never_held() {
        let mut damping = Damping::default();
        let mut now = Tick(0);
        for _ in 0..100 {
            damping.died(now);
            assert_eq!(damping.remaining(now), Duration::ZERO);
            now = now + Duration::from_secs(120);
        }
    }

    #[test]
    fn the_penalty_has_a_ceiling() {
        let mut damping = Damping { points: u32::MAX, counted: Tick(0), holds: true };
        assert!(damping.remaining(Tick(0)) < Duration::from_secs(170));
        damping.died(Tick(0));
        assert_eq!(damping.points, SUPPRESS + DEATH);
    }
}
