//! The adapter's part of the settings: a method by name, and what belongs to it.

use super::{Failure, settings::Settings};
use adamole::{
    core::{AdapterConfig, Lora, MethodKind, MethodSettings, SettingError},
    llama::{AdapterLayout, Allocation, Targets},
};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A method by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MethodName {
    /// One low-rank pair
    Lora,
    /// Experts chosen by a fixed rule: top-k, a threshold, or top-p
    Mole,
    /// Experts with a threshold learned per token
    Adamole,
    /// Top-k experts with a limited number of tokens and dropout on the gate
    Sira,
}

impl MethodName {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Lora => "lora",
            Self::Mole => "mole",
            Self::Adamole => "adamole",
            Self::Sira => "sira",
        }
    }
}

/// The largest alpha; those in use are below 1000.
const MAX_ALPHA: f32 = 1e6;
/// The most rows that the experts of a linear have together: more than any model is wide.
const MAX_WIDTH: usize = 1 << 16;

/// The adapter's part of the settings, for any number of layers.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AdapterSettings {
    pub(crate) method: MethodName,
    pub(crate) num_experts: Allocation,
    rank: Allocation,
    alpha: f32,
    dropout: f32,
    tau_max: Option<f32>,
    threshold: Option<f32>,
    top_k: Option<Allocation>,
    top_p: Option<f32>,
    capacity_factor: Option<f32>,
    gate_dropout: Option<f32>,
    renormalise: Option<bool>,
    targets: Targets,
}

impl AdapterSettings {
    /// Fills in the defaults; settings that belong to another method are refused.
    pub(crate) fn resolve(settings: &Settings) -> Result<Self, Failure> {
        let method = settings.method.unwrap_or(MethodName::Adamole);
        let belongs = [
            ("tau_max", settings.tau_max.is_some(), &[MethodName::Adamole][..]),
            ("threshold", settings.threshold.is_some(), &[MethodName::Mole]),
            ("top_k", settings.top_k.is_some(), &[MethodName::Mole, MethodName::Sira]),
            ("top_p", settings.top_p.is_some(), &[MethodName::Mole]),
            ("capacity_factor", settings.capacity_factor.is_some(), &[MethodName::Sira]),
            ("gate_dropout", settings.gate_dropout.is_some(), &[MethodName::Sira]),
            ("renormalise", settings.renormalise.is_some(), &[MethodName::Sira]),
        ];
        if let Some((name, ..)) = belongs.iter().find(|(_, given, methods)| *given && !methods.contains(&method)) {
            return Err(Failure::Usage(format!("{name} is no setting of the method {}", method.as_str())));
        }
        let rules = [settings.threshold.is_some(), settings.top_k.is_some(), settings.top_p.is_some()];
        if rules.iter().filter(|given| **given).count() > 1 {
            return Err(Failure::Usage("threshold, top_k and top_p are rules of which only one can be given".into()));
        }
        let num_experts = match method {
            MethodName::Lora => Allocation::uniform(1),
            _ => settings.num_experts.clone().unwrap_or_else(|| Allocation::uniform(8)),
        };
        let default_rank = (32 / num_experts.max().max(1)).max(1);
        Ok(Self {
            method,
            rank: settings.rank.clone().unwrap_or_else(|| Allocation::uniform(default_rank)),
            num_experts,
            alpha: settings.alpha.unwrap_or(16.0),
            dropout: settings.dropout.unwrap_or(0.05),
            tau_max: settings.tau_max,
            threshold: settings.threshold,
            top_k: settings.top_k.clone(),
            top_p: settings.top_p,
            capacity_factor: settings.capacity_factor,
            gate_dropout: settings.gate_dropout,
            renormalise: settings.renormalise,
            targets: match settings.targets.clone() {
                None => Targets::attention(),
                Some(names) => Targets::try_from(names).map_err(Failure::Usage)?,
            },
        })
    }

    /// Checks every value, before a model is read: each group of layers has a layer among as many as there are groups.
    pub(crate) fn validate(&self) -> Result<(), Failure> {
        let outside = |name: &str, value: &dyn std::fmt::Display, expected: &str| {
            Err(Failure::Usage(format!("{name} is {value}, expected {expected}")))
        };
        // Beyond it gradients, which have the scale alpha / rank, are not finite in 32 bits.
        if !(self.alpha > 0.0 && self.alpha <= MAX_ALPHA) {
            return outside("alpha", &self.alpha, &format!("a number above 0 and at most {MAX_ALPHA}"));
        }
        if let Some(threshold) = self.threshold.filter(|threshold| !(threshold.is_finite() && *threshold >= 0.0)) {
            return outside("threshold", &threshold, "a number of at least 0");
        }
        let (experts, ranks) = (self.num_experts.max(), self.rank.max());
        if experts.saturating_mul(ranks) > MAX_WIDTH {
            let expected = format!("num_experts times rank to be at most {MAX_WIDTH}");
            return outside("rank", &format!("{ranks} with {experts} experts"), &expected);
        }
        let allocations = [Some(&self.num_experts), Some(&self.rank), self.top_k.as_ref()];
        let layers = allocations.into_iter().flatten().map(Allocation::groups).max();
        self.layout(layers.unwrap_or(1)).map(drop)
    }

    /// Why no expert is active under these settings, if that is so: to be said before hours are spent. Nothing is refused,
    /// since the paper's own table has such a row.
    pub(crate) fn never_active(&self) -> Option<String> {
        let experts = self.num_experts.max();
        let threshold = |name: &str, value: Option<f32>| {
            let value = value.filter(|value| *value >= 1.0 && experts > 1)?;
            Some(format!("{name} is {value}: no expert is active where the threshold is far above 1 / num_experts"))
        };
        threshold("tau_max", self.tau_max).or_else(|| threshold("threshold", self.threshold))
    }

    /// The adapters of a model of so many layers.
    pub(crate) fn layout(&self, layers: usize) -> Result<AdapterLayout, Failure> {
        let configs = (0..layers).map(|layer| self.config(layer, layers)).collect::<Result<Vec<_>, _>>();
        let configs = configs.map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(AdapterLayout::per_layer(&configs, &self.targets))
    }

    /// The adapter of the linears of one layer among so many.
    pub(crate) fn config(&self, layer: usize, layers: usize) -> Result<AdapterConfig, SettingError> {
        let kind = MethodKind::by_name(self.method.as_str()).unwrap_or(&Lora::KIND);
        let sira = |value: f32| (self.method == MethodName::Sira).then_some(value);
        let top_k = self.top_k.as_ref().map(|k| k.at(layer, layers)).or(sira(2.0).map(|k| k as usize));
        let values = MethodSettings::new()
            .with("num_experts", self.num_experts.at(layer, layers))
            .with("tau_max", self.tau_max)
            .with("threshold", self.threshold)
            .with("top_k", top_k)
            .with("top_p", self.top_p)
            .with("capacity_factor", self.capacity_factor.or(sira(1.25)))
            .with("gate_dropout", self.gate_dropout.or(sira(0.1)))
            .with("renormalise", self.renormalise);
        let method = (kind.build)(&values)?;
        Ok(AdapterConfig {
            method,
            rank: self.rank.at(layer, layers).try_into()?,
            alpha: self.alpha,
            dropout: self.dropout.try_into()?,
        })
    }
}
