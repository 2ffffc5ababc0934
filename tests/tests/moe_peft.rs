//! MixLoRA as its authors save it, in both of their spellings.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{AdapterConfig, MixLora, MixLoraPart},
    llama::{
        AdapterLayout, CausalLm, ModelError, ParameterKind, Targets, load_adapter, load_base, save_adapter,
        write_tensors,
    },
};
use adamole_tests::{device, golden, with_random_adapters};
use burn::tensor::TensorData;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::{fs, path::Path};

fn base() -> CausalLm {
    load_base(&golden("families/qwen3_norms/base"), &device()).unwrap()
}

/// MixLoRA on these linears.
fn adapted(targets: &[&str]) -> CausalLm {
    let mixlora =
        MixLora { num_experts: 3.try_into().unwrap(), top_k: 2.try_into().unwrap(), part: MixLoraPart::Attention };
    let config = AdapterConfig::new(mixlora, 2, 4.0, 0.05).unwrap();
    let targets = Targets::try_from(targets.iter().map(|target| (*target).to_owned()).collect::<Vec<_>>()).unwrap();
    let mut model = base();
    model.adapt(&AdapterLayout::uniform(config, &targets, model.config()).unwrap(), 3);
    with_random_adapters(model, 7, 0.1)
}

/// Our key in the spelling of MoE-PEFT, or in that of the published adapters.
fn theirs(key: &str, is_published: bool) -> String {
    let name = key.strip_prefix("base_model.model.model.").unwrap();
    let parts: Vec<&str> = name.split('.').collect();
    let name = match (&parts[..], is_published) {
        ([layers, layer, _, _, "moe_gate", end], false) => format!("{layers}.{layer}.mlp.moe_gate.{end}"),
        ([layers, layer, _, _, "moe_gate", end], true) => format!("{layers}.{layer}.gate.{end}"),
        ([layers, layer, "mlp", linear, "experts", expert, tensor @ ..], true) => {
            format!("{layers}.{layer}.experts.{expert}.{linear}.{}", tensor.join("."))
        }
        _ => name.to_owned(),
    };
    format!("mixlora.{name}")
}

/// Writes an adapter as its authors do.
fn save_as_theirs(model: &CausalLm, targets: &[&str], folder: &Path, is_published: bool) {
    save_adapter(model, None, folder).unwrap();
    let file = folder.join("adapter_model.safetensors");
    let bytes = fs::read(&file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let respelled = tensors.iter().map(|(key, tensor)| {
        let values: Vec<f32> =
            tensor.data().chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        (theirs(key, is_published), TensorData::new(values, tensor.shape().to_vec()))
    });
    let respelled: Vec<(String, TensorData)> = respelled.collect();
    write_tensors(&file, &respelled).unwrap();
    let config = json!({
        "bias": "none", "peft_type": "MIXLORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "base", "r": 2,
        "lora_alpha": 4, "lora_dropout": 0.05, "target_modules": targets, "num_experts": 3, "top_k": 2,
        "routing_strategy": if is_published { "mixtral" } else { "mixlora" },
    });
    write_config(folder, &config);
}

fn write_config(folder: &Path, config: &Value) {
    fs::write(folder.join("adapter_config.json"), config.to_string()).unwrap();
}

#[test]
fn adapters_of_the_authors_are_read_in_both_spellings() {
    for targets in [
        &["q_proj", "v_proj", "gate_proj", "up_proj", "down_proj"][..],
        &["o_proj", "up_proj", "down_proj"],
        &["down_proj"],
    ] {
        let model = adapted(targets);
        for is_published in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            save_as_theirs(&model, targets, folder.path(), is_published);
            let mut loaded = base();
            let layout = load_adapter(&mut loaded, folder.path()).unwrap();
            assert_eq!(layout, model.layout());
            let values = |model: &CausalLm| model.parameter_values(ParameterKind::Adapter);
            assert_eq!(values(&loaded), values(&model), "{targets:?}");
        }
    }
}

#[test]
fn what_the_authors_have_besides_is_refused_by_name() {
    let targets = ["gate_proj", "up_proj", "down_proj"];
    let folder = tempfile::tempdir().unwrap();
    save_as_theirs(&adapted(&targets), &targets, folder.path(), false);
    let config: Value = serde_json::from_slice(&fs::read(folder.path().join("adapter_config.json")).unwrap()).unwrap();
    let with = |field: &str, value: Value| {
        let mut config = config.clone();
        config[field] = value;
        write_config(folder.path(), &config);
        load_adapter(&mut base(), folder.path())
    };
    for (field, value) in [
        ("routing_strategy", json!("mixlora-switch")),
        ("routing_strategy", json!("mixlora-dynamic")),
        ("expert_lora", json!({"r": 8, "lora_alpha": 4})),
        ("expert_capacity", json!(32)),
    ] {
        let error = with(field, value.clone()).expect_err("another mixture");
        assert!(matches!(&error, ModelError::AdapterField { field: named, .. } if named == field), "{error}");
    }
    let error = with("act_fn", json!("gelu")).expect_err("another block").to_string();
    assert!(error.contains("act_fn") && error.contains("the model's own activation"), "{error}");
    with("act_fn", json!("silu")).unwrap();
    with("expert_lora", json!({"r": 2, "lora_alpha": 4, "lora_dropout": 0.05, "bias": "none"})).unwrap();
}
