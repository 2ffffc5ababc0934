//! Products of bfloat16 matrices by AVX-512 BF16, with sums in float32.
//!
//! The processor multiplies and adds two neighbouring elements of the summed dimension at a time, a pair. Both operands are packed
//! into pairs: the left one as panels of 8 rows, the right one as panels of 48 columns. A tile of the result stays in registers
//! while its two panels are read in order. An element of the result is the same sum however the product is divided.

use super::pairs::{Pair, pack_columns, pack_rows};
use crate::team::{share, threads};
use half::bf16;
use std::{
    arch::x86_64::{
        __m512, __m512bh, __m512i, _mm512_add_ps, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_mask_storeu_ps,
        _mm512_maskz_loadu_ps, _mm512_set1_epi32, _mm512_setzero_ps,
    },
    mem::transmute,
    ops::Range,
};

/// Rows and columns of a tile: 24 registers of sums, of 32.
const ROWS: usize = 8;
const COLUMNS: usize = 48;
/// Pairs that a tile adds up at a time: a panel of columns takes 48 KiB.
const DEPTH: usize = 256;
/// Columns that are packed at a time: half of a core's cache.
const CHUNK: usize = 10 * COLUMNS;
/// Multiplications from which on a product is shared by threads.
const PARALLEL: usize = 1 << 22;

/// Whether the processor has the instructions.
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
}

/// `left right^T`: `left` `[rows, inner]`, `right` `[columns, inner]` to `[rows, columns]`. Supported processors only.
pub(super) fn by_rows(left: &[bf16], right: &[bf16], sizes: [usize; 3]) -> Vec<f32> {
    let [_, inner, columns] = sizes;
    assert_eq!(right.len(), columns * inner);
    product(left, sizes, |pairs, columns, panel| {
        let elements = 2 * pairs.start..inner.min(2 * pairs.end);
        // SAFETY: the processor is supported.
        unsafe { pack_rows::<COLUMNS>(panel, right, inner, columns, elements) };
    })
}

/// `left right`: `left` `[rows, inner]`, `right` `[inner, columns]` to `[rows, columns]`. Supported processors only.
pub(super) fn by_columns(left: &[bf16], right: &[bf16], sizes: [usize; 3]) -> Vec<f32> {
    let [_, inner, columns] = sizes;
    assert_eq!(right.len(), columns * inner);
    product(left, sizes, |pairs, part, panel| {
        // SAFETY: the processor is supported.
        unsafe { pack_columns::<COLUMNS>(panel, right, columns, pairs.start, part) };
    })
}

/// The product, where `pack_right` packs the pairs and at most 48 columns of the right operand that it is given into `[pairs, 48]`,
/// which is 0 before.
fn product(
    left: &[bf16],
    [rows, inner, columns]: [usize; 3],
    pack_right: impl Fn(Range<usize>, Range<usize>, &mut [Pair]) + Sync,
) -> Vec<f32> {
    assert!(is_supported() && left.len() == rows * inner);
    let pairs = inner.div_ceil(2);
    if pairs == 0 {
        return vec![0.0; rows * columns];
    }
    let mut y = Vec::with_capacity(rows * columns);
    let mut panels = vec![0; rows.next_multiple_of(ROWS) * pairs];
    let of_rows = panels.chunks_exact_mut(ROWS * pairs).zip(steps(0..rows, ROWS));
    // SAFETY: the processor is supported.
    share(of_rows.collect(), |(panel, rows)| unsafe { pack_rows::<ROWS>(panel, left, inner, rows, 0..inner) });

    let threads = if rows * inner * columns < PARALLEL { 1 } else { threads() };
    let parts = if threads == 1 { 1 } else { 2 * threads };
    let part = columns.div_ceil(parts).next_multiple_of(COLUMNS);
    let parts: Vec<Range<usize>> = (0..columns).step_by(part).map(|start| start..(start + part).min(columns)).collect();
    let result = Target { y: y.as_mut_ptr(), columns };
    share(parts, |part| {
        let mut right = vec![0; DEPTH.min(pairs) * CHUNK.min(part.len().next_multiple_of(COLUMNS))];
        for depth in steps(0..pairs, DEPTH) {
            for chunk in steps(part.clone(), CHUNK) {
                let of_columns = right.chunks_exact_mut(depth.len() * COLUMNS).zip(steps(chunk.clone(), COLUMNS));
                for (panel, columns) in of_columns {
                    if columns.len() < COLUMNS {
                        panel.fill(0);
                    }
                    pack_right(depth.clone(), columns, panel);
                }
                for (index, panel) in panels.chunks_exact(ROWS * pairs).enumerate() {
                    let left = &panel[ROWS * depth.start..ROWS * depth.end];
                    let rows = ROWS * index..(ROWS * (index + 1)).min(rows);
                    for (right, columns) in right.chunks_exact(depth.len() * COLUMNS).zip(steps(chunk.clone(), COLUMNS))
                    {
                        // SAFETY: the processor is supported, parts have columns of their own, and the first pairs are first.
                        unsafe { result.add(left, right, rows.clone(), columns, depth.start > 0) };
                    }
                }
            }
        }
    });
    // SAFETY: every element has the sum of its first pairs at least.
    unsafe { y.set_len(rows * columns) };
    y
}

/// A range in steps.
fn steps(range: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(step).map(move |start| start..(start + step).min(range.end))
}

/// Where the product is written.
struct Target {
    y: *mut f32,
    columns: usize,
}

// SAFETY: threads write columns of their own.
unsafe impl Sync for Target {}

impl Target {
    /// Writes the product of two panels to these rows and columns, or adds it to what they have.
    ///
    /// # Safety
    /// The processor is supported, rows and columns are within the result, and nobody else uses them. They have something to be
    /// added to.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn add(&self, left: &[Pair], right: &[Pair], rows: Range<usize>, columns: Range<usize>, has_sums: bool) {
        let (left, right) = (left.as_chunks::<ROWS>().0, right.as_chunks::<COLUMNS>().0);
        let sums = tile(left, right);
        for (row, sums) in rows.zip(&sums) {
            // SAFETY: the caller guarantees it.
            let place = unsafe { self.y.add(row * self.columns + columns.start) };
            for (vector, sums) in steps(0..columns.len(), 16).zip(sums) {
                // SAFETY: the vector is within the columns.
                unsafe { add_to(place.add(vector.start), *sums, vector.len(), has_sums) };
            }
        }
    }
}

/// The sums of products of pairs, for each row and column of a tile.
#[target_feature(enable = "avx512f,avx512bf16")]
#[inline]
fn tile(left: &[[Pair; ROWS]], right: &[[Pair; COLUMNS]]) -> [[__m512; 3]; ROWS] {
    let mut sums = [[_mm512_setzero_ps(); 3]; ROWS];
    // SAFETY: both types are 512 bits in which all values are valid.
    let pairs = |bits: __m512i| unsafe { transmute::<__m512i, __m512bh>(bits) };
    for (left, right) in left.iter().zip(right) {
        // SAFETY: 48 pairs are three vectors.
        let right = [0, 16, 32].map(|start| pairs(unsafe { _mm512_loadu_si512(right[start..].as_ptr().cast()) }));
        for (sums, left) in sums.iter_mut().zip(left) {
            let left = pairs(_mm512_set1_epi32(left.cast_signed()));
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = _mm512_dpbf16_ps(*sum, left, right);
            }
        }
    }
    sums
}

/// Writes the first elements of a vector to `place`, or adds them to those that it has.
///
/// # Safety
/// There are so many elements, with something to be added to.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn add_to(place: *mut f32, sums: __m512, elements: usize, has_sums: bool) {
    let mask = (u32::MAX >> (32 - elements)) as u16;
    let before = if has_sums { mask } else { 0 };
    // SAFETY: only elements of the masks are read and written.
    unsafe { _mm512_mask_storeu_ps(place, mask, _mm512_add_ps(_mm512_maskz_loadu_ps(before, place), sums)) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CounterRng;

    #[test]
    fn products_are_those_in_float64() {
        if !is_supported() {
            eprintln!("skipped: the processor has no AVX-512 BF16");
            return;
        }
        for [rows, inner, columns] in [[1, 1, 1], [8, 64, 48], [13, 7, 50], [70, 1031, 33], [5, 600, 1000], [200, 0, 3]]
        {
            let values = |seed, count| -> Vec<bf16> {
                CounterRng::new(&[seed]).normal(count, 1.0).into_iter().map(bf16::from_f32).collect()
            };
            let (left, right) = (values(1, rows * inner), values(2, inner * columns));
            let transposed: Vec<bf16> = (0..columns)
                .flat_map(|column| (0..inner).map(move |k| (k, column)))
                .map(|(k, c)| right[k * columns + c])
                .collect();
            let found = by_columns(&left, &right, [rows, inner, columns]);
            assert!(found == by_rows(&left, &transposed, [rows, inner, columns]));
            for (place, found) in found.iter().enumerate() {
                let (row, column) = (place / columns, place % columns);
                let terms = (0..inner).map(|k| left[row * inner + k].to_f64() * right[k * columns + column].to_f64());
                let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                assert!((f64::from(*found) - sum).abs() <= 1e-5 * size, "{row}, {column}: {found} for {sum}");
            }
        }
    }
}
