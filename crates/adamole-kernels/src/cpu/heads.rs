//! Heads of attention: rotary embedding, and order in memory.

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

/// `[B, heads, L, d]` to `[B L, heads d]`.
pub(super) fn by_position(x: &[f32], sizes: [usize; 3]) -> Vec<f32> {
    moved(x, sizes, |[by_position, by_head]| (by_head, by_position))
}

/// `[B L, heads d]` to `[B, heads, L, d]`.
pub(super) fn by_head(x: &[f32], sizes: [usize; 3]) -> Vec<f32> {
    moved(x, sizes, |[by_position, by_head]| (by_position, by_head))
}

/// Moves each head at each position, `places` as in [`rotated`].
fn moved(x: &[f32], [length, heads, dim]: [usize; 3], places: impl Fn([usize; 2]) -> (usize, usize)) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    let sequence = (length * heads * dim).max(1);
    for (x, y) in x.chunks_exact(sequence).zip(y.chunks_exact_mut(sequence)) {
        for head in 0..heads {
            for position in 0..length {
                let (from, to) = places([position * heads + head, head * length + position]);
                y[to * dim..][..dim].copy_from_slice(&x[from * dim..][..dim]);
            }
        }
    }
    y
}
