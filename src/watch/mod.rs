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

use notify::event::{ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::diagnostic::Diagnostic;
use crate::keys::Keeper;
use crate::load::Loader;
use crate::publish::{Change, Control};

/// Files are read when nothing has changed for so long: a `git checkout` touches many, and a file
/// that is being written is read too early before its end.
const QUIET: Duration = Duration::from_millis(50);
/// The same where few files were put in place by a rename: these are whole. A zone and its routes
/// are two renames, and neither is meant to be served without the other; where a zone is one file
/// there is nothing to wait for.
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
    /// Of these, files that aren't known to be whole: written in place, or changed in another way
    /// than by a rename.
    written: BTreeSet<PathBuf>,
    /// Of these, names that files had before a rename.
    left: BTreeSet<PathBuf>,
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
    // When all files were looked at, and when any were read.
    let (mut looked, mut read) = (Instant::now(), Instant::now());
    loop {
        let is_early = match wakes.recv_timeout(wait) {
            Ok(()) => {
                // Many zones that come one by one are gathered.
                let may_be_early = read.elapsed() >= QUIET;
                let is_alone =
                    |path: &Path| may_be_early && loader.is_alone(&watching.as_named(path.to_owned()));
                settle(wakes, told, &is_alone)
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return,
        };
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
        let is_all = pass.is_none();
        let mut pass = pass.unwrap_or_else(|| {
            fresh.clear();
            looked = Instant::now();
            loader.pass()
        });
        read = Instant::now();
        if is_early && !is_all && pass.diagnostics().any(Diagnostic::is_error) {
            // What it lacks may be on its way. All that was read of these files is read once more.
            loader.doubt(&fresh);
            wait = QUIET_RENAMED;
            continue;
        }
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

/// Waits until the directory is quiet, or the server ends; says whether that was no time at all.
fn settle(wakes: &Receiver<()>, told: &Waker, is_alone: &dyn Fn(&Path) -> bool) -> bool {
    let started = Instant::now();
    let (mut last, mut quiet) = (started, QUIET);
    while !told.is_stopped() && started.elapsed() < QUIET_AT_MOST {
        quiet = told.changed().quiet(is_alone);
        match wakes.recv_timeout(quiet.saturating_sub(last.elapsed())) {
            Ok(()) => last = Instant::now(),
            Err(_) => break,
        }
    }
    quiet.is_zero()
}

impl Changed {
    fn note(&mut self, event: notify::Result<notify::Event>) {
        let Ok(event) = event else {
            self.is_more = true;
            return;
        };
        self.is_more |= event.need_rescan() || event.paths.is_empty();
        for path in &event.paths {
            match event.kind {
                EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                    // Whatever was written there is whole, and elsewhere.
                    self.written.remove(path);
                    self.left.insert(path.clone());
                }
                EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                    self.written.remove(path);
                    self.left.remove(path);
                }
                // Told once more, of both names.
                EventKind::Modify(ModifyKind::Name(_)) => {}
                _ => {
                    self.written.insert(path.clone());
                    self.left.remove(path);
                }
            }
        }
        self.paths.extend(event.paths);
        if self.paths.len() > CHANGED_MAX {
            *self = Changed { is_more: true, ..Changed::default() };
        }
    }

    /// How long it has to be quiet before files are read. `is_alone` tells whether a file is all
    /// that its zone is read from.
    fn quiet(&self, is_alone: &dyn Fn(&Path) -> bool) -> Duration {
        let placed: Vec<&PathBuf> = self.paths.difference(&self.left).collect();
        if !self.written.is_empty() || self.is_more || placed.len() > RENAMED_FEW {
            return QUIET;
        }
        let is_early = !placed.is_empty() && placed.iter().all(|path| is_alone(path));
        if is_early { Duration::ZERO } else { QUIET_RENAMED }
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
    use notify::event::{CreateKind, DataChange, EventAttributes};

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

    fn quiet(events: &[(EventKind, &[&str])], alone: &[&str]) -> Duration {
        let mut changed = Changed::default();
        for (kind, paths) in events {
            let paths = paths.iter().map(PathBuf::from).collect();
            changed.note(Ok(notify::Event { kind: *kind, paths, attrs: EventAttributes::default() }));
        }
        changed.quiet(&|path| alone.iter().any(|alone| path == Path::new(alone)))
    }

    #[test]
    fn what_may_be_half_written_is_waited_for_and_what_was_renamed_is_whole() {
        let renamed = |mode| EventKind::Modify(ModifyKind::Name(mode));
        let (from, to) = (renamed(RenameMode::From), renamed(RenameMode::To));
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let created = EventKind::Create(CreateKind::File);
        let alone: &[&str] = &["a.zone", "b.zone"];
        assert_eq!(quiet(&[(to, &["a.zone"])], alone), Duration::ZERO);
        // It has routes, or isn't known.
        assert_eq!(quiet(&[(to, &["c.zone"])], alone), QUIET_RENAMED);
        assert_eq!(quiet(&[(to, &["a.zone"]), (to, &["a.toml"])], alone), QUIET_RENAMED);
        assert_eq!(quiet(&[(to, &["a.zone"]), (to, &["b.zone"]), (to, &["c.zone"])], alone), QUIET);
        assert_eq!(quiet(&[(written, &["a.zone"])], alone), QUIET);
        assert_eq!(quiet(&[(to, &["a.zone"]), (written, &["a.zone"])], alone), QUIET);
        assert_eq!(quiet(&[(to, &["a.zone"]), (created, &["b.zone"])], alone), QUIET);
        // Written beside its place, in the same directory.
        let beside: &[(EventKind, &[&str])] = &[(created, &[".a"]), (written, &[".a"])];
        assert_eq!(quiet(beside, alone), QUIET);
        let moved: &[(EventKind, &[&str])] =
            &[(from, &[".a"]), (to, &["a.zone"]), (renamed(RenameMode::Both), &[".a", "a.zone"])];
        assert_eq!(quiet(&[beside, moved].concat(), alone), Duration::ZERO);
        assert_eq!(quiet(&[beside, &moved[..1]].concat(), alone), QUIET_RENAMED);
    }
}
