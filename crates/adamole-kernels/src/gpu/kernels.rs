//! The kernels as operations of the backend, which Burn's fusion puts in order with the others of a stream.

use super::{load_balancing::Balance, products, weights::Seen};
use crate::{AdamWStep, Dropout, nodes::GateCurve, operations::AttentionScores};
use burn::{
    backend::{
        Backend, backend_extension,
        fusion::custom::TensorSpec,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::{DType, Shape},
};
use std::ops::Range;

/// One launch each. Backward operations take what their forward ones took or returned, and the gradient `d` of the result.
#[backend_extension(Cube, Fusion)]
pub(crate) trait CubeKernels: Backend {
    #[fusion(dtype = gate, shape = gate)]
    fn cube_gated(gate: FloatTensor<Self>, up: FloatTensor<Self>, curve: GateCurve) -> FloatTensor<Self>;

    #[fusion(meta = |gate: &TensorSpec, up: &TensorSpec, _: &TensorSpec, _: &GateCurve| (gate.clone(), up.clone()))]
    fn cube_gated_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        d: FloatTensor<Self>,
        curve: GateCurve,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    #[fusion(dtype = x, shape = x)]
    fn cube_rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = x)]
    fn cube_rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        d: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = by_head(x, cos, heads))]
    fn cube_rotated_heads(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = d, shape = by_position(d))]
    fn cube_rotated_heads_backward(
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        d: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// `left right` in float32; an exact one rounds no operand.
    #[fusion(meta = in_float32)]
    fn cube_product(left: FloatTensor<Self>, right: FloatTensor<Self>, is_exact: bool) -> FloatTensor<Self>;

    /// `x` times the mask, in another type.
    #[fusion(meta = |x: &TensorSpec, _: &Dropout, dtype: &DType| TensorSpec::new(x.shape.clone(), *dtype))]
    fn cube_dropped(x: FloatTensor<Self>, dropout: Dropout, dtype: DType) -> FloatTensor<Self>;

    #[fusion(dtype = logits, shape = logits)]
    fn cube_gate_scores(logits: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = scores, shape = scores)]
    fn cube_gate_scores_backward(scores: FloatTensor<Self>, d: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(meta = adaptive)]
    #[allow(clippy::type_complexity, reason = "the macro has to see the tuple itself")]
    fn cube_adaptive_routing(
        logits: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        tau_max: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The gradient of the logits, transposed.
    #[fusion(dtype = scores, shape = transposed(scores))]
    fn cube_adaptive_margins_backward(
        scores: FloatTensor<Self>,
        d: FloatTensor<Self>,
        tau_max: f32,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = scores, shape = scores)]
    fn cube_chosen(scores: FloatTensor<Self>, ranks: Range<usize>) -> FloatTensor<Self>;

    #[fusion(dtype = scores, shape = scores)]
    fn cube_normalised(scores: FloatTensor<Self>, selected: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = scores, shape = scores)]
    fn cube_normalised_backward(
        scores: FloatTensor<Self>,
        selected: FloatTensor<Self>,
        d: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = values, shape = values)]
    fn cube_weighted_experts(values: FloatTensor<Self>, weights: FloatTensor<Self>, scale: f32) -> FloatTensor<Self>;

    #[fusion(meta = |values: &TensorSpec, weights: &TensorSpec, _: &TensorSpec, _: &f32| (values.clone(), weights.clone()))]
    fn cube_weighted_experts_backward(
        values: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        d: FloatTensor<Self>,
        scale: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The weights of attention from products `[B, heads, queries, keys]`, and what they were normalised by,
    /// `[B, heads, queries, 2]`.
    #[fusion(meta = weights_and_norms)]
    fn cube_attention_weights(
        products: FloatTensor<Self>,
        first: IntTensor<Self>,
        hidden: IntTensor<Self>,
        seen: Seen,
        scores: AttentionScores,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The weights again, and the gradient of the products.
    #[fusion(meta = weights_and_gradient)]
    fn cube_attention_weights_backward(
        products: FloatTensor<Self>,
        d: FloatTensor<Self>,
        norms: FloatTensor<Self>,
        first: IntTensor<Self>,
        hidden: IntTensor<Self>,
        seen: Seen,
        scores: AttentionScores,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    #[fusion(meta = |logits: &TensorSpec, _: &TensorSpec| (row_each(logits), logits.clone()))]
    fn cube_cross_entropy_gradient(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    #[fusion(dtype = values, shape = first_row(values))]
    fn cube_weighted_sum(values: FloatTensor<Self>, weights: FloatTensor<Self>) -> FloatTensor<Self>;

    /// See [`LoadBalancing::balance`](super::load_balancing::LoadBalancing::balance).
    #[fusion(meta = balance)]
    fn cube_balance(
        requested: FloatTensor<Self>,
        scores: FloatTensor<Self>,
        active: FloatTensor<Self>,
        thresholds: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        of: Balance,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Writes the sums of the squares of `x` into a row of `sums`.
    #[fusion(meta = |_: &TensorSpec, sums: &TensorSpec, _: &usize| sums.clone())]
    fn cube_square_sums(x: FloatTensor<Self>, sums: FloatTensor<Self>, row: usize) -> FloatTensor<Self>;

    #[fusion(meta = updated)]
    fn cube_adamw(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        clip: FloatTensor<Self>,
        counts: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

fn in_float32(left: &TensorSpec, right: &TensorSpec, _: &bool) -> TensorSpec {
    TensorSpec::new(products::shape(&left.shape, &right.shape), DType::F32)
}

fn first_row(values: &Shape) -> Shape {
    [1, values[1]].into()
}

fn updated(
    value: &TensorSpec,
    _: &TensorSpec,
    first: &TensorSpec,
    second: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &AdamWStep,
) -> (TensorSpec, TensorSpec, TensorSpec) {
    (value.clone(), first.clone(), second.clone())
}

fn by_head(x: &Shape, cos: &Shape, heads: &usize) -> Shape {
    let [_, _, length, dim] = cos.dims();
    [x[0] / length.max(1), *heads, length, dim].into()
}

fn by_position(d: &Shape) -> Shape {
    let [sequences, heads, length, dim] = d.dims();
    [sequences * length, heads * dim].into()
}

fn transposed(shape: &Shape) -> Shape {
    let [rows, columns] = shape.dims();
    [columns, rows].into()
}

fn adaptive(
    logits: &TensorSpec,
    _: &TensorSpec,
    _: &f32,
) -> (TensorSpec, TensorSpec, TensorSpec, TensorSpec, TensorSpec) {
    let [rows, columns] = logits.shape.dims();
    let of = |columns| TensorSpec::new([rows, columns].into(), logits.dtype);
    let experts = columns - 1;
    (logits.clone(), of(experts), of(experts), of(experts), of(1))
}

fn balance(
    requested: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &Balance,
) -> (TensorSpec, TensorSpec, TensorSpec, TensorSpec) {
    let of = |shape: Shape| TensorSpec::new(shape, requested.dtype);
    let by_expert = || of([1, requested.shape[1]].into());
    (of([1].into()), by_expert(), by_expert(), of([1, 1].into()))
}

fn row_each(logits: &TensorSpec) -> TensorSpec {
    TensorSpec::new([logits.shape[0], 1].into(), logits.dtype)
}

fn weights_and_norms(
    products: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &Seen,
    _: &AttentionScores,
) -> (TensorSpec, TensorSpec) {
    let [sequences, heads, queries, _] = products.shape.dims();
    (products.clone(), TensorSpec::new([sequences, heads, queries, 2].into(), DType::F32))
}

fn weights_and_gradient(
    products: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &TensorSpec,
    _: &Seen,
    _: &AttentionScores,
) -> (TensorSpec, TensorSpec) {
    (products.clone(), products.clone())
}
