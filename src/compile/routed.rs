//! A route's answers as a slot: for each region what its clients get now.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::outcomes::original_ttl;
use super::shares::Shares;
use super::signer::{Signatures, Signer};
use super::sticky::Sticky;
use crate::geo::RegionId;
use crate::health::{Desired, Standing, Tick};
use crate::route::{Alternative, Decision, Family, Pick, Route, Routing, TargetId, decide};
use crate::snapshot::slot::{Slot, Variant};
use crate::wire::render::{Renderer, Section, TooLarge};
use crate::wire::rtype::Rtype;

/// A slot, and when to compile it anew though nothing happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The variants by region. Owners share it, and so may routes.
    pub slot: Arc<Slot>,
    /// When time alone may change them: a waiting failback.
    pub recheck: Option<Tick>,
    /// When the first of its signatures is to be made anew; seconds since 1970.
    pub renewal: Option<u64>,
}

/// Why a route's answer can't be rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrenderable {
    /// No message could hold it.
    TooLarge,
    /// A key failed, and nobody must get it unsigned.
    Unsigned,
}

impl From<TooLarge> for Unrenderable {
    fn from(TooLarge: TooLarge) -> Unrenderable {
        Unrenderable::TooLarge
    }
}

impl fmt::Display for Unrenderable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unrenderable::TooLarge => "doesn't fit in a message",
            Unrenderable::Unsigned => "can't be signed by all keys that are to sign it",
        })
    }
}

impl std::error::Error for Unrenderable {}

/// By what, and for which owner in lower case, a signed zone's slot is signed.
#[derive(Clone, Copy, Debug)]
pub struct SignedAs<'a> {
    /// What signs it.
    pub signer: &'a Signer,
    /// The owner, whose slot it is alone.
    pub owner: &'a [u8],
}

impl SignedAs<'_> {
    /// Whether all alternatives of a route's answer can be signed.
    fn can_sign(&self, route: &Route, rtype: Rtype, alternatives: &[(u32, Vec<Vec<u8>>)]) -> bool {
        alternatives.iter().all(|(_, records)| {
            let rdatas: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
            self.signer.can_sign(self.owner, rtype, original_ttl(route), &rdatas)
        })
    }
}

/// What slots of several routes are made with.
#[derive(Debug)]
pub struct Means<'a> {
    /// Tables of sticky choices, which several routes have that are decided at once.
    pub shares: &'a Mutex<Shares>,
    /// In a signed zone, by what.
    pub signed_as: Option<SignedAs<'a>>,
}

/// Decides a route's answers of one type for all regions, `default` first among them, and renders
/// them. Regions without a chain of their own share the variant of `default`.
///
/// # Errors
/// [`Unrenderable`] when an answer is longer than any message, or can't be signed.
pub fn slot(
    routing: &Routing,
    route: &Route,
    rtype: Rtype,
    regions: impl Iterator<Item = RegionId>,
    standing: &dyn Fn(TargetId, Family) -> Standing,
    now: Tick,
    Means { shares, signed_as }: Means<'_>,
) -> Result<Compiled, Unrenderable> {
    let family = family_of(rtype);
    let sticky = Sticky::new(routing, route);
    let mut recheck: Option<Tick> = None;
    let renewal: Cell<Option<u64>> = Cell::new(None);
    let mut places: HashMap<Variant, u16> = HashMap::new();
    let mut by_region: Vec<u16> = Vec::new();
    for region in regions {
        let is_default = region == RegionId::DEFAULT;
        if !is_default && !route.regions.iter().any(|(id, _)| *id == region) {
            by_region.push(0);
            continue;
        }
        let mut decision = decide(routing, route, region, family, standing, now);
        recheck = recheck.into_iter().chain(decision.recheck_at).min();
        if !signed_as.is_none_or(|by| by.can_sign(route, rtype, &records(routing, rtype, &decision.pick))) {
            // A bundle has what the first so many deaths come to. Beyond, an answer without a
            // signature would be none at all: the one that is right when all live is always there.
            let all_live = |_, _| Standing::unprobed(Desired::Auto, true);
            decision = decide(routing, route, region, family, &all_live, now);
        }
        let sign = |rdatas: &[&[u8]]| {
            let SignedAs { signer, owner } = signed_as?;
            let made = signer.sign(owner, rtype, original_ttl(route), rdatas, now.0 / 1000);
            renewal.set(renewal.get().into_iter().chain([made.renewal]).min());
            Some(made)
        };
        let mut variant = variant(routing, rtype, &decision, &sign)?;
        let among = sticky.among(&decision.pick);
        if !among.is_empty() {
            variant.buckets = shares.lock().unwrap_or_else(PoisonError::into_inner).buckets(&among);
        }
        let fresh = u16::try_from(places.len()).unwrap_or(0);
        by_region.push(*places.entry(variant).or_insert(fresh));
    }
    let mut variants: Vec<(Variant, u16)> = places.into_iter().collect();
    variants.sort_unstable_by_key(|(_, place)| *place);
    let variants: Vec<Variant> = variants.into_iter().map(|(variant, _)| variant).collect();
    let slot = Slot { regions: by_region.into(), variants: variants.into(), ecs: route.ecs };
    Ok(Compiled { slot: Arc::new(slot), recheck, renewal: renewal.get() })
}

/// The family that a type of address routes stands for; of no meaning to the others.
#[must_use]
pub fn family_of(rtype: Rtype) -> Family {
    if rtype == Rtype::AAAA { Family::V6 } else { Family::V4 }
}

/// The RDATA of a decision, for each of its alternatives: their weight and records.
#[must_use]
pub fn records(routing: &Routing, rtype: Rtype, pick: &Pick) -> Vec<(u32, Vec<Vec<u8>>)> {
    let target = |id: TargetId| routing.targets.get(id.0 as usize);
    let host = |id: TargetId| Some(target(id)?.host.as_ref()?.as_wire().to_vec());
    let alternatives = |alternatives: &[Alternative], rdata: &dyn Fn(TargetId) -> Option<Vec<u8>>| {
        alternatives
            .iter()
            .map(|one| (u32::from(one.weight), distinct(one.targets.iter().filter_map(|id| rdata(*id)))))
            .collect()
    };
    match pick {
        Pick::Nothing => Vec::new(),
        Pick::Addresses(picked) => alternatives(picked, &|id| match target(id)?.address(family_of(rtype))? {
            std::net::IpAddr::V4(address) => Some(address.octets().to_vec()),
            std::net::IpAddr::V6(address) => Some(address.octets().to_vec()),
        }),
        Pick::Cname(picked) => alternatives(picked, &host),
        Pick::Mx(exchangers) => {
            let rdata = exchangers.iter().filter_map(|exchanger| {
                Some([&exchanger.preference.to_be_bytes()[..], &host(exchanger.target)?].concat())
            });
            vec![(1, rdata.collect())]
        }
        Pick::Srv(services) => {
            let rdata = services.iter().filter_map(|service| {
                let numbers = [service.priority, service.weight, service.port].map(u16::to_be_bytes);
                Some([&numbers.concat()[..], &host(service.target)?].concat())
            });
            vec![(1, rdata.collect())]
        }
    }
}

/// RFC 2181 5.2: an RRset has no two records of the same data, as two targets or host names at one
/// address would give.
fn distinct(all: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut distinct: Vec<Vec<u8>> = Vec::new();
    for rdata in all {
        if !distinct.contains(&rdata) {
            distinct.push(rdata);
        }
    }
    distinct
}

/// A decision's answer, with no choice by networks yet.
fn variant(
    routing: &Routing,
    rtype: Rtype,
    decision: &Decision,
    sign: &dyn Fn(&[&[u8]]) -> Option<Signatures>,
) -> Result<Variant, Unrenderable> {
    let mut sum = 0u32;
    let mut alternatives = Vec::new();
    for (weight, records) in records(routing, rtype, &decision.pick) {
        sum = sum.saturating_add(weight);
        let mut renderer = Renderer::shared();
        for rdata in &records {
            renderer.own_record(Section::Answer, rtype, decision.ttl, rdata);
        }
        let rdatas: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        if let Some(made) = sign(&rdatas) {
            if made.rrsigs.is_empty() {
                return Err(Unrenderable::Unsigned);
            }
            renderer.begin_signatures();
            for rrsig in made.rrsigs.iter() {
                renderer.own_record(Section::Answer, Rtype::RRSIG, decision.ttl, rrsig);
            }
        }
        alternatives.push((sum, renderer.finish()?.into()));
    }
    Ok(Variant { alternatives: alternatives.into(), buckets: None })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::zone;
    use crate::wire::name::Name;

    #[test]
    fn rfc2181_5_2_two_targets_at_one_address_are_one_record() {
        let apex = Name::parse("example.com.", None).unwrap();
        let text = "[targets.a]\nipv4 = \"192.0.2.1\"\n[targets.b]\nipv4 = \"192.0.2.1\"\n\
                    [routes.w]\ntype = \"address\"\ndefault = [[\"a\", \"b\"]]\n";
        let (config, _) = zone::parse(Path::new("z.toml"), text, &apex, &[]).unwrap();
        let (routing, route) = (&config.routing, &config.routing.routes[0]);
        let standing = |_, _| Standing::unprobed(Desired::Auto, true);
        let decision = decide(routing, route, RegionId::DEFAULT, Family::V4, &standing, Tick(0));
        assert_eq!(records(routing, Rtype::A, &decision.pick), [(1, vec![vec![192, 0, 2, 1]])]);
    }
}
