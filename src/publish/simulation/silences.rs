//! Silent deaths, reckoned apart from the server: who may wait to be believed, who must, and for how
//! long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::SOON;
use super::doubts::Doubts;
use crate::health::{Board, Contact, Outcome, ProbeKey, Report, Row, State, Subject, Tick};

#[derive(Default)]
pub(super) struct Silences {
    /// What each probe's last result said of the network, since the server's start.
    last: BTreeMap<ProbeKey, Contact>,
    /// When somebody of each site was heard last, since then.
    heard: BTreeMap<String, Tick>,
    /// Who was dead at the last look.
    dead: BTreeSet<Subject>,
    /// Who died silently: after which moment somebody else must be heard.
    silent: BTreeMap<Subject, Tick>,
    /// Who died silently, and was refused or answered wrongly since.
    reached: BTreeSet<Subject>,
}

impl Silences {
    /// A result came in.
    pub(super) fn report(&mut self, key: &ProbeKey, report: &Report, board: &Board, now: Tick) {
        if report.outcome == Outcome::Blocked {
            return;
        }
        self.last.insert(key.clone(), report.contact);
        if report.contact != Contact::Answered {
            return;
        }
        let row = board.rows(now).find(|row| *row.subject == key.subject);
        match (report.outcome, row) {
            (Outcome::Healthy, Some(row)) => drop(self.heard.insert(place(&row).to_owned(), now)),
            (Outcome::Failed, _) => drop(self.reached.insert(key.subject.clone())),
            _ => {}
        }
    }

    pub(super) fn restart(&mut self) {
        self.last.clear();
        self.heard.clear();
    }

    pub(super) fn set_back(&mut self, by: Duration) {
        self.heard.values_mut().chain(self.silent.values_mut()).for_each(|at| *at = *at - by);
    }

    /// Whether who waits may, and whether who just died by a result must. What is due is done next.
    pub(super) fn check(
        &mut self,
        board: &Board,
        reported: Option<(&ProbeKey, &Report)>,
        doubts: &Doubts,
        (window, now, is_due): (Duration, Tick, bool),
    ) -> Result<(), String> {
        let rows: Vec<Row<'_>> = board.rows(now).collect();
        let places: BTreeSet<&str> = rows.iter().map(place).collect();
        self.heard.retain(|place, _| places.contains(place.as_str()));
        let dead = |row: &&Row<'_>| row.standing.state == State::Down;
        let now_dead: BTreeSet<Subject> = rows.iter().filter(dead).map(|row| row.subject.clone()).collect();
        let before = std::mem::replace(&mut self.dead, now_dead);
        if let Some((key, report)) = reported
            && let Some(row) = rows.iter().find(|row| *row.subject == key.subject)
            && dead(&row)
            && !before.contains(row.subject)
        {
            self.silent.remove(row.subject);
            self.reached.remove(row.subject);
            let is_silent = report.contact == Contact::Silent && !row.is_canary && self.is_silent(row);
            if let Some(left) = doubts.left(row.subject).filter(|_| is_silent) {
                let since = now - report.latency / 2;
                self.silent.insert(row.subject.clone(), since);
                let must_wait = !doubts.is_unsure()
                    && now < left + window
                    && !self.is_heard_elsewhere(row, since)
                    && rows.iter().any(|other| self.may_answer(other) && place(other) != place(row));
                if must_wait && !row.awaits {
                    return Err(format!("the silence of {} is believed at once", row.subject.target));
                }
            }
        }
        rows.iter().filter(|row| row.awaits).try_for_each(|row| {
            self.may_wait(row, doubts, (window, now, is_due)).map_err(|error| {
                format!(
                    "the silence of {} {:?} isn't believed: {error}",
                    row.subject.target, row.subject.family
                )
            })
        })
    }

    fn may_wait(
        &self,
        row: &Row<'_>,
        doubts: &Doubts,
        (window, now, is_due): (Duration, Tick, bool),
    ) -> Result<(), String> {
        let since = *self.silent.get(row.subject).ok_or("it didn't die so")?;
        if row.standing.state != State::Down {
            return Err(format!("it is {}", row.standing.state));
        }
        if self.reached.contains(row.subject) {
            return Err("it was refused, or answered wrongly".to_owned());
        }
        if self.is_heard_elsewhere(row, since) {
            return Err("others were heard".to_owned());
        }
        // When it left isn't known where the clock was set while nobody was there.
        let is_over = doubts.left(row.subject).is_none_or(|left| now >= left + window + SOON);
        if is_over && !is_due && !doubts.is_unsure() { Err("its time is over".to_owned()) } else { Ok(()) }
    }

    fn is_heard_elsewhere(&self, row: &Row<'_>, since: Tick) -> bool {
        self.heard.iter().any(|(other, at)| *at > since && other != place(row))
    }

    /// Whether nothing came back last from all probes that say that it is dead.
    fn is_silent(&self, row: &Row<'_>) -> bool {
        let mut dead = row.probes.iter().filter(|probe| probe.state == State::Down);
        dead.all(|probe| self.contact(row, probe.probe) == Some(Contact::Silent))
    }

    /// Whether it is taken for alive, and asked over the network.
    fn may_answer(&self, row: &Row<'_>) -> bool {
        let is_remote = |contact| matches!(contact, Some(Contact::Answered | Contact::Silent));
        matches!(row.standing.state, State::Up | State::Suspect)
            && row.probes.iter().any(|probe| is_remote(self.contact(row, probe.probe)))
    }

    fn contact(&self, row: &Row<'_>, probe: &str) -> Option<Contact> {
        self.last.get(&ProbeKey { subject: row.subject.clone(), probe: probe.to_owned() }).copied()
    }
}

/// Its site; one without a site stands alone.
fn place<'r>(row: &Row<'r>) -> &'r str {
    if row.site.is_empty() { &row.subject.target } else { row.site }
}
