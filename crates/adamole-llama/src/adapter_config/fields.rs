//! The supported fields of `adapter_config.json`. Unless its value is neutral, a field is refused if it changes the
//! computation in a way that is not implemented, or if it is unknown.

use crate::{AdapterRefusal, ModelError, ModelWarning};
use adamole_core::MethodKind;
use serde_json::{Map, Value};
use std::path::Path;

/// The fields of [`RawAdapterConfig`](super::RawAdapterConfig), without the settings of methods.
const READ: [&str; 18] = [
    "peft_type",
    "r",
    "lora_rank",
    "lora_alpha",
    "lora_dropout",
    "use_rslora",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "rank_pattern",
    "alpha_pattern",
    "format_version",
    "init_lora_weights",
    "fan_in_fan_out",
    "routing_strategy",
    "expert_lora",
    "act_fn",
];

/// Whether a field is a setting of a method, or its `_pattern`.
fn is_of_method(field: &str) -> bool {
    let setting = field.strip_suffix("_pattern").unwrap_or(field);
    MethodKind::all().any(|kind| kind.settings.iter().any(|own| kind.file_key(own.name) == setting))
}

/// Fields about the origin, the initialisation and the training of an adapter. They do not change the computation.
const HARMLESS: [&str; 34] = [
    "auto_mapping",
    "author",
    "base_model_name_or_path",
    "comment",
    "corda_config",
    "created_at",
    "description",
    "dtype",
    "ensure_weight_tying",
    "eva_config",
    "inference_mode",
    "language",
    "library_name",
    "license",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "merge_weights",
    "model_type",
    "name",
    "parent_library",
    "peft_version",
    "pipeline_tag",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "tags",
    "task_type",
    "torch_dtype",
    "transformers_version",
    "unsloth_fixed",
    "unsloth_version",
    "velora_config",
    "_name_or_path",
];

/// PEFT's fields that change the computation in a way that is not implemented.
const REFUSED: [(&str, AdapterRefusal); 19] = [
    ("use_dora", AdapterRefusal::OtherMethod),
    ("use_qalora", AdapterRefusal::OtherMethod),
    ("use_bdlora", AdapterRefusal::OtherMethod),
    ("arrow_config", AdapterRefusal::OtherMethod),
    ("kasa_config", AdapterRefusal::OtherMethod),
    ("monteclora_config", AdapterRefusal::OtherMethod),
    ("megatron_config", AdapterRefusal::OtherMethod),
    ("enable_lora", AdapterRefusal::OtherMethod),
    ("alora_invocation_tokens", AdapterRefusal::PartOfTokens),
    ("alora_invocation_string", AdapterRefusal::PartOfTokens),
    ("invocation_string", AdapterRefusal::PartOfTokens),
    ("invocation_tokens", AdapterRefusal::PartOfTokens),
    ("bias", AdapterRefusal::OtherParameters),
    ("lora_bias", AdapterRefusal::OtherParameters),
    ("modules_to_save", AdapterRefusal::OtherParameters),
    ("target_parameters", AdapterRefusal::OtherParameters),
    ("trainable_token_indices", AdapterRefusal::OtherParameters),
    ("additional_trainable_modules", AdapterRefusal::OtherParameters),
    ("layer_replication", AdapterRefusal::OtherLayers),
];

/// Fields of which PEFT uses the defaults for an empty object.
const SET_BY_AN_EMPTY_OBJECT: [&str; 4] = ["use_bdlora", "arrow_config", "kasa_config", "monteclora_config"];

/// Checks all fields. Returns a warning about a field that is ignored, as PEFT does.
pub(super) fn check(path: &Path, fields: &Map<String, Value>) -> Result<Option<ModelWarning>, ModelError> {
    let refused = |field: &str, value: &Value, refusal| ModelError::AdapterField {
        path: path.to_owned(),
        field: field.to_owned(),
        value: shown(value),
        refusal,
    };
    // Known fields first: their errors say more than that a field is unknown.
    for (field, refusal) in REFUSED {
        if let Some(value) = fields.get(field).filter(|value| !is_neutral(field, value)) {
            return Err(refused(field, value, refusal));
        }
    }
    if let Some((value, refusal)) = fields.get("init_lora_weights").and_then(|value| Some((value, changed_by(value)?)))
    {
        return Err(refused("init_lora_weights", value, refusal));
    }
    if let Some((field, value)) = other_mixture(fields) {
        return Err(refused(field, value, AdapterRefusal::OtherMethod));
    }
    let is_known = |field: &str| READ.contains(&field) || HARMLESS.contains(&field) || is_of_method(field);
    if let Some((field, value)) = fields.iter().find(|(field, value)| !is_known(field) && !is_neutral(field, value)) {
        return Err(refused(field, value, AdapterRefusal::Unknown));
    }
    let transposed = fields.get("fan_in_fan_out").is_some_and(|value| !is_neutral("fan_in_fan_out", value));
    let what = "fan_in_fan_out is set, but the linears of this model family are not transposed; it is ignored";
    Ok(transposed.then(|| ModelWarning { path: path.to_owned(), what: what.into() }))
}

/// What MoE-PEFT records of a mixture that is not the one of the paper: another routing, or experts whose LoRA is not that of
/// attention.
fn other_mixture(fields: &Map<String, Value>) -> Option<(&str, &Value)> {
    const ROUTING: [&str; 2] = ["mixlora", "mixtral"];
    let routing = fields.get_key_value("routing_strategy").filter(|(_, value)| {
        !is_neutral("routing_strategy", value) && value.as_str().is_none_or(|name| !ROUTING.contains(&name))
    });
    let experts = fields.get_key_value("expert_lora").filter(|(_, experts)| {
        let same = |(field, value): (&String, &Value)| is_neutral(field, value) || fields.get(field) == Some(value);
        !experts.as_object().is_some_and(|own| own.iter().all(same))
    });
    routing.or(experts).map(|(field, value)| (field.as_str(), value))
}

/// Why an initialisation of an adapter is refused; `None` if it leaves the base unchanged.
fn changed_by(start: &Value) -> Option<AdapterRefusal> {
    let Some(name) = start.as_str() else {
        return (!start.is_boolean() && !start.is_null()).then_some(AdapterRefusal::Unknown);
    };
    match name.to_ascii_lowercase().as_str() {
        "gaussian" | "eva" | "orthogonal" | "mica" | "default" | "true" | "false" => None,
        "loftq" => Some(AdapterRefusal::QuantizedBase),
        "olora" | "corda" | "lora_ga" => Some(AdapterRefusal::ChangedBase),
        other if other.starts_with("pissa") => Some(AdapterRefusal::ChangedBase),
        _ => Some(AdapterRefusal::Unknown),
    }
}

/// Whether a value of a field changes nothing.
fn is_neutral(field: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || (field == "bias" && text == "none"),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty() && !SET_BY_AN_EMPTY_OBJECT.contains(&field),
    }
}

/// A value, shortened.
fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(field: &str, value: Value) -> Option<AdapterRefusal> {
        match check(Path::new("adapter_config.json"), json!({field: value}).as_object()?) {
            Err(ModelError::AdapterField { refusal, .. }) => Some(refusal),
            _ => None,
        }
    }

    #[test]
    fn fields_that_change_the_computation_are_refused_unless_neutral() {
        for (field, expected) in REFUSED {
            for neutral in [json!(null), json!(false), json!([]), json!("")] {
                assert_eq!(refusal(field, neutral), None, "{field}");
            }
            for set in [json!(true), json!([1]), json!({"a": 1}), json!("all"), json!(2)] {
                assert_eq!(refusal(field, set), Some(expected), "{field}");
            }
        }
        assert_eq!(refusal("bias", json!("none")), None);
        assert_eq!(refusal("kasa_config", json!({})), Some(AdapterRefusal::OtherMethod));
    }

    #[test]
    fn unknown_fields_are_refused_unless_neutral() {
        for value in [json!(1), json!("x"), json!({"x": null}), json!(true), json!([0])] {
            assert_eq!(refusal("lora_ultra", value), Some(AdapterRefusal::Unknown));
        }
        for value in [json!(0), json!(0.0), json!(""), json!({}), json!(null)] {
            assert_eq!(refusal("lora_ultra", value), None);
        }
    }

    #[test]
    fn initialisations_that_change_the_base_are_refused() {
        for start in ["pissa", "PiSSA", "pissa_niter_16", "olora", "corda", "lora_ga"] {
            assert_eq!(refusal("init_lora_weights", json!(start)), Some(AdapterRefusal::ChangedBase), "{start}");
        }
        assert_eq!(refusal("init_lora_weights", json!("loftq")), Some(AdapterRefusal::QuantizedBase));
        assert_eq!(refusal("init_lora_weights", json!("milora")), Some(AdapterRefusal::Unknown));
        for start in [json!(true), json!(false), json!(null), json!("gaussian"), json!("eva"), json!("orthogonal")] {
            assert_eq!(refusal("init_lora_weights", start), None);
        }
    }
}
