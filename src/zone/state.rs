//! What the meaning of a line depends on beside its text: origin, owner and TTLs before it.

use std::sync::Arc;

/// What was set when a line is reached.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// In wire form.
    pub(super) origin: Arc<[u8]>,
    /// The owner of the record before, in wire form; empty before the first.
    pub(super) owner: Arc<[u8]>,
    pub(super) ttls: Ttls,
}

/// Where a record without a TTL of its own has it from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ttls {
    /// `$TTL`.
    pub(super) default: Option<u32>,
    /// The TTL that was written last (RFC 1035 5.1).
    pub(super) last: Option<u32>,
    /// MINIMUM of the SOA, where no TTL was written at all.
    pub(super) minimum: Option<u32>,
}

/// What reading a stretch of text took from the state before it, and did to it. Reading the same
/// text under a state that [`holds`](Reading::holds) gives the same records.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// Digest and octets of the text; none if an entry reached beyond its end.
    pub(super) text: Option<(u64, usize)>,
    pub(super) origin: Arc<[u8]>,
    /// The owner before, if a record went without.
    pub(super) needs_owner: Option<Arc<[u8]>>,
    /// TTLs before, if a record went without.
    pub(super) needs_ttls: Option<Ttls>,
    /// What it set.
    pub(super) sets_origin: Option<Arc<[u8]>>,
    pub(super) sets_owner: Option<Arc<[u8]>>,
    pub(super) sets_ttls: Ttls,
}

impl Ttls {
    pub(super) fn inherited(self) -> Option<u32> {
        self.default.or(self.last).or(self.minimum)
    }

    /// Whether records without a TTL get the same from others as from these, whatever is set behind.
    fn pass_on_as(self, others: Ttls) -> bool {
        // A default hides the others: the SOA's MINIMUM too, which stands behind the first lines.
        if self.default.is_some() { self.default == others.default } else { self == others }
    }

    /// These, with what `later` sets in their place.
    pub(super) fn then(self, later: Ttls) -> Ttls {
        Ttls {
            default: later.default.or(self.default),
            last: later.last.or(self.last),
            minimum: later.minimum.or(self.minimum),
        }
    }
}

impl Reading {
    /// Whether a state is, as far as it mattered, the one that the text was read under.
    pub(super) fn holds(&self, state: &State) -> bool {
        self.origin == state.origin
            && self.needs_owner.as_ref().is_none_or(|owner| *owner == state.owner)
            && self.needs_ttls.is_none_or(|ttls| ttls.pass_on_as(state.ttls))
    }

    /// The state behind the text.
    pub(super) fn apply(&self, state: &mut State) {
        if let Some(origin) = &self.sets_origin {
            state.origin = Arc::clone(origin);
        }
        if let Some(owner) = &self.sets_owner {
            state.owner = Arc::clone(owner);
        }
        state.ttls = state.ttls.then(self.sets_ttls);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_read_ahead_under_a_default_ttl_holds_behind_the_soa() {
        let ttls = |default, last, minimum| Ttls { default, last, minimum };
        let reading = |needs_ttls| Reading {
            text: None,
            origin: Arc::default(),
            needs_owner: None,
            needs_ttls,
            sets_origin: None,
            sets_owner: None,
            sets_ttls: Ttls::default(),
        };
        let state = |ttls| State { origin: Arc::default(), owner: Arc::default(), ttls };
        let holds = |needs, is| reading(needs).holds(&state(is));
        let guess = ttls(Some(20), None, None);
        assert!(holds(Some(guess), ttls(Some(20), None, Some(60))));
        assert!(holds(Some(guess), ttls(Some(20), Some(5), Some(60))));
        assert!(!holds(Some(guess), ttls(Some(30), None, None)));
        assert!(!holds(Some(guess), ttls(None, Some(20), None)));
        // Without one, the last TTL and the SOA's minimum matter, and so does that there is none.
        let bare = ttls(None, Some(5), Some(60));
        assert!(holds(Some(bare), bare));
        for other in
            [ttls(None, Some(6), Some(60)), ttls(None, Some(5), Some(61)), ttls(Some(5), Some(5), Some(60))]
        {
            assert!(!holds(Some(bare), other));
            assert!(holds(None, other));
        }
    }
}
