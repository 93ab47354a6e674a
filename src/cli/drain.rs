//! `waypost drain`, `undrain`, `force-up`, `force-down`, `failback`: the operator's hand.

use std::time::{Duration, Instant};

use super::Failure;
use super::admin::{SocketArg, order};
use crate::admin::api::OrderRequest;
use crate::health::Desired;

/// Between the lines of one who waits.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

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

/// Waits, and says now and then how long still, and how often the zones concerned are asked: every
/// answer from there is newer than the order, so these clients have left.
fn await_caches(server: &SocketArg, settled: Duration, zones: &[String]) {
    let local = server.connect().ok();
    let answered = || responses_of(&local.as_ref()?.text("/metrics")?, zones);
    let of = match zones {
        [zone] => zone.clone(),
        zones => format!("{} zones", zones.len()),
    };
    let end = Instant::now() + settled;
    let mut before = answered();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let step = left.min(BETWEEN_LINES);
        std::thread::sleep(step);
        let after = answered();
        let rate = match (before, after) {
            (Some(before), Some(after)) => {
                let rate = (after - before).max(0.0) / step.as_secs_f64();
                format!("; {rate:.1} newer answers/s go out from {of}")
            }
            _ => String::new(),
        };
        before = after;
        // Rounded up: 0 is only said when it is over.
        let left = end.saturating_duration_since(Instant::now()).as_millis().div_ceil(1000);
        println!("{left}s until the last older answer has expired{rate}");
    }
}

/// Responses so far from these zones; none if one of them isn't counted by itself.
fn responses_of(metrics: &str, zones: &[String]) -> Option<f64> {
    let of = |zone: &String| {
        let sample = format!("waypost_zone_responses_total{{zone=\"{zone}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&sample)?.trim().parse::<f64>().ok())
    };
    zones.iter().map(of).sum()
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
        await_caches(&args.server, settled, &answer.zones);
    }
    Ok(())
}
