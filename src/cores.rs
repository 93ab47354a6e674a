//! Work shared by all cores of the machine.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Numbers that a core takes at once, at most: taking one and handing its result over costs more than
/// many a small work.
const TOGETHER_MAX: usize = 64;

/// How often each core comes back for more, at least, so that all are done at about the same time.
const RUNS_EACH: usize = 16;

/// Runs `work` for each number below `count`, on all cores; results come in the order of the
/// numbers. Each core has a `scratch` of its own.
pub fn share<S, T: Send>(
    count: usize,
    scratch: impl Fn() -> S + Sync,
    work: impl Fn(usize, &mut S) -> T + Sync,
) -> Vec<T> {
    let cores = cores().min(count);
    let together = (count / (cores.max(1) * RUNS_EACH)).clamp(1, TOGETHER_MAX);
    let runs = count.div_ceil(together);
    let next = AtomicUsize::new(0);
    let work_on = || {
        let mut scratch = scratch();
        let mut done = Vec::new();
        loop {
            let run = next.fetch_add(1, Ordering::Relaxed);
            if run >= runs {
                return done;
            }
            let numbers = run * together..count.min((run + 1) * together);
            let results: Vec<T> = numbers.map(|number| work(number, &mut scratch)).collect();
            done.push((run, results));
        }
    };
    let mut by_run: Vec<Vec<T>> = Vec::new();
    by_run.resize_with(runs, Vec::new);
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..cores).map(|_| scope.spawn(work_on)).collect();
        let own = work_on();
        let others = others.into_iter().flat_map(|core| core.join().expect("shared work doesn't panic"));
        for (run, results) in own.into_iter().chain(others) {
            by_run[run] = results;
        }
    });
    let mut all = Vec::with_capacity(count);
    all.extend(by_run.into_iter().flatten());
    all
}

/// Runs both, side by side where there are cores for it.
pub fn both<A: Send, B>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B) -> (A, B) {
    if cores() == 1 {
        return (first(), second());
    }
    std::thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        (first.join().expect("shared work doesn't panic"), second)
    })
}

/// How many cores this process may use. Asked once: the answer takes a dozen system calls, and
/// ten thousand small zones would ask as often.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_number_is_worked_on_once_and_in_its_place() {
        for count in [1, 2, 63, 64, 65, 1_000, 100_000] {
            let done = super::share(count, Vec::new, |number, seen: &mut Vec<usize>| {
                seen.push(number);
                (number, seen.len())
            });
            assert!(done.iter().map(|(number, _)| *number).eq(0..count));
        }
        assert_eq!(super::both(|| 1, || "two"), (1, "two"));
        assert!(super::share(0, || (), |_, ()| ()).is_empty());
    }
}
