//! Operations on parameters and gradients: a launch for each of them.

use super::launch::{alike, contiguous, cube_each, element, sum_of_cube, unit_each, units_of_row};
use crate::AdamWStep;
use burn_cubecl::{
    cubecl::{self, ir::ElemType, prelude::*},
    tensor::CubeTensor,
};

/// The numbers of [`AdamWStep`].
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Numbers {
    beta_1: f32,
    /// `1 - beta_1`, whose digits float32 would lose.
    rest_1: f32,
    /// `ln(beta_1)`.
    log_1: f32,
    beta_2: f32,
    rest_2: f32,
    log_2: f32,
    rate: f32,
    epsilon: f32,
    decay: f32,
}

/// `1 - e^x` of a number that is not positive, with all digits near zero.
#[cube]
fn one_minus_exp(x: f32) -> f32 {
    let near_zero = (((x / 4.0 + 1.0) * x / 3.0 + 1.0) * x / 2.0 + 1.0) * (0.0f32 - x);
    select(x + 0.0625 > 0.0, near_zero, 1.0f32 - x.exp())
}

/// One unit for each element of `[outer, experts, inner]`.
#[cube(launch)]
fn update<F: Float>(
    value: &Tensor<F>,
    gradient: &Tensor<F>,
    first: &Tensor<F>,
    second: &Tensor<F>,
    clip: &Tensor<f32>,
    counts: &Tensor<f32>,
    new_value: &mut Tensor<F>,
    new_first: &mut Tensor<F>,
    new_second: &mut Tensor<F>,
    numbers: &Numbers,
    first_count: usize,
    experts: usize,
    inner: usize,
    #[define(F)] _type: ElemType,
) {
    if ABSOLUTE_POS < value.len() {
        let count = counts[first_count + ABSOLUTE_POS / inner % experts];
        if count > 0.0 {
            let g = f32::cast_from(gradient[ABSOLUTE_POS]) * clip[0];
            let m = f32::cast_from(first[ABSOLUTE_POS]) * numbers.beta_1 + g * numbers.rest_1;
            let v = f32::cast_from(second[ABSOLUTE_POS]) * numbers.beta_2 + g * g * numbers.rest_2;
            let root = (v / one_minus_exp(count * numbers.log_2)).sqrt();
            let change = m / (root + numbers.epsilon) * (numbers.rate / one_minus_exp(count * numbers.log_1));
            new_first[ABSOLUTE_POS] = F::cast_from(m);
            new_second[ABSOLUTE_POS] = F::cast_from(v);
            new_value[ABSOLUTE_POS] = F::cast_from(f32::cast_from(value[ABSOLUTE_POS]) * numbers.decay - change);
        } else {
            new_first[ABSOLUTE_POS] = first[ABSOLUTE_POS];
            new_second[ABSOLUTE_POS] = second[ABSOLUTE_POS];
            new_value[ABSOLUTE_POS] = value[ABSOLUTE_POS];
        }
    }
}

/// The sums in which the squares of a tensor are added up.
pub(crate) const SQUARE_SUMS: usize = 32;

/// The sums of the squares of every so many-th element, by a cube for each.
#[cube(launch)]
fn add_squares<F: Float>(
    x: &Tensor<F>,
    sums: &mut Tensor<f32>,
    row: usize,
    #[comptime] units: usize,
    #[define(F)] _type: ElemType,
) {
    if CUBE_POS >= SQUARE_SUMS {
        terminate!();
    }
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let mut sum = 0.0f32;
    let mut i = CUBE_POS * units + UNIT_POS as usize;
    while i < x.len() {
        let value = f32::cast_from(x[i]);
        sum += value * value;
        i += SQUARE_SUMS * units;
    }
    let sum = sum_of_cube(sum, &mut scratch, units);
    if UNIT_POS == 0 {
        sums[row * SQUARE_SUMS + CUBE_POS] = sum;
    }
}

/// The value and both moments after a step.
pub(super) fn adamw(
    tensors: [CubeTensor; 4],
    clip: CubeTensor,
    counts: CubeTensor,
    step: AdamWStep,
) -> [CubeTensor; 3] {
    let [_, experts, inner] = tensors[0].meta.shape().dims();
    let [value, gradient, first, second] = contiguous(tensors);
    let [clip, counts] = contiguous([clip, counts]);
    let (updated, client, dtype) =
        ([alike(&value), alike(&first), alike(&second)], value.client.clone(), element(&value));
    let (count, dim) = unit_each(&client, value.meta.num_elements());
    let AdamWStep { beta_1, beta_2, rate, epsilon, decay, first_count } = step;
    let numbers = [beta_1, 1.0 - beta_1, beta_1.ln(), beta_2, 1.0 - beta_2, beta_2.ln(), rate, epsilon, decay];
    let [beta_1, rest_1, log_1, beta_2, rest_2, log_2, rate, epsilon, decay] = numbers.map(|it| it as f32);
    let numbers = NumbersLaunch::new(beta_1, rest_1, log_1, beta_2, rest_2, log_2, rate, epsilon, decay);
    let tensors = [value, gradient, first, second, clip, counts].map(CubeTensor::into_tensor_arg);
    let [value, gradient, first, second, clip, counts] = tensors;
    let [of_value, of_first, of_second] = updated.clone().map(CubeTensor::into_tensor_arg);
    update::launch(
        &client,
        count,
        dim,
        value,
        gradient,
        first,
        second,
        clip,
        counts,
        of_value,
        of_first,
        of_second,
        numbers,
        first_count,
        experts,
        inner,
        dtype,
    );
    updated
}

/// `sums` `[n, SQUARE_SUMS]` with another row, in place where it has no other owner.
pub(super) fn square_sums(x: CubeTensor, sums: CubeTensor, row: usize) -> CubeTensor {
    let [x] = contiguous([x]);
    let sums = if sums.can_mut() { sums } else { sums.copy() };
    let (client, dtype) = (x.client.clone(), element(&x));
    let units = units_of_row(x.meta.num_elements() / SQUARE_SUMS);
    let (count, dim) = cube_each(&client, SQUARE_SUMS, units);
    let [x, y] = [x, sums.clone()].map(CubeTensor::into_tensor_arg);
    add_squares::launch(&client, count, dim, x, y, row, units, dtype);
    sums
}
