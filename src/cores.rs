//! Work shared by all cores of the machine.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs `work` for each number below `count`, on all cores; results come in the order of the
/// numbers. Each core has a `scratch` of its own.
pub fn share<S, T: Send>(
    count: usize,
    scratch: impl Fn() -> S + Sync,
    work: impl Fn(usize, &mut S) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut scratch = scratch();
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return done;
            }
            done.push((number, work(number, &mut scratch)));
        }
    };
    let cores = cores().min(count);
    let mut results: Vec<Option<T>> = Vec::with_capacity(count);
    results.resize_with(count, || None);
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..cores).map(|_| scope.spawn(run)).collect();
        let own = run();
        let others = others.into_iter().flat_map(|core| core.join().expect("shared work doesn't panic"));
        for (number, result) in own.into_iter().chain(others) {
            results[number] = Some(result);
        }
    });
    results.into_iter().map(|result| result.expect("each number is worked on")).collect()
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
        let done = super::share(1000, Vec::new, |number, seen: &mut Vec<usize>| {
            seen.push(number);
            (number, seen.len())
        });
        assert!(done.iter().map(|(number, _)| *number).eq(0..1000));
        assert!(super::share(0, || (), |_, ()| ()).is_empty());
    }
}
