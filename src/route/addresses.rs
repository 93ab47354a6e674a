//! Targets that are given by a host name: what it was resolved to, as targets of their own.
//!
//! Each address of such a target is a *part* of it: watched, probed and judged apart, and
//! answered together with all other parts that are well. Parts stand behind the targets that the
//! file has; chains and people name the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Family, Routing, Target, TargetId};
use crate::limits;
use crate::wire::name::Name;

/// Between a target's name and the address of a part: `cdn@192.0.2.7`. No target's own name has it.
pub const PART_MARK: char = '@';

/// The addresses of one host name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    ipv4: Vec<Ipv4Addr>,
    ipv6: Vec<Ipv6Addr>,
}

/// Host names that were resolved, with their last good addresses.
pub type Resolved = BTreeMap<Name, Addresses>;

/// What asking for a name's addresses came to, by family: addresses, or why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// IPv4 addresses; none is an answer too.
    pub ipv4: Result<Vec<IpAddr>, String>,
    /// IPv6 addresses, likewise.
    pub ipv6: Result<Vec<IpAddr>, String>,
}

impl Resolution {
    /// No family has an answer.
    #[must_use]
    pub fn failed(why: &str) -> Resolution {
        Resolution { ipv4: Err(why.to_owned()), ipv6: Err(why.to_owned()) }
    }

    /// The addresses that hold now, after those `before`; and what is wrong, if anything is. A
    /// family without an answer keeps its last one, and a name that has no address any more keeps
    /// all: nothing that another server says empties an answer here.
    #[must_use]
    pub fn after(&self, before: &Addresses) -> (Addresses, Option<String>) {
        let family = |answer: &Result<Vec<IpAddr>, String>, family| match answer {
            Ok(addresses) => addresses.clone(),
            Err(_) => before.of(family).collect(),
        };
        let found = family(&self.ipv4, Family::V4).into_iter().chain(family(&self.ipv6, Family::V6));
        let found = Addresses::new(found);
        let trouble = self.ipv4.as_ref().err().or(self.ipv6.as_ref().err()).cloned();
        if found.is_empty() {
            let trouble = trouble.unwrap_or_else(|| "the name has no address".to_owned());
            return (before.clone(), Some(trouble));
        }
        (found, trouble)
    }
}

impl Addresses {
    /// Addresses in an order of their own, each once, and no more than `limits` has: an answer
    /// in another order is no change.
    #[must_use]
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>) -> Addresses {
        let mut found = Addresses::default();
        for address in addresses.into_iter().collect::<BTreeSet<_>>() {
            match address {
                IpAddr::V4(address) => found.ipv4.push(address),
                IpAddr::V6(address) => found.ipv6.push(address),
            }
        }
        found.ipv4.truncate(limits::RESOLVED_ADDRESSES);
        found.ipv6.truncate(limits::RESOLVED_ADDRESSES);
        found
    }

    /// All addresses, IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        let ipv6 = self.ipv6.iter().copied().map(IpAddr::V6);
        self.ipv4.iter().copied().map(IpAddr::V4).chain(ipv6)
    }

    /// Those of one family.
    pub fn of(&self, family: Family) -> impl Iterator<Item = IpAddr> {
        self.iter().filter(move |address| address.is_ipv4() == (family == Family::V4))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ipv4.is_empty() && self.ipv6.is_empty()
    }
}

impl Routing {
    /// Gives targets the addresses that their names have now, in place of those before.
    pub fn set_addresses(&mut self, resolved: &Resolved) {
        self.targets.retain(|target| target.part_of.is_none());
        for place in 0..self.targets.len() {
            let whole = &self.targets[place];
            let addresses = whole.address_of.as_ref().and_then(|name| resolved.get(name));
            let id = |place: usize| TargetId(u32::try_from(place).unwrap_or(u32::MAX));
            let parts: Vec<Target> = addresses
                .into_iter()
                .flat_map(Addresses::iter)
                .map(|one| part(whole, id(place), one))
                .collect();
            let first = self.targets.len();
            self.targets[place].parts = (first..).map(id).take(parts.len()).collect();
            self.targets.extend(parts);
        }
    }

    /// The host names that targets are given by.
    pub fn names_to_resolve(&self) -> impl Iterator<Item = &Name> {
        self.targets.iter().filter_map(|target| target.address_of.as_ref())
    }

    /// What a target answers by: itself, or its parts.
    pub fn answering(&self, id: TargetId) -> impl Iterator<Item = TargetId> {
        let parts = self.targets.get(id.0 as usize).map_or(&[][..], |target| &target.parts);
        let itself = parts.is_empty().then_some(id);
        parts.iter().copied().chain(itself)
    }

    /// These and all targets that need one of them, directly or by others.
    #[must_use]
    pub fn with_dependents(&self, mut targets: Vec<TargetId>) -> Vec<TargetId> {
        let mut place = 0;
        while let Some(needed) = targets.get(place).map(|id| self.whole(*id)) {
            for (id, target) in (0..).map(TargetId).zip(&self.targets) {
                let has_need = target.needs.iter().any(|need| need.any_of.contains(&needed));
                if has_need && !targets.contains(&id) {
                    targets.push(id);
                }
            }
            place += 1;
        }
        targets
    }

    /// The target that the file has: the whole of a part, and otherwise the target itself.
    #[must_use]
    pub fn whole(&self, id: TargetId) -> TargetId {
        self.targets.get(id.0 as usize).and_then(|target| target.part_of).unwrap_or(id)
    }
}

fn part(whole: &Target, id: TargetId, address: IpAddr) -> Target {
    let (ipv4, ipv6) = match address {
        IpAddr::V4(address) => (Some(address), None),
        IpAddr::V6(address) => (None, Some(address)),
    };
    Target {
        name: format!("{}{PART_MARK}{address}", whole.name),
        ipv4,
        ipv6,
        host: None,
        address_of: None,
        part_of: Some(id),
        parts: Vec::new(),
        ..whole.clone()
    }
}

/// Whether a target is meant by a name: by its own, or as a part of the one with that name.
#[must_use]
pub fn is_meant(target: &str, name: &str) -> bool {
    target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(PART_MARK))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn what_fails_keeps_what_was_known() {
        let before = Addresses::new(addresses(&["192.0.2.1", "2001:db8::1"]));
        let failed = || Err("no answer".to_owned());
        let after = |ipv4, ipv6| {
            let (now, trouble) = Resolution { ipv4, ipv6 }.after(&before);
            (now.iter().map(|one| one.to_string()).collect::<Vec<_>>(), trouble)
        };
        let (now, trouble) = after(Ok(addresses(&["192.0.2.3", "192.0.2.2", "192.0.2.3"])), failed());
        assert_eq!(now, ["192.0.2.2", "192.0.2.3", "2001:db8::1"]);
        assert_eq!(trouble.as_deref(), Some("no answer"));
        // A family that is gone is gone, as long as the other one is there.
        let (now, trouble) = after(Ok(addresses(&["192.0.2.2"])), Ok(vec![]));
        assert_eq!((now, trouble), (vec!["192.0.2.2".to_owned()], None));
        for (ipv4, ipv6) in [(Ok(vec![]), Ok(vec![])), (failed(), failed())] {
            let (now, trouble) = after(ipv4, ipv6);
            assert_eq!(now, ["192.0.2.1", "2001:db8::1"]);
            assert!(trouble.is_some());
        }
        let many = (0..200).map(|n| IpAddr::from([192, 0, 2, n]));
        assert_eq!(Addresses::new(many).iter().count(), limits::RESOLVED_ADDRESSES);
    }

    #[test]
    fn a_part_is_meant_by_its_own_name_and_by_the_whole() {
        assert!(is_meant("cdn", "cdn") && is_meant("cdn@192.0.2.1", "cdn"));
        assert!(is_meant("cdn@192.0.2.1", "cdn@192.0.2.1"));
        assert!(!is_meant("cdn2@192.0.2.1", "cdn") && !is_meant("cdn", "cdn@192.0.2.1"));
    }
}
