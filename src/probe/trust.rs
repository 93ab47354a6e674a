//! Which certificates probes believe.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::dial::Deadline;
use super::evidence::{Failure, of_error};
use super::{Tls, TlsVersion};

/// TLS settings of probes, with and without a check of certificates. The crypto provider is named
/// here and not installed for the process: that is for whoever owns the process to decide.
#[derive(Clone, Debug)]
pub struct Trust {
    verifying: Versions,
    indifferent: Versions,
}

/// The same settings for each oldest version: built once, since a probe has no time for it.
#[derive(Clone, Debug)]
struct Versions {
    from_1_2: Arc<ClientConfig>,
    from_1_3: Arc<ClientConfig>,
}

impl Trust {
    /// Trusts the system's roots and `extra_roots`. Roots that can't be read are passed over: the
    /// probes that needed them say so.
    #[must_use]
    pub fn new(extra_roots: &[CertificateDer<'static>]) -> Trust {
        let system = rustls_native_certs::load_native_certs();
        if system.certs.is_empty() {
            tracing::warn!(errors = ?system.errors, "no system roots: probes that verify will fail");
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(system.certs);
        roots.add_parsable_certificates(extra_roots.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(roots);
        let versions = |verify: bool| Versions {
            from_1_2: settings(&provider, rustls::DEFAULT_VERSIONS, verify.then_some(&roots)),
            from_1_3: settings(&provider, &[&rustls::version::TLS13], verify.then_some(&roots)),
        };
        Trust { verifying: versions(true), indifferent: versions(false) }
    }

    /// The settings for a probe that does or doesn't verify, with the oldest version it takes.
    #[must_use]
    pub fn config(&self, verify: bool, least: TlsVersion) -> &Arc<ClientConfig> {
        let versions = if verify { &self.verifying } else { &self.indifferent };
        match least {
            TlsVersion::V1_2 => &versions.from_1_2,
            TlsVersion::V1_3 => &versions.from_1_3,
        }
    }

    /// A handshake on a connection.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        tls: &Tls,
        deadline: Deadline,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let name = server_name(&tls.name)?;
        let connector = TlsConnector::from(self.config(tls.verify, tls.least).clone());
        match deadline.limit("TLS handshake", connector.connect(name, stream)).await? {
            Ok(stream) => Ok(stream),
            Err(error) => {
                let said = of_error(&error);
                Err(Failure::new(if said.starts_with("TLS") {
                    said
                } else {
                    format!("TLS handshake: {said}")
                }))
            }
        }
    }
}

/// Settings that check certificates against `roots`, or don't.
fn settings(
    provider: &Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    roots: Option<&Arc<RootCertStore>>,
) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .expect("ring has cipher suites for these versions");
    let mut config = match roots {
        Some(roots) => builder.with_root_certificates(roots.clone()).with_no_client_auth(),
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Indifferent { provider: provider.clone() }))
            .with_no_client_auth(),
    };
    // A resumed session shows no certificate: one that expired would go unseen.
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// The name for SNI, which has no final dot (RFC 6066 3).
fn server_name(name: &str) -> Result<ServerName<'static>, Failure> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(address.into()));
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    ServerName::try_from(name.to_owned())
        .map_err(|_| Failure::new(format!("TLS: {name:?} is no server name")))
}

/// Takes any certificate: for `verify = false`.
#[derive(Debug)]
struct Indifferent {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Indifferent {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    // A signature proves that the server owns its certificate, of which nothing is asked here;
    // and certificates that rustls can't parse have none that it could check.
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
