//! IMAP (RFC 9051) up to the door.

use tokio::io::{AsyncRead, AsyncWrite};

use super::evidence::Failure;
use super::lines::Lines;
use crate::limits::PROBE_ANSWER_LINES;

/// A greeting that lets us in.
pub(super) async fn greet<S>(lines: &mut Lines<S>) -> Result<String, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let greeting = lines.greeting("IMAP greeting").await?;
    // RFC 9051 7.1: OK, PREAUTH or BYE, in any case.
    let word = greeting.strip_prefix("* ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    if word.eq_ignore_ascii_case("BYE") {
        return Err(Failure::new(format!("refused us: {greeting}")));
    }
    if !word.eq_ignore_ascii_case("OK") && !word.eq_ignore_ascii_case("PREAUTH") {
        return Err(Failure::new(format!("no IMAP greeting: {greeting}")));
    }
    Ok(greeting)
}

pub(super) async fn start_tls<S>(lines: &mut Lines<S>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    command(lines, "STARTTLS", "reply to STARTTLS").await
}

pub(super) async fn greet_again<S>(lines: &mut Lines<S>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    command(lines, "CAPABILITY", "reply to CAPABILITY over TLS").await
}

pub(super) async fn leave<S>(lines: &mut Lines<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = command(lines, "LOGOUT", "farewell").await;
}

async fn command<S>(lines: &mut Lines<S>, verb: &str, step: &str) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    lines.send(&format!("a {verb}")).await?;
    for _ in 0..PROBE_ANSWER_LINES {
        let line = lines.line(step).await?;
        let Some(said) = line.strip_prefix("a ") else { continue };
        let is_well = said.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case("OK"));
        return if is_well { Ok(()) } else { Err(Failure::new(format!("{step} refused: {said}"))) };
    }
    Err(Failure::new(format!("{step} has more than {PROBE_ANSWER_LINES} lines")))
}
