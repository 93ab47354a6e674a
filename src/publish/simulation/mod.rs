//! Deterministic simulation: the writer in virtual time, with everything going wrong that can.
//!
//! ```text
//! files     random configurations and changes    server   the writer, without sockets
//! windows   when the clock drains sites          restarts from its disk
//! faults    what goes wrong, and when            operator orders, and what comes of them
//! tellers   who tells how targets are            random   chance by seed
//!
//! history   what verdicts may do                 answers  what answers must be
//! doubts    when verdicts may be held            decoded  answers, read back
//! silences  which deaths may wait for others
//! words     what others told that may hold       orders   what operators have said
//! names     addresses that were found            burdens  which orders must be refused
//! cases     what was found, as small as it is
//! ```
//!
//! Each run leaves some kinds of fault out, so that rare mixes appear (swarm testing). All chance
//! comes from the run's seed:
//!
//! ```text
//! cargo test simulation                 a thousand seeds
//! SEED=4711 cargo test simulation       one, with what happened and the files
//! SEEDS=100000..200000 cargo test simulation
//! ```

mod answers;
mod burdens;
mod cases;
mod decoded;
mod doubts;
mod faults;
mod files;
mod history;
mod names;
mod operator;
mod orders;
mod random;
mod restarts;
mod server;
mod silences;
mod tellers;
mod windows;
mod words;

use std::collections::VecDeque;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use answers::{Answers, Examiner, Scene};
use doubts::Doubts;
use faults::{Fault, Faults};
use files::{Files, NAMES};
use history::History;
use names::Names;
use orders::{Given, Sayings, whole_name};
use random::Random;
use server::{Disk, Server, Texts};
use silences::Silences;
use tellers::Tellers;
use words::Words;

use crate::health::{Contact, Outcome, Pace, ProbeKey, Report, State, Tick};
use crate::probe::Check;
use crate::publish::hand::Wish;
use crate::resolve::Found;
use crate::snapshot::Snapshot;
use crate::wire::name::Name;

/// Seeds of a usual run.
const SEEDS: Range<u64> = 0..1000;

/// What a run remembers for its report.
const TOLD: usize = 60;

/// Where the clock begins.
const START_MS: u64 = 1_700_000_000_000;

/// The longest of `files`.
const LONGEST_FAILBACK: Duration = Duration::from_secs(15);

/// Steps after which all is checked though nothing seems to have changed.
const SOMETIMES: u64 = 50;

/// An event that is due at once or nearly so is not yet a broken promise.
const SOON: Duration = Duration::from_millis(2);

#[test]
fn every_answer_keeps_its_promises_whatever_fails() {
    if let Ok(seed) = std::env::var("SEED") {
        let seed = seed.parse().expect("SEED is a number");
        return Simulation::run(seed, true).unwrap_or_else(|story| panic!("{story}"));
    }
    let seeds = std::env::var("SEEDS").map_or(SEEDS, |seeds| {
        let (first, end) = seeds.split_once("..").expect("SEEDS is a range: 0..1000");
        first.parse().expect("a number")..end.parse().expect("a number")
    });
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(8)) as u64;
    std::thread::scope(|scope| {
        let one = |nth: u64| seeds.clone().skip(nth as usize).step_by(threads as usize);
        let runs: Vec<_> = (0..threads)
            .map(one)
            .map(|mut seeds| scope.spawn(move || seeds.find(|seed| Simulation::run(*seed, false).is_err())))
            .collect();
        let failed = runs.into_iter().filter_map(|run| run.join().expect("a run ends")).min();
        if let Some(seed) = failed {
            let story = Simulation::run(seed, true).expect_err("the same seed fails again");
            panic!("{story}");
        }
    });
}

struct Simulation {
    random: Random,
    /// By the clock that nobody sets.
    at: Duration,
    /// What the clock shows beyond that, in milliseconds.
    set_by: i64,
    files: Files,
    server: Server,
    /// When the writer wakes by itself.
    due: Duration,
    faults: Faults,
    history: History,
    orders: Given,
    tellers: Tellers,
    words: Words,
    names: Names,
    doubts: Doubts,
    silences: Silences,
    examiner: Examiner,
    /// When the server would have believed a silence, when that was looked at last.
    belief: Option<Tick>,
    /// What was checked last: nothing new, nothing to check.
    seen: Option<Arc<Snapshot>>,
    steps: u64,
    story: Option<VecDeque<String>>,
}

impl Simulation {
    /// One run. With an error comes what was wrong, and what happened before if it was asked for.
    fn run(seed: u64, is_told: bool) -> Result<(), String> {
        let mut random = Random::new(seed);
        let now = Tick(START_MS);
        let (files, server) = loop {
            let files = Files::random(&mut random);
            if let Some(server) = Server::start(&files.texts(), Disk::default(), Duration::ZERO, now) {
                break (files, server);
            }
        };
        let mut simulation = Simulation {
            faults: Faults::random(&mut random),
            random,
            at: Duration::ZERO,
            set_by: 0,
            files,
            server,
            due: Duration::ZERO,
            history: History::default(),
            orders: Given::default(),
            tellers: Tellers::default(),
            words: Words::default(),
            names: Names::default(),
            doubts: Doubts::default(),
            silences: Silences::default(),
            examiner: Examiner::default(),
            belief: None,
            seen: None,
            steps: 0,
            story: is_told.then(VecDeque::new),
        };
        let result = simulation.all();
        result.map_err(|error| simulation.report(seed, &error))
    }

    fn all(&mut self) -> Result<(), String> {
        self.look(None)?;
        let end = Duration::from_secs(self.random.between(20..=80));
        while self.at < end {
            self.step(true)?;
        }
        self.calm_down()?;
        Ok(())
    }

    fn now(&self) -> Tick {
        Tick((START_MS + self.at.as_millis() as u64).saturating_add_signed(self.set_by))
    }

    fn tell(&mut self, text: impl FnOnce() -> String) {
        let Some(story) = &mut self.story else { return };
        if story.len() == TOLD {
            story.pop_front();
        }
        story.push_back(format!("{:9.3} {}", self.at.as_secs_f64(), text()));
    }

    fn report(&self, seed: u64, error: &str) -> String {
        let mut report = format!("SEED={seed} after {} steps, {:?}: {error}\n", self.steps, self.at);
        if let Some(story) = &self.story {
            let _ = writeln!(report, "faults: {:?}", self.faults);
            for line in story {
                let _ = writeln!(report, "{line}");
            }
            let Texts { server, zones, .. } = self.files.texts();
            let _ = write!(report, "\nwaypost.toml:\n{server}");
            for (apex, [_, routes]) in zones {
                let _ = write!(report, "\n{apex}.toml:\n{routes}");
            }
        }
        report
    }

    /// Goes on to whatever happens next.
    fn step(&mut self, with_faults: bool) -> Result<(), String> {
        self.steps += 1;
        let probe = self.server.jobs.iter().map(|(key, running)| (running.next, key)).min();
        let (next_probe, key) = probe.map_or((Duration::MAX, None), |(at, key)| (at, Some(key.clone())));
        let next_fault = if with_faults { self.faults.next() } else { Duration::MAX };
        let next = next_probe.min(next_fault).min(self.due).min(self.tellers.next());
        // The server's clock has milliseconds.
        self.at = self.at.max(Duration::from_millis(next.as_micros().div_ceil(1000) as u64));
        if next == self.due {
            let now = self.now();
            self.server.due(self.at, now);
            if self.has_believed() {
                return self.look(None);
            }
            // An order may be over, and with it what others need, with no result to show it.
            self.history.look(&self.server.writer.status().board(), now, self.at)?;
            self.look_at_answers(false)?;
            if self.due > self.at + SOON { self.look_at_doubt() } else { Ok(()) }
        } else if next == self.tellers.next() {
            self.beat()
        } else if next == next_fault {
            let fault = self.faults.begin(self.at, &mut self.random);
            self.suffer(fault)
        } else {
            self.probe(&key.ok_or("nothing happens any more")?)
        }
    }

    fn probe(&mut self, key: &ProbeKey) -> Result<(), String> {
        self.server.await_next(key, self.at, &mut self.random);
        let Some(running) = self.server.jobs.get(key) else { return Ok(()) };
        let (address, pace) = (running.job.address, running.job.spec.pace);
        let is_local = matches!(running.job.spec.check, Check::Push(_) | Check::File(_));
        let Some(outcome) = self.faults.result(address, self.at, &mut self.random) else { return Ok(()) };
        let now = self.now();
        if key.subject.zone.is_root() && outcome != Outcome::Blocked {
            self.doubts.heard(&key.subject, now);
        }
        let outcome = self.server.hear(key, self.at, now).unwrap_or(outcome);
        self.check_words(key, outcome)?;
        self.tell(|| format!("{} {} {address}: {outcome:?}", key.subject.target, key.probe));
        let contact = match (is_local, outcome) {
            (true, _) => Contact::Local,
            (false, Outcome::Failed) => self.faults.contact(address, self.at),
            (false, _) => Contact::Answered,
        };
        let is_silent = contact == Contact::Silent;
        let report = Report {
            outcome,
            contact,
            latency: if is_silent { pace.timeout } else { Duration::from_millis(3) },
            evidence: "seen".to_owned(),
            figures: Vec::new(),
        };
        self.history.report(key, outcome);
        self.server.report(key, &report, self.at, now);
        self.silences.report(key, &report, &self.server.writer.status().board(), now);
        self.look(Some((key, pace, &report)))
    }

    fn suffer(&mut self, fault: Fault) -> Result<(), String> {
        self.tell(|| format!("--- {fault:?}"));
        let now = self.now();
        match fault {
            // These are what probes see from now on.
            Fault::SiteDies
            | Fault::AddressDies
            | Fault::Flaps
            | Fault::Noise
            | Fault::Blocked
            | Fault::Silence
            | Fault::Hush
            | Fault::Canaries
            | Fault::Uplink => Ok(()),
            Fault::Word => {
                self.tell_something()?;
                // Whoever told goes down, and the server with it.
                if self.faults.has(Fault::Hush) && self.random.chance(25) {
                    self.faults.hush(self.at, &mut self.random);
                    return if self.faults.has(Fault::Restart) { self.restart() } else { Ok(()) };
                }
                Ok(())
            }
            Fault::Alert => self.change_alerts(),
            Fault::Reload => {
                let files = self.files.changed(&mut self.random);
                self.reload(files)
            }
            Fault::Window => {
                self.files = self.files.replanned(now, &mut self.random);
                self.server.reload_server(&self.files.texts(), self.at, now);
                self.doubts.judged(now);
                self.look(None)
            }
            Fault::Restart => self.restart(),
            Fault::Release => self.release(),
            Fault::Order => self.order(),
            Fault::TakeBack => self.take_back(),
            Fault::Accept => self.accept(),
            Fault::Away => {
                self.go_away()?;
                // It crashes again before it has done anything.
                if self.random.chance(30) { self.go_away() } else { Ok(()) }
            }
            Fault::ClockForward => {
                self.set_by += self.random.between(1..=7_200_000) as i64;
                self.history.clock_set_forward();
                self.words.clock_set_forward(self.at);
                // Whoever sleeps wakes by the clock that nobody sets.
                Ok(())
            }
            Fault::ClockBack => {
                if self.faults.has(Fault::Hush) && self.random.chance(30) {
                    self.faults.hush(self.at, &mut self.random);
                }
                // The server looks at its clock around the jump, so that it knows exactly how far.
                self.server.due(self.at, now);
                self.words.clock_set_back(self.at);
                let by = self.random.between(10_000..=7_200_000);
                self.set_by -= by as i64;
                self.orders.set_back(Duration::from_millis(by));
                self.doubts.set_back(Duration::from_millis(by));
                self.silences.set_back(Duration::from_millis(by));
                let now = self.now();
                self.server.due(self.at, now);
                self.look(None)
            }
            Fault::Names => (0..self.random.between(1..=3)).try_for_each(|_| self.resolve()),
        }
    }

    fn reload(&mut self, files: Files) -> Result<(), String> {
        let now = self.now();
        self.server.reload(&self.files.texts(), &files.texts(), self.at, now);
        self.doubts.judged(now);
        self.files = files;
        self.look(None)
    }

    /// A host name has other addresses, or doesn't resolve.
    fn resolve(&mut self) -> Result<(), String> {
        let name = Name::parse(self.random.pick(&NAMES), Some(&Name::root())).expect("a name");
        if !self.server.names.contains(&name) {
            return Ok(());
        }
        let resolution = names::resolution(&mut self.random);
        let found = Found { name, resolution };
        self.tell(|| format!("{found:?}"));
        let now = self.now();
        self.names.found(&found);
        self.server.found(&found, self.at, now);
        self.look(None)
    }

    /// All faults end. Within the time that holds, damping and failbacks take, every answer is
    /// the first of its chain; who must be released waits, and is then back too.
    fn calm_down(&mut self) -> Result<(), String> {
        self.faults.end();
        self.tell(|| "--- all faults end".to_owned());
        for whom in self.orders.whom().cloned().collect::<Vec<_>>() {
            self.orders.take_back(&whom);
            let now = self.now();
            let _ = self.server.wish(&whom, Wish::TakeBack, true, self.at, now);
            // Between two of them others may be without what they need.
            self.look(None)?;
        }
        self.reload(self.files.calmed())?;
        self.resolve_alerts()?;
        let longest = |time: fn(&Pace) -> Duration| {
            self.server.jobs.values().map(|running| time(&running.job.spec.pace)).max().unwrap_or_default()
        };
        let (interval, hold) = (longest(|pace| pace.interval), longest(|pace| pace.hold));
        let is_damped = |server: &Server| {
            let now = self.now();
            server.writer.status().board().rows(now).any(|row| row.probes.iter().any(|probe| probe.damped))
        };
        let damping = if is_damped(&self.server) { Duration::from_secs(170) } else { Duration::ZERO };
        let end = self.at + interval * 3 + hold.max(damping) + LONGEST_FAILBACK + Duration::from_secs(5);
        while self.at < end {
            self.step(false)?;
        }
        let waiting = self.history.waiting.iter().filter(|subject| !subject.zone.is_root());
        let waiting: Vec<_> = waiting.cloned().collect();
        self.all_are_back(false)?;
        for subject in waiting {
            self.history.release(&subject.zone, &subject.target);
            let now = self.now();
            let whom = whole_name(&subject.zone, &subject.target);
            let _ = self.server.wish(&whom, Wish::Failback, true, self.at, now);
        }
        self.look(None)?;
        self.all_are_back(true)
    }

    /// Whether every probed target is eligible; all others' answers follow from that, since each
    /// is checked to be the best of its chain.
    fn all_are_back(&self, is_released: bool) -> Result<(), String> {
        let now = self.now();
        let status = self.server.writer.status();
        for row in status.board().rows(now).filter(|row| !row.probes.is_empty()) {
            let standing = row.standing;
            let waits = standing.recovered.is_some_and(|at| now < at + LONGEST_FAILBACK);
            // A canary has no clients that it could have back.
            let is_kept = is_released && standing.recovered.is_some() && !row.is_canary;
            if standing.state != State::Up || waits || is_kept {
                return Err(format!(
                    "{} isn't back at {now:?} when all faults are over: {standing:?}",
                    row.subject.target
                ));
            }
        }
        Ok(())
    }

    /// Checks everything that may have changed.
    fn look(&mut self, reported: Option<(&ProbeKey, Pace, &Report)>) -> Result<(), String> {
        let now = self.now();
        let mut is_new = true;
        let is_canary = reported.is_some_and(|(key, ..)| key.subject.zone.is_root());
        let window = self.window();
        {
            let board = self.server.writer.status().board();
            if let Some((key, pace, _)) = reported {
                let Some(row) = board.rows(now).find(|row| *row.subject == key.subject) else {
                    return Err(format!("{} isn't watched", key.subject.target));
                };
                let before = self.history.state(&key.subject);
                self.history.look_at(&row, Some((key, pace)), self.at)?;
                // Whoever was heard may have had another's silence believed.
                is_new = before != Some(row.standing.state) || self.has_believed();
                if is_new || is_canary {
                    self.doubts.judged(now);
                }
            }
            if is_new {
                // Others may need it.
                self.history.look(&board, now, self.at)?;
                self.doubts.follow(&board, now);
            }
            self.belief = board.next_belief();
            if is_new || self.belief.is_some() {
                let reported = reported.map(|(key, _, report)| (key, report));
                let is_due = self.server.writer.next_due(now) <= SOON;
                self.silences.check(&board, reported, &self.doubts, (window, now, is_due))?;
            }
        }
        if reported.is_none() {
            self.words.follow(&self.server.jobs, self.at);
            self.names.follow(&self.server.names);
        }
        self.look_at_answers(is_new)?;
        if (is_new || is_canary) && self.due > self.at + SOON { self.look_at_doubt() } else { Ok(()) }
    }

    /// Whether a silence may have been believed since that was looked at last.
    fn has_believed(&self) -> bool {
        self.belief.is_some() && self.belief != self.server.writer.status().board().next_belief()
    }

    fn look_at_doubt(&mut self) -> Result<(), String> {
        let now = self.now();
        let together = self.window();
        let said = Sayings { orders: &self.orders, windows: &self.files.windows, good: &self.server.good };
        self.doubts.check(&self.server.writer.status().board(), said, together, now)
    }

    /// Within which departures are together.
    fn window(&self) -> Duration {
        let intervals = self.server.jobs.values().map(|running| running.job.spec.pace.interval);
        intervals.max().unwrap_or_default() + Duration::from_secs(1)
    }

    /// Checks all answers if something is new, and from time to time.
    fn look_at_answers(&mut self, mut is_new: bool) -> Result<(), String> {
        self.due = self.at + self.server.writer.next_due(self.now());
        let snapshot = self.server.writer.published().load_full();
        is_new |= self.seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, &snapshot));
        if !is_new && !self.steps.is_multiple_of(SOMETIMES) {
            return Ok(());
        }
        // Where time alone has something to do, that is done next.
        self.seen = None;
        if self.due > self.at + SOON {
            self.answers()?;
            self.seen = Some(snapshot);
        }
        Ok(())
    }

    fn said(&self) -> Sayings<'_> {
        Sayings { orders: &self.orders, windows: &self.files.windows, good: &self.server.good }
    }

    fn answers(&mut self) -> Result<Answers, String> {
        let now = self.now();
        let writer = &self.server.writer;
        let scene = Scene {
            model: &writer.status().model(),
            board: &writer.status().board(),
            snapshot: &writer.published().load_full(),
            waiting: &self.history.waiting,
            names: &self.names,
            said: Sayings { orders: &self.orders, windows: &self.files.windows, good: &self.server.good },
            now,
        };
        self.examiner.check(&scene)
    }
}
