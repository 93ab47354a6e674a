//! What runs, and its end.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::runtime::Runtime;

use crate::encrypted::Encrypted;
use crate::keys::Keeper;
use crate::limits::STOP;
use crate::publish::Control;
use crate::querylog::Writing;
use crate::serve::Running;
use crate::threads;
use crate::watch::Waker;

/// The parts of a server that run, each from when it was started. They end with this, whether the
/// server was told to stop, was dropped, or couldn't be started to the end.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Probes, names, notifications and the local API; the writer waits in it.
    pub(super) runtime: Option<Runtime>,
    pub(super) writing: Option<Writing>,
    pub(super) writer: Option<(Control, JoinHandle<()>)>,
    pub(super) encrypted: Option<Encrypted>,
    pub(super) running: Option<Running>,
    pub(super) watcher: Option<(Waker, JoinHandle<()>)>,
    pub(super) keeper: Option<Arc<Keeper>>,
}

impl Drop for Parts {
    /// All are told first, so that what takes a while takes it beside the others: a client that is
    /// slow to take its answers, a disk that is slow to take the state. Then the runtime goes, which
    /// the writer waits in.
    fn drop(&mut self) {
        let until = Instant::now() + STOP;
        let mut answering = self.running.take().map(Running::end).unwrap_or_default();
        answering.extend(self.encrypted.take().map(Encrypted::end).unwrap_or_default());
        // Whatever it is about when the server ends, files are whole at every moment.
        if let Some(keeper) = self.keeper.take() {
            keeper.stop();
        }
        let watcher = self.watcher.take().inspect(|(waker, _)| waker.stop());
        let writer = self.writer.take().inspect(|(control, _)| control.end());
        let mut left = threads::wait(answering, until);
        // Once nobody copies queries any more.
        left.extend(self.writing.take().and_then(|writing| writing.stop(until)));
        left.extend(threads::wait(watcher.map(|(_, thread)| thread), until));
        left.extend(threads::wait(writer.map(|(_, thread)| thread), until));
        if !left.is_empty() {
            tracing::error!("not ended within {STOP:?}, and left behind: {}", left.join(", "));
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
