//! The program's allocator.
//!
//! A training step allocates the same large blocks again and again. The system's allocator returns them in between, and
//! every 4 KiB of a new block costs a page fault: a fifth of a step's time on the CPU. This allocator keeps them. Large blocks are
//! the system's and are handed out again for the same size: mimalloc rounds blocks of more than 32 MiB up to its own units, with
//! which a step over 8192 tokens took a third more memory than was in use.

use libmimalloc_sys::{mi_option_set, mi_option_t};
use mimalloc::MiMalloc;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    ptr,
    sync::{Mutex, MutexGuard, PoisonError},
};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator { kept: Mutex::new(Kept { blocks: [Block::NONE; MOST], count: 0 }) };

/// `mi_option_purge_delay`: milliseconds until free memory is returned to the system, -1 for never.
const PURGE_DELAY: mi_option_t = 15;
/// Bytes from which on a block is large.
const LARGE: usize = 8 << 20;
/// The most large blocks that are kept.
const MOST: usize = 4096;

/// Keeps freed memory in the process; to be called before anything large is allocated.
pub(crate) fn keep_freed_memory() {
    // SAFETY: sets an option that exists in the version of the allocator that is built in.
    unsafe {
        mi_option_set(PURGE_DELAY, -1);
    }
}

struct Allocator {
    kept: Mutex<Kept>,
}

/// A large block that is free.
#[derive(Clone, Copy)]
struct Block {
    place: *mut u8,
    layout: Layout,
}

impl Block {
    const NONE: Self = Self { place: ptr::null_mut(), layout: Layout::new::<()>() };
}

/// The large blocks that are free, the oldest first.
struct Kept {
    blocks: [Block; MOST],
    count: usize,
}

// SAFETY: free blocks belong to whoever holds the lock.
unsafe impl Send for Kept {}

impl Kept {
    /// The newest block of this layout.
    fn take(&mut self, layout: Layout) -> Option<*mut u8> {
        let index = self.blocks[..self.count].iter().rposition(|block| block.layout == layout)?;
        let place = self.blocks[index].place;
        self.blocks.copy_within(index + 1..self.count, index);
        self.count -= 1;
        Some(place)
    }

    /// Returns the oldest blocks to the system, as many as take the place of one of `size` bytes.
    fn give_back(&mut self, size: usize) {
        let mut bytes = 0;
        let is_enough = |block: &&Block| {
            let goes_on = bytes < size;
            bytes += block.layout.size();
            goes_on
        };
        let given = self.blocks[..self.count].iter().take_while(is_enough).count();
        for Block { place, layout } in &self.blocks[..given] {
            // SAFETY: the block is free, and was allocated with this layout.
            unsafe { System.dealloc(*place, *layout) };
        }
        self.blocks.copy_within(given..self.count, 0);
        self.count -= given;
    }

    fn keep(&mut self, block: Block) {
        if self.count == MOST {
            self.give_back(1);
        }
        self.blocks[self.count] = block;
        self.count += 1;
    }
}

impl Allocator {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A large block that was used before.
    fn used(&self, layout: Layout) -> Option<*mut u8> {
        let mut kept = self.kept();
        let used = kept.take(layout);
        if used.is_none() {
            kept.give_back(layout.size());
        }
        used
    }
}

/// A new large block.
///
/// # Safety
/// As for [`GlobalAlloc::alloc`].
unsafe fn new(layout: Layout) -> *mut u8 {
    // SAFETY: the caller's promises are those of the other allocator.
    let place = unsafe { System.alloc(layout) };
    #[cfg(target_os = "linux")]
    if !place.is_null() {
        const HUGE: usize = 2 << 20;
        let inside = place.align_offset(HUGE);
        // SAFETY: an advice about pages within the block; it changes nothing that is in them.
        unsafe { libc::madvise(place.add(inside).cast(), layout.size() - inside, libc::MADV_HUGEPAGE) };
    }
    place
}

// SAFETY: blocks are those of other allocators. Large ones are handed out again after they were freed, for the same layout.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match layout.size() < LARGE {
            // SAFETY: the caller's promises are those of the other allocator.
            true => unsafe { MiMalloc.alloc(layout) },
            // SAFETY: the same.
            false => self.used(layout).unwrap_or_else(|| unsafe { new(layout) }),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() < LARGE {
            // SAFETY: the caller's promises are those of the other allocator.
            return unsafe { MiMalloc.alloc_zeroed(layout) };
        }
        // SAFETY: the caller's promises are those of the other method, and the block has this size.
        unsafe {
            let place = self.alloc(layout);
            if !place.is_null() {
                place.write_bytes(0, layout.size());
            }
            place
        }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        match layout.size() < LARGE {
            // SAFETY: the caller's promises are those of the other allocator.
            true => unsafe { MiMalloc.dealloc(place, layout) },
            false => self.kept().keep(Block { place, layout }),
        }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.size().max(size) < LARGE {
            // SAFETY: the caller's promises are those of the other allocator.
            return unsafe { MiMalloc.realloc(place, layout, size) };
        }
        // SAFETY: the caller guarantees that the size is valid for the alignment.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both blocks have so many bytes, and the old one is not used any more.
            unsafe {
                ptr::copy_nonoverlapping(place, new, size.min(layout.size()));
                self.dealloc(place, layout);
            }
        }
        new
    }
}
