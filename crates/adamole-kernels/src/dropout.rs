//! Inverted dropout. The mask is a function of a key and the element's position: it is the same on every backend, and the
//! backward pass recomputes it instead of keeping it.

use crate::{
    counted_bits::{Words, words},
    operations::is_cpu,
    random::{GOLDEN_GAMMA, mix},
};
#[cfg(feature = "cube")]
use burn::tensor::DType;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// A dropout mask, identified by its key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    key: u64,
    threshold: u64,
}

impl Dropout {
    /// A mask that drops each element with probability `p`, in `[0, 1)`, rounded to a multiple of 2^-16: one 64-bit draw
    /// decides four elements. Different keys give unrelated masks.
    pub fn new(key: u64, p: f32) -> Self {
        Self { key, threshold: ((p * 65536.0).round() as u64).min(65535) }
    }

    /// The factor of the elements that are kept, `1 / (1 - p)`.
    fn keep(self) -> f32 {
        65536.0 / (65536 - self.threshold) as f32
    }

    /// What a kernel needs: the key, the lowest draw of 16 bits that keeps an element, and its factor.
    #[cfg(feature = "cube")]
    pub(crate) fn parts(self) -> (u64, u32, f32) {
        (self.key, self.threshold as u32, self.keep())
    }

    /// The factors of elements `4 i .. 4 i + 4`: 0 or `1 / (1 - p)`.
    #[inline(always)]
    fn factors(self, i: usize, keep: f32) -> [f32; 4] {
        let bits = mix(self.key.wrapping_add((i as u64 + 1).wrapping_mul(GOLDEN_GAMMA)));
        [0, 16, 32, 48].map(|shift| if (bits >> shift) & 0xFFFF < self.threshold { 0.0 } else { keep })
    }

    /// The mask, `[rows, columns]`, computed on `device`. It is the same on every device.
    pub fn mask(self, shape: [usize; 2], device: &Device) -> Tensor<2> {
        #[cfg(feature = "cube")]
        if crate::operations::is_cube(device) {
            let plain = if device.is_autodiff() { device.clone().inner() } else { device.clone() };
            let ones = Tensor::<2>::ones(shape, (&plain, DType::F32)).into_dispatch();
            let mask = Tensor::from_dispatch(crate::gpu::mask(ones, self));
            return if device.is_autodiff() { Tensor::from_inner(mask) } else { mask };
        }
        if is_cpu(device) { self.mask_of_host(shape, device) } else { self.mask_of_device(shape, device) }
    }

    fn mask_of_host(self, [rows, columns]: [usize; 2], device: &Device) -> Tensor<2> {
        let (elements, keep) = (rows * columns, self.keep());
        let mut values: Vec<f32> = (0..elements.div_ceil(4)).flat_map(|i| self.factors(i, keep)).collect();
        values.truncate(elements);
        Tensor::from_data(TensorData::new(values, [rows, columns]), device)
    }

    /// [`Self::mask_of_host`] as integer operations of the device.
    fn mask_of_device(self, [rows, columns]: [usize; 2], device: &Device) -> Tensor<2> {
        let elements = rows * columns;
        let Words { high, low } = words(self.key, elements.div_ceil(4), device);
        let lower = |word: &Tensor<1, Int>| word.clone().bitwise_and_scalar(0xFFFF_i64);
        let upper = |word: &Tensor<1, Int>| word.clone().bitwise_right_shift_scalar(16_i64);
        let draws = [lower(&low), upper(&low), lower(&high), upper(&high)].map(|draws| draws.unsqueeze_dim::<2>(1));
        let draws = Tensor::cat(draws.to_vec(), 1).flatten::<1>(0, 1).slice(0..elements).reshape([rows, columns]);
        draws.greater_equal_scalar(self.threshold as i64).float() * self.keep()
    }

    /// Multiplies the elements of a row-major matrix by their factors.
    #[cfg(feature = "flex")]
    pub(crate) fn apply(self, values: &mut [f32]) {
        crate::team::in_rows(values, 4, |first, values| multiply(self, first, values));
    }
}

#[cfg(feature = "flex")]
crate::wide::wide! {
    /// Multiplies elements by the factors of the mask from quadruple `first` on.
    fn multiply(dropout: Dropout, first: usize, values: &mut [f32]) {
        let keep = dropout.keep();
        let (quads, rest) = values.as_chunks_mut::<4>();
        for (i, quad) in quads.iter_mut().enumerate() {
            for (value, factor) in quad.iter_mut().zip(dropout.factors(first + i, keep)) {
                *value *= factor;
            }
        }
        let last = dropout.factors(first + quads.len(), keep);
        rest.iter_mut().zip(last).for_each(|(value, factor)| *value *= factor);
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;

    #[test]
    fn device_and_host_compute_the_same_mask() {
        let device = Device::flex();
        for (key, p, shape) in [(0, 0.5, [3, 5]), (u64::MAX, 0.05, [64, 128]), (0x1234_5678_9ABC_DEF0, 0.3, [7, 1001])]
        {
            let dropout = Dropout::new(key, p);
            let values = |mask: Tensor<2>| mask.into_data().try_to_vec::<f32>().expect("float32");
            let host = values(dropout.mask_of_host(shape, &device));
            assert!(host.contains(&0.0) && host.iter().any(|factor| *factor > 1.0));
            assert_eq!(values(dropout.mask_of_device(shape, &device)), host, "{key:x}");
        }
    }
}
