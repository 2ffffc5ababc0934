//! The program's allocator.
//!
//! A training step asks for the same large blocks again and again. The system's allocator gives them back in between,
//! and the system takes a page fault for every 4 KiB of them when they are had again: a fifth of a step's time on the
//! CPU. This one keeps them.

use libmimalloc_sys::{mi_option_set, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`: milliseconds until free memory goes back to the system, -1 for never.
const PURGE_DELAY: mi_option_t = 15;

/// To be called before anything large is allocated.
pub(crate) fn keep_freed_memory() {
    // SAFETY: sets a number that the allocator reads, which exists in the version that is built in.
    unsafe {
        mi_option_set(PURGE_DELAY, -1);
    }
}
