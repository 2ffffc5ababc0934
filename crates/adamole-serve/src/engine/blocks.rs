//! The blocks of the cache of keys and values, and who has them.

use std::sync::{Arc, Mutex, PoisonError};

/// The numbers of the blocks that nobody has.
type Free = Arc<Mutex<Vec<u32>>>;

/// A supply of blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    free: Free,
    total: usize,
}

/// One block, which goes back to the supply with its last owner. A full block may have several owners.
#[derive(Debug)]
pub(super) struct Block {
    number: u32,
    free: Free,
}

impl Blocks {
    /// So many blocks.
    pub(super) fn new(total: usize) -> Self {
        Self { free: Arc::new(Mutex::new((0..total as u32).rev().collect())), total }
    }

    /// A block that nobody has.
    pub(super) fn take(&self) -> Option<Arc<Block>> {
        let number = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Arc::new(Block { number, free: self.free.clone() }))
    }

    /// The number of blocks that nobody has.
    pub(super) fn free(&self) -> usize {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The number of all blocks.
    pub(super) fn total(&self) -> usize {
        self.total
    }
}

impl Block {
    /// Its number in the cache.
    pub(super) fn number(&self) -> u32 {
        self.number
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_back_with_its_last_owner() {
        let blocks = Blocks::new(2);
        let (first, second) = (blocks.take().expect("free"), blocks.take().expect("free"));
        assert!(first.number() != second.number() && blocks.take().is_none());
        let other_owner = first.clone();
        drop(first);
        assert_eq!(blocks.free(), 0);
        drop(other_owner);
        assert_eq!((blocks.free(), blocks.total()), (1, 2));
    }
}
