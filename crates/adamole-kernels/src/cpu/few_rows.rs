//! Products of a few rows, as in decoding: they cost one reading of the weights.

use super::{
    elements::{widen, widen_all},
    product::{Matrix, write_product},
};
use crate::{
    team::{share, threads},
    wide::wide,
};
use half::bf16;
use std::{array, ops::Range};

/// The most rows for which the weights are not packed, which takes longer than multiplying them.
const FEW: usize = 16;
/// The most rows for which reading the weights takes longer than multiplying them row by row.
const FEWEST: usize = 4;
/// Rows of weights that are multiplied at once; they stay in the cache of a core.
const BLOCK: usize = 96;
/// The least weights of a part.
const PART: usize = 1 << 16;

/// Whether the products of so many rows belong here.
pub(super) fn are_few(rows: usize) -> bool {
    (1..=FEW).contains(&rows)
}

/// The weights of a linear, `[d_out, d_in]`, row by row.
pub(super) trait Rows: Sync {
    /// The product of row `index` with `x`.
    fn dot(&self, index: usize, x: &[f32]) -> f32;

    /// These rows of `d_in` elements as float32, by way of a buffer where they are kept otherwise.
    fn floats<'a>(&'a self, rows: Range<usize>, d_in: usize, buffer: &'a mut Vec<f32>) -> &'a [f32];
}

/// `x weight^T`: `x` `[rows, d_in]` to `[rows, d_out]`.
pub(super) fn product(x: &[f32], weight: &impl Rows, [rows, d_in, d_out]: [usize; 3]) -> Vec<f32> {
    // By output, so that parts are contiguous.
    let mut y = vec![0.0; rows * d_out];
    let parts = (2 * threads()).min(d_in * d_out / PART).max(1);
    let part = d_out.div_ceil(parts).max(1);
    let work = |(index, y): (usize, &mut [f32])| match rows <= FEWEST {
        true => dots(y, x, weight, index * part, [rows, d_in]),
        false => blocks(y, x, weight, index * part, [rows, d_in]),
    };
    share(y.chunks_mut(part * rows).enumerate().collect(), work);
    if rows == 1 { y } else { (0..rows).flat_map(|row| y.iter().copied().skip(row).step_by(rows)).collect() }
}

/// The products of the weights from row `first` on with the rows of `x`, `[outputs, rows]`. In this order, gemm packs the few rows
/// and reads the weights as they are.
fn blocks(y: &mut [f32], x: &[f32], weight: &impl Rows, first: usize, [rows, d_in]: [usize; 2]) {
    let mut buffer = Vec::new();
    for (block, y) in y.chunks_mut(BLOCK * rows).enumerate() {
        let (start, outputs) = (first + block * BLOCK, y.len() / rows);
        let weight = weight.floats(start..start + outputs, d_in, &mut buffer);
        write_product(y, Matrix::new(weight, outputs, d_in), Matrix::new(x, rows, d_in).transposed());
    }
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

/// As many elements as the widest vector has. Four such sums do not wait for one another.
const LANES: usize = 16;

/// Adds the products of the elements, which `widen` makes float32.
#[inline(always)]
fn add_products<W: Copy>(
    sums: &mut [f32; LANES],
    x: &[f32; LANES],
    weights: &[W; LANES],
    widen: impl Fn(W) -> f32 + Copy,
) {
    for ((sum, x), weight) in sums.iter_mut().zip(x).zip(weights) {
        *sum += x * widen(*weight);
    }
}

/// Half of the lanes added to the other half, and so on. Inlined, it would decide how the sums are vectorised, and badly.
#[inline(never)]
fn total(lanes: &[f32; LANES]) -> f32 {
    let lanes: [f32; 8] = array::from_fn(|i| lanes[i] + lanes[i + 8]);
    let lanes: [f32; 4] = array::from_fn(|i| lanes[i] + lanes[i + 4]);
    (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])
}

/// The product of a row of weights of one type.
#[inline(always)]
fn dot<W: Copy>(x: &[f32], weights: &[W], widen: impl Fn(W) -> f32 + Copy) -> f32 {
    let [mut a, mut b, mut c, mut d] = [[0.0; LANES]; 4];
    let ((x, x_rest), (w, w_rest)) = (x.as_chunks::<LANES>(), weights.as_chunks::<LANES>());
    let ((x, x_few), (w, w_few)) = (x.as_chunks::<4>(), w.as_chunks::<4>());
    for (x, w) in x.iter().zip(w) {
        add_products(&mut a, &x[0], &w[0], widen);
        add_products(&mut b, &x[1], &w[1], widen);
        add_products(&mut c, &x[2], &w[2], widen);
        add_products(&mut d, &x[3], &w[3], widen);
    }
    x_few.iter().zip(w_few).for_each(|(x, w)| add_products(&mut a, x, w, widen));
    let rest: f32 = x_rest.iter().zip(w_rest).map(|(x, w)| x * widen(*w)).sum();
    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
        *a = (*a + b) + (c + d);
    }
    total(&a) + rest
}

/// Weights in float32.
pub(super) struct Floats<'a>(pub(super) &'a [f32]);

impl Rows for Floats<'_> {
    #[inline(always)]
    fn dot(&self, index: usize, x: &[f32]) -> f32 {
        dot(x, &self.0[index * x.len()..][..x.len()], |weight| weight)
    }

    fn floats<'a>(&'a self, rows: Range<usize>, d_in: usize, _: &'a mut Vec<f32>) -> &'a [f32] {
        &self.0[rows.start * d_in..rows.end * d_in]
    }
}

/// Weights in bfloat16; they are widened as they are read.
pub(super) struct Halves<'a>(pub(super) &'a [bf16]);

impl Rows for Halves<'_> {
    #[inline(always)]
    fn dot(&self, index: usize, x: &[f32]) -> f32 {
        dot(x, &self.0[index * x.len()..][..x.len()], widen)
    }

    fn floats<'a>(&'a self, rows: Range<usize>, d_in: usize, buffer: &'a mut Vec<f32>) -> &'a [f32] {
        buffer.resize(rows.len() * d_in, 0.0);
        widen_all(&self.0[rows.start * d_in..rows.end * d_in], buffer);
        buffer
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
        let (mut sums, mut rest) = ([0.0; LANES], 0.0);
        for ((codes, scale), x) in blocks.zip(x.chunks_exact(self.block)) {
            let mut of_block = [0.0; LANES];
            let ((codes, codes_rest), (x, x_rest)) = (codes.as_chunks::<LANES>(), x.as_chunks::<LANES>());
            codes.iter().zip(x).for_each(|(codes, x)| add_products(&mut of_block, x, codes, f32::from));
            sums.iter_mut().zip(of_block).for_each(|(sum, of_block)| *sum += scale * of_block);
            rest += scale * codes_rest.iter().zip(x_rest).map(|(code, x)| f32::from(*code) * x).sum::<f32>();
        }
        total(&sums) + rest
    }

    fn floats<'a>(&'a self, rows: Range<usize>, d_in: usize, buffer: &'a mut Vec<f32>) -> &'a [f32] {
        let (start, end) = (rows.start * d_in, rows.end * d_in);
        buffer.resize(end - start, 0.0);
        scale_all(&self.codes[start..end], &self.scales[start / self.block..], self.block, buffer);
        buffer
    }
}

wide! {
    /// Codes times the scales of their blocks.
    fn scale_all(codes: &[i8], scales: &[f32], block: usize, values: &mut [f32]) {
        for ((codes, values), scale) in codes.chunks_exact(block).zip(values.chunks_exact_mut(block)).zip(scales) {
            codes.iter().zip(values).for_each(|(code, value)| *value = f32::from(*code) * scale);
        }
    }
}
