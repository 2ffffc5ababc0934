//! Routing by a learned threshold: a unit for each row.

use super::{
    launch::{contiguous, element, uninitialised, unit_each},
    routing::softmax_of_row,
};
use burn::backend::TensorMetadata;
use burn_cubecl::{
    cubecl::{self, ir::ElemType, prelude::*},
    tensor::CubeTensor,
};

#[cube(launch)]
fn route<F: Float>(
    logits: &Tensor<F>,
    bias: &Tensor<F>,
    scores: &mut Tensor<F>,
    margins: &mut Tensor<F>,
    active: &mut Tensor<F>,
    weights: &mut Tensor<F>,
    thresholds: &mut Tensor<F>,
    tau_max: f32,
    #[comptime] experts: usize,
    #[define(F)] _type: ElemType,
) {
    if ABSOLUTE_POS < thresholds.len() {
        let (of_scores, of_experts) = (ABSOLUTE_POS * (experts + 1), ABSOLUTE_POS * experts);
        let mut row = softmax_of_row::<F>(logits, of_scores, experts);
        let logit = f32::cast_from(logits[of_scores + experts]) + f32::cast_from(bias[0]);
        let share = 1.0 / (1.0 + (-logit).exp());
        let threshold = tau_max * share;
        scores[of_scores + experts] = F::cast_from(share);
        thresholds[ABSOLUTE_POS] = F::cast_from(threshold);
        let mut sum = 0.0f32;
        for i in 0..experts {
            scores[of_scores + i] = F::cast_from(row[i]);
            row[i] -= threshold;
            margins[of_experts + i] = F::cast_from(row[i]);
            sum += row[i].max(0.0);
        }
        let divisor = select(sum == 0.0, 1.0f32.runtime(), sum);
        for i in 0..experts {
            active[of_experts + i] = F::cast_from(row[i] >= 0.0);
            weights[of_experts + i] = F::cast_from(row[i].max(0.0) / divisor);
        }
    }
}

/// With p the probabilities and s the share of the threshold, the gradients of the logits are `p (d - sum(d p))` and
/// `-s (1 - s) tau_max sum(d)`. They are written transposed: a product can then read several rows at a time, whatever N is.
#[cube(launch)]
fn margins_gradient<F: Float>(
    scores: &Tensor<F>,
    d: &Tensor<F>,
    of_logits: &mut Tensor<F>,
    rows: usize,
    tau_max: f32,
    #[comptime] experts: usize,
    #[define(F)] _type: ElemType,
) {
    let row = ABSOLUTE_POS;
    if row < rows {
        let (of_scores, of_experts) = (row * (experts + 1), row * experts);
        let mut sum = 0.0f32;
        let mut mean = 0.0f32;
        for i in 0..experts {
            let gradient = f32::cast_from(d[of_experts + i]);
            sum += gradient;
            mean += gradient * f32::cast_from(scores[of_scores + i]);
        }
        for i in 0..experts {
            let gradient = f32::cast_from(d[of_experts + i]) - mean;
            of_logits[i * rows + row] = F::cast_from(f32::cast_from(scores[of_scores + i]) * gradient);
        }
        let share = f32::cast_from(scores[of_scores + experts]);
        of_logits[experts * rows + row] = F::cast_from(-tau_max * sum * share * (1.0 - share));
    }
}

/// `logits` `[T, N + 1]` to scores of the same shape, margins, active and weights `[T, N]`, and thresholds `[T, 1]`.
pub(super) fn adaptive_routing(logits: CubeTensor, bias: CubeTensor, tau_max: f32) -> [CubeTensor; 5] {
    let [logits, bias] = contiguous([logits, bias]);
    let [rows, columns] = logits.shape().dims();
    let with_columns = |columns: usize| uninitialised(&logits, [rows, columns], logits.dtype);
    let experts = columns - 1;
    let results = [columns, experts, experts, experts, 1].map(with_columns);
    let (client, dtype) = (logits.client.clone(), element(&logits));
    let (count, dim) = unit_each(&client, rows);
    let [logits, bias] = [logits, bias].map(CubeTensor::into_tensor_arg);
    let [scores, margins, active, weights, thresholds] = results.clone().map(CubeTensor::into_tensor_arg);
    route::launch(
        &client, count, dim, logits, bias, scores, margins, active, weights, thresholds, tau_max, experts, dtype,
    );
    results
}

/// The gradient of the logits, `[N + 1, T]`, from that of the margins, `[T, N]`.
pub(super) fn margins_backward(scores: CubeTensor, d: CubeTensor, tau_max: f32) -> CubeTensor {
    let [scores, d] = contiguous([scores, d]);
    let [rows, columns] = scores.shape().dims();
    let gradient = uninitialised(&scores, [columns, rows], scores.dtype);
    let (client, dtype) = (scores.client.clone(), element(&scores));
    let (count, dim) = unit_each(&client, rows);
    let [scores, d, of_logits] = [scores, d, gradient.clone()].map(CubeTensor::into_tensor_arg);
    margins_gradient::launch(&client, count, dim, scores, d, of_logits, rows, tau_max, columns - 1, dtype);
    gradient
}
