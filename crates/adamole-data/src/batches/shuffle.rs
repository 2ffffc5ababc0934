//! The random order of an epoch, from its seed and number alone.
//!
//! The generator is SplitMix64 (Steele, Lea and Flood, 2014, "Fast splittable pseudorandom number generators"): its
//! n-th number is a mix of a counter, so that it has no state beyond the counter, and its numbers are the same on
//! every machine and in every version of this crate.

/// A stream of random numbers that belongs to one `(seed, epoch)`.
pub(crate) struct Stream(u64);

/// 2^64 divided by the golden ratio, made odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Stream {
    pub(crate) fn new(seed: u64, epoch: u64) -> Self {
        // Mixed twice, so that neighbouring seeds and epochs start far from each other.
        Self(mix(mix(seed.wrapping_add(STEP)) ^ epoch))
    }

    /// The next number of the stream.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `bound`. Uniform to within `bound / 2^64`.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Puts `items` in random order (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The first numbers of the published generator for the state 1234567.
        let mut stream = Stream(1_234_567);
        let numbers = [stream.next(), stream.next(), stream.next()];
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
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
