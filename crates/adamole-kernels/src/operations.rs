//! The operations. Each has a composed form for every device, and a fused one where there is a kernel.

use crate::{Dropout, Visibility};
use burn::tensor::{DType, Device, Int, Tensor, quantization::QuantScheme};

#[cfg(feature = "kernels")]
use {
    crate::nodes::{GateCurve, Kernels, PlainKernels},
    burn::backend::Dispatch,
};

/// Whether there are kernels for this tensor: float32, or 16 bits that each kernel widens.
#[cfg(feature = "kernels")]
pub(crate) fn is_fused<const D: usize>(tensor: &Tensor<D>) -> bool {
    matches!(tensor.dtype(), DType::F32 | DType::BF16 | DType::F16) && has_kernels(&tensor.device())
}

/// Whether there are kernels for a device.
#[cfg(feature = "kernels")]
fn has_kernels(device: &Device) -> bool {
    is_cpu(device) || is_cube(device)
}

/// Whether the device is Burn's CPU backend, with or without autodiff.
#[cfg(feature = "flex")]
pub(crate) fn is_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

/// Whether the device is Burn's CPU backend, which this build does not have.
#[cfg(not(feature = "flex"))]
pub(crate) fn is_cpu(_: &Device) -> bool {
    false
}

/// Whether the device is one of CubeCL's, with or without autodiff.
#[cfg(feature = "cube")]
pub(crate) fn is_cube(device: &Device) -> bool {
    matches!(device.clone().without_autodiff().as_dispatch(), burn::backend::DispatchDevice::Cube(_))
}

/// Whether the device is one of CubeCL's, of which this build has none.
#[cfg(all(feature = "kernels", not(feature = "cube")))]
pub(crate) fn is_cube(_: &Device) -> bool {
    false
}

/// A frozen linear plus the update of its adapter, `x weight^T + mixed b^T`: `x` `[T, d_in]`, `weight` `[d_out, d_in]`,
/// `mixed` `[T, n]`, `b` `[d_out, n]` to `[T, d_out]`.
///
/// `x` and `weight` have one type, `mixed` and `b` another, and the sum is rounded once to that of `x`. Gradients reach `x`, `mixed` and `b`. `weight` is a constant.
pub fn linear_with_update(x: Tensor<2>, weight: Tensor<2>, mixed: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if is_fused(&x) {
        let [x, weight, mixed, b] = [x, weight, mixed, b].map(Tensor::into_dispatch);
        return Tensor::from_dispatch(Dispatch::linear_with_update(x, weight, mixed, b));
    }
    composed::linear_with_update(x, weight, mixed, b)
}

/// A frozen linear, `x weight^T`: `x` `[T, d_in]`, `weight` `[d_out, d_in]` to `[T, d_out]`.
///
/// The gradient reaches `x`. `weight` is a constant, unless it is trained.
pub fn linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if is_fused(&x) && weight.dtype() == x.dtype() && !weight.is_require_grad() {
        return Tensor::from_dispatch(Dispatch::frozen_linear(x.into_dispatch(), weight.into_dispatch()));
    }
    x.matmul(weight.transpose())
}

/// The gradient of the input of [`linear`] where that of its output is `d`: `d weight`, `[T, d_out]` to `[T, d_in]`. For
/// tensors without autodiff.
pub fn linear_gradient(d: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if is_fused(&d) && weight.dtype() == d.dtype() {
        return Tensor::from_dispatch(Dispatch::linear_gradient(d.into_dispatch(), weight.into_dispatch()));
    }
    d.matmul(weight)
}

/// Whether a device can keep weights in this quantisation scheme and dequantise them.
pub fn can_dequantize(device: &Device, scheme: QuantScheme) -> bool {
    // `supports_dtype` also asks for arithmetic on quantised values, which the CPU backend lacks and no caller needs.
    is_cpu(device) || device.supports_dtype(DType::QFloat(scheme))
}

/// A linear with a quantised weight, `x weight^T`: `x` `[T, d_in]`, `weight` `[d_out, d_in]` to `[T, d_out]`.
///
/// The gradient reaches `x`. `weight` is a constant. Where there are kernels the graph keeps the quantised weight, and each pass
/// dequantises it; elsewhere it keeps the dequantised one, so that only activation checkpointing saves that memory.
pub fn quantized_linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if has_kernels(&x.device()) {
        return Tensor::from_dispatch(Dispatch::quantized_linear(x.into_dispatch(), weight.into_dispatch()));
    }
    composed::quantized_linear(x, weight)
}

/// [`quantized_linear`] plus the update of its adapter, `x weight^T + mixed b^T`; see [`linear_with_update`].
pub fn quantized_linear_with_update(x: Tensor<2>, weight: Tensor<2>, mixed: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if has_kernels(&x.device()) {
        let [x, weight, mixed, b] = [x, weight, mixed, b].map(Tensor::into_dispatch);
        return Tensor::from_dispatch(Dispatch::quantized_linear_with_update(x, weight, mixed, b));
    }
    composed::quantized_linear_with_update(x, weight, mixed, b)
}

/// The input projection of an adapter, `dropout(x) a^T`: `x` `[T, d_in]`, `a` `[n, d_in]` to `[T, n]`, in the type of `a`.
///
/// Gradients reach both. The backward pass recomputes the mask.
pub fn adapter_input(x: Tensor<2>, a: Tensor<2>, dropout: Option<Dropout>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if is_fused(&x) {
        return Tensor::from_dispatch(Dispatch::adapter_input(x.into_dispatch(), a.into_dispatch(), dropout));
    }
    composed::adapter_input(x, a, dropout)
}

/// The scores of a gate: the softmax of the logits, `[T, N]` to `[T, N]`.
pub fn gate_scores(logits: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if is_fused(&logits) {
        return Tensor::from_dispatch(Dispatch::gate_scores(logits.into_dispatch()));
    }
    composed::gate_scores(logits)
}

/// The selected scores of each row, divided by their sum: `scores` `[T, N]` and `selected` `[T, N]` of 0 and 1 to `[T, N]`.
/// A row with the sum 0 is not divided, and no gradient flows through its divisor.
///
/// The gradient reaches the scores. `selected` is a constant.
pub fn normalised(scores: Tensor<2>, selected: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if is_fused(&scores) {
        return Tensor::from_dispatch(Dispatch::normalised(scores.into_dispatch(), selected.into_dispatch()));
    }
    composed::normalised(scores, selected)
}

/// The weighted sum of the rows: `values` `[T, N]` and `weights` `[T, 1]` to `[1, N]`.
///
/// The gradient reaches the values. The weights are constants.
pub fn weighted_sum(values: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if is_fused(&values) {
        return Tensor::from_dispatch(Dispatch::weighted_sum(values.into_dispatch(), weights.into_dispatch()));
    }
    composed::weighted_sum(values, weights)
}

/// The weighted inner activations of the experts, `scale weights_i hidden_i`: `hidden` `[T, N r]`, expert by expert, and
/// `weights` `[T, N]` to `[T, N r]`.
pub fn weighted_experts(hidden: Tensor<2>, weights: Tensor<2>, scale: f32) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if is_fused(&hidden) {
        return Tensor::from_dispatch(Dispatch::weighted_experts(
            hidden.into_dispatch(),
            weights.into_dispatch(),
            scale,
        ));
    }
    composed::weighted_experts(hidden, weights, scale)
}

/// SwiGLU, `silu(gate) * up`, for operands of the same shape (Shazeer 2020).
pub fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if is_fused(&gate) {
        return Tensor::from_dispatch(Dispatch::gated(gate.into_dispatch(), up.into_dispatch(), GateCurve::Silu));
    }
    composed::swiglu(gate, up)
}

/// GEGLU, `gelu(gate) * up`, for operands of the same shape, with the tanh approximation of GELU (Shazeer 2020, Hendrycks &
/// Gimpel 2016).
pub fn geglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if is_fused(&gate) {
        return Tensor::from_dispatch(Dispatch::gated(gate.into_dispatch(), up.into_dispatch(), GateCurve::GeluTanh));
    }
    composed::geglu(gate, up)
}

/// RMSNorm over the last dimension, `x / sqrt(mean(x^2) + eps) * weight`: `[T, d]`, `[d]` to `[T, d]` (Zhang & Sennrich
/// 2019). It is computed in float32 and rounded to the type of `x`.
///
/// The gradient reaches `x`. `weight` is a constant.
pub fn rms_norm(x: Tensor<2>, weight: Tensor<1>, eps: f32) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if is_fused(&x) {
        return Tensor::from_dispatch(Dispatch::rms_norm(x.into_dispatch(), weight.into_dispatch(), eps));
    }
    composed::rms_norm(x, weight, eps)
}

/// Splits `[B L, heads d]` into heads, `[B, heads, L, d]`, and applies the rotary position embedding in the half-split
/// layout (Su et al. 2021). `cos` and `sin` are constants, `[1, 1, L, d]`, with two equal halves.
pub fn rotated_heads(x: Tensor<2>, cos: Tensor<4>, sin: Tensor<4>, heads: usize) -> Tensor<4> {
    #[cfg(feature = "kernels")]
    if is_fused(&x) {
        let [cos, sin] = [cos, sin].map(Tensor::into_dispatch);
        return Tensor::from_dispatch(Dispatch::rotated_heads(x.into_dispatch(), cos, sin, heads));
    }
    composed::rotated_heads(x, cos, sin, heads)
}

/// Scale and bound of attention scores: `cap tanh(scale x / cap)`, or `scale x` without a cap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionScores {
    /// The factor of the products of queries and keys.
    pub scale: f32,
    /// The bound, above 0.
    pub cap: Option<f32>,
}

/// Attention with grouped heads: `q` `[B, heads, queries, d]`, `k` and `v` `[B, kv_heads, keys, d]` to the mixed values of the
/// heads side by side, `[B queries, heads d]` (Vaswani et al. 2017; Ainslie et al. 2023).
///
/// On the CPU neither pass holds a matrix of all scores (Dao 2023).
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, visible: &Visibility, scores: AttentionScores) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if is_fused(&q) {
        let [q, k, v] = [q, k, v].map(Tensor::into_dispatch);
        return Tensor::from_dispatch(Dispatch::tiled_attention(q, k, v, visible.clone(), scores));
    }
    composed::attention(q, k, v, visible, scores)
}

/// The result of [`attention`], and what its gradient needs of it; see [`attention_again`].
#[derive(Debug, Clone)]
pub struct Attended {
    mixed: Tensor<2>,
    /// `None` where there is no kernel.
    #[cfg_attr(not(feature = "kernels"), allow(dead_code, reason = "there are no kernels"))]
    norms: Option<Tensor<4>>,
}

impl Attended {
    /// The result.
    pub fn mixed(&self) -> Tensor<2> {
        self.mixed.clone()
    }
}

/// [`attention`] that is to be computed again with autodiff, as activation checkpointing does. For tensors without autodiff.
pub fn attention_to_keep(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    visible: &Visibility,
    scores: AttentionScores,
) -> Attended {
    #[cfg(feature = "kernels")]
    if is_fused(&q) {
        let [q, k, v] = [q, k, v].map(Tensor::into_dispatch);
        let (mixed, norms) = Dispatch::attention_to_keep(q, k, v, visible.clone(), scores);
        return Attended { mixed: Tensor::from_dispatch(mixed), norms: Some(Tensor::from_dispatch(norms)) };
    }
    Attended { mixed: composed::attention(q, k, v, visible, scores), norms: None }
}

/// [`attention`] of tensors with autodiff, from the result for the same values. Where there is a kernel, only the backward pass
/// is computed.
pub fn attention_again(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    visible: &Visibility,
    scores: AttentionScores,
    attended: &Attended,
) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if let Some(norms) = &attended.norms {
        let [q, k, v, norms] = [q, k, v, Tensor::from_inner(norms.clone())].map(Tensor::into_dispatch);
        let mixed = Tensor::from_inner(attended.mixed()).into_dispatch();
        return Tensor::from_dispatch(Dispatch::attention_again(q, k, v, mixed, norms, visible.clone(), scores));
    }
    #[cfg(not(feature = "kernels"))]
    let _ = attended;
    attention(q, k, v, visible, scores)
}

/// The cross-entropy of each row, `-log softmax(logits)[target]`, `[T, 1]`, and its gradient in the logits, `[T, vocab]`.
/// The gradient overwrites the logits where they have no other owner. For tensors without autodiff.
pub fn cross_entropy_gradient(logits: Tensor<2>, targets: Tensor<1, Int>) -> (Tensor<2>, Tensor<2>) {
    #[cfg(feature = "kernels")]
    if is_fused(&logits) {
        let (losses, gradient) = Dispatch::cross_entropy_gradient(logits.into_dispatch(), targets.into_dispatch());
        return (Tensor::from_dispatch(losses), Tensor::from_dispatch(gradient));
    }
    composed::cross_entropy_gradient(logits, targets)
}

/// The operations composed of Burn's own, which the fused ones are tested against.
pub mod composed {
    use super::AttentionScores;
    use crate::{AdamWStep, Dropout, Visibility, adamw::ExpertStep};
    pub use crate::{
        choices::composed::{top_choices, top_k},
        routing::composed::{adaptive_routing, load_balance},
    };
    use burn::tensor::{
        DType, IndexingUpdateOp, Int, Tensor, TensorData,
        activation::{gelu_approximate, silu, softmax},
    };

    /// See [`linear_with_update`](super::linear_with_update).
    pub fn linear_with_update(x: Tensor<2>, weight: Tensor<2>, mixed: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
        let dtype = x.dtype();
        let update = mixed.matmul(b.transpose());
        (x.matmul(weight.transpose()).cast(update.dtype()) + update).cast(dtype)
    }

    /// See [`quantized_linear`](super::quantized_linear).
    pub fn quantized_linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
        let dtype = x.dtype();
        x.matmul(weight.dequantize().cast(dtype).transpose())
    }

    /// See [`quantized_linear_with_update`](super::quantized_linear_with_update).
    pub fn quantized_linear_with_update(x: Tensor<2>, weight: Tensor<2>, mixed: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
        let (dtype, update) = (x.dtype(), mixed.matmul(b.transpose()));
        (quantized_linear(x, weight).cast(update.dtype()) + update).cast(dtype)
    }

    /// See [`adapter_input`](super::adapter_input).
    pub fn adapter_input(x: Tensor<2>, a: Tensor<2>, dropout: Option<Dropout>) -> Tensor<2> {
        let x = x.cast(a.dtype());
        let dropped = match dropout {
            Some(dropout) => x.clone() * dropout.mask(x.dims(), &x.device()),
            None => x,
        };
        dropped.matmul(a.transpose())
    }

    /// See [`gate_scores`](super::gate_scores).
    pub fn gate_scores(logits: Tensor<2>) -> Tensor<2> {
        softmax(logits, 1)
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
        let (dtype, x) = (x.dtype(), x.cast(DType::F32));
        let mean_square = x.clone().square().mean_dim(1);
        let weight = weight.cast(DType::F32).unsqueeze::<2>();
        (x * (mean_square + eps).sqrt().recip() * weight).cast(dtype)
    }

    /// See [`rotated_heads`](super::rotated_heads).
    pub fn rotated_heads(x: Tensor<2>, cos: Tensor<4>, sin: Tensor<4>, heads: usize) -> Tensor<4> {
        let ([rows, width], [.., length, dim]) = (x.dims(), cos.dims());
        debug_assert_eq!(width, heads * dim);
        let x = x.reshape([rows / length, length, heads, dim]).swap_dims(1, 2);
        let (first, second) = (x.clone().narrow(3, 0, dim / 2), x.clone().narrow(3, dim / 2, dim / 2));
        x * cos + Tensor::cat(vec![second.neg(), first], 3) * sin
    }

    /// See [`attention`](super::attention).
    pub fn attention(
        q: Tensor<4>,
        k: Tensor<4>,
        v: Tensor<4>,
        visible: &Visibility,
        scores: AttentionScores,
    ) -> Tensor<2> {
        let ([batch, heads, queries, width], [_, kv_heads, keys, _]) = (q.dims(), k.dims());
        let (group, dtype) = (heads / kv_heads, q.dtype());
        // The queries that share a key head are folded into its rows, so that keys and values are not repeated.
        let q = q.reshape([batch, kv_heads, group * queries, width]);
        let products = q.matmul(k.swap_dims(2, 3)).reshape([batch, heads, queries, keys]);
        let products = if dtype == DType::F32 { products } else { products.cast(DType::F32) };
        let bounded = match scores.cap {
            Some(cap) => (products * (scores.scale / cap)).tanh() * cap,
            None => products * scores.scale,
        };
        let device = bounded.device();
        let bias = visible.bias(&if bounded.is_autodiff() { device.inner() } else { device });
        let bias = if bounded.is_autodiff() { Tensor::from_inner(bias) } else { bias };
        let weights = softmax(bounded + bias, 3);
        let weights = if dtype == DType::F32 { weights } else { weights.cast(dtype) };
        let mixed = weights.reshape([batch, kv_heads, group * queries, keys]).matmul(v);
        mixed.reshape([batch, heads, queries, width]).swap_dims(1, 2).reshape([batch * queries, heads * width])
    }

    /// See [`adamw`](crate::adamw). The host reads the counts, so that it corrects by them in float64.
    pub fn adamw(
        value: Tensor<3>,
        gradient: Tensor<3>,
        [first, second]: [Tensor<3>; 2],
        clip: Tensor<1>,
        counts: Tensor<1>,
        step: AdamWStep,
    ) -> [Tensor<3>; 3] {
        let ([_, experts, _], device) = (value.dims(), value.device());
        let counts = counts.narrow(0, step.first_count, experts).into_data();
        let of_experts: Vec<_> = counts.iter::<f32>().map(|count| step.of_expert(count)).collect();
        let per_expert = |number: fn(ExpertStep) -> f32| {
            let numbers: Vec<f32> = of_experts.iter().map(|step| step.map_or(0.0, number)).collect();
            Tensor::<3>::from_data(TensorData::new(numbers, [1, experts, 1]), &device)
        };
        let gradient = gradient * clip.reshape([1, 1, 1]);
        let new_first = first.clone() * step.beta_1 + gradient.clone() * (1.0 - step.beta_1);
        let new_second = second.clone() * step.beta_2 + gradient.square() * (1.0 - step.beta_2);
        let root = new_second.clone().sqrt() * per_expert(|step| step.second_factor) + step.epsilon;
        let new_value = value.clone() * step.decay - new_first.clone() / root * per_expert(|step| step.step_size);
        let rests = per_expert(|_| 1.0).lower_elem(0.5).expand(value.dims());
        [(new_value, value), (new_first, first), (new_second, second)]
            .map(|(new, old)| new.mask_where(rests.clone(), old))
    }

    /// One element of each row: `values` `[T, N]` and `columns` `[T]` to `[T, 1]`.
    ///
    /// Uses `select` on the flattened elements instead of `gather`: on GPUs, Burn 0.22.1 gives wrong results where it fuses a
    /// `gather` with operations on the matrix that it reads.
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
