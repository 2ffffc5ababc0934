//! What every kernel is launched with: contiguous tensors, and as many units as there is work.

use burn::backend::{TensorMetadata, cubecl::dtype_to_storage_type};
use burn::tensor::{DType, Shape};
use burn_cubecl::{
    cubecl::{self, calculate_cube_count_elemwise, ir::ElemType, prelude::*},
    kernel::into_contiguous,
    ops::numeric::empty_device_contiguous_dtype,
    tensor::CubeTensor,
};

/// The units of a cube that share a row of this length: more for a long one, so that no unit has many elements to wait for.
pub(super) fn units_of_row(length: usize) -> usize {
    if length < 1024 { 64 } else { 256 }
}

/// The tensors in row-major order without gaps.
pub(super) fn contiguous<const N: usize>(tensors: [CubeTensor; N]) -> [CubeTensor; N] {
    tensors.map(into_contiguous)
}

/// A tensor on the device of another. Its values are undefined until a kernel writes them.
pub(super) fn uninitialised(like: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), dtype)
}

/// The same with the shape and the type of the other.
pub(super) fn alike(tensor: &CubeTensor) -> CubeTensor {
    uninitialised(tensor, tensor.shape(), tensor.dtype)
}

/// The type of a tensor's elements as kernels name it.
pub(super) fn element(tensor: &CubeTensor) -> ElemType {
    dtype_to_storage_type(tensor.dtype)
}

/// One unit for each of so many elements or rows.
pub(super) fn unit_each(client: &Client, count: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new(client, count);
    (calculate_cube_count_elemwise(client, count, dim), dim)
}

/// One cube of so many units for each of so many rows.
pub(super) fn cube_each(client: &Client, rows: usize, units: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new_1d(units as u32);
    (calculate_cube_count_elemwise(client, rows * units, dim), dim)
}

/// The sum of what the units of a cube have. All of them take part.
#[cube]
pub(super) fn sum_of_cube(value: f32, scratch: &mut Shared<[f32]>, #[comptime] units: usize) -> f32 {
    reduced(value, scratch, units, false)
}

/// The largest of what the units of a cube have. All of them take part.
#[cube]
pub(super) fn largest_of_cube(value: f32, scratch: &mut Shared<[f32]>, #[comptime] units: usize) -> f32 {
    reduced(value, scratch, units, true)
}

/// The largest, or the sum, in halves.
#[cube]
fn reduced(value: f32, scratch: &mut Shared<[f32]>, #[comptime] units: usize, #[comptime] is_largest: bool) -> f32 {
    let unit = UNIT_POS as usize;
    scratch[unit] = value;
    sync_cube();
    let mut half = comptime!(units / 2).runtime();
    while half > 0 {
        if unit < half {
            let (one, other) = (scratch[unit], scratch[unit + half]);
            if is_largest {
                scratch[unit] = one.max(other);
            } else {
                scratch[unit] = one + other;
            }
        }
        half /= 2;
        sync_cube();
    }
    let result = scratch[0];
    sync_cube();
    result
}
