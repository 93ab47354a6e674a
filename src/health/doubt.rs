//! Self-doubt: when nearly everything seems dead at once, the one that is ill may be this server.
//!
//! ```text
//! canaries                 most targets of two sites left UP together     else
//! none configured          hold                                          believe
//! some answer, some don't  hold                                          believe
//! all answered since       believe                                       believe
//! not heard from since     hold until they are                           believe
//! all fail                 hold                                          hold
//! ```
//!
//! "Together" is within the longest interval of the probes and a second; "most" is more than half of the targets' addresses that were
//! alive, at least [`LEAST`] of them, and more than half in each of at least two sites. So the
//! death of one site, however large, is believed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Tick;

/// Fewer addresses than this are too few to say what is usual.
pub const LEAST: usize = 3;

/// One probed address as doubt sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness<'a> {
    /// Its site; one without a site stands alone.
    pub site: &'a str,
    /// Whether it is UP.
    pub is_up: bool,
    /// When it left UP, if it isn't.
    pub left: Option<Tick>,
}

/// One canary as doubt sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Whether its newest result was a failure.
    pub fails: bool,
    /// When its newest result came.
    pub heard: Option<Tick>,
}

/// Why verdicts are held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// Departures from this moment on are held.
    pub from: Tick,
    /// In words.
    pub why: String,
}

/// Whether there is reason to doubt. `since` is where the doubt in force began, if there is one:
/// it lasts as long as its reason does. Without one, departures behind `now - window` count.
#[must_use]
pub fn judge(
    witnesses: &[Witness<'_>],
    canaries: &[Canary],
    since: Option<Tick>,
    (now, window): (Tick, Duration),
) -> Option<Doubt> {
    let from = since.unwrap_or(now - window);
    let has_left = |witness: &&Witness<'_>| !witness.is_up && witness.left.is_some_and(|left| left >= from);
    let first = witnesses.iter().filter(has_left).filter_map(|witness| witness.left).min();
    if !canaries.is_empty() && canaries.iter().all(|canary| canary.fails) {
        let why = "all canaries fail: this server may be cut off".to_owned();
        return Some(Doubt { from: first.map_or(from, |first| first.min(from)), why });
    }
    let mut sites: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for witness in witnesses.iter().filter(|witness| witness.is_up || has_left(witness)) {
        let (alive, left) = sites.entry(witness.site).or_default();
        *alive += 1;
        *left += usize::from(has_left(&witness));
    }
    let alive: usize = sites.values().map(|(alive, _)| alive).sum();
    let left: usize = sites.values().map(|(_, left)| left).sum();
    let emptied = sites.values().filter(|(alive, left)| left * 2 > *alive).count();
    if alive < LEAST || left * 2 <= alive || emptied < 2 {
        return None;
    }
    // A canary that answered after the first departure says that the network is well.
    let first = first?;
    let vouches = |canary: &Canary| !canary.fails && canary.heard.is_some_and(|heard| heard > first);
    if !canaries.is_empty() && canaries.iter().all(vouches) {
        return None;
    }
    Some(Doubt {
        from: first,
        why: format!("{left} of {alive} addresses, in {emptied} sites, left UP together"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(6);
    const NOW: Tick = Tick(1_700_000_000_000);

    /// `tw++- my---`: three addresses of a site, and whether each is up; `x` died long ago.
    fn witnesses(text: &str) -> Vec<Witness<'_>> {
        let mut all = Vec::new();
        for site in text.split(' ') {
            let (name, states) = site.split_at(2);
            all.extend(states.chars().map(|state| Witness {
                site: name,
                is_up: state == '+',
                left: match state {
                    '-' => Some(NOW - Duration::from_secs(3)),
                    'x' => Some(NOW - Duration::from_secs(3600)),
                    _ => None,
                },
            }));
        }
        all
    }

    fn doubts(text: &str, canaries: &[Canary]) -> bool {
        judge(&witnesses(text), canaries, None, (NOW, WINDOW)).is_some()
    }

    #[test]
    fn the_death_of_one_site_is_believed_however_large_it_is() {
        for text in
            ["tw--- my+++", "tw---- my++", "tw--- my+++ vn+++", "tw-- my+-", "tw---- my+-+ vn+", "tw---"]
        {
            assert!(!doubts(text, &[]), "{text}");
        }
        // Nor does what has been dead for long count.
        assert!(!doubts("twxxx my--- vn+++", &[]));
        assert!(!doubts("tw- my-", &[]), "two are too few");
    }

    #[test]
    fn most_of_two_sites_at_once_is_doubted() {
        for text in ["tw--- my---", "tw--- my--+ vn+++", "tw- my- vn+", "tw--- my--- vn---"] {
            assert!(doubts(text, &[]), "{text}");
        }
    }

    #[test]
    fn canaries_decide() {
        let ago = |seconds| Some(NOW - Duration::from_secs(seconds));
        let good = Canary { fails: false, heard: ago(1) };
        let unheard = Canary { fails: false, heard: ago(5) };
        let bad = Canary { fails: true, heard: ago(1) };
        assert!(!doubts("tw--- my---", &[good, good]), "the network is well, so they are dead");
        assert!(doubts("tw--- my---", &[unheard]), "it answered before they left");
        assert!(doubts("tw--- my---", &[good, bad]));
        assert!(doubts("tw-+ my++", &[bad, bad]), "all canaries fail");
        assert!(!doubts("tw-+ my++", &[good, bad]));
    }

    #[test]
    fn it_lasts_as_long_as_its_reason() {
        let late = NOW + Duration::from_secs(3600);
        let since = Some(NOW - Duration::from_secs(3));
        assert!(judge(&witnesses("tw--- my---"), &[], since, (late, WINDOW)).is_some());
        assert!(judge(&witnesses("tw+++ my---"), &[], since, (late, WINDOW)).is_none(), "a site came back");
    }
}
