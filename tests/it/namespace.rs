//! A network of its own: port 53, and public addresses that lead to servers on this machine.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::lab::{stdout, wait_for};

/// Lives as long as its holder, a process that sleeps in it.
pub struct Namespace {
    holder: Child,
    /// Without root's rights there is a user namespace around it.
    has_user_namespace: bool,
}

impl Namespace {
    /// A network that has these addresses, and leads nowhere else.
    pub fn new(addresses: &[&str]) -> Namespace {
        let has_user_namespace = stdout(Command::new("id").arg("-u")).trim() != "0";
        let mut unshare = Command::new("unshare");
        unshare.arg("--net");
        if has_user_namespace {
            unshare.args(["--user", "--map-root-user"]);
        }
        let holder = unshare.args(["sleep", "infinity"]).stdin(Stdio::null()).spawn().unwrap();
        let namespace = Namespace { holder, has_user_namespace };
        let link = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
        let ours = link("self");
        wait_for("the network is made", Duration::from_secs(5), || {
            let theirs = link(&namespace.holder.id().to_string());
            (theirs.is_some() && theirs != ours).then_some(())
        });
        stdout(namespace.command("ip").args(["link", "set", "lo", "up"]));
        for address in addresses {
            let mut ip = namespace.command("ip");
            ip.args(["address", "add", &with_prefix(address), "dev", "lo"]);
            if address.contains(':') {
                // Nobody else can have it, and asking takes a second.
                ip.arg("nodad");
            }
            stdout(&mut ip);
        }
        namespace
    }

    /// A program to be run inside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--net"]);
        if self.has_user_namespace {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").arg(program);
        command
    }

    /// `dig +short`: the lines, sorted.
    pub fn dig(&self, arguments: &[&str]) -> Vec<String> {
        let mut dig = self.command("dig");
        let said = stdout(dig.args(["+short", "+time=3", "+tries=2"]).args(arguments));
        let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// An address as a network of its own.
pub fn with_prefix(address: &str) -> String {
    format!("{address}/{}", if address.contains(':') { 128 } else { 32 })
}

/// A server of somebody else's, killed when it goes out of scope.
pub struct Daemon(Child);

impl Daemon {
    pub fn start(mut command: Command) -> Daemon {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Daemon(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
