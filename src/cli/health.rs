//! `waypost health`: the health of all targets of a running server.

use super::Failure;
use super::ask::{ServerArg, lines};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArg,
    /// Only this target
    target: Option<String>,
    /// One JSON document for each target address
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let target = args.target.as_ref().map_or_else(String::new, |target| format!("{target}."));
    let json = if args.json { "json." } else { "" };
    for line in lines(args.server.server, &format!("{json}{target}health.waypost."), None)? {
        println!("{line}");
    }
    Ok(())
}
