//! `adapter_config.json`: the fields of PEFT for a plain LoRA, those of the reference implementation of AdaMoLE for
//! mixtures, and fields of our own.
//!
//! Settings that differ between linears follow PEFT's convention: the field holds the most frequent value, and a map
//! `<field>_pattern` the other values, by the name of the linear or a regular expression.

mod fields;
mod targets;

use crate::{
    AdapterLayout, AdapterRefusal, ModelConfig, ModelError, ModelWarning, TARGETS, config::activation,
    layout::layer_and_target, regular_file,
};
use adamole_core::{
    AdapterConfig, Lora, Method, MethodKind, MethodSettings, Probability, Rank, Setting, SettingError, SettingKind,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{path::Path, sync::Arc};
use targets::{Patterns, Targeting};

/// The current version of our own fields.
const FORMAT_VERSION: u32 = 1;

/// The fields of the file.
#[derive(Deserialize)]
pub(crate) struct RawAdapterConfig {
    peft_type: String,
    #[serde(alias = "r")]
    lora_rank: usize,
    lora_alpha: f32,
    lora_dropout: Option<f32>,
    #[serde(default)]
    target_modules: Value,
    #[serde(default)]
    exclude_modules: Value,
    #[serde(default)]
    layers_to_transform: Value,
    #[serde(default)]
    layers_pattern: Value,

    rank_pattern: Option<Map<String, Value>>,
    alpha_pattern: Option<Map<String, Value>>,
    use_rslora: Option<bool>,

    format_version: Option<u32>,

    /// The activation of blocks with experts, where it is recorded.
    act_fn: Option<String>,

    /// All fields of the file, including the settings of the method.
    #[serde(skip)]
    given: Map<String, Value>,
}

impl RawAdapterConfig {
    /// Reads the file and checks the fields that do not depend on the model.
    ///
    /// # Errors
    /// The file is not a JSON object, is in the format of MLX, lacks a field, or has an unsupported one.
    pub(crate) fn from_file(path: &Path) -> Result<(Self, Option<ModelWarning>), ModelError> {
        let text = regular_file::read_to_string(path)?;
        let given: Map<String, Value> = serde_json::from_str(&text).map_err(ModelError::json(path))?;
        match given.get("peft_type").and_then(Value::as_str) {
            None if ["lora_parameters", "fine_tune_type"].iter().any(|field| given.contains_key(*field)) => {
                return Err(ModelError::MlxAdapter { path: path.to_owned() });
            }
            Some(other) if MethodKind::by_peft_type(other).is_none() => {
                return Err(ModelError::AdapterField {
                    path: path.to_owned(),
                    field: "peft_type".into(),
                    value: other.to_owned(),
                    refusal: AdapterRefusal::OtherType,
                });
            }
            _ => {}
        }
        let warning = fields::check(path, &given)?;
        let typed: Self = serde_json::from_str(&text).map_err(ModelError::json(path))?;
        Ok((Self { given, ..typed }, warning))
    }

    /// Checks that experts which are whole blocks have the activation of the model's.
    ///
    /// # Errors
    /// They have another one.
    pub(crate) fn check_activation(&self, path: &Path, model: &ModelConfig) -> Result<(), ModelError> {
        match self.act_fn.as_deref().filter(|name| activation(name) != Some(model.activation)) {
            Some(name) => Err(ModelError::unsupported(path, "act_fn", name, "the model's own activation")),
            None => Ok(()),
        }
    }

    /// The adapter layout on a model with these linears.
    ///
    /// # Errors
    /// A field has an unsupported value, or no linear is adapted.
    pub(crate) fn resolve(&self, path: &Path, linears: &[String]) -> Result<AdapterLayout, ModelError> {
        if let Some(version) = self.format_version.filter(|&version| version > FORMAT_VERSION) {
            return Err(ModelError::unsupported(path, "format_version", version, "1, the newest supported version"));
        }
        if !self.lora_alpha.is_finite() {
            return Err(ModelError::unsupported(path, "lora_alpha", self.lora_alpha, "a finite number"));
        }
        let targeting = Targeting {
            path,
            target_modules: &self.target_modules,
            exclude_modules: &self.exclude_modules,
            layers_to_transform: &self.layers_to_transform,
            layers_pattern: &self.layers_pattern,
        };
        let ranks = Patterns::new(path, "rank_pattern", self.rank_pattern.as_ref())?;
        let alphas = Patterns::new(path, "alpha_pattern", self.alpha_pattern.as_ref())?;
        let kind = MethodKind::by_peft_type(&self.peft_type).ok_or_else(|| {
            let known: Vec<&str> = MethodKind::all().map(|kind| kind.peft_type).collect();
            ModelError::unsupported(path, "peft_type", &self.peft_type, known.join(", "))
        })?;
        let own = kind.settings.iter().map(|setting| Own::new(path, kind, setting, &self.given));
        let own = own.collect::<Result<Vec<_>, _>>()?;
        let layout: AdapterLayout = targeting
            .select(linears)?
            .into_iter()
            .map(|name| {
                let rank = ranks.integer(name)?.unwrap_or(self.lora_rank);
                let alpha = alphas.number(name)?.unwrap_or(self.lora_alpha);
                let config = AdapterConfig {
                    method: method(path, kind, &own, name)?,
                    rank: Rank::try_from(rank).map_err(|error| not_valid(path, kind, error))?,
                    // The scale alpha / sqrt(r), of a method without a setting for it, expressed as alpha' / r.
                    alpha: match self.use_rslora {
                        Some(true) if kind.setting("use_rslora").is_none() => alpha * (rank as f32).sqrt(),
                        _ => alpha,
                    },
                    dropout: Probability::try_from(self.lora_dropout.unwrap_or(0.0))
                        .map_err(|error| not_valid(path, kind, error))?,
                };
                Ok((name.clone(), config))
            })
            .collect::<Result<_, ModelError>>()?;
        let fused = linears.iter().any(|name| name.ends_with(".gate_up_proj"));
        layout.divided(fused).map_err(|error| not_valid(path, kind, error))
    }
}

/// The method of a linear, with its settings.
fn method(path: &Path, kind: &MethodKind, own: &[Own<'_>], linear: &str) -> Result<Arc<dyn Method>, ModelError> {
    let values = own.iter().map(|own| Ok((own.setting.name.to_owned(), own.value(linear)?)));
    let settings: MethodSettings = values.collect::<Result<_, ModelError>>()?;
    if !kind.one_of.is_empty() {
        let given: Vec<&str> = kind.one_of.iter().copied().filter(|name| settings.get(name).is_some()).collect();
        if given.len() != 1 {
            let given = if given.is_empty() { "absent".to_owned() } else { given.join(" and ") };
            return Err(ModelError::unsupported(path, kind.one_of.join(", "), given, "exactly one of them"));
        }
    }
    (kind.build)(&settings).map_err(|error| not_valid(path, kind, error))
}

/// The values of a setting of the method in the file.
struct Own<'a> {
    setting: &'static Setting,
    usual: Value,
    of_linears: Patterns<'a>,
}

impl<'a> Own<'a> {
    fn new(
        path: &'a Path,
        kind: &MethodKind,
        setting: &'static Setting,
        given: &'a Map<String, Value>,
    ) -> Result<Self, ModelError> {
        let key = kind.file_key(setting.name);
        let pattern = format!("{key}_pattern");
        let patterns = match given.get(&pattern) {
            None | Some(Value::Null) => None,
            Some(Value::Object(patterns)) => Some(patterns),
            Some(other) => return Err(ModelError::unsupported(path, pattern, other, "an object")),
        };
        let usual = given.get(key).cloned().unwrap_or_default();
        Ok(Self { setting, usual, of_linears: Patterns::new(path, pattern, patterns)? })
    }

    /// The value for a linear; null if there is none.
    fn value(&self, linear: &str) -> Result<Value, ModelError> {
        Ok(match self.setting.kind() {
            SettingKind::Integer => self.of_linears.integer(linear)?.map(Value::from),
            _ => self.of_linears.number(linear)?.map(Value::from),
        }
        .unwrap_or_else(|| self.usual.clone()))
    }
}

/// The error for an invalid setting, with its name in the file.
fn not_valid(path: &Path, kind: &MethodKind, error: SettingError) -> ModelError {
    match error {
        SettingError::Invalid { name, value, expected } => {
            ModelError::unsupported(path, kind.file_key(name), value, expected)
        }
        SettingError::Missing { name, help } => ModelError::unsupported(path, kind.file_key(name), "absent", help),
        other => ModelError::unsupported(path, "peft_type", kind.peft_type, other.to_string()),
    }
}

/// The content of the file, for a layout on a model with these linears.
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
        fields.entry("use_rslora").or_insert(json!(false));
    } else {
        fields.insert("format_version".into(), json!(FORMAT_VERSION));
    }
    json
}

/// The names of the targets if all layers have the same ones, else the names of all adapted linears.
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

/// The most frequent value, the first among equals, and the other values by linear.
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
