//! Packing of bfloat16 matrices into pairs: two neighbours in the summed dimension, which AVX-512 BF16 multiplies at a time.

use half::bf16;
use std::{
    arch::x86_64::{
        __m256i, _mm256_loadu_si256, _mm256_permute2x128_si256, _mm256_storeu_si256, _mm256_unpackhi_epi32,
        _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
    },
    array,
    ops::Range,
};

/// Two elements, the first in the lower half.
pub(super) type Pair = u32;

/// Pairs in a cache line.
const LINE: usize = 16;

#[inline(always)]
fn paired([first, second]: [bf16; 2]) -> Pair {
    Pair::from(first.to_bits()) | Pair::from(second.to_bits()) << 16
}

/// Packs columns of the pairs of rows of `matrix` `[inner, width]` from this pair on into `[pairs, WIDTH]`. An odd row has 0 beside
/// it; what is beside the columns stays as it is.
#[target_feature(enable = "avx512f")]
pub(super) fn pack_columns<const WIDTH: usize>(
    panel: &mut [Pair],
    matrix: &[bf16],
    width: usize,
    first_pair: usize,
    columns: Range<usize>,
) {
    let rows = matrix[2 * first_pair * width..].chunks(2 * width);
    for (panel, rows) in panel.chunks_exact_mut(WIDTH).zip(rows) {
        let (first, second) = rows.split_at(width);
        let first = &first[columns.clone()];
        let panel = &mut panel[..first.len()];
        match second {
            [] => panel.iter_mut().zip(first).for_each(|(pair, a)| *pair = paired([*a, bf16::ZERO])),
            second => interleave(panel, first, &second[columns.clone()]),
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

/// Packs these elements of at most `WIDTH` rows of `matrix` `[_, inner]` into `[pairs, WIDTH]`. An odd element has 0 beside it;
/// what is beside the rows stays as it is.
///
/// Of each row a cache line is taken at a time, so that what is written stays in the first cache until it is complete.
#[target_feature(enable = "avx2")]
pub(super) fn pack_rows<const WIDTH: usize>(
    panel: &mut [Pair],
    matrix: &[bf16],
    inner: usize,
    rows: Range<usize>,
    elements: Range<usize>,
) {
    let (groups, lines) = (rows.len() / 8, elements.len() / (2 * LINE));
    let row = |row: usize| &matrix[row * inner..][elements.clone()];
    for (line, panel) in panel.chunks_exact_mut(LINE * WIDTH).take(lines).enumerate() {
        for first in (0..8 * groups).step_by(8) {
            for (half, panel) in panel.chunks_exact_mut(8 * WIDTH).enumerate() {
                let pairs = array::from_fn(|index| {
                    let elements = &row(rows.start + first + index)[2 * (LINE * line + 8 * half)..][..16];
                    // SAFETY: 16 elements are a register.
                    unsafe { _mm256_loadu_si256(elements.as_ptr().cast()) }
                });
                for (place, pairs) in panel.chunks_exact_mut(WIDTH).zip(transposed(pairs)) {
                    // SAFETY: 8 pairs are a register.
                    unsafe { _mm256_storeu_si256(place[first..first + 8].as_mut_ptr().cast(), pairs) };
                }
            }
        }
    }
    for (index, row) in rows.map(row).enumerate() {
        let packed = if index < 8 * groups { LINE * lines } else { 0 };
        pack(panel[packed * WIDTH..].chunks_exact_mut(WIDTH), index, &row[2 * packed..]);
    }
}

/// Packs one row into this place of the panel's pairs.
fn pack<'a>(mut panel: impl Iterator<Item = &'a mut [Pair]>, index: usize, row: &[bf16]) {
    let (pairs, rest) = row.as_chunks::<2>();
    for (pair, place) in pairs.iter().zip(&mut panel) {
        place[index] = paired(*pair);
    }
    if let ([last], Some(place)) = (rest, panel.next()) {
        place[index] = paired([*last, bf16::ZERO]);
    }
}

/// The transpose of 8 rows of 8 pairs.
#[target_feature(enable = "avx2")]
#[inline]
fn transposed(rows: [__m256i; 8]) -> [__m256i; 8] {
    // Halves of register `column` of a group of four rows: these rows of `column` and of `column + 4`.
    let of_four = |[a, b, c, d]: [__m256i; 4]| {
        let (low, high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
        let (next_low, next_high) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
        [
            _mm256_unpacklo_epi64(low, next_low),
            _mm256_unpackhi_epi64(low, next_low),
            _mm256_unpacklo_epi64(high, next_high),
            _mm256_unpackhi_epi64(high, next_high),
        ]
    };
    let [a, b, c, d, e, f, g, h] = rows;
    let (upper, lower) = (of_four([a, b, c, d]), of_four([e, f, g, h]));
    array::from_fn(|column| match column {
        0..4 => _mm256_permute2x128_si256::<0x20>(upper[column], lower[column]),
        _ => _mm256_permute2x128_si256::<0x31>(upper[column - 4], lower[column - 4]),
    })
}
