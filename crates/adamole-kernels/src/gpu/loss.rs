//! Cross-entropy and its gradient: a cube for each row of logits.

use super::launch::{alike, contiguous, cube_each, element, largest_of_cube, sum_of_cube, uninitialised, units_of_row};
use burn::backend::TensorMetadata;
use burn_cubecl::{
    cubecl::{self, ir::ElemType, prelude::*},
    tensor::CubeTensor,
};

#[cube(launch)]
fn row_losses<F: Float, I: Int>(
    logits: &Tensor<F>,
    targets: &Tensor<I>,
    losses: &mut Tensor<F>,
    gradient: &mut Tensor<F>,
    vocabulary: usize,
    #[comptime] units: usize,
    #[define(F)] _type: ElemType,
    #[define(I)] _target_type: ElemType,
) {
    if CUBE_POS >= targets.len() {
        terminate!();
    }
    let start = CUBE_POS * vocabulary;
    let mut scratch = Shared::<[f32]>::new_slice(units);
    let mut largest = f32::cast_from(logits[start]);
    let mut column = UNIT_POS as usize;
    while column < vocabulary {
        let logit = f32::cast_from(logits[start + column]);
        if logit > largest {
            largest = logit;
        }
        column += units;
    }
    let largest = largest_of_cube(largest, &mut scratch, units);
    let mut sum = 0.0f32;
    let mut column = UNIT_POS as usize;
    while column < vocabulary {
        sum += (f32::cast_from(logits[start + column]) - largest).exp();
        column += units;
    }
    let sum = sum_of_cube(sum, &mut scratch, units);
    let target = usize::cast_from(targets[CUBE_POS]);
    if UNIT_POS == 0 {
        losses[CUBE_POS] = F::cast_from(sum.ln() + largest - f32::cast_from(logits[start + target]));
    }
    let mut column = UNIT_POS as usize;
    while column < vocabulary {
        let probability = (f32::cast_from(logits[start + column]) - largest).exp() / sum;
        let one = select(column == target, 1.0f32.runtime(), 0.0f32.runtime());
        gradient[start + column] = F::cast_from(probability - one);
        column += units;
    }
}

/// The losses `[T, 1]` of logits `[T, vocab]`, and the gradient of the logits.
pub(super) fn cross_entropy_gradient(logits: CubeTensor, targets: CubeTensor) -> (CubeTensor, CubeTensor) {
    let [logits, targets] = contiguous([logits, targets]);
    let ([rows, vocabulary], client) = (logits.shape().dims(), logits.client.clone());
    let (losses, gradient) = (uninitialised(&logits, [rows, 1], logits.dtype), alike(&logits));
    let types = [element(&logits), element(&targets)];
    let units = units_of_row(vocabulary);
    let (count, dim) = cube_each(&client, rows, units);
    let [logits, targets] = [logits, targets].map(CubeTensor::into_tensor_arg);
    let [of_rows, of_logits] = [losses.clone(), gradient.clone()].map(CubeTensor::into_tensor_arg);
    row_losses::launch(&client, count, dim, logits, targets, of_rows, of_logits, vocabulary, units, types[0], types[1]);
    (losses, gradient)
}
