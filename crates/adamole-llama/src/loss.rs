//! Cross-entropy over the vocabulary.

use crate::precision::{narrowed, widened};
use adamole_kernels::{composed, cross_entropy_gradient, linear, linear_gradient};
use burn::tensor::{Int, Tensor, activation::log_softmax};

/// Rows of the vocabulary product that exist at a time in [`frozen_cross_entropy`].
pub const LOSS_CHUNK: usize = 256;

/// The sum over T rows of `-log softmax(logits)[target]`, divided by `divisor`, where the logits are `hidden projection^T`,
/// bounded by `cap` as in [`Scores::logit_cap`](crate::Scores). Differentiable in both operands. Holds the whole
/// `[T, vocab]` matrix.
pub fn cross_entropy(
    hidden: Tensor<2>,
    projection: Tensor<2>,
    cap: Option<f32>,
    targets: Tensor<1, Int>,
    divisor: f32,
) -> Tensor<1> {
    let logits = widened(hidden.matmul(projection.transpose()));
    let log_probs = log_softmax(bounded(logits, cap), 1);
    composed::picked(log_probs, targets).sum() * (-1.0 / divisor)
}

/// [`cross_entropy`] for a projection that is frozen, with the same value and the same gradient in `hidden`.
///
/// The gradient, without a cap `(softmax - onehot) projection / divisor`, is formed by hand in the same pass, 256 rows at a time, on
/// tensors without autodiff, and handed over by the surrogate `sum(hidden * stop(gradient))`: no `[T, vocab]` tensor is
/// kept, on any backend. Without autodiff only the value is computed.
pub fn frozen_cross_entropy(
    hidden: Tensor<2>,
    projection: Tensor<2>,
    cap: Option<f32>,
    targets: Tensor<1, Int>,
    divisor: f32,
) -> Tensor<1> {
    let tracked = hidden.is_autodiff();
    let plain = if tracked { hidden.clone().inner() } else { hidden.clone() };
    let projection = if projection.is_autodiff() { projection.inner() } else { projection };
    let targets = if targets.is_autodiff() { targets.inner() } else { targets };
    let [rows, width] = plain.dims();

    let mut value = Tensor::<1>::zeros([1], &plain.device());
    let mut gradients = Vec::new();
    for start in (0..rows).step_by(LOSS_CHUNK) {
        let end = (start + LOSS_CHUNK).min(rows);
        let chunk = plain.clone().slice([start..end, 0..width]);
        let target = targets.clone().narrow(0, start, end - start);
        let logits = bounded(widened(linear(chunk, projection.clone())), cap);
        // The derivative of `c tanh(x / c)` is `1 - tanh(x / c)^2`.
        let slope = cap.map(|cap| -(logits.clone() / cap).square() + 1.0);
        let (losses, of_logits) = cross_entropy_gradient(logits, target);
        let of_logits = match slope {
            Some(slope) => of_logits * slope,
            None => of_logits,
        };
        value = value + losses.sum();
        if tracked {
            gradients
                .push(widened(linear_gradient(narrowed(of_logits, projection.dtype()), projection.clone())) / divisor);
        }
    }
    value = value / divisor;
    if !tracked {
        return value;
    }
    let surrogate = (widened(hidden) * Tensor::from_inner(Tensor::cat(gradients, 0))).sum();
    let correction = value - surrogate.clone().inner();
    surrogate + Tensor::from_inner(correction)
}

/// Logits within the bounds of a model that has some.
pub(crate) fn bounded<const D: usize>(logits: Tensor<D>, cap: Option<f32>) -> Tensor<D> {
    match cap {
        Some(cap) => (logits / cap).tanh() * cap,
        None => logits,
    }
}
