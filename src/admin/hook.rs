//! The program that is told of a drain, as one that ends the sessions of whoever is still there.

use std::process::Stdio;

use tokio::process::Command;
use tokio::time::timeout;

use crate::limits::HOOK_TIME;
use crate::publish::Done;

/// Runs the configured program, if there is one. Nobody waits for it.
pub(super) fn drained(done: &Done, whom: &str, by: &str, reason: Option<&str>) {
    let Some((program, arguments)) = done.drain_hook.split_first() else { return };
    let targets: Vec<String> = done.targets.iter().map(|(zone, target)| format!("{zone}/{target}")).collect();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("WAYPOST_DRAINED", whom)
        .env("WAYPOST_TARGETS", targets.join(" "))
        .env("WAYPOST_BY", by)
        .env("WAYPOST_REASON", reason.unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let program = program.clone();
    tokio::spawn(async move {
        match timeout(HOOK_TIME, command.status()).await {
            Ok(Ok(status)) if status.success() => tracing::info!(program, "the drain hook ran"),
            Ok(Ok(status)) => tracing::warn!(program, %status, "the drain hook failed"),
            Ok(Err(error)) => tracing::warn!(program, %error, "the drain hook can't be run"),
            Err(_) => tracing::warn!(program, "the drain hook took too long and was ended"),
        }
    });
}
