//! `waypost events`: what happened, and what happens.

use super::Failure;
use super::admin::{Local, SocketArg};
use crate::limits::ADMIN_EVENTS_WAIT;
use crate::model::event::Event;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only events with a higher number
    #[arg(long, value_name = "ID", default_value_t = 0)]
    since: u64,
    /// Go on with what happens from now on
    #[arg(short, long)]
    follow: bool,
    /// One JSON document for each event
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: SocketArg,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let server = args.server.connect()?;
    let mut since = show(args, &server, args.since, false)?;
    if !args.follow {
        return Ok(());
    }
    loop {
        since = show(args, &server, since, true)?;
    }
}

/// Shows what is newer; the number to go on from.
fn show(args: &Args, server: &Local, since: u64, is_patient: bool) -> Result<u64, Failure> {
    let wait = if is_patient { ADMIN_EVENTS_WAIT } else { std::time::Duration::ZERO };
    let path = format!("/v1/events?since={since}&wait={}", wait.as_secs());
    let events: Vec<Event> = server.get(&path, wait)?;
    for event in &events {
        if args.json {
            println!("{}", serde_json::to_string(event)?);
        } else {
            event.lines().iter().for_each(|line| println!("{line}"));
        }
    }
    Ok(events.last().map_or(since, |event| event.id))
}
