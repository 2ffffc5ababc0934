//! A counter-based random number generator. Each output is a function of a key and a counter, so that initial values and
//! dropout depend on seeds alone, not on the backend, on threads or on earlier draws.

/// SplitMix64 (Steele, Lea & Flood 2014): a mixing function of a 64-bit counter.
#[derive(Debug, Clone)]
pub struct CounterRng {
    counter: u64,
}

pub(crate) const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// Shifts and multipliers of [`mix`].
pub(crate) const SHIFTS: [u32; 3] = [30, 27, 31];
pub(crate) const MULTIPLIERS: [u64; 2] = [0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB];

#[inline(always)]
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> SHIFTS[0])).wrapping_mul(MULTIPLIERS[0]);
    z = (z ^ (z >> SHIFTS[1])).wrapping_mul(MULTIPLIERS[1]);
    z ^ (z >> SHIFTS[2])
}

impl CounterRng {
    /// The stream of `key`. Different keys give unrelated streams.
    pub fn new(key: &[u64]) -> Self {
        let counter = key
            .iter()
            .fold(0, |state: u64, word| mix(state.wrapping_add(GOLDEN_GAMMA) ^ mix(word.wrapping_add(GOLDEN_GAMMA))));
        Self { counter }
    }

    /// The counter. Each draw adds the golden gamma to it.
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(GOLDEN_GAMMA);
        mix(self.counter)
    }

    /// A value uniform in `[0, 1)`, a multiple of 2^-24.
    fn unit(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// `n` values uniform in `[-bound, bound)`.
    pub fn uniform(&mut self, n: usize, bound: f32) -> Vec<f32> {
        (0..n).map(|_| (2.0 * self.unit() - 1.0) * bound).collect()
    }

    /// `n` values of a normal distribution with mean 0 and the given standard deviation (Box-Muller).
    pub fn normal(&mut self, n: usize, deviation: f32) -> Vec<f32> {
        (0..n)
            .map(|_| {
                let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
                let angle = std::f32::consts::TAU * self.unit();
                radius * angle.cos() * deviation
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_stream() {
        let draw = |key: &[u64]| CounterRng::new(key).next_u64();
        assert_eq!(draw(&[1, 2]), draw(&[1, 2]));
        assert_ne!(draw(&[1, 2]), draw(&[2, 1]));
        assert_ne!(draw(&[0]), draw(&[0, 0]));
    }

    #[test]
    fn uniform_and_normal_values_have_the_expected_moments() {
        let moments = |v: &[f32]| {
            let mean = v.iter().sum::<f32>() / v.len() as f32;
            (mean, v.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / v.len() as f32)
        };
        let (mean, variance) = moments(&CounterRng::new(&[3]).uniform(100_000, 0.5));
        assert!(mean.abs() < 3e-3 && (variance - 1.0 / 12.0).abs() < 2e-3, "{mean} {variance}");
        let (mean, variance) = moments(&CounterRng::new(&[4]).normal(100_000, 2.0));
        assert!(mean.abs() < 3e-2 && (variance - 4.0).abs() < 8e-2, "{mean} {variance}");
    }
}
