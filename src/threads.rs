//! Waiting for threads to end, and not for ever.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it is looked whether a thread has ended.
const LOOK: Duration = Duration::from_millis(2);

/// Waits for threads to end, until a time at most. Those that haven't by then, by name: they are left
/// behind. That one ended by a panic is told in the log.
pub fn wait(threads: impl IntoIterator<Item = JoinHandle<()>>, until: Instant) -> Vec<String> {
    let mut left = Vec::new();
    for thread in threads {
        let name = thread.thread().name().unwrap_or("?").to_owned();
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        if !thread.is_finished() {
            left.push(name);
        } else if thread.join().is_err() {
            tracing::error!("thread {name} ended by a panic");
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn who_hangs_is_named_and_holds_up_nobody_for_longer() {
        let (end, ended) = channel::<()>();
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let hangs = named("hangs").spawn(move || assert!(ended.recv().is_err())).unwrap();
        let ends = named("ends").spawn(|| {}).unwrap();
        let panics = named("panics").spawn(|| std::panic::resume_unwind(Box::new(()))).unwrap();
        let until = Instant::now() + Duration::from_millis(200);
        // Those behind it had the same time.
        assert_eq!(wait([hangs, ends, panics], until), ["hangs"]);
        assert!(Instant::now() >= until);
        drop(end);
    }
}
