//! By what networks know the alternatives that they choose among.

use std::cell::OnceCell;
use std::collections::HashMap;

use siphasher::sip::SipHasher24;

use crate::route::{Alternative, Pick, Route, Routing, TargetId};

/// The keys of a route's targets.
#[derive(Debug)]
pub struct Sticky<'a> {
    routing: &'a Routing,
    route: &'a Route,
    /// Of all targets, once there is something to choose.
    keys: OnceCell<HashMap<TargetId, u64>>,
}

impl<'a> Sticky<'a> {
    /// The keys of this route's targets.
    #[must_use]
    pub fn new(routing: &'a Routing, route: &'a Route) -> Sticky<'a> {
        Sticky { routing, route, keys: OnceCell::new() }
    }

    /// Keys and weights of a pick's alternatives; empty if there is nothing to choose, or chance
    /// chooses.
    #[must_use]
    pub fn among(&self, pick: &Pick) -> Vec<(u64, u32)> {
        let all = match pick {
            Pick::Addresses(all) | Pick::Cname(all) if self.route.sticky && all.len() > 1 => all,
            _ => return Vec::new(),
        };
        let keys = self.keys.get_or_init(|| self.keys());
        let key = |one: &Alternative| {
            let first = one.targets.first().map(|first| self.routing.whole(*first));
            first.and_then(|first| keys.get(&first)).copied().unwrap_or(0)
        };
        all.iter().map(|one| (key(one), u32::from(one.weight))).collect()
    }

    /// A target is known by its site, if no other target of the route stands there, and otherwise
    /// by its name. So routes with the same shares send a network to the same site.
    fn keys(&self) -> HashMap<TargetId, u64> {
        let ids = self.route.targets();
        let targets = || ids.iter().filter_map(|id| Some((*id, self.routing.targets.get(id.0 as usize)?)));
        let mut at_site: HashMap<&str, usize> = HashMap::new();
        for site in targets().filter_map(|(_, target)| target.site.as_deref()) {
            *at_site.entry(site).or_default() += 1;
        }
        let known_by = |(id, target): (TargetId, &'a crate::route::Target)| {
            let site = target.site.as_deref().filter(|site| at_site[site] == 1);
            // Unseeded: every server gives every network the same.
            (id, SipHasher24::new().hash(site.unwrap_or(&target.name).as_bytes()))
        };
        targets().map(known_by).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::zone;
    use crate::wire::name::Name;

    /// The keys of the targets of each route, in the order of the file.
    fn keys(text: &str) -> Vec<Vec<u64>> {
        let apex = Name::parse("example.com.", None).unwrap();
        let (config, _) = zone::parse(Path::new("z.toml"), text, &apex, &[]).unwrap();
        let routes = config.routing.routes.iter();
        routes
            .map(|route| {
                let all = route.targets().into_iter();
                let all = all.map(|target| Alternative { weight: 1, targets: vec![target] }).collect();
                let among = Sticky::new(&config.routing, route).among(&Pick::Addresses(all));
                among.into_iter().map(|(key, _)| key).collect()
            })
            .collect()
    }

    fn target(name: &str, site: &str) -> String {
        format!("[targets.{name}]\nsite = \"{site}\"\nipv4 = \"192.0.2.1\"\n")
    }

    #[test]
    fn routes_to_the_same_sites_send_a_network_to_the_same_site() {
        let targets: String = [("web-tw", "tw"), ("web-my", "my"), ("imap-tw", "tw"), ("imap-my", "my")]
            .map(|(name, site)| target(name, site))
            .concat();
        let route =
            |name: &str, chain: &str| format!("[routes.{name}]\ntype = \"address\"\ndefault = [{chain}]\n");
        let known = keys(&format!(
            "{targets}{}{}{}{}",
            route("web", "\"web-tw\", \"web-my\""),
            route("imap", "\"imap-tw\", \"imap-my\""),
            route("both", "\"web-tw\", \"imap-tw\", \"web-my\""),
            route("chance", "\"web-tw\", \"web-my\"") + "sticky = false\n",
        ));
        assert_eq!(known[0], known[1]);
        assert_ne!(known[0][0], known[0][1]);
        // Two of one site are told apart by their names.
        assert_ne!(known[2][0], known[2][1]);
        assert_eq!(known[2][2], known[0][1]);
        assert!(known[3].is_empty());
    }

    #[test]
    fn keys_are_the_same_in_every_build_and_on_every_server() {
        let text = target("a", "tw")
            + "[routes.w]\ntype = \"address\"\ndefault = [\"a\", \"b\"]\n[targets.b]\nipv4 = \"192.0.2.2\"\n";
        assert_eq!(keys(&text), [[4_750_597_484_187_885_822, 17_270_894_748_891_556_580]]);
    }
}
