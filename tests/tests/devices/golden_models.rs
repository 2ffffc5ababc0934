//! Models against the reference implementation: logits, routing, losses, gradients, parameters after optimizer steps, and
//! generated text. Tolerances are those of the golden files.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    llama::{
        CausalLm, Generation, KEY_PREFIX, Sampling, SamplingSettings, TensorFile, TokenBatch, Visibility,
        adapter_tensors, generate, load_adapter, load_base,
    },
    train::{AdamW, AdamWSettings, Trace, trace},
};
use adamole_tests::{Case, Differences, device, floats, for_every_case, golden, max_difference, values};
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::collections::{BTreeMap, BTreeSet};

const CASES: [&str; 25] = [
    "gemma__ada_1",
    "gemma__lora",
    "gemma__mole_top2",
    "llama2_mha__ada_1",
    "llama2_mha__lora",
    "llama2_mha__mole_top2",
    "llama3__ada_1",
    "llama3_short__ada_1",
    "llama3_short__lora",
    "llama3_short__mole_top2",
    "llama_gqa__ada_1",
    "llama_gqa__ada_2",
    "llama_gqa__ada_3half",
    "llama_gqa__ada_all_linear",
    "llama_gqa__ada_default_qv_coeff05",
    "llama_gqa__ada_half",
    "llama_gqa__ada_max1",
    "llama_gqa__lora",
    "llama_gqa__mole_thr",
    "llama_gqa__mole_top1",
    "llama_gqa__mole_top2",
    "llama_gqa__mole_top3",
    "llama_gqa_tied__ada_1",
    "llama_gqa_tied__lora",
    "llama_gqa_tied__mole_top2",
];

/// The tested cases: all, or those of `ADAMOLE_TEST_CASES`, for devices on which all take too long.
fn cases() -> Vec<&'static str> {
    let Ok(named) = std::env::var("ADAMOLE_TEST_CASES") else { return CASES.to_vec() };
    // The other names are of families.
    let cases: Vec<_> = CASES.into_iter().filter(|case| named.split(',').any(|name| name == *case)).collect();
    assert!(!cases.is_empty(), "no case is in {named}");
    cases
}

/// The forward and backward pass of the reference implementation: padding on the left, hidden by the mask and counted in the
/// auxiliary loss.
fn traced(case: &Case, model: &CausalLm, device: &Device) -> Trace {
    let batch = case.batch().on_device(model.config().vocab_size, device).unwrap();
    trace(model, batch, case.number("/aux_loss_coeff") as f32)
}

fn load(case: &Case, device: &Device) -> CausalLm {
    let base = case.folder.join(case.json["base"].as_str().unwrap());
    let mut model = load_base(&base, device).unwrap();
    load_adapter(&mut model, &case.folder).unwrap();
    model
}

fn strings(json: &serde_json::Value) -> BTreeSet<String> {
    json.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

#[test]
fn models_equal_the_reference_implementation() {
    let device = device().autodiff();
    eprintln!("{:36} {}", "largest differences", Differences::HEADER);
    for_every_case(&cases(), |name| {
        let case = Case::open(name);
        let mut model = load(&case, &device);
        let mut differences = Differences::default();
        let traced = traced(&case, &model, &device);
        compare(name, &case, &model, &traced, &mut differences);
        steps(name, &case, &mut model, &device, &mut differences);
        eprintln!("{name:36} {differences}");
        differences.assert_close();
    });
}

fn compare(name: &str, case: &Case, model: &CausalLm, traced: &Trace, differences: &mut Differences) {
    let logits = values(traced.logits.clone().into_data());
    differences.check("logits", name, &logits, &case.floats("logits"), 1e-4, 0.0);
    let expected = [case.number("/ce_loss") as f32];
    differences.check("task loss", name, &[traced.task_loss.unwrap() as f32], &expected, 1e-5, 0.0);
    let total = traced.total_loss.unwrap() as f32;
    differences.check("total loss", name, &[total], &[case.number("/total_loss") as f32], 1e-5, 0.0);

    if let Some(balance) = traced.balance_loss {
        let expected = [case.number("/aux_loss_total") as f32];
        differences.check("balance loss", name, &[balance as f32], &expected, 1e-5, 1e-6);
    }
    let recorded = case.json["aux_loss_per_module"].as_object().map_or(0, |modules| modules.len());
    assert_eq!(traced.layers.len(), recorded, "{name}: routed linears");
    for (layer, statistics) in traced.layers.iter().zip(&traced.routing.layers) {
        let module = &layer.module;
        let what = format!("{name} {module}");
        let expected = [case.json["aux_loss_per_module"][module].as_f64().unwrap() as f32];
        differences.check("balance loss", &what, &[layer.balance_loss as f32], &expected, 1e-5, 0.0);
        let activation = &case.json["activation"][module];
        let recorded: Vec<f64> =
            activation["count_all"].as_array().unwrap().iter().map(|count| count.as_f64().unwrap()).collect();
        assert_eq!(statistics.active_tokens, recorded, "{what}");
        let mean = activation["mean_active_all"].as_f64().unwrap();
        assert!((layer.mean_active_experts - mean).abs() < 1e-6, "{what}: {mean}");
        let probs = values(layer.routing.scores.probabilities().into_data());
        differences.check("routing", &what, &probs, &case.floats(&format!("route.{module}.probs")), 1e-5, 0.0);
        let selected: Vec<i64> =
            values(layer.routing.active.clone().into_data()).iter().map(|&active| active as i64).collect();
        assert_eq!(selected, case.integers(&format!("route.{module}.selected")), "{what}");
        if let Some(thresholds) = &layer.routing.thresholds {
            let recorded = case.floats(&format!("route.{module}.thresholds"));
            differences.check("routing", &what, &values(thresholds.clone().into_data()), &recorded, 1e-5, 0.0);
        }
    }

    let recorded = TensorFile::open(&case.folder.join("grads.safetensors")).unwrap();
    let ours = traced.named_gradients(model);
    for (key, data) in &ours {
        let expected = floats(&recorded, key);
        differences.check("gradients", &format!("{name} {key}"), &values(data.clone()), &expected, 1e-5, 1e-3);
    }
    assert_eq!(ours.len(), recorded.names().len(), "{name}: every recorded gradient, and no other");
}

/// Repeats the recorded optimizer steps and compares the resulting parameters and logits. Where the reference implementation
/// has no gradient, its optimizer changes neither the parameter nor its step count.
fn steps(name: &str, case: &Case, model: &mut CausalLm, device: &Device, differences: &mut Differences) {
    let mut optimizer = AdamW::new(AdamWSettings::default());
    // The smallest absolute gradient of each element in any step.
    let mut smallest: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    for (i, step) in case.json["optim"]["steps"].as_array().unwrap().iter().enumerate() {
        let traced = traced(case, model, device);
        let expected = step["total_loss"].as_f64().unwrap() as f32;
        let total = traced.total_loss.unwrap() as f32;
        differences.check("loss of steps", &format!("{name} {i}"), &[total], &[expected], 2e-5, 0.0);
        let mut with = BTreeSet::new();
        for (key, data) in traced.named_gradients(model) {
            let gradient = values(data);
            let smallest = smallest.entry(key.clone()).or_insert_with(|| vec![f32::INFINITY; gradient.len()]);
            smallest.iter_mut().zip(gradient).for_each(|(smallest, g)| *smallest = smallest.min(g.abs()));
            with.insert(key);
        }
        assert!(with.is_disjoint(&strings(&step["grad_none"])), "{name}: gradients of step {i}");
        let Trace { gradients, routing, .. } = traced;
        let rate = step["lr"].as_f64().unwrap();
        let norm = optimizer.step(rate, model, gradients.unwrap(), &routing).unwrap();
        let expected = step["grad_norm"].as_f64().unwrap() as f32;
        differences.check("gradient norm", &format!("{name} {i}"), &[norm as f32], &[expected], 1e-5, 1e-4);
    }
    let rates: f32 =
        case.json["optim"]["steps"].as_array().unwrap().iter().map(|s| s["lr"].as_f64().unwrap() as f32).sum();
    let after = TensorFile::open(&case.folder.join("adapter_after_steps.safetensors")).unwrap();
    for (module, linear) in model.linears() {
        for (key, data) in linear.adapter.iter().flat_map(adapter_tensors) {
            let key = format!("{KEY_PREFIX}{module}.{key}");
            let (actual, expected) = (values(data), floats(&after, &key));
            // Parameters without a gradient are unchanged.
            let gradient = smallest.get(&key).cloned().unwrap_or_else(|| vec![1.0; actual.len()]);
            // Adam divides by the size of the gradient, so that a rounding error of 1e-7 changes a step by its share of the
            // gradient. Gradients that consist of rounding errors are left out.
            let kept: Vec<usize> = (0..actual.len()).filter(|&i| gradient[i] > 1e-7).collect();
            for &i in &kept {
                let (allowed, difference) = (2e-5 + rates * 1e-7 / gradient[i], (actual[i] - expected[i]).abs());
                if difference > allowed || difference.is_nan() {
                    differences.fail(format!("{name} {key}[{i}]: {difference:e}, gradient {:e}", gradient[i]));
                }
            }
            let plain: Vec<usize> = kept.into_iter().filter(|&i| gradient[i] > 1e-3).collect();
            let pick = |values: &[f32]| plain.iter().map(|&i| values[i]).collect::<Vec<_>>();
            differences.check("parameters", &format!("{name} {key}"), &pick(&actual), &pick(&expected), 2e-5, 0.0);
        }
    }
    let traced = traced(case, model, device);
    let logits = values(traced.logits.into_data());
    differences.check("logits after", name, &logits, &case.floats("logits_after_steps"), 2e-4, 0.0);
}

#[test]
fn generated_text_equals_the_reference_implementation() {
    let device = device();
    for_every_case(&cases(), |name| {
        let case = Case::open(name);
        let model = load(&case, &device);
        let width = case.tensors.shape("prompt_ids").unwrap()[1];
        let mask = case.integers("prompt_mask");
        let ids = case.integers("prompt_ids");
        let prompts: Vec<Vec<u32>> = ids
            .chunks(width)
            .zip(mask.chunks(width))
            .map(|(ids, mask)| ids.iter().zip(mask).filter(|(_, seen)| **seen == 1).map(|(id, _)| *id as u32).collect())
            .collect();
        let expected = case.integers("generated_ids");
        let count = expected.len() / prompts.len();
        for cached in [true, false] {
            // The recorded generation does not stop at the end token.
            let options = Generation { cached, ..Generation::greedy(count, Vec::new()) };
            let generated = generate(&model, &prompts, &options, &device).unwrap();
            for (row, recorded) in generated.iter().zip(expected.chunks(count)) {
                // The end token, 2, is followed by padding.
                let end = recorded.iter().position(|&id| id == 2).map_or(count, |end| end + 1);
                let recorded: Vec<u32> = recorded[..end].iter().map(|&id| id as u32).collect();
                assert_eq!(row[..end], recorded, "{name}, cached: {cached}");
            }
        }
        let tokens: Vec<u8> = mask.iter().map(|&seen| seen as u8).collect();
        let input: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        let input = Tensor::<2, Int>::from_data(TensorData::new(input, [prompts.len(), width]), &device);
        let mask = Visibility::padded(&tokens, width, 0);
        let hidden = model.hidden(&TokenBatch::new(input, mask), &mut adamole::core::ForwardContext::evaluation());
        let logits = values(model.logits(hidden).into_data());
        let vocabulary = model.config().vocab_size;
        let last: Vec<f32> = (0..prompts.len())
            .flat_map(|row| logits[((row + 1) * width - 1) * vocabulary..][..vocabulary].to_vec())
            .collect();
        let difference = max_difference(&last, &case.floats("prompt_last_logits"));
        assert!(difference < 1e-4, "{name}: last logits differ by {difference:e}");
    });
}

#[test]
fn sampled_text_is_the_same_with_and_without_a_cache() {
    let device = device();
    for name in ["llama_gqa__ada_1", "gemma__mole_top2", "llama3_short__lora"] {
        let model = load(&Case::open(name), &device);
        let prompts = [vec![5, 9, 70], vec![11], vec![1, 2, 3, 4, 5, 6, 7]];
        let draw = |cached, seed| {
            let settings = SamplingSettings { temperature: Some(1.5), top_p: 0.9, seed, ..SamplingSettings::default() };
            let sampling = Sampling::new(settings).unwrap();
            let options = Generation { sampling, cached, ..Generation::greedy(12, vec![2]) };
            generate(&model, &prompts, &options, &device).unwrap()
        };
        assert_eq!(draw(true, 3), draw(false, 3), "{name}");
        assert_ne!(draw(true, 3), draw(true, 4), "{name}");
        // A row does not depend on the other rows of the batch.
        let options = Generation::greedy(12, vec![2]);
        let together = generate(&model, &prompts, &options, &device).unwrap();
        for (prompt, row) in prompts.iter().zip(&together) {
            assert_eq!(generate(&model, std::slice::from_ref(prompt), &options, &device).unwrap()[0], *row, "{name}");
        }
    }
}

#[test]
fn the_base_without_adapter_has_other_logits() {
    let device = device();
    let case = Case::open("llama_gqa__ada_1");
    let base = load_base(&golden("bases/llama_gqa_s11"), &device).unwrap();
    let logits = traced(&case, &base, &device).logits;
    let difference = max_difference(&values(logits.into_data()), &case.floats("logits"));
    assert!(difference > 1e-2, "the adapter changes logits by {difference:e} only");
}
