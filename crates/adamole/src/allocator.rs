//! The program's allocator.
//!
//! A training step allocates the same large blocks again and again. The system's allocator returns them in between, and
//! every 4 KiB of a new block costs a page fault: a fifth of a step's time on the CPU. This allocator keeps them.

use libmimalloc_sys::{mi_option_set, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`: milliseconds until free memory is returned to the system, -1 for never.
const PURGE_DELAY: mi_option_t = 15;

/// Keeps freed memory in the process; to be called before anything large is allocated.
pub(crate) fn keep_freed_memory() {
    // SAFETY: sets an option that exists in the version of the allocator that is built in.
    unsafe {
        mi_option_set(PURGE_DELAY, -1);
    }
}
