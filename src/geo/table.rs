//! Address -> region: what queries read.
//!
//! ```text
//! first 16 bits -> heads[65536] -> next 0 to 16 bits -> slots -> leaves, sorted { start, region, how, outside }
//! ```
//!
//! One half for each address family. A leaf covers the addresses from its start to the next
//! start; all of them have one region for one reason. A head is divided into about as many slots
//! as leaves begin in it, so that a slot has one or two: in the few heads that IPv6 uses, too, with
//! tens of thousands of leaves each. Neighbouring leaves of one region form a
//! *run*, and each leaf carries the two addresses just outside: the scope of RFC 7871 follows from
//! them, because the shortest prefix that lies inside a run is one bit longer than what the
//! address has in common with the nearer of the two. So scopes need no table of prefixes and are
//! as short as they can be.
//!
//! Only addresses with a region make leaves: a database of 400,000 networks of which three
//! countries have regions becomes a few thousand.
//!
//! IPv4-mapped IPv6 addresses (`::ffff:0:0/96`) are IPv4 clients and read the IPv4 half. The
//! scopes of other IPv6 addresses are reckoned without regard to that block, in which no client
//! subnet option has any business.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{How, Located, RegionId};
use crate::prefetch::prefetch;

/// The prefix length of `::ffff:0:0/96`.
const MAPPED_PREFIX_LENGTH: u8 = 96;

/// A network that was given to a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The network.
    pub network: IpNet,
    /// Its region.
    pub region: RegionId,
    /// For what reason.
    pub how: How,
}

/// Regions of all addresses. Immutable; lookups neither allocate nor fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    ipv4: Half<u32>,
    ipv6: Half<u128>,
}

impl Table {
    /// Builds the table from layers of claims, of which a later one wins over all earlier ones.
    /// Within a layer the longest prefix wins, and the first of equal networks.
    #[must_use]
    pub fn new(layers: &[Vec<Claim>]) -> Table {
        Table { ipv4: Half::new(layers), ipv6: Half::new(layers) }
    }

    /// The region of an address.
    #[must_use]
    pub fn locate(&self, address: IpAddr) -> Located {
        match address {
            IpAddr::V4(address) => self.ipv4.locate(address.to_bits()),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(ipv4) => {
                    let mut located = self.ipv4.locate(ipv4.to_bits());
                    located.scope += MAPPED_PREFIX_LENGTH;
                    located
                }
                None => self.ipv6.locate(address.to_bits()),
            },
        }
    }

    /// Brings what [`locate`](Self::locate) will read into the cache. It reads three places, each of
    /// which names the next; so steps 0 to 2 take one each, with the same of other queries between them.
    #[inline]
    pub fn fetch<const STEP: usize>(&self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.ipv4.fetch::<STEP>(address.to_bits()),
            IpAddr::V6(address) => self.ipv6.fetch::<STEP>(address.to_bits()),
        }
    }

    /// The region of a client subnet, from the first address of the prefix. The scope may exceed
    /// the length of the prefix, which tells that a longer one would be needed (RFC 7871 7.2.1).
    #[must_use]
    pub fn locate_prefix(&self, address: IpAddr, source_prefix_length: u8) -> Located {
        self.locate(first_address(address, source_prefix_length))
    }

    /// How many ranges the table distinguishes, of both families.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.ipv4.leaves.len() + self.ipv6.leaves.len()
    }
}

impl Default for Table {
    /// All clients in the default region.
    fn default() -> Table {
        Table::new(&[])
    }
}

/// The address with all bits after the prefix zero.
fn first_address(address: IpAddr, prefix_length: u8) -> IpAddr {
    let unused = |bits: u32| bits.saturating_sub(u32::from(prefix_length));
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(unused(u32::BITS)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(unused(u128::BITS)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

/// Bits that choose a head, and then at most a slot.
const HEAD_BITS: u32 = 16;

/// Values of an address's first 16 bits.
const HEADS: usize = 1 << HEAD_BITS;

/// Leaves that are faster looked at one by one than by halves.
const FEW: usize = 8;

/// One address family.
///
/// Invariant `covered`: the leaves' starts ascend strictly and begin with zero, so that each
/// address has a leaf.
/// Invariant `indexed`: the slots of all heads follow each other in the order of addresses; each
/// is the leaf of its first address, and one more ends them with the last leaf. So the leaf of any
/// address lies between its slot and the next, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Half<A> {
    heads: Box<[Head]>,
    slots: Box<[u32]>,
    leaves: Box<[Leaf<A>]>,
}

/// Where the slots of one head begin, and by how many further bits of an address they go: the
/// lowest five bits say that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head(u32);

impl Head {
    fn new(first: usize, bits: u32) -> Head {
        Head(u32::try_from(first << 5).expect("leaves are far below 2^25") | bits)
    }

    fn first(self) -> usize {
        (self.0 >> 5) as usize
    }

    fn bits(self) -> u32 {
        self.0 & 31
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leaf<A> {
    start: A,
    /// The addresses just before and just after its run; twice the same if there is but one.
    outside: [A; 2],
    region: RegionId,
    how: How,
    /// Whether there is none: one run covers the family.
    is_whole: bool,
}

impl<A: Address> Half<A> {
    fn locate(&self, address: A) -> Located {
        let head = self.heads[address.head()];
        let slot = head.first() + address.behind_head(head.bits());
        let low = self.slots[slot] as usize;
        let high = self.slots[slot + 1] as usize;
        // By `indexed` the start of `low` isn't above the address.
        let mut later = &self.leaves[low..=high];
        if later.len() > FEW {
            later = &later[later.partition_point(|leaf| leaf.start <= address) - 1..];
        }
        let mut leaf = &later[0];
        for next in &later[1..] {
            if next.start > address {
                break;
            }
            leaf = next;
        }
        Located { region: leaf.region, how: leaf.how, scope: leaf.scope(address) }
    }

    fn fetch<const STEP: usize>(&self, address: A) {
        let head = &self.heads[address.head()];
        if STEP == 0 {
            return prefetch(head);
        }
        let slot = &self.slots[head.first() + address.behind_head(head.bits())];
        if STEP == 1 {
            return prefetch(slot);
        }
        prefetch(&self.leaves[*slot as usize]);
    }

    fn new(layers: &[Vec<Claim>]) -> Half<A> {
        let mut spans = vec![Span { start: A::ZERO, to: None }];
        for layer in layers {
            spans = overlay(&spans, &flatten(layer));
        }
        // Neighbours alike become one.
        spans.dedup_by(|next, previous| next.to == previous.to);

        let leaves = leaves(&spans);
        let (heads, slots) = index(&leaves);
        Half { heads, slots, leaves }
    }
}

impl<A: Address> Leaf<A> {
    /// Length of the shortest prefix around the address that stays inside the run.
    fn scope(&self, address: A) -> u8 {
        if self.is_whole { 0 } else { address.common_with_nearer(self.outside) + 1 }
    }
}

/// The addresses from `start` to the next span's start, and to whom they go.
#[derive(Clone, Copy)]
struct Span<A> {
    start: A,
    to: Option<(RegionId, How)>,
}

/// Nested networks as spans side by side: longest prefix wins, first of equals wins.
fn flatten<A: Address>(claims: &[Claim]) -> Vec<Span<A>> {
    let mut ranges: Vec<(A, A, u8, (RegionId, How))> = claims
        .iter()
        .filter_map(|claim| {
            let (first, last) = A::range(&claim.network)?;
            Some((first, last, claim.network.prefix_len(), (claim.region, claim.how)))
        })
        .collect();
    // Stable: among equal networks the first stays first.
    ranges.sort_by_key(|&(first, _, prefix_length, _)| (first, prefix_length));
    ranges.dedup_by_key(|&mut (first, _, prefix_length, _)| (first, prefix_length));

    let mut spans = vec![Span { start: A::ZERO, to: None }];
    // Networks around the current place, outermost first: (last address, to whom).
    let mut around: Vec<(A, (RegionId, How))> = Vec::new();
    for (first, last, _, to) in ranges {
        leave(&mut around, &mut spans, Some(first));
        push(&mut spans, Span { start: first, to: Some(to) });
        around.push((last, to));
    }
    leave(&mut around, &mut spans, None);
    spans
}

/// Ends all networks that don't reach `until`; what is around them goes on behind them.
fn leave<A: Address>(around: &mut Vec<(A, (RegionId, How))>, spans: &mut Vec<Span<A>>, until: Option<A>) {
    while let Some(&(last, _)) = around.last() {
        if until.is_some_and(|until| last >= until) {
            return;
        }
        around.pop();
        if let Some(behind) = last.successor() {
            push(spans, Span { start: behind, to: around.last().map(|&(_, to)| to) });
        }
    }
}

/// Appends a span; of several with one start the last one counts.
fn push<A: Address>(spans: &mut Vec<Span<A>>, span: Span<A>) {
    match spans.last_mut() {
        Some(last) if last.start == span.start => *last = span,
        _ => spans.push(span),
    }
}

/// The spans of both, where `above` wins wherever it says anything.
fn overlay<A: Address>(below: &[Span<A>], above: &[Span<A>]) -> Vec<Span<A>> {
    let mut spans = Vec::with_capacity(below.len() + above.len());
    let (mut below, mut above) = (below.iter().peekable(), above.iter().peekable());
    let (mut low, mut high) = (None, None);
    loop {
        let next = match (below.peek(), above.peek()) {
            (Some(one), Some(other)) => one.start.min(other.start),
            (Some(one), None) | (None, Some(one)) => one.start,
            (None, None) => return spans,
        };
        if let Some(span) = below.next_if(|span| span.start == next) {
            low = span.to;
        }
        if let Some(span) = above.next_if(|span| span.start == next) {
            high = span.to;
        }
        spans.push(Span { start: next, to: high.or(low) });
    }
}

fn leaves<A: Address>(spans: &[Span<A>]) -> Box<[Leaf<A>]> {
    let placed: Vec<(A, RegionId, How)> = spans
        .iter()
        .map(|span| {
            let (region, how) = span.to.unwrap_or_default();
            (span.start, region, how)
        })
        .collect();
    let mut leaves = Vec::with_capacity(placed.len());
    let mut behind = placed.iter().map(|&(start, ..)| start).skip_while(|&start| start == A::ZERO);
    for run in placed.chunk_by(|one, next| one.1 == next.1) {
        let before = run[0].0.predecessor();
        // The iterator yields the start after each span, and so the one after the run's last.
        let after = behind.nth(run.len() - 1);
        let outside = [before.or(after).unwrap_or(A::ZERO), after.or(before).unwrap_or(A::ZERO)];
        let is_whole = before.is_none() && after.is_none();
        leaves.extend(run.iter().map(|&(start, region, how)| Leaf { start, outside, region, how, is_whole }));
    }
    leaves.into()
}

fn index<A: Address>(leaves: &[Leaf<A>]) -> (Box<[Head]>, Box<[u32]>) {
    let mut heads = Vec::with_capacity(HEADS);
    let mut slots = Vec::with_capacity(HEADS + 2 * leaves.len());
    let mut leaf = 0;
    for head in 0..HEADS {
        // By `covered` leaf 0 is none of those that begin in a head and end another there.
        let within = leaves[leaf + 1..].iter().take_while(|next| next.start.head() == head).count();
        let bits = if within == 0 { 0 } else { (within.ilog2() + 1).min(HEAD_BITS) };
        heads.push(Head::new(slots.len(), bits));
        for slot in 0..1 << bits {
            let first = A::first_of(head, slot, bits);
            while leaves.get(leaf + 1).is_some_and(|next| next.start <= first) {
                leaf += 1;
            }
            slots.push(leaf as u32);
        }
        // Leaves that begin behind the last slot's first address.
        leaf += leaves[leaf + 1..].iter().take_while(|next| next.start.head() == head).count();
    }
    slots.push(leaf as u32);
    (heads.into(), slots.into())
}

/// The bits of an address of one family.
trait Address: Copy + Ord {
    const ZERO: Self;

    /// First and last address of a network, if it is of this family.
    fn range(network: &IpNet) -> Option<(Self, Self)>;
    fn successor(self) -> Option<Self>;
    fn predecessor(self) -> Option<Self>;
    /// How many leading bits this has in common with one of the others, whichever has more; never
    /// asked of equal addresses.
    fn common_with_nearer(self, others: [Self; 2]) -> u8;
    /// The first 16 bits.
    fn head(self) -> usize;
    /// As many of the bits behind those, up to 16.
    fn behind_head(self, bits: u32) -> usize;
    /// The first address with these first 16 bits, and these behind them.
    fn first_of(head: usize, behind: usize, bits: u32) -> Self;
}

macro_rules! address {
    ($bits:ty, $family:ident) => {
        impl Address for $bits {
            const ZERO: $bits = 0;

            fn range(network: &IpNet) -> Option<($bits, $bits)> {
                match network {
                    IpNet::$family(network) => {
                        Some((network.network().to_bits(), network.broadcast().to_bits()))
                    }
                    _ => None,
                }
            }

            fn successor(self) -> Option<$bits> {
                self.checked_add(1)
            }

            fn predecessor(self) -> Option<$bits> {
                self.checked_sub(1)
            }

            fn common_with_nearer(self, [one, other]: [$bits; 2]) -> u8 {
                (self ^ one).min(self ^ other).leading_zeros() as u8
            }

            fn head(self) -> usize {
                (self >> (<$bits>::BITS - HEAD_BITS)) as usize
            }

            fn behind_head(self, bits: u32) -> usize {
                let behind = (self >> (<$bits>::BITS - 2 * HEAD_BITS)) as usize & (HEADS - 1);
                behind >> (HEAD_BITS - bits)
            }

            fn first_of(head: usize, behind: usize, bits: u32) -> $bits {
                ((head << bits | behind) as $bits) << (<$bits>::BITS - HEAD_BITS - bits)
            }
        }
    };
}

address!(u32, V4);
address!(u128, V6);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(network: &str, region: u16) -> Claim {
        Claim { network: network.parse().unwrap(), region: RegionId(region), how: How::Network }
    }

    fn located(table: &Table, address: &str) -> (u16, u8) {
        let located = table.locate(address.parse().unwrap());
        (located.region.0, located.scope)
    }

    #[test]
    fn nested_networks_and_scopes() {
        let table = Table::new(&[vec![
            claim("192.0.2.0/24", 1),
            claim("192.0.2.128/25", 2),
            claim("192.0.2.128/32", 1),
            claim("2001:db8::/32", 3),
        ]]);
        assert_eq!(located(&table, "192.0.2.1"), (1, 25));
        assert_eq!(located(&table, "192.0.2.128"), (1, 32));
        assert_eq!(located(&table, "192.0.2.129"), (2, 32));
        assert_eq!(located(&table, "192.0.2.255"), (2, 26));
        assert_eq!(located(&table, "192.0.3.0"), (0, 24));
        assert_eq!(located(&table, "0.0.0.0"), (0, 1));
        assert_eq!(located(&table, "::ffff:192.0.2.1"), (1, 96 + 25));
        assert_eq!(located(&table, "2001:db8::1"), (3, 32));
        assert_eq!(located(&table, "2001:db9::1"), (0, 32));
        assert_eq!(located(&table, "ffff::"), (0, 1));
    }

    #[test]
    fn without_claims_all_is_one_region() {
        let table = Table::default();
        for address in ["0.0.0.0", "255.255.255.255", "::", "ffff::1"] {
            assert_eq!(table.locate(address.parse().unwrap()), Located::default());
        }
        assert_eq!(located(&table, "::ffff:192.0.2.1"), (0, 96));
    }

    #[test]
    fn a_whole_family_can_be_claimed() {
        let table = Table::new(&[vec![claim("0.0.0.0/0", 1), claim("::/0", 2)]]);
        assert_eq!(located(&table, "255.255.255.255"), (1, 0));
        assert_eq!(located(&table, "ffff::"), (2, 0));
    }

    #[test]
    fn scope_looks_at_regions_not_at_reasons() {
        let database = Claim { how: How::Country, ..claim("198.51.100.0/23", 1) };
        let table = Table::new(&[vec![database], vec![claim("198.51.100.0/24", 1)]]);
        let address = "198.51.100.1".parse().unwrap();
        assert_eq!(table.locate(address), Located { region: RegionId(1), how: How::Network, scope: 23 });
        assert_eq!(table.locate("198.51.101.1".parse().unwrap()).how, How::Country);
    }

    #[test]
    fn a_short_client_prefix_gets_a_longer_scope() {
        let table = Table::new(&[vec![claim("192.0.2.0/26", 1)]]);
        let located = table.locate_prefix("192.0.2.255".parse().unwrap(), 24);
        assert_eq!((located.region.0, located.scope), (1, 26));
        let located = table.locate_prefix("192.0.2.1".parse().unwrap(), 0);
        assert_eq!((located.region.0, located.scope), (0, 1));
        let located = table.locate_prefix("192.0.2.1".parse().unwrap(), 255);
        assert_eq!((located.region.0, located.scope), (1, 26));
    }

    /// What the table must say, found by looking at every claim.
    fn naive(layers: &[Vec<Claim>], address: IpAddr) -> (RegionId, How) {
        for layer in layers.iter().rev() {
            let mut best: Option<&Claim> = None;
            for claim in layer.iter().filter(|claim| claim.network.contains(&address)) {
                if best.is_none_or(|best| claim.network.prefix_len() > best.network.prefix_len()) {
                    best = Some(claim);
                }
            }
            if let Some(claim) = best {
                return (claim.region, claim.how);
            }
        }
        (RegionId::DEFAULT, How::Default)
    }

    /// Networks crowded into few bits, so that they nest and touch.
    fn networks() -> impl Strategy<Value = IpNet> {
        let ipv4 = (any::<u32>(), 0..=32_u8, any::<bool>()).prop_map(|(bits, length, crowded)| {
            let bits = if crowded { bits & 0xc000_00ff } else { bits };
            ipnet::Ipv4Net::new_assert(Ipv4Addr::from_bits(bits), length).trunc().into()
        });
        let ipv6 = (any::<u128>(), 0..=128_u8, any::<bool>()).prop_map(|(bits, length, crowded)| {
            let bits = if crowded { bits & (0xc000 << 112 | 0xff) } else { bits };
            ipnet::Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), length).trunc().into()
        });
        prop_oneof![ipv4, ipv6]
    }

    fn layers() -> impl Strategy<Value = Vec<Vec<Claim>>> {
        let how = prop_oneof![Just(How::Network), Just(How::Country), Just(How::Asn)];
        let claim = (networks(), 0..4_u16, how).prop_map(|(network, region, how)| Claim {
            network,
            region: RegionId(region),
            how,
        });
        prop::collection::vec(prop::collection::vec(claim, 0..24), 0..3)
    }

    /// Addresses at and just outside all edges, where mistakes live; and random ones.
    fn addresses(layers: &[Vec<Claim>], random: &[u128]) -> Vec<IpAddr> {
        let mut addresses = vec![IpAddr::V4(Ipv4Addr::BROADCAST), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        for claim in layers.iter().flatten() {
            match claim.network {
                IpNet::V4(network) => {
                    let (first, last) = (network.network().to_bits(), network.broadcast().to_bits());
                    for bits in [first, last, first.wrapping_sub(1), last.wrapping_add(1)] {
                        addresses.push(Ipv4Addr::from_bits(bits).into());
                    }
                }
                IpNet::V6(network) => {
                    let (first, last) = (network.network().to_bits(), network.broadcast().to_bits());
                    for bits in [first, last, first.wrapping_sub(1), last.wrapping_add(1)] {
                        addresses.push(Ipv6Addr::from_bits(bits).into());
                    }
                }
            }
        }
        for &bits in random {
            addresses.push(Ipv4Addr::from_bits(bits as u32).into());
            addresses.push(Ipv6Addr::from_bits(bits).into());
        }
        addresses.retain(|address| !matches!(address, IpAddr::V6(ipv6) if ipv6.to_ipv4_mapped().is_some()));
        addresses
    }

    proptest! {
        #[test]
        fn agrees_with_longest_prefix(layers in layers(), random in prop::collection::vec(any::<u128>(), 8)) {
            let table = Table::new(&layers);
            for address in addresses(&layers, &random) {
                let located = table.locate(address);
                prop_assert_eq!((located.region, located.how), naive(&layers, address), "{}", address);
            }
        }

        #[test]
        fn scope_is_the_shortest_of_one_region(layers in layers(), random in prop::collection::vec(any::<u128>(), 8)) {
            let table = Table::new(&layers);
            let addresses = addresses(&layers, &random);
            for &address in &addresses {
                let located = table.locate(address);
                let scope = IpNet::new(address, located.scope).unwrap();
                // The edges of all claims are among the addresses: a change of region inside the
                // scope would show at one of them.
                for other in addresses.iter().filter(|other| scope.contains(*other)) {
                    prop_assert_eq!(table.locate(*other).region, located.region, "{} in {}", other, scope);
                }
                if let Some(wider) = scope.supernet() {
                    prop_assert!(
                        addresses.iter().any(|other| wider.contains(other)
                            && table.locate(*other).region != located.region),
                        "{} could be wider", scope
                    );
                }
            }
        }
    }
}
