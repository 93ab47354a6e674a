//! Gives memory back to the system that loading zones needed and serving them doesn't.
#![allow(unsafe_code)]

/// Hands free pages back. glibc keeps what threads have freed for their next allocations; after a
/// million records are loaded that is as much as they take themselves. Other allocators do so by
/// themselves.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: touches nothing but memory that is free, under the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
