//! Operations on parameters and gradients: a launch for each of them.

use super::launch::{alike, contiguous, cube_each, element, sum_of_cube, uninitialised, unit_each, units_of_row};
use crate::AdamWStep;
use burn_cubecl::{
    cubecl::{self, ir::ElemType, prelude::*},
    tensor::CubeTensor,
};

/// The numbers of [`AdamWStep`].
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Numbers {
    clip: f32,
    beta_1: f32,
    /// `1 - beta_1`, whose digits float32 would lose.
    rest_1: f32,
    beta_2: f32,
    rest_2: f32,
    step_size: f32,
    second_factor: f32,
    epsilon: f32,
    decay: f32,
}

#[cube(launch)]
fn update<F: Float>(
    value: &Tensor<F>,
    gradient: &Tensor<F>,
    first: &Tensor<F>,
    second: &Tensor<F>,
    new_value: &mut Tensor<F>,
    new_first: &mut Tensor<F>,
    new_second: &mut Tensor<F>,
    numbers: &Numbers,
    #[define(F)] _type: ElemType,
) {
    if ABSOLUTE_POS < value.len() {
        let g = f32::cast_from(gradient[ABSOLUTE_POS]) * numbers.clip;
        let m = f32::cast_from(first[ABSOLUTE_POS]) * numbers.beta_1 + g * numbers.rest_1;
        let v = f32::cast_from(second[ABSOLUTE_POS]) * numbers.beta_2 + g * g * numbers.rest_2;
        let change = m / (v.sqrt() * numbers.second_factor + numbers.epsilon) * numbers.step_size;
        new_first[ABSOLUTE_POS] = F::cast_from(m);
        new_second[ABSOLUTE_POS] = F::cast_from(v);
        new_value[ABSOLUTE_POS] = F::cast_from(f32::cast_from(value[ABSOLUTE_POS]) * numbers.decay - change);
    }
}

/// Elements whose squares one cube adds up.
const PART: usize = 4096;

/// The sums of the squares of parts, by a cube for each.
#[cube(launch)]
fn add_squares<F: Float>(x: &Tensor<F>, y: &mut Tensor<F>, #[comptime] units: usize, #[define(F)] _type: ElemType) {
    if CUBE_POS >= y.len() {
        terminate!();
    }
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let mut sum = 0.0f32;
    let mut i = CUBE_POS * PART + UNIT_POS as usize;
    let end = (CUBE_POS + 1) * PART;
    while i < end {
        if i < x.len() {
            let value = f32::cast_from(x[i]);
            sum += value * value;
        }
        i += units;
    }
    let sum = sum_of_cube(sum, &mut scratch, units);
    if UNIT_POS == 0 {
        y[CUBE_POS] = F::cast_from(sum);
    }
}

/// The value and both moments after a step.
pub(super) fn adamw(tensors: [CubeTensor; 4], step: AdamWStep) -> [CubeTensor; 3] {
    let [value, gradient, first, second] = contiguous(tensors);
    let (updated, client, dtype) =
        ([alike(&value), alike(&first), alike(&second)], value.client.clone(), element(&value));
    let (count, dim) = unit_each(&client, value.meta.num_elements());
    let AdamWStep { clip, beta_1, beta_2, step_size, second_factor, epsilon, decay } = step;
    let numbers = [clip, beta_1, 1.0 - beta_1, beta_2, 1.0 - beta_2, step_size, second_factor, epsilon, decay];
    let [clip, beta_1, rest_1, beta_2, rest_2, step_size, second_factor, epsilon, decay] = numbers.map(|it| it as f32);
    let numbers = NumbersLaunch::new(clip, beta_1, rest_1, beta_2, rest_2, step_size, second_factor, epsilon, decay);
    let [value, gradient, first, second] = [value, gradient, first, second].map(CubeTensor::into_tensor_arg);
    let [of_value, of_first, of_second] = updated.clone().map(CubeTensor::into_tensor_arg);
    update::launch(&client, count, dim, value, gradient, first, second, of_value, of_first, of_second, numbers, dtype);
    updated
}

/// The number of parts of a tensor with so many elements.
pub(super) fn parts(elements: usize) -> usize {
    elements.div_ceil(PART).max(1)
}

/// `[parts]`.
pub(super) fn squares(x: CubeTensor) -> CubeTensor {
    let [x] = contiguous([x]);
    let parts = parts(x.meta.num_elements());
    let (y, client, dtype) = (uninitialised(&x, [parts], x.dtype), x.client.clone(), element(&x));
    let units = units_of_row(PART);
    let (count, dim) = cube_each(&client, parts, units);
    let [x, y_argument] = [x, y.clone()].map(CubeTensor::into_tensor_arg);
    add_squares::launch(&client, count, dim, x, y_argument, units, dtype);
    y
}
