//! Who is sent where, as the server itself answers.

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use hickory_proto::rr::{RData, RecordType};
use ipnet::{IpNet, Ipv4Net};

use super::client::{AskError, ask};
use super::site_of;
use crate::load::Offline;

/// The name whose address moves.
pub const WEBMAIL: &str = "webmail.example.com.";
/// The domain whose mail exchangers change their order.
pub const MAIL_DOMAIN: &str = "example.com.";

/// A network that clients are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The country that it is registered in.
    pub country: &'static str,
    /// Its first address; the network has 24 bits.
    pub first: Ipv4Addr,
}

/// One network for each of the example's regions, the one of the site `tw` first.
pub const CLIENTS: [Network; 3] = [
    Network { country: "TW", first: Ipv4Addr::new(1, 160, 0, 0) },
    Network { country: "MY", first: Ipv4Addr::new(175, 136, 0, 0) },
    Network { country: "VN", first: Ipv4Addr::new(113, 160, 0, 0) },
];

impl Network {
    /// As a resolver sends it.
    #[must_use]
    pub fn subnet(&self) -> IpNet {
        IpNet::V4(Ipv4Net::new_assert(self.first, 24))
    }
}

/// Which site an address or host stands in.
#[derive(Debug)]
pub(super) struct Places {
    addresses: HashMap<Ipv4Addr, String>,
    hosts: HashMap<String, String>,
}

impl Places {
    pub(super) fn of(example: &Offline) -> Places {
        let targets = || example.zones.iter().flat_map(|(_, loaded)| &loaded.config.routing.targets);
        let site = |target| site_of(target).to_owned();
        Places {
            addresses: targets().filter_map(|target| Some((target.ipv4?, site(target)))).collect(),
            hosts: targets()
                .filter_map(|target| Some((target.host.as_ref()?.to_string().to_lowercase(), site(target))))
                .collect(),
        }
    }
}

/// What clients of each network get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    rows: Vec<Row>,
}

/// What clients of one network get.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    network: Network,
    addresses: Vec<Ipv4Addr>,
    ttl: u32,
    sites: Vec<String>,
    /// Sites of the mail exchangers, the most preferred first.
    exchangers: Vec<String>,
}

impl Table {
    pub(super) fn ask(server: SocketAddr, places: &Places) -> Result<Table, AskError> {
        let rows = CLIENTS.iter().map(|network| Row::ask(server, *network, places));
        Ok(Table { rows: rows.collect::<Result<_, _>>()? })
    }

    /// The sites that clients of a country get as webmail; several when an answer has several.
    #[must_use]
    pub fn webmail(&self, country: &str) -> String {
        self.row(country).map(|row| row.sites.join("+")).unwrap_or_default()
    }

    /// The sites of a country's mail exchangers, in order of preference.
    #[must_use]
    pub fn mail(&self, country: &str) -> String {
        self.row(country).map(|row| row.exchangers.join(" > ")).unwrap_or_default()
    }

    /// Whether clients are sent to the same places, whatever the TTL.
    #[must_use]
    pub fn leads_as(&self, other: &Table) -> bool {
        let places = |table: &Table| -> Vec<_> {
            table.rows.iter().map(|row| (row.addresses.clone(), row.exchangers.clone())).collect()
        };
        places(self) == places(other)
    }

    fn row(&self, country: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.network.country == country)
    }
}

impl Row {
    fn ask(server: SocketAddr, network: Network, places: &Places) -> Result<Row, AskError> {
        let mut row =
            Row { network, addresses: Vec::new(), ttl: 0, sites: Vec::new(), exchangers: Vec::new() };
        for record in ask(server, WEBMAIL, RecordType::A, network.subnet())? {
            if let RData::A(address) = record.data {
                row.addresses.push(address.0);
                row.ttl = record.ttl;
            }
        }
        // Servers may turn the order of equal records.
        row.addresses.sort_unstable();
        let unknown = || "?".to_owned();
        row.sites = row
            .addresses
            .iter()
            .map(|address| places.addresses.get(address).cloned().unwrap_or_else(unknown))
            .collect();
        let mut exchangers = Vec::new();
        for record in ask(server, MAIL_DOMAIN, RecordType::MX, network.subnet())? {
            if let RData::MX(mx) = record.data {
                exchangers.push((mx.preference, mx.exchange.to_string().to_lowercase()));
            }
        }
        exchangers.sort_unstable();
        row.exchangers = exchangers
            .into_iter()
            .map(|(_, host)| places.hosts.get(&host).cloned().unwrap_or(host))
            .collect();
        Ok(row)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {:<21} {:<22} {:>5}  mail goes to", "clients in", "webmail", "TTL")?;
        for row in &self.rows {
            let client = format!("{} {}", row.network.country, row.network.subnet());
            let addresses: Vec<String> = row.addresses.iter().map(ToString::to_string).collect();
            let webmail = format!("{} ({})", addresses.join(" "), row.sites.join(" "));
            let mail = row.exchangers.join(" > ");
            write!(f, "\n  {client:<21} {webmail:<22} {:>4}s  {mail}", row.ttl)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(site: &str, ttl: u32) -> Table {
        let row = Row {
            network: CLIENTS[0],
            addresses: vec![Ipv4Addr::new(198, 51, 100, if site == "tw" { 10 } else { 20 })],
            ttl,
            sites: vec![site.to_owned()],
            exchangers: vec![site.to_owned(), "vn".to_owned()],
        };
        Table { rows: vec![row] }
    }

    #[test]
    fn shown_in_columns() {
        let shown = table("tw", 60).to_string();
        assert_eq!(
            shown.lines().nth(1).unwrap(),
            "  TW 1.160.0.0/24       198.51.100.10 (tw)       60s  tw > vn"
        );
    }

    #[test]
    fn a_ttl_is_a_change_but_leads_nowhere_else() {
        assert_ne!(table("tw", 60), table("tw", 5));
        assert!(table("tw", 60).leads_as(&table("tw", 5)));
        assert!(!table("tw", 60).leads_as(&table("my", 60)));
        assert_eq!((&*table("my", 5).webmail("TW"), &*table("my", 5).webmail("VN")), ("my", ""));
    }
}
