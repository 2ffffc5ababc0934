//! From a layout to the file.

use super::FORMAT_VERSION;
use crate::{
    AdapterLayout,
    layout::{TARGETS, layer_and_target},
};
use adamole_core::{AdapterConfig, Lora};
use serde_json::{Map, Value, json};

/// The file's content for a layout on a model with these linears.
pub(crate) fn to_json(layout: &AdapterLayout, linears: &[String], base: Option<&str>) -> Value {
    let configs: Vec<(&str, &AdapterConfig)> = layout.iter().collect();
    let first = configs.first().map(|(_, config)| *config);
    let kind = first.map_or(&Lora::KIND, |config| config.method.kind());
    let mut json = json!({
        "auto_mapping": null,
        "base_model_name_or_path": base,
        "bias": "none",
        "inference_mode": true,
        "init_lora_weights": true,
        "lora_dropout": first.map(|config| config.dropout),
        "revision": null,
        "target_modules": target_modules(layout, linears),
        "task_type": "CAUSAL_LM",
    });
    let Some(fields) = json.as_object_mut() else { return json };
    fields.insert("peft_type".into(), json!(kind.peft_type));
    let mut patterned = |field: &str, pattern: &str, value: &dyn Fn(&AdapterConfig) -> Value| {
        let (usual, others) = usual_and_others(configs.iter().map(|(name, config)| (*name, value(config))));
        fields.insert(field.to_owned(), usual);
        if !others.is_empty() || pattern == "rank_pattern" || pattern == "alpha_pattern" {
            fields.insert(pattern.to_owned(), Value::Object(others));
        }
    };
    let is_lora = kind.name == Lora::KIND.name;
    patterned(if is_lora { "r" } else { "lora_rank" }, "rank_pattern", &|config| json!(config.rank));
    patterned("lora_alpha", "alpha_pattern", &|config| json!(config.alpha));
    for setting in kind.settings {
        let value = |config: &AdapterConfig| config.method.settings().get(setting.name).cloned().unwrap_or_default();
        let is_extension = kind.file_extensions.contains(&setting.name);
        if !is_extension || configs.iter().any(|(_, config)| !value(config).is_null()) {
            let key = kind.file_key(setting.name);
            patterned(key, &format!("{key}_pattern"), &value);
        }
    }
    if is_lora {
        fields.insert("fan_in_fan_out".into(), json!(false));
        fields.insert("use_rslora".into(), json!(false));
    }
    if !is_lora {
        fields.insert("format_version".into(), json!(FORMAT_VERSION));
    }
    json
}

/// The targets' short names where every layer has the same ones, else the names of all adapted linears.
fn target_modules(layout: &AdapterLayout, linears: &[String]) -> Value {
    let targets: Vec<&str> = TARGETS
        .into_iter()
        .filter(|target| layout.iter().any(|(name, _)| layer_and_target(name).is_some_and(|(_, t)| t == *target)))
        .collect();
    let everywhere = linears
        .iter()
        .filter(|name| layer_and_target(name).is_some_and(|(_, target)| targets.contains(&target)))
        .all(|name| layout.get(name).is_some());
    match everywhere {
        true => json!(targets),
        false => json!(layout.iter().map(|(name, _)| name).collect::<Vec<_>>()),
    }
}

/// The most frequent value, the first among equals, and those that differ from it.
fn usual_and_others<'a>(values: impl Iterator<Item = (&'a str, Value)>) -> (Value, Map<String, Value>) {
    let values: Vec<(&str, Value)> = values.collect();
    let count = |value: &Value| values.iter().filter(|(_, other)| other == value).count();
    let mut usual = (Value::Null, 0);
    for (_, value) in &values {
        let seen = count(value);
        if seen > usual.1 {
            usual = (value.clone(), seen);
        }
    }
    let others = values.iter().filter(|(_, value)| *value != usual.0);
    let others = others.map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    (usual.0, others)
}
