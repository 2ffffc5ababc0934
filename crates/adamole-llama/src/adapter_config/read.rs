//! From the file to a layout: read loosely, checked once.

use super::FORMAT_VERSION;
use crate::{
    AdapterLayout, ModelError,
    layout::{TARGETS, layer_and_target},
};
use adamole_core::{
    AdapterConfig, CapacityFactor, ConfigError, Method, NumExperts, Probability, Rank, Selection, TauMax, TopK, TopP,
};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};

#[derive(Deserialize)]
pub(crate) struct RawAdapterConfig {
    peft_type: String,
    #[serde(alias = "r")]
    lora_rank: usize,
    lora_alpha: f32,
    lora_dropout: Option<f32>,
    target_modules: Value,
    layers_to_transform: Option<Value>,

    num_experts: Option<usize>,
    threshold: Option<f32>,
    top_k: Option<usize>,
    top_p: Option<f32>,
    max_threshold: Option<f32>,
    capacity_factor: Option<f32>,
    gate_dropout: Option<f32>,
    renormalise: Option<bool>,

    rank_pattern: Option<BTreeMap<String, f64>>,
    alpha_pattern: Option<BTreeMap<String, f64>>,
    num_experts_pattern: Option<BTreeMap<String, f64>>,
    top_k_pattern: Option<BTreeMap<String, f64>>,
    threshold_pattern: Option<BTreeMap<String, f64>>,
    use_rslora: Option<bool>,

    format_version: Option<u32>,
    use_dora: Option<bool>,
    lora_bias: Option<bool>,
    bias: Option<String>,
    modules_to_save: Option<Value>,
    target_parameters: Option<Value>,
    trainable_token_indices: Option<Value>,
}

impl RawAdapterConfig {
    pub(crate) fn from_file(path: &Path) -> Result<Self, ModelError> {
        let text = fs::read_to_string(path).map_err(ModelError::io(path))?;
        serde_json::from_str(&text).map_err(ModelError::json(path))
    }

    /// The layout on a model with these linears.
    ///
    /// # Errors
    /// A field has a value that is not implemented, or names a linear that the model has not.
    pub(crate) fn resolve(&self, path: &Path, linears: &[String]) -> Result<AdapterLayout, ModelError> {
        let refused = |field, value: String, expected: &str| ModelError::Unsupported {
            path: path.to_owned(),
            field,
            value,
            expected: expected.to_owned(),
        };
        if let Some(version) = self.format_version.filter(|&version| version > FORMAT_VERSION) {
            return Err(refused("format_version", version.to_string(), "1, which is the newest known here"));
        }
        let is_set = |value: &Option<Value>| value.as_ref().is_some_and(|value| *value != json!([]));
        for (field, used) in [
            ("use_dora", self.use_dora == Some(true)),
            ("lora_bias", self.lora_bias == Some(true)),
            ("bias", self.bias.as_deref().is_some_and(|bias| bias != "none")),
            ("modules_to_save", is_set(&self.modules_to_save)),
            ("target_parameters", is_set(&self.target_parameters)),
            ("trainable_token_indices", is_set(&self.trainable_token_indices)),
        ] {
            if used {
                return Err(refused(field, "set".into(), "an adapter without it"));
            }
        }
        let targeted = self.targeted(path, linears)?;
        let patterns = |field, map: &Option<BTreeMap<String, f64>>| Patterns::new(path, field, map);
        let ranks = patterns("rank_pattern", &self.rank_pattern)?;
        let alphas = patterns("alpha_pattern", &self.alpha_pattern)?;
        let experts = patterns("num_experts_pattern", &self.num_experts_pattern)?;
        let top_ks = patterns("top_k_pattern", &self.top_k_pattern)?;
        let thresholds = patterns("threshold_pattern", &self.threshold_pattern)?;
        targeted
            .into_iter()
            .map(|name| {
                let rank = ranks.get(name).map_or(self.lora_rank, |rank| rank as usize);
                let alpha = alphas.get(name).map_or(self.lora_alpha, |alpha| alpha as f32);
                let own = Own {
                    num_experts: experts.get(name).map(|n| n as usize).or(self.num_experts),
                    top_k: top_ks.get(name).map(|k| k as usize).or(self.top_k),
                    threshold: thresholds.get(name).map(|tau| tau as f32).or(self.threshold),
                };
                let config = AdapterConfig {
                    method: self.method(path, own)?,
                    rank: Rank::try_from(rank).map_err(|error| not_valid(path, error))?,
                    // A scale of alpha / sqrt(r), said as alpha' / r.
                    alpha: if self.use_rslora == Some(true) { alpha * (rank as f32).sqrt() } else { alpha },
                    dropout: Probability::try_from(self.lora_dropout.unwrap_or(0.0))
                        .map_err(|error| not_valid(path, error))?,
                };
                Ok((name.clone(), config))
            })
            .collect()
    }

    fn method(&self, path: &Path, own: Own) -> Result<Method, ModelError> {
        let refused = |field, value: String, expected: &str| ModelError::Unsupported {
            path: path.to_owned(),
            field,
            value,
            expected: expected.to_owned(),
        };
        let invalid = |error| not_valid(path, error);
        let num_experts = || {
            let count = own.num_experts.ok_or_else(|| refused("num_experts", "absent".into(), "an integer"))?;
            NumExperts::try_from(count).map_err(invalid)
        };
        match self.peft_type.as_str() {
            "LORA" => Ok(Method::Lora),
            "MOLE" => {
                let selection = match (own.top_k, own.threshold, self.top_p) {
                    (Some(k), None, None) => Selection::TopK(TopK::try_from(k).map_err(invalid)?),
                    (None, Some(tau), None) => Selection::Threshold(tau),
                    (None, None, Some(share)) => Selection::TopP(TopP::try_from(share).map_err(invalid)?),
                    given => {
                        return Err(refused("top_k, threshold, top_p", format!("{given:?}"), "exactly one of them"));
                    }
                };
                Ok(Method::Mole { num_experts: num_experts()?, selection })
            }
            "ADAMOLE" => Ok(Method::AdaMole {
                num_experts: num_experts()?,
                tau_max: self.max_threshold.map(TauMax::try_from).transpose().map_err(invalid)?,
            }),
            "SIRA" => {
                let top_k = own.top_k.ok_or_else(|| refused("top_k", "absent".into(), "an integer"))?;
                Ok(Method::Sira {
                    num_experts: num_experts()?,
                    top_k: TopK::try_from(top_k).map_err(invalid)?,
                    capacity_factor: self.capacity_factor.map(CapacityFactor::try_from).transpose().map_err(invalid)?,
                    gate_dropout: Probability::try_from(self.gate_dropout.unwrap_or(0.0)).map_err(invalid)?,
                    renormalise: self.renormalise.unwrap_or(false),
                })
            }
            other => Err(refused("peft_type", other.to_owned(), "LORA, MOLE, ADAMOLE or SIRA")),
        }
    }

    /// The linears that `target_modules` and `layers_to_transform` name.
    fn targeted<'a>(&self, path: &Path, linears: &'a [String]) -> Result<Vec<&'a String>, ModelError> {
        let refused = |field, value: &Value, expected: String| ModelError::Unsupported {
            path: path.to_owned(),
            field,
            value: value.to_string(),
            expected,
        };
        let suffixed = |name: &str, target: &str| {
            name.strip_suffix(target).is_some_and(|front| front.is_empty() || front.ends_with('.'))
        };
        let expected = || format!("a list of linears, among them {}", TARGETS.join(", "));
        let mut found: Vec<&String> = match &self.target_modules {
            Value::String(all) if all == "all-linear" => linears.iter().collect(),
            Value::String(pattern) => {
                let pattern = Regex::new(&format!("^(?:{pattern})$"))
                    .map_err(|_| refused("target_modules", &self.target_modules, expected()))?;
                linears.iter().filter(|name| pattern.is_match(name)).collect()
            }
            Value::Array(targets) => {
                for target in targets {
                    let known = |target: &str| linears.iter().any(|name| suffixed(name, target));
                    if !target.as_str().is_some_and(known) {
                        return Err(refused("target_modules", target, expected()));
                    }
                }
                let named = |name: &&String| targets.iter().any(|t| t.as_str().is_some_and(|t| suffixed(name, t)));
                linears.iter().filter(named).collect()
            }
            other => return Err(refused("target_modules", other, expected())),
        };
        if let Some(layers) = self.layers_to_transform.as_ref().filter(|layers| !layers.is_null()) {
            let layers: Vec<usize> = match layers {
                Value::Number(_) => serde_json::from_value(json!([layers])),
                list => serde_json::from_value(list.clone()),
            }
            .map_err(|_| refused("layers_to_transform", layers, "a layer's number, or a list of them".into()))?;
            found.retain(|name| layer_and_target(name).is_some_and(|(layer, _)| layers.contains(&layer)));
        }
        match found.is_empty() {
            true => Err(refused("target_modules", &self.target_modules, expected())),
            false => Ok(found),
        }
    }
}

/// The settings that a linear may have of its own.
struct Own {
    num_experts: Option<usize>,
    top_k: Option<usize>,
    threshold: Option<f32>,
}

/// Values by the names that they belong to, matched as PEFT does: at the end of the linear's name, after a dot.
struct Patterns(Vec<(Regex, f64)>);

impl Patterns {
    fn new(path: &Path, field: &'static str, map: &Option<BTreeMap<String, f64>>) -> Result<Self, ModelError> {
        let patterns = map.iter().flatten().map(|(key, value)| {
            let regex = Regex::new(&format!(r"^(?:.*\.)?(?:{})$", key.trim_start_matches('^')));
            let regex = regex.map_err(|_| ModelError::Unsupported {
                path: path.to_owned(),
                field,
                value: key.clone(),
                expected: "a linear's name or a regular expression".into(),
            })?;
            Ok((regex, *value))
        });
        patterns.collect::<Result<_, _>>().map(Self)
    }

    fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(pattern, _)| pattern.is_match(name)).map(|(_, value)| *value)
    }
}

fn not_valid(path: &Path, error: ConfigError) -> ModelError {
    ModelError::Unsupported {
        path: path.to_owned(),
        field: error.name,
        value: error.value,
        expected: error.expected.to_owned(),
    }
}
