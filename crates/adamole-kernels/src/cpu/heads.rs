//! Heads of attention: rotary embedding, and order in memory.

use crate::{team::in_rows, wide::wide};

/// Sizes of a batch of sequences: their length, heads, and the width of a head.
type Sizes = [usize; 3];

/// The place of a head at a position in the order (position, head), and its position, from that in the order (head, position).
fn from_position([length, heads, _]: Sizes, by_head: usize) -> [usize; 2] {
    let (of_head, position) = (by_head / length, by_head % length);
    let (sequence, head) = (of_head / heads, of_head % heads);
    [(sequence * length + position) * heads + head, position]
}

/// The inverse of [`from_position`].
fn from_head([length, heads, _]: Sizes, by_position: usize) -> [usize; 2] {
    let (of_position, head) = (by_position / heads, by_position % heads);
    let (sequence, position) = (of_position / length, of_position % length);
    [(sequence * heads + head) * length + position, position]
}

/// The rotary embedding: `[B L, heads d]` to `[B, heads, L, d]`.
pub(super) fn rotated_heads(x: &[f32], tables: [&[f32]; 2], sizes: Sizes) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    in_rows(&mut y, sizes[2], |first, y| rotate(y, x, tables, sizes[2], 1.0, |i| from_position(sizes, first + i)));
    y
}

/// The gradient of [`rotated_heads`]: `[B, heads, L, d]` to `[B L, heads d]`.
pub(super) fn rotated_heads_backward(d: &[f32], tables: [&[f32]; 2], sizes: Sizes) -> Vec<f32> {
    let mut y = vec![0.0; d.len()];
    in_rows(&mut y, sizes[2], |first, y| rotate(y, d, tables, sizes[2], -1.0, |i| from_head(sizes, first + i)));
    y
}

wide! {
    /// Rotates heads by the angle of their position times `sign`. `from` maps the place of a head in `y` to that in `x`, and to the
    /// position.
    fn rotate(
        y: &mut [f32], x: &[f32], tables: [&[f32]; 2], dim: usize, sign: f32, from: impl Fn(usize) -> [usize; 2],
    ) {
        let half = dim / 2;
        for (index, y) in y.chunks_exact_mut(dim).enumerate() {
            let [from, position] = from(index);
            let (x1, x2) = x[from * dim..][..dim].split_at(half);
            let (y1, y2) = y.split_at_mut(half);
            let [cos, sin] = tables.map(|table| &table[position * dim..][..half]);
            for i in 0..half {
                let sin = sign * sin[i];
                y1[i] = x1[i] * cos[i] - x2[i] * sin;
                y2[i] = x2[i] * cos[i] + x1[i] * sin;
            }
        }
    }
}

/// `[B, heads, L, d]` to `[B L, heads d]`.
pub(super) fn by_position(x: &[f32], sizes: Sizes) -> Vec<f32> {
    moved(x, sizes, from_head)
}

/// `[B L, heads d]` to `[B, heads, L, d]`.
pub(super) fn by_head(x: &[f32], sizes: Sizes) -> Vec<f32> {
    moved(x, sizes, from_position)
}

fn moved(x: &[f32], sizes: Sizes, from: impl Fn(Sizes, usize) -> [usize; 2] + Sync) -> Vec<f32> {
    let (mut y, dim) = (vec![0.0; x.len()], sizes[2]);
    in_rows(&mut y, dim, |first, y| {
        for (index, y) in y.chunks_exact_mut(dim).enumerate() {
            let [from, _] = from(sizes, first + index);
            y.copy_from_slice(&x[from * dim..][..dim]);
        }
    });
    y
}
