//! The files of a zone's keys.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::dnssec::key_file;
use crate::dnssec::rollover::{KeyId, KeyMemory, Memory, Role, Start, State};
use crate::dnssec::{Policy, Secret, SigningKey};
use crate::health::Tick;
use crate::wire::name::Name;

/// Version of `state.json`. Another one is an error: guessing where a key is could break the zone.
const STATE_VERSION: u32 = 1;

/// Octets of a key's file, at most. A longer one is refused: it is no key.
const FILE_OCTETS: u64 = 64 << 10;

/// The directory of all keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    directory: PathBuf,
}

/// The directory of one zone's keys.
#[derive(Clone, Debug)]
pub struct ZoneStore {
    apex: Name,
    directory: PathBuf,
}

/// Keys as they are on the disk.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Where each is.
    pub memory: Memory,
    /// The keys, in the same order.
    pub keys: Vec<SigningKey>,
}

/// Keys that couldn't be read or written, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// What it is about.
    pub path: PathBuf,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path.display(), self.message, self.help)
    }
}

impl std::error::Error for StoreError {}

/// Nobody else changes the zone's keys while it is held.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, never read")] File);

#[derive(Serialize, Deserialize)]
struct StateFile {
    version: u32,
    #[serde(flatten)]
    memory: Memory,
    /// How the zone was signed last: what a zone goes on by that is to leave signing.
    #[serde(default)]
    policy: Option<Policy>,
}

impl Store {
    /// The store in a directory, which need not be there yet.
    #[must_use]
    pub fn new(directory: &Path) -> Store {
        Store { directory: directory.to_owned() }
    }

    /// The part of one zone.
    #[must_use]
    pub fn zone(&self, apex: &Name) -> ZoneStore {
        let apex = apex.to_lower();
        let name = apex.to_string().replace('/', "\\047");
        let name = if apex.is_root() { "root" } else { name.strip_suffix('.').unwrap_or(&name) };
        ZoneStore { directory: self.directory.join(name), apex }
    }

    /// The zones' directories that are there, by one look instead of one at each; none if that can't
    /// be told.
    pub(super) fn listed(&self) -> Option<HashSet<PathBuf>> {
        match fs::read_dir(&self.directory) {
            Ok(entries) => entries.map(|entry| Some(entry.ok()?.path())).collect(),
            Err(error) => (error.kind() == io::ErrorKind::NotFound).then(HashSet::new),
        }
    }
}

impl ZoneStore {
    /// Files of a zone's keys right in a directory.
    #[must_use]
    pub fn at(directory: &Path, apex: &Name) -> ZoneStore {
        ZoneStore { apex: apex.to_lower(), directory: directory.to_owned() }
    }

    /// Makes the directory, which is nobody's but its owner's.
    ///
    /// # Errors
    /// When the disk can't.
    pub fn prepare(&self) -> Result<(), StoreError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        made.map_err(|error| unwritable(&self.directory, &error))
    }

    /// The zone.
    #[must_use]
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// Where its keys are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Waits for whoever changes these keys just now, and keeps others from it. Makes the directory.
    ///
    /// # Errors
    /// When the disk can't.
    pub fn lock(&self) -> Result<Lock, StoreError> {
        self.prepare()?;
        let path = self.directory.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(|error| unwritable(&path, &error))?;
        flock(&file, FlockOperation::LockExclusive).map_err(|error| unwritable(&path, &error.into()))?;
        Ok(Lock(file))
    }

    /// All keys. Without a state file every key that is there counts as active, which is right for
    /// keys that another server used, and safe for all: they are published, and they sign.
    ///
    /// # Errors
    /// When any can't be read: a zone isn't signed with only some of its keys.
    pub fn read(&self, now: Tick) -> Result<Held, StoreError> {
        let memory = match self.read_state()? {
            Some((memory, _)) => memory,
            None => return self.adopt(now),
        };
        let keys = memory.keys.iter().map(|key| self.read_key(key.id)).collect::<Result<_, _>>()?;
        Ok(Held { memory, keys })
    }

    /// Whether there is nothing here: no state, and no key.
    ///
    /// # Errors
    /// When keys are there that can't be read.
    pub fn is_empty(&self, now: Tick) -> Result<bool, StoreError> {
        Ok(self.read_state()?.is_none() && self.adopt(now)?.keys.is_empty())
    }

    /// Where keys are on their way, and how the zone was signed last; none if nobody has written it.
    pub(super) fn read_state(&self) -> Result<Option<(Memory, Policy)>, StoreError> {
        let path = self.state_path();
        let octets = match fs::read(&path) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&path, &error)),
        };
        let help = "restore it from a backup, or remove it: then all keys here count as active";
        let file: StateFile = serde_json::from_slice(&octets)
            .map_err(|error| failure(&path, format!("no state of keys: {error}"), help))?;
        if file.version != STATE_VERSION {
            let message = format!("its version is {}, and {STATE_VERSION} is known here", file.version);
            return Err(failure(&path, message, "run the version of waypost that wrote it"));
        }
        Ok(Some((file.memory, file.policy.unwrap_or_default())))
    }

    fn adopt(&self, now: Tick) -> Result<Held, StoreError> {
        let mut held = Held::default();
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(held),
            Err(error) => return Err(unreadable(&self.directory, &error)),
        };
        for entry in entries {
            let path = entry.map_err(|error| unreadable(&self.directory, &error))?.path();
            let is_key = path.extension().is_some_and(|extension| extension == "key")
                && path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"K"));
            if is_key {
                let (key, _) = read_pair(&self.apex, &path)?;
                held.keys.push(key);
            }
        }
        held.keys.sort_by_key(|key| (key.algorithm(), key.tag()));
        let is_split = held.keys.iter().any(|key| key.flags() & 1 == 0);
        held.memory.keys = held
            .keys
            .iter()
            .map(|key| KeyMemory {
                id: id(key),
                role: role(key.flags(), is_split),
                state: State::Active,
                since: now,
                start: Start::First,
                is_unseen: false,
            })
            .collect();
        Ok(held)
    }

    /// Keeps where keys are, and how the zone is signed.
    ///
    /// # Errors
    /// When the disk can't: then the older state is there still.
    pub fn write_memory(&self, memory: &Memory, policy: &Policy) -> Result<(), StoreError> {
        let path = self.state_path();
        let file = StateFile { version: STATE_VERSION, memory: memory.clone(), policy: Some(policy.clone()) };
        let octets =
            serde_json::to_vec_pretty(&file).map_err(|error| unwritable(&path, &io::Error::other(error)))?;
        self.write(&path, &octets)
    }

    /// Writes a key's files, the private half first: a `.key` is never there without it.
    ///
    /// # Errors
    /// When the disk can't.
    pub fn write_key(&self, key: &SigningKey, secret: &Secret) -> Result<(), StoreError> {
        let (public, private) = self.paths(id(key));
        self.write(&private, key_file::private_text(key.algorithm(), secret).as_bytes())?;
        self.write(&public, key_file::public_text(&self.apex, key).as_bytes())
    }

    /// Takes a key's files away.
    ///
    /// # Errors
    /// When the disk can't.
    pub fn remove_key(&self, id: KeyId) -> Result<(), StoreError> {
        let (public, private) = self.paths(id);
        for path in [public, private] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(unwritable(&path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Where the two files of a key are: `.key`, `.private`.
    #[must_use]
    pub fn paths(&self, id: KeyId) -> (PathBuf, PathBuf) {
        let stem = key_file::stem(&self.apex, id);
        (self.directory.join(format!("{stem}.key")), self.directory.join(format!("{stem}.private")))
    }

    fn read_key(&self, id: KeyId) -> Result<SigningKey, StoreError> {
        let (public, _) = self.paths(id);
        let (key, _) = read_pair(&self.apex, &public)?;
        let found = self::id(&key);
        if found != id {
            let message = format!("it holds key {found}, not key {id}");
            return Err(failure(&public, message, "restore the files from a backup"));
        }
        Ok(key)
    }

    fn state_path(&self) -> PathBuf {
        self.directory.join("state.json")
    }

    /// Writes beside the place, flushes, renames, and has the directory know it: a crash or a full
    /// disk leaves the old file whole.
    fn write(&self, path: &Path, octets: &[u8]) -> Result<(), StoreError> {
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".new");
        let fresh = PathBuf::from(fresh);
        let write = || {
            // One that a crash left may have another mode.
            let _ = fs::remove_file(&fresh);
            let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&fresh)?;
            file.write_all(octets)?;
            file.sync_all()?;
            fs::rename(&fresh, path)?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&fresh);
            unwritable(path, &error)
        })
    }
}

/// Reads a key from its two files, of which one is named.
///
/// # Errors
/// When either can't be read, or they aren't a key of the zone.
pub(crate) fn read_pair(apex: &Name, either: &Path) -> Result<(SigningKey, Secret), StoreError> {
    let (public, private) = (beside(either, "key"), beside(either, "private"));
    let public_text = read_text(&public)?;
    let private_text = read_text(&private)?;
    key_file::read(apex, &public_text, &private_text).map_err(|error| {
        failure(&private, error.to_string(), "restore both files of the key from a backup, or import another")
    })
}

/// What identifies a key.
pub(crate) fn id(key: &SigningKey) -> KeyId {
    KeyId { algorithm: key.algorithm(), tag: key.tag() }
}

/// What a key of these flags is for; with keys beside it that aren't known to the parent, or not.
pub(crate) fn role(flags: u16, is_split: bool) -> Role {
    match (flags & 1 == 1, is_split) {
        (false, _) => Role::Zsk,
        (true, true) => Role::Ksk,
        (true, false) => Role::Csk,
    }
}

/// The stem ends in a number that is no extension, so `with_extension` is right only after one.
fn beside(path: &Path, extension: &str) -> PathBuf {
    let known = path.extension().is_some_and(|end| end == "key" || end == "private");
    if known {
        return path.with_extension(extension);
    }
    let mut whole = path.as_os_str().to_owned();
    whole.push(".");
    whole.push(extension);
    PathBuf::from(whole)
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, StoreError> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let octets = file.metadata().map_err(|error| unreadable(path, &error))?.len();
    if octets > FILE_OCTETS {
        return Err(failure(
            path,
            format!("{octets} octets are too many for a key"),
            "is it the right file?",
        ));
    }
    // With its whole room from the start, growing leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(FILE_OCTETS as usize + 1));
    file.take(FILE_OCTETS).read_to_string(&mut text).map_err(|error| unreadable(path, &error))?;
    Ok(text)
}

fn failure(path: &Path, message: impl Into<String>, help: &str) -> StoreError {
    StoreError { path: path.to_owned(), message: message.into(), help: help.to_owned() }
}

fn unreadable(path: &Path, error: &io::Error) -> StoreError {
    let help = match error.kind() {
        io::ErrorKind::PermissionDenied => "let the server's user read it",
        io::ErrorKind::NotFound => "restore it from a backup: without its keys the zone can't be signed",
        _ => "see that the disk is there and in order",
    };
    failure(path, format!("cannot be read: {error}"), help)
}

fn unwritable(path: &Path, error: &io::Error) -> StoreError {
    let help = match error.kind() {
        io::ErrorKind::PermissionDenied => "let the server's user write there",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room on the disk: until then keys stay as they are"
        }
        io::ErrorKind::ReadOnlyFilesystem => "mount it writable: until then keys stay as they are",
        _ => "see that the directory is there and in order",
    };
    failure(path, format!("cannot be written: {error}"), help)
}
