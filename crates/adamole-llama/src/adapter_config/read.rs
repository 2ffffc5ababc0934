//! From the file to a layout: read loosely, checked once.

use super::{
    FORMAT_VERSION, fields,
    targets::{Patterns, Targeting},
};
use crate::{AdapterLayout, AdapterRefusal, ModelError, ModelWarning, regular_file};
use adamole_core::{
    AdapterConfig, CapacityFactor, Method, NumExperts, Probability, Rank, Selection, SettingError, TauMax, TopK, TopP,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;

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

    num_experts: Option<usize>,
    threshold: Option<f32>,
    top_k: Option<usize>,
    top_p: Option<f32>,
    max_threshold: Option<f32>,
    capacity_factor: Option<f32>,
    gate_dropout: Option<f32>,
    renormalise: Option<bool>,

    rank_pattern: Option<Map<String, Value>>,
    alpha_pattern: Option<Map<String, Value>>,
    num_experts_pattern: Option<Map<String, Value>>,
    top_k_pattern: Option<Map<String, Value>>,
    threshold_pattern: Option<Map<String, Value>>,
    use_rslora: Option<bool>,

    format_version: Option<u32>,
}

impl RawAdapterConfig {
    /// Reads the file and checks the fields that the layout does not depend on.
    ///
    /// # Errors
    /// It is no JSON object, is MLX's, lacks a field, or has one that would change the computation.
    pub(crate) fn from_file(path: &Path) -> Result<(Self, Option<ModelWarning>), ModelError> {
        let text = regular_file::read_to_string(path)?;
        let given: Map<String, Value> = serde_json::from_str(&text).map_err(ModelError::json(path))?;
        match given.get("peft_type").and_then(Value::as_str) {
            None if ["lora_parameters", "fine_tune_type"].iter().any(|field| given.contains_key(*field)) => {
                return Err(ModelError::MlxAdapter { path: path.to_owned() });
            }
            Some(other) if !fields::TYPES.contains(&other) => {
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
        Ok((serde_json::from_str(&text).map_err(ModelError::json(path))?, warning))
    }

    /// The layout on a model with these linears.
    ///
    /// # Errors
    /// A field has a value that is not implemented, or names a linear that the model has not.
    pub(crate) fn resolve(&self, path: &Path, linears: &[String]) -> Result<AdapterLayout, ModelError> {
        if let Some(version) = self.format_version.filter(|&version| version > FORMAT_VERSION) {
            let expected = "1, which is the newest known here";
            return Err(ModelError::unsupported(path, "format_version", version, expected));
        }
        for (field, value) in [("lora_alpha", Some(self.lora_alpha)), ("threshold", self.threshold)] {
            if let Some(value) = value.filter(|value| !value.is_finite()) {
                return Err(ModelError::unsupported(path, field, value, "a finite number"));
            }
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
        let experts = Patterns::new(path, "num_experts_pattern", self.num_experts_pattern.as_ref())?;
        let top_ks = Patterns::new(path, "top_k_pattern", self.top_k_pattern.as_ref())?;
        let thresholds = Patterns::new(path, "threshold_pattern", self.threshold_pattern.as_ref())?;
        targeting
            .choose(linears)?
            .into_iter()
            .map(|name| {
                let rank = ranks.integer(name)?.unwrap_or(self.lora_rank);
                let alpha = alphas.number(name)?.unwrap_or(self.lora_alpha);
                let own = Own {
                    num_experts: experts.integer(name)?.or(self.num_experts),
                    top_k: top_ks.integer(name)?.or(self.top_k),
                    threshold: thresholds.number(name)?.or(self.threshold),
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
        let refused =
            |field: &str, value: String, expected: &str| ModelError::unsupported(path, field, value, expected);
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
}

/// The settings that a linear may have of its own.
struct Own {
    num_experts: Option<usize>,
    top_k: Option<usize>,
    threshold: Option<f32>,
}

fn not_valid(path: &Path, error: SettingError) -> ModelError {
    match error {
        SettingError::Invalid { name, value, expected } => ModelError::unsupported(path, name, value, expected),
        other => ModelError::unsupported(path, "peft_type", other, "settings of one method"),
    }
}
