//! Settings with their defaults filled in, as the steps of a run use them.

use super::{
    Settings,
    declared::{Run, Splits},
};
use crate::cli::{Failure, adapter_settings::AdapterSettings, own_text::OwnText, reading::Reading, weights::Weights};
use adamole::{
    core::{Lora, SettingError, SettingGroup},
    data::{LabelScope, SplitPart},
    llama::{AdapterProducts, Precision, Quantization, WeightTypes},
    train::Recipe,
};
use serde::Serialize;
use std::path::PathBuf;

/// The settings of a run with nothing left open, as its `config.json` records them. Results of long runs are identified
/// by a hash of this, so that names and order stay as they are.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Resolved {
    pub(crate) model: String,
    #[serde(flatten)]
    pub(crate) reading: Reading,
    /// Where training is on text of one's own.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) own_text: Option<OwnText>,
    pub(crate) output: PathBuf,
    pub(crate) device: String,
    /// The number of micro-batches in parallel; it changes no result.
    #[serde(skip)]
    pub(crate) workers: Option<usize>,
    #[serde(flatten)]
    pub(crate) adapter: AdapterSettings,
    pub(crate) recipe: Recipe,
    pub(crate) train_split: SplitPart,
    pub(crate) validation_split: SplitPart,
    pub(crate) report_split: Option<SplitPart>,
    pub(crate) checkpoint_every: usize,
    pub(crate) keep_checkpoints: usize,
    pub(crate) version: &'static str,
    pub(crate) dtype: Precision,
    pub(crate) quantize: Option<Quantization>,
    #[serde(skip_serializing_if = "AdapterProducts::is_default")]
    pub(crate) adapter_products: AdapterProducts,
}

impl Resolved {
    /// Whether any token of a text may have a loss, and not only that of an answer.
    pub(crate) fn any_token_has_a_loss(&self) -> bool {
        self.own_text.is_some() || self.recipe.labels == LabelScope::Text
    }

    /// The types of the base model's weights.
    pub(crate) fn weights(&self) -> WeightTypes {
        WeightTypes { precision: self.dtype, quantization: self.quantize }
    }
}

impl Settings {
    /// Fills in the reference implementation's values, where `compat` asks for them, and the defaults, and checks every
    /// value.
    ///
    /// # Errors
    /// A required setting is absent, or one is not valid.
    pub(crate) fn resolve(self) -> Result<Resolved, Failure> {
        let given = self.with_compat();
        let is_own_text = OwnText::is_meant(&given)?;
        let Self(given) = if is_own_text { OwnText::with_defaults(given) } else { given };
        let adapter = AdapterSettings::resolve(&given)?;
        let recipe = adapter.recipe(&given)?;
        let reading = Reading::from_settings(&given)?;
        reading.validate()?;
        let Run { model, output, device, workers, checkpoint_every, keep_checkpoints } = Run::from_settings(&given)?;
        for (name, value) in [("checkpoint_every", checkpoint_every), ("keep_checkpoints", keep_checkpoints)] {
            if value == 0 {
                return Err(SettingError::invalid(name, value, "an integer of at least 1").into());
            }
        }
        let Weights { dtype, quantize, adapter_products } = Weights::from_settings(&given)?;
        if recipe.chain_links > 1 {
            let expected = match adapter.method.0.name == Lora::KIND.name {
                false => Some("1, for all but a plain LoRA"),
                true if dtype == Precision::Float32 && quantize.is_none() => None,
                true => Some("1, for all but a base in float32, since each link is merged into its weights"),
            };
            if let Some(expected) = expected {
                return Err(SettingError::invalid("chain_links", recipe.chain_links, expected).into());
            }
        }
        let splits = Splits::from_settings(&given)?.checked()?;
        let own_text = is_own_text.then(|| OwnText::from_settings(&given)).transpose()?;
        let run = || PathBuf::from("runs").join(format!("{}-{}-{}", reading.name(), adapter.method, recipe.seed));
        Ok(Resolved {
            output: output.unwrap_or_else(run),
            model,
            reading,
            own_text,
            device,
            workers,
            adapter,
            recipe,
            train_split: splits.train_split,
            validation_split: splits.validation_split,
            report_split: splits.report_split,
            checkpoint_every,
            keep_checkpoints,
            version: env!("CARGO_PKG_VERSION"),
            dtype,
            quantize,
            adapter_products,
        })
    }

    /// The same with the reference implementation's values for what is not given, where `compat` asks for them.
    pub(crate) fn with_compat(self) -> Self {
        if self.get("compat").is_some() { self.or(Self::reference()) } else { self }
    }
}

impl Splits {
    /// The splits within their limits.
    ///
    /// # Errors
    /// Items of training would also measure the run.
    fn checked(self) -> Result<Self, Failure> {
        let train_split = self.train_split.limited(self.limit_train);
        let validation_split = self.validation_split.limited(self.limit_validation);
        match [Some(validation_split), self.report_split].into_iter().flatten().find(|it| train_split.overlaps(*it)) {
            Some(other) => Err(Failure::Usage(format!("{train_split} is trained on and shares items with {other}"))),
            None => Ok(Self { train_split, validation_split, ..self }),
        }
    }
}
