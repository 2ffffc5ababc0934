//! The operations on CubeCL's devices: CUDA, Vulkan, Metal and WGSL from one source.
//!
//! Products are Burn's, whose fastest kernel for each shape is measured on the device. What lies between them is one launch for
//! each operation and pass.

mod adaptive;
mod attention;
mod balance;
mod dropped;
mod gated;
mod kernels;
mod launch;
mod load_balancing;
mod loss;
mod norm;
mod optimizer;
mod products;
mod rotary;
mod routing;
mod weights;

use crate::{
    AdamWStep, Dropout, Visibility,
    nodes::{Adjoints, GateCurve, Kernels, PlainKernels},
    operations::AttentionScores,
};
use burn::{
    backend::{
        Dispatch, TensorMetadata,
        ops::{FloatTensorOps, QTensorOps},
        tensor::{FloatTensor, IntTensor, QuantizedTensor},
    },
    tensor::{DType, FloatDType, Shape},
};
use burn_cubecl::{Cube, CubeBackend};
use kernels::CubeKernels;
use products::{matmul, operands_beside, product};
use std::ops::Range;
use weights::Seen;

#[doc(hidden)]
pub use attention::limit_attention_scores;
pub(crate) use balance::MOST_EXPERTS;
pub(crate) use load_balancing::{Balance, load_balance};
pub(crate) use optimizer::SQUARE_SUMS;

type Float = FloatTensor<Cube>;
type Quantized = QuantizedTensor<Cube>;

impl CubeKernels for CubeBackend {
    fn cube_gated(gate: FloatTensor<Self>, up: FloatTensor<Self>, curve: GateCurve) -> FloatTensor<Self> {
        gated::gated(gate, up, curve)
    }

    fn cube_gated_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        d: FloatTensor<Self>,
        curve: GateCurve,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        gated::gated_backward(gate, up, d, curve).into()
    }

    fn cube_rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        norm::rms_norm(x, weight, eps)
    }

    fn cube_rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        d: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self> {
        norm::rms_norm_backward(x, weight, d, eps)
    }

    fn cube_rotated_heads(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self> {
        rotary::rotated_heads(x, cos, sin, heads)
    }

    fn cube_rotated_heads_backward(
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        d: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        rotary::rotated_heads_backward(cos, sin, d)
    }

    fn cube_product(left: FloatTensor<Self>, right: FloatTensor<Self>, is_exact: bool) -> FloatTensor<Self> {
        products::in_float32(left, right, is_exact)
    }

    fn cube_dropped(x: FloatTensor<Self>, dropout: Dropout, dtype: DType) -> FloatTensor<Self> {
        dropped::dropped(x, dropout, dtype)
    }

    fn cube_gate_scores(logits: FloatTensor<Self>) -> FloatTensor<Self> {
        routing::gate_scores(logits)
    }

    fn cube_gate_scores_backward(scores: FloatTensor<Self>, d: FloatTensor<Self>) -> FloatTensor<Self> {
        routing::gate_scores_backward(scores, d)
    }

    fn cube_adaptive_routing(
        logits: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        tau_max: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        adaptive::adaptive_routing(logits, bias, tau_max).into()
    }

    fn cube_adaptive_margins_backward(
        scores: FloatTensor<Self>,
        d: FloatTensor<Self>,
        tau_max: f32,
    ) -> FloatTensor<Self> {
        adaptive::margins_backward(scores, d, tau_max)
    }

    fn cube_chosen(scores: FloatTensor<Self>, ranks: Range<usize>) -> FloatTensor<Self> {
        routing::chosen(scores, ranks)
    }

    fn cube_normalised(scores: FloatTensor<Self>, selected: FloatTensor<Self>) -> FloatTensor<Self> {
        routing::normalised(scores, selected)
    }

    fn cube_normalised_backward(
        scores: FloatTensor<Self>,
        selected: FloatTensor<Self>,
        d: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        routing::normalised_backward(scores, selected, d)
    }

    fn cube_weighted_experts(values: FloatTensor<Self>, weights: FloatTensor<Self>, scale: f32) -> FloatTensor<Self> {
        routing::weighted_experts(values, weights, scale)
    }

    fn cube_weighted_experts_backward(
        values: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        d: FloatTensor<Self>,
        scale: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        routing::weighted_experts_backward(values, weights, d, scale).into()
    }

    fn cube_attention_weights(
        products: FloatTensor<Self>,
        first: IntTensor<Self>,
        hidden: IntTensor<Self>,
        seen: Seen,
        scores: AttentionScores,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        weights::attention_weights(products, first, hidden, &seen, scores)
    }

    fn cube_attention_weights_backward(
        products: FloatTensor<Self>,
        d: FloatTensor<Self>,
        norms: FloatTensor<Self>,
        first: IntTensor<Self>,
        hidden: IntTensor<Self>,
        seen: Seen,
        scores: AttentionScores,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        weights::attention_weights_backward([products, d, norms], first, hidden, &seen, scores)
    }

    fn cube_cross_entropy_gradient(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        loss::cross_entropy_gradient(logits, targets)
    }

    fn cube_weighted_sum(values: FloatTensor<Self>, weights: FloatTensor<Self>) -> FloatTensor<Self> {
        balance::weighted_sum(values, weights)
    }

    fn cube_balance(
        requested: FloatTensor<Self>,
        scores: FloatTensor<Self>,
        active: FloatTensor<Self>,
        thresholds: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        of: Balance,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        balance::balance([requested, scores, active, thresholds, mask], of).into()
    }

    fn cube_square_sums(x: FloatTensor<Self>, sums: FloatTensor<Self>, row: usize) -> FloatTensor<Self> {
        optimizer::square_sums(x, sums, row)
    }

    fn cube_adamw(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        clip: FloatTensor<Self>,
        counts: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        optimizer::adamw([value, gradient, first, second], clip, counts, step).into()
    }
}

/// `sums` `[n, SQUARE_SUMS]` with another row.
pub(crate) fn square_sums(x: FloatTensor<Dispatch>, sums: FloatTensor<Dispatch>, row: usize) -> FloatTensor<Dispatch> {
    Dispatch::cube_square_sums(x, sums, row)
}

/// Ones at the choices of these ranks.
pub(crate) fn chosen(scores: FloatTensor<Dispatch>, ranks: Range<usize>) -> FloatTensor<Dispatch> {
    Dispatch::cube_chosen(scores, ranks)
}

/// The mask of a tensor of ones.
pub(crate) fn mask(ones: FloatTensor<Dispatch>, dropout: Dropout) -> FloatTensor<Dispatch> {
    Dispatch::cube_dropped(ones, dropout, DType::F32)
}

/// The same in another type.
fn cast(tensor: Float, dtype: DType) -> Float {
    if tensor.dtype() == dtype { tensor } else { Cube::float_cast(tensor, FloatDType::from(dtype)) }
}

/// `left right^T`.
fn times_transposed(left: Float, right: Float) -> Float {
    matmul(left, Cube::float_transpose(right))
}

/// `y + mixed b^T`, where the sum is rounded once to the type of `y`.
fn with_update(y: Float, mixed: Float, b: Float) -> Float {
    let dtype = y.dtype();
    let update = product(mixed, Cube::float_transpose(b), dtype);
    cast(Cube::float_add(cast(y, DType::F32), update), dtype)
}

/// The weight of a linear that is kept as integers.
fn dequantized(weight: &Quantized, dtype: DType) -> Float {
    Cube::dequantize(weight.clone(), FloatDType::from(dtype))
}

/// `x` after dropout in another type.
fn dropped(x: Float, dropout: Option<Dropout>, dtype: DType) -> Float {
    match dropout {
        Some(dropout) => Cube::cube_dropped(x, dropout, dtype),
        None => cast(x, dtype),
    }
}

impl Kernels for Cube {
    fn linear_with_update(x: Float, weight: Float, mixed: Float, b: Float) -> Float {
        with_update(times_transposed(x, weight), mixed, b)
    }

    fn frozen_linear(x: Float, weight: Float) -> Float {
        times_transposed(x, weight)
    }

    fn quantized_linear(x: Float, weight: Quantized) -> Float {
        let weight = dequantized(&weight, x.dtype());
        times_transposed(x, weight)
    }

    fn quantized_linear_with_update(x: Float, weight: Quantized, mixed: Float, b: Float) -> Float {
        with_update(Self::quantized_linear(x, weight), mixed, b)
    }

    fn adapter_input(x: Float, a: Float, dropout: Option<Dropout>) -> Float {
        let activations = x.dtype();
        product(dropped(x, dropout, operands_beside(activations)), Self::float_transpose(a), activations)
    }

    fn gate_scores(logits: Float) -> Float {
        Self::cube_gate_scores(logits)
    }

    fn adaptive_routing(logits: Float, bias: Float, tau_max: f32) -> (Float, Float, Float, Float, Float) {
        Self::cube_adaptive_routing(logits, bias, tau_max)
    }

    fn normalised(scores: Float, selected: Float) -> Float {
        Self::cube_normalised(scores, selected)
    }

    fn weighted_sum(values: Float, weights: Float) -> Float {
        Self::cube_weighted_sum(values, weights)
    }

    fn weighted_experts(hidden: Float, weights: Float, scale: f32) -> Float {
        Self::cube_weighted_experts(hidden, weights, scale)
    }

    fn gated(gate: Float, up: Float, curve: GateCurve) -> Float {
        Self::cube_gated(gate, up, curve)
    }

    fn rms_norm(x: Float, weight: Float, eps: f32) -> Float {
        Self::cube_rms_norm(x, weight, eps)
    }

    fn rotated_heads(x: Float, cos: Float, sin: Float, heads: usize) -> Float {
        Self::cube_rotated_heads(x, cos, sin, heads)
    }

    fn tiled_attention(q: Float, k: Float, v: Float, visible: Visibility, scores: AttentionScores) -> Float {
        let [mixed, _] = attention::forward([q, k, v], &visible, scores);
        mixed
    }

    fn attention_again(
        _: Float,
        _: Float,
        _: Float,
        mixed: Float,
        _: Float,
        _: Visibility,
        _: AttentionScores,
    ) -> Float {
        mixed
    }
}

impl Adjoints for Cube {
    fn linear_backward(d: &Float, weight: &Float) -> Float {
        let (d, weight) = (d.clone(), weight.clone());
        if d.dtype() == weight.dtype() {
            return matmul(d, weight);
        }
        let activations = d.dtype();
        product(d, weight, activations)
    }

    fn quantized_linear_backward(d: &Float, weight: &Quantized) -> Float {
        matmul(d.clone(), dequantized(weight, d.dtype()))
    }

    fn outer(d: &Float, right: &Float) -> Float {
        let activations = d.dtype();
        product(Self::float_transpose(d.clone()), right.clone(), activations)
    }

    fn adapter_input_backward(
        x: Float,
        a: Float,
        dropout: Option<Dropout>,
        d: Float,
        [x_wanted, a_wanted]: [bool; 2],
    ) -> [Option<Float>; 2] {
        let activations = x.dtype();
        let operands = operands_beside(activations);
        let of_x = x_wanted.then(|| dropped(product(d.clone(), a, activations), dropout, activations));
        let of_a = a_wanted.then(|| product(Self::float_transpose(d), dropped(x, dropout, operands), activations));
        [of_x, of_a]
    }

    fn gate_scores_backward(scores: Float, d: Float) -> Float {
        Self::cube_gate_scores_backward(scores, d)
    }

    fn adaptive_margins_backward(scores: Float, tau_max: f32, d: Float) -> [Float; 2] {
        let of_logits = Self::cube_adaptive_margins_backward(scores, d, tau_max);
        let [columns, rows] = of_logits.shape().dims();
        let last = Self::float_slice(of_logits.clone(), &[(columns - 1..columns).into(), (0..rows).into()]);
        let of_bias = Self::float_reshape(Self::float_sum_dim(last, 1), Shape::from([1]));
        [Self::float_transpose(of_logits), of_bias]
    }

    fn normalised_backward(scores: Float, selected: Float, d: Float) -> Float {
        Self::cube_normalised_backward(scores, selected, d)
    }

    fn weighted_sum_backward(weights: Float, d: Float) -> Float {
        Self::float_mul(weights, d)
    }

    fn weighted_experts_backward(hidden: Float, weights: Float, scale: f32, d: Float) -> [Float; 2] {
        Self::cube_weighted_experts_backward(hidden, weights, d, scale).into()
    }

    fn gated_backward(gate: Float, up: Float, curve: GateCurve, d: Float) -> [Float; 2] {
        Self::cube_gated_backward(gate, up, d, curve).into()
    }

    fn rms_norm_backward(x: Float, weight: Float, eps: f32, d: Float) -> Float {
        Self::cube_rms_norm_backward(x, weight, d, eps)
    }

    fn rotated_heads_backward(cos: Float, sin: Float, d: Float) -> Float {
        Self::cube_rotated_heads_backward(cos, sin, d)
    }

    fn attention_with_norms(inputs: [Float; 3], visible: &Visibility, scores: AttentionScores) -> [Float; 2] {
        attention::forward(inputs, visible, scores)
    }

    fn attention_backward(
        inputs: [Float; 3],
        [_, norms]: [Float; 2],
        visible: &Visibility,
        scores: AttentionScores,
        d: Float,
    ) -> [Float; 3] {
        attention::backward(inputs, norms, visible, scores, d)
    }
}

impl PlainKernels for Cube {
    fn linear_gradient(d: Float, weight: Float) -> Float {
        Self::linear_backward(&d, &weight)
    }

    fn attention_to_keep(q: Float, k: Float, v: Float, visible: Visibility, scores: AttentionScores) -> (Float, Float) {
        attention::forward([q, k, v], &visible, scores).into()
    }

    fn cross_entropy_gradient(logits: Float, targets: IntTensor<Self>) -> (Float, Float) {
        Self::cube_cross_entropy_gradient(logits, targets)
    }

    fn adamw(
        value: Float,
        gradient: Float,
        first: Float,
        second: Float,
        clip: Float,
        counts: Float,
        step: AdamWStep,
    ) -> (Float, Float, Float) {
        Self::cube_adamw(value, gradient, first, second, clip, counts, step)
    }
}
