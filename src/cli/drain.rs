//! `waypost drain`, `undrain`, `force-up`, `force-down`, `failback`: the operator's hand.

use std::time::Duration;

use super::Failure;
use super::admin::{SocketArg, order};
use crate::admin::api::OrderRequest;
use crate::health::Desired;

/// An order that stays in force.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A site, a target, or ZONE/TARGET
    whom: String,
    /// End it by itself after this time, as 2h or 30m
    #[arg(long = "for", value_name = "TIME")]
    span: Option<humantime::Duration>,
    /// Why, for whoever looks
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Return only when no cache can hold an older answer
    #[arg(long)]
    wait: bool,
    /// Also if clients are left without an eligible target
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    server: SocketArg,
}

/// What takes an order back, or lets go.
#[derive(Debug, clap::Args)]
pub(super) struct WhomArgs {
    /// A site, a target, or ZONE/TARGET
    whom: String,
    #[command(flatten)]
    server: SocketArg,
}

/// Drains.
pub(super) fn drain(args: &Args) -> Result<(), Failure> {
    give(args, "/v1/drain", None)
}

/// Forces up or down.
pub(super) fn force(args: &Args, desired: Desired) -> Result<(), Failure> {
    give(args, "/v1/force", Some(desired))
}

/// Takes an order back.
pub(super) fn undrain(args: &WhomArgs) -> Result<(), Failure> {
    let request = OrderRequest { whom: args.whom.clone(), ..OrderRequest::default() };
    order(&args.server, "/v1/undrain", &request).map(|_| ())
}

/// Lets a recovered site or target have its clients back.
pub(super) fn failback(args: &WhomArgs) -> Result<(), Failure> {
    let request = OrderRequest { whom: args.whom.clone(), ..OrderRequest::default() };
    order(&args.server, "/v1/failback", &request).map(|_| ())
}

/// What to say to a server that doubts its probes.
#[derive(Debug, clap::Args)]
pub(super) struct DoubtArgs {
    #[command(subcommand)]
    word: DoubtWord,
}

#[derive(Debug, clap::Subcommand)]
enum DoubtWord {
    /// The failures are real: let probes decide
    Accept(ServerArgs),
}

#[derive(Debug, clap::Args)]
struct ServerArgs {
    #[command(flatten)]
    server: SocketArg,
}

/// Says that doubted failures are real.
pub(super) fn doubt(args: &DoubtArgs) -> Result<(), Failure> {
    let DoubtWord::Accept(args) = &args.word;
    order(&args.server, "/v1/doubt/accept", &OrderRequest::default()).map(|_| ())
}

fn give(args: &Args, path: &str, state: Option<Desired>) -> Result<(), Failure> {
    let request = OrderRequest {
        whom: args.whom.clone(),
        state,
        seconds: args.span.map(|span| span.as_secs().max(1)),
        reason: args.reason.clone(),
        force: args.force,
    };
    let answer = order(&args.server, path, &request)?;
    let settled = Duration::from_secs(answer.settled_after);
    if args.wait {
        println!("waiting {} until caches have let go", humantime::format_duration(settled));
        std::thread::sleep(settled);
    }
    Ok(())
}
