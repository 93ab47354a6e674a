//! `waypost notify`: whether those who are to be told can be.

use std::path::Path;

use super::{ConfigArg, Failure};
use crate::config::server;
use crate::diagnostic::Diagnostic;
use crate::notify::{Outcome, Receiver, test};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Send a message that says that it is a test, from here and without a running server; exit code 1
    /// unless all receivers took it
    Test(TestArgs),
}

#[derive(Debug, clap::Args)]
struct TestArgs {
    /// Only this receiver
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Command::Test(args) = &args.command;
    let server = read(&args.config.config)?;
    let is_meant = |receiver: &&Receiver| args.name.as_ref().is_none_or(|name| receiver.name == *name);
    let receivers: Vec<&Receiver> = server.notify.iter().filter(is_meant).collect();
    if receivers.is_empty() {
        let known: Vec<&str> = server.notify.iter().map(|receiver| &*receiver.name).collect();
        let path = args.config.config.display();
        return Err(Failure::Message(match &args.name {
            Some(name) if !known.is_empty() => {
                format!("{path} has no [[notify]] \"{name}\", but {}", known.join(", "))
            }
            _ => format!("{path} has no [[notify]]"),
        }));
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let mut is_well = true;
    for receiver in receivers {
        let outcome = runtime.block_on(test(receiver, &server.identity));
        is_well &= matches!(outcome, Outcome::Taken(_));
        let name = &receiver.name;
        match outcome {
            Outcome::Taken(said) => println!("{name}: taken: {said}"),
            Outcome::Later(why, _) => println!("{name}: not taken, a server would try again: {why}"),
            Outcome::Refused(why) => println!("{name}: refused: {why}"),
        }
    }
    if is_well { Ok(()) } else { Err(Failure::Said) }
}

fn read(path: &Path) -> Result<server::Server, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Message(format!("{}: {error}", path.display())))?;
    let parsed = server::parse(path, &text);
    parsed.map(|(server, _)| server).map_err(|found| {
        let errors: Vec<String> =
            found.iter().filter(|one| one.is_error()).map(Diagnostic::to_string).collect();
        Failure::Message(errors.join("\n"))
    })
}
