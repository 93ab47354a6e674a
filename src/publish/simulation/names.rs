//! Addresses of host names, reckoned apart from the server: what was found last holds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::random::Random;
use crate::model::ZoneModel;
use crate::resolve::Found;
use crate::route::addresses::Resolution;
use crate::wire::name::Name;

/// What is known of each name that a target is given by.
#[derive(Default)]
pub(super) struct Names(BTreeMap<Name, BTreeSet<IpAddr>>);

impl Names {
    /// Only these are asked for.
    pub(super) fn follow(&mut self, wanted: &BTreeSet<Name>) {
        self.0.retain(|name, _| wanted.contains(name));
    }

    /// A resolver's answer. A family without one keeps its addresses, and a name that would have none
    /// at all keeps all.
    pub(super) fn found(&mut self, found: &Found) {
        let Found { name, resolution } = found;
        let known = self.0.entry(name.clone()).or_default();
        let (mut now, families) = (BTreeSet::new(), [(true, &resolution.ipv4), (false, &resolution.ipv6)]);
        for (is_ipv4, answer) in families {
            match answer {
                Ok(addresses) => now.extend(addresses),
                Err(_) => now.extend(known.iter().filter(|address| address.is_ipv4() == is_ipv4)),
            }
        }
        if !now.is_empty() {
            *known = now;
        }
    }

    /// Whether each target that is a host name has the addresses that were found last.
    pub(super) fn are_served(&self, zone: &ZoneModel) -> Result<(), String> {
        let targets = &zone.routing.targets;
        for target in targets {
            let Some(name) = &target.address_of else { continue };
            let parts = target.parts.iter().filter_map(|id| targets.get(id.0 as usize));
            let addresses = parts.flat_map(|part| part.ipv4.map(IpAddr::V4).or(part.ipv6.map(IpAddr::V6)));
            let (served, known) = (addresses.collect::<BTreeSet<_>>(), self.0.get(name));
            if served != known.cloned().unwrap_or_default() {
                return Err(format!("{} is at {served:?}, and was found at {known:?}", target.name));
            }
        }
        Ok(())
    }
}

/// What a resolver may say: addresses, none, or nothing, for each family.
pub(super) fn resolution(random: &mut Random) -> Resolution {
    let octet = random.between(0..=8) as u8;
    let ipv4 = (0..random.between(0..=3) as u8).map(|n| [203, 0, 113, octet + n].into()).collect();
    let v6 = |n: u8| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 1, u16::from(octet + n)]);
    let ipv6 = (0..random.between(0..=1) as u8).map(v6).collect();
    let failed = || Err("no answer".to_owned());
    match random.below(10) {
        0 | 1 => Resolution::failed("no answer"),
        2 => Resolution { ipv4: failed(), ipv6: Ok(ipv6) },
        3 => Resolution { ipv4: Ok(ipv4), ipv6: failed() },
        _ => Resolution { ipv4: Ok(ipv4), ipv6: Ok(ipv6) },
    }
}
