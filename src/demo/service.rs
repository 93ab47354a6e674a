//! The services of a site: as much of each protocol as its probe speaks.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::probe::{Check, Encryption, Protocol};

/// Longest line that a service reads.
const LINE_OCTETS: u64 = 1024;
/// Most lines of one connection.
const LINES: usize = 100;

/// What listens on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Web {
        tls: bool,
    },
    Smtp,
    Imap {
        tls: bool,
    },
    /// Accepts connections, and TLS if wanted; says nothing.
    Silent {
        tls: bool,
    },
}

impl Service {
    /// The service that a probe looks for, and its port; none for kinds of probes that the example
    /// has none of.
    pub(super) fn asked_by(check: &Check) -> Option<(Service, u16)> {
        match check {
            Check::Http(http) => Some((Service::Web { tls: http.tls.is_some() }, http.port)),
            Check::Tcp { port } => Some((Service::Silent { tls: false }, *port)),
            Check::Tls { port, .. } => Some((Service::Silent { tls: true }, *port)),
            Check::Mail(mail) => match (mail.protocol, &mail.encryption) {
                (Protocol::Smtp, Encryption::None | Encryption::StartTls(_)) => {
                    Some((Service::Smtp, mail.port))
                }
                (Protocol::Imap, Encryption::None) => Some((Service::Imap { tls: false }, mail.port)),
                (Protocol::Imap, Encryption::Implicit(_)) => Some((Service::Imap { tls: true }, mail.port)),
                _ => None,
            },
            Check::Prometheus(_)
            | Check::Dns(_)
            | Check::Icmp
            | Check::Exec(_)
            | Check::Push(_)
            | Check::File(_) => None,
        }
    }

    /// Serves one connection. Errors are the client's: a probe that leaves early.
    pub(super) async fn serve(self, stream: TcpStream, tls: TlsAcceptor) -> io::Result<()> {
        match self {
            Service::Web { tls: true } => web(tls.accept(stream).await?).await,
            Service::Web { tls: false } => web(stream).await,
            Service::Smtp => smtp(stream, tls).await,
            Service::Imap { tls: true } => imap(tls.accept(stream).await?).await,
            Service::Imap { tls: false } => imap(stream).await,
            Service::Silent { tls: true } => silent(tls.accept(stream).await?).await,
            Service::Silent { tls: false } => silent(stream).await,
        }
    }
}

/// The name that a probe wants to see in the certificate.
pub(super) fn tls_name(check: &Check) -> Option<&str> {
    let tls = match check {
        Check::Http(http) => http.tls.as_ref(),
        Check::Prometheus(prometheus) => prometheus.page.tls.as_ref(),
        Check::Tcp { .. }
        | Check::Dns(_)
        | Check::Icmp
        | Check::Exec(_)
        | Check::Push(_)
        | Check::File(_) => None,
        Check::Tls { tls, .. } => Some(tls),
        Check::Mail(mail) => mail.encryption.tls(),
    };
    // Certificates have no final dot (RFC 6066 3).
    tls.map(|tls| tls.name.strip_suffix('.').unwrap_or(&tls.name))
}

/// One request, whatever it asks for, and `200 OK` (RFC 9112).
async fn web(stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    for _ in 0..LINES {
        let line = line(&mut stream).await?;
        if line.is_empty() {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
                .await?;
            break;
        }
    }
    stream.shutdown().await
}

/// RFC 5321, with STARTTLS (RFC 3207). Takes no mail.
async fn smtp(stream: TcpStream, tls: TlsAcceptor) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail.example.com ESMTP\r\n").await?;
    if commands(&mut stream, true).await? == Ended::StartTls {
        let mut stream = BufReader::new(tls.accept(stream.into_inner()).await?);
        commands(&mut stream, false).await?;
        stream.shutdown().await?;
    }
    Ok(())
}

/// How an exchange of SMTP commands ended.
#[derive(PartialEq, Eq)]
enum Ended {
    Quit,
    StartTls,
}

async fn commands<S>(stream: &mut BufReader<S>, offers_tls: bool) -> io::Result<Ended>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for _ in 0..LINES {
        let command = line(stream).await?.to_ascii_uppercase();
        let verb = command.split(' ').next().unwrap_or_default();
        let (reply, ended) = match verb {
            "EHLO" if offers_tls => ("250-mail.example.com\r\n250 STARTTLS\r\n", None),
            "EHLO" | "HELO" => ("250 mail.example.com\r\n", None),
            "STARTTLS" if offers_tls => ("220 go ahead\r\n", Some(Ended::StartTls)),
            "NOOP" | "RSET" => ("250 ok\r\n", None),
            "QUIT" => ("221 bye\r\n", Some(Ended::Quit)),
            "MAIL" => ("550 nobody lives here\r\n", None),
            _ => ("502 not here\r\n", None),
        };
        stream.write_all(reply.as_bytes()).await?;
        if let Some(ended) = ended {
            return Ok(ended);
        }
    }
    Ok(Ended::Quit)
}

/// RFC 9051, up to the door.
async fn imap(stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"* OK mail.example.com IMAP4rev2 ready\r\n").await?;
    for _ in 0..LINES {
        let command = line(&mut stream).await?;
        let (tag, rest) = command.split_once(' ').unwrap_or((&command, ""));
        let verb = rest.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let reply = match &*verb {
            "CAPABILITY" => format!("* CAPABILITY IMAP4rev2\r\n{tag} OK done\r\n"),
            "NOOP" => format!("{tag} OK done\r\n"),
            "LOGOUT" => format!("* BYE\r\n{tag} OK done\r\n"),
            _ => format!("{tag} NO nobody lives here\r\n"),
        };
        stream.write_all(reply.as_bytes()).await?;
        if verb == "LOGOUT" {
            break;
        }
    }
    stream.shutdown().await
}

async fn silent(mut stream: impl AsyncRead + Unpin) -> io::Result<()> {
    while stream.read(&mut [0; 256]).await? > 0 {}
    Ok(())
}

/// A line without its end. A stream that ends is an error: nobody is left to answer.
async fn line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> io::Result<String> {
    let mut line = String::new();
    if stream.take(LINE_OCTETS).read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
