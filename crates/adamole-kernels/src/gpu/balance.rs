//! Sums over tokens.

use super::{
    launch::{contiguous, cube_each, element, sum_of_cube, uninitialised, units_of_row},
    load_balancing::Balance,
};
use burn::{backend::TensorMetadata, tensor::Shape};
use burn_cubecl::{
    cubecl::{self, ir::ElemType, prelude::*},
    tensor::CubeTensor,
};

/// Units of the cube that adds for the loss. Each adds for one expert.
const UNITS: usize = 256;

/// The most experts that [`LoadBalancing::balance`](super::load_balancing::LoadBalancing::balance) takes.
pub(crate) const MOST_EXPERTS: usize = UNITS;

/// One cube, for the loss needs the sums of all experts. Units side by side read the experts of a row, and the next rows.
#[cube(launch)]
fn add_tokens<F: Float>(
    requested: &Tensor<F>,
    scores: &Tensor<F>,
    active: &Tensor<F>,
    thresholds: &Tensor<F>,
    mask: &Tensor<F>,
    loss: &mut Tensor<F>,
    slopes: &mut Tensor<F>,
    active_tokens: &mut Tensor<F>,
    threshold_sum: &mut Tensor<F>,
    rows: usize,
    factor: f32,
    #[comptime] experts: usize,
    #[comptime] has_thresholds: bool,
    #[comptime] has_mask: bool,
    #[define(F)] _type: ElemType,
) {
    let mut requests = Shared::<[f32]>::new_slice(UNITS);
    let mut sums = Shared::<[f32]>::new_slice(UNITS);
    let mut activations = Shared::<[f32]>::new_slice(UNITS);
    let (unit, at_once) = (UNIT_POS as usize, comptime!(UNITS / experts));
    let (expert, first) = (unit % experts, unit / experts);
    let mut request = 0.0f32;
    let mut sum = 0.0f32;
    let mut activation = 0.0f32;
    let mut threshold = 0.0f32;
    if first < at_once {
        let mut row = first;
        while row < rows {
            let mut factor = 1.0f32;
            if has_mask {
                factor = f32::cast_from(mask[row]);
            }
            let i = row * experts + expert;
            request += factor * f32::cast_from(requested[i]);
            sum += factor * f32::cast_from(scores[i]);
            activation += factor * f32::cast_from(active[i]);
            if has_thresholds && expert == 0 {
                threshold += factor * f32::cast_from(thresholds[row]);
            }
            row += at_once;
        }
    }
    requests[unit] = request;
    sums[unit] = sum;
    activations[unit] = activation;
    sync_cube();
    let mut product = 0.0f32;
    if unit < experts {
        for i in 1..at_once {
            request += requests[i * experts + unit];
            sum += sums[i * experts + unit];
            activation += activations[i * experts + unit];
        }
        slopes[unit] = F::cast_from(factor * request);
        active_tokens[unit] = F::cast_from(activation);
        product = request * sum;
    }
    sync_cube();
    let product = sum_of_cube(product, &mut requests, UNITS);
    let threshold = sum_of_cube(threshold, &mut sums, UNITS);
    if unit == 0 {
        loss[0] = F::cast_from(factor * product);
        threshold_sum[0] = F::cast_from(threshold);
    }
}

/// See [`LoadBalancing::balance`](super::load_balancing::LoadBalancing::balance).
pub(super) fn balance(tensors: [CubeTensor; 5], of: Balance) -> [CubeTensor; 4] {
    let [requested, scores, active, thresholds, mask] = contiguous(tensors);
    let [rows, experts] = requested.shape().dims();
    let empty = |shape: Shape| uninitialised(&requested, shape, requested.dtype);
    let results = [empty([1].into()), empty([1, experts].into()), empty([1, experts].into()), empty([1, 1].into())];
    let (client, dtype) = (requested.client.clone(), element(&requested));
    let (count, dim) = cube_each(&client, 1, UNITS);
    let [requested, scores, active] = [requested, scores, active].map(CubeTensor::into_tensor_arg);
    let [thresholds, mask] = [thresholds, mask].map(CubeTensor::into_tensor_arg);
    let [loss, slopes, active_tokens, sum] = results.clone().map(CubeTensor::into_tensor_arg);
    let Balance { factor, has_thresholds, has_mask } = of;
    add_tokens::launch(
        &client,
        count,
        dim,
        requested,
        scores,
        active,
        thresholds,
        mask,
        loss,
        slopes,
        active_tokens,
        sum,
        rows,
        factor,
        experts,
        has_thresholds,
        has_mask,
        dtype,
    );
    results
}

/// The weighted sum of a column, by a cube for each.
#[cube(launch)]
fn add_columns<F: Float>(
    values: &Tensor<F>,
    weights: &Tensor<F>,
    y: &mut Tensor<F>,
    #[comptime] columns: usize,
    #[comptime] units: usize,
    #[define(F)] _type: ElemType,
) {
    if CUBE_POS >= y.len() {
        terminate!();
    }
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let mut sum = 0.0f32;
    let mut row = UNIT_POS as usize;
    while row < weights.len() {
        sum += f32::cast_from(values[row * columns + CUBE_POS]) * f32::cast_from(weights[row]);
        row += units;
    }
    let sum = sum_of_cube(sum, &mut scratch, units);
    if UNIT_POS == 0 {
        y[CUBE_POS] = F::cast_from(sum);
    }
}

/// `values` `[T, N]` and `weights` `[T, 1]` to `[1, N]`.
pub(super) fn weighted_sum(values: CubeTensor, weights: CubeTensor) -> CubeTensor {
    let [values, weights] = contiguous([values, weights]);
    let [_, columns] = values.shape().dims();
    let (y, client, dtype) =
        (uninitialised(&values, [1, columns], values.dtype), values.client.clone(), element(&values));
    let units = units_of_row(weights.meta.num_elements());
    let (count, dim) = cube_each(&client, columns, units);
    let [values, weights, y_argument] = [values, weights, y.clone()].map(CubeTensor::into_tensor_arg);
    add_columns::launch(&client, count, dim, values, weights, y_argument, columns, units, dtype);
    y
}
