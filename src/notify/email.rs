//! Mail by submission (RFC 6409), over TLS.

use std::path::Path;
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Mail};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::attempt::Outcome;
use super::message::Message;
use super::receiver::{Email, Encryption, read_secret};
use super::template::Template;
use crate::diagnostic::with_causes;

/// Whatever keeps a mail from being made or handed in.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

pub(super) async fn send(
    email: &Email,
    message: &Message,
    template: &Template,
    patience: Duration,
) -> Outcome {
    let mail = match mail(email, message, template) {
        Ok(mail) => mail,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let (of_files, name) = (email.clone(), message.server.clone());
    // Files, and hundreds of roots: not on a thread that others wait for.
    let transport = match tokio::task::spawn_blocking(move || transport(&of_files, &name, patience)).await {
        Ok(Ok(transport)) => transport,
        Ok(Err(error)) => return Outcome::later(error),
        Err(error) => return Outcome::later(error),
    };
    match transport.send(mail).await {
        Ok(response) => {
            Outcome::Taken(format!("{} {}", response.code(), response.first_line().unwrap_or("")))
        }
        Err(error) if error.is_permanent() => Outcome::Refused(with_causes(&error)),
        Err(error) => Outcome::later(with_causes(&error)),
    }
}

/// Whether it reads as an address of mail, with or without a name before it.
#[must_use]
pub fn is_mailbox(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok()
}

fn mail(email: &Email, message: &Message, template: &Template) -> Result<Mail, Trouble> {
    let title = template.title.fill_line(message);
    // The same for every attempt, so that what came twice is seen to be one.
    let id = format!("<waypost.{}.{}@{}>", message.id, message.at.0, message.server);
    let mut builder = Mail::builder()
        .from(email.from.parse()?)
        .subject(format!("[{}] {title}", message.severity.word()))
        .message_id(Some(id))
        .header(ContentType::TEXT_PLAIN)
        // So that nobody's absence answers (RFC 3834 5).
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
    for to in &email.to {
        builder = builder.to(to.parse()?);
    }
    let text = template.text.fill(message);
    Ok(builder.body(format!("{text}\n\n-- \nWaypost on {}\n", message.server))?)
}

fn transport(
    email: &Email,
    name: &str,
    patience: Duration,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, Trouble> {
    let tls = || -> Result<TlsParameters, Trouble> {
        let mut tls = TlsParameters::builder(email.server.clone());
        for certificate in email.ca.as_deref().map(certificates).transpose()?.into_iter().flatten() {
            tls = tls.add_root_certificate(certificate);
        }
        Ok(tls.build_rustls()?)
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(email.server.clone())
        .port(email.port)
        .timeout(Some(patience))
        .hello_name(ClientId::Domain(name.to_owned()))
        .tls(match email.encryption {
            Encryption::StartTls => Tls::Required(tls()?),
            Encryption::Implicit => Tls::Wrapper(tls()?),
            Encryption::None => Tls::None,
        });
    if let Some((user, password)) = &email.login {
        builder = builder.credentials(Credentials::new(user.clone(), read_secret(password)?));
    }
    Ok(builder.build())
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, Trouble> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let found = CertificateDer::pem_file_iter(path).and_then(|found| found.collect::<Result<Vec<_>, _>>());
    let found = found.map_err(|error| at(&error))?;
    found.into_iter().map(|der| Ok(Certificate::from_der(der.to_vec())?)).collect()
}
