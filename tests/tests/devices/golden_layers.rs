//! Adapted linears against the reference implementation: outputs, routing, load balancing loss and every gradient.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{
        AdaMole, AdaptedLinear, Adapter, AdapterConfig, ForwardContext, Lora, Method, Mole, ParameterSpec,
        RoutingDetail, Rows, Selection, Sira,
        router::{Router, RouterInput},
    },
    llama::adapter_gradients,
};
use adamole_tests::{Case, assert_close, device, for_every_case, values};
use burn::{
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use std::{collections::BTreeMap, sync::Arc};

const CASES: [&str; 21] = [
    "lora",
    "lora_bias",
    "mole_thr",
    "mole_thr_high_none",
    "mole_thr_low",
    "mole_thr_uniform_eq",
    "mole_top1",
    "mole_top2",
    "mole_top3",
    "mole_top4",
    "ada_1",
    "ada_2",
    "ada_3half",
    "ada_half",
    "ada_max1",
    "ada_bias_base",
    "ada_default",
    "ada_exact_eq",
    "ada_low_tau",
    "ada_none_selected",
    "ada_peaked_single",
];

fn config(case: &Case) -> AdapterConfig {
    let integer = |name: &str| case.number(name) as usize;
    let num_experts = || integer("/num_experts").try_into().unwrap();
    let method: Arc<dyn Method> = match case.json["kind"].as_str() {
        Some("lora") => Arc::new(Lora),
        Some("mole") => {
            let selection = match case.json["top_k"].as_u64() {
                Some(k) => Selection::TopK((k as usize).try_into().unwrap()),
                None => Selection::Threshold(case.number("/tau") as f32),
            };
            Arc::new(Mole { num_experts: num_experts(), selection })
        }
        _ => {
            let tau_max = case.json["tau"].as_f64().map(|tau| (tau as f32).try_into().unwrap());
            Arc::new(AdaMole { num_experts: num_experts(), tau_max })
        }
    };
    AdapterConfig {
        method,
        rank: integer("/rank").try_into().unwrap(),
        alpha: case.number("/alpha") as f32,
        dropout: 0.0.try_into().unwrap(),
    }
}

fn fill(adapter: &mut Adapter, case: &Case, device: &Device) {
    let specs: Vec<ParameterSpec> = adapter.parameters().map(|(spec, _)| spec.clone()).collect();
    for spec in specs {
        let keys: Vec<String> = spec.keys().into_iter().map(|(key, _)| format!("param.{key}")).collect();
        adapter.set(spec.name, case.parameter(&spec, &keys, device));
    }
}

#[test]
fn layers_equal_the_reference_implementation() {
    let device = device().autodiff();
    for_every_case(&CASES, |name| {
        let case = Case::open(&format!("layers/{name}"));
        let bias = case.tensors.shape("param.base_layer.bias").map(|_| case.tensor("param.base_layer.bias", &device));
        let mut layer = AdaptedLinear::frozen(case.tensor("param.base_layer.weight", &device), bias);
        layer.adapt(config(&case), &[0]);
        let adapter = layer.adapter.as_mut().unwrap();
        fill(adapter, &case, &device);
        let rows = |name: &str| {
            let tensor = case.tensor::<3>(name, &device);
            let [b, l, d] = tensor.dims();
            tensor.reshape([b * l, d])
        };
        let x = rows("x").require_grad();
        let y = layer.forward(x.clone(), &mut ForwardContext::evaluation());
        assert_close(&format!("{name} y"), &values(y.clone().into_data()), &case.floats("y"), 1e-5, 1e-5);

        let loss = (y * rows("upstream")).sum();
        check_gradients(name, "grad_task", &case, check_input_gradient(name, "grad_task", &case, loss, &x, &layer));

        // A graph supports one backward pass.
        let x = rows("x").require_grad();
        let mut context = ForwardContext::evaluation().recording(RoutingDetail::Rows);
        layer.forward(x.clone(), &mut context);
        let balance = context.auxiliary_loss();
        let Some(layer_routing) = context.into_layers().pop() else {
            assert_eq!(case.json["kind"], "lora");
            return;
        };
        let routing = layer_routing.decision.unwrap();
        let close = |what: &str, tensor: Tensor<2>, key: &str| {
            let expected = match key {
                "selected" => case.integers(key).iter().map(|&v| v as f32).collect(),
                key => case.floats(key),
            };
            assert_close(&format!("{name} {what}"), &values(tensor.into_data()), &expected, 1e-6, 1e-5);
        };
        close("probabilities", routing.scores.probabilities(), "probs");
        close("weights", routing.weights, "weights");
        close("selection", routing.active, "selected");
        if let Some(thresholds) = routing.thresholds {
            close("thresholds", thresholds, "thresholds");
        }
        let balance = balance.unwrap();
        let expected = case.number("/aux_loss") as f32;
        assert_close(&format!("{name} balance loss"), &values(balance.clone().into_data()), &[expected], 1e-6, 1e-5);
        check_gradients(name, "grad_aux", &case, check_input_gradient(name, "grad_aux", &case, balance, &x, &layer));
    });
}

fn check_input_gradient(
    name: &str,
    kind: &str,
    case: &Case,
    loss: Tensor<1>,
    x: &Tensor<2>,
    layer: &AdaptedLinear,
) -> Vec<(String, TensorData)> {
    let gradients = loss.backward();
    let key = format!("{kind}.x");
    let actual = values(x.grad(&gradients).unwrap().into_data());
    assert_close(&format!("{name} {key}"), &actual, &case.floats(&key), 1e-5, 1e-4);
    adapter_gradients(layer.adapter.as_ref().unwrap(), &GradientsParams::from_grads(gradients, layer))
}

/// Compares every recorded gradient. Where the reference implementation has none, ours is absent or zero.
fn check_gradients(name: &str, kind: &str, case: &Case, gradients: Vec<(String, TensorData)>) {
    let mut ours: BTreeMap<String, Vec<f32>> = gradients.into_iter().map(|(key, data)| (key, values(data))).collect();
    let prefix = format!("{kind}.");
    for recorded in case.tensors.names() {
        let Some(key) = recorded.strip_prefix(&prefix).filter(|key| *key != "x") else { continue };
        let actual = ours.remove(key).unwrap_or_else(|| panic!("{name}: no {recorded}"));
        assert_close(&format!("{name} {recorded}"), &actual, &case.floats(&recorded), 1e-5, 1e-4);
    }
    for (key, values) in ours {
        assert!(values.iter().all(|v| *v == 0.0), "{name} {kind}.{key} is not zero");
    }
}

/// SiRA has no reference implementation. The numbers come from an implementation of the paper's text, with the gate's
/// dropout mask as an input.
#[test]
fn sira_follows_its_definition() {
    let device = device().autodiff();
    for_every_case(&["sira_train", "sira_eval", "sira_cap1_top1", "sira_renorm", "sira_nocap"], |name| {
        let case = Case::open(&format!("layers/{name}"));
        let [groups, length] = ["/groups", "/seq"].map(|key| case.number(key) as usize);
        let [experts, rank] = ["/num_experts", "/rank"].map(|key| case.number(key) as usize);
        let (k, capacity) = (case.number("/top_k"), case.number("/capacity"));
        // The capacity is rounded up.
        let factor = (capacity - 0.5) * experts as f64 / (k * length as f64);
        let router = Sira {
            num_experts: experts.try_into().unwrap(),
            top_k: (k as usize).try_into().unwrap(),
            capacity_factor: Some((factor as f32).try_into().unwrap()),
            gate_dropout: (case.number("/gate_dropout") as f32).try_into().unwrap(),
            renormalise: case.json["renormalise"].as_bool().unwrap(),
        };
        let flat = |key: &str| {
            let tensor = case.tensor::<3>(key, &device);
            let [b, l, d] = tensor.dims();
            tensor.reshape([b * l, d])
        };
        let matrix = |key: &str| case.tensor::<2>(key, &device).require_grad();
        let (x, gate) = (flat("x").require_grad(), matrix("Wg"));
        let a = case.tensor::<3>("A", &device).require_grad();
        let b = case.tensor::<3>("B", &device).require_grad();
        let (d_in, d_out) = (x.dims()[1], b.dims()[1]);
        let rows = Rows::new(groups * length, groups, None);
        let logits = x.clone().matmul(gate.clone().transpose());
        let dropout = case.number("/gate_dropout");
        // The recorded mask is 0 or 1.
        let gate_mask = (dropout > 0.0).then(|| flat("dropout_mask") / (1.0 - dropout));
        let adapter = Adapter::new(AdapterConfig::new(router, rank, 1.0, 0.0).unwrap(), d_in, d_out, &[0], &device);
        let input = RouterInput { x: &x, logits, adapter: &adapter, gate_mask, rows: &rows };
        let routing = router.route(&input);
        let weights = flat("weights").into_data();
        assert_close(name, &values(routing.weights.clone().into_data()), &values(weights), 1e-6, 1e-5);
        let dropped: f32 = values((routing.requested.clone() - routing.active.clone()).sum().into_data())[0];
        assert_eq!(dropped as f64, case.number("/dropped_assignments"), "{name}");

        let hidden = x.clone().matmul(a.clone().reshape([experts * rank, d_in]).transpose());
        let scaled = routing.weights.clone().reshape([groups * length, experts, 1]) * case.number("/scaling") as f32;
        let mixed =
            (hidden.reshape([groups * length, experts, rank]) * scaled).reshape([groups * length, experts * rank]);
        let stacked = b.clone().swap_dims(1, 2).reshape([experts * rank, d_out]);
        let y = x.clone().matmul(matrix("W0").detach().transpose()) + mixed.matmul(stacked);
        assert_close(name, &values(y.clone().into_data()), &case.floats("y"), 1e-5, 1e-5);

        let balance = router.auxiliary_loss(&routing, &rows).unwrap();
        let expected = case.number("/aux_loss") as f32;
        assert_close(name, &values(balance.clone().into_data()), &[expected], 1e-7, 1e-5);
        // A graph supports one backward pass: the gradients of the sum are the sums of the recorded ones.
        let gradients = ((y * flat("upstream")).sum() + balance).backward();
        let sum = |key: &str| -> Vec<f32> {
            let task = case.floats(&format!("grad_task.{key}"));
            match case.tensors.shape(&format!("grad_aux.{key}")) {
                Some(_) => task.iter().zip(case.floats(&format!("grad_aux.{key}"))).map(|(t, a)| t + a).collect(),
                None => task,
            }
        };
        let check =
            |key: &str, actual: Vec<f32>| assert_close(&format!("{name} {key}"), &actual, &sum(key), 1e-5, 1e-4);
        check("x", values(x.grad(&gradients).unwrap().into_data()));
        check("Wg", values(gate.grad(&gradients).unwrap().into_data()));
        check("A", values(a.grad(&gradients).unwrap().into_data()));
        check("B", values(b.grad(&gradients).unwrap().into_data()));
    });
}
