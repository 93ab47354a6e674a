//! The probe `imap` (RFC 9051): a greeting that lets us in, then LOGOUT.

use tokio::io::{AsyncRead, AsyncWrite};

use super::dial::Deadline;
use super::evidence::Failure;
use super::lines::Lines;
use crate::limits::PROBE_ANSWER_LINES;

pub(super) async fn ask<S>(stream: S, deadline: Deadline) -> Result<String, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut lines = Lines::new(stream, deadline);
    let greeting = lines.line("IMAP greeting").await?;
    // RFC 9051 7.1: OK, PREAUTH or BYE, in any case.
    let word = greeting.strip_prefix("* ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    if word.eq_ignore_ascii_case("BYE") {
        return Err(Failure(format!("refused us: {greeting}")));
    }
    if !word.eq_ignore_ascii_case("OK") && !word.eq_ignore_ascii_case("PREAUTH") {
        return Err(Failure(format!("no IMAP greeting: {greeting}")));
    }
    // The verdict is made; a server that has no time for farewells is healthy none the less.
    lines.begin_farewell();
    if lines.send("a LOGOUT").await.is_ok() {
        for _ in 0..PROBE_ANSWER_LINES {
            match lines.line("IMAP farewell").await {
                Ok(line) if !line.starts_with("a ") => {}
                _ => break,
            }
        }
    }
    Ok(greeting)
}
