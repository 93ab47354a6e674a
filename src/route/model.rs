//! Targets and routes of one zone, checked: every index is inside, every owner inside the zone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::geo::RegionId;
use crate::health::{Desired, Need};
use crate::wire::name::Name;

/// All that says how one zone's names move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// The zone's apex.
    pub apex: Name,
    /// Targets; routes name them by their place here.
    pub targets: Vec<Target>,
    /// Routes, in the order of the file.
    pub routes: Vec<Route>,
}

impl Routing {
    /// A zone whose names stay where they are.
    #[must_use]
    pub fn none(apex: &Name) -> Routing {
        Routing { apex: apex.clone(), targets: Vec::new(), routes: Vec::new() }
    }

    /// The same routes after regions were numbered anew: `old` and `new` are their names, in the
    /// order of their numbers. A region that is gone has no chain any more.
    #[must_use]
    pub fn with_regions(&self, old: &[String], new: &[String]) -> Routing {
        let translated = |region: RegionId| {
            let name = old.get(usize::from(region.0).checked_sub(1)?)?;
            let place = new.iter().position(|candidate| candidate == name)?;
            u16::try_from(place + 1).ok().map(RegionId)
        };
        let mut routing = self.clone();
        for route in &mut routing.routes {
            let regions = std::mem::take(&mut route.regions);
            route.regions =
                regions.into_iter().filter_map(|(id, chain)| Some((translated(id)?, chain))).collect();
        }
        routing
    }
}

/// A target by its place in [`Routing::targets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub u32);

/// One place that clients can be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name, unique in its zone.
    pub name: String,
    /// Site (datacentre) that it stands in.
    pub site: Option<String>,
    /// IPv4 address: served by address routes, and probed.
    pub ipv4: Option<Ipv4Addr>,
    /// IPv6 address: likewise.
    pub ipv6: Option<Ipv6Addr>,
    /// Host name: served by CNAME, MX and SRV routes. Absolute.
    pub host: Option<Name>,
    /// Host name that says its addresses, in place of `ipv4` and `ipv6`. Absolute.
    pub address_of: Option<Name>,
    /// The addresses of that name now, each a target of its own behind those of the file.
    pub parts: Vec<TargetId>,
    /// Of a part: the target that it belongs to.
    pub part_of: Option<TargetId>,
    /// The operator's word in the file (`state = "drained"`).
    pub desired: Desired,
    /// What to take it for until its first probe has answered.
    pub assume_up: bool,
    /// Names of its probes, in the zone's `[probes]`. Empty: never probed, always as assumed.
    pub probes: Vec<String>,
    /// How many of them must be well.
    pub probes_need: Need,
    /// What must be served for this to be; its own needs before its site's.
    pub needs: Vec<Dependency>,
    /// How many shares of clients it can take in all.
    pub capacity: Option<u32>,
    /// How many it has of its own, while everything is well.
    pub load: Option<u32>,
}

/// Something that a target needs to be of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// As people call it: `imap-tw`, `imap at tw`.
    pub name: String,
    /// One of these has to be eligible; never empty.
    pub any_of: Vec<TargetId>,
}

impl Target {
    /// The address of a family, if it has one of its own.
    #[must_use]
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.ipv4.map(IpAddr::V4),
            Family::V6 => self.ipv6.map(IpAddr::V6),
        }
    }

    /// The name of the need with that place in [`needs`](Self::needs), as a standing or an event has
    /// it; nothing if none is lacked.
    #[must_use]
    pub fn need(&self, nth: Option<u16>) -> Option<&str> {
        self.needs.get(usize::from(nth?)).map(|needed| needed.name.as_str())
    }
}

/// Address family. IPv4 and IPv6 of a target are judged apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4: A records.
    V4,
    /// IPv6: AAAA records.
    V6,
}

impl Family {
    /// Both families.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];
}

/// A route: owners that move together, and where each region's clients go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The key in the file, for messages: `webmail`.
    pub label: String,
    /// Owner names, absolute; wildcards allowed. At least one.
    pub owners: Vec<Name>,
    /// What it answers.
    pub kind: Kind,
    /// The chain of each region that has one of its own. Never empty chains.
    pub regions: Vec<(RegionId, Vec<Tier>)>,
    /// The chain of all other clients. Never empty.
    pub default: Vec<Tier>,
    /// How many targets an answer holds at least, filled up from following tiers. 0: the whole
    /// first eligible tier. Not used by MX, whose set is always whole.
    pub answers: usize,
    /// How long caches keep answers.
    pub ttl: Ttl,
    /// When a recovered target gets its clients back.
    pub failback: Failback,
    /// Whether ECS places the client; otherwise its source address alone.
    pub ecs: bool,
    /// Whether a client's network always gets the same of several weighted targets; otherwise
    /// each query gets one by chance.
    pub sticky: bool,
    /// How much of a tier must be eligible for it to answer; none: any target of it.
    pub min_healthy: Option<Minimum>,
}

/// How much of a tier must be eligible for it to answer. A tier below it hands all its clients to
/// the next, so that few targets don't carry what was meant for many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minimum {
    /// Per cent of its weights; of its targets, if they have none.
    Percent(u32),
    /// Targets; all of a tier that has fewer.
    Targets(usize),
}

impl Route {
    /// The chain that a region's clients walk.
    #[must_use]
    pub fn chain(&self, region: RegionId) -> &[Tier] {
        self.regions.iter().find(|(id, _)| *id == region).map_or(&self.default, |(_, chain)| chain)
    }

    /// Every target that the route names, each once, in order of first mention.
    #[must_use]
    pub fn targets(&self) -> Vec<TargetId> {
        // By place: three hundred regions name the same few again and again.
        let (mut seen, mut known) = (Vec::new(), Vec::new());
        for chain in self.regions.iter().map(|(_, chain)| chain).chain([&self.default]) {
            for target in chain.iter().flat_map(|tier| &tier.members).map(|member| member.target) {
                let place = target.0 as usize;
                if known.len() <= place {
                    known.resize(place + 1, false);
                }
                if !std::mem::replace(&mut known[place], true) {
                    seen.push(target);
                }
            }
        }
        seen
    }

    /// Whether it answers whatever another one does, at other owners.
    #[must_use]
    pub fn answers_as(&self, other: &Route) -> bool {
        // Whoever adds a field has to say here whether answers depend on it.
        let Route {
            label: _,
            owners: _,
            kind,
            regions,
            default,
            answers,
            ttl,
            failback,
            ecs,
            sticky,
            min_healthy,
        } = self;
        // What tells most of them apart comes first, and chains, which are far in memory, last.
        *ttl == other.ttl
            && *kind == other.kind
            && *answers == other.answers
            && *failback == other.failback
            && *ecs == other.ecs
            && *sticky == other.sticky
            && *min_healthy == other.min_healthy
            && *default == other.default
            && *regions == other.regions
    }
}

/// What a route answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A and AAAA, from the targets' addresses.
    Address,
    /// CNAME to one target's host.
    Cname,
    /// MX: all targets' hosts in every region and state; only preferences move.
    Mx,
    /// SRV to the targets' hosts at one port.
    Srv {
        /// Port of the service.
        port: u16,
    },
}

/// Targets of equal rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Its members; never empty.
    pub members: Vec<Member>,
}

/// A target in a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The target.
    pub target: TargetId,
    /// Its share of the tier's clients; all zero: the whole tier answers together. In SRV
    /// routes the weight of the record (RFC 2782).
    pub weight: u16,
}

/// TTLs of a route, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// While nothing moves.
    pub normal: u32,
    /// From the first suspicion until all is confirmed again.
    pub short: u32,
}

/// When a recovered target gets its clients back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failback {
    /// At once.
    Auto,
    /// When it has been up for so long.
    After(Duration),
    /// When an operator releases it: a stale primary must not take over by itself.
    Manual,
}
