//! Operations on the scores of a gate: a unit for each row, which is short.

use super::launch::{alike, contiguous, element, unit_each};
use burn::backend::TensorMetadata;
use burn_cubecl::{
    cubecl::{self, ir::ElemType, prelude::*},
    tensor::CubeTensor,
};
use std::ops::Range;

#[cube(launch)]
fn softmax<F: Float>(logits: &Tensor<F>, y: &mut Tensor<F>, #[comptime] experts: usize, #[define(F)] _type: ElemType) {
    let start = ABSOLUTE_POS * experts;
    if start < y.len() {
        let probabilities = softmax_of_row::<F>(logits, start, experts);
        for i in 0..experts {
            y[start + i] = F::cast_from(probabilities[i]);
        }
    }
}

/// The softmax of the elements from `start` on.
#[cube]
pub(super) fn softmax_of_row<F: Float>(logits: &Tensor<F>, start: usize, #[comptime] experts: usize) -> Array<f32> {
    let mut row = Array::<f32>::new(experts);
    let mut largest = f32::cast_from(logits[start]);
    for i in 1..experts {
        largest = largest.max(f32::cast_from(logits[start + i]));
    }
    let mut sum = 0.0f32;
    for i in 0..experts {
        row[i] = (f32::cast_from(logits[start + i]) - largest).exp();
        sum += row[i];
    }
    for i in 0..experts {
        row[i] /= sum;
    }
    row
}

/// The gradient of the logits: `p (d - sum(d p))`.
#[cube(launch)]
fn softmax_backward<F: Float>(
    y: &Tensor<F>,
    d: &Tensor<F>,
    of_logits: &mut Tensor<F>,
    #[comptime] experts: usize,
    #[define(F)] _type: ElemType,
) {
    let start = ABSOLUTE_POS * experts;
    if start < y.len() {
        let mut mean = 0.0f32;
        for i in 0..experts {
            mean += f32::cast_from(d[start + i]) * f32::cast_from(y[start + i]);
        }
        for i in 0..experts {
            let gradient = f32::cast_from(y[start + i]) * (f32::cast_from(d[start + i]) - mean);
            of_logits[start + i] = F::cast_from(gradient);
        }
    }
}

/// 1 where so many scores of the row come first, `from..to`, a unit for each element. Among equals the first comes first.
#[cube(launch)]
fn choose<F: Float>(
    scores: &Tensor<F>,
    y: &mut Tensor<F>,
    from: usize,
    to: usize,
    #[comptime] experts: usize,
    #[define(F)] _type: ElemType,
) {
    if ABSOLUTE_POS < y.len() {
        let (own, start) = (f32::cast_from(scores[ABSOLUTE_POS]), ABSOLUTE_POS / experts * experts);
        let mut rank = 0usize;
        for i in 0..experts {
            let other = f32::cast_from(scores[start + i]);
            if other > own || (other == own && start + i < ABSOLUTE_POS) {
                rank += 1;
            }
        }
        y[ABSOLUTE_POS] = F::cast_from(rank >= from && rank < to);
    }
}

/// The selected scores over their sum.
#[cube(launch)]
fn normalise<F: Float>(
    scores: &Tensor<F>,
    selected: &Tensor<F>,
    y: &mut Tensor<F>,
    #[comptime] experts: usize,
    #[define(F)] _type: ElemType,
) {
    let start = ABSOLUTE_POS * experts;
    if start < y.len() {
        let mut sum = 0.0f32;
        for i in 0..experts {
            sum += f32::cast_from(scores[start + i]) * f32::cast_from(selected[start + i]);
        }
        let divisor = select(sum == 0.0, 1.0f32.runtime(), sum);
        for i in 0..experts {
            let kept = f32::cast_from(scores[start + i]) * f32::cast_from(selected[start + i]);
            y[start + i] = F::cast_from(kept / divisor);
        }
    }
}

/// With w the weights and D the divisor, `selected (d - sum(d w)) / D`. Where the sum is 0, D is the constant 1 and
/// `sum(d w)` is left out.
#[cube(launch)]
fn normalise_backward<F: Float>(
    scores: &Tensor<F>,
    selected: &Tensor<F>,
    d: &Tensor<F>,
    of_scores: &mut Tensor<F>,
    #[comptime] experts: usize,
    #[define(F)] _type: ElemType,
) {
    let start = ABSOLUTE_POS * experts;
    if start < d.len() {
        let mut sum = 0.0f32;
        let mut products = 0.0f32;
        for i in 0..experts {
            let kept = f32::cast_from(scores[start + i]) * f32::cast_from(selected[start + i]);
            sum += kept;
            products += f32::cast_from(d[start + i]) * kept;
        }
        let divisor = select(sum == 0.0, 1.0f32.runtime(), sum);
        let mean = select(sum == 0.0, 0.0f32.runtime(), products / divisor);
        for i in 0..experts {
            let gradient = f32::cast_from(selected[start + i]) * (f32::cast_from(d[start + i]) - mean) / divisor;
            of_scores[start + i] = F::cast_from(gradient);
        }
    }
}

/// `scale weights_i values_i`, a unit for each element.
#[cube(launch)]
fn weigh<F: Float>(
    values: &Tensor<F>,
    weights: &Tensor<F>,
    y: &mut Tensor<F>,
    scale: f32,
    #[comptime] rank: usize,
    #[define(F)] _type: ElemType,
) {
    if ABSOLUTE_POS < y.len() {
        let factor = scale * f32::cast_from(weights[ABSOLUTE_POS / rank]);
        y[ABSOLUTE_POS] = F::cast_from(factor * f32::cast_from(values[ABSOLUTE_POS]));
    }
}

/// Both gradients of [`weigh`], a unit for each weight.
#[cube(launch)]
fn weigh_backward<F: Float>(
    values: &Tensor<F>,
    weights: &Tensor<F>,
    d: &Tensor<F>,
    of_values: &mut Tensor<F>,
    of_weights: &mut Tensor<F>,
    scale: f32,
    #[comptime] rank: usize,
    #[define(F)] _type: ElemType,
) {
    if ABSOLUTE_POS < weights.len() {
        let start = ABSOLUTE_POS * rank;
        let factor = scale * f32::cast_from(weights[ABSOLUTE_POS]);
        let mut sum = 0.0f32;
        for i in 0..rank {
            let gradient = f32::cast_from(d[start + i]);
            sum += gradient * f32::cast_from(values[start + i]);
            of_values[start + i] = F::cast_from(gradient * factor);
        }
        of_weights[ABSOLUTE_POS] = F::cast_from(scale * sum);
    }
}

/// `[T, N]` to `[T, N]`.
pub(super) fn gate_scores(logits: CubeTensor) -> CubeTensor {
    let [logits] = contiguous([logits]);
    let ([rows, experts], y) = (logits.shape().dims(), alike(&logits));
    let (client, dtype) = (logits.client.clone(), element(&logits));
    let (count, dim) = unit_each(&client, rows);
    let [logits, y_argument] = [logits, y.clone()].map(CubeTensor::into_tensor_arg);
    softmax::launch(&client, count, dim, logits, y_argument, experts, dtype);
    y
}

/// The gradient of the logits.
pub(super) fn gate_scores_backward(y: CubeTensor, d: CubeTensor) -> CubeTensor {
    let [y, d] = contiguous([y, d]);
    let ([rows, experts], gradient) = (y.shape().dims(), alike(&y));
    let (client, dtype) = (y.client.clone(), element(&y));
    let (count, dim) = unit_each(&client, rows);
    let [y, d, of_logits] = [y, d, gradient.clone()].map(CubeTensor::into_tensor_arg);
    softmax_backward::launch(&client, count, dim, y, d, of_logits, experts, dtype);
    gradient
}

/// `[T, N]` to ones and zeros `[T, N]`.
pub(super) fn chosen(scores: CubeTensor, ranks: Range<usize>) -> CubeTensor {
    let [scores] = contiguous([scores]);
    let ([_, experts], y) = (scores.shape().dims(), alike(&scores));
    let (client, dtype) = (scores.client.clone(), element(&scores));
    let (count, dim) = unit_each(&client, scores.meta.num_elements());
    let [scores, y_argument] = [scores, y.clone()].map(CubeTensor::into_tensor_arg);
    choose::launch(&client, count, dim, scores, y_argument, ranks.start, ranks.end, experts, dtype);
    y
}

/// `[T, N]` twice to `[T, N]`.
pub(super) fn normalised(scores: CubeTensor, selected: CubeTensor) -> CubeTensor {
    let [scores, selected] = contiguous([scores, selected]);
    let ([rows, experts], y) = (scores.shape().dims(), alike(&scores));
    let (client, dtype) = (scores.client.clone(), element(&scores));
    let (count, dim) = unit_each(&client, rows);
    let [scores, selected, y_argument] = [scores, selected, y.clone()].map(CubeTensor::into_tensor_arg);
    normalise::launch(&client, count, dim, scores, selected, y_argument, experts, dtype);
    y
}

/// The gradient of the scores.
pub(super) fn normalised_backward(scores: CubeTensor, selected: CubeTensor, d: CubeTensor) -> CubeTensor {
    let [scores, selected, d] = contiguous([scores, selected, d]);
    let ([rows, experts], gradient) = (scores.shape().dims(), alike(&scores));
    let (client, dtype) = (scores.client.clone(), element(&scores));
    let (count, dim) = unit_each(&client, rows);
    let [scores, selected, d, of_scores] = [scores, selected, d, gradient.clone()].map(CubeTensor::into_tensor_arg);
    normalise_backward::launch(&client, count, dim, scores, selected, d, of_scores, experts, dtype);
    gradient
}

/// `values` `[T, N r]` and `weights` `[T, N]` to `[T, N r]`.
pub(super) fn weighted_experts(values: CubeTensor, weights: CubeTensor, scale: f32) -> CubeTensor {
    let [values, weights] = contiguous([values, weights]);
    let elements = values.meta.num_elements();
    let (y, rank) = (alike(&values), elements / weights.meta.num_elements().max(1));
    let (client, dtype) = (values.client.clone(), element(&values));
    let (count, dim) = unit_each(&client, elements);
    let [values, weights, y_argument] = [values, weights, y.clone()].map(CubeTensor::into_tensor_arg);
    weigh::launch(&client, count, dim, values, weights, y_argument, scale, rank, dtype);
    y
}

/// The gradients of values and weights.
pub(super) fn weighted_experts_backward(
    values: CubeTensor,
    weights: CubeTensor,
    d: CubeTensor,
    scale: f32,
) -> [CubeTensor; 2] {
    let [values, weights, d] = contiguous([values, weights, d]);
    let groups = weights.meta.num_elements();
    let (gradients, rank) = ([alike(&values), alike(&weights)], values.meta.num_elements() / groups.max(1));
    let (client, dtype) = (values.client.clone(), element(&values));
    let (count, dim) = unit_each(&client, groups);
    let [values, weights, d] = [values, weights, d].map(CubeTensor::into_tensor_arg);
    let [of_values, of_weights] = gradients.clone().map(CubeTensor::into_tensor_arg);
    weigh_backward::launch(&client, count, dim, values, weights, d, of_values, of_weights, scale, rank, dtype);
    gradients
}
