//! Maintenance windows of `waypost.toml`: sites that are drained by the clock.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use super::files::SITES;
use super::random::Random;
use crate::health::Tick;

/// More than this at once shows nothing new.
const MOST: usize = 3;

/// A window, as its file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    site: &'static str,
    from: Tick,
    until: Tick,
}

impl Window {
    /// One that has begun, or soon does.
    fn random(now: Tick, random: &mut Random) -> Window {
        let from = now - Duration::from_secs(10) + Duration::from_millis(random.between(0..=30_000));
        let until = from + Duration::from_millis(random.between(500..=40_000));
        Window { site: random.pick(&SITES), from, until }
    }

    /// Others than before: one more, or one less.
    pub(super) fn change(windows: &mut Vec<Window>, now: Tick, random: &mut Random) {
        if windows.len() < MOST && (windows.is_empty() || random.chance(60)) {
            windows.push(Window::random(now, random));
        } else {
            windows.remove(random.below(windows.len()));
        }
    }

    pub(super) fn write(&self, text: &mut String) {
        let moment = |at: Tick| humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(at.0));
        let (site, from, until) = (self.site, moment(self.from), moment(self.until));
        let _ = write!(text, "[[maintenance]]\nsite = \"{site}\"\nfrom = \"{from}\"\nuntil = \"{until}\"\n");
    }

    /// Whether a site is drained by it.
    pub(super) fn drains(&self, site: Option<&str>, now: Tick) -> bool {
        site == Some(self.site) && self.from <= now && now < self.until
    }
}
