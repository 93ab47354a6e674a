//! The command line: one file for each subcommand.
//!
//! Exit codes: 0 all is well, 1 something is wrong with what was looked at or the server couldn't
//! start, 2 the command line itself is wrong.

#![allow(clippy::print_stdout, reason = "standard output is this room's product")]

mod ask;
mod assume;
mod check;
mod delegation;
mod demo;
mod explain;
mod health;
mod keys;
mod live;
mod plan;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

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
    /// Show the health of all targets of a running server
    Health(health::Args),
    /// Make, show, roll and move the keys of signed zones
    Keys(keys::Args),
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
        Command::Health(args) => health::run(&args),
        Command::Keys(args) => keys::run(&args),
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
