//! A route's answers as a slot: for each region what its clients get now.

use std::collections::HashMap;

use super::outcomes::original_ttl;
use super::signer::{Signatures, Signer};
use crate::geo::RegionId;
use crate::health::{Standing, Tick};
use crate::route::{Alternative, Decision, Family, Pick, Route, Routing, TargetId, decide};
use crate::snapshot::slot::{Slot, Variant};
use crate::wire::render::{Renderer, Section, TooLarge};
use crate::wire::rtype::Rtype;

/// A slot, and when to compile it anew though nothing happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The variants by region.
    pub slot: Slot,
    /// When time alone may change them: a waiting failback.
    pub recheck: Option<Tick>,
}

/// By what, and for which owner in lower case, a signed zone's slot is signed.
#[derive(Clone, Copy, Debug)]
pub struct SignedAs<'a> {
    /// What signs it.
    pub signer: &'a Signer,
    /// The owner, whose slot it is alone.
    pub owner: &'a [u8],
}

/// Decides a route's answers of one type for all regions, `default` first among them, and renders
/// them. Regions without a chain of their own share the variant of `default`.
///
/// # Errors
/// [`TooLarge`] when an answer is longer than any message.
pub fn slot(
    routing: &Routing,
    route: &Route,
    rtype: Rtype,
    regions: impl Iterator<Item = RegionId>,
    standing: &dyn Fn(TargetId, Family) -> Standing,
    now: Tick,
    signed_as: Option<SignedAs<'_>>,
) -> Result<Compiled, TooLarge> {
    let family = family_of(rtype);
    let mut recheck: Option<Tick> = None;
    let mut places: HashMap<Variant, u16> = HashMap::new();
    let mut by_region: Vec<u16> = Vec::new();
    for region in regions {
        let is_default = region == RegionId::DEFAULT;
        if !is_default && !route.regions.iter().any(|(id, _)| *id == region) {
            by_region.push(0);
            continue;
        }
        let decision = decide(routing, route, region, family, standing, now);
        recheck = recheck.into_iter().chain(decision.recheck_at).min();
        let sign = |rdatas: &[&[u8]]| {
            let SignedAs { signer, owner } = signed_as?;
            Some(signer.sign(owner, rtype, original_ttl(route), rdatas, now.0 / 1000))
        };
        let variant = variant(routing, rtype, &decision, &sign)?;
        let fresh = u16::try_from(places.len()).unwrap_or(0);
        by_region.push(*places.entry(variant).or_insert(fresh));
    }
    let mut variants: Vec<(Variant, u16)> = places.into_iter().collect();
    variants.sort_unstable_by_key(|(_, place)| *place);
    let variants: Vec<Variant> = variants.into_iter().map(|(variant, _)| variant).collect();
    let slot = Slot { regions: by_region.into(), variants: variants.into(), ecs: route.ecs };
    Ok(Compiled { slot, recheck })
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
            .map(|one| (u32::from(one.weight), one.targets.iter().filter_map(|id| rdata(*id)).collect()))
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

fn variant(
    routing: &Routing,
    rtype: Rtype,
    decision: &Decision,
    sign: &dyn Fn(&[&[u8]]) -> Option<Signatures>,
) -> Result<Variant, TooLarge> {
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
            renderer.begin_signatures();
            for rrsig in made.rrsigs.iter() {
                renderer.own_record(Section::Answer, Rtype::RRSIG, decision.ttl, rrsig);
            }
        }
        alternatives.push((sum, renderer.finish()?.into()));
    }
    Ok(Variant { alternatives: alternatives.into() })
}
