//! What surrounds the products of attention.

use super::{elementwise::sum, exp::exp};
use pulp::Arch;

/// `[B L, heads d]` to `[B, heads, L, d]`, turned.
pub(super) fn rotated_heads(x: &[f32], cos: &[f32], sin: &[f32], sizes: [usize; 3]) -> Vec<f32> {
    turned(x, cos, sin, sizes, 1.0, |[by_position, by_head]| (by_position, by_head))
}

/// `[B, heads, L, d]` to `[B L, heads d]`, turned back.
pub(super) fn rotated_heads_backward(d: &[f32], cos: &[f32], sin: &[f32], sizes: [usize; 3]) -> Vec<f32> {
    turned(d, cos, sin, sizes, -1.0, |[by_position, by_head]| (by_head, by_position))
}

/// Turns each head at each position by its angle times `sign`. `places` chooses where it is in `x` and in the result, of
/// where it is in an order by position and then head, and in one by head and then position.
fn turned(
    x: &[f32],
    cos: &[f32],
    sin: &[f32],
    [length, heads, dim]: [usize; 3],
    sign: f32,
    places: impl Fn([usize; 2]) -> (usize, usize),
) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    let (half, sequence) = (dim / 2, (length * heads * dim).max(1));
    Arch::new().dispatch(|| {
        for (x, y) in x.chunks_exact(sequence).zip(y.chunks_exact_mut(sequence)) {
            for head in 0..heads {
                for position in 0..length {
                    let (from, to) = places([position * heads + head, head * length + position]);
                    let (x1, x2) = x[from * dim..][..dim].split_at(half);
                    let (y1, y2) = y[to * dim..][..dim].split_at_mut(half);
                    let (cos, sin) = (&cos[position * dim..][..half], &sin[position * dim..][..half]);
                    for i in 0..half {
                        let sin = sign * sin[i];
                        y1[i] = x1[i] * cos[i] - x2[i] * sin;
                        y2[i] = x2[i] * cos[i] + x1[i] * sin;
                    }
                }
            }
        }
    });
    y
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
