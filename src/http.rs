//! Clients of other HTTP servers: receivers of notifications, drain hooks, signers of bundles.

use std::path::Path;
use std::sync::Arc;

use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A URL by which something can be sent or asked for.
#[must_use]
pub(crate) fn url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

/// A client for a URL, but for its time-outs. It trusts the certificates of a file and, where it needs
/// any, the system's. These are hundreds: not for a thread that others wait for.
///
/// # Errors
/// What is wrong with the file, or with rustls.
pub(crate) fn client(to: &Url, ca: Option<&Path>) -> Result<ClientBuilder, String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca {
        let found =
            CertificateDer::pem_file_iter(path).and_then(|found| found.collect::<Result<Vec<_>, _>>());
        roots.add_parsable_certificates(found.map_err(|error| format!("{}: {error}", path.display()))?);
    }
    if to.scheme() == "https" {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    // Named here and not installed for the process: that is for whoever owns the process to decide.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        // Who redirects has moved: the new URL belongs into the configuration.
        .redirect(Policy::none())
        .user_agent(concat!("waypost/", env!("CARGO_PKG_VERSION"))))
}
