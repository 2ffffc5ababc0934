//! What surrounds the products of attention.

use super::{elementwise::sum, exp::exp};
use pulp::Arch;

/// `[B L, heads d]` to `[B, heads, L, d]`, turned.
pub(super) fn rotated_heads(x: &[f32], cos: &[f32], sin: &[f32], [length, heads, dim]: [usize; 3]) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    let (half, sequence) = (dim / 2, length * heads * dim);
    Arch::new().dispatch(|| {
        for (x, y) in x.chunks_exact(sequence.max(1)).zip(y.chunks_exact_mut(sequence.max(1))) {
            for (head, y) in y.chunks_exact_mut(length * dim).enumerate() {
                for (position, y) in y.chunks_exact_mut(dim).enumerate() {
                    let (x1, x2) = x[(position * heads + head) * dim..][..dim].split_at(half);
                    let (y1, y2) = y.split_at_mut(half);
                    let (cos, sin) = (&cos[position * dim..][..half], &sin[position * dim..][..half]);
                    for i in 0..half {
                        y1[i] = x1[i] * cos[i] - x2[i] * sin[i];
                        y2[i] = x2[i] * cos[i] + x1[i] * sin[i];
                    }
                }
            }
        }
    });
    y
}

/// `[B, heads, L, d]` to `[B L, heads d]`, turned back.
pub(super) fn rotated_heads_backward(
    d: &[f32],
    cos: &[f32],
    sin: &[f32],
    [length, heads, dim]: [usize; 3],
) -> Vec<f32> {
    let mut x = vec![0.0; d.len()];
    let (half, sequence) = (dim / 2, length * heads * dim);
    Arch::new().dispatch(|| {
        for (d, x) in d.chunks_exact(sequence.max(1)).zip(x.chunks_exact_mut(sequence.max(1))) {
            for (head, d) in d.chunks_exact(length * dim).enumerate() {
                for (position, d) in d.chunks_exact(dim).enumerate() {
                    let (d1, d2) = d.split_at(half);
                    let (x1, x2) = x[(position * heads + head) * dim..][..dim].split_at_mut(half);
                    let (cos, sin) = (&cos[position * dim..][..half], &sin[position * dim..][..half]);
                    for i in 0..half {
                        x1[i] = d1[i] * cos[i] + d2[i] * sin[i];
                        x2[i] = d2[i] * cos[i] - d1[i] * sin[i];
                    }
                }
            }
        }
    });
    x
}

/// In place. The bias has a row of scores for each query, for every sequence or one for all.
pub(super) fn scaled_softmax(
    scores: &mut [f32],
    [_, heads, queries, keys]: [usize; 4],
    bias: &[f32],
    bias_per_sequence: bool,
    scale: f32,
) {
    Arch::new().dispatch(|| {
        for (index, row) in scores.chunks_exact_mut(keys.max(1)).enumerate() {
            let (sequence, query) = (index / (heads * queries), index % queries);
            let bias_row = if bias_per_sequence { sequence * queries + query } else { query };
            let bias = &bias[bias_row * keys..][..keys];
            let mut max = f32::NEG_INFINITY;
            for (score, bias) in row.iter_mut().zip(bias) {
                *score = *score * scale + bias;
                max = max.max(*score);
            }
            row.iter_mut().for_each(|score| *score = exp(*score - max));
            let inverse = 1.0 / sum(row.iter().copied());
            row.iter_mut().for_each(|score| *score *= inverse);
        }
    });
}

/// In place of the gradient `d`: `scale p (d - sum(d p))`.
pub(super) fn scaled_softmax_backward(d: &mut [f32], probs: &[f32], keys: usize, scale: f32) {
    Arch::new().dispatch(|| {
        for (d, probs) in d.chunks_exact_mut(keys.max(1)).zip(probs.chunks_exact(keys.max(1))) {
            let mean = sum(d.iter().zip(probs).map(|(d, p)| d * p));
            d.iter_mut().zip(probs).for_each(|(d, p)| *d = scale * p * (*d - mean));
        }
    });
}
