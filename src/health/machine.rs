//! The state machine of one probe at one address of a target.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::damping::Damping;
use super::{Pace, State, Tick};

/// One probe at one address: turns results into a verdict.
///
/// ```text
///                 success
///   UNKNOWN --------------------> UP <--------------------+
///      |                          |  ^                    |
///      |                  failure |  | success            |
///      |                          v  |                    |
///      |                        SUSPECT                   |
///      |                          |                       |
///      | fall failures            | fall failures         | rise successes in a row, and
///      |  in a row                |  in a row, the first  | `hold` is over, and damping
///      v                          v  one included         | lets go
///     DOWN <----------------------+                       |
///      +--------------------------------------------------+
/// ```
///
/// With `fall` 1, UP goes to DOWN at once. No time leads out of any state: only results do, so a
/// silent prober leaves the last verdict in force, and nothing dead becomes UNKNOWN again.
///
/// Invariant `counts-exclude`: at most one of `failures` and `successes` isn't zero; the last
/// result is of that kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pace: Pace,
    state: State,
    since: Tick,
    failures: u32,
    successes: u32,
    damping: Damping,
    /// When the last failure was seen, or what is known of it after a restart: when the state
    /// began. A hold counts from here.
    failed: Tick,
    /// When the last result came; what `next_after` counts the rest of a hold from.
    observed: Tick,
}

/// A step of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The state before.
    pub from: State,
    /// The state now.
    pub to: State,
}

/// What of a machine survives a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    state: State,
    since: Tick,
    #[serde(default)]
    failures: u32,
    #[serde(default)]
    damping: Damping,
}

impl Memory {
    /// When its verdict began.
    #[must_use]
    pub fn since(&self) -> Tick {
        self.since
    }
}

impl Machine {
    /// A machine that has seen nothing yet.
    #[must_use]
    pub fn new(pace: Pace, now: Tick) -> Machine {
        Machine {
            pace,
            state: State::Unknown,
            since: now,
            failures: 0,
            successes: 0,
            damping: Damping::default(),
            failed: now,
            observed: now,
        }
    }

    /// A machine that takes over a verdict found by another one, as when a probe is renamed: what
    /// was dead must not be served while its new probe hasn't answered yet.
    #[must_use]
    pub fn inheriting(pace: Pace, verdict: State, since: Tick, now: Tick) -> Machine {
        let state = if verdict == State::Suspect { State::Up } else { verdict };
        Machine { state, since, failed: since, ..Machine::new(pace, now) }
    }

    /// A machine that goes on from before a restart. Its verdict stays in force until probes say
    /// otherwise.
    #[must_use]
    pub fn remembering(pace: Pace, memory: &Memory, now: Tick) -> Machine {
        Machine {
            state: memory.state,
            since: memory.since,
            failed: memory.since,
            failures: memory.failures,
            damping: memory.damping,
            ..Machine::new(pace, now)
        }
    }

    /// What has to survive a restart.
    #[must_use]
    pub fn memory(&self) -> Memory {
        Memory { state: self.state, since: self.since, failures: self.failures, damping: self.damping }
    }

    /// Takes in one result.
    pub fn observe(&mut self, healthy: bool, now: Tick) -> Option<Change> {
        // A clock that was set back must not stretch a hold.
        self.since = self.since.min(now);
        self.failed = self.failed.min(now);
        self.damping.rewind(now);
        self.observed = now;
        if healthy {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
        } else {
            self.successes = 0;
            self.failures = self.failures.saturating_add(1);
            self.failed = now;
        }
        let to = self.verdict(healthy, now);
        if to == self.state {
            return None;
        }
        let change = Change { from: self.state, to };
        if to == State::Down {
            self.damping.died(now);
        }
        self.state = to;
        self.since = now;
        Some(change)
    }

    /// The clock was set back by so much.
    pub fn set_back(&mut self, by: Duration) {
        self.since = self.since - by;
        self.observed = self.observed - by;
        self.damping.set_back(by);
    }

    /// Time until the next probe should be sent, as of the last result.
    #[must_use]
    pub fn next_after(&self) -> Duration {
        let Pace { interval, confirm_interval, rise, .. } = self.pace;
        match self.state {
            State::Up => interval,
            State::Unknown if self.failures == 0 => interval,
            State::Unknown | State::Suspect => confirm_interval,
            State::Down if self.successes == 0 => interval,
            // Enough successes already, or time for them: come back when the hold ends.
            State::Down => match self.held(self.observed) {
                Duration::ZERO if self.successes < rise => confirm_interval,
                // And look meanwhile: what flaps shows it between two intervals.
                rest => rest.min(interval / 4).max(confirm_interval).min(interval),
            },
        }
    }

    /// What it says.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// When that began.
    #[must_use]
    pub fn since(&self) -> Tick {
        self.since
    }

    /// Failures in a row up to the last result.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Successes in a row up to the last result.
    #[must_use]
    pub fn successes(&self) -> u32 {
        self.successes
    }

    /// Whether it is kept down because it flapped.
    #[must_use]
    pub fn is_damped(&self, now: Tick) -> bool {
        self.state == State::Down && !self.damping.remaining(now).is_zero()
    }

    /// Whether results are overdue: three in a row are missing. The prober is silent, whatever
    /// the target does.
    #[must_use]
    pub fn is_overdue(&self, now: Tick) -> bool {
        now.since(self.observed) > self.pace.interval.saturating_mul(3).saturating_add(self.pace.timeout)
    }

    /// How often it asks, and how many results make a verdict.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Changes the pace; what was seen stays.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    fn verdict(&self, healthy: bool, now: Tick) -> State {
        match (self.state, healthy) {
            (State::Down, true) if self.successes >= self.pace.rise && self.held(now).is_zero() => State::Up,
            (State::Down, _) => State::Down,
            (_, true) => State::Up,
            (_, false) if self.failures >= self.pace.fall => State::Down,
            // A failure can't make served what wasn't: whoever reads UNKNOWN asks what to assume.
            (State::Unknown, false) => State::Unknown,
            (State::Up | State::Suspect, false) => State::Suspect,
        }
    }

    /// Rest of the time that it must stay down. Counted from the last failure: what dies every
    /// other second isn't well because it has been so for ten.
    fn held(&self, now: Tick) -> Duration {
        self.pace.hold.saturating_sub(now.since(self.failed)).max(self.damping.remaining(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Tick = Tick(1_700_000_000_000);

    fn pace() -> Pace {
        Pace::default()
    }

    /// Feeds results, each as long after the one before as the machine wanted.
    fn run(machine: &mut Machine, now: &mut Tick, results: &str) -> Vec<State> {
        let mut states = Vec::new();
        for result in results.chars() {
            machine.observe(result == '+', *now);
            states.push(machine.state());
            *now = *now + machine.next_after();
        }
        states
    }

    #[test]
    fn a_death_is_confirmed_by_a_burst_and_a_return_waits_for_the_hold() {
        use State::{Down, Suspect, Up};
        let (mut machine, mut now) = (Machine::new(pace(), START), START);
        assert_eq!(run(&mut machine, &mut now, "++-"), [Up, Up, Suspect]);
        let first_failure = now - machine.next_after();
        assert_eq!(run(&mut machine, &mut now, "--"), [Suspect, Down]);
        assert_eq!(machine.since().since(first_failure), Duration::from_millis(600));
        // From 5 s on it is well, and looked at more often; at 10 s the hold is over.
        assert_eq!(run(&mut machine, &mut now, "+++++"), [Down, Down, Down, Down, Up]);
        assert_eq!(now.since(first_failure), Duration::from_millis(600 + 10_000 + 5000));
    }

    #[test]
    fn one_lost_probe_moves_nothing() {
        use State::{Suspect, Up};
        let (mut machine, mut now) = (Machine::new(pace(), START), START);
        assert_eq!(
            run(&mut machine, &mut now, "+-+-+--+"),
            [Up, Suspect, Up, Suspect, Up, Suspect, Suspect, Up]
        );
    }

    #[test]
    fn the_first_answer_decides_and_the_first_failures_are_confirmed() {
        use State::{Down, Unknown, Up};
        let (mut machine, mut now) = (Machine::new(pace(), START), START);
        assert_eq!(run(&mut machine, &mut now, "---"), [Unknown, Unknown, Down]);
        assert_eq!(machine.since().since(START), Duration::from_millis(600));
        let mut machine = Machine::new(pace(), START);
        assert_eq!(machine.observe(true, START), Some(Change { from: Unknown, to: Up }));
    }

    #[test]
    fn a_hold_begins_anew_with_every_failure() {
        let (mut machine, mut now) = (Machine::new(pace(), START), START);
        run(&mut machine, &mut now, "+---");
        for _ in 0..60 {
            machine.observe(true, now);
            assert_eq!(machine.state(), State::Down);
            now = now + Duration::from_secs(1);
            machine.observe(false, now);
            now = now + Duration::from_secs(1);
        }
        let calm = now - Duration::from_secs(1);
        while machine.state() == State::Down {
            machine.observe(true, now);
            now = now + machine.next_after();
        }
        let back = machine.since().since(calm);
        assert!(back >= pace().hold && back < pace().hold + pace().confirm_interval, "{back:?}");
    }

    #[test]
    fn a_fall_of_one_needs_no_confirmation() {
        let mut machine = Machine::new(Pace { fall: 1, ..pace() }, START);
        machine.observe(true, START);
        assert_eq!(machine.observe(false, START), Some(Change { from: State::Up, to: State::Down }));
    }

    #[test]
    fn recovery_after_the_hold_is_confirmed_by_a_burst() {
        let (mut machine, mut now) = (Machine::new(pace(), START), START);
        run(&mut machine, &mut now, "----");
        now = now + Duration::from_secs(3600);
        machine.observe(true, now);
        assert_eq!(machine.state(), State::Down);
        assert_eq!(machine.next_after(), pace().confirm_interval);
        machine.observe(true, now + machine.next_after());
        assert_eq!(machine.state(), State::Up);
    }

    #[test]
    fn a_clock_set_back_restarts_the_hold_and_no_more() {
        let (mut machine, mut now) = (Machine::new(pace(), START), START);
        run(&mut machine, &mut now, "---");
        now = START - Duration::from_secs(86_400);
        run(&mut machine, &mut now, "+++++++++");
        assert_eq!(machine.state(), State::Up);
        assert!(now.since(START - Duration::from_secs(86_400)) < Duration::from_secs(20));
    }

    #[test]
    fn flapping_is_damped_and_let_go() {
        let (mut machine, mut now) = (Machine::new(pace(), START), START);
        let mut ups = 0;
        while now.since(START) < Duration::from_secs(120) {
            // Dies at once whenever it is up, answers whenever it is down.
            let healthy = matches!(machine.state(), State::Unknown | State::Down);
            ups += usize::from(machine.observe(healthy, now).is_some_and(|change| change.to == State::Up));
            now = now + machine.next_after();
        }
        assert_eq!(ups, 4);
        assert!(machine.is_damped(now));
        assert!(!machine.is_damped(now + Duration::from_secs(170)));
    }

    #[test]
    fn silence_is_overdue_but_changes_no_verdict() {
        let (mut machine, mut now) = (Machine::new(pace(), START), START);
        run(&mut machine, &mut now, "---");
        assert!(!machine.is_overdue(machine.since() + Duration::from_secs(16)));
        assert!(machine.is_overdue(machine.since() + Duration::from_millis(16_001)));
        assert_eq!(machine.state(), State::Down);
    }

    proptest! {
        #[test]
        fn any_results_keep_the_promises(
            fall in 0u32..6,
            rise in 0u32..6,
            hold_ms in 0u64..30_000,
            results in prop::collection::vec((any::<bool>(), 0u64..8000), 1..200),
        ) {
            let pace = Pace { fall, rise, hold: Duration::from_millis(hold_ms), ..pace() };
            let mut machine = Machine::new(pace, START);
            let (mut now, mut failures, mut successes) = (START, 0, 0);
            let mut died = None;
            for (healthy, after_ms) in results {
                now = now + Duration::from_millis(after_ms);
                (failures, successes) = if healthy { (0, successes + 1) } else { (failures + 1, 0) };
                let before = machine.state();
                let change = machine.observe(healthy, now);
                prop_assert_eq!(change.is_some(), before != machine.state());
                match change.map(|change| change.to) {
                    Some(State::Down) => {
                        prop_assert!(!healthy && failures >= fall);
                        died = Some(now);
                    }
                    Some(State::Up) if before == State::Down => {
                        prop_assert!(healthy && successes >= rise);
                        prop_assert!(now.since(died.unwrap()) >= pace.hold);
                    }
                    Some(State::Suspect) => prop_assert!(before == State::Up && !healthy),
                    Some(State::Unknown) => prop_assert!(false, "nothing leads back to UNKNOWN"),
                    _ => {}
                }
                prop_assert!(failures < fall.max(1) || machine.state() == State::Down);
                prop_assert!(machine.next_after() >= pace.confirm_interval.min(pace.interval));
                prop_assert!(machine.next_after() <= pace.interval);
                let again = Machine::remembering(pace, &machine.memory(), now);
                prop_assert_eq!(again.memory(), machine.memory());
            }
        }
    }
}
