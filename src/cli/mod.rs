//! The command line: one file for each subcommand.
//!
//! Exit codes: 0 all is well, 1 something is wrong with what was looked at or the server couldn't
//! start, 2 the command line itself is wrong.

#![allow(clippy::print_stdout, reason = "standard output is this room's product")]

mod admin;
mod ask;
mod assume;
mod check;
mod delegation;
mod demo;
mod drain;
mod events;
mod explain;
mod health;
mod keys;
mod live;
mod notify;
mod plan;
mod resolved;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::health::Desired;
use clap::{Parser, Subcommand, ValueEnum};

/// The server's default configuration file.
const CONFIG: &str = "waypost.toml";

/// Authoritative DNS server that steers mail domains by client region and live site health.
#[derive(Debug, Parser)]
#[command(name = "waypost", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer queries until told to stop (SIGTERM, Ctrl-C); SIGHUP reads all files anew
    Run(run::Args),
    /// Check configuration, zones and routes as the server would; exit code 1 on any error
    Check(check::Args),
    /// Print what the parent zone must hold for a zone that is delegated to this server
    Delegation(delegation::Args),
    /// Say which answer a client gets, and why
    Explain(explain::Args),
    /// Take a site or target out of service
    Drain(drain::Args),
    /// Take an order back: a drain, or a forced state
    Undrain(drain::WhomArgs),
    /// Serve a site or target whatever its probes say
    ForceUp(drain::Args),
    /// Don't serve a site or target whatever its probes say
    ForceDown(drain::Args),
    /// Let a recovered site or target have its clients back
    Failback(drain::WhomArgs),
    /// Answer a server that doubts its probes
    Doubt(drain::DoubtArgs),
    /// Show what happened on a running server
    Events(events::Args),
    /// Print the description of the local API (OpenAPI 3.1)
    Openapi,
    /// Show the health of all targets of a running server
    Health(health::Args),
    /// Make, show, roll and move the keys of signed zones
    Keys(keys::Args),
    /// See whether those who are to be told of events can be
    Notify(notify::Args),
    /// Compare two versions of the configuration: who would be sent elsewhere
    Plan(plan::Args),
    /// Try it: three small sites on this machine, to be taken down and up again
    Demo(demo::Args),
}

/// Where files are.
#[derive(Debug, clap::Args)]
struct ConfigArg {
    /// Configuration file; zones, state and databases are where it says
    #[arg(short, long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON document
    Json,
    /// Annotations of GitHub Actions
    Github,
}

/// Why a subcommand ended badly. What it is about has been printed, or is in the message.
#[derive(Debug)]
enum Failure {
    /// One clear message for standard error.
    Message(String),
    /// All is said already.
    Said,
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Message(error.to_string())
    }
}

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(&args),
        Command::Delegation(args) => delegation::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Drain(args) => drain::drain(&args),
        Command::Undrain(args) => drain::undrain(&args),
        Command::ForceUp(args) => drain::force(&args, Desired::Up),
        Command::ForceDown(args) => drain::force(&args, Desired::Down),
        Command::Failback(args) => drain::failback(&args),
        Command::Doubt(args) => drain::doubt(&args),
        Command::Events(args) => events::run(&args),
        Command::Openapi => {
            println!("{}", crate::admin::api::description());
            Ok(())
        }
        Command::Health(args) => health::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Notify(args) => notify::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Demo(args) => demo::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Said) => ExitCode::FAILURE,
        Err(Failure::Message(message)) => {
            eprintln!("waypost: {message}");
            ExitCode::FAILURE
        }
    }
}
