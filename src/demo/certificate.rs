//! A certificate authority for as long as the demo runs.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::DemoError;

/// The authority: its key never leaves memory, so its root is worth nothing to anybody later.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Result<Authority, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "Waypost demo authority");
        Ok(Authority(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// What a probe must trust to believe the sites.
    pub(super) fn root(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// The server's side of TLS, under any of these names.
    pub(super) fn acceptor(&self, names: Vec<String>) -> Result<TlsAcceptor, DemoError> {
        let (chain, key) = self.issue(names).map_err(DemoError::Certificate)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key.into()))
            .map_err(DemoError::Tls)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn issue(
        &self,
        names: Vec<String>,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivatePkcs8KeyDer<'static>), rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "Waypost demo site");
        let certificate = params.signed_by(&key, &self.0)?;
        Ok((vec![certificate.der().clone()], key.serialize_der().into()))
    }
}
