//! Products of a few rows, as in decoding: they cost one reading of the weights.

use super::elements::widen;
use crate::{
    team::{share, threads},
    wide::wide,
};
use half::bf16;
use std::array;

/// The most rows that are multiplied without packing the weights, which takes longer.
const FEW: usize = 8;
/// Rows that are multiplied with a row of weights while it is in registers.
const TOGETHER: usize = 4;
/// The least multiplications of a part.
const PART: usize = 1 << 16;

/// Whether the products of so many rows belong here.
pub(super) fn are_few(rows: usize) -> bool {
    (1..=FEW).contains(&rows)
}

/// The weights of a linear, `[d_out, d_in]`, row by row.
pub(super) trait Rows: Sync {
    /// The product of row `index` with `x`.
    fn dot(&self, index: usize, x: &[f32]) -> f32;

    /// The products of row `index` with several.
    fn dots(&self, index: usize, x: [&[f32]; TOGETHER]) -> [f32; TOGETHER];
}

/// `x weight^T`: `x` `[rows, d_in]` to `[rows, d_out]`.
pub(super) fn product(x: &[f32], weight: &impl Rows, [rows, d_in, d_out]: [usize; 3]) -> Vec<f32> {
    // By output, so that parts are contiguous.
    let mut y = vec![0.0; rows * d_out];
    let parts = (2 * threads()).min(rows * d_in * d_out / PART).max(1);
    let part = d_out.div_ceil(parts).max(1);
    share(y.chunks_mut(part * rows).enumerate().collect(), |(index, y)| dots(y, x, weight, index * part, [rows, d_in]));
    if rows == 1 { y } else { (0..rows).flat_map(|row| y.iter().copied().skip(row).step_by(rows)).collect() }
}

wide! {
    /// The products of the rows of `x` with those of the weights from `first` on, `[outputs, rows]`.
    fn dots(y: &mut [f32], x: &[f32], weight: &impl Rows, first: usize, sizes: [usize; 2]) {
        let [rows, d_in] = sizes;
        let (together, alone) = x.split_at(rows / TOGETHER * TOGETHER * d_in);
        for (output, y) in y.chunks_exact_mut(rows).enumerate() {
            let (groups, rest) = y.as_chunks_mut::<TOGETHER>();
            for (x, y) in together.chunks_exact(TOGETHER * d_in).zip(groups) {
                *y = weight.dots(first + output, array::from_fn(|row| &x[row * d_in..][..d_in]));
            }
            for (x, y) in alone.chunks_exact(d_in).zip(rest) {
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

#[inline(always)]
fn added(one: [f32; LANES], other: [f32; LANES]) -> [f32; LANES] {
    array::from_fn(|i| one[i] + other[i])
}

/// [`total`] of several.
#[inline(never)]
fn totals(lanes: &[[f32; LANES]; TOGETHER]) -> [f32; TOGETHER] {
    let quarter = |lanes: &[f32; LANES]| -> [f32; 4] {
        array::from_fn(|i| (lanes[i] + lanes[i + 8]) + (lanes[i + 4] + lanes[i + 12]))
    };
    let [a, b, c, d] = [quarter(&lanes[0]), quarter(&lanes[1]), quarter(&lanes[2]), quarter(&lanes[3])];
    let columns: [[f32; TOGETHER]; 4] = array::from_fn(|i| [a[i], b[i], c[i], d[i]]);
    array::from_fn(|row| (columns[0][row] + columns[2][row]) + (columns[1][row] + columns[3][row]))
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

/// The products of a row of weights of one type with several rows.
#[inline(always)]
fn dots_of<W: Copy>(x: [&[f32]; TOGETHER], weights: &[W], widen: impl Fn(W) -> f32 + Copy) -> [f32; TOGETHER] {
    // Sums by name: those of an array of arrays would stay in memory.
    let [mut a, mut b, mut c, mut d] = [[0.0; LANES]; TOGETHER];
    let [mut e, mut f, mut g, mut h] = [[0.0; LANES]; TOGETHER];
    let (chunks, weights_rest) = weights.as_chunks::<LANES>();
    let (pairs, last) = chunks.as_chunks::<2>();
    let of_x = x.map(|x| x.as_chunks::<LANES>());
    let [(x0, last0), (x1, last1), (x2, last2), (x3, last3)] = of_x.map(|(chunks, _)| chunks.as_chunks::<2>());
    for ((((weights, x0), x1), x2), x3) in pairs.iter().zip(x0).zip(x1).zip(x2).zip(x3) {
        add_products(&mut a, &x0[0], &weights[0], widen);
        add_products(&mut b, &x1[0], &weights[0], widen);
        add_products(&mut c, &x2[0], &weights[0], widen);
        add_products(&mut d, &x3[0], &weights[0], widen);
        add_products(&mut e, &x0[1], &weights[1], widen);
        add_products(&mut f, &x1[1], &weights[1], widen);
        add_products(&mut g, &x2[1], &weights[1], widen);
        add_products(&mut h, &x3[1], &weights[1], widen);
    }
    // Other names: a sum that is handed on would be kept in memory all the time.
    let mut ends = [added(a, e), added(b, f), added(c, g), added(d, h)];
    if let [weights] = last {
        for (sum, x) in ends.iter_mut().zip([last0, last1, last2, last3]) {
            add_products(sum, &x[0], weights, widen);
        }
    }
    let mut totals = totals(&ends);
    if !weights_rest.is_empty() {
        for (total, (_, rest)) in totals.iter_mut().zip(of_x) {
            *total += rest.iter().zip(weights_rest).map(|(x, weight)| x * widen(*weight)).sum::<f32>();
        }
    }
    totals
}

/// Weights in float32.
pub(super) struct Floats<'a>(pub(super) &'a [f32]);

impl Rows for Floats<'_> {
    #[inline(always)]
    fn dot(&self, index: usize, x: &[f32]) -> f32 {
        dot(x, &self.0[index * x.len()..][..x.len()], |weight| weight)
    }

    #[inline(always)]
    fn dots(&self, index: usize, x: [&[f32]; TOGETHER]) -> [f32; TOGETHER] {
        dots_of(x, &self.0[index * x[0].len()..][..x[0].len()], |weight| weight)
    }
}

/// Weights in bfloat16; they are widened as they are read.
pub(super) struct Halves<'a>(pub(super) &'a [bf16]);

impl Rows for Halves<'_> {
    #[inline(always)]
    fn dot(&self, index: usize, x: &[f32]) -> f32 {
        dot(x, &self.0[index * x.len()..][..x.len()], widen)
    }

    #[inline(always)]
    fn dots(&self, index: usize, x: [&[f32]; TOGETHER]) -> [f32; TOGETHER] {
        dots_of(x, &self.0[index * x[0].len()..][..x[0].len()], widen)
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

    #[inline(always)]
    fn dots(&self, index: usize, x: [&[f32]; TOGETHER]) -> [f32; TOGETHER] {
        x.map(|x| self.dot(index, x))
    }
}
