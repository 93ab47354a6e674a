//! Sees files change, reads them, and hands what changed to the writer.
//!
//! Whole directories are watched, since editors, `git` and ConfigMap volumes put new files in the
//! place of old ones. Events only wake the loader: what has changed it finds by itself, so lost
//! events (a full queue, a file system without any) delay a reload and never prevent it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::keys::Keeper;
use crate::load::Loader;
use crate::publish::{Change, Control};

/// Files are read when nothing has changed for so long: a `git checkout` touches many, and a file
/// that is being written is read too early before its end.
const QUIET: Duration = Duration::from_millis(50);
/// The same where few files were put in place by a rename: these are whole.
const QUIET_RENAMED: Duration = Duration::from_millis(8);
/// So many files are few: a zone and its routes.
const RENAMED_FEW: usize = 2;
/// Files that are remembered by name. When more change, all are looked at.
const CHANGED_MAX: usize = 1_000;
/// They are read after this at the latest, however busy the directory is.
const QUIET_AT_MOST: Duration = Duration::from_secs(1);
/// Files so fresh that they may change within one tick of the file system's clock are looked at
/// once more after this.
const UNSETTLED: Duration = Duration::from_millis(2_500);
/// Without any event, stamps are compared this often.
const POLL: Duration = Duration::from_secs(30);

/// Wakes the thread that loads.
#[derive(Clone, Debug)]
pub struct Waker {
    wakes: SyncSender<()>,
    /// An operator wants everything read (SIGHUP). Beside the queue, since a full one must not
    /// lose that.
    everything: Arc<AtomicBool>,
    /// The server ends. Beside the queue, likewise.
    stopped: Arc<AtomicBool>,
    changed: Arc<Mutex<Changed>>,
}

/// What events told.
#[derive(Debug, Default)]
struct Changed {
    paths: BTreeSet<PathBuf>,
    /// Whether something changed in another way than by a rename.
    is_written: bool,
    /// Whether names are missing.
    is_more: bool,
}

impl Waker {
    /// Reads everything again, changed or not.
    pub fn reload(&self) {
        self.everything.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.wake();
    }

    fn wake(&self) {
        match self.wakes.try_send(()) {
            // A full queue wakes as well.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts watching what `loader` has read, its directories being `watch`.
///
/// # Errors
/// When the system has no thread to give.
pub fn start(
    loader: Loader,
    watch: Vec<PathBuf>,
    control: Control,
    keeper: Arc<Keeper>,
) -> std::io::Result<(Waker, JoinHandle<()>)> {
    let (sender, wakes) = sync_channel(64);
    let waker =
        Waker { wakes: sender, everything: Arc::default(), stopped: Arc::default(), changed: Arc::default() };
    let watching = Watching { watcher: watcher(waker.clone()), watched: BTreeSet::new() };
    let told = waker.clone();
    let thread = std::thread::Builder::new()
        .name("watch".into())
        .spawn(move || run(loader, watch, (&control, &keeper), watching, &wakes, &told))?;
    Ok((waker, thread))
}

fn run(
    mut loader: Loader,
    directories: Vec<PathBuf>,
    (control, keeper): (&Control, &Keeper),
    mut watching: Watching,
    wakes: &Receiver<()>,
    told: &Waker,
) {
    watching.set(directories);
    // Files may have changed between the first pass and the first watch.
    let mut wait = UNSETTLED;
    // Files that were still fresh when they were read alone.
    let mut fresh = BTreeSet::new();
    // When all files were looked at.
    let mut looked = Instant::now();
    loop {
        match wakes.recv_timeout(wait) {
            Ok(()) => settle(wakes, told),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if told.is_stopped() {
            return;
        }
        let changed = std::mem::take(&mut *told.changed());
        fresh.extend(changed.paths.into_iter().map(|path| watching.as_named(path)));
        let mut pass = None;
        if told.everything.swap(false, Ordering::Relaxed) {
            loader.forget();
        } else if !changed.is_more && !fresh.is_empty() && looked.elapsed() < POLL {
            pass = loader.pass_over(&fresh);
        }
        let mut pass = pass.unwrap_or_else(|| {
            fresh.clear();
            looked = Instant::now();
            loader.pass()
        });
        wait = if pass.unsettled { UNSETTLED } else { POLL };
        if !pass.unsettled {
            fresh.clear();
        }
        if !pass.watch.is_empty() {
            watching.set(std::mem::take(&mut pass.watch));
        }
        let is_news = !pass.is_unchanged() || pass.diagnostics().next().is_some();
        // Keys come before the zone that needs them.
        for (zone, keyring) in
            keeper.learn(pass.zones.iter_mut().filter_map(|(_, result)| result.as_mut().ok()))
        {
            control.send(Change::Keys { zone, keyring });
        }
        pass.gone.iter().for_each(|apex| keeper.forget(apex));
        if is_news && !control.send(Change::Files(Box::new(pass))) {
            return;
        }
    }
}

/// Waits until the directory is quiet, or the server ends.
fn settle(wakes: &Receiver<()>, told: &Waker) {
    let started = Instant::now();
    let mut last = started;
    while !told.is_stopped() && started.elapsed() < QUIET_AT_MOST {
        let quiet = told.changed().quiet();
        match wakes.recv_timeout(quiet.saturating_sub(last.elapsed())) {
            Ok(()) => last = Instant::now(),
            Err(_) => break,
        }
    }
}

impl Changed {
    fn note(&mut self, event: notify::Result<notify::Event>) {
        let Ok(event) = event else {
            self.is_more = true;
            return;
        };
        self.is_written |= !matches!(event.kind, EventKind::Modify(ModifyKind::Name(_)));
        self.is_more |= event.need_rescan() || event.paths.is_empty();
        self.paths.extend(event.paths);
        if self.paths.len() > CHANGED_MAX {
            self.is_more = true;
            self.paths.clear();
        }
    }

    /// How long it has to be quiet before files are read.
    fn quiet(&self) -> Duration {
        let is_whole = !self.is_written && !self.is_more && self.paths.len() <= RENAMED_FEW;
        if is_whole { QUIET_RENAMED } else { QUIET }
    }
}

struct Watching {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

/// None where the system can't watch: then stamps are compared now and then.
fn watcher(waker: Waker) -> Option<RecommendedWatcher> {
    let handler = move |event: notify::Result<notify::Event>| {
        // Reading files is no change; without this a pass would wake the next one.
        if event.as_ref().is_ok_and(|event| event.kind.is_access()) {
            return;
        }
        waker.changed.lock().unwrap_or_else(PoisonError::into_inner).note(event);
        waker.wake();
    };
    match notify::recommended_watcher(handler) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, "files can't be watched; they are looked at every {} s", POLL.as_secs());
            None
        }
    }
}

impl Watching {
    /// A path as the configuration names it. Events make it absolute, also where a directory was
    /// watched by a name relative to the working directory.
    fn as_named(&self, path: PathBuf) -> PathBuf {
        let is_watched = |path: &Path| {
            path.parent().is_some_and(|directory| {
                let here = directory.as_os_str().is_empty();
                self.watched.contains(if here { Path::new(".") } else { directory })
            })
        };
        if is_watched(&path) {
            return path;
        }
        let here = std::env::current_dir().ok();
        let relative = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
        relative.filter(|relative| is_watched(relative)).unwrap_or(path)
    }

    fn set(&mut self, directories: Vec<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted: BTreeSet<PathBuf> = directories.into_iter().collect();
        for gone in self.watched.difference(&wanted) {
            let _ = watcher.unwatch(gone);
        }
        let mut watched: BTreeSet<PathBuf> = self.watched.intersection(&wanted).cloned().collect();
        for directory in &wanted {
            // Watched again each time: a directory may have been replaced by one of its name.
            match watcher.watch(directory, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    watched.insert(directory.clone());
                }
                Err(error) => {
                    watched.remove(directory);
                    let directory = directory.display();
                    tracing::warn!(%directory, %error, "can't be watched; it is looked at now and then");
                }
            }
        }
        self.watched = watched;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_loses_no_reload_and_holds_up_no_end() {
        let (sender, wakes) = sync_channel(1);
        let waker = Waker {
            wakes: sender,
            everything: Arc::default(),
            stopped: Arc::default(),
            changed: Arc::default(),
        };
        waker.wake();
        waker.reload();
        waker.stop();
        assert_eq!(wakes.try_iter().count(), 1);
        assert!(waker.everything.load(Ordering::Relaxed) && waker.is_stopped());
    }
}
