//! Bundles of signatures on their way from the server that has keys to those that have none.
//!
//! ```text
//! writer -> bindery -> bundles/NAME.bundle -> rsync, git, or:
//!                                          -> admin -> pull -> bundles/NAME.bundle -> watch, load
//! ```
//!
//! What a bundle holds is in `dnssec::bundle`, which of them is taken in `load`.

mod bindery;
mod pull;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use bindery::{Bindery, Written};
pub use pull::Puller;
use ring::digest;

use crate::load::ZoneFiles;
use crate::wire::name::Name;

/// The file of a zone's bundle.
#[must_use]
pub fn path(directory: &Path, apex: &Name) -> PathBuf {
    ZoneFiles::in_directory(directory, &apex.to_lower()).bundle
}

/// What tells two bundles apart, as an ETag.
#[must_use]
pub fn tag(octets: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, octets);
    let hex: String = digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
    format!("\"{hex}\"")
}

/// Puts a bundle in place of another at once.
fn replace(directory: &Path, apex: &Name, octets: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let path = path(directory, apex);
    let fresh = path.with_extension("new");
    let write = || {
        let mut file = File::create(&fresh)?;
        file.write_all(octets)?;
        file.sync_data()?;
        fs::rename(&fresh, &path)
    };
    write().inspect_err(|_| {
        // Half of one would take the last room of a disk that is full.
        let _ = fs::remove_file(&fresh);
    })
}
