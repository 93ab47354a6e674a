//! `waypost demo`: the server with its example, and three sites to be taken down and up again.

mod events;
mod interrupt;
mod keys;
mod script;

use std::io::{IsTerminal, stdin, stdout};
use std::net::SocketAddr;

use super::{Failure, ask};
use crate::daemon::DaemonError;
use crate::demo::{CLIENTS, Demo, DemoError, WEBMAIL};
use crate::health::State;
use crate::publish::now;
use interrupt::Interrupt;

/// The port that README and manuals name.
const PORT: u16 = 5353;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Listen here; port 0 takes one that is free [default: 127.0.0.1:5353, or a free port where
    /// that is taken]
    #[arg(short, long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Play a round and end, as it is done without a terminal
    #[arg(long)]
    script: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut demo = match args.listen {
        Some(listen) => Demo::start(listen)?,
        None => start_somewhere()?,
    };
    let interrupt = Interrupt::watch(demo.runtime());
    let by_keys = !args.script && stdin().is_terminal() && stdout().is_terminal();
    let ended = if by_keys { keys::run(&mut demo, &interrupt) } else { script::run(&mut demo, &interrupt) };
    demo.stop();
    ended
}

/// On the usual port, which multicast DNS has on many desktops, or on a free one.
fn start_somewhere() -> Result<Demo, DemoError> {
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    match Demo::start(loopback(PORT)) {
        Err(DemoError::Server(DaemonError::Bind(error))) => {
            println!("{error}\nTaking a free port instead.\n");
            Demo::start(loopback(0))
        }
        other => other,
    }
}

/// What this is, and what to try.
fn greeting(demo: &Demo) -> Vec<String> {
    let server = demo.server();
    let dig = format!("  dig @{} -p {} +short", server.ip(), server.port());
    let sites: Vec<&str> = demo.sites().iter().map(|site| site.name()).collect();
    let mut lines = vec![
        format!(
            "Waypost answers for example.com on {server}. Its sites {} are small listeners",
            sites.join(", ")
        ),
        "on this machine, probed for real. Ask from another terminal:".to_owned(),
        String::new(),
    ];
    lines.extend(CLIENTS.iter().map(|client| {
        let subnet = client.subnet().to_string();
        format!("{dig} webmail.example.com A +subnet={subnet:<16}  # a client in {}", client.country)
    }));
    let subnet = CLIENTS[0].subnet();
    lines.push(format!("{dig} example.com MX +subnet={subnet}"));
    lines.push(format!("{dig} CH TXT webmail.example.com.why.waypost +subnet={subnet}"));
    lines.push(format!("{dig} CH TXT health.waypost"));
    lines.push(String::new());
    lines
}

/// Whether every probe has found its target well.
fn all_up(demo: &Demo) -> bool {
    demo.status().board().rows(now()).all(|row| row.standing.state == State::Up)
}

/// Why clients of each network get what they get.
fn why(demo: &Demo) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for client in CLIENTS {
        lines.push(format!("Why {WEBMAIL} for {} {}:", client.country, client.subnet()));
        let told = ask::lines(demo.server(), &format!("{WEBMAIL}why.waypost."), Some(client.subnet()))?;
        lines.extend(told.into_iter().map(|line| format!("  {line}")));
    }
    Ok(lines)
}
