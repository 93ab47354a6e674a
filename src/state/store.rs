//! The state directory's files.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::journal::JournalFile;
use crate::health::Saved;
use crate::load::ZoneFiles;
use crate::model::event::Event;
use crate::wire::name::Name;

/// Version of `health.json`; another one is passed over as though there were no file.
const HEALTH_VERSION: u32 = 1;

/// Version of `addresses.json`, likewise.
const ADDRESSES_VERSION: u32 = 1;

/// What host names were resolved to.
pub type SavedAddresses = BTreeMap<String, Vec<IpAddr>>;

/// The state directory.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

/// A file of the state directory that couldn't be read or written.
#[derive(Debug)]
pub struct StoreError {
    path: PathBuf,
    cause: io::Error,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.cause)
    }
}

impl std::error::Error for StoreError {}

/// When what is written must be on the disk.
#[derive(Clone, Copy)]
enum Flush {
    Each,
    Later,
}

/// A zone that is written and not yet in its place.
struct Prepared {
    directory: PathBuf,
    fresh: PathBuf,
}

impl Prepared {
    fn place(self) -> Result<(), StoreError> {
        let Prepared { directory, fresh } = self;
        let old = directory.with_extension("old");
        if directory.exists() {
            remove_directory(&old)?;
            fs::rename(&directory, &old).map_err(at(&directory))?;
        }
        fs::rename(&fresh, &directory).map_err(at(&directory))?;
        remove_directory(&old)
    }
}

#[derive(Serialize, Deserialize)]
struct HealthFile {
    version: u32,
    #[serde(flatten)]
    saved: Saved,
}

#[derive(Serialize, Deserialize)]
struct AddressesFile {
    version: u32,
    names: SavedAddresses,
}

impl Store {
    /// The state in a directory, which is made if it isn't there.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn open(directory: &Path) -> Result<Store, StoreError> {
        let store = Store { directory: directory.to_owned() };
        let zones = directory.join("zones");
        fs::create_dir_all(&zones).map_err(at(&zones))?;
        Ok(store)
    }

    /// Verdicts from before the restart; none if there are none or they can't be understood.
    ///
    /// # Errors
    /// When the file is there but can't be used; the server starts without it.
    pub fn read_health(&self) -> Result<Option<Saved>, StoreError> {
        let path = self.directory.join("health.json");
        let octets = match fs::read(&path) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&path)(error)),
        };
        let file: HealthFile = serde_json::from_slice(&octets).map_err(|error| at(&path)(error.into()))?;
        Ok((file.version == HEALTH_VERSION).then_some(file.saved))
    }

    /// Writes verdicts.
    ///
    /// # Errors
    /// When the disk can't.
    pub fn write_health(&self, saved: &Saved) -> Result<(), StoreError> {
        let path = self.directory.join("health.json");
        let file = HealthFile { version: HEALTH_VERSION, saved: saved.clone() };
        let octets = serde_json::to_vec(&file).map_err(|error| at(&path)(error.into()))?;
        replace(&path, &octets)
    }

    /// The newest events from before the restart, the oldest first.
    ///
    /// # Errors
    /// When the files are there but can't be read; numbers then begin anew.
    pub fn read_events(&self) -> Result<Vec<Event>, StoreError> {
        let journal = JournalFile::of(&self.directory);
        journal.read().map_err(at(&journal.path))
    }

    /// Writes events behind those that are there.
    ///
    /// # Errors
    /// When the disk can't.
    pub fn append_events<'e>(&self, events: impl Iterator<Item = &'e Arc<Event>>) -> Result<(), StoreError> {
        let journal = JournalFile::of(&self.directory);
        journal.append(events).map_err(at(&journal.path))
    }

    /// What host names were resolved to before the restart; nothing if that isn't known.
    ///
    /// # Errors
    /// When the file is there but can't be used; the server starts without it.
    pub fn read_addresses(&self) -> Result<SavedAddresses, StoreError> {
        let path = self.directory.join("addresses.json");
        let octets = match fs::read(&path) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(SavedAddresses::new()),
            Err(error) => return Err(at(&path)(error)),
        };
        let file: AddressesFile = serde_json::from_slice(&octets).map_err(|error| at(&path)(error.into()))?;
        Ok(if file.version == ADDRESSES_VERSION { file.names } else { SavedAddresses::new() })
    }

    /// Writes what host names were resolved to.
    ///
    /// # Errors
    /// When the disk can't.
    pub fn write_addresses(&self, saved: &SavedAddresses) -> Result<(), StoreError> {
        let path = self.directory.join("addresses.json");
        let file = AddressesFile { version: ADDRESSES_VERSION, names: saved.clone() };
        let octets = serde_json::to_vec(&file).map_err(|error| at(&path)(error.into()))?;
        replace(&path, &octets)
    }

    /// Where the last good version of a zone is, if there is one.
    #[must_use]
    pub fn zone(&self, apex: &Name) -> Option<ZoneFiles> {
        kept_zone(&self.directory, apex)
    }

    /// Keeps the files of a zone, in place of older ones.
    ///
    /// # Errors
    /// When the disk can't.
    pub fn write_zone(&self, files: &ZoneFiles, contents: &[(PathBuf, Bytes)]) -> Result<(), StoreError> {
        self.prepare_zone(files, contents, Flush::Each)?.place()
    }

    /// Likewise of many zones, with one flush of the disk for all. Says what failed.
    pub fn write_zones<'z>(
        &self,
        zones: impl Iterator<Item = (&'z ZoneFiles, &'z [(PathBuf, Bytes)])>,
    ) -> Vec<StoreError> {
        let mut failed = Vec::new();
        let mut prepared = Vec::new();
        for (files, contents) in zones {
            match self.prepare_zone(files, contents, Flush::Later) {
                Ok(zone) => prepared.push(zone),
                Err(error) => failed.push(error),
            }
        }
        let flushed = File::open(&self.directory).and_then(|disk| Ok(rustix::fs::syncfs(disk)?));
        if let Err(cause) = flushed {
            failed.push(at(&self.directory)(cause));
            return failed;
        }
        failed.extend(prepared.into_iter().filter_map(|zone| zone.place().err()));
        failed
    }

    /// Writes the files of a zone beside their place.
    fn prepare_zone(
        &self,
        files: &ZoneFiles,
        contents: &[(PathBuf, Bytes)],
        flush: Flush,
    ) -> Result<Prepared, StoreError> {
        let base = files.zone.parent().unwrap_or(Path::new(""));
        let directory = self.zone_directory(files);
        let fresh = directory.with_extension("new");
        remove_directory(&fresh)?;
        for (path, octets) in contents {
            // The loader lets no file outside of the zone directory in.
            let Ok(inside) = path.strip_prefix(base) else { continue };
            if inside.components().any(|part| !matches!(part, Component::Normal(_))) {
                continue;
            }
            let place = fresh.join(inside);
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent).map_err(at(parent))?;
            }
            match flush {
                Flush::Each => write_whole(&place, octets)?,
                Flush::Later => fs::write(&place, octets).map_err(at(&place))?,
            }
        }
        Ok(Prepared { directory, fresh })
    }

    /// Forgets a zone.
    ///
    /// # Errors
    /// When the disk can't.
    pub fn remove_zone(&self, files: &ZoneFiles) -> Result<(), StoreError> {
        let directory = self.zone_directory(files);
        remove_directory(&directory.with_extension("old"))?;
        remove_directory(&directory)
    }

    fn zone_directory(&self, files: &ZoneFiles) -> PathBuf {
        zone_directory(&self.directory, files)
    }
}

/// Where a state directory has the last good version of a zone, if there is one.
#[must_use]
pub fn kept_zone(state: &Path, apex: &Name) -> Option<ZoneFiles> {
    let directory = zone_directory(state, &ZoneFiles::in_directory(Path::new(""), apex));
    let kept = ZoneFiles::in_directory(&directory, apex);
    if kept.zone.exists() {
        return Some(kept);
    }
    // A crash between the two renames of `write_zone` leaves the older version aside.
    let aside = ZoneFiles::in_directory(&directory.with_extension("old"), apex);
    aside.zone.exists().then_some(aside)
}

fn zone_directory(state: &Path, files: &ZoneFiles) -> PathBuf {
    // The stem is the zone's name; with a suffix of its own it can't clash with `.new`.
    state.join("zones").join(files.zone.file_name().unwrap_or_default())
}

fn remove_directory(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Writes beside the place, flushes, renames.
fn replace(path: &Path, octets: &[u8]) -> Result<(), StoreError> {
    let fresh = path.with_extension("new");
    write_whole(&fresh, octets)?;
    fs::rename(&fresh, path).map_err(at(path))
}

/// Writes a file and waits until the disk has it, so that a rename never shows half of it.
fn write_whole(path: &Path, octets: &[u8]) -> Result<(), StoreError> {
    let mut file = File::create(path).map_err(at(path))?;
    file.write_all(octets).map_err(at(path))?;
    file.sync_data().map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |cause| StoreError { path, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_replaced_whole() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::open(scratch.path()).unwrap();
        let apex = Name::parse("example.com.", None).unwrap();
        let files = ZoneFiles::in_directory(Path::new("/etc/zones"), &apex);
        assert_eq!(store.zone(&apex), None);
        let content = |text: &'static str| Bytes::from(text);
        let first = [
            (PathBuf::from("/etc/zones/example.com.zone"), content("one")),
            (PathBuf::from("/etc/zones/parts/mail.inc"), content("part")),
            (PathBuf::from("/etc/passwd"), content("outside")),
        ];
        store.write_zone(&files, &first).unwrap();
        let kept = store.zone(&apex).unwrap();
        assert_eq!(fs::read(&kept.zone).unwrap(), b"one");
        let part = kept.zone.parent().unwrap().join("parts/mail.inc");
        assert_eq!(fs::read(&part).unwrap(), b"part");
        store.write_zone(&files, &[(files.zone.clone(), content("two"))]).unwrap();
        assert_eq!(fs::read(&kept.zone).unwrap(), b"two");
        assert!(!part.exists());
        // A crash between the renames.
        let directory = store.zone_directory(&files);
        fs::rename(&directory, directory.with_extension("old")).unwrap();
        assert_eq!(fs::read(store.zone(&apex).unwrap().zone).unwrap(), b"two");
        store.remove_zone(&files).unwrap();
        assert_eq!(store.zone(&apex), None);
    }

    #[test]
    fn verdicts_read_back_and_rubbish_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::open(scratch.path()).unwrap();
        assert_eq!(store.read_health().unwrap(), None);
        store.write_health(&Saved::default()).unwrap();
        assert_eq!(store.read_health().unwrap(), Some(Saved::default()));
        fs::write(scratch.path().join("health.json"), b"{").unwrap();
        assert!(store.read_health().unwrap_err().to_string().contains("health.json"));
    }
}
