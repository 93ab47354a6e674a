//! The probe `tls`: a handshake, and a polite end.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::dial::Deadline;
use super::evidence::Failure;
use super::{Tls, Trust};

pub(super) async fn ask(
    stream: TcpStream,
    tls: &Tls,
    trust: &Trust,
    deadline: Deadline,
) -> Result<String, Failure> {
    let mut stream = trust.connect(stream, tls, deadline).await?;
    let evidence = version(&stream);
    // close_notify, so that the server logs no broken connection; the verdict is made.
    let _ = deadline.for_farewell().limit("end", stream.shutdown()).await;
    Ok(evidence)
}

/// What was agreed on: `TLS 1.3`.
pub(super) fn version<S>(stream: &TlsStream<S>) -> String {
    match stream.get_ref().1.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
        Some(other) => format!("{other:?}"),
        None => "TLS".to_owned(),
    }
}
