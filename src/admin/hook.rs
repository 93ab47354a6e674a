//! Who is told of a drain, as to end the sessions of whoever is still there: a program, and a page
//! to which it is posted.

use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;

use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::diagnostic::with_causes;
use crate::http;
use crate::limits::HOOK_TIME;
use crate::publish::Done;

/// What is posted.
#[derive(Debug, Serialize)]
struct Drained {
    drained: String,
    targets: Vec<String>,
    by: String,
    reason: Option<String>,
}

/// Tells whom the configuration names. Nobody waits for it.
pub(super) fn drained(done: &Done, whom: &str, by: &str, reason: Option<&str>) {
    let targets: Vec<String> = done.targets.iter().map(|(zone, target)| format!("{zone}/{target}")).collect();
    if let Some(url) = done.drain_hook.url.clone() {
        let (drained, by, reason) = (whom.to_owned(), by.to_owned(), reason.map(str::to_owned));
        tokio::spawn(post(url, Drained { drained, targets: targets.clone(), by, reason }));
    }
    let Some((program, arguments)) = done.drain_hook.program.split_first() else { return };
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

/// Posts it, and once more after a failure.
async fn post(url: String, drained: Drained) {
    // Its query may have a secret.
    let told = url.split('?').next().unwrap_or_default();
    let client = match client(url.clone()).await {
        Ok(client) => client,
        Err(error) => return tracing::warn!(url = told, %error, "the drain hook can't be posted"),
    };
    for is_last in [false, true] {
        let error = match client.post(&url).json(&drained).send().await {
            Ok(answer) if answer.status().is_success() => {
                return tracing::info!(url = told, "the drain hook was posted");
            }
            Ok(answer) => format!("HTTP {}", answer.status()),
            Err(error) => with_causes(&error.without_url()),
        };
        let again = if is_last { "" } else { ", once more in a second" };
        tracing::warn!(url = told, %error, "the drain hook failed{again}");
        if !is_last {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

async fn client(url: String) -> Result<reqwest::Client, String> {
    let made = spawn_blocking(move || {
        let url = http::url(&url).ok_or("this is no URL of HTTP")?;
        let client = http::client(&url, None)?.timeout(HOOK_TIME / 2);
        client.build().map_err(|error| with_causes(&error))
    });
    made.await.map_err(|error| error.to_string())?
}
