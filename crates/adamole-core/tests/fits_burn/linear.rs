//! Linears of Burn as adapted ones, and batches of sequences.

use adamole_core::{AdaMole, AdaptedLinear, AdapterConfig, ForwardContext, LinearError, RoutingDetail, Rows, Sira};
use burn::{
    module::Param,
    nn::{Linear, LinearConfig},
    tensor::{
        Bool, DType, Device, Distribution, Tensor,
        quantization::{QuantScheme, QuantValue, ScaleDtype},
    },
};

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn difference<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
    (a - b).abs().max().into_scalar()
}

fn adamole() -> AdapterConfig {
    let method = AdaMole { num_experts: 4.try_into().unwrap(), tau_max: None };
    AdapterConfig::new(method, 2, 4.0, 0.0).unwrap()
}

#[test]
fn a_linear_of_burn_computes_the_same_once_it_is_adapted_and_back() {
    let device = Device::default().autodiff();
    for bias in [true, false] {
        let linear = LinearConfig::new(5, 3).with_bias(bias).init(&device);
        let x = random([4, 5], &device);
        let expected = linear.forward(x.clone());
        let mut adapted = AdaptedLinear::from(linear.clone());
        assert_eq!(adapted.weight.val().dims(), [3, 5]);
        let plain = adapted.forward(x.clone(), &mut ForwardContext::evaluation());
        assert!(difference(plain, expected.clone()) < 1e-6);
        adapted.adapt(adamole(), &[1]);
        let fresh = adapted.forward(x.clone(), &mut ForwardContext::evaluation());
        assert!(difference(fresh.clone(), expected.clone()) < 1e-6);
        let gradients = fresh.sum().backward();
        assert!(adapted.weight.val().grad(&gradients).is_none());
        let refusal = Linear::try_from(adapted.clone()).unwrap_err();
        assert_eq!(refusal, LinearError::Adapted { method: "adamole" });
        adapted.adapter = None;
        let back = Linear::try_from(adapted).unwrap();
        assert_eq!(back.weight.id, linear.weight.id);
        assert_eq!(back.weight.val().into_data(), linear.weight.val().into_data());
        assert!(difference(back.forward(x), expected) < 1e-6);
    }
}

#[test]
fn the_type_of_weights_is_kept() {
    let device = Device::default();
    let weight = random([5, 3], &device).cast(DType::BF16);
    let linear = Linear { weight: Param::from_tensor(weight), bias: None };
    assert_eq!(AdaptedLinear::from(linear).weight.val().dtype(), DType::BF16);
}

/// Eight bits, in blocks of 32 along a row.
pub(crate) fn quantised(weight: Tensor<2>) -> Tensor<2> {
    weight.quantize_dynamic(&QuantScheme::default().with_value(QuantValue::Q8S).per_block([32], ScaleDtype::F32))
}

#[test]
fn a_quantised_linear_has_the_values_that_it_computes_with_either_way() {
    let device = Device::default();
    let weight = quantised(random([4, 32], &device));
    let values = weight.clone().dequantize();
    let back = Linear::try_from(AdaptedLinear::frozen(weight.clone(), None)).unwrap();
    assert_eq!(back.weight.val().into_data(), values.clone().transpose().into_data());
    let adapted = AdaptedLinear::from(Linear { weight: Param::from_tensor(weight), bias: None });
    assert_eq!(adapted.weight.val().into_data(), values.transpose().into_data());
}

#[test]
fn a_bias_of_another_layout_is_refused_by_name() {
    let device = Device::default();
    let error = AdaptedLinear::try_frozen(random([5, 3], &device), Some(random([3], &device))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a weight [d_out, d_in] of [5, 3] has a bias of 3 values, expected 5; \
         is the weight in Burn's layout, [d_in, d_out]?"
    );
}

#[test]
#[should_panic(expected = "has 5 columns and its weight [d_out, d_in] is [5, 3]; is it in Burn's layout")]
fn an_input_for_a_weight_of_another_layout_is_refused_by_name() {
    let device = Device::default();
    let linear = AdaptedLinear::frozen(random([5, 3], &device), None);
    linear.forward(random([4, 5], &device), &mut ForwardContext::evaluation());
}

#[test]
fn a_batch_is_its_rows_by_sequence() {
    let device = Device::default();
    // Capacity counts within a sequence: the layout changes what is computed.
    let sira = Sira {
        num_experts: 4.try_into().unwrap(),
        top_k: 2.try_into().unwrap(),
        capacity_factor: Some(1.0.try_into().unwrap()),
        gate_dropout: 0.0.try_into().unwrap(),
        renormalise: false,
    };
    let mut linear = AdaptedLinear::frozen(random([3, 5], &device), None);
    linear.adapt(AdapterConfig::new(sira, 2, 4.0, 0.0).unwrap(), &[1]);
    // Each sequence crowds two experts of its own: three of its six tokens are beyond an expert's share of the sequence,
    // and none is beyond its share of both sequences.
    let side = Tensor::<3>::from_data([[[8.0]], [[-8.0]]], &device).expand([2, 6, 1]);
    let x = Tensor::cat(vec![side, random([2, 6, 4], &device)], 2);
    let gate = Tensor::<2>::from_data([[1.0], [1.1], [-1.0], [-1.1]], &device);
    let adapter = linear.adapter.as_mut().unwrap();
    adapter.set("gate", gate.pad((0, 4, 0, 0), 0.0).into_data());
    adapter.set("b", random([3, 8], &device).into_data());
    let batched = linear.forward_batch(x.clone(), &mut ForwardContext::evaluation());
    let mut context = ForwardContext::evaluation().recording(RoutingDetail::Counts);
    context.set_rows(Rows::new(12, 2, None));
    let by_row = linear.forward(x.clone().reshape([12, 5]), &mut context);
    assert!(difference(batched.clone(), by_row.reshape([2, 6, 3])) < 1e-6);
    let as_one = linear.forward(x.clone().reshape([12, 5]), &mut ForwardContext::evaluation());
    assert!(difference(batched.clone(), as_one.reshape([2, 6, 3])) > 1e-3);
    let deeper = linear.forward_batch(x.reshape([2, 1, 6, 5]), &mut ForwardContext::evaluation());
    assert!(difference(batched, deeper.reshape([2, 6, 3])) < 1e-6);
}

#[test]
fn padding_of_a_batch_is_not_counted() {
    let device = Device::default();
    let mut linear = AdaptedLinear::frozen(random([3, 5], &device), None);
    linear.adapt(adamole(), &[1]);
    let mask = Tensor::<2, Bool>::from_data([[true, true, false], [true, false, false]], &device);
    let mut context = ForwardContext::evaluation().recording(RoutingDetail::Counts);
    context.set_rows(Rows::of_token_mask(mask));
    linear.forward_batch(random([2, 3, 5], &device), &mut context);
    assert_eq!(context.into_layers()[0].tokens, 3);
}
