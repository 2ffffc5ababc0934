//! The operations. Each has a composed form, which works on every device, and is fused where there is a kernel for it.

use crate::Dropout;
use burn::tensor::{DType, Device, Int, Tensor, quantization::QuantScheme};

#[cfg(feature = "flex")]
use {
    crate::nodes::{GateCurve, Kernels, LossKernels},
    burn::backend::Dispatch,
};

/// Whether a tensor is on the CPU in float32, for which there are kernels.
#[cfg(feature = "flex")]
fn is_fused<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && is_cpu(&tensor.device())
}

/// Whether this is Burn's CPU backend, with autodiff or without.
#[cfg(feature = "flex")]
pub(crate) fn is_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

/// Whether this is Burn's CPU backend, with autodiff or without.
#[cfg(not(feature = "flex"))]
pub(crate) fn is_cpu(_: &Device) -> bool {
    false
}

/// `x weight^T + mixed b^T`: a frozen linear and what an adapter adds to it. `x` `[T, d_in]`, `weight` `[d_out, d_in]`,
/// `mixed` `[T, n]`, `b` `[d_out, n]` to `[T, d_out]`.
///
/// Gradients reach `x`, `mixed` and `b`. `weight` is a constant.
pub fn linear_with_update(x: Tensor<2>, weight: Tensor<2>, mixed: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_fused(&x) {
        let [x, weight, mixed, b] = [x, weight, mixed, b].map(Tensor::into_dispatch);
        return Tensor::from_dispatch(Dispatch::linear_with_update(x, weight, mixed, b));
    }
    composed::linear_with_update(x, weight, mixed, b)
}

/// Whether a device can keep weights of this quantised type and make floats of them.
pub fn can_dequantize(device: &Device, scheme: QuantScheme) -> bool {
    // What Burn says of a device is whether it also computes with them, which its CPU backend does not, and nobody here does.
    is_cpu(device) || device.supports_dtype(DType::QFloat(scheme))
}

/// `x weight^T` with a quantised constant: `x` `[T, d_in]`, `weight` `[d_out, d_in]` to `[T, d_out]`.
///
/// The gradient reaches `x`. On the CPU the quantised weight alone waits for the backward pass; elsewhere it is the weight as
/// floats, so that only activations that are computed again save its memory.
pub fn quantized_linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_cpu(&x.device()) {
        let dtype = x.dtype();
        let y = Dispatch::quantized_linear(x.cast(DType::F32).into_dispatch(), weight.into_dispatch());
        return Tensor::<2>::from_dispatch(y).cast(dtype);
    }
    composed::quantized_linear(x, weight)
}

/// What an adapter takes from its input, `dropout(x) a^T`: `x` `[T, d_in]`, `a` `[n, d_in]` to `[T, n]`.
///
/// Gradients reach both; the mask is made again in the backward pass.
pub fn adapter_input(x: Tensor<2>, a: Tensor<2>, dropout: Option<Dropout>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_fused(&x) {
        return Tensor::from_dispatch(Dispatch::adapter_input(x.into_dispatch(), a.into_dispatch(), dropout));
    }
    composed::adapter_input(x, a, dropout)
}

/// The scores of a gate from its logits: the softmax of N columns, `[T, N]`. With the bias of a threshold, `[1]`, the
/// logits have one more column, `[T, N + 1]`, and so have the scores: the sigmoid of that column and the bias.
pub fn gate_scores(logits: Tensor<2>, threshold_bias: Option<Tensor<1>>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_fused(&logits) {
        return match threshold_bias {
            Some(bias) => {
                Tensor::from_dispatch(Dispatch::threshold_scores(logits.into_dispatch(), bias.into_dispatch()))
            }
            None => Tensor::from_dispatch(Dispatch::gate_scores(logits.into_dispatch())),
        };
    }
    composed::gate_scores(logits, threshold_bias)
}

/// By how much each probability is above the row's threshold: `scores` `[T, N + 1]`, N probabilities and a share s, to
/// `p_i - tau_max s`, `[T, N]`.
pub fn margins(scores: Tensor<2>, tau_max: f32) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_fused(&scores) {
        return Tensor::from_dispatch(Dispatch::margins(scores.into_dispatch(), tau_max));
    }
    composed::margins(scores, tau_max)
}

/// The selected scores of each row, divided by their sum: `[T, N]`, `[T, N]` of 0 and 1 to `[T, N]`. A row whose sum is 0
/// is not divided, and nothing flows back through a divisor there.
///
/// The gradient reaches the scores. What is selected is a constant.
pub fn normalised(scores: Tensor<2>, selected: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_fused(&scores) {
        return Tensor::from_dispatch(Dispatch::normalised(scores.into_dispatch(), selected.into_dispatch()));
    }
    composed::normalised(scores, selected)
}

/// The sum over the rows, each by its weight: `[T, N]`, `[T, 1]` to `[1, N]`.
///
/// The gradient reaches the values. The weights are constants.
pub fn weighted_sum(values: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_fused(&values) {
        return Tensor::from_dispatch(Dispatch::weighted_sum(values.into_dispatch(), weights.into_dispatch()));
    }
    composed::weighted_sum(values, weights)
}

/// The experts' inner activations, each weighted: `hidden` `[T, N r]`, the experts side by side, and `weights` `[T, N]` to
/// `scale weights_i hidden_i`, `[T, N r]`.
pub fn weighted_experts(hidden: Tensor<2>, weights: Tensor<2>, scale: f32) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_fused(&hidden) {
        return Tensor::from_dispatch(Dispatch::weighted_experts(
            hidden.into_dispatch(),
            weights.into_dispatch(),
            scale,
        ));
    }
    composed::weighted_experts(hidden, weights, scale)
}

/// `silu(gate) * up`, of one shape (Shazeer 2020).
pub fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_fused(&gate) {
        return Tensor::from_dispatch(Dispatch::gated(gate.into_dispatch(), up.into_dispatch(), GateCurve::Silu));
    }
    composed::swiglu(gate, up)
}

/// `gelu(gate) * up`, of one shape, with GELU's approximation by tanh (Shazeer 2020, Hendrycks & Gimpel 2016).
pub fn geglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_fused(&gate) {
        return Tensor::from_dispatch(Dispatch::gated(gate.into_dispatch(), up.into_dispatch(), GateCurve::GeluTanh));
    }
    composed::geglu(gate, up)
}

/// `x / sqrt(mean(x^2) + eps) * weight` over the last dimension: `[T, d]`, `[d]` to `[T, d]` (Zhang & Sennrich 2019).
///
/// The gradient reaches `x`. `weight` is a constant.
pub fn rms_norm(x: Tensor<2>, weight: Tensor<1>, eps: f32) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if is_fused(&x) {
        return Tensor::from_dispatch(Dispatch::rms_norm(x.into_dispatch(), weight.into_dispatch(), eps));
    }
    composed::rms_norm(x, weight, eps)
}

/// Splits `[B L, heads d]` into heads, `[B, heads, L, d]`, and turns them by their positions, in the half-split layout
/// (Su et al. 2021). `cos` and `sin` are `[1, 1, L, d]`, both halves alike, and constants.
pub fn rotated_heads(x: Tensor<2>, cos: Tensor<4>, sin: Tensor<4>, heads: usize) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if is_fused(&x) {
        let [cos, sin] = [cos, sin].map(Tensor::into_dispatch);
        return Tensor::from_dispatch(Dispatch::rotated_heads(x.into_dispatch(), cos, sin, heads));
    }
    composed::rotated_heads(x, cos, sin, heads)
}

/// `softmax(scale scores + bias)` over the last dimension: `[B, heads, queries, keys]` with a bias of
/// `[1 or B, 1, queries, keys]`, which is a constant.
pub fn scaled_softmax(scores: Tensor<4>, bias: Tensor<4>, scale: f32) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if is_fused(&scores) {
        return Tensor::from_dispatch(Dispatch::scaled_softmax(scores.into_dispatch(), bias.into_dispatch(), scale));
    }
    composed::scaled_softmax(scores, bias, scale)
}

/// `-log softmax(logits)[target]` of each row, `[T, 1]`, and its gradient in the logits, `[T, vocab]`, in the place of
/// the logits where nobody else has them. Not differentiable: for tensors without autodiff.
pub fn cross_entropy_gradient(logits: Tensor<2>, targets: Tensor<1, Int>) -> (Tensor<2>, Tensor<2>) {
    #[cfg(feature = "flex")]
    if is_fused(&logits) {
        let (losses, gradient) = Dispatch::cross_entropy_gradient(logits.into_dispatch(), targets.into_dispatch());
        return (Tensor::from_dispatch(losses), Tensor::from_dispatch(gradient));
    }
    composed::cross_entropy_gradient(logits, targets)
}

/// The same operations, composed of Burn's own: what the fused ones are tested against.
pub mod composed {
    use crate::Dropout;
    use burn::tensor::{
        IndexingUpdateOp, Int, Tensor,
        activation::{gelu_approximate, sigmoid, silu, softmax},
    };

    /// See [`linear_with_update`](super::linear_with_update).
    pub fn linear_with_update(x: Tensor<2>, weight: Tensor<2>, mixed: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
        x.matmul(weight.transpose()) + mixed.matmul(b.transpose())
    }

    /// See [`quantized_linear`](super::quantized_linear).
    pub fn quantized_linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
        let dtype = x.dtype();
        x.matmul(weight.dequantize().cast(dtype).transpose())
    }

    /// See [`adapter_input`](super::adapter_input).
    pub fn adapter_input(x: Tensor<2>, a: Tensor<2>, dropout: Option<Dropout>) -> Tensor<2> {
        let dropped = match dropout {
            Some(dropout) => x.clone() * dropout.mask(x.dims(), &x.device()),
            None => x,
        };
        dropped.matmul(a.transpose())
    }

    /// See [`gate_scores`](super::gate_scores).
    pub fn gate_scores(logits: Tensor<2>, threshold_bias: Option<Tensor<1>>) -> Tensor<2> {
        let Some(bias) = threshold_bias else { return softmax(logits, 1) };
        let experts = logits.dims()[1] - 1;
        let threshold = logits.clone().narrow(1, experts, 1) + bias.unsqueeze::<2>();
        Tensor::cat(vec![softmax(logits.narrow(1, 0, experts), 1), sigmoid(threshold)], 1)
    }

    /// See [`margins`](super::margins).
    pub fn margins(scores: Tensor<2>, tau_max: f32) -> Tensor<2> {
        let experts = scores.dims()[1] - 1;
        scores.clone().narrow(1, 0, experts) - scores.narrow(1, experts, 1) * tau_max
    }

    /// See [`normalised`](super::normalised).
    pub fn normalised(scores: Tensor<2>, selected: Tensor<2>) -> Tensor<2> {
        let kept = scores * selected;
        let sum = kept.clone().sum_dim(1);
        let empty = sum.clone().equal_scalar(0.0);
        kept / sum.mask_fill(empty, 1.0)
    }

    /// See [`weighted_sum`](super::weighted_sum).
    pub fn weighted_sum(values: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
        (values * weights).sum_dim(0)
    }

    /// See [`weighted_experts`](super::weighted_experts).
    pub fn weighted_experts(hidden: Tensor<2>, weights: Tensor<2>, scale: f32) -> Tensor<2> {
        let ([rows, width], [_, experts]) = (hidden.dims(), weights.dims());
        let weights = (weights * scale).reshape([rows, experts, 1]);
        (hidden.reshape([rows, experts, width / experts]) * weights).reshape([rows, width])
    }

    /// See [`swiglu`](super::swiglu).
    pub fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
        silu(gate) * up
    }

    /// See [`geglu`](super::geglu).
    pub fn geglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
        gelu_approximate(gate) * up
    }

    /// See [`rms_norm`](super::rms_norm).
    pub fn rms_norm(x: Tensor<2>, weight: Tensor<1>, eps: f32) -> Tensor<2> {
        let mean_square = x.clone().square().mean_dim(1);
        x * (mean_square + eps).sqrt().recip() * weight.unsqueeze::<2>()
    }

    /// See [`rotated_heads`](super::rotated_heads).
    pub fn rotated_heads(x: Tensor<2>, cos: Tensor<4>, sin: Tensor<4>, heads: usize) -> Tensor<4> {
        let ([rows, width], [.., length, dim]) = (x.dims(), cos.dims());
        debug_assert_eq!(width, heads * dim);
        let x = x.reshape([rows / length, length, heads, dim]).swap_dims(1, 2);
        let (first, second) = (x.clone().narrow(3, 0, dim / 2), x.clone().narrow(3, dim / 2, dim / 2));
        x * cos + Tensor::cat(vec![second.neg(), first], 3) * sin
    }

    /// See [`scaled_softmax`](super::scaled_softmax).
    pub fn scaled_softmax(scores: Tensor<4>, bias: Tensor<4>, scale: f32) -> Tensor<4> {
        softmax(scores * scale + bias, 3)
    }

    /// One element of each row: `[T, N]` and columns `[T]` to `[T, 1]`.
    ///
    /// What `gather` does, by `select` from the flat elements: where Burn 0.22.1 fuses a `gather` with operations on the wider
    /// matrix that it reads, on GPUs, what comes out is wrong.
    pub fn picked(values: Tensor<2>, columns: Tensor<1, Int>) -> Tensor<2> {
        let ([rows, width], dtype) = (values.dims(), columns.dtype());
        let starts = Tensor::<1, Int>::arange(0..rows as i64, (&columns.device(), dtype)) * width as i64;
        values.reshape([rows * width]).select(0, starts + columns).reshape([rows, 1])
    }

    /// See [`cross_entropy_gradient`](super::cross_entropy_gradient).
    pub fn cross_entropy_gradient(logits: Tensor<2>, targets: Tensor<1, Int>) -> (Tensor<2>, Tensor<2>) {
        let [rows, _] = logits.dims();
        let max = logits.clone().max_dim(1);
        let exp = (logits.clone() - max.clone()).exp();
        let sum = exp.clone().sum_dim(1);
        let picked = picked(logits, targets.clone());
        let losses = sum.clone().log() + max - picked;
        let minus_one = Tensor::ones([rows, 1], &sum.device()).neg();
        (losses, (exp / sum).scatter(1, targets.reshape([rows, 1]), minus_one, IndexingUpdateOp::Add))
    }
}
