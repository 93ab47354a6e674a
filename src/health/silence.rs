//! Silent deaths: a target of which nothing comes back may be dead, or this server cut off. So its
//! death is held until somebody at another site, or a canary, has answered since.
//!
//! ```text
//! nothing came back, DOWN --+-- answered elsewhere meanwhile ----------------> believed at once
//!                           +-- nobody elsewhere could answer ---------------> believed at once
//!                           +-- held, and others are asked at once --+-- one answers --> believed
//!                                                                    +-- most leave too --> doubt
//!                                                                    +-- the window is over --> believed
//! ```
//!
//! What answers wrongly, or is refused, is heard: no such death waits. The window is that of the
//! doubt: until it is over the others have been probed too, so that either they answered or their
//! silence is a doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::board::{Board, Entry, Probe, SubjectId};
use super::{Contact, Outcome, ProbeKey, Report, Standing, State, Subject, Tick};
use crate::limits::{ASKED_ELSEWHERE, ASKED_ELSEWHERE_EVERY};

/// A silent death that was held, and isn't any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Believed {
    /// Whose.
    pub subject: Subject,
    /// How it stood before.
    pub before: Standing,
    /// Whether somebody else was heard; else the time was over.
    pub is_confirmed: bool,
}

impl Board {
    /// Silent deaths that were held, and aren't since this was asked last.
    pub fn take_believed(&mut self) -> Vec<Believed> {
        std::mem::take(&mut self.believed)
    }

    /// Whom to ask at once, since others are silent.
    pub fn take_asked(&mut self) -> Vec<ProbeKey> {
        std::mem::take(&mut self.asked)
    }

    /// When a silent death is believed, if nobody is heard before.
    #[must_use]
    pub fn next_belief(&self) -> Option<Tick> {
        self.next_belief
    }

    /// Whether a subject's silent death waits for others to be heard.
    #[must_use]
    pub fn awaits(&self, id: SubjectId) -> bool {
        self.entries.get(id.0 as usize).is_some_and(|entry| entry.awaits.is_some())
    }

    /// Takes note of what a report says of the network. Says whether a silence is to be considered
    /// anew, though no state has changed.
    pub(super) fn hear(&mut self, id: SubjectId, report: &Report, has_died: bool, now: Tick) -> bool {
        let entry = &mut self.entries[id.0 as usize];
        match (report.outcome, report.contact) {
            (Outcome::Failed, Contact::Silent) => {
                if has_died && entry.left.is_some() && !entry.is_canary && entry.is_silent() {
                    // Half of the time for which it was waited is enough for an answer to come back:
                    // who was heard later vouches for the network.
                    self.fallen_silent.push((id, now - report.latency / 2));
                }
                false
            }
            // It can be reached, and isn't well.
            (Outcome::Failed, Contact::Answered) => {
                entry.is_reached = entry.awaits.is_some();
                entry.is_reached
            }
            (Outcome::Healthy, Contact::Answered) => {
                match self.heard.get_mut(entry.place()) {
                    Some(at) => *at = now,
                    None => drop(self.heard.insert(entry.place().to_owned(), now)),
                }
                self.next_belief.is_some() && {
                    let place = self.entries[id.0 as usize].place();
                    let is_waiting_for = |entry: &Entry| {
                        entry.awaits.is_some_and(|since| since < now) && entry.place() != place
                    };
                    self.entries.iter().any(is_waiting_for)
                }
            }
            _ => false,
        }
    }

    /// Believes what was silent for long enough, or while others were heard; holds the rest.
    pub(super) fn settle_silences(&mut self, window: Duration, now: Tick) {
        for (id, since) in std::mem::take(&mut self.fallen_silent) {
            let entry = &self.entries[id.0 as usize];
            let waits = entry.may_wait(window, now)
                && !self.is_heard_elsewhere(entry, since)
                && self.entries.iter().any(|other| other.place() != entry.place() && other.may_answer());
            if waits {
                self.entries[id.0 as usize].awaits = Some(since);
            }
        }
        self.next_belief = None;
        for at in 0..self.entries.len() {
            let entry = &self.entries[at];
            let Some(since) = entry.awaits else { continue };
            let is_heard = entry.is_reached || self.is_heard_elsewhere(entry, since);
            if !is_heard && entry.may_wait(window, now) {
                let end = entry.left.map(|left| left + window);
                self.next_belief = self.next_belief.into_iter().chain(end).min();
                continue;
            }
            let before = self.held(entry, entry.standing(now));
            let entry = &mut self.entries[at];
            (entry.awaits, entry.is_reached) = (None, false);
            let entry = &self.entries[at];
            if self.held(entry, entry.standing(now)) != before {
                let subject = entry.subject.clone();
                self.believed.push(Believed { subject, before, is_confirmed: is_heard });
            }
        }
        if self.next_belief.is_some() {
            self.ask_elsewhere(now);
        }
    }

    /// Whether somebody at another site has answered after a moment.
    fn is_heard_elsewhere(&self, entry: &Entry, since: Tick) -> bool {
        self.heard.iter().any(|(place, at)| *at > since && place != entry.place())
    }

    /// Has one of each of a few other sites asked, canaries first.
    fn ask_elsewhere(&mut self, now: Tick) {
        let waiting: BTreeSet<&str> =
            self.entries.iter().filter(|entry| entry.awaits.is_some()).map(Entry::place).collect();
        let mut others: BTreeMap<(bool, &str), (usize, ProbeKey)> = BTreeMap::new();
        for (at, entry) in self.entries.iter().enumerate().filter(|(_, entry)| entry.state == State::Up) {
            let place = (!entry.is_canary, entry.place());
            let is_elsewhere = waiting.len() > 1 || !waiting.contains(entry.place());
            if !is_elsewhere || others.contains_key(&place) {
                continue;
            }
            let Some(probe) = entry.probes.iter().find(|probe| probe.is_remote()) else { continue };
            let key = ProbeKey { subject: entry.subject.clone(), probe: probe.name.clone() };
            others.insert(place, (at, key));
        }
        let others: Vec<_> = others.into_values().take(ASKED_ELSEWHERE).collect();
        for (at, key) in others {
            let entry = &mut self.entries[at];
            if entry.asked.is_none_or(|asked| now.since(asked) >= ASKED_ELSEWHERE_EVERY) {
                entry.asked = Some(now);
                self.asked.push(key);
            }
        }
    }
}

impl Entry {
    /// Its site; one without a site stands alone.
    pub(super) fn place(&self) -> &str {
        if self.site.is_empty() { &self.subject.target } else { &self.site }
    }

    /// Whether all of its probes that are DOWN had no answer at all last.
    fn is_silent(&self) -> bool {
        let mut dead = self.probes.iter().filter(|probe| probe.machine.state() == State::Down).peekable();
        dead.peek().is_some() && dead.all(|probe| probe.contact() == Some(Contact::Silent))
    }

    /// Whether its death could still wait for others.
    fn may_wait(&self, window: Duration, now: Tick) -> bool {
        self.state == State::Down && self.left.is_some_and(|left| now < left + window)
    }

    /// Whether it could be heard over the network, unless that is what is broken.
    fn may_answer(&self) -> bool {
        let is_alive = matches!(self.state, State::Up | State::Suspect) || self.awaits.is_some();
        is_alive && self.probes.iter().any(Probe::is_remote)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Desired, Need, Pace, Watched};
    use super::*;
    use crate::route::model::Family;
    use crate::wire::name::Name;

    const START: Tick = Tick(1_700_000_000_000);
    const TIMEOUT: Duration = Duration::from_secs(1);
    /// That of a pace's interval, and a second.
    const WINDOW: Duration = Duration::from_secs(6);

    fn key(target: &str) -> ProbeKey {
        let subject = Subject { zone: Name::root(), target: target.to_owned(), family: Family::V4 };
        ProbeKey { subject, probe: "p".to_owned() }
    }

    /// `web@tw`, a canary without a site. All are UP.
    fn board(targets: &[&str]) -> Board {
        let mut board = Board::default();
        let watched = targets.iter().map(|text| {
            let (target, site) = text.split_once('@').unwrap_or((text, ""));
            Watched {
                subject: key(target).subject,
                desired: Desired::Auto,
                said: None,
                site: site.to_owned(),
                is_canary: site.is_empty(),
                need: Need::All,
                assume_up: true,
                probes: vec![("p".to_owned(), Pace::default())],
                needs: Vec::new(),
            }
        });
        board.configure(watched.collect(), START - Duration::from_secs(10));
        for text in targets {
            let target = text.split('@').next().unwrap_or_default();
            hear(&mut board, target, Outcome::Healthy, Contact::Answered, START - Duration::from_secs(10));
        }
        board
    }

    fn hear(board: &mut Board, target: &str, outcome: Outcome, contact: Contact, now: Tick) {
        let latency = if contact == Contact::Silent { TIMEOUT } else { Duration::ZERO };
        let report = Report { outcome, contact, latency, evidence: String::new(), figures: Vec::new() };
        let observed = board.observe(&key(target), &report, now).unwrap();
        if observed.transition.is_some() || observed.is_heard {
            board.reconsider(now);
        }
    }

    fn dies(board: &mut Board, target: &str, contact: Contact, now: Tick) {
        for _ in 0..Pace::default().fall {
            hear(board, target, Outcome::Failed, contact, now);
        }
    }

    fn is_served(board: &Board, target: &str) -> bool {
        board.standing(&key(target).subject, START).is_eligible()
    }

    fn asked(board: &mut Board) -> Vec<String> {
        board.take_asked().into_iter().map(|key| key.subject.target).collect()
    }

    #[test]
    fn a_silent_death_waits_until_another_site_has_answered() {
        let mut board = board(&["web@tw", "imap@tw", "web-my@my", "imap-my@my"]);
        dies(&mut board, "web", Contact::Silent, START);
        assert!(is_served(&board, "web"));
        assert_eq!(asked(&mut board), ["imap-my"], "one of each other site");
        // That its own site answers says little: this server may stand there.
        let now = START + Duration::from_millis(5);
        hear(&mut board, "imap", Outcome::Healthy, Contact::Answered, now);
        assert!(is_served(&board, "web"));
        assert_eq!(board.take_believed(), []);
        hear(&mut board, "imap-my", Outcome::Healthy, Contact::Answered, now);
        assert!(!is_served(&board, "web"));
        let believed = board.take_believed();
        assert_eq!((believed.len(), believed[0].is_confirmed), (1, true));
        assert_eq!((believed[0].before.state, board.next_belief()), (State::Suspect, None));
    }

    #[test]
    fn who_was_heard_while_it_was_silent_vouches_ahead() {
        for (before_ms, is_believed) in [(400, true), (600, false)] {
            let mut board = board(&["web@tw", "web-my@my"]);
            let then = START - Duration::from_millis(before_ms);
            hear(&mut board, "web-my", Outcome::Healthy, Contact::Answered, then);
            dies(&mut board, "web", Contact::Silent, START);
            assert_eq!(is_served(&board, "web"), !is_believed, "{before_ms}");
        }
    }

    #[test]
    fn a_death_that_was_told_doesnt_wait() {
        for contact in [Contact::Answered, Contact::Local] {
            let mut board = board(&["web@tw", "web-my@my"]);
            dies(&mut board, "web", contact, START);
            assert!(!is_served(&board, "web"));
            assert_eq!(asked(&mut board), [""; 0]);
        }
        // Nor one that is told while it waits.
        let mut board = board(&["web@tw", "web-my@my"]);
        dies(&mut board, "web", Contact::Silent, START);
        assert!(is_served(&board, "web"));
        hear(&mut board, "web", Outcome::Failed, Contact::Answered, START + TIMEOUT);
        assert!(!is_served(&board, "web"));
    }

    #[test]
    fn with_nobody_elsewhere_to_ask_nothing_waits() {
        let mut board = board(&["web@tw", "imap@tw"]);
        dies(&mut board, "web", Contact::Silent, START);
        assert!(!is_served(&board, "web"));
        // What is dead already can't say anything.
        let mut board = self::board(&["web@tw", "web-my@my"]);
        dies(&mut board, "web-my", Contact::Answered, START - WINDOW);
        dies(&mut board, "web", Contact::Silent, START);
        assert!(!is_served(&board, "web"));
    }

    #[test]
    fn a_canary_is_asked_first_and_vouches() {
        let mut board = board(&["uplink", "web@tw", "a@s1", "b@s2", "c@s3", "d@s4"]);
        dies(&mut board, "web", Contact::Silent, START);
        assert_eq!(asked(&mut board), ["uplink", "a", "b", "c"]);
        hear(&mut board, "uplink", Outcome::Healthy, Contact::Answered, START + Duration::from_millis(5));
        assert!(!is_served(&board, "web"));
    }

    #[test]
    fn a_silence_of_all_is_a_doubt_and_one_of_two_is_believed_in_the_end() {
        let mut board = board(&["web@tw", "imap@tw", "web-my@my", "imap-my@my"]);
        let mut now = START;
        for target in ["web", "imap-my", "web-my", "imap"] {
            dies(&mut board, target, Contact::Silent, now);
            assert!(is_served(&board, "web") && is_served(&board, target), "{target}");
            now = now + TIMEOUT;
        }
        assert!(board.doubt().is_some());
        board.reconsider(now + WINDOW);
        assert_eq!((board.next_belief(), board.take_believed()), (None, vec![]), "the doubt holds them");
        assert!(is_served(&board, "web"));

        let mut board = self::board(&["web@tw", "web-my@my"]);
        dies(&mut board, "web", Contact::Silent, START);
        let end = board.next_belief().unwrap();
        assert_eq!(end, START + WINDOW);
        board.reconsider(end - Duration::from_millis(1));
        assert!(is_served(&board, "web"));
        board.reconsider(end);
        assert!(!is_served(&board, "web"));
        assert!(!board.take_believed()[0].is_confirmed);
    }

    #[test]
    fn nobody_is_asked_again_and_again() {
        let mut board = board(&["a@tw", "b@tw", "c@tw", "web-my@my"]);
        dies(&mut board, "a", Contact::Silent, START);
        assert_eq!(asked(&mut board), ["web-my"]);
        dies(&mut board, "b", Contact::Silent, START + Duration::from_millis(10));
        assert_eq!(asked(&mut board), [""; 0]);
        dies(&mut board, "c", Contact::Silent, START + ASKED_ELSEWHERE_EVERY);
        assert_eq!(asked(&mut board), ["web-my"]);
    }

    #[test]
    fn a_restart_goes_on_waiting() {
        let mut before = board(&["web@tw", "web-my@my"]);
        dies(&mut before, "web", Contact::Silent, START);
        let saved = serde_json::to_string(&before.save()).unwrap();
        let later = START + TIMEOUT;
        let mut after = board(&["web@tw", "web-my@my"]);
        after.restore(&serde_json::from_str(&saved).unwrap(), later);
        assert!(is_served(&after, "web"));
        assert_eq!(after.next_belief(), Some(START + WINDOW));
        hear(&mut after, "web-my", Outcome::Healthy, Contact::Answered, later);
        assert!(!is_served(&after, "web"));
        // Who was away for longer has nothing to wait for.
        let mut after = board(&["web@tw", "web-my@my"]);
        after.restore(&serde_json::from_str(&saved).unwrap(), START + WINDOW);
        assert!(!is_served(&after, "web"));
    }
}
