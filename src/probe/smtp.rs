//! SMTP (RFC 5321) and LMTP (RFC 2033) up to MAIL, with STARTTLS (RFC 3207).

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite};

use super::blocked;
use super::evidence::Failure;
use super::lines::Lines;
use super::mail::Stage;
use crate::limits::PROBE_ANSWER_LINES;

/// How we say who we are, and what we want to hear then.
pub(super) struct Hello<'a> {
    /// EHLO or LHLO.
    pub(super) verb: &'static str,
    /// Our name.
    pub(super) client: &'a str,
    /// AUTH (RFC 4954) must be offered to encrypted connections, and to no others: a client
    /// would show its password to everybody on the way (RFC 8314 4.1).
    pub(super) wants_auth: bool,
}

/// Up to the extensions. Gives the first line of the banner.
pub(super) async fn greet<S>(lines: &mut Lines<S>, hello: &Hello<'_>, stage: Stage) -> Result<String, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let first = lines.greeting("SMTP banner").await?;
    let banner = match reply_from(lines, first.clone(), "SMTP banner").await {
        Err(_) if lines.is_late() && first.starts_with("220-") => {
            return Err(Failure::blocked(format!(
                "made to wait within the banner, as by postscreen: {first}"
            )));
        }
        banner => expect_welcome(banner?, "220", "banner")?,
    };
    let extensions = say_hello(lines, hello, "").await?;
    if stage == Stage::BeforeTls && !extensions.offers("STARTTLS") {
        return Err(Failure::new("STARTTLS isn't offered"));
    }
    if hello.wants_auth {
        match (stage, extensions.offers("AUTH")) {
            (Stage::Encrypted, false) => return Err(Failure::new("AUTH isn't offered over TLS")),
            (Stage::BeforeTls | Stage::Plain, true) => {
                return Err(Failure::new("AUTH is offered without TLS"));
            }
            _ => {}
        }
    }
    Ok(format!("220 {}", banner.lines[0]))
}

pub(super) async fn start_tls<S>(lines: &mut Lines<S>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let step = "reply to STARTTLS";
    lines.send("STARTTLS").await?;
    expect(reply(lines, step).await?, "220", step).map(drop)
}

pub(super) async fn greet_again<S>(lines: &mut Lines<S>, hello: &Hello<'_>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let extensions = say_hello(lines, hello, " over TLS").await?;
    if hello.wants_auth && !extensions.offers("AUTH") {
        return Err(Failure::new("AUTH isn't offered over TLS"));
    }
    Ok(())
}

/// RFC 5321 4.1.1.10.
pub(super) async fn leave<S>(lines: &mut Lines<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if lines.send("QUIT").await.is_ok() {
        let _ = reply(lines, "farewell").await;
    }
}

/// The name to give with EHLO: a host without one gives its address (RFC 5321 4.1.3, 4.1.4).
pub(super) fn client_name(name: Option<&str>, local: SocketAddr) -> String {
    match (name, local.ip()) {
        // Nothing but a name may get into the command.
        (Some(name), _) => name.chars().filter(char::is_ascii_graphic).collect(),
        (None, IpAddr::V4(address)) => format!("[{address}]"),
        (None, IpAddr::V6(address)) => format!("[IPv6:{address}]"),
    }
}

async fn say_hello<S>(lines: &mut Lines<S>, hello: &Hello<'_>, over: &str) -> Result<Reply, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let step = format!("reply to {}{over}", hello.verb);
    lines.send(&format!("{} {}", hello.verb, hello.client)).await?;
    expect_welcome(reply(lines, &step).await?, "250", &step)
}

/// A reply of one or more lines (RFC 5321 4.2.1).
struct Reply {
    code: String,
    /// Its lines without code and hyphen; never empty.
    lines: Vec<String>,
}

impl Reply {
    /// Whether an extension is among the lines, the first of which is the server's name.
    fn offers(&self, extension: &str) -> bool {
        let keyword = |line: &String| line.split([' ', '=']).next().map(str::to_ascii_uppercase);
        self.lines.iter().skip(1).any(|line| keyword(line).as_deref() == Some(extension))
    }
}

async fn reply<S>(lines: &mut Lines<S>, step: &str) -> Result<Reply, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let first = lines.line(step).await?;
    reply_from(lines, first, step).await
}

/// A reply whose first line was read.
async fn reply_from<S>(lines: &mut Lines<S>, first: String, step: &str) -> Result<Reply, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut reply: Option<Reply> = None;
    let mut line = first;
    for _ in 0..PROBE_ANSWER_LINES {
        let garbage = || Failure::new(format!("no SMTP: {line}"));
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
        line = lines.line(step).await?;
    }
    Err(Failure::new(format!("{step} has more than {PROBE_ANSWER_LINES} lines")))
}

/// Tells apart, by the first digit, a server that is busy from one that refuses.
fn expect(reply: Reply, code: &str, step: &str) -> Result<Reply, Failure> {
    if reply.code == code {
        return Ok(reply);
    }
    let manner = match reply.code.as_bytes().first() {
        Some(b'4') => "refused for now",
        Some(b'5') => "refused for good",
        _ => "unexpected",
    };
    Err(Failure::new(format!("{step} {manner}: {} {}", reply.code, reply.lines.join(" "))))
}

/// The same where a server may turn away the prober alone.
fn expect_welcome(reply: Reply, code: &str, step: &str) -> Result<Reply, Failure> {
    let blocked = blocked::by_reply(&reply.code, &reply.lines.join(" "));
    expect(reply, code, step).map_err(|failure| Failure { blocked, ..failure })
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
