//! `waypost delegation ZONE`: what the parent zone must hold, as zone-file text to paste there.

use std::fmt::{self, Display, Write as _};

use super::{ConfigArg, Failure};
use crate::diagnostic::did_you_mean;
use crate::dnssec::Keyring;
use crate::keys::{Signed, Store, keyring};
use crate::load::{LoadedZone, Offline, read_once};
use crate::publish::now;
use crate::route::{Kind, Routing};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::zone::{Zone, rdata_text};

/// Seconds that caches may keep the parent's CNAME lines: where these lead doesn't change; what
/// changes is behind them, with TTLs of its own.
const ALIAS_TTL: u32 = 3600;

#[derive(Debug, clap::Args)]
#[command(long_about = "Print what the parent zone must hold for a zone that is served here: NS lines, \
    addresses of nameservers that lie in the zone itself, and a CNAME line for each routed name, so that \
    webmail.example.com leads to webmail.gslb.example.com. The text goes into the parent's zone file as it is.")]
pub(super) struct Args {
    /// Zone that is served here, such as gslb.example.com
    zone: String,
    /// Parent zone; without it the zone's name without its first label
    #[arg(long, value_name = "ZONE")]
    parent: Option<String>,
    /// No CNAME lines: the parent is a registry's, or names are published otherwise
    #[arg(long)]
    no_aliases: bool,
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let apex = name(&args.zone)?;
    let parent = match &args.parent {
        Some(parent) => name(parent)?,
        None => apex.parent().ok_or_else(|| Failure::Message("the root has no parent".to_owned()))?,
    };
    if apex == parent || !apex.is_at_or_below(&parent) {
        return Err(Failure::Message(format!("{apex} isn't below {parent}")));
    }
    let offline = read_once(&args.config.config);
    let found = offline.zones.iter().find(|(files, _)| files.apex == apex);
    let Some((_, loaded)) = found else { return Err(missing(&offline, &apex)) };
    let delegation = Delegation {
        zone: &loaded.zone,
        routing: &loaded.config.routing,
        keyring: keys(&offline, loaded)?,
        parent: &parent,
        // Names of a registry's zone are other people's.
        has_aliases: !args.no_aliases && parent.label_count() > 1,
    };
    print!("{delegation}");
    Ok(())
}

/// The keys of a zone that is signed here.
fn keys(offline: &Offline, loaded: &LoadedZone) -> Result<Option<Keyring>, Failure> {
    let (Some(server), Some(signed)) = (&offline.server, Signed::of(loaded)) else { return Ok(None) };
    let held = Store::new(&server.keys).zone(&signed.apex).read(now())?;
    Ok(Some(keyring(&signed, &held)))
}

fn name(text: &str) -> Result<Name, Failure> {
    Name::parse(text, Some(&Name::root())).map_err(|error| Failure::Message(format!("{text:?}: {error}")))
}

/// The zone isn't there, or has errors, which are told.
fn missing(offline: &Offline, apex: &Name) -> Failure {
    let errors: Vec<_> = offline.diagnostics.iter().filter(|found| found.is_error()).collect();
    errors.iter().for_each(|error| eprintln!("{error}"));
    let served: Vec<String> = offline.zones.iter().map(|(files, _)| files.apex.to_string()).collect();
    let help = did_you_mean(&apex.to_string(), served.iter().map(String::as_str));
    let help = help.map_or_else(String::new, |help| format!("; {help}"));
    Failure::Message(format!("there is no good zone {apex} here{help}"))
}

/// A zone and its place in the parent; shows itself as the parent's records.
struct Delegation<'a> {
    zone: &'a Zone,
    routing: &'a Routing,
    /// Of a zone that is signed here.
    keyring: Option<Keyring>,
    parent: &'a Name,
    has_aliases: bool,
}

impl Display for Delegation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let apex = self.zone.apex();
        writeln!(f, "; What {} holds for {apex}", self.parent)?;
        let servers = self.servers(f)?;
        self.glue(f, &servers)?;
        self.signers(f)?;
        if self.has_aliases {
            self.aliases(f)?;
            self.exchangers(f)?;
        }
        Ok(())
    }
}

impl Delegation<'_> {
    /// The NS lines; the nameservers.
    fn servers(&self, f: &mut fmt::Formatter<'_>) -> Result<Vec<Name>, fmt::Error> {
        let apex = self.zone.apex().to_lower();
        let servers = self.zone.owner(apex.as_wire()).and_then(|owner| owner.rrset(Rtype::NS));
        let mut names = Vec::new();
        for (ttl, rdata) in servers.iter().flat_map(|rrset| rrset.rdata().map(|rdata| (rrset.ttl(), rdata))) {
            names.extend(Name::from_wire(rdata).ok());
            writeln!(f, "{}", line(self.zone.apex(), ttl, Rtype::NS, &rdata_text(Rtype::NS, rdata)))?;
        }
        Ok(names)
    }

    /// Addresses of nameservers within the zone: resolvers find these in no other way (RFC 9471).
    fn glue(&self, f: &mut fmt::Formatter<'_>, servers: &[Name]) -> fmt::Result {
        let mut text = String::new();
        for server in servers {
            if server.is_at_or_below(self.zone.apex()) {
                let lower = server.to_lower();
                let Some(owner) = self.zone.owner(lower.as_wire()) else { continue };
                for rrset in [Rtype::A, Rtype::AAAA].iter().filter_map(|rtype| owner.rrset(*rtype)) {
                    for rdata in rrset.rdata() {
                        let data = rdata_text(rrset.rtype(), rdata);
                        writeln!(text, "{}", line(server, rrset.ttl(), rrset.rtype(), &data))?;
                    }
                }
            } else if server.is_at_or_below(self.parent) {
                writeln!(
                    text,
                    "; {server} isn't in the zone: {} itself must know its addresses",
                    self.parent
                )?;
            }
        }
        if !text.is_empty() {
            write!(f, "\n; Where these nameservers are\n{text}")?;
        }
        Ok(())
    }

    /// The DS lines, as the zone's CDS records want them (RFC 7344 3.1).
    fn signers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(keyring) = &self.keyring {
            return self.own_signers(f, keyring);
        }
        let apex = self.zone.apex().to_lower();
        let owner = self.zone.owner(apex.as_wire());
        let Some(wanted) = owner.and_then(|owner| owner.rrset(Rtype::CDS)) else {
            let has_keys = owner.is_some_and(|owner| owner.rrset(Rtype::DNSKEY).is_some());
            let why = if has_keys {
                "it has keys and no CDS that says which of them the parent should know"
            } else {
                "it isn't signed"
            };
            return writeln!(f, "\n; No DS for {}: {why}", self.zone.apex());
        };
        writeln!(f, "\n; What its signatures are checked by")?;
        // RFC 8078 4: this one asks that DS go away.
        for rdata in wanted.rdata().filter(|rdata| rdata[..] != [0, 0, 0, 0, 0]) {
            writeln!(
                f,
                "{}",
                line(self.zone.apex(), wanted.ttl(), Rtype::DS, &rdata_text(Rtype::DS, rdata))
            )?;
        }
        Ok(())
    }

    /// The DS lines of keys here. Before caches know a key, no DS may name it.
    fn own_signers(&self, f: &mut fmt::Formatter<'_>, keyring: &Keyring) -> fmt::Result {
        let apex = self.zone.apex();
        if keyring.cds().next().is_none() {
            return writeln!(
                f,
                "\n; No DS for {apex} yet: see `waypost keys list {apex}` for when its key can be known"
            );
        }
        writeln!(f, "\n; What its signatures are checked by")?;
        for rdata in keyring.cds() {
            let data = rdata_text(Rtype::DS, rdata);
            writeln!(f, "{}", line(apex, keyring.dnskey_ttl(), Rtype::DS, &data))?;
        }
        Ok(())
    }

    /// Names as users write them, in the parent.
    fn aliases(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        let mut owners: Vec<&Name> = self
            .routing
            .routes
            .iter()
            .filter(|route| !matches!(route.kind, Kind::Mx))
            .flat_map(|route| &route.owners)
            .filter(|owner| *owner != self.zone.apex())
            .collect();
        owners.sort();
        owners.dedup();
        for owner in owners {
            match self.in_parent(owner) {
                // A CNAME at a wildcard leads every name to one, so there is no such line.
                Some(alias) if owner.is_wildcard() => {
                    writeln!(text, "; {alias} can't lead to {owner}: write a line for each name in use")?;
                }
                Some(alias) if alias.is_at_or_below(self.zone.apex()) => {
                    writeln!(
                        text,
                        "; {alias} lies in {} itself, and can't lead to {owner}",
                        self.zone.apex()
                    )?;
                }
                Some(alias) => {
                    writeln!(text, "{}", line(&alias, ALIAS_TTL, Rtype::CNAME, &owner.to_string()))?;
                }
                None => writeln!(text, "; {owner} has no name in {}: it would be too long", self.parent)?,
            }
        }
        if !text.is_empty() {
            write!(
                f,
                "\n; Names that users have, in place of other records there. MX and SRV lead to the names on\n\
                 ; the right themselves, never to these (RFC 2181 10.3, RFC 2782)\n{text}"
            )?;
        }
        Ok(())
    }

    /// What a CNAME can't do: the parent's apex, and MX (RFC 1034 3.6.2, RFC 2181 10.3).
    fn exchangers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hosts: Vec<&Name> = Vec::new();
        for route in self.routing.routes.iter().filter(|route| matches!(route.kind, Kind::Mx)) {
            let targets = route.targets();
            let targets = targets.iter().filter_map(|id| self.routing.targets.get(id.0 as usize));
            for host in targets.filter_map(|target| target.host.as_ref()) {
                if !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
        }
        if hosts.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n; A CNAME can't stand at {} itself. If its mail comes to these exchangers:",
            self.parent
        )?;
        for (place, host) in hosts.iter().enumerate() {
            let data = format!("{} {host}", 10 * (place + 1));
            writeln!(f, "; {}", line(self.parent, ALIAS_TTL, Rtype::MX, &data))?;
        }
        Ok(())
    }

    /// `webmail.gslb.example.com.` as `webmail.example.com.`
    fn in_parent(&self, owner: &Name) -> Option<Name> {
        let below = owner.as_wire().len() - self.zone.apex().as_wire().len();
        Name::from_wire(&[&owner.as_wire()[..below], self.parent.as_wire()].concat()).ok()
    }
}

fn line(owner: &Name, ttl: u32, rtype: Rtype, data: &str) -> String {
    format!("{:<35} {ttl:>6} IN {:<5} {data}", owner.to_string(), rtype.to_string())
}
