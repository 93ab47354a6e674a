//! Asks the processor to bring memory into its cache, while it goes on with something else.
//!
//! A look-up among a million owners waits three times for memory, each wait as long as all the
//! rest of answering. Loads of different queries could wait at the same time, but the processor
//! doesn't look so far ahead by itself; told what the whole batch will need, it fetches all of it
//! at once.
//!
//! A hint reads nothing and can't fault; where there is no such instruction, nothing happens.
#![allow(unsafe_code)]

/// Fetches the line of the cache in which `place` begins.
#[inline(always)]
pub(crate) fn prefetch<T>(place: &T) {
    let address: *const T = place;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of every x86_64; any address may be hinted at, and this one is valid.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: any address may be hinted at, and this one is valid; no register is changed.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}
