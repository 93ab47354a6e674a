//! What a thread has from the allocator while it is watched.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with an account of each thread's octets.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Octets now, and at the most.
    static ACCOUNT: Cell<Option<(isize, isize)>> = const { Cell::new(None) };
}

/// What it gives, and how many octets it had at once at the most.
pub fn peak<T>(of: impl FnOnce() -> T) -> (T, usize) {
    ACCOUNT.set(Some((0, 0)));
    let given = of();
    let most = ACCOUNT.take().map_or(0, |(_, most)| most);
    (given, most.unsigned_abs())
}

fn add(octets: isize) {
    // A thread that ends has no account any more.
    let _ = ACCOUNT.try_with(|account| {
        if let Some((now, most)) = account.get() {
            let now = now + octets;
            account.set(Some((now, most.max(now))));
        }
    });
}

// SAFETY: the system's allocator, with an account before it that doesn't allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size() as isize);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size() as isize);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be there for a moment.
        add(size as isize);
        add(-(layout.size() as isize));
        // SAFETY: the caller's promise is handed on.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        add(-(layout.size() as isize));
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(place, layout) }
    }
}
