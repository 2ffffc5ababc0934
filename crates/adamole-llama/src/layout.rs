//! The adapter layout: which linears of a model are adapted, and with what settings.

use crate::{LinearShapes, ModelConfig};
use adamole_core::{AdapterConfig, AdapterShape, MethodKind, SettingError};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// The linears that can be adapted, by their names in Hugging Face checkpoints, in the order of the forward pass. No model has
/// all of them: where linears are fused, one takes the place of several.
pub(crate) const TARGETS: [&str; 9] =
    ["q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj", "gate_proj", "up_proj", "gate_up_proj", "down_proj"];

/// The linears that are fused in some families, and their parts.
const FUSED: [(&str, &[&str]); 2] =
    [("qkv_proj", &["q_proj", "k_proj", "v_proj"]), ("gate_up_proj", &["gate_proj", "up_proj"])];

/// The linears to adapt in each layer. Naming the parts of a fused linear names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Targets(Vec<&'static str>);

impl Targets {
    /// `q_proj`, `k_proj`, `v_proj` and `o_proj`, as in the paper.
    pub fn attention() -> Self {
        Self(vec!["q_proj", "k_proj", "v_proj", "o_proj"])
    }

    /// All linears of attention and feed-forward block.
    pub fn all() -> Self {
        Self(vec!["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
    }

    /// The linears of a layer of this model that are meant.
    ///
    /// # Errors
    /// The model has no such linear: it has some of the named parts as one linear, or the named one as several.
    fn of(&self, config: &ModelConfig) -> Result<Vec<&'static str>, SettingError> {
        let has = |target: &str| self.0.contains(&target);
        let own = targets(config);
        let missing = |target: &&&'static str| {
            let parts = FUSED.into_iter().find(|(fused, parts)| parts.contains(target) && own.contains(fused));
            match parts {
                Some((fused, parts)) => !has(fused) && !parts.iter().all(|part| has(part)),
                None => !own.contains(target),
            }
        };
        if let Some(target) = self.0.iter().find(missing) {
            let expected = format!("some of {}, the linears of this model", own.join(", "));
            return Err(SettingError::invalid("targets", target, expected));
        }
        let is_meant = |target: &&'static str| {
            has(target) || FUSED.iter().any(|(fused, parts)| fused == target && parts.iter().all(|part| has(part)))
        };
        Ok(own.into_iter().filter(is_meant).collect())
    }
}

impl TryFrom<Vec<String>> for Targets {
    type Error = SettingError;
    fn try_from(names: Vec<String>) -> Result<Self, SettingError> {
        let invalid = |value: &str| SettingError::invalid("targets", value, format!("some of {}", TARGETS.join(", ")));
        if let Some(unknown) = names.iter().find(|name| !TARGETS.contains(&name.as_str())) {
            return Err(invalid(unknown));
        }
        match TARGETS.into_iter().filter(|target| names.iter().any(|name| name == target)).collect::<Vec<_>>() {
            targets if targets.is_empty() => Err(invalid("empty")),
            targets => Ok(Self(targets)),
        }
    }
}

impl From<Targets> for Vec<String> {
    fn from(targets: Targets) -> Self {
        targets.0.into_iter().map(str::to_owned).collect()
    }
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// The adapter settings of each adapted linear, by its name (`model.layers.0.self_attn.q_proj`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AdapterLayout(BTreeMap<String, AdapterConfig>);

impl AdapterLayout {
    /// The same adapter on the targets of all layers of this model.
    ///
    /// # Errors
    /// The model does not have a target.
    pub fn uniform(config: AdapterConfig, targets: &Targets, model: &ModelConfig) -> Result<Self, SettingError> {
        Self::per_layer(&vec![config; model.num_hidden_layers], targets, model)
    }

    /// One adapter for each layer of this model, on its targets.
    ///
    /// # Errors
    /// The model does not have a target, or one that is too small for the adapter.
    pub fn per_layer(configs: &[AdapterConfig], targets: &Targets, model: &ModelConfig) -> Result<Self, SettingError> {
        let targets = targets.of(model)?;
        let shapes = LinearShapes::of(model);
        for (config, target) in configs.iter().flat_map(|config| targets.iter().map(move |target| (config, target))) {
            let ([d_out, d_in], rank) = (shapes.of_target(target), config.rank.get());
            if let Some(expected) = config.method.unfit(AdapterShape { rank, d_in, d_out }) {
                return Err(SettingError::invalid("rank", rank, format!("{expected} (on {target})")));
            }
        }
        let layers = configs.iter().enumerate();
        let linears = layers.flat_map(|(i, config)| targets.iter().map(move |t| (linear_name(i, t), config.clone())));
        Self(linears.collect()).divided(model.fused_linears)
    }

    /// The layout with each linear's part of a method whose parts differ, on a model that has gate and up as one linear or
    /// apart.
    ///
    /// # Errors
    /// The method cannot be on these linears.
    pub(crate) fn divided(mut self, fused_linears: bool) -> Result<Self, SettingError> {
        let mut layers: BTreeMap<usize, Vec<&'static str>> = BTreeMap::new();
        for (layer, target) in self.0.keys().filter_map(|linear| layer_and_target(linear)) {
            layers.entry(layer).or_default().push(target);
        }
        for (linear, config) in &mut self.0 {
            let Some((layer, target)) = layer_and_target(linear) else { continue };
            if let Some(part) = config.method.on(target, &layers[&layer])? {
                config.method = part;
            }
            if fused_linears && config.method.block_choices().is_some() {
                let expected = "linears of a model that has gate_proj and up_proj apart, as of a block with experts";
                return Err(SettingError::invalid("targets", target, expected));
            }
        }
        Ok(self)
    }

    /// The adapter settings of a linear; `None` if it is not adapted.
    pub fn get(&self, linear: &str) -> Option<&AdapterConfig> {
        self.0.get(linear)
    }

    /// Name and settings of every adapted linear.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AdapterConfig)> {
        self.0.iter().map(|(name, config)| (name.as_str(), config))
    }

    /// The method, the same for all linears; `None` if the layout is empty.
    pub fn method(&self) -> Option<&'static MethodKind> {
        self.0.values().next().map(|config| config.method.kind())
    }
}

impl FromIterator<(String, AdapterConfig)> for AdapterLayout {
    fn from_iter<I: IntoIterator<Item = (String, AdapterConfig)>>(linears: I) -> Self {
        Self(linears.into_iter().collect())
    }
}

/// The linears of each layer of a model.
pub(crate) fn targets(config: &ModelConfig) -> Vec<&'static str> {
    let has = |target: &&'static str| {
        FUSED.iter().all(|(fused, parts)| match config.fused_linears {
            true => !parts.contains(target),
            false => fused != target,
        })
    };
    TARGETS.into_iter().filter(has).collect()
}

/// The name of a linear in checkpoints.
pub(crate) fn linear_name(layer: usize, target: &str) -> String {
    let block = if TARGETS[..5].contains(&target) { "self_attn" } else { "mlp" };
    format!("model.layers.{layer}.{block}.{target}")
}

/// The layer and the target of an adaptable linear, by its name; `None` for other names.
pub fn layer_and_target(linear: &str) -> Option<(usize, &'static str)> {
    let (layer, rest) = linear.strip_prefix("model.layers.")?.split_once('.')?;
    let target = rest.rsplit('.').next()?;
    Some((layer.parse().ok()?, TARGETS.into_iter().find(|known| *known == target)?))
}
