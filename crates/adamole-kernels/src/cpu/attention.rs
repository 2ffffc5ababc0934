//! Rotary embedding and softmax of attention.

use super::{elementwise::sum, exp::exp};
use pulp::Arch;

/// The rotary embedding: `[B L, heads d]` to `[B, heads, L, d]`.
pub(super) fn rotated_heads(x: &[f32], cos: &[f32], sin: &[f32], sizes: [usize; 3]) -> Vec<f32> {
    rotated(x, cos, sin, sizes, 1.0, |[by_position, by_head]| (by_position, by_head))
}

/// The gradient of [`rotated_heads`]: `[B, heads, L, d]` to `[B L, heads d]`.
pub(super) fn rotated_heads_backward(d: &[f32], cos: &[f32], sin: &[f32], sizes: [usize; 3]) -> Vec<f32> {
    rotated(d, cos, sin, sizes, -1.0, |[by_position, by_head]| (by_head, by_position))
}

/// Rotates each head at each position by its angle times `sign`. `places` maps the head's indices in the orders
/// (position, head) and (head, position) to its indices in `x` and in the result.
fn rotated(
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

/// The softmax of `scale scores + bias`, in place. `bias` is `[queries, keys]`, or `[B, queries, keys]` with
/// `bias_per_sequence`.
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

/// The gradient of [`scaled_softmax`], `scale p (d - sum(d p))`, in place of `d`.
pub(super) fn scaled_softmax_backward(d: &mut [f32], probs: &[f32], keys: usize, scale: f32) {
    Arch::new().dispatch(|| {
        for (d, probs) in d.chunks_exact_mut(keys.max(1)).zip(probs.chunks_exact(keys.max(1))) {
            let mean = sum(d.iter().zip(probs).map(|(d, p)| d * p));
            d.iter_mut().zip(probs).for_each(|(d, p)| *d = scale * p * (*d - mean));
        }
    });
}
