//! ManageSieve (RFC 5804) up to the door.

use tokio::io::{AsyncRead, AsyncWrite};

use super::evidence::Failure;
use super::lines::Lines;
use super::mail::Stage;
use crate::limits::PROBE_ANSWER_LINES;

/// Capabilities and `OK`, which the server says unasked: also after a handshake (RFC 5804 2.2).
pub(super) async fn greet<S>(lines: &mut Lines<S>, stage: Stage) -> Result<String, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let step = "ManageSieve greeting";
    let mut implementation = None;
    let mut offers_tls = false;
    for nth in 0..PROBE_ANSWER_LINES {
        let line = if nth == 0 { lines.greeting(step).await? } else { lines.line(step).await? };
        let word = line.split(' ').next().unwrap_or_default();
        if word.eq_ignore_ascii_case("OK") {
            if stage == Stage::BeforeTls && !offers_tls {
                return Err(Failure::new("STARTTLS isn't offered"));
            }
            return Ok(implementation.unwrap_or(line));
        }
        if word.eq_ignore_ascii_case("BYE") || word.eq_ignore_ascii_case("NO") {
            return Err(Failure::new(format!("refused us: {line}")));
        }
        if !line.starts_with('"') {
            return Err(Failure::new(format!("no {step}: {line}")));
        }
        offers_tls |= word.eq_ignore_ascii_case("\"STARTTLS\"");
        if word.eq_ignore_ascii_case("\"IMPLEMENTATION\"") {
            implementation = Some(line);
        }
    }
    Err(Failure::new(format!("{step} has more than {PROBE_ANSWER_LINES} lines")))
}

pub(super) async fn start_tls<S>(lines: &mut Lines<S>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    lines.send("STARTTLS").await?;
    let line = lines.line("reply to STARTTLS").await?;
    match line.get(..2) {
        Some(word) if word.eq_ignore_ascii_case("OK") => Ok(()),
        _ => Err(Failure::new(format!("reply to STARTTLS refused: {line}"))),
    }
}

pub(super) async fn leave<S>(lines: &mut Lines<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if lines.send("LOGOUT").await.is_ok() {
        let _ = lines.line("farewell").await;
    }
}
