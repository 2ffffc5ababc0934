//! Products of bfloat16 matrices by AVX-512 BF16, with sums in float32.
//!
//! The processor multiplies and adds two neighbouring elements of the summed dimension at a time, a pair. Both operands are packed
//! into pairs: the left one as panels of 8 rows, the right one as panels of 48 columns. A tile of the result stays in registers
//! while its two panels are read in order. An element of the result is the same sum however the product is divided.

use crate::{
    team::{share, threads},
    wide::wide,
};
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

/// Two elements, the first in the lower half.
type Pair = u32;

/// Whether the processor has the instructions.
pub(super) fn is_supported() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
}

/// `left right^T`: `left` `[rows, inner]`, `right` `[columns, inner]` to `[rows, columns]`. Supported processors only.
pub(super) fn by_rows(left: &[bf16], right: &[bf16], sizes: [usize; 3]) -> Vec<f32> {
    let [_, inner, columns] = sizes;
    assert_eq!(right.len(), columns * inner);
    product(left, sizes, |pairs, columns, panel| {
        let end = inner.min(2 * pairs.end);
        pack::<COLUMNS>(panel, columns.map(|column| &right[column * inner..][2 * pairs.start..end]));
    })
}

/// `left right`: `left` `[rows, inner]`, `right` `[inner, columns]` to `[rows, columns]`. Supported processors only.
pub(super) fn by_columns(left: &[bf16], right: &[bf16], sizes: [usize; 3]) -> Vec<f32> {
    let [_, inner, columns] = sizes;
    assert_eq!(right.len(), columns * inner);
    product(left, sizes, |pairs, part, panel| pack_columns(panel, right, columns, pairs.start, part))
}

#[inline(always)]
fn paired([first, second]: [bf16; 2]) -> Pair {
    Pair::from(first.to_bits()) | Pair::from(second.to_bits()) << 16
}

wide! {
    /// Packs columns of the pairs of rows of `right` `[inner, width]` from this pair on into `[pairs, 48]`; the row after the
    /// last one is 0.
    fn pack_columns(panel: &mut [Pair], right: &[bf16], width: usize, first_pair: usize, columns: Range<usize>) {
        let rows = right[2 * first_pair * width..].chunks(2 * width);
        for (panel, rows) in panel.chunks_exact_mut(COLUMNS).zip(rows) {
            let (first, second) = rows.split_at(width);
            let first = &first[columns.clone()];
            let panel = &mut panel[..first.len()];
            match second {
                [] => panel.iter_mut().zip(first).for_each(|(pair, a)| *pair = paired([*a, bf16::ZERO])),
                second => interleave(panel, first, &second[columns.clone()]),
            }
        }
    }
}

/// Pairs of elements of two rows of one length. 16 are a register.
#[inline(always)]
fn interleave(pairs: &mut [Pair], first: &[bf16], second: &[bf16]) {
    let ((pairs, last), (first, last_first), (second, last_second)) =
        (pairs.as_chunks_mut::<16>(), first.as_chunks::<16>(), second.as_chunks::<16>());
    for (pairs, (first, second)) in pairs.iter_mut().zip(first.iter().zip(second)) {
        for (pair, (a, b)) in pairs.iter_mut().zip(first.iter().zip(second)) {
            *pair = paired([*a, *b]);
        }
    }
    for (pair, (a, b)) in last.iter_mut().zip(last_first.iter().zip(last_second)) {
        *pair = paired([*a, *b]);
    }
}

/// Packs at most `WIDTH` rows into `[pairs, WIDTH]`, which is 0 before.
#[inline(always)]
fn pack<'a, const WIDTH: usize>(panel: &mut [Pair], rows: impl Iterator<Item = &'a [bf16]>) {
    for (index, row) in rows.enumerate() {
        let (pairs, rest) = row.as_chunks::<2>();
        let mut places = panel.chunks_exact_mut(WIDTH);
        for (pair, place) in pairs.iter().zip(&mut places) {
            place[index] = paired(*pair);
        }
        if let ([last], Some(place)) = (rest, places.next()) {
            place[index] = paired([*last, bf16::ZERO]);
        }
    }
}

/// The product, where `pack_right` packs the pairs and at most 48 columns of the right operand that it is given into `[pairs, 48]`,
/// which is 0 before.
fn product(
    left: &[bf16],
    [rows, inner, columns]: [usize; 3],
    pack_right: impl Fn(Range<usize>, Range<usize>, &mut [Pair]) + Sync,
) -> Vec<f32> {
    assert!(is_supported() && left.len() == rows * inner);
    let mut y = vec![0.0; rows * columns];
    let pairs = inner.div_ceil(2);
    if pairs == 0 {
        return y;
    }
    let mut panels = vec![0; rows.next_multiple_of(ROWS) * pairs];
    let of_rows = panels.chunks_exact_mut(ROWS * pairs).zip(left.chunks(ROWS * inner));
    share(of_rows.collect(), |(panel, rows)| pack::<ROWS>(panel, rows.chunks_exact(inner)));

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
                        // SAFETY: the processor has the instructions, and parts have columns of their own.
                        unsafe { result.add(left, right, rows.clone(), columns) };
                    }
                }
            }
        }
    });
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
    /// Adds the product of two panels to these rows and columns.
    ///
    /// # Safety
    /// The processor is supported, rows and columns are within the result, and nobody else uses them.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn add(&self, left: &[Pair], right: &[Pair], rows: Range<usize>, columns: Range<usize>) {
        let (left, right) = (left.as_chunks::<ROWS>().0, right.as_chunks::<COLUMNS>().0);
        let sums = tile(left, right);
        for (row, sums) in rows.zip(&sums) {
            // SAFETY: the caller guarantees it.
            let place = unsafe { self.y.add(row * self.columns + columns.start) };
            for (vector, sums) in steps(0..columns.len(), 16).zip(sums) {
                // SAFETY: the vector is within the columns.
                unsafe { add_to(place.add(vector.start), *sums, vector.len()) };
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

/// Adds the first elements of a vector to those at `place`.
///
/// # Safety
/// There are so many elements.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn add_to(place: *mut f32, sums: __m512, elements: usize) {
    let mask = (u32::MAX >> (32 - elements)) as u16;
    // SAFETY: only elements of the mask are read and written.
    unsafe { _mm512_mask_storeu_ps(place, mask, _mm512_add_ps(_mm512_maskz_loadu_ps(mask, place), sums)) };
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
