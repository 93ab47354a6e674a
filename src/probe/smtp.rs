//! The probe `smtp` (RFC 5321): what every sender does before MAIL, and never more.
//!
//! ```text
//! connect -> banner 220 -> EHLO 250 [-> STARTTLS 220 -> handshake -> EHLO 250] -> QUIT
//! ```

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::dial::Deadline;
use super::evidence::{Failure, of_error};
use super::lines::Lines;
use super::tls::version;
use super::{Tls, Trust};
use crate::limits::PROBE_ANSWER_LINES;

pub(super) async fn ask(
    stream: TcpStream,
    name: Option<&str>,
    starttls: Option<&Tls>,
    trust: &Trust,
    deadline: Deadline,
) -> Result<String, Failure> {
    let local = stream.local_addr().map_err(|error| Failure(of_error(&error)))?;
    let hello = format!("EHLO {}", client_name(name, local));
    let mut lines = Lines::new(stream, deadline);
    let greeted = greet(&mut lines, &hello, starttls.is_some()).await;
    let (Ok(banner), Some(tls)) = (&greeted, starttls) else {
        quit(&mut lines).await;
        return greeted;
    };
    // Plain text that came with the reply would be taken for encrypted (RFC 3207 6).
    if lines.has_leftover() {
        return Err(Failure("sent more before the TLS handshake than its reply to STARTTLS".to_owned()));
    }
    let stream = trust.connect(lines.into_inner(), tls, deadline).await?;
    let evidence = format!("{banner} ({})", version(&stream));
    let mut lines = Lines::new(stream, deadline);
    let greeted_again = command(&mut lines, &hello, "250", "reply to EHLO over TLS").await;
    quit(&mut lines).await;
    greeted_again.map(|_| evidence)
}

/// Up to EHLO, and up to STARTTLS if that is wanted. Gives the first line of the banner.
async fn greet<S>(lines: &mut Lines<S>, hello: &str, starttls: bool) -> Result<String, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let banner = expect(reply(lines, "SMTP banner").await?, "220", "banner")?;
    let extensions = command(lines, hello, "250", "reply to EHLO").await?;
    if starttls {
        let offered = extensions.lines.iter().skip(1).any(|line| line.eq_ignore_ascii_case("STARTTLS"));
        if !offered {
            return Err(Failure("STARTTLS isn't offered".to_owned()));
        }
        command(lines, "STARTTLS", "220", "reply to STARTTLS").await?;
    }
    Ok(format!("220 {}", banner.lines[0]))
}

/// A reply of one or more lines (RFC 5321 4.2.1).
struct Reply {
    code: String,
    /// Its lines without code and hyphen; never empty.
    lines: Vec<String>,
}

async fn command<S>(lines: &mut Lines<S>, command: &str, code: &str, step: &str) -> Result<Reply, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    lines.send(command).await?;
    expect(reply(lines, step).await?, code, step)
}

async fn reply<S>(lines: &mut Lines<S>, step: &str) -> Result<Reply, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut reply: Option<Reply> = None;
    for _ in 0..PROBE_ANSWER_LINES {
        let line = lines.line(step).await?;
        let garbage = || Failure(format!("no SMTP: {line}"));
        let (code, rest) = line.split_at_checked(3).ok_or_else(garbage)?;
        let goes_on = rest.starts_with('-');
        if !code.bytes().all(|octet| octet.is_ascii_digit())
            || !(goes_on || rest.is_empty() || rest.starts_with(' '))
        {
            return Err(garbage());
        }
        let text = rest.get(1..).unwrap_or_default().trim().to_owned();
        let reply = reply.get_or_insert_with(|| Reply { code: code.to_owned(), lines: Vec::new() });
        if reply.code != code {
            return Err(garbage());
        }
        reply.lines.push(text);
        if !goes_on {
            return Ok(Reply { code: code.to_owned(), lines: std::mem::take(&mut reply.lines) });
        }
    }
    Err(Failure(format!("{step} has more than {PROBE_ANSWER_LINES} lines")))
}

/// Tells apart, by the first digit, a server that is busy from one that doesn't want us: the
/// second is often well and has only blocked the prober.
fn expect(reply: Reply, code: &str, step: &str) -> Result<Reply, Failure> {
    if reply.code == code {
        return Ok(reply);
    }
    let manner = match reply.code.as_bytes().first() {
        Some(b'4') => "refused for now (busy?)",
        Some(b'5') => "refused for good (is the prober blocked?)",
        _ => "unexpected",
    };
    Err(Failure(format!("{step} {manner}: {} {}", reply.code, reply.lines.join(" "))))
}

/// Takes leave (RFC 5321 4.1.1.10). The verdict is made, so nothing here matters to it.
async fn quit<S>(lines: &mut Lines<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    lines.begin_farewell();
    if lines.send("QUIT").await.is_ok() {
        let _ = reply(lines, "farewell").await;
    }
}

/// The name to give with EHLO: a host without one gives its address (RFC 5321 4.1.3, 4.1.4).
fn client_name(name: Option<&str>, local: SocketAddr) -> String {
    match (name, local.ip()) {
        // Nothing but a name may get into the command.
        (Some(name), _) => name.chars().filter(char::is_ascii_graphic).collect(),
        (None, IpAddr::V4(address)) => format!("[{address}]"),
        (None, IpAddr::V6(address)) => format!("[IPv6:{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_client() {
        let v4 = "192.0.2.1:1".parse().unwrap();
        assert_eq!(client_name(Some("ns1.example.com"), v4), "ns1.example.com");
        assert_eq!(client_name(Some("x\r\nMAIL FROM:<>"), v4), "xMAILFROM:<>");
        assert_eq!(client_name(None, v4), "[192.0.2.1]");
        assert_eq!(client_name(None, "[2001:db8::1]:1".parse().unwrap()), "[IPv6:2001:db8::1]");
    }
}
