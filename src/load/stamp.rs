//! Whether a file is still the one that was read.

use std::fs::{self, File, Metadata};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use foldhash::quality::FixedState;
use rustix::fs::OFlags;

use crate::zone::Files;

/// A file that changed so shortly before it was read may change again within the same tick of
/// its file system's clock: it is read once more later.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// The clock by which files are stamped goes on in steps of at most so long (ten milliseconds, at a
/// hundred ticks a second): two changes within one look like one.
const CLOCK_STEP: Duration = Duration::from_millis(20);

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

/// Files as they were when they were read, absent ones too, by ascending path.
#[derive(Clone, Debug, Default)]
pub(super) struct Stamps {
    files: Box<[(PathBuf, Option<Stamp>)]>,
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
        self.digest == other.digest && self.paths().eq(other.paths())
    }

    /// Whether a file wasn't there.
    pub(super) fn lacks(&self, path: &Path) -> bool {
        let place = self.files.binary_search_by(|(known, _)| known.as_path().cmp(path));
        place.is_ok_and(|at| self.files[at].1.is_none())
    }

    /// Whether no other file was there.
    pub(super) fn have_only(&self, path: &Path) -> bool {
        let mut there = self.files.iter().filter(|(_, stamp)| stamp.is_some()).map(|(path, _)| path);
        there.next().is_some_and(|only| only == path) && there.next().is_none()
    }

    /// The files.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }
}

/// How a directory stood, to see whether its names changed meanwhile.
#[derive(Debug)]
pub(super) struct Standing {
    directory: PathBuf,
    stamp: Option<Stamp>,
    taken: Duration,
}

impl Standing {
    pub(super) fn of(directory: &Path) -> Standing {
        let taken = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Standing { directory: directory.to_owned(), stamp: Stamp::of(directory), taken }
    }

    /// Whether names may have come or gone since.
    pub(super) fn may_have_changed(&self) -> bool {
        let is_fresh = |stamp: Stamp| {
            let seconds = u64::try_from(stamp.modified_s).unwrap_or(0);
            let modified = Duration::new(seconds, u32::try_from(stamp.modified_ns).unwrap_or(0));
            self.taken.saturating_sub(modified) < CLOCK_STEP
        };
        self.stamp.is_none_or(is_fresh) || Stamp::of(&self.directory) != self.stamp
    }
}

/// Reads files and remembers what it read.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    read: Mutex<Readings>,
    /// Read ahead, for whoever asks for them.
    ahead: Mutex<Readings>,
}

/// A file as it was read; absent ones have neither.
type Reading = (Option<Stamp>, Option<Bytes>);

/// Files by ascending path. Most zones have one or two: of ten thousand, a map's nodes would take
/// more memory than what they read.
#[derive(Debug, Default)]
struct Readings(Vec<(PathBuf, Reading)>);

impl Readings {
    fn place(&self, path: &Path) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_path().cmp(path))
    }

    fn get(&self, path: &Path) -> Option<&Reading> {
        self.place(path).ok().map(|at| &self.0[at].1)
    }

    fn insert(&mut self, path: &Path, reading: Reading) {
        match self.place(path) {
            Ok(at) => self.0[at].1 = reading,
            Err(at) => self.0.insert(at, (path.to_owned(), reading)),
        }
    }

    fn remove(&mut self, path: &Path) -> Option<Reading> {
        self.place(path).ok().map(|at| self.0.remove(at).1)
    }
}

impl Recorder {
    /// Takes a file for absent without a look at it: a listing of its directory said so.
    pub(super) fn note_absent(&self, path: &Path) {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner).insert(path, (None, None));
    }

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
            read.insert(path, reading);
            return Ok(content);
        }
        let reading = match read_stamped(path) {
            Ok((stamp, octets)) => (Some(stamp), Some(Bytes::from(octets))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, None),
            Err(error) => {
                read.insert(path, (Stamp::of(path), None));
                return Err(error);
            }
        };
        let content = reading.1.clone();
        read.insert(path, reading);
        Ok(content)
    }

    /// Stamps of all that was read.
    pub(super) fn stamps(&self) -> Stamps {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut digest = FixedState::with_seed(0).build_hasher();
        let mut settled = true;
        let mut files = Vec::with_capacity(read.0.len());
        for (path, (stamp, content)) in &read.0 {
            let age = stamp.map_or(SETTLED_AFTER, |stamp| {
                let modified = Duration::from_secs(u64::try_from(stamp.modified_s).unwrap_or(0));
                now.saturating_sub(modified)
            });
            settled &= age >= SETTLED_AFTER;
            digest.write(content.as_deref().unwrap_or(b"\0absent"));
            files.push((path.clone(), *stamp));
        }
        Stamps { files: files.into(), settled, digest: digest.finish() }
    }

    /// A recorder that has read nothing, to whom what this one read is at hand.
    pub(super) fn afresh(self) -> Recorder {
        let mut ahead = self.read.into_inner().unwrap_or_else(PoisonError::into_inner);
        // What couldn't be read may be now.
        ahead.0.retain(|(_, (stamp, content))| content.is_some() || stamp.is_none());
        Recorder { read: Mutex::default(), ahead: Mutex::new(ahead) }
    }

    /// All that was read and there.
    pub(super) fn contents(&self) -> Vec<(PathBuf, Bytes)> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let read = read.0.iter();
        read.filter_map(|(path, (_, content))| Some((path.clone(), content.clone()?))).collect()
    }
}

/// A file in as few system calls as there can be: ten thousand small ones are read at a start.
///
/// The stamp first: if the file changes in between, the stamp is the older one, and the next pass
/// reads again.
fn read_stamped(path: &Path) -> io::Result<(Stamp, Vec<u8>)> {
    // Opening a FIFO would wait until somebody writes to it.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = File::options().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if metadata.file_type().is_fifo() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is a named pipe; a file is needed"));
    }
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
