//! POP3 (RFC 1939) up to the door, with STLS (RFC 2595).

use tokio::io::{AsyncRead, AsyncWrite};

use super::evidence::Failure;
use super::lines::Lines;
use crate::limits::PROBE_ANSWER_LINES;

pub(super) async fn greet<S>(lines: &mut Lines<S>) -> Result<String, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let greeting = lines.greeting("POP3 greeting").await?;
    well(greeting, "greeting")
}

pub(super) async fn start_tls<S>(lines: &mut Lines<S>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    lines.send("STLS").await?;
    well(lines.line("reply to STLS").await?, "reply to STLS").map(drop)
}

pub(super) async fn greet_again<S>(lines: &mut Lines<S>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let step = "reply to CAPA over TLS";
    lines.send("CAPA").await?;
    well(lines.line(step).await?, step)?;
    for _ in 0..PROBE_ANSWER_LINES {
        // RFC 1939 3: a lone dot ends what has several lines.
        if lines.line(step).await? == "." {
            return Ok(());
        }
    }
    Err(Failure::new(format!("{step} has more than {PROBE_ANSWER_LINES} lines")))
}

pub(super) async fn leave<S>(lines: &mut Lines<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if lines.send("QUIT").await.is_ok() {
        let _ = lines.line("farewell").await;
    }
}

fn well(line: String, step: &str) -> Result<String, Failure> {
    let word = line.split(' ').next().unwrap_or_default();
    if word.eq_ignore_ascii_case("+OK") {
        return Ok(line);
    }
    if word.eq_ignore_ascii_case("-ERR") {
        return Err(Failure::new(format!("{step} refused: {line}")));
    }
    Err(Failure::new(format!("no POP3 {step}: {line}")))
}
