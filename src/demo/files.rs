//! The example as it is in the repository, carried in the program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const CONFIG: &str = "waypost.toml";

const FILES: [(&str, &[u8]); 4] = [
    (CONFIG, include_bytes!("../../waypost.toml")),
    ("zones/example.com.zone", include_bytes!("../../zones/example.com.zone")),
    ("zones/example.com.toml", include_bytes!("../../zones/example.com.toml")),
    ("geoip/country.mmdb", include_bytes!("../../geoip/country.mmdb")),
];

/// Writes the example into a directory. Gives the path of its configuration file.
pub(super) fn write(directory: &Path) -> io::Result<PathBuf> {
    for (path, content) in FILES {
        let path = directory.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, content)?;
    }
    Ok(directory.join(CONFIG))
}
