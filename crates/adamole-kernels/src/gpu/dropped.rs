//! Dropout. The draws are those of [`crate::random`], computed in words of 32 bits.

use super::launch::{contiguous, element, uninitialised, unit_each};
use crate::{
    Dropout,
    random::{GOLDEN_GAMMA, MULTIPLIERS, SHIFTS},
};
use burn::{backend::TensorMetadata, tensor::DType};
use burn_cubecl::{
    cubecl::{self, ir::ElemType, prelude::*},
    tensor::CubeTensor,
};

const fn high(word: u64) -> u32 {
    (word >> 32) as u32
}

const fn low(word: u64) -> u32 {
    word as u32
}

/// 64 bits as two words.
#[derive(CubeType, Clone, Copy)]
struct Word {
    high: u32,
    low: u32,
}

#[cube]
fn times(word: Word, #[comptime] factor: u64) -> Word {
    let (factor_high, factor_low) = (comptime!(high(factor)).runtime(), comptime!(low(factor)).runtime());
    Word {
        high: word.low.mul_hi(factor_low) + word.low * factor_high + word.high * factor_low,
        low: word.low * factor_low,
    }
}

#[cube]
fn plus(word: Word, high: u32, low: u32) -> Word {
    let sum = word.low + low;
    let carry = u32::cast_from(sum < low);
    Word { high: word.high + high + carry, low: sum }
}

/// `z ^ (z >> shift)` for shifts below 32.
#[cube]
fn folded(z: Word, #[comptime] shift: u32) -> Word {
    let shifted = (z.low >> shift) | (z.high << comptime!(32 - shift));
    Word { high: z.high ^ (z.high >> shift), low: z.low ^ shifted }
}

/// [`crate::random::mix`].
#[cube]
fn mixed(z: Word) -> Word {
    let z = times(folded(z, comptime!(SHIFTS[0])), comptime!(MULTIPLIERS[0]));
    let z = times(folded(z, comptime!(SHIFTS[1])), comptime!(MULTIPLIERS[1]));
    folded(z, comptime!(SHIFTS[2]))
}

/// One draw decides four elements.
#[cube(launch)]
fn drop_elements<F: Float, G: Float>(
    x: &Tensor<F>,
    y: &mut Tensor<G>,
    key_high: u32,
    key_low: u32,
    threshold: u32,
    keep: f32,
    #[define(F)] _type: ElemType,
    #[define(G)] _result_type: ElemType,
) {
    let first = 4 * ABSOLUTE_POS;
    if first < x.len() {
        let counter = times(Word { high: 0u32.runtime(), low: ABSOLUTE_POS as u32 + 1 }, GOLDEN_GAMMA);
        let bits = mixed(plus(counter, key_high, key_low));
        let mut draws = Array::<u32>::new(4usize);
        draws[0] = bits.low & 0xFFFF;
        draws[1] = bits.low >> 16;
        draws[2] = bits.high & 0xFFFF;
        draws[3] = bits.high >> 16;
        #[unroll]
        for i in 0..4usize {
            if first + i < x.len() {
                let factor = select(draws[i] < threshold, 0.0f32.runtime(), keep);
                y[first + i] = G::cast_from(f32::cast_from(x[first + i]) * factor);
            }
        }
    }
}

/// `x` times the mask, in another type.
pub(super) fn dropped(x: CubeTensor, dropout: Dropout, dtype: DType) -> CubeTensor {
    let [x] = contiguous([x]);
    let (y, client) = (uninitialised(&x, x.shape(), dtype), x.client.clone());
    let (types, (key, threshold, keep)) = ([element(&x), element(&y)], dropout.parts());
    let (count, dim) = unit_each(&client, x.meta.num_elements().div_ceil(4));
    let [x, y_argument] = [x, y.clone()].map(CubeTensor::into_tensor_arg);
    drop_elements::launch(&client, count, dim, x, y_argument, high(key), low(key), threshold, keep, types[0], types[1]);
    y
}
