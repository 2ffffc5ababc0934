//! Memory use of a thread.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    thread::AccessError,
};

/// The system allocator, counting the memory of each thread.
#[derive(Debug)]
pub struct Metered;

thread_local! {
    /// Allocated bytes. A deallocation counts for the thread that makes it.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let counted = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        PEAK.try_with(|peak| peak.set(peak.get().max(held.get())))
    });
    // A thread that ends is not counted any more.
    let _: Result<_, AccessError> = counted;
}

// SAFETY: the system's allocator, with a count beside it that does not allocate.
unsafe impl GlobalAlloc for Metered {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the contract of the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the contract of the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the contract of the caller.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the contract of the caller.
        unsafe { System.dealloc(block, layout) }
    }
}

/// The peak of the memory that this thread allocates during `work`.
pub(super) fn peak_of(work: impl FnOnce()) -> usize {
    let before = HELD.get();
    PEAK.set(before);
    work();
    usize::try_from(PEAK.get() - before).unwrap_or(0)
}
