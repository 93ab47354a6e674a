//! Whether a file is still the one that was read.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use foldhash::quality::FixedState;

use crate::zone::Files;

/// A file that changed so shortly before it was read may change again within the same tick of
/// its file system's clock: it is read once more later.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// What tells two versions of a file apart without reading it. Follows symbolic links, so that a
/// swapped link is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    octets: u64,
    modified_s: i64,
    modified_ns: i64,
}

/// Files as they were when they were read, absent ones too.
#[derive(Clone, Debug, Default)]
pub(super) struct Stamps {
    files: BTreeMap<PathBuf, Option<Stamp>>,
    settled: bool,
    digest: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        fs::metadata(path).ok().map(|metadata| Stamp::from(&metadata))
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            octets: metadata.size(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
        }
    }
}

impl Stamps {
    /// Whether no file has changed since.
    pub(super) fn are_current(&self) -> bool {
        self.settled && self.files.iter().all(|(path, stamp)| Stamp::of(path) == *stamp)
    }

    /// Whether files had stood still for a while when they were read.
    pub(super) fn are_settled(&self) -> bool {
        self.settled
    }

    /// Whether other stamps were taken of the same content.
    pub(super) fn same_content(&self, other: &Stamps) -> bool {
        self.digest == other.digest && self.files.keys().eq(other.files.keys())
    }

    /// The files.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }
}

/// Reads files and remembers what it read.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    read: Mutex<BTreeMap<PathBuf, Reading>>,
    /// Read ahead, for whoever asks for them.
    ahead: Mutex<BTreeMap<PathBuf, Reading>>,
}

/// A file as it was read; absent ones have neither.
type Reading = (Option<Stamp>, Option<Bytes>);

impl Recorder {
    /// The content of a file; none if it doesn't exist. A second read gives the first one's.
    ///
    /// # Errors
    /// Any error but that the file doesn't exist.
    pub(super) fn read_if_there(&self, path: &Path) -> io::Result<Option<Bytes>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, content)) = read.get(path) {
            return Ok(content.clone());
        }
        if let Some(reading) = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).remove(path) {
            let content = reading.1.clone();
            read.insert(path.to_owned(), reading);
            return Ok(content);
        }
        let reading = match read_stamped(path) {
            Ok((stamp, octets)) => (Some(stamp), Some(Bytes::from(octets))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, None),
            Err(error) => {
                read.insert(path.to_owned(), (Stamp::of(path), None));
                return Err(error);
            }
        };
        let content = reading.1.clone();
        read.insert(path.to_owned(), reading);
        Ok(content)
    }

    /// Stamps of all that was read.
    pub(super) fn stamps(&self) -> Stamps {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut digest = FixedState::with_seed(0).build_hasher();
        let mut settled = true;
        let mut files = BTreeMap::new();
        for (path, (stamp, content)) in &*read {
            let age = stamp.map_or(SETTLED_AFTER, |stamp| {
                let modified = Duration::from_secs(u64::try_from(stamp.modified_s).unwrap_or(0));
                now.saturating_sub(modified)
            });
            settled &= age >= SETTLED_AFTER;
            digest.write(content.as_deref().unwrap_or(b"\0absent"));
            files.insert(path.clone(), *stamp);
        }
        Stamps { files, settled, digest: digest.finish() }
    }

    /// A recorder that has read nothing, to whom what this one read is at hand.
    pub(super) fn afresh(self) -> Recorder {
        let mut ahead = self.read.into_inner().unwrap_or_else(PoisonError::into_inner);
        // What couldn't be read may be now.
        ahead.retain(|_, (stamp, content)| content.is_some() || stamp.is_none());
        Recorder { read: Mutex::default(), ahead: Mutex::new(ahead) }
    }

    /// All that was read and there.
    pub(super) fn contents(&self) -> Vec<(PathBuf, Bytes)> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.iter().filter_map(|(path, (_, content))| Some((path.clone(), content.clone()?))).collect()
    }
}

/// A file in as few system calls as there can be: ten thousand small ones are read at a start.
///
/// The stamp first: if the file changes in between, the stamp is the older one, and the next pass
/// reads again.
fn read_stamped(path: &Path) -> io::Result<(Stamp, Vec<u8>)> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    // Room for one octet more: a read that leaves it empty has found the end.
    let size = usize::try_from(metadata.size()).unwrap_or(0);
    let mut octets = vec![0; size.saturating_add(1)];
    let count = file.read(&mut octets)?;
    octets.truncate(count);
    if !metadata.is_file() || count != size {
        file.read_to_end(&mut octets)?;
    }
    Ok((Stamp::from(&metadata), octets))
}

impl Files for Recorder {
    fn read(&self, path: &Path) -> io::Result<Bytes> {
        self.read_if_there(path)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
