//! The random order of an epoch, which depends on its seed and number alone.

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// A stream of random numbers for one `(seed, epoch)`.
///
/// The generator is SplitMix64 (Steele, Lea and Flood, 2014): its numbers are the same on every machine, and orders of epochs
/// that follow from them must not change between versions.
pub(crate) struct Stream(SplitMix64);

/// What SplitMix64 adds to its state before each number.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Stream {
    /// The seed and the epoch are both mixed, so that neighbouring ones give unrelated streams.
    pub(crate) fn new(seed: u64, epoch: u64) -> Self {
        let first = |state| SplitMix64::seed_from_u64(state).next_u64();
        Self(SplitMix64::seed_from_u64(first((first(seed) ^ epoch).wrapping_sub(STEP))))
    }

    /// A number below `bound`, uniform to within `bound / 2^64`.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Puts `items` in random order (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_is_that_of_its_seed_and_epoch() {
        let mut items: Vec<u32> = (0..10).collect();
        Stream::new(7, 3).shuffle(&mut items);
        assert_eq!(items, [0, 1, 8, 4, 3, 7, 9, 6, 2, 5]);
    }

    #[test]
    fn every_place_is_equally_likely() {
        let mut counts = [[0_u32; 5]; 5];
        for epoch in 0..20_000 {
            let mut items = [0, 1, 2, 3, 4];
            Stream::new(0, epoch).shuffle(&mut items);
            for (place, item) in items.into_iter().enumerate() {
                counts[item][place] += 1;
            }
        }
        // 4000 expected, standard deviation 57.
        assert!(counts.iter().flatten().all(|&n| n.abs_diff(4000) < 300), "{counts:?}");
    }
}
