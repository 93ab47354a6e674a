//! Memory as the system sees it: what loading zones needed goes back, and what serving them needs
//! comes to lie in large pages.
#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
use std::fs;
use std::sync::Mutex;

/// Octets of a large page, as x86-64 and most others have them. Where they are larger, nothing fits
/// and nothing happens.
#[cfg(target_os = "linux")]
const LARGE_PAGE_OCTETS: usize = 2 << 20;

/// A range becomes a large page if so much of it is in use, in eighths: what is free in between
/// would be taken from the system again.
#[cfg(target_os = "linux")]
const IN_USE_EIGHTHS: usize = 7;

/// Gives free memory back and moves the rest into large pages, unless another thread is at it.
pub(crate) fn put_in_order() {
    static AT_IT: Mutex<()> = Mutex::new(());
    let Ok(_alone) = AT_IT.try_lock() else { return };
    give_back();
    let pages = make_pages_large();
    tracing::debug!(?pages, "memory was put in order");
}

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

/// How many ranges were full enough for a large page, and how many have got one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LargePages {
    full: usize,
    made: usize,
}

/// Moves what the process holds into large pages. A query for one of a million names touches a few
/// lines of memory far from all others, and most of its time would go into finding where those
/// pages are, twice over in a virtual machine.
///
/// For a hundred megabytes it takes from a few to several hundred milliseconds, so it is for a thread
/// that nobody waits for; answers go on meanwhile. It is the system's offer since Linux 6.1, and an
/// older one, or one without large pages at hand, leaves all as it is.
fn make_pages_large() -> LargePages {
    let mut pages = LargePages::default();
    #[cfg(target_os = "linux")]
    for range in fs::read_to_string("/proc/self/maps").iter().flat_map(|maps| maps.lines()).filter_map(heap) {
        let first = range.start.next_multiple_of(LARGE_PAGE_OCTETS);
        for at in (first..range.end).step_by(LARGE_PAGE_OCTETS) {
            if range.end - at < LARGE_PAGE_OCTETS || !is_in_use(at) {
                continue;
            }
            pages.full += 1;
            // SAFETY: only moves what lies there; if the range isn't the process's any more, the
            // system says so.
            let refused = unsafe { libc::madvise(at as *mut _, LARGE_PAGE_OCTETS, libc::MADV_COLLAPSE) };
            pages.made += usize::from(refused == 0);
        }
    }
    pages
}

/// A line of the process's map that is memory to write, without a file: allocations.
#[cfg(target_os = "linux")]
fn heap(line: &str) -> Option<std::ops::Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    if fields.next() != Some("rw-p") || fields.nth(2) != Some("0") {
        return None;
    }
    // Stacks have a name as well, and are small.
    if fields.next().is_some_and(|name| name.starts_with("[stack")) {
        return None;
    }
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

/// Whether most of a range has memory behind it.
#[cfg(target_os = "linux")]
fn is_in_use(at: usize) -> bool {
    let mut pages = [0_u8; LARGE_PAGE_OCTETS / 4096];
    let octets = pages.len() * rustix::param::page_size();
    if octets != LARGE_PAGE_OCTETS {
        return false;
    }
    // SAFETY: writes an octet for each page of the range, and `pages` has as many.
    let refused = unsafe { libc::mincore(at as *mut _, LARGE_PAGE_OCTETS, pages.as_mut_ptr()) };
    let present = pages.iter().filter(|page| **page & 1 == 1).count();
    refused == 0 && present * 8 >= pages.len() * IN_USE_EIGHTHS
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_moved_into_large_pages_stays_what_it_is() {
        let held: Vec<u64> = (0..4 << 20).collect();
        give_back();
        let pages = make_pages_large();
        assert!(held.iter().copied().eq(0..4 << 20));
        // Thirty-two megabytes hold fifteen whole ranges at least, wherever they begin.
        assert!(pages.full >= 15 && pages.made <= pages.full, "{pages:?}");
    }

    #[test]
    fn memory_without_a_file_is_found() {
        let of = |line| heap(line);
        assert_eq!(of("55d0-66d0 rw-p 00000000 00:00 0          [heap]"), Some(0x55d0..0x66d0));
        assert_eq!(of("7f00-7f10 rw-p 00000000 00:00 0"), Some(0x7f00..0x7f10));
        assert_eq!(of("7f00-7f10 r--p 00000000 00:00 0"), None);
        assert_eq!(of("7f00-7f10 rw-p 00001000 fe:00 123456    /usr/bin/waypost"), None);
        assert_eq!(of("7ffc-7ffd rw-p 00000000 00:00 0          [stack]"), None);
        assert_eq!(of("nonsense"), None);
    }
}
