//! Whole models against the published implementation: logits, losses, gradients, and parameters after its optimizer's
//! steps. Tolerances are those that the golden files state.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{Detail, Pass},
    llama::{AdapterTensors, AttentionMask, CausalLm, TensorFile, frozen_cross_entropy, load_adapter, load_base},
    train::{AdamW, AdamWSettings},
};
use adamole_tests::{Case, assert_close, device, floats, golden, max_difference, values};
use burn::{
    optim::GradientsParams,
    tensor::{Device, Int, Tensor, TensorData},
};

const CASES: [&str; 2] = ["llama_gqa__ada_1", "llama_gqa__lora"];
const PREFIX: &str = "base_model.model.";

struct Forward {
    logits: Vec<f32>,
    task: Tensor<1>,
    balance: Option<Tensor<1>>,
    per_site: Vec<f32>,
    counts: Vec<Vec<f32>>,
}

/// The published forward pass: padding on the left, hidden by the mask and counted in the auxiliary loss.
fn forward(model: &CausalLm, case: &Case, device: &Device) -> Forward {
    let shape = case.tensors.shape("input_ids").unwrap().to_vec();
    let ids: Vec<i32> = case.integers("input_ids").iter().map(|&id| id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, shape.clone()), device);
    let tokens: Vec<u8> = case.integers("attention_mask").iter().map(|&m| m as u8).collect();
    let mask = AttentionMask::padded(&tokens, shape[1], device);
    let mut pass = Pass::evaluation().recording(Detail::Counts);
    let hidden = model.hidden(ids, &mask, &mut pass);

    let labels = case.integers("labels");
    let labelled: Vec<usize> =
        (0..labels.len() - 1).filter(|i| (i + 1) % shape[1] != 0 && labels[i + 1] != -100).collect();
    let index = |values: Vec<i32>| Tensor::<1, Int>::from_data(TensorData::new(values, [labelled.len()]), device);
    let positions = index(labelled.iter().map(|&i| i as i32).collect());
    let targets = index(labelled.iter().map(|&i| labels[i + 1] as i32).collect());
    let selected = hidden.clone().select(0, positions);
    let task = frozen_cross_entropy(selected, model.projection(), targets, labelled.len() as f32);
    let balance = pass.balance_loss();
    let sites = pass.into_sites();
    Forward {
        logits: values(model.logits(hidden).into_data()),
        task,
        balance,
        per_site: sites.iter().flat_map(|site| values(site.balance_loss.clone().into_data())).collect(),
        counts: sites.iter().map(|site| values(site.selected_count.clone().into_data())).collect(),
    }
}

fn scalar(tensor: &Tensor<1>) -> f32 {
    values(tensor.to_data())[0]
}

fn load(case: &Case, device: &Device) -> CausalLm {
    let base = case.folder.join(case.json["base"].as_str().unwrap());
    let mut model = load_base(&base, device).unwrap();
    load_adapter(&mut model, &case.folder).unwrap();
    model
}

#[test]
fn models_equal_the_published_ones() {
    let device = device().autodiff();
    for name in CASES {
        let case = Case::open(name);
        let mut model = load(&case, &device);
        let Forward { logits, task, balance, per_site, counts } = forward(&model, &case, &device);
        assert_close(&format!("{name} logits"), &logits, &case.floats("logits"), 1e-4, 0.0);
        assert_close(&format!("{name} task loss"), &[scalar(&task)], &[case.number("/ce_loss") as f32], 1e-5, 0.0);

        let mut total = task;
        if let Some(balance) = balance {
            let expected = case.number("/aux_loss_total") as f32;
            assert_close(&format!("{name} balance loss"), &[scalar(&balance)], &[expected], 1e-5, 1e-6);
            let adapted = model.linears().into_iter().filter(|(_, linear)| linear.adapter.is_some());
            for (site, (module, _)) in adapted.enumerate() {
                let module = format!("{PREFIX}{module}");
                let expected = case.json["aux_loss_per_module"][&module].as_f64().unwrap() as f32;
                assert_close(&format!("{name} {module}"), &[per_site[site]], &[expected], 1e-5, 0.0);
                let recorded: Vec<f32> = case.json["activation"][&module]["count_all"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|count| count.as_f64().unwrap() as f32)
                    .collect();
                assert_eq!(counts[site], recorded, "{name} {module}");
            }
            total = total + balance * case.number("/aux_loss_coeff");
        }
        assert_close(&format!("{name} total"), &[scalar(&total)], &[case.number("/total_loss") as f32], 1e-5, 0.0);

        let gradients = total.backward();
        let recorded = TensorFile::open(&case.folder.join("grads.safetensors")).unwrap();
        let mut checked = 0;
        for (module, linear) in model.linears() {
            let Some(adapter) = &linear.adapter else { continue };
            for (key, data) in AdapterTensors::gradients(adapter, &gradients).split() {
                let key = format!("{PREFIX}{module}.{key}");
                assert_close(&format!("{name} {key}"), &values(data), &floats(&recorded, &key), 1e-5, 1e-3);
                checked += 1;
            }
        }
        assert_eq!(checked, recorded.names().len(), "{name}: every recorded gradient is compared");
        steps(name, &case, &mut model, &device);
    }
}

/// The recorded optimizer steps, then the parameters and logits they lead to.
fn steps(name: &str, case: &Case, model: &mut CausalLm, device: &Device) {
    let mut optimizer = AdamW::new(AdamWSettings::default());
    let first = TensorFile::open(&case.folder.join("grads.safetensors")).unwrap();
    for (i, step) in case.json["optim"]["steps"].as_array().unwrap().iter().enumerate() {
        let Forward { task, balance, .. } = forward(model, case, device);
        let total = balance.map_or(task.clone(), |balance| task + balance * case.number("/aux_loss_coeff"));
        let expected = step["total_loss"].as_f64().unwrap() as f32;
        assert_close(&format!("{name} loss of step {i}"), &[scalar(&total)], &[expected], 2e-5, 0.0);
        let gradients = GradientsParams::from_grads(total.backward(), model);
        let norm = optimizer.step(step["lr"].as_f64().unwrap(), model, gradients).unwrap();
        assert_close(
            &format!("{name} norm {i}"),
            &[norm as f32],
            &[step["grad_norm"].as_f64().unwrap() as f32],
            1e-5,
            1e-4,
        );
    }
    let after = TensorFile::open(&case.folder.join("adapter_after_steps.safetensors")).unwrap();
    for (module, linear) in model.linears() {
        for (key, data) in linear.adapter.iter().flat_map(|adapter| AdapterTensors::values(adapter).split()) {
            let key = format!("{PREFIX}{module}.{key}");
            // Adam's first steps are sign-like and amplify gradients that are zero but for rounding.
            let gradient = floats(&first, &key);
            let keep = |values: Vec<f32>| -> Vec<f32> {
                values.into_iter().zip(&gradient).filter(|(_, g)| g.abs() > 1e-7).map(|(v, _)| v).collect()
            };
            let (actual, expected) = (keep(values(data)), keep(floats(&after, &key)));
            assert_close(&format!("{name} {key} after the steps"), &actual, &expected, 2e-5, 0.0);
        }
    }
    let difference = max_difference(&forward(model, case, device).logits, &case.floats("logits_after_steps"));
    assert!(difference < 2e-4, "{name}: logits after the steps differ by {difference:e}");
}

#[test]
fn the_base_alone_is_another_model() {
    let device = device();
    let case = Case::open("llama_gqa__ada_1");
    let base = load_base(&golden("bases/llama_gqa_s11"), &device).unwrap();
    let difference = max_difference(&forward(&base, &case, &device).logits, &case.floats("logits"));
    assert!(difference > 1e-2, "the adapter changes logits by {difference:e} only");
}
