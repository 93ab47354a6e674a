//! Probes of mail servers: what every client does before it logs in or sends, and never more.
//!
//! ```text
//! connect [-> handshake] -> greeting [-> STARTTLS -> handshake -> greeting again] -> farewell
//! ```

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::dial::Deadline;
use super::evidence::{Failure, Seen, of_socket};
use super::lines::Lines;
use super::tls::Agreed;
use super::{Encryption, Mail, Protocol, Trust, imap, pop3, sieve, smtp};

pub(super) async fn ask(
    stream: TcpStream,
    mail: &Mail,
    name: Option<&str>,
    trust: &Trust,
    deadline: Deadline,
) -> Result<Seen, Failure> {
    let local = stream.local_addr().map_err(|error| of_socket(&error))?;
    let tongue = Tongue { protocol: mail.protocol, client: smtp::client_name(name, local) };
    match &mail.encryption {
        Encryption::None => {
            let mut lines = Lines::new(stream, deadline);
            let greeted = tongue.greet(&mut lines, Stage::Plain).await;
            tongue.leave(&mut lines).await;
            greeted.map(Seen::new)
        }
        Encryption::Implicit(tls) => {
            let stream = trust.connect(stream, tls, deadline).await?;
            let agreed = Agreed::of(&stream);
            let mut lines = Lines::new(stream, deadline);
            let greeted = tongue.greet(&mut lines, Stage::Encrypted).await;
            tongue.leave(&mut lines).await;
            agreed.judge(tls, Seen::new(format!("{} ({})", greeted?, agreed.evidence())))
        }
        Encryption::StartTls(tls) => {
            let mut lines = Lines::new(stream, deadline);
            let greeting = match tongue.greet_and_start_tls(&mut lines).await {
                Ok(greeting) => greeting,
                Err(failure) => {
                    tongue.leave(&mut lines).await;
                    return Err(failure);
                }
            };
            // Plain text that came with the reply would be taken for encrypted (RFC 3207 6).
            if lines.has_leftover() {
                let evidence = "sent more before the TLS handshake than its reply to STARTTLS";
                return Err(Failure::new(evidence));
            }
            let stream = trust.connect(lines.into_inner(), tls, deadline).await?;
            let agreed = Agreed::of(&stream);
            let mut lines = Lines::new(stream, deadline);
            let again = tongue.greet_again(&mut lines).await;
            tongue.leave(&mut lines).await;
            again?;
            agreed.judge(tls, Seen::new(format!("{greeting} ({})", agreed.evidence())))
        }
    }
}

/// Where in a conversation a greeting stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing will be encrypted.
    Plain,
    /// STARTTLS comes next.
    BeforeTls,
    /// Everything is encrypted.
    Encrypted,
}

/// A protocol, spoken.
struct Tongue {
    protocol: Protocol,
    /// Who we are, for EHLO and LHLO.
    client: String,
}

impl Tongue {
    async fn greet<S>(&self, lines: &mut Lines<S>, stage: Stage) -> Result<String, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self.protocol {
            Protocol::Smtp | Protocol::Submission | Protocol::Lmtp => {
                smtp::greet(lines, &self.hello(), stage).await
            }
            Protocol::Imap => imap::greet(lines).await,
            Protocol::Pop3 => pop3::greet(lines).await,
            Protocol::Sieve => sieve::greet(lines, stage).await,
        }
    }

    async fn greet_and_start_tls<S>(&self, lines: &mut Lines<S>) -> Result<String, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let greeting = self.greet(lines, Stage::BeforeTls).await?;
        match self.protocol {
            Protocol::Smtp | Protocol::Submission | Protocol::Lmtp => smtp::start_tls(lines).await?,
            Protocol::Imap => imap::start_tls(lines).await?,
            Protocol::Pop3 => pop3::start_tls(lines).await?,
            Protocol::Sieve => sieve::start_tls(lines).await?,
        }
        Ok(greeting)
    }

    /// Over TLS everything is asked anew: what was said before may have been forged (RFC 3207 4.2).
    async fn greet_again<S>(&self, lines: &mut Lines<S>) -> Result<(), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self.protocol {
            Protocol::Smtp | Protocol::Submission | Protocol::Lmtp => {
                smtp::greet_again(lines, &self.hello()).await
            }
            Protocol::Imap => imap::greet_again(lines).await,
            Protocol::Pop3 => pop3::greet_again(lines).await,
            Protocol::Sieve => sieve::greet(lines, Stage::Encrypted).await.map(drop),
        }
    }

    /// Takes leave, so that no log says that a connection was lost. The verdict is made: nothing
    /// here matters to it. But nothing is said to a server that still owes an answer: who speaks out
    /// of turn is taken for a spammer (RFC 5321 4.3.1; postscreen's PREGREET, Postfix's "improper
    /// command pipelining"), and banned.
    async fn leave<S>(&self, lines: &mut Lines<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let owes_an_answer = lines.is_late();
        lines.begin_farewell();
        if owes_an_answer {
            return lines.end().await;
        }
        match self.protocol {
            Protocol::Smtp | Protocol::Submission | Protocol::Lmtp => smtp::leave(lines).await,
            Protocol::Imap => imap::leave(lines).await,
            Protocol::Pop3 => pop3::leave(lines).await,
            Protocol::Sieve => sieve::leave(lines).await,
        }
        lines.end().await;
    }

    fn hello(&self) -> smtp::Hello<'_> {
        smtp::Hello {
            verb: if self.protocol == Protocol::Lmtp { "LHLO" } else { "EHLO" },
            client: &self.client,
            wants_auth: self.protocol == Protocol::Submission,
        }
    }
}
