//! What a TLS handshake agreed on; and the probe `tls`, which asks for nothing else.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::dial::Deadline;
use super::evidence::{Failure, Seen};
use super::{Tls, Trust};

const DAY: f64 = 86_400.0;

/// Name of the figure that says how long the certificate is valid still, in days.
pub const CERTIFICATE_DAYS: &str = "certificate_days";

pub(super) async fn ask(
    stream: TcpStream,
    tls: &Tls,
    trust: &Trust,
    deadline: Deadline,
) -> Result<Seen, Failure> {
    let mut stream = trust.connect(stream, tls, deadline).await?;
    let agreed = Agreed::of(&stream);
    // close_notify, so that the server logs no broken connection; the verdict is made.
    let _ = deadline.for_farewell().limit("end", stream.shutdown()).await;
    agreed.judge(tls, Seen::new(agreed.evidence()))
}

/// What client and server agreed on.
#[derive(Debug)]
pub(super) struct Agreed {
    version: String,
    /// Until the certificate expires; none if it can't be read.
    days: Option<f64>,
}

impl Agreed {
    pub(super) fn of<S>(stream: &TlsStream<S>) -> Agreed {
        let session = stream.get_ref().1;
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
            Some(other) => format!("{other:?}"),
            None => "TLS".to_owned(),
        };
        let days = session.peer_certificates().and_then(<[_]>::first).and_then(|der| days_left(der));
        Agreed { version, days }
    }

    /// `TLS 1.3, certificate for 61 days`.
    pub(super) fn evidence(&self) -> String {
        match self.days {
            Some(days) => format!("{}, certificate for {} days", self.version, days.floor()),
            None => self.version.clone(),
        }
    }

    /// What was seen over this connection, unless its certificate expires too soon.
    pub(super) fn judge(&self, tls: &Tls, mut seen: Seen) -> Result<Seen, Failure> {
        seen.figures.extend(self.days.map(|days| (CERTIFICATE_DAYS.to_owned(), days)));
        match self.days {
            Some(days) if tls.days > 0 && days < f64::from(tls.days) => {
                let wanted = tls.days;
                let left = days.floor();
                let evidence = format!("the certificate expires in {left} days, wanted {wanted}");
                Err(Failure::new(evidence).with(seen.figures))
            }
            None if tls.days > 0 => Err(Failure::new("the certificate's end can't be read")),
            _ => Ok(seen),
        }
    }
}

/// Days until a certificate expires; negative when it has.
fn days_left(der: &[u8]) -> Option<f64> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let end = certificate.validity().not_after.timestamp();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    // Whole seconds of any date fit an f64.
    Some((end as f64 - now.as_secs_f64()) / DAY)
}
