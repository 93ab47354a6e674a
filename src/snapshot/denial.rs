//! A zone's names in canonical order, each with the record that denies what lies behind it.
//!
//! ```text
//! heads:  Arc<[u128]>                                                  one for each chunk
//! chunks: Arc<[ Arc<Chunk { heads: [u128], links: key, name, NSEC or NSEC3 with its RRSIG }> ]>
//! ```
//!
//! Keys are octets that compare as names do in canonical order (RFC 4034 6.1), or are hashes of
//! names (RFC 5155 1.3). What denies a name is the link at its key, or else the last before it:
//! the one thing that a negative answer looks for beyond what any answer does. A change copies the
//! chunks that it touches, and the list of chunks.
//!
//! A key's *head* is the first octets behind what all keys have in common, as a number. Heads lie side
//! by side, so that a search waits for few cache lines, and reads keys themselves only where heads are
//! equal.

use std::sync::Arc;

use ring::digest;

use crate::wire::name::labels;
use crate::wire::rendered::Rendered;

/// Links of a fresh chunk.
const CHUNK_LINKS: usize = 128;
/// A chunk with more links is parted.
const CHUNK_LINKS_MAX: usize = 192;
/// Octets of the longest key: each octet of a name may be escaped.
pub const KEY_OCTETS_MAX: usize = 512;

/// By what links are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By name: NSEC.
    Names,
    /// By hash: NSEC3.
    Hashes,
}

/// The chain of a zone. Never empty once it is published.
///
/// Invariant `headed`: `heads` are those of the chunks' first links, and each chunk's those of its
/// links, by the same `shared` octets.
#[derive(Clone, Debug)]
pub struct Denial {
    order: Order,
    /// What all keys begin with: the apex's own, or nothing where they are hashes.
    shared: Arc<[u8]>,
    heads: Arc<[u128]>,
    chunks: Arc<[Arc<Chunk>]>,
    /// The least of all links.
    renewal: u64,
    /// The greatest.
    made: u64,
}

/// 64 to 192 links, or fewer if there are no more.
#[derive(Debug)]
struct Chunk {
    heads: Box<[u128]>,
    links: Vec<Link>,
    renewal: u64,
    made: u64,
}

/// One name of the chain.
#[derive(Clone, Debug)]
pub struct Link {
    /// Key, name and record, one behind the other: a large zone has a million.
    octets: Box<[u8]>,
    key_octets: u16,
    name_octets: u16,
    /// When the first of the signatures at this name is to be made anew; seconds since 1970.
    pub renewal: u64,
    /// When the signatures were made, at the latest.
    pub made: u64,
}

/// A name's place in the order; lives on the stack.
pub struct Key {
    octets: [u8; KEY_OCTETS_MAX],
    length: usize,
}

impl Key {
    /// The place of a name in lower case.
    #[must_use]
    pub fn of(order: Order, lower: &[u8]) -> Key {
        let mut key = Key { octets: [0; KEY_OCTETS_MAX], length: 0 };
        match order {
            Order::Names => key.names(lower),
            Order::Hashes => {
                let hash = nsec3_hash(lower);
                key.octets[..hash.len()].copy_from_slice(&hash);
                key.length = hash.len();
            }
        }
        key
    }

    /// Labels from the last to the first, each ended by 0, which nothing within is below.
    fn names(&mut self, lower: &[u8]) {
        let mut starts = [0u8; 128];
        let mut count = 0;
        let mut at = 0;
        for label in labels(lower).take(starts.len()) {
            starts[count] = at as u8;
            count += 1;
            at += 1 + label.len();
        }
        for start in starts[..count].iter().rev() {
            let start = usize::from(*start);
            let label = &lower[start + 1..start + 1 + usize::from(lower[start])];
            let place = self.octets.get_mut(self.length..self.length + label.len());
            match place.filter(|_| label.iter().all(|octet| *octet > 1)) {
                Some(place) => {
                    place.copy_from_slice(label);
                    self.length += label.len();
                }
                None => label.iter().for_each(|octet| self.escaped(*octet)),
            }
            self.push(0);
        }
    }

    fn escaped(&mut self, octet: u8) {
        if octet <= 1 {
            self.push(1);
            self.push(octet + 1);
        } else {
            self.push(octet);
        }
    }

    fn push(&mut self, octet: u8) {
        if let Some(place) = self.octets.get_mut(self.length) {
            *place = octet;
            self.length += 1;
        }
    }

    /// The octets, which compare as the order says.
    #[must_use]
    pub fn as_octets(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

/// The hash of a name in lower case (RFC 5155 5), without salt and further rounds (RFC 9276 3.1).
#[must_use]
pub fn nsec3_hash(lower: &[u8]) -> [u8; 20] {
    let mut hash = [0; 20];
    hash.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, lower).as_ref());
    hash
}

impl Denial {
    /// A chain of links, sorted by key, of the zone whose apex this is in lower case.
    #[must_use]
    pub fn new(order: Order, apex: &[u8], links: Vec<Link>) -> Denial {
        let shared = match order {
            Order::Names => Key::of(order, apex).as_octets().into(),
            Order::Hashes => Arc::default(),
        };
        let mut chunks = Vec::with_capacity(links.len().div_ceil(CHUNK_LINKS));
        part(links, &shared, &mut chunks);
        Denial::of(order, shared, chunks)
    }

    fn of(order: Order, shared: Arc<[u8]>, chunks: Vec<Arc<Chunk>>) -> Denial {
        let renewal = chunks.iter().map(|chunk| chunk.renewal).min().unwrap_or(u64::MAX);
        let made = chunks.iter().map(|chunk| chunk.made).max().unwrap_or(0);
        let heads = chunks.iter().filter_map(|chunk| chunk.heads.first().copied()).collect();
        Denial { order, shared, heads, chunks: chunks.into(), renewal, made }
    }

    /// What its links are ordered by.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// What matches a name in lower case, or covers it: the link at its place or the last before.
    #[must_use]
    pub fn deny(&self, lower: &[u8]) -> Option<&Link> {
        self.at_or_before(Key::of(self.order, lower).as_octets())
    }

    /// What matches a name, if it is in the chain.
    #[must_use]
    pub fn matching(&self, lower: &[u8]) -> Option<&Link> {
        let key = Key::of(self.order, lower);
        self.at_or_before(key.as_octets()).filter(|link| link.key() == key.as_octets())
    }

    /// The link at a key, or the last before it; the last of all if there is none before.
    #[must_use]
    pub fn at_or_before(&self, key: &[u8]) -> Option<&Link> {
        match self.last_up_to(key) {
            Some((place, within)) => self.chunks[place].links.get(within.checked_sub(1)?),
            None => self.chunks.last()?.links.last(),
        }
    }

    /// The last chunk that begins at a key or before it, and how many of its links do.
    fn last_up_to(&self, key: &[u8]) -> Option<(usize, usize)> {
        let head = head_of(key, &self.shared);
        let place = up_to(&self.heads, head, |place| self.chunks[place].first() <= key).checked_sub(1)?;
        let chunk = &self.chunks[place];
        Some((place, up_to(&chunk.heads, head, |within| chunk.links[within].key() <= key)))
    }

    /// Links whose keys are greater, in order.
    pub fn after(&self, key: &[u8]) -> impl Iterator<Item = &Link> {
        let (place, within) = self.last_up_to(key).unwrap_or_default();
        self.chunks[place..].iter().flat_map(|chunk| &chunk.links).skip(within)
    }

    /// Links whose keys are less, the greatest first.
    pub fn before(&self, key: &[u8]) -> impl Iterator<Item = &Link> {
        let end = self.chunks.partition_point(|chunk| chunk.first() < key);
        let last = end.checked_sub(1).map(|place| &self.chunks[place].links);
        let within = last.map_or(0, |links| links.partition_point(|link| link.key() < key));
        let behind = last.map_or(0, |links| links.len() - within);
        self.chunks[..end].iter().rev().flat_map(|chunk| chunk.links.iter().rev()).skip(behind)
    }

    /// All links in order.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.chunks.iter().flat_map(|chunk| &chunk.links)
    }

    /// How many links there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.links.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Links with signatures that are to be made anew, from a key on: until when they last, and
    /// from when. `slack` is how far the clock may lie behind a signature's making.
    pub fn due(&self, now: u64, slack: u64) -> impl Iterator<Item = &Link> {
        let is_due = move |renewal: u64, made: u64| now >= renewal || now + slack < made;
        let chunks = if is_due(self.renewal, self.made) { &*self.chunks } else { &[] };
        let chunks = chunks.iter().filter(move |chunk| is_due(chunk.renewal, chunk.made));
        chunks.flat_map(|chunk| &chunk.links).filter(move |link| is_due(link.renewal, link.made))
    }

    /// When the next signature is to be made anew.
    #[must_use]
    pub fn next_renewal(&self) -> Option<u64> {
        (!self.chunks.is_empty()).then_some(self.renewal)
    }

    /// When the newest signature was made.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        (!self.chunks.is_empty()).then_some(self.made)
    }

    /// This chain with links put in, or taken out where there is none; sorted by key, each once.
    #[must_use]
    pub fn changed(&self, changes: Vec<(Box<[u8]>, Option<Link>)>) -> Denial {
        let mut chunks = Vec::with_capacity(self.chunks.len() + 1);
        let mut changes = changes.into_iter().peekable();
        for (place, chunk) in self.chunks.iter().enumerate() {
            let end = self.chunks.get(place + 1).map(|next| next.first());
            let is_within = |key: &[u8]| end.is_none_or(|end| key < end);
            if changes.peek().is_none_or(|(key, _)| !is_within(key)) {
                chunks.push(Arc::clone(chunk));
                continue;
            }
            let mut links = Vec::with_capacity(chunk.links.len() + 1);
            let mut old = chunk.links.iter().peekable();
            while let Some((key, link)) = changes.next_if(|(key, _)| is_within(key)) {
                while let Some(before) = old.next_if(|old| old.key() < &*key) {
                    links.push(before.clone());
                }
                let _ = old.next_if(|old| old.key() == &*key);
                links.extend(link);
            }
            links.extend(old.cloned());
            part(links, &self.shared, &mut chunks);
        }
        // Where there is no chunk, none has taken them.
        part(changes.filter_map(|(_, link)| link).collect(), &self.shared, &mut chunks);
        Denial::of(self.order, Arc::clone(&self.shared), chunks)
    }
}

impl Chunk {
    fn new(links: Vec<Link>, shared: &[u8]) -> Chunk {
        let heads = links.iter().map(|link| head_of(link.key(), shared)).collect();
        let renewal = links.iter().map(|link| link.renewal).min().unwrap_or(u64::MAX);
        let made = links.iter().map(|link| link.made).max().unwrap_or(0);
        Chunk { heads, links, renewal, made }
    }

    fn first(&self) -> &[u8] {
        self.links.first().map_or(&[], Link::key)
    }
}

impl Link {
    /// A link of its place in the order, the name in lower-case wire form, and what is rendered at the
    /// apex: NSEC or NSEC3 and its signatures, in the authority section. `renewal` and `made` are
    /// those of the signatures.
    ///
    /// # Panics
    /// If a key or name is longer than any is.
    #[must_use]
    pub fn new(key: &[u8], name: &[u8], record: &[u8], renewal: u64, made: u64) -> Link {
        let octets = |part: &[u8]| u16::try_from(part.len()).expect("a name's octets");
        let (key_octets, name_octets) = (octets(key), octets(name));
        Link { octets: [key, name, record].concat().into(), key_octets, name_octets, renewal, made }
    }

    /// Its place in the order.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.octets[..usize::from(self.key_octets)]
    }

    /// The name, in lower-case wire form.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.octets[usize::from(self.key_octets)..][..usize::from(self.name_octets)]
    }

    /// The record and its signatures.
    #[must_use]
    pub fn rendered(&self) -> Option<Rendered<'_>> {
        Rendered::read(&self.octets[usize::from(self.key_octets) + usize::from(self.name_octets)..])
    }
}

fn part(links: Vec<Link>, shared: &[u8], chunks: &mut Vec<Arc<Chunk>>) {
    if links.len() <= CHUNK_LINKS_MAX {
        if !links.is_empty() {
            chunks.push(Arc::new(Chunk::new(links, shared)));
        }
        return;
    }
    let mut links = links.into_iter().peekable();
    while links.peek().is_some() {
        chunks.push(Arc::new(Chunk::new(links.by_ref().take(CHUNK_LINKS).collect(), shared)));
    }
}

/// What a key has behind `shared`, as far as it goes into a number. It grows with keys: those of equal
/// heads follow each other, and there is one for keys that begin otherwise, too.
fn head_of(key: &[u8], shared: &[u8]) -> u128 {
    let Some(behind) = key.strip_prefix(shared) else {
        return if key < shared { 0 } else { u128::MAX };
    };
    let mut octets = [0; 16];
    let count = behind.len().min(octets.len());
    octets[..count].copy_from_slice(&behind[..count]);
    u128::from_be_bytes(octets)
}

/// How many are at most what is looked for, by its head and, among those with an equal one, by
/// `is_at_most` of their places. All are in order.
fn up_to(heads: &[u128], head: u128, is_at_most: impl Fn(usize) -> bool) -> usize {
    let mut least = heads.partition_point(|other| *other < head);
    let mut most = least + heads[least..].partition_point(|other| *other == head);
    while least < most {
        let middle = least.midpoint(most);
        if is_at_most(middle) { least = middle + 1 } else { most = middle }
    }
    least
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::name::Name;

    /// Vectors of `ldns-nsec3-hash -t 0 -a 1 NAME`.
    #[test]
    fn hashes_are_those_of_another_implementation() {
        for (name, expected) in [
            ("example.com.", "onib9mgub9h0rml3cdf5bgrj59dkjhvk"),
            ("WWW.Example.com.", "mifdndt3nff3od53o7tla1hrff95jkuk"),
        ] {
            let hash = nsec3_hash(Name::parse(name, None).unwrap().to_lower().as_wire());
            assert_eq!(base32(&hash), expected, "{name}");
        }
    }

    fn base32(octets: &[u8]) -> String {
        let bits = octets.iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1));
        let bits: Vec<u8> = bits.collect();
        let digit = |five: &[u8]| five.iter().fold(0, |value, bit| value << 1 | bit);
        bits.chunks(5).map(|five| char::from_digit(digit(five).into(), 32).unwrap()).collect()
    }

    fn link(key: &[u8]) -> Link {
        Link::new(key, key, &[], 5, 1)
    }

    proptest! {
        #[test]
        fn keys_are_in_canonical_order(one in proptest::collection::vec(proptest::collection::vec(0u8..6, 1..4), 0..4),
                                       other in proptest::collection::vec(proptest::collection::vec(0u8..6, 1..4), 0..4)) {
            let name = |labels: &[Vec<u8>]| labels.iter().fold(Name::root(), |name, label| name.child(label).unwrap());
            let (one, other) = (name(&one), name(&other));
            let key = |name: &Name| Key::of(Order::Names, name.as_wire()).as_octets().to_vec();
            prop_assert_eq!(one.cmp(&other), key(&one).cmp(&key(&other)));
        }

        #[test]
        fn a_changed_chain_is_the_one_that_a_map_has(steps in proptest::collection::vec(
            proptest::collection::btree_map(0u16..900, any::<bool>(), 1..300), 1..6), asked in 0u16..900,
            shared in proptest::sample::select(vec![&[][..], &[1], &[1, 44], &[3]]), alike in 0usize..20) {
            // Keys may differ behind their heads alone.
            let key_of = |number: u16| [&[7; 20][..alike], &number.to_be_bytes()].concat();
            let mut chain = Denial::of(Order::Names, shared.into(), Vec::new());
            let mut map = BTreeMap::new();
            for step in steps {
                let changes = step.iter().map(|(key, is_put)| {
                    let key = key_of(*key);
                    (key.as_slice().into(), is_put.then(|| link(&key)))
                });
                chain = chain.changed(changes.collect());
                for (key, is_put) in step {
                    if is_put { map.insert(key, ()); } else { map.remove(&key); }
                }
                let keys = |links: Vec<&Link>| -> Vec<u16> {
                    links.iter().map(|link| u16::from_be_bytes(*link.key().last_chunk().unwrap())).collect()
                };
                prop_assert_eq!(keys(chain.links().collect()), map.keys().copied().collect::<Vec<_>>());
                let octets = key_of(asked);
                let expected = map.range(..=asked).next_back().or(map.iter().next_back()).map(|(key, ())| *key);
                prop_assert_eq!(keys(chain.at_or_before(&octets).into_iter().collect()).first().copied(), expected);
                prop_assert_eq!(keys(chain.after(&octets).collect()), map.range(asked + 1..).map(|(key, ())| *key).collect::<Vec<_>>());
                prop_assert_eq!(keys(chain.before(&octets).collect()), map.range(..asked).rev().map(|(key, ())| *key).collect::<Vec<_>>());
                prop_assert!(chain.chunks.iter().all(|chunk| (1..=CHUNK_LINKS_MAX).contains(&chunk.links.len())));
            }
        }
    }
}
