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

/// Names that belong into the chain, close together: a large zone has a million.
struct Members {
    order: Order,
    /// Key and name of each.
    octets: Vec<u8>,
    places: Vec<Place>,
}

#[derive(Clone, Copy)]
struct Place {
    at: usize,
    key_octets: u16,
    name_octets: u16,
}

/// A key and its name in lower-case wire form.
type Named<'a> = (&'a [u8], &'a [u8]);

impl Source<'_> {
    /// The chain of all names; every signature of the zone is made on the way. Nothing if the zone
    /// isn't signed.
    pub(super) fn chain(&self, shape: &Shape) -> Option<Denial> {
        let order = self.signing?.signer.order();
        let mut members = Members { order, octets: Vec::new(), places: Vec::new() };
        for owner in self.zone.owners() {
            let lower = owner.lower();
            if !shape.hides(self.zone.apex(), &lower) {
                members.add(&lower);
            }
        }
        let others = self.routed.keys().map(|lower| &**lower).chain(shape.nonterminals());
        for lower in others.filter(|lower| self.is_chained(shape, order, lower)) {
            members.add(lower);
        }
        members.sort();
        let groups = members.len().div_ceil(LINKS_TOGETHER);
        let signed = cores::share(
            groups,
            || (),
            |group, ()| {
                let end = members.len().min((group + 1) * LINKS_TOGETHER);
                let links = (group * LINKS_TOGETHER..end).map(|number| {
                    self.link(shape, members.get(number), members.get((number + 1) % members.len()))
                });
                links.collect::<Vec<Link>>()
            },
        );
        drop(members);
        let apex = self.zone.apex().to_lower();
        Some(Denial::new(order, apex.as_wire(), signed.into_iter().flatten().collect()))
    }

    /// The chain after some names changed, and nothing else: they and their neighbours are signed.
    pub(super) fn chain_amended(&self, shape: &Shape, old: &Denial, names: &[&[u8]]) -> Denial {
        let order = old.order();
        let mut touched: BTreeMap<Box<[u8]>, Option<Box<[u8]>>> = BTreeMap::new();
        for name in names {
            let key = Key::of(order, name).as_octets().into();
            touched.insert(key, self.is_chained(shape, order, name).then(|| (*name).into()));
        }
        // Who comes or goes changes the link before.
        let keys: Vec<Box<[u8]>> = touched.keys().cloned().collect();
        for key in keys {
            let before = old
                .before(&key)
                .chain(old.before(&[0xff; KEY_OCTETS_MAX + 1]))
                .find(|link| !touched.get(link.key()).is_some_and(Option::is_none));
            if let Some(before) = before.filter(|before| !touched.contains_key(before.key())) {
                touched.insert(before.key().into(), Some(before.name().into()));
            }
        }
        let changes = touched.iter().map(|(key, name)| {
            let link = name.as_ref().map(|name| {
                let own: Named<'_> = (key, name);
                self.link(shape, own, next(old, &touched, key).unwrap_or(own))
            });
            (key.clone(), link)
        });
        old.changed(changes.collect())
    }

    /// Whether a name belongs into the chain.
    fn is_chained(&self, shape: &Shape, order: Order, lower: &[u8]) -> bool {
        let has_records = || self.zone.owner(lower).is_some();
        let has_types = match (order, self.routed.get(lower)) {
            // A name without types has no NSEC.
            (Order::Names, routed) => routed.is_some_and(|types| !types.is_empty()) || has_records(),
            (Order::Hashes, routed) => routed.is_some() || shape.is_nonterminal(lower) || has_records(),
        };
        has_types && !shape.hides(self.zone.apex(), lower)
    }

    fn link(&self, shape: &Shape, (key, name): Named<'_>, (next_key, next): Named<'_>) -> Link {
        let Some(signing) = self.signing else { return Link::new(key, name, &[], u64::MAX, 0) };
        let sets = self.authoritative(shape, name);
        // Those of the chain aside.
        let mut types: Vec<Rtype> = sets.iter().map(|set| set.rtype).collect();
        if shape.is_cut(name) {
            types.push(Rtype::NS);
        } else {
            types.extend(self.routed.get(name).into_iter().flatten().map(|(rtype, _)| *rtype));
        }
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
        for made in self.sign_all(&sets, name) {
            link.renewal = link.renewal.min(made.renewal);
            link.made = link.made.max(made.made);
        }
        link
    }
}

impl Members {
    fn add(&mut self, lower: &[u8]) {
        let key = Key::of(self.order, lower);
        let at = self.octets.len();
        self.octets.extend_from_slice(key.as_octets());
        let key_octets = (self.octets.len() - at) as u16;
        self.octets.extend_from_slice(lower);
        self.places.push(Place { at, key_octets, name_octets: lower.len() as u16 });
    }

    /// In the order of the chain, each once.
    fn sort(&mut self) {
        let Members { octets, places, .. } = self;
        let key = |place: &Place| &octets[place.at..][..usize::from(place.key_octets)];
        places.sort_unstable_by(|one, other| key(one).cmp(key(other)));
        places.dedup_by(|one, other| key(one) == key(other));
    }

    fn len(&self) -> usize {
        self.places.len()
    }

    fn get(&self, number: usize) -> Named<'_> {
        let Place { at, key_octets, name_octets } = self.places[number];
        let (key, rest) = self.octets[at..].split_at(key_octets.into());
        (key, &rest[..name_octets.into()])
    }
}

/// A key, and the name that it is to have.
type Touched<'a> = (&'a Box<[u8]>, &'a Option<Box<[u8]>>);

/// The name behind a key, in a chain with changes that aren't carried out yet.
fn next<'a>(
    old: &'a Denial,
    touched: &'a BTreeMap<Box<[u8]>, Option<Box<[u8]>>>,
    key: &[u8],
) -> Option<Named<'a>> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let kept = |link: &&Link| !touched.contains_key(link.key());
    let fresh = |(key, name): Touched<'a>| Some((&**key, &**name.as_ref()?));
    let least = |one: Option<Named<'a>>, other: Option<Named<'a>>| {
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
