//! What a target needs to be of use: webmail is nothing without its mail store.
//!
//! ```text
//! webmail-tw needs imap-tw        imap-tw can't be served -> neither can webmail-tw
//! ```
//!
//! A need is met while one address of what it names may be served. Loading refuses circles, and
//! chains longer than [`limits::NEEDS_DEPTH`](crate::limits::NEEDS_DEPTH).

use super::board::{Board, SubjectId};
use super::{Desired, Standing, Subject, Tick};

/// How the needs of a subject stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Met {
    /// The first that isn't met, by its place.
    pub(super) lacks: Option<u16>,
    /// Whether that is so because probes found something dead: what comes back then has recovered.
    /// What an operator took out and put back hasn't.
    pub(super) lacks_by_probes: bool,
    /// Whether one rests on something whose failure is being confirmed.
    pub(super) is_shaky: bool,
}

/// The needs of a subject stand differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedNews {
    /// Whose.
    pub subject: Subject,
    /// Which wasn't met, by its place among its target's needs.
    pub lacked: Option<u16>,
    /// Which isn't met now.
    pub lacks: Option<u16>,
    /// Whether that is so because of what probes found.
    pub is_by_probes: bool,
    /// How it stood before.
    pub before: Standing,
}

impl Board {
    /// Whose needs came to be met, or no longer are, since this was asked last.
    pub fn take_need_news(&mut self) -> Vec<NeedNews> {
        std::mem::take(&mut self.news)
    }

    /// Finds the subjects of what each entry needs. What isn't watched has nothing against it.
    pub(super) fn look_up_needs(&mut self, named: &[Vec<Vec<String>>]) {
        for (at, needs) in named.iter().enumerate() {
            let zone = self.entries[at].subject.zone.clone();
            let subjects = |targets: &Vec<String>| -> Vec<SubjectId> {
                let of_zone = self.index.get(&zone);
                let watched = targets.iter().filter_map(|target| of_zone?.get(target));
                watched.flatten().flatten().copied().collect()
            };
            self.entries[at].needs = needs.iter().map(subjects).collect();
        }
    }

    /// Makes what follows from needs follow.
    pub(super) fn settle_needs(&mut self, now: Tick) {
        let mut known = vec![None; self.entries.len()];
        for at in 0..self.entries.len() {
            if self.entries[at].needs.is_empty() && self.entries[at].met == Met::default() {
                continue;
            }
            let met = self.met(at, &mut known, now);
            let entry = &mut self.entries[at];
            if entry.met == met {
                continue;
            }
            let before = entry.standing(now);
            let was_out = entry.is_out_by_probes();
            let old = std::mem::replace(&mut entry.met, met);
            let is_by_probes = old.lacks_by_probes || met.lacks_by_probes;
            entry.recovered = match (was_out, entry.is_out_by_probes()) {
                (false, true) => None,
                (true, false) => Some(now),
                _ => entry.recovered,
            };
            let subject = entry.subject.clone();
            self.news.push(NeedNews { subject, lacked: old.lacks, lacks: met.lacks, is_by_probes, before });
        }
    }

    /// How the needs of an entry stand, and with them those of all that it needs.
    fn met(&self, at: usize, known: &mut [Option<Met>], now: Tick) -> Met {
        if let Some(met) = known[at] {
            return met;
        }
        // Circles are refused when files are read; here one would only end.
        known[at] = Some(Met::default());
        let mut met = Met::default();
        for (nth, needed) in (0..).zip(&self.entries[at].needs) {
            let mut is_met = needed.is_empty();
            let (mut is_sure, mut is_by_probes) = (needed.is_empty(), false);
            for id in needed {
                let further = self.met(id.0 as usize, known, now);
                let entry = &self.entries[id.0 as usize];
                let standing = Standing {
                    lacks: further.lacks,
                    is_shaky: further.is_shaky,
                    ..self.held(entry, entry.standing(now))
                };
                is_met |= standing.is_eligible();
                is_sure |= standing.is_eligible() && !standing.is_moving();
                let is_word =
                    standing.desired != Desired::Auto || further.lacks.is_some() && !further.lacks_by_probes;
                is_by_probes |= !standing.is_eligible() && !is_word;
            }
            met.is_shaky |= is_met && !is_sure;
            if !is_met && met.lacks.is_none() {
                (met.lacks, met.lacks_by_probes) = (Some(nth), is_by_probes);
            }
        }
        known[at] = Some(met);
        met
    }
}
