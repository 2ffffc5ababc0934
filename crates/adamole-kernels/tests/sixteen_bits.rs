//! Every fused operation on tensors of 16 bits: they are rounded once, after it was computed in float32.
#![cfg(feature = "flex")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole_kernels::{
    AttentionScores, CounterRng, Dropout, Visibility, adapter_input, attention, cross_entropy_gradient, geglu, linear,
    linear_gradient, linear_with_update, rms_norm, rotated_heads, swiglu,
};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// The types, and the largest error of one rounding.
const TYPES: [(DType, f32); 2] = [(DType::BF16, 1.0 / 256.0), (DType::F16, 1.0 / 2048.0)];

fn random(seed: u64, shape: [usize; 2]) -> Tensor<2> {
    let values = CounterRng::new(&[seed]).normal(shape.iter().product(), 1.0);
    Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.cast(DType::F32).into_data().try_to_vec().unwrap()
}

#[track_caller]
fn assert_close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.0_f32, |scale, value| scale.max(value.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance * scale,
            "{what}[{i}] is {found}, expected {expected} of {scale}"
        );
    }
}

/// Compares an operation on 16 bits with the same on their values in float32; `wide` inputs are float32 both times.
#[track_caller]
fn check<const N: usize, const D: usize>(
    inputs: [Tensor<2>; N],
    wide: &[usize],
    operation: impl Fn([Tensor<2>; N]) -> Tensor<D>,
) {
    for (dtype, rounding) in TYPES {
        let mut index = 0;
        let rounded = inputs.clone().map(|input| {
            index += 1;
            if wide.contains(&(index - 1)) { input } else { input.cast(dtype) }
        });
        let run = |leaves: [Tensor<2>; N]| {
            let leaves = leaves.map(|leaf| leaf.detach().require_grad());
            let y = operation(leaves.clone());
            let weights = random(99, [1, y.dims().iter().product()]).reshape(y.dims()).cast(dtype).cast(DType::F32);
            let gradients = (y.clone().cast(DType::F32) * weights).sum().backward();
            let types = leaves.clone().map(|leaf| leaf.grad(&gradients).map(|d| (d.dtype(), leaf.dtype())));
            (values(y), leaves.map(|leaf| leaf.grad(&gradients).map(values)), types)
        };
        let (found, expected) = (run(rounded.clone()), run(rounded.clone().map(|input| input.cast(DType::F32))));
        assert_close("value", &found.0, &expected.0, rounding);
        for (input, (found, expected)) in found.1.iter().zip(&expected.1).enumerate() {
            if let (Some(found), Some(expected)) = (found, expected) {
                assert_close(&format!("gradient of input {input}"), found, expected, 3.0 * rounding);
            }
        }
        found.2.into_iter().flatten().for_each(|(gradient, input)| assert_eq!(gradient, input));
    }
}

fn plain<const D: usize>(constant: Tensor<D>) -> Tensor<D> {
    Tensor::from_inner(constant.inner())
}

#[test]
fn products_are_rounded_once() {
    for [rows, d_in, d_out] in [[1, 7, 5], [3, 64, 96], [40, 33, 50], [130, 576, 192]] {
        check([random(1, [rows, d_in]), random(2, [d_out, d_in])], &[], |[x, weight]| linear(x, plain(weight)));
        let inputs = [random(1, [rows, d_in]), random(2, [d_out, d_in]), random(3, [rows, 6]), random(4, [d_out, 6])];
        check(inputs, &[2, 3], |[x, weight, mixed, b]| linear_with_update(x, plain(weight), mixed, b));
        let inputs = [random(1, [rows, d_in]), random(2, [6, d_in])];
        check(inputs, &[1], |[x, a]| adapter_input(x, a, Some(Dropout::new(7, 0.2))));
        for (dtype, rounding) in TYPES {
            let [d, weight] = [random(1, [rows, d_out]), random(2, [d_out, d_in])].map(|t| t.inner().cast(dtype));
            let [wide, wide_weight] = [d.clone(), weight.clone()].map(|t| t.cast(DType::F32));
            let found = linear_gradient(d, weight);
            assert_eq!(found.dtype(), dtype);
            assert_close("input", &values(found), &values(wide.matmul(wide_weight)), rounding);
        }
    }
}

#[test]
fn elementwise_operations_are_rounded_once() {
    let inputs = [random(1, [30, 70]), random(2, [30, 70])];
    check(inputs.clone(), &[], |[gate, up]| swiglu(gate, up));
    check(inputs, &[], |[gate, up]| geglu(gate, up));
    let inputs = [random(1, [30, 70]), random(2, [1, 70])];
    check(inputs, &[], |[x, weight]| rms_norm(x, plain(weight).reshape([70]), 1e-5));
    let inputs = [random(1, [12, 48]), random(2, [6, 16]), random(3, [6, 16])];
    check(inputs, &[], |[x, cos, sin]| {
        let table = |t: Tensor<2>| plain(t).reshape([1, 1, 6, 16]);
        rotated_heads(x, table(cos), table(sin), 3)
    });
}

#[test]
fn attention_is_rounded_once() {
    for length in [40, 600] {
        let inputs = [random(1, [2 * length, 8]), random(2, [length, 8]), random(3, [length, 8])];
        check(inputs, &[], |[q, k, v]| {
            let heads = |x: Tensor<2>, heads| x.reshape([1, heads, length, 8]);
            let scores = AttentionScores { scale: 0.3, cap: None };
            attention(heads(q, 2), heads(k, 1), heads(v, 1), &Visibility::causal(length), scores)
        });
    }
}

#[test]
fn the_loss_is_rounded_once() {
    let targets = Tensor::<1, Int>::from_data(TensorData::new(vec![3_i32, 0, 99], [3]), &Device::flex());
    for (dtype, rounding) in TYPES {
        let logits = random(1, [3, 100]).inner().cast(dtype);
        let expected = cross_entropy_gradient(logits.clone().cast(DType::F32), targets.clone());
        let found = cross_entropy_gradient(logits, targets.clone());
        assert_close("loss", &values(found.0), &values(expected.0), rounding);
        assert_close("gradient", &values(found.1), &values(expected.1), rounding);
    }
}
