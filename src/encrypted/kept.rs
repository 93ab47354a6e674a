//! The certificate that the server makes for itself, and its file.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

/// The file in the state directory: certificate and key.
pub(super) const FILE: &str = "tls.pem";

/// A certificate under a name, and its key, in PEM.
pub(super) fn make(name: &str) -> Result<String, rcgen::Error> {
    let key = KeyPair::generate()?;
    let is_host = !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-.".contains(&c));
    let names = if is_host { vec![name.to_owned()] } else { Vec::new() };
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.self_signed(&key)?;
    Ok(certificate.pem() + &key.serialize_pem())
}

/// Writes it for the owner alone: beside its place, then renamed, so that a crash leaves it whole
/// or not there.
pub(super) fn write(path: &Path, pem: &str) -> io::Result<()> {
    let fresh = path.with_extension("fresh");
    // One that a crash left may belong to whoever asks; its mode would stay.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}
