//! `waypost run`: answer queries until told to stop.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{ConfigArg, Failure};
use crate::daemon::{Daemon, Options};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Listen here instead of where the configuration says; may be given several times
    #[arg(short, long, value_name = "ADDRESS:PORT")]
    listen: Vec<SocketAddr>,
    /// Keep state here instead of where the configuration says
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// How the log is written; by default text on a terminal, and JSON elsewhere
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    /// Lines for people
    Text,
    /// A JSON object a line
    Json,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let is_terminal = std::io::stderr().is_terminal();
    log(args.log_format.unwrap_or(if is_terminal { LogFormat::Text } else { LogFormat::Json }));
    let options = Options {
        config: args.config.config,
        listen: (!args.listen.is_empty()).then_some(args.listen),
        state: args.state,
        ..Options::default()
    };
    let daemon = Daemon::start(options)?;
    let addresses: Vec<String> = daemon.addresses().iter().map(ToString::to_string).collect();
    tracing::info!(listen = addresses.join(" "), version = env!("CARGO_PKG_VERSION"), "answering");
    if let Some(encrypted) = daemon.encrypted() {
        let list = |addresses: &[SocketAddr]| {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        tracing::info!(tls = list(encrypted.tls()), quic = list(encrypted.quic()), "answering encrypted");
    }
    let waited = daemon.runtime().block_on(until_told_to_stop(&daemon));
    daemon.stop();
    Ok(waited?)
}

async fn until_told_to_stop(daemon: &Daemon) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                tracing::info!("reading all files anew");
                daemon.waker().reload();
            }
            _ = terminate.recv() => return Ok(()),
            interrupted = tokio::signal::ctrl_c() => return interrupted,
        }
    }
}

/// `WAYPOST_LOG` filters, as in `WAYPOST_LOG=debug` or `WAYPOST_LOG=waypost::probe=debug`. The module
/// that says something isn't told: its name in tracing is `target`, which here is who is probed.
fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_env("WAYPOST_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second subscriber in one process is a test's; the first one stays.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
