//! How probes behave towards those they ask: `[probing]` of `waypost.toml`.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::limits::{PROBES_AT_ONCE, PROBES_PER_TARGET};

/// What calls itself a probe in logs, unless the configuration says otherwise.
pub(super) const USER_AGENT: &str = concat!("waypost/", env!("CARGO_PKG_VERSION"), " (health probe)");

/// Who probes say they are, where they come from, and how many come at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manners {
    /// The address that probes of IPv4 targets come from; none: the system's choice.
    pub source_ipv4: Option<Ipv4Addr>,
    /// The address that probes of IPv6 targets come from; none: the system's choice.
    pub source_ipv6: Option<Ipv6Addr>,
    /// Name given with EHLO and LHLO if a probe says none; none: the address that it comes from.
    pub ehlo: Option<String>,
    /// How HTTP probes call themselves; none: `waypost/VERSION (health probe)`.
    pub user_agent: Option<String>,
    /// Connections to one address at once. Further probes of it wait.
    pub max_connections_per_target: usize,
    /// Probes on their way at once. Further ones wait.
    pub max_in_flight: usize,
}

impl Default for Manners {
    fn default() -> Manners {
        Manners {
            source_ipv4: None,
            source_ipv6: None,
            ehlo: None,
            user_agent: None,
            max_connections_per_target: PROBES_PER_TARGET,
            max_in_flight: PROBES_AT_ONCE,
        }
    }
}
