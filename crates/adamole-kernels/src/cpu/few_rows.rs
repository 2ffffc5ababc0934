//! Products of a few rows, as in decoding: they cost one reading of the weights.

use super::elements::widen;
use crate::{
    team::{share, threads},
    wide::wide,
};
use half::bf16;

/// The most rows for which reading the weights costs more than multiplying.
pub(super) const FEW: usize = 4;
/// The least weights of a part.
const PART: usize = 1 << 16;

/// The weights of a linear, `[d_out, d_in]`, row by row.
pub(super) trait Rows: Sync {
    /// The product of row `index` with `x`.
    fn dot(&self, index: usize, x: &[f32]) -> f32;
}

/// `x weight^T`: `x` `[rows, d_in]` to `[rows, d_out]`.
pub(super) fn product(x: &[f32], weight: &impl Rows, [rows, d_in, d_out]: [usize; 3]) -> Vec<f32> {
    // By output, so that parts are contiguous.
    let mut y = vec![0.0; rows * d_out];
    let parts = (2 * threads()).min(d_in * d_out / PART).max(1);
    let part = d_out.div_ceil(parts).max(1);
    share(y.chunks_mut(part * rows).enumerate().collect(), |(index, y)| dots(y, x, weight, index * part, [rows, d_in]));
    if rows == 1 { y } else { (0..rows).flat_map(|row| y.iter().copied().skip(row).step_by(rows)).collect() }
}

wide! {
    /// The products of the rows of `x` with those of the weights from `first` on, `[outputs, rows]`.
    fn dots(y: &mut [f32], x: &[f32], weight: &impl Rows, first: usize, sizes: [usize; 2]) {
        let [rows, d_in] = sizes;
        for (output, y) in y.chunks_exact_mut(rows).enumerate() {
            for (x, y) in x.chunks_exact(d_in).zip(y) {
                *y = weight.dot(first + output, x);
            }
        }
    }
}

/// Weights in float32.
pub(super) struct Floats<'a>(pub(super) &'a [f32]);

impl Rows for Floats<'_> {
    #[inline(always)]
    fn dot(&self, index: usize, x: &[f32]) -> f32 {
        let weights = &self.0[index * x.len()..][..x.len()];
        let mut lanes = [0.0_f32; 64];
        let ((x, x_rest), (w, w_rest)) = (x.as_chunks::<64>(), weights.as_chunks::<64>());
        for (x, w) in x.iter().zip(w) {
            for ((lane, x), w) in lanes.iter_mut().zip(x).zip(w) {
                *lane += x * w;
            }
        }
        lanes.iter().sum::<f32>() + x_rest.iter().zip(w_rest).map(|(x, w)| x * w).sum::<f32>()
    }
}

/// Weights in bfloat16; they are widened as they are read.
pub(super) struct Halves<'a>(pub(super) &'a [bf16]);

impl Rows for Halves<'_> {
    #[inline(always)]
    fn dot(&self, index: usize, x: &[f32]) -> f32 {
        let weights = &self.0[index * x.len()..][..x.len()];
        let mut lanes = [0.0_f32; 64];
        let ((x, x_rest), (w, w_rest)) = (x.as_chunks::<64>(), weights.as_chunks::<64>());
        for (x, w) in x.iter().zip(w) {
            for ((lane, x), w) in lanes.iter_mut().zip(x).zip(w) {
                *lane += x * widen(*w);
            }
        }
        lanes.iter().sum::<f32>() + x_rest.iter().zip(w_rest).map(|(x, w)| x * widen(*w)).sum::<f32>()
    }
}

/// Integers with a scale for each block of a row; they are converted as they are read.
pub(super) struct Codes<'a> {
    pub(super) codes: &'a [i8],
    pub(super) scales: &'a [f32],
    /// The codes of a scale.
    pub(super) block: usize,
}

impl Rows for Codes<'_> {
    #[inline(always)]
    fn dot(&self, index: usize, x: &[f32]) -> f32 {
        let start = index * x.len();
        let blocks = self.codes[start..][..x.len()].chunks_exact(self.block).zip(&self.scales[start / self.block..]);
        let mut lanes = [0.0_f32; 16];
        for ((codes, scale), x) in blocks.zip(x.chunks_exact(self.block)) {
            let mut of_block = [0.0_f32; 16];
            let ((codes, codes_rest), (x, x_rest)) = (codes.as_chunks::<16>(), x.as_chunks::<16>());
            for (codes, x) in codes.iter().zip(x) {
                for ((lane, code), x) in of_block.iter_mut().zip(codes).zip(x) {
                    *lane += f32::from(*code) * x;
                }
            }
            codes_rest.iter().zip(x_rest).for_each(|(code, x)| of_block[0] += f32::from(*code) * x);
            lanes.iter_mut().zip(of_block).for_each(|(lane, of_block)| *lane += scale * of_block);
        }
        lanes.iter().sum()
    }
}
