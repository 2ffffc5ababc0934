//! The rotary position embedding and the order of heads: a unit for each pair of elements that turn together.

use super::launch::{contiguous, element, uninitialised, unit_each};
use burn::backend::TensorMetadata;
use burn_cubecl::{
    cubecl::{self, ir::ElemType, prelude::*},
    tensor::CubeTensor,
};

/// Rotates `[B L, heads d]` to `[B, heads, L, d]`, or with `back` the other way round and by the negative angle.
#[cube(launch)]
fn rotate<F: Float, C: Float>(
    x: &Tensor<F>,
    cos: &Tensor<C>,
    sin: &Tensor<C>,
    y: &mut Tensor<F>,
    length: usize,
    #[comptime] heads: usize,
    #[comptime] dim: usize,
    #[comptime] back: bool,
    #[define(F)] _type: ElemType,
    #[define(C)] _table_type: ElemType,
) {
    let half = comptime!(dim / 2);
    if 2 * ABSOLUTE_POS < x.len() {
        let (column, vector) = (ABSOLUTE_POS % half, ABSOLUTE_POS / half);
        // Of the order (sequence, position, head).
        let (head, position) = (vector % heads, vector / heads % length);
        let sequence = vector / heads / length;
        let by_position = vector * dim + column;
        let by_head = ((sequence * heads + head) * length + position) * dim + column;
        let (c, s) = (f32::cast_from(cos[position * dim + column]), f32::cast_from(sin[position * dim + column]));
        if back {
            let (x1, x2) = (f32::cast_from(x[by_head]), f32::cast_from(x[by_head + half]));
            y[by_position] = F::cast_from(x1 * c + x2 * s);
            y[by_position + half] = F::cast_from(x2 * c - x1 * s);
        } else {
            let (x1, x2) = (f32::cast_from(x[by_position]), f32::cast_from(x[by_position + half]));
            y[by_head] = F::cast_from(x1 * c - x2 * s);
            y[by_head + half] = F::cast_from(x2 * c + x1 * s);
        }
    }
}

/// `[B L, heads d]` to `[B, heads, L, d]`.
pub(super) fn rotated_heads(x: CubeTensor, cos: CubeTensor, sin: CubeTensor, heads: usize) -> CubeTensor {
    let ([rows, _], [.., length, dim]) = (x.shape().dims(), cos.shape().dims::<4>());
    let y = uninitialised(&x, [rows / length.max(1), heads, length, dim], x.dtype);
    launch([x, cos, sin], y, [length, heads, dim], false)
}

/// `[B, heads, L, d]` to `[B L, heads d]`.
pub(super) fn rotated_heads_backward(cos: CubeTensor, sin: CubeTensor, d: CubeTensor) -> CubeTensor {
    let [sequences, heads, length, dim] = d.shape().dims();
    let x = uninitialised(&d, [sequences * length, heads * dim], d.dtype);
    launch([d, cos, sin], x, [length, heads, dim], true)
}

fn launch(inputs: [CubeTensor; 3], y: CubeTensor, [length, heads, dim]: [usize; 3], back: bool) -> CubeTensor {
    let [x, cos, sin] = contiguous(inputs);
    let (client, types) = (x.client.clone(), [element(&x), element(&cos)]);
    let (count, units) = unit_each(&client, x.meta.num_elements() / 2);
    let [x, cos, sin, y_argument] = [x, cos, sin, y.clone()].map(CubeTensor::into_tensor_arg);
    rotate::launch(&client, count, units, x, cos, sin, y_argument, length, heads, dim, back, types[0], types[1]);
    y
}
