//! Gated linear units.

use super::launch::{alike, contiguous, element, unit_each};
use crate::nodes::GateCurve;
use burn_cubecl::{
    cubecl::{self, ir::ElemType, prelude::*},
    tensor::CubeTensor,
};

const GELU_SCALE: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::SQRT_2;
const GELU_CUBIC: f32 = 0.044715;

/// The argument of the sigmoid in the activation `g sigmoid(s(g))`: `(1 + tanh(u)) / 2` is `sigmoid(2 u)`.
#[cube]
fn exponent(g: f32, #[comptime] curve: GateCurve) -> f32 {
    match comptime!(curve) {
        GateCurve::Silu => g,
        GateCurve::GeluTanh => GELU_SCALE * (g + GELU_CUBIC * g * g * g),
    }
}

/// Its derivative.
#[cube]
fn slope(g: f32, #[comptime] curve: GateCurve) -> f32 {
    match comptime!(curve) {
        GateCurve::Silu => 1.0f32.runtime(),
        GateCurve::GeluTanh => GELU_SCALE * (1.0 + 3.0 * GELU_CUBIC * g * g),
    }
}

#[cube]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[cube(launch)]
fn forward<F: Float>(
    gate: &Tensor<F>,
    up: &Tensor<F>,
    y: &mut Tensor<F>,
    #[comptime] curve: GateCurve,
    #[define(F)] _type: ElemType,
) {
    if ABSOLUTE_POS < y.len() {
        let g = f32::cast_from(gate[ABSOLUTE_POS]);
        let u = f32::cast_from(up[ABSOLUTE_POS]);
        y[ABSOLUTE_POS] = F::cast_from(g * sigmoid(exponent(g, curve)) * u);
    }
}

#[cube(launch)]
fn backward<F: Float>(
    gate: &Tensor<F>,
    up: &Tensor<F>,
    d: &Tensor<F>,
    of_gate: &mut Tensor<F>,
    of_up: &mut Tensor<F>,
    #[comptime] curve: GateCurve,
    #[define(F)] _type: ElemType,
) {
    if ABSOLUTE_POS < d.len() {
        let g = f32::cast_from(gate[ABSOLUTE_POS]);
        let u = f32::cast_from(up[ABSOLUTE_POS]);
        let d = f32::cast_from(d[ABSOLUTE_POS]);
        let share = sigmoid(exponent(g, curve));
        of_up[ABSOLUTE_POS] = F::cast_from(d * g * share);
        of_gate[ABSOLUTE_POS] = F::cast_from(d * u * share * (1.0 + g * slope(g, curve) * (1.0 - share)));
    }
}

pub(super) fn gated(gate: CubeTensor, up: CubeTensor, curve: GateCurve) -> CubeTensor {
    let [gate, up] = contiguous([gate, up]);
    let (y, client, dtype) = (alike(&gate), gate.client.clone(), element(&gate));
    let (count, dim) = unit_each(&client, gate.meta.num_elements());
    let [gate, up] = [gate, up].map(CubeTensor::into_tensor_arg);
    forward::launch(&client, count, dim, gate, up, y.clone().into_tensor_arg(), curve, dtype);
    y
}

/// The gradients of `gate` and `up`.
pub(super) fn gated_backward(gate: CubeTensor, up: CubeTensor, d: CubeTensor, curve: GateCurve) -> [CubeTensor; 2] {
    let [gate, up, d] = contiguous([gate, up, d]);
    let (gradients, client, dtype) = ([alike(&gate), alike(&up)], gate.client.clone(), element(&gate));
    let (count, dim) = unit_each(&client, gate.meta.num_elements());
    let [gate, up, d] = [gate, up, d].map(CubeTensor::into_tensor_arg);
    let [of_gate, of_up] = gradients.clone().map(CubeTensor::into_tensor_arg);
    backward::launch(&client, count, dim, gate, up, d, of_gate, of_up, curve, dtype);
    gradients
}
