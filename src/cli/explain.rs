//! `waypost explain NAME TYPE --from ADDRESS`: which answer a client gets, and why.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::assume::{self, Assumption};
use super::resolved::resolved;
use super::{ConfigArg, Failure, ask};
use crate::health::Board;
use crate::load::read_once;
use crate::model::explain::{Asker, explain};
use crate::publish::now;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name to be asked for
    name: String,
    /// Type to be asked for; without it all that are there
    #[arg(value_name = "TYPE")]
    rtype: Option<Rtype>,
    /// The client: an address, or a network as a resolver would send it by ECS
    #[arg(long, value_name = "ADDRESS")]
    from: String,
    #[command(flatten)]
    config: ConfigArg,
    /// Ask a running server, which knows what is alive, instead of reading files
    #[arg(short, long, value_name = "ADDRESS:PORT", conflicts_with = "assume")]
    server: Option<SocketAddr>,
    /// Take a site or target for down, up or drained (files say nothing of health: all are up)
    #[arg(long, value_name = "NAME=STATE")]
    assume: Vec<Assumption>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let asker = asker(&args.from)?;
    let name = Name::parse(&args.name, Some(&Name::root()))
        .map_err(|error| Failure::Message(format!("{:?}: {error}", args.name)))?;
    match args.server {
        Some(server) => online(args, server, &name, asker),
        None => offline(args, &name, asker),
    }
}

fn asker(text: &str) -> Result<Asker, Failure> {
    if let Ok(network) = text.parse::<IpNet>() {
        return Ok(Asker { address: network.network(), subnet: Some(network.prefix_len()) });
    }
    let address: IpAddr = text.parse().map_err(|_| {
        Failure::Message(format!("--from {text:?} is no address: write 192.0.2.1 or 192.0.2.0/24"))
    })?;
    Ok(Asker { address, subnet: None })
}

/// A running server is told the client by ECS, since the query itself comes from here.
fn online(args: &Args, server: SocketAddr, name: &Name, asker: Asker) -> Result<(), Failure> {
    let whole = if asker.address.is_ipv4() { 32 } else { 128 };
    let network = IpNet::new(asker.address, asker.subnet.unwrap_or(whole))?;
    let json = if args.json { "json." } else { "" };
    let text = name.to_string();
    let question = format!("{json}{}why.waypost.", if name.is_root() { "" } else { &text });
    for line in ask::lines(server, &question, Some(network))? {
        println!("{line}");
    }
    Ok(())
}

fn offline(args: &Args, name: &Name, asker: Asker) -> Result<(), Failure> {
    let offline = read_once(&args.config.config);
    assume::check(&args.assume, &offline)?;
    let resolved = resolved(&[&offline])?;
    let model = offline
        .model(|routing| {
            args.assume.iter().for_each(|assumption| assumption.apply(routing));
            routing.set_addresses(&resolved);
        })
        .map_err(|errors| {
            errors.iter().for_each(|error| eprintln!("{error}"));
            Failure::Said
        })?;
    let Some(explanation) = explain(&model, &Board::default(), name, args.rtype, asker, now()) else {
        return Err(Failure::Message(format!("{name} is in no zone here: it would be REFUSED")));
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&explanation)?);
    } else {
        explanation.lines().iter().for_each(|line| println!("{line}"));
    }
    Ok(())
}
