//! The generator of [`crate::random`] as integer operations of a device. A 64-bit word is a pair of 32-bit words, since
//! portable GPUs have no larger integers. Products and sums wrap, as they do in WGSL, SPIR-V and CUDA.

use crate::random::{GOLDEN_GAMMA, MULTIPLIERS, SHIFTS};
use burn::tensor::{DType, Device, Int, Tensor};

/// 64-bit words on a device.
#[derive(Clone)]
pub(crate) struct Words {
    pub(crate) high: Tensor<1, Int>,
    pub(crate) low: Tensor<1, Int>,
}

/// Words 1 to `count` of the stream with this key.
pub(crate) fn words(key: u64, count: usize, device: &Device) -> Words {
    let numbers = Tensor::arange(1..count as i64 + 1, (device, DType::U32));
    let zero = numbers.clone().bitwise_and_scalar(0_i64);
    let counters = Words { high: zero, low: numbers }.times(GOLDEN_GAMMA).plus(key);
    let [first, second, third] = SHIFTS;
    let mixed = counters.folded(first).times(MULTIPLIERS[0]).folded(second).times(MULTIPLIERS[1]);
    mixed.folded(third)
}

/// The upper and the lower 32 bits of a word, as scalar operands of tensor operations.
fn halves(word: u64) -> [i64; 2] {
    [(word >> 32) as i64, (word & 0xFFFF_FFFF) as i64]
}

impl Words {
    /// `z ^ (z >> shift)`, for shifts below 32.
    fn folded(self, shift: u32) -> Self {
        let Self { high, low } = self;
        let down = |word: &Tensor<1, Int>| word.clone().bitwise_right_shift_scalar(i64::from(shift));
        let carried = high.clone().bitwise_left_shift_scalar(i64::from(32 - shift));
        Self {
            low: low.clone().bitwise_xor(down(&low).bitwise_or(carried)),
            high: high.clone().bitwise_xor(down(&high)),
        }
    }

    fn plus(self, other: u64) -> Self {
        let [high, low] = halves(other);
        let sum = self.low.clone() + low;
        // The carry out of the highest bit: set in both operands, or in one of them and not in the sum.
        let both = self.low.clone().bitwise_and_scalar(low);
        let lost = self.low.bitwise_or_scalar(low).bitwise_and(sum.clone().bitwise_not());
        let carry = both.bitwise_or(lost).bitwise_right_shift_scalar(31_i64);
        Self { high: self.high + high + carry, low: sum }
    }

    fn times(self, other: u64) -> Self {
        let [high, low] = halves(other);
        let upper = upper_half(self.low.clone(), low);
        Self { high: upper + self.low.clone() * high + self.high * low, low: self.low * low }
    }
}

/// The upper 32 bits of a 64-bit product, from 16-bit products, which do not overflow.
fn upper_half(word: Tensor<1, Int>, factor: i64) -> Tensor<1, Int> {
    let upper = |word: &Tensor<1, Int>| word.clone().bitwise_right_shift_scalar(16_i64);
    let lower = |word: &Tensor<1, Int>| word.clone().bitwise_and_scalar(0xFFFF_i64);
    let (a, b) = (upper(&word), lower(&word));
    let (c, d) = (factor >> 16, factor & 0xFFFF);
    let first = a.clone() * d + upper(&(b.clone() * d));
    let second = b * c + lower(&first);
    a * c + upper(&first) + upper(&second)
}
