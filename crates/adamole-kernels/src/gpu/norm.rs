//! RMSNorm: a cube for each row.

use super::launch::{alike, contiguous, cube_each, element, sum_of_cube, units_of_row};
use burn::backend::TensorMetadata;
use burn_cubecl::{
    cubecl::{self, ir::ElemType, prelude::*},
    tensor::CubeTensor,
};

/// `1 / sqrt(mean(x^2) + eps)` of the row that begins at `start`.
#[cube]
fn inverse_root<F: Float>(
    x: &Tensor<F>,
    start: usize,
    eps: f32,
    scratch: &mut Shared<[f32]>,
    #[comptime] width: usize,
    #[comptime] units: usize,
) -> f32 {
    let mut squares = 0.0f32;
    let mut column = UNIT_POS as usize;
    while column < width {
        let value = f32::cast_from(x[start + column]);
        squares += value * value;
        column += units;
    }
    let mean = sum_of_cube(squares, scratch, units) / width as f32;
    1.0 / (mean + eps).sqrt()
}

#[cube(launch)]
fn forward<F: Float, W: Float>(
    x: &Tensor<F>,
    weight: &Tensor<W>,
    y: &mut Tensor<F>,
    eps: f32,
    #[comptime] width: usize,
    #[comptime] units: usize,
    #[define(F)] _type: ElemType,
    #[define(W)] _weight_type: ElemType,
) {
    let start = CUBE_POS * width;
    if start >= x.len() {
        terminate!();
    }
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let inverse = inverse_root::<F>(x, start, eps, &mut scratch, width, units);
    let mut column = UNIT_POS as usize;
    while column < width {
        let value = f32::cast_from(x[start + column]);
        y[start + column] = F::cast_from(value * inverse * f32::cast_from(weight[column]));
        column += units;
    }
}

/// With r the inverse root, `dx = r w d - x r^3 mean(w d x)`.
#[cube(launch)]
fn backward<F: Float, W: Float>(
    x: &Tensor<F>,
    weight: &Tensor<W>,
    d: &Tensor<F>,
    of_x: &mut Tensor<F>,
    eps: f32,
    #[comptime] width: usize,
    #[comptime] units: usize,
    #[define(F)] _type: ElemType,
    #[define(W)] _weight_type: ElemType,
) {
    let start = CUBE_POS * width;
    if start >= x.len() {
        terminate!();
    }
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let inverse = inverse_root::<F>(x, start, eps, &mut scratch, width, units);
    let mut products = 0.0f32;
    let mut column = UNIT_POS as usize;
    while column < width {
        let weighted = f32::cast_from(d[start + column]) * f32::cast_from(weight[column]);
        products += weighted * f32::cast_from(x[start + column]);
        column += units;
    }
    let along = sum_of_cube(products, &mut scratch, units) * inverse * inverse * inverse / width as f32;
    let mut column = UNIT_POS as usize;
    while column < width {
        let weighted = f32::cast_from(d[start + column]) * f32::cast_from(weight[column]);
        let value = f32::cast_from(x[start + column]);
        of_x[start + column] = F::cast_from(weighted * inverse - value * along);
        column += units;
    }
}

/// `x` `[T, d]` and `weight` `[d]`.
pub(super) fn rms_norm(x: CubeTensor, weight: CubeTensor, eps: f32) -> CubeTensor {
    let [x, weight] = contiguous([x, weight]);
    let ([rows, width], y, client) = (x.shape().dims(), alike(&x), x.client.clone());
    let types = [element(&x), element(&weight)];
    let units = units_of_row(width);
    let (count, dim) = cube_each(&client, rows, units);
    let [x, weight, y_argument] = [x, weight, y.clone()].map(CubeTensor::into_tensor_arg);
    forward::launch(&client, count, dim, x, weight, y_argument, eps, width, units, types[0], types[1]);
    y
}

/// The gradient of `x`.
pub(super) fn rms_norm_backward(x: CubeTensor, weight: CubeTensor, d: CubeTensor, eps: f32) -> CubeTensor {
    let [x, weight, d] = contiguous([x, weight, d]);
    let ([rows, width], of_x, client) = (x.shape().dims(), alike(&x), x.client.clone());
    let types = [element(&x), element(&weight)];
    let units = units_of_row(width);
    let (count, dim) = cube_each(&client, rows, units);
    let [x, weight, d, gradient] = [x, weight, d, of_x.clone()].map(CubeTensor::into_tensor_arg);
    backward::launch(&client, count, dim, x, weight, d, gradient, eps, width, units, types[0], types[1]);
    of_x
}
