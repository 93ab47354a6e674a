//! Certificate and key: from files, which may change, or the server's own.
//!
//! Handshakes take what is there at that moment; connections that are open keep what they have.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use quinn::crypto::rustls::QuicServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{InconsistentKeys, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::kept;
use crate::diagnostic::Diagnostic;
use crate::limits::TLS_FILES_LOOKED_AT;

/// The protocol inside TLS (RFC 7858 and IANA's list), and inside QUIC (RFC 9250 4.1.1).
const ALPN_TLS: &[u8] = b"dot";
const ALPN_QUIC: &[u8] = b"doq";

/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate and those of its issuers, in this order (PEM).
    pub certificate: PathBuf,
    /// The certificate's key (PEM).
    pub key: PathBuf,
}

/// What the server shows to clients, now.
#[derive(Debug)]
pub struct Identity(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Identity {
    /// The certificate and key of an operator.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn of(files: &Files) -> Result<Arc<Identity>, Diagnostic> {
        Ok(Arc::new(Identity(ArcSwap::from_pointee(files.read()?))))
    }

    /// A certificate that the server signs itself: clients that don't verify are safe from those
    /// who only listen (RFC 9539 3.1). It is kept in `directory`, so that clients which remember it
    /// see the same after a restart; where it can't be, it is new at each start.
    ///
    /// # Errors
    /// When none can be made.
    pub fn own(directory: &Path, name: &str) -> Result<Arc<Identity>, Diagnostic> {
        let path = directory.join(kept::FILE);
        let files = Files { certificate: path.clone(), key: path.clone() };
        let kept = files.read().or_else(|why| {
            if path.exists() {
                tracing::warn!(kind = "certificate", "{}; another certificate is made", why.place_and_message());
            }
            let pem = kept::make(name)
                .map_err(|error| Diagnostic::error(&path, format!("no certificate can be made: {error}")))?;
            if let Err(error) = kept::write(&path, &pem) {
                tracing::warn!(kind = "certificate", %error, file = %path.display(), "the certificate isn't kept over a restart");
            }
            certified(pem.as_bytes(), pem.as_bytes(), &files)
        })?;
        Ok(Arc::new(Identity(ArcSwap::from_pointee(kept))))
    }

    /// Until when the certificate that clients are shown is valid, in seconds since 1970.
    #[must_use]
    pub fn valid_until(&self) -> Option<i64> {
        let shown = self.0.load();
        let (_, certificate) = X509Certificate::from_der(shown.cert.first()?).ok()?;
        Some(certificate.validity().not_after.timestamp())
    }

    /// For TLS in TCP.
    pub(super) fn tls(self: &Arc<Identity>) -> io::Result<Arc<ServerConfig>> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::clone(self) as _);
        config.alpn_protocols = vec![ALPN_TLS.to_vec()];
        // Clients that come back save both sides the signature, and we remember nothing of them.
        config.ticketer = ring::Ticketer::new().map_err(io::Error::other)?;
        Ok(Arc::new(config))
    }

    /// For QUIC, which has TLS 1.3 inside (RFC 9001 4.2).
    pub(super) fn quic(self: &Arc<Identity>) -> io::Result<Arc<QuicServerConfig>> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(io::Error::other)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::clone(self) as _);
        config.alpn_protocols = vec![ALPN_QUIC.to_vec()];
        config.ticketer = ring::Ticketer::new().map_err(io::Error::other)?;
        Ok(Arc::new(QuicServerConfig::try_from(config).map_err(io::Error::other)?))
    }

    /// Looks at the files now and then, and takes a new pair once it has settled, until `end` is
    /// dropped. A bad one is told, and the pair at hand stays.
    pub fn follow(&self, files: &Files, end: &Receiver<()>) {
        let mut taken = files.stamps();
        let mut seen = taken;
        while end.recv_timeout(TLS_FILES_LOOKED_AT) == Err(RecvTimeoutError::Timeout) {
            let now = files.stamps();
            if now != taken && now == seen {
                taken = now;
                match files.read() {
                    Ok(pair) => {
                        self.0.store(Arc::new(pair));
                        tracing::info!(kind = "certificate", file = %files.certificate.display(), "certificate loaded");
                    }
                    Err(found) => {
                        tracing::error!(
                            kind = "certificate",
                            "{found}\n    the certificate that was good stays in use"
                        );
                    }
                }
            }
            seen = now;
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// When a file was changed, and its length; none if it isn't there.
type Stamp = Option<(SystemTime, u64)>;

impl Files {
    /// Reads both.
    ///
    /// # Errors
    /// What is wrong with which.
    pub fn read(&self) -> Result<CertifiedKey, Diagnostic> {
        let read = |path: &Path, what| {
            std::fs::read(path)
                .map_err(|error| Diagnostic::error(path, format!("cannot read the {what}: {error}")))
        };
        certified(&read(&self.certificate, "certificate")?, &read(&self.key, "key")?, self)
    }

    fn stamps(&self) -> [Stamp; 2] {
        [&self.certificate, &self.key].map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }
}

fn certified(certificate: &[u8], key: &[u8], files: &Files) -> Result<CertifiedKey, Diagnostic> {
    let of_certificate = |what: &dyn fmt::Display| {
        Diagnostic::error(&files.certificate, format!("this is no certificate: {what}"))
            .help("write it and its issuers' in PEM, each from -----BEGIN CERTIFICATE----- to its END")
    };
    let of_key = |what: &dyn fmt::Display| {
        Diagnostic::error(&files.key, format!("this is no key that can be used: {what}"))
            .help("write it in PEM, without a passphrase, from -----BEGIN PRIVATE KEY----- to its END")
    };
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| of_certificate(&error))?;
    if chain.is_empty() {
        return Err(of_certificate(&"it has none in PEM"));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
        pem::Error::NoItemsFound => of_key(&"it has none in PEM"),
        other => of_key(&other),
    })?;
    let key = provider().key_provider.load_private_key(key).map_err(|error| of_key(&error))?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(rustls::Error::InconsistentKeys(_)) => Err(Diagnostic::error(
            &files.key,
            format!("this isn't the key of the certificate in {}", files.certificate.display()),
        )),
        Err(error) => Err(of_certificate(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &Path, certificate: &str, key: &str) -> Files {
        let files = Files { certificate: directory.join("c.pem"), key: directory.join("k.pem") };
        std::fs::write(&files.certificate, certificate).unwrap();
        std::fs::write(&files.key, key).unwrap();
        files
    }

    #[test]
    fn each_mistake_names_its_file() {
        let scratch = tempfile::tempdir().unwrap();
        let (one, other) = (kept::make("ns1.example.com").unwrap(), kept::make("ns1.example.com").unwrap());
        let found = |certificate: &str, key: &str| {
            let found = files(scratch.path(), certificate, key).read().unwrap_err();
            format!("{} {}", found.path.file_name().unwrap().display(), found.message)
        };
        assert!(files(scratch.path(), &one, &one).read().is_ok());
        assert!(found(&one, &other).starts_with("k.pem this isn't the key of the certificate in "));
        assert_eq!(found("", &one), "c.pem this is no certificate: it has none in PEM");
        let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(found(empty, &one).starts_with("c.pem this is no certificate: "), "{}", found(empty, &one));
        assert_eq!(found(&one, "x"), "k.pem this is no key that can be used: it has none in PEM");
        let gone = Files { certificate: scratch.path().join("gone"), key: scratch.path().join("k.pem") };
        assert!(gone.read().unwrap_err().message.starts_with("cannot read the certificate: "));
    }

    #[test]
    fn rfc9539_3_1_the_own_certificate_is_kept_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let first = Identity::own(scratch.path(), "ns 1, of no host's name").unwrap();
        let again = Identity::own(scratch.path(), "other").unwrap();
        assert_eq!(first.0.load().cert, again.0.load().cert);
        let path = scratch.path().join(kept::FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "damaged").unwrap();
        let fresh = Identity::own(scratch.path(), "other").unwrap();
        assert_ne!(first.0.load().cert, fresh.0.load().cert);
        // Without a place to keep it there is one all the same.
        assert!(Identity::own(&scratch.path().join("nowhere"), "other").is_ok());
    }
}
