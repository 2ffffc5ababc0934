//! Adapters as PEFT folders: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! A plain LoRA is written in the form that HF PEFT reads; gated mixtures use the key names and fields of the
//! published AdaMoLE implementation, plus a format version.

use crate::{
    AdapterTensors, CausalLm, ModelError, Targets, TensorFile, TensorMismatch, adapter_keys,
    tensor_file::{write_atomically, write_tensors},
};
use adamole_core::{AdapterConfig, Method, NumExperts, Probability, Rank, TauMax};
use serde::Deserialize;
use serde_json::json;
use std::{collections::BTreeSet, fs, path::Path};

const KEY_PREFIX: &str = "base_model.model.";
const FORMAT_VERSION: u32 = 1;

/// What an adapter folder says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterSpec {
    /// Method, rank, scale and dropout.
    pub config: AdapterConfig,
    /// Which linears are adapted, in every layer.
    pub targets: Targets,
    /// The base it was trained on, by name or path.
    pub base: Option<String>,
}

/// The published config fields, and HF PEFT's for a plain LoRA.
#[derive(Deserialize)]
struct RawSpec {
    peft_type: String,
    #[serde(alias = "r")]
    lora_rank: usize,
    lora_alpha: f32,
    #[serde(default)]
    lora_dropout: f32,
    target_modules: serde_json::Value,
    num_experts: Option<usize>,
    threshold: Option<f32>,
    top_k: Option<usize>,
    max_threshold: Option<f32>,
    base_model_name_or_path: Option<String>,
    format_version: Option<u32>,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    rank_pattern: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    alpha_pattern: serde_json::Map<String, serde_json::Value>,
}

impl AdapterSpec {
    /// Reads and checks `adapter_config.json` in `folder`.
    ///
    /// # Errors
    /// The file is missing or not JSON, lacks a field, or describes an adapter that is not implemented.
    pub fn from_folder(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("adapter_config.json");
        let text = fs::read_to_string(&path).map_err(ModelError::io(&path))?;
        let raw: RawSpec = serde_json::from_str(&text).map_err(ModelError::json(&path))?;
        raw.validate(&path)
    }

    fn to_json(&self) -> serde_json::Value {
        let AdapterConfig { method, rank, alpha, dropout } = self.config;
        let mut json = json!({
            "auto_mapping": null,
            "base_model_name_or_path": self.base,
            "bias": "none",
            "inference_mode": true,
            "init_lora_weights": true,
            "lora_alpha": alpha,
            "lora_dropout": dropout,
            "revision": null,
            "target_modules": self.targets,
            "task_type": "CAUSAL_LM",
        });
        let own = match method {
            Method::Lora => json!({"peft_type": "LORA", "r": rank, "fan_in_fan_out": false, "use_rslora": false}),
            Method::Mole { num_experts, threshold } => json!({
                "peft_type": "MOLE", "lora_rank": rank, "num_experts": num_experts, "threshold": threshold,
                "top_k": null, "format_version": FORMAT_VERSION,
            }),
            Method::AdaMole { num_experts, tau_max } => json!({
                "peft_type": "ADAMOLE", "lora_rank": rank, "num_experts": num_experts, "max_threshold": tau_max,
                "format_version": FORMAT_VERSION,
            }),
        };
        if let (Some(json), serde_json::Value::Object(own)) = (json.as_object_mut(), own) {
            json.extend(own);
        }
        json
    }
}

impl RawSpec {
    fn validate(self, path: &Path) -> Result<AdapterSpec, ModelError> {
        let refused = |field, value: String, expected: String| ModelError::Unsupported {
            path: path.to_owned(),
            field,
            value,
            expected,
        };
        let config_error =
            |error: adamole_core::ConfigError| refused(error.name, error.value, error.expected.to_owned());
        if let Some(version) = self.format_version.filter(|&version| version > FORMAT_VERSION) {
            return Err(refused("format_version", version.to_string(), format!("at most {FORMAT_VERSION}")));
        }
        for (field, used) in [
            ("use_rslora", self.use_rslora),
            ("use_dora", self.use_dora),
            ("rank_pattern", !self.rank_pattern.is_empty()),
            ("alpha_pattern", !self.alpha_pattern.is_empty()),
        ] {
            if used {
                return Err(refused(field, "set".into(), "an adapter without it".into()));
            }
        }
        let targets = serde_json::from_value::<Targets>(self.target_modules.clone())
            .map_err(|error| refused("target_modules", self.target_modules.to_string(), error.to_string()))?;
        let num_experts = || -> Result<NumExperts, ModelError> {
            let experts =
                self.num_experts.ok_or_else(|| refused("num_experts", "absent".into(), "an integer".into()))?;
            experts.try_into().map_err(config_error)
        };
        let method = match self.peft_type.as_str() {
            "LORA" => Method::Lora,
            "MOLE" => match (self.threshold, self.top_k) {
                (Some(threshold), None) => Method::Mole { num_experts: num_experts()?, threshold },
                (_, top_k) => return Err(refused("top_k", format!("{top_k:?}"), "a threshold and no top_k".into())),
            },
            "ADAMOLE" => Method::AdaMole {
                num_experts: num_experts()?,
                tau_max: self.max_threshold.map(TauMax::try_from).transpose().map_err(config_error)?,
            },
            other => return Err(refused("peft_type", other.to_owned(), "LORA, MOLE or ADAMOLE".into())),
        };
        let config = AdapterConfig {
            method,
            rank: Rank::try_from(self.lora_rank).map_err(config_error)?,
            alpha: self.lora_alpha,
            dropout: Probability::try_from(self.lora_dropout).map_err(config_error)?,
        };
        Ok(AdapterSpec { config, targets, base: self.base_model_name_or_path })
    }
}

/// Writes the model's adapters to `folder`, which is created. Each file is written whole or not at all.
///
/// # Errors
/// A file cannot be written.
pub fn save_adapter(model: &CausalLm, spec: &AdapterSpec, folder: &Path) -> Result<(), ModelError> {
    let mut tensors = Vec::new();
    for (name, linear) in model.linears() {
        for (key, data) in linear.adapter.iter().flat_map(|adapter| AdapterTensors::values(adapter).split()) {
            tensors.push((format!("{KEY_PREFIX}{name}.{key}"), data));
        }
    }
    fs::create_dir_all(folder).map_err(ModelError::io(folder))?;
    write_tensors(&folder.join("adapter_model.safetensors"), &tensors)?;
    let path = folder.join("adapter_config.json");
    let config = serde_json::to_string_pretty(&spec.to_json()).map_err(ModelError::json(&path))?;
    write_atomically(&path, format!("{config}\n").as_bytes())
}

/// Puts the adapters of `folder` on the model, in place of any that it has. The model is left as it was on error.
///
/// # Errors
/// A file is missing, truncated or foreign; the config is not supported; or tensors are missing, unexpected or
/// misshaped, in which case all of them are listed.
pub fn load_adapter(model: &mut CausalLm, folder: &Path) -> Result<AdapterSpec, ModelError> {
    let spec = AdapterSpec::from_folder(folder)?;
    let path = folder.join("adapter_model.safetensors");
    let file = TensorFile::open(&path)?;
    let mut adapted = model.clone();
    for (_, linear) in adapted.linears_mut() {
        linear.adapter = None;
    }
    adapted.adapt(spec.config, &spec.targets, 0);

    let mut mismatch = TensorMismatch::default();
    let mut unread: BTreeSet<String> = file.names().into_iter().collect();
    for (name, linear) in adapted.linears() {
        let Some(adapter) = &linear.adapter else { continue };
        for (key, data) in AdapterTensors::values(adapter).split() {
            let key = format!("{KEY_PREFIX}{name}.{key}");
            unread.remove(&key);
            match file.shape(&key) {
                None => mismatch.missing.push(key),
                Some(found) if found != &data.shape()[..] => {
                    mismatch.misshaped.push((key, found.to_vec(), data.shape().to_vec()));
                }
                Some(_) => {}
            }
        }
    }
    // The published implementation stores every expert a second time under this name.
    mismatch.unexpected.extend(unread.into_iter().filter(|key| !key.contains(".moe_layer.")));
    if !mismatch.is_empty() {
        return Err(ModelError::Mismatch { path, what: "adapter", mismatch });
    }
    for (name, linear) in adapted.linears_mut() {
        if let Some(adapter) = &mut linear.adapter {
            adapter_keys::join(adapter, |key| file.floats(&format!("{KEY_PREFIX}{name}.{key}")))?;
        }
    }
    *model = adapted;
    Ok(spec)
}
