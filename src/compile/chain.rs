//! The chain of a signed zone's names (RFC 4034 4, RFC 5155 7.1): all of it, or what a change of
//! few owners does to it.

use std::collections::BTreeMap;

use super::shape::Shape;
use super::zone::Source;
use crate::cores;
use crate::dnssec::type_bitmap;
use crate::snapshot::denial::{Denial, KEY_OCTETS_MAX, Key, Link, Order};
use crate::wire::render::{Renderer, Section};
use crate::wire::rtype::Rtype;

/// Links that are signed by one core before it takes others.
const LINKS_TOGETHER: usize = 32;

/// A name that belongs into the chain.
struct Member {
    name: Box<[u8]>,
    types: Vec<Rtype>,
}

impl Source<'_> {
    /// The chain of all names; every signature of the zone is made on the way. Nothing if the zone
    /// isn't signed.
    pub(super) fn chain(&self, shape: &Shape) -> Option<Denial> {
        let order = self.signing?.signer.order();
        let mut members: BTreeMap<Box<[u8]>, Member> = BTreeMap::new();
        let names = self.zone.owners().map(|owner| owner.lower().into_owned());
        let routed = self.routed.keys().map(|lower| lower.to_vec());
        let nonterminals = shape.nonterminals().map(<[u8]>::to_vec);
        for name in names.chain(routed).chain(nonterminals) {
            if let Some(types) = self.chained_types(shape, &name) {
                let key = Key::of(order, &name).as_octets().into();
                members.insert(key, Member { name: name.into(), types });
            }
        }
        let members: Vec<(Box<[u8]>, Member)> = members.into_iter().collect();
        let groups = members.len().div_ceil(LINKS_TOGETHER);
        let mut signed = cores::share(
            groups,
            || (),
            |group, ()| {
                let end = members.len().min((group + 1) * LINKS_TOGETHER);
                let links = (group * LINKS_TOGETHER..end).map(|at| {
                    let (key, member) = &members[at];
                    let (next_key, next) = &members[(at + 1) % members.len()];
                    self.link(shape, key, member, next_key, &next.name)
                });
                (group, links.collect::<Vec<Link>>())
            },
        );
        signed.sort_unstable_by_key(|(group, _)| *group);
        Some(Denial::new(order, signed.into_iter().flat_map(|(_, links)| links).collect()))
    }

    /// The chain after some names changed, and nothing else: they and their neighbours are signed.
    pub(super) fn chain_amended(&self, shape: &Shape, old: &Denial, names: &[&[u8]]) -> Denial {
        let order = old.order();
        let mut touched: BTreeMap<Box<[u8]>, Option<Member>> = BTreeMap::new();
        for name in names {
            let key = Key::of(order, name).as_octets().into();
            let member = self.chained_types(shape, name).map(|types| Member { name: (*name).into(), types });
            touched.insert(key, member);
        }
        // Who comes or goes changes the link before.
        let keys: Vec<Box<[u8]>> = touched.keys().cloned().collect();
        for key in keys {
            let before = old
                .before(&key)
                .chain(old.before(&[0xff; KEY_OCTETS_MAX + 1]))
                .find(|link| !touched.get(link.key()).is_some_and(Option::is_none));
            if let Some(before) = before.filter(|before| !touched.contains_key(before.key())) {
                let types = self.chained_types(shape, before.name()).unwrap_or_default();
                touched.insert(before.key().into(), Some(Member { name: before.name().into(), types }));
            }
        }
        let changes = touched.iter().map(|(key, member)| {
            let link = member.as_ref().map(|member| {
                let (next_key, next) = next(old, &touched, key).unwrap_or((key, &member.name));
                self.link(shape, key, member, next_key, next)
            });
            (key.clone(), link)
        });
        old.changed(changes.collect())
    }

    /// Types of a name that belongs into the chain, those of the chain aside.
    fn chained_types(&self, shape: &Shape, lower: &[u8]) -> Option<Vec<Rtype>> {
        let owner = self.zone.owner(lower);
        let routed = self.routed.get(lower);
        let order = self.signing?.signer.order();
        let exists =
            owner.is_some() || routed.is_some() || order == Order::Hashes && shape.is_nonterminal(lower);
        if !exists || shape.hides(self.zone.apex(), lower) {
            return None;
        }
        let mut types: Vec<Rtype> = self.authoritative(shape, lower).iter().map(|set| set.rtype).collect();
        if shape.is_cut(lower) {
            types.push(Rtype::NS);
        } else {
            types.extend(routed.into_iter().flatten().map(|(rtype, _)| *rtype));
        }
        if types.is_empty() && order == Order::Names {
            return None;
        }
        Some(types)
    }

    fn link(&self, shape: &Shape, key: &[u8], member: &Member, next_key: &[u8], next: &[u8]) -> Link {
        let Member { name, types } = member;
        let Some(signing) = self.signing else { return Link::new(key, name, &[], u64::MAX, 0) };
        let is_signed =
            shape.is_cut(name) && types.contains(&Rtype::DS) || !shape.is_cut(name) && !types.is_empty();
        let apex = self.zone.apex().to_lower();
        let (owner, rtype, rdata) = match signing.signer.order() {
            Order::Names => {
                let all = types.iter().copied().chain([Rtype::RRSIG, Rtype::NSEC]);
                (name.to_vec(), Rtype::NSEC, [next, &type_bitmap(all)].concat())
            }
            Order::Hashes => {
                let all = types.iter().copied().chain(is_signed.then_some(Rtype::RRSIG));
                // SHA-1, no flags, no further rounds, no salt (RFC 5155 3.2).
                let rdata =
                    [&[1, 0, 0, 0, 0, next_key.len() as u8][..], next_key, &type_bitmap(all)].concat();
                (hashed_owner(key, apex.as_wire()), Rtype::NSEC3, rdata)
            }
        };
        let soa = self.zone.soa();
        // RFC 9077 3.
        let ttl = soa.ttl().min(soa.minimum());
        let made = signing.signer.sign(&owner, rtype, ttl, &[&rdata], signing.now);
        let apex = self.zone.apex();
        let mut renderer = Renderer::anchored(apex.as_wire());
        renderer.record(Section::Authority, &owner, rtype, ttl, &rdata);
        renderer.begin_signatures();
        for rrsig in made.rrsigs.iter() {
            renderer.record(Section::Authority, &owner, Rtype::RRSIG, ttl, rrsig);
        }
        // A name, a bitmap and signatures are far below a message's octets.
        let record = renderer.finish().unwrap_or_default();
        let mut link = Link::new(key, name, &record, made.renewal, made.made);
        for made in self.sign_all(shape, name) {
            link.renewal = link.renewal.min(made.renewal);
            link.made = link.made.max(made.made);
        }
        link
    }
}

/// A key, and the name that it is to have.
type Touched<'a> = (&'a Box<[u8]>, &'a Option<Member>);

/// The name behind a key, in a chain with changes that aren't carried out yet.
fn next<'a>(
    old: &'a Denial,
    touched: &'a BTreeMap<Box<[u8]>, Option<Member>>,
    key: &[u8],
) -> Option<(&'a [u8], &'a [u8])> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let kept = |link: &&Link| !touched.contains_key(link.key());
    let fresh = |(key, member): Touched<'a>| Some((&**key, &*member.as_ref()?.name));
    let least = |one: Option<(&'a [u8], &'a [u8])>, other: Option<(&'a [u8], &'a [u8])>| {
        one.into_iter().chain(other).min_by_key(|(key, _)| *key)
    };
    let as_pair = |link: &'a Link| (link.key(), link.name());
    let behind = least(
        old.after(key).find(kept).map(as_pair),
        touched.range::<[u8], _>((Excluded(key), Unbounded)).find_map(fresh),
    );
    behind.or_else(|| {
        least(
            old.links().find(kept).map(as_pair),
            touched.range::<[u8], _>((Unbounded, Included(key))).find_map(fresh),
        )
    })
}

/// The owner of NSEC3: the hash in base32hex below the apex (RFC 5155 3.3), in lower case.
fn hashed_owner(hash: &[u8], apex: &[u8]) -> Vec<u8> {
    let mut owner = vec![0];
    for group in hash.chunks(5) {
        let bits = group.iter().fold(0u64, |bits, octet| bits << 8 | u64::from(*octet));
        for shift in (0..8).rev() {
            owner.push(b"0123456789abcdefghijklmnopqrstuv"[(bits >> (shift * 5) & 31) as usize]);
        }
    }
    owner[0] = (owner.len() - 1) as u8;
    owner.extend_from_slice(apex);
    owner
}
