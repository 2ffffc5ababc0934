//! The model families against transformers and PEFT: logits, losses, gradients of a LoRA, and generated text, of every
//! case in a folder. Tolerances are those of the cases.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{AdaMole, AdapterConfig},
    llama::{
        AdapterLayout, CausalLm, Generation, Precision, Targets, TensorFile, load_adapter, load_base, load_base_as,
        merge, save_adapter, save_base,
    },
    train::{Trace, trace},
};
use adamole_tests::{Case, Differences, device, floats, golden, max_difference, values};
use burn::tensor::{DType, Device};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The cases: all in the folder `ADAMOLE_GOLDEN_FAMILIES`, by default those of the repository; of these only the ones that
/// `ADAMOLE_TEST_CASES` names, where it names some.
fn cases() -> Vec<Case> {
    let folder = env::var_os("ADAMOLE_GOLDEN_FAMILIES").map_or_else(|| golden("families"), PathBuf::from);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("case.json").exists());
    folders.sort();
    if let Ok(named) = env::var("ADAMOLE_TEST_CASES") {
        let is_named = |folder: &PathBuf| named.split(',').any(|name| folder.file_name().unwrap() == name);
        if folders.iter().any(is_named) {
            folders.retain(is_named);
        }
    }
    assert!(!folders.is_empty(), "{} has no cases", folder.display());
    folders.into_iter().map(Case::at).collect()
}

fn name(case: &Case) -> String {
    case.folder.file_name().unwrap().to_string_lossy().into_owned()
}

fn pass(case: &Case, model: &CausalLm, device: &Device) -> Trace {
    trace(model, case.batch().on_device(model.config().vocab_size, device).unwrap(), 0.0)
}

/// The logits of positions that are no padding.
fn of_tokens(case: &Case, logits: &[f32]) -> Vec<f32> {
    let mask = case.integers("attention_mask");
    let rows = logits.chunks(logits.len() / mask.len()).zip(&mask);
    rows.filter(|(_, seen)| **seen == 1).flat_map(|(row, _)| row.to_vec()).collect()
}

fn logits(case: &Case, model: &CausalLm, device: &Device) -> Vec<f32> {
    of_tokens(case, &values(pass(case, model, device).logits.into_data()))
}

/// The base with the file that transformers 4 wrote in place of `config.json`.
fn old_base(case: &Case, device: &Device) -> CausalLm {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(case.folder.join("base")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        let name = if name == "config_v4.json" { "config.json".as_ref() } else { name };
        if path.file_name().unwrap() != "config.json" {
            fs::write(folder.path().join(name), fs::read(&path).unwrap()).unwrap();
        }
    }
    load_base(folder.path(), device).unwrap()
}

fn load(case: &Case, device: &Device) -> CausalLm {
    load_base(&case.folder.join("base"), device).unwrap_or_else(|error| panic!("{}: {error}", name(case)))
}

#[test]
fn families_equal_transformers_and_peft() {
    let device = device().autodiff();
    eprintln!("{:24} {}", "largest differences", Differences::HEADER);
    for case in cases() {
        let name = name(&case);
        let tolerance = |kind: &str| case.number(&format!("/tolerance/{kind}")) as f32;
        let mut differences = Differences::default();
        let mut model = load(&case, &device);
        let recorded = of_tokens(&case, &case.floats("logits"));
        let base = pass(&case, &model, &device);
        let ours = of_tokens(&case, &values(base.logits.into_data()));
        differences.check("logits", &name, &ours, &recorded, tolerance("logits_abs"), 0.0);
        let mut loss = |task: Option<f64>, pointer: &str| {
            let expected = [case.number(pointer) as f32];
            differences.check("task loss", &name, &[task.unwrap() as f32], &expected, tolerance("loss_abs"), 0.0);
        };
        loss(base.task_loss, "/ce_loss");

        load_adapter(&mut model, &case.folder.join("adapter")).unwrap();
        let adapted = pass(&case, &model, &device);
        loss(adapted.task_loss, "/adapter_ce_loss");
        let ours = of_tokens(&case, &values(adapted.logits.clone().into_data()));
        let expected = of_tokens(&case, &case.floats("adapter_logits"));
        differences.check("logits", &name, &ours, &expected, tolerance("logits_abs"), 0.0);
        let recorded = TensorFile::open(&case.folder.join("grads.safetensors")).unwrap();
        let gradients = adapted.named_gradients(&model);
        assert_eq!(gradients.len(), recorded.names().len(), "{name}: every recorded gradient, and no other");
        for (key, data) in gradients {
            let (absolute, relative) = (tolerance("grads_abs"), tolerance("grads_rel"));
            let expected = floats(&recorded, &key);
            differences.check("gradients", &format!("{name} {key}"), &values(data), &expected, absolute, relative);
        }
        eprintln!("{name:24} {differences}");
    }
}

#[test]
fn configs_of_transformers_4_and_5_describe_the_same_families() {
    let device = device();
    for case in cases().iter().filter(|case| case.folder.join("base/config_v4.json").exists()) {
        let (new, old) = (logits(case, &load(case, &device), &device), logits(case, &old_base(case, &device), &device));
        assert_eq!(new, old, "{}", name(case));
    }
}

#[test]
fn generated_text_of_families_equals_transformers() {
    let device = device();
    for case in cases() {
        let model = load(&case, &device);
        let prompt = case.integers("prompt_ids").iter().map(|&id| id as u32).collect();
        for (cached, key) in [(true, "generated_ids"), (false, "generated_ids_no_cache")] {
            let expected = case.integers(key);
            let options = Generation { cached, ..Generation::greedy(expected.len(), Vec::new()) };
            let prompts: &[Vec<u32>] = std::slice::from_ref(&prompt);
            let generated = adamole::llama::generate(&model, prompts, &options, &device).unwrap();
            let generated: Vec<i64> = generated[0].iter().map(|&id| i64::from(id)).collect();
            assert_eq!(generated, expected, "{}, cached: {cached}", name(&case));
        }
    }
}

#[test]
fn families_in_bfloat16_are_close_to_transformers() {
    let device = device();
    if !device.supports_dtype(DType::BF16) {
        eprintln!("skipped: this device does not support bfloat16");
        return;
    }
    for case in cases() {
        let model = load_base_as(&case.folder.join("base"), Precision::BFloat16, &device).unwrap();
        let expected = of_tokens(&case, &case.floats("logits"));
        let largest = expected.iter().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
        let difference = max_difference(&logits(&case, &model, &device), &expected) / largest;
        eprintln!("{:24} bfloat16: {difference:.3} of the largest logit", name(&case));
        assert!(difference < 0.25, "{}: {difference}", name(&case));
    }
}

/// Saves with `save`, loads what is there, and compares the logits.
fn round_trip(case: &Case, model: &CausalLm, device: &Device, save: impl Fn(&Path), load: impl Fn(&Path) -> CausalLm) {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path());
    assert_eq!(logits(case, &load(folder.path()), device), logits(case, model, device), "{}", name(case));
}

#[test]
fn models_and_adapters_of_families_are_saved_loaded_and_merged() {
    let device = device();
    for case in cases() {
        let base = load(&case, &device);
        round_trip(&case, &base, &device, |to| save_base(&base, to).unwrap(), |from| load_base(from, &device).unwrap());
        let mut adapted = base.clone();
        load_adapter(&mut adapted, &case.folder.join("adapter")).unwrap();
        let layout = AdapterLayout::uniform(
            AdapterConfig::new(AdaMole { num_experts: 3.try_into().unwrap(), tau_max: None }, 2, 8.0, 0.0).unwrap(),
            &Targets::all(),
            base.config(),
        );
        let mut routed = base.clone();
        routed.adapt(&layout.unwrap(), 1);
        for model in [&adapted, &routed] {
            let load = |from: &Path| {
                let mut model = base.clone();
                load_adapter(&mut model, from).unwrap();
                model
            };
            round_trip(&case, model, &device, |to| save_adapter(model, None, to).unwrap(), load);
        }
        let expected = of_tokens(&case, &case.floats("adapter_logits"));
        let merged = logits(&case, &merge(adapted).unwrap(), &device);
        adamole_tests::assert_close(&name(&case), &merged, &expected, 3e-4, 0.0);
    }
}
