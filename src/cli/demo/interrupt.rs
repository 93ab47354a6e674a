//! Signals that end the demo tidily: its directory goes, and the terminal is as it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// Whether a signal asked for the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Notes SIGINT, SIGTERM and SIGHUP from now on. One that can't be watched ends the process
    /// as it always does.
    pub(super) fn watch(runtime: &Runtime) -> Interrupt {
        let interrupt = Interrupt::default();
        let _inside = runtime.enter();
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            let Ok(mut signal) = signal(kind) else { continue };
            let noted = interrupt.clone();
            runtime.spawn(async move {
                if signal.recv().await.is_some() {
                    noted.0.store(true, Ordering::Relaxed);
                }
            });
        }
        interrupt
    }

    pub(super) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
