//! From the file to a layout: read loosely, checked once.

use super::{
    FORMAT_VERSION, fields,
    targets::{Patterns, Targeting},
};
use crate::{AdapterLayout, AdapterRefusal, ModelError, ModelWarning, regular_file};
use adamole_core::{
    AdapterConfig, METHODS, Method, MethodKind, MethodSettings, Probability, Rank, Setting, SettingError, SettingKind,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{path::Path, sync::Arc};

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

    /// Every field of the file, the method's own among them.
    #[serde(skip)]
    given: Map<String, Value>,
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

    /// The layout on a model with these linears.
    ///
    /// # Errors
    /// A field has a value that is not implemented, or names a linear that the model has not.
    pub(crate) fn resolve(&self, path: &Path, linears: &[String]) -> Result<AdapterLayout, ModelError> {
        if let Some(version) = self.format_version.filter(|&version| version > FORMAT_VERSION) {
            let expected = "1, which is the newest known here";
            return Err(ModelError::unsupported(path, "format_version", version, expected));
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
            let known: Vec<&str> = METHODS.iter().map(|kind| kind.peft_type).collect();
            ModelError::unsupported(path, "peft_type", &self.peft_type, known.join(", "))
        })?;
        let own = kind.settings.iter().map(|setting| Own::new(path, kind, setting, &self.given));
        let own = own.collect::<Result<Vec<_>, _>>()?;
        targeting
            .choose(linears)?
            .into_iter()
            .map(|name| {
                let rank = ranks.integer(name)?.unwrap_or(self.lora_rank);
                let alpha = alphas.number(name)?.unwrap_or(self.lora_alpha);
                let config = AdapterConfig {
                    method: method(path, kind, &own, name)?,
                    rank: Rank::try_from(rank).map_err(|error| not_valid(path, kind, error))?,
                    // A scale of alpha / sqrt(r), said as alpha' / r.
                    alpha: if self.use_rslora == Some(true) { alpha * (rank as f32).sqrt() } else { alpha },
                    dropout: Probability::try_from(self.lora_dropout.unwrap_or(0.0))
                        .map_err(|error| not_valid(path, kind, error))?,
                };
                Ok((name.clone(), config))
            })
            .collect()
    }
}

/// The method of a linear.
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

/// A setting of the method, as the file has it.
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

    /// The value of a linear; null where it has none.
    fn value(&self, linear: &str) -> Result<Value, ModelError> {
        Ok(match self.setting.kind() {
            SettingKind::Integer => self.of_linears.integer(linear)?.map(Value::from),
            _ => self.of_linears.number(linear)?.map(Value::from),
        }
        .unwrap_or_else(|| self.usual.clone()))
    }
}

/// An invalid setting, by its name in the file.
fn not_valid(path: &Path, kind: &MethodKind, error: SettingError) -> ModelError {
    match error {
        SettingError::Invalid { name, value, expected } => {
            ModelError::unsupported(path, kind.file_key(name), value, expected)
        }
        SettingError::Missing { name, help } => ModelError::unsupported(path, kind.file_key(name), "absent", help),
        other => ModelError::unsupported(path, "peft_type", kind.peft_type, other.to_string()),
    }
}
