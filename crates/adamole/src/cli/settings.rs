//! The settings of a run, named alike on the command line and in the configuration file. A flag wins over the file,
//! the file over the default.

use super::{
    Failure,
    adapter_settings::{AdapterSettings, MethodName},
    compat::published,
    reading::{Reading, ReadingSettings},
};
use adamole::{
    core::DropoutScope,
    data::{LabelScope, Order, Padding, Split, SplitPart},
    llama::{Allocation, Precision, Quantization, WeightTypes},
    train::{Accumulation, Decay, Recipe},
};
use clap::Args;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Field by field, the first of two that is given.
macro_rules! first_given {
    ($type:ident, $first:ident, $second:ident, { $($field:ident),* $(,)? }) => {
        $type { $($field: $first.$field.or($second.$field),)* }
    };
}
pub(super) use first_given;

/// Every setting, absent where it was not given.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub(crate) struct Settings {
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) reading: ReadingSettings,
    /// Base model: a Hugging Face folder, or org/name[@revision] on the hub
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Folder of the run, which must not hold one [runs/BENCHMARK-METHOD-SEED]
    #[arg(long)]
    pub(crate) output: Option<PathBuf>,
    /// auto, cpu, cuda, vulkan or wgpu, the last three with :INDEX or without; several of a kind, comma-separated, share
    /// every step [auto]
    #[arg(long)]
    pub(crate) device: Option<String>,
    /// Type of the frozen weights: float32, bfloat16 or float16 [float32]
    #[arg(long)]
    pub(crate) dtype: Option<Precision>,
    /// Keep the frozen linears in 8 or 4 bits: int8 or int4 [not]
    #[arg(long)]
    pub(crate) quantize: Option<Quantization>,
    /// Micro-batches side by side [the number of cores on the CPU, 1 on a GPU]
    #[arg(long)]
    pub(crate) workers: Option<usize>,

    /// Method [adamole]
    #[arg(long)]
    pub(crate) method: Option<MethodName>,
    /// Experts on each adapted linear: a number, one for each group of layers (8,6,4,2), or triangle,
    /// inverted-triangle, hourglass, rectangle [8]
    #[arg(long)]
    pub(crate) num_experts: Option<Allocation>,
    /// Rank of one expert, or one for each group of layers [32 for LoRA, 32 / num_experts for mixtures]
    #[arg(long)]
    pub(crate) rank: Option<Allocation>,
    /// The scale is alpha / rank [16]
    #[arg(long)]
    pub(crate) alpha: Option<f32>,
    /// Dropout on the experts' input [0.05]
    #[arg(long)]
    pub(crate) dropout: Option<f32>,
    /// AdaMoLE: upper end of the threshold [1 / num_experts]
    #[arg(long)]
    pub(crate) tau_max: Option<f32>,
    /// MoLE: the fixed threshold [1 / num_experts, where neither top_k nor top_p is given]
    #[arg(long)]
    pub(crate) threshold: Option<f32>,
    /// MoLE and SiRA: experts that a token fires, or one number for each group of layers [SiRA: 2]
    #[arg(long)]
    pub(crate) top_k: Option<Allocation>,
    /// MoLE: the share of the probability that the experts reach together
    #[arg(long)]
    pub(crate) top_p: Option<f32>,
    /// SiRA: tokens that an expert takes from a sequence in training, as a multiple of its even share [1.25]
    #[arg(long)]
    pub(crate) capacity_factor: Option<f32>,
    /// SiRA: dropout on the gate [0.1]
    #[arg(long)]
    pub(crate) gate_dropout: Option<f32>,
    /// SiRA: whether the weights of the experts are scaled to sum to 1 [false]
    #[arg(long)]
    pub(crate) renormalise: Option<bool>,
    /// LoRA: links of a Chain of LoRA, which share out the epochs [1]
    #[arg(long)]
    pub(crate) chain_links: Option<usize>,
    /// Linears to adapt, comma-separated [q_proj,k_proj,v_proj,o_proj]
    #[arg(long, value_delimiter = ',')]
    pub(crate) targets: Option<Vec<String>>,

    /// Passes over the training data [10]
    #[arg(long)]
    pub(crate) epochs: Option<usize>,
    /// Examples per optimizer step [16]
    #[arg(long)]
    pub(crate) batch_size: Option<usize>,
    /// Examples per forward and backward pass [4]
    #[arg(long)]
    pub(crate) micro_batch_size: Option<usize>,
    /// Peak learning rate [1e-4]
    #[arg(long)]
    pub(crate) learning_rate: Option<f64>,
    /// Steps of linear warm-up [200]
    #[arg(long)]
    pub(crate) warmup_steps: Option<usize>,
    /// Whether the warm-up begins with a step of rate 0, as published [true]
    #[arg(long)]
    pub(crate) warmup_from_zero: Option<bool>,
    /// The rate after the warm-up: constant, linear or cosine [constant]
    #[arg(long, value_parser = by_name::<Decay>)]
    pub(crate) decay: Option<Decay>,
    /// How micro-batches make one step: tokens, or micro-batches for a mean of their means, as published [tokens]
    #[arg(long, value_parser = by_name::<Accumulation>)]
    pub(crate) accumulation: Option<Accumulation>,
    /// Decoupled weight decay [0]
    #[arg(long)]
    pub(crate) weight_decay: Option<f32>,
    /// Largest gradient norm [1]
    #[arg(long)]
    pub(crate) max_grad_norm: Option<f32>,
    /// End the run after this many epochs without a better validation [never]
    #[arg(long)]
    pub(crate) patience: Option<usize>,
    /// Steps in a row that are skipped where a loss or gradient is not finite; one more ends the run [3]
    #[arg(long)]
    pub(crate) max_skipped_steps: Option<usize>,
    /// Weight of the load-balancing loss [1e-3; SiRA: 1e-3 num_experts]
    #[arg(long)]
    pub(crate) balance_coefficient: Option<f32>,
    /// Tokens that are trained on: those of the answer, or the whole text, as published [answer]
    #[arg(long)]
    pub(crate) labels: Option<LabelScope>,
    /// Order of the examples: bucketed, or length-grouped, as published [bucketed]
    #[arg(long)]
    pub(crate) order: Option<Order>,
    /// Which experts share a dropout mask: those of a layer, or none (expert), as published [layer]
    #[arg(long, value_parser = by_name::<DropoutScope>)]
    pub(crate) dropout_scope: Option<DropoutScope>,
    /// Where texts are filled up: right, where it counts for nothing, or left, as published [right]
    #[arg(long)]
    pub(crate) padding: Option<Padding>,
    /// Whether activations are computed again in the backward pass: less memory, more time [false]
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    pub(crate) checkpoint_blocks: Option<bool>,
    /// Items that are trained on: a split, or a part of one (train[:200]) [train]
    #[arg(long)]
    pub(crate) train_split: Option<SplitPart>,
    /// Items that choose the epoch, none of which are trained on [validation]
    #[arg(long)]
    pub(crate) validation_split: Option<SplitPart>,
    /// A third split, or a part of one, on which the chosen epoch is reported, apart from the one that chose it [none]
    #[arg(long)]
    pub(crate) report_split: Option<SplitPart>,
    /// Seed of initialisation, order and dropout [0]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Steps between checkpoints; there is one after every validation in any case [200]
    #[arg(long)]
    pub(crate) checkpoint_every: Option<usize>,
    /// Newest checkpoints that are kept [2]
    #[arg(long)]
    pub(crate) keep_checkpoints: Option<usize>,
    /// Use the first N training items only
    #[arg(long)]
    pub(crate) limit_train: Option<usize>,
    /// Use the first N validation items only
    #[arg(long)]
    pub(crate) limit_validation: Option<usize>,
}

/// A value by the name that it has in files.
fn by_name<T: DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(name.to_owned())).map_err(|error| error.to_string())
}

/// `path` as one from `folder`, where it is relative and what it leads to from there `is_meant`.
pub(super) fn located(path: String, folder: &Path, is_meant: fn(&Path) -> bool) -> String {
    let place = folder.join(&path);
    if Path::new(&path).is_relative() && is_meant(&place) { place.display().to_string() } else { path }
}

fn object(settings: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// Settings with nothing left open; what `config.json` of a run records.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Resolved {
    pub(crate) model: String,
    #[serde(flatten)]
    pub(crate) reading: Reading,
    pub(crate) output: PathBuf,
    pub(crate) device: String,
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
}

impl Resolved {
    /// The types of the base.
    pub(crate) fn weights(&self) -> WeightTypes {
        WeightTypes { precision: self.dtype, quantization: self.quantize }
    }
}

impl Settings {
    /// Reads a TOML file with the keys of [`Settings`] and [`ReadingSettings`].
    pub(crate) fn from_file(path: &Path) -> Result<Self, Failure> {
        let usage = |message: String| Failure::Usage(format!("{}: {}", path.display(), message.trim_end()));
        let text = fs::read_to_string(path).map_err(|error| usage(error.to_string()))?;
        let invalid = |error: toml::de::Error| usage(error.to_string());
        // Both read the whole file and take what is theirs, so that errors have their place in it.
        let reading: ReadingSettings = toml::from_str(&text).map_err(invalid)?;
        let settings: Self = toml::from_str(&text).map_err(invalid)?;
        let known: Vec<String> = Self::default().fields().into_iter().map(|(key, _)| key).collect();
        let found: toml::Table = toml::from_str(&text).map_err(invalid)?;
        match found.keys().find(|key| !known.contains(key)) {
            Some(key) => Err(usage(format!("unknown field `{key}`, expected one of: {}", known.join(", ")))),
            None => Ok(Self { reading, ..settings }),
        }
    }

    /// Every setting by its name, null where it was not given.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        let mut all = object(self);
        all.extend(object(&self.reading));
        all
    }

    /// These settings where they are given, `other` where they are not.
    pub(crate) fn or(self, other: Self) -> Self {
        first_given!(Settings, self, other, {
            reading, model, output, device, dtype, quantize, workers, method, num_experts, rank, alpha,
            dropout, tau_max, threshold, top_k, top_p, capacity_factor, gate_dropout, renormalise,
            chain_links, targets, epochs, batch_size, micro_batch_size, learning_rate, warmup_steps, warmup_from_zero, decay, accumulation,
            weight_decay, max_grad_norm, patience, max_skipped_steps, checkpoint_every, keep_checkpoints, balance_coefficient, labels, order, dropout_scope, padding, checkpoint_blocks, train_split, validation_split, report_split, seed, limit_train,
            limit_validation
        })
    }

    /// The same with paths that lead out of `folder`, where they are relative and lead to something there; a name may be one
    /// on the hub.
    pub(crate) fn located_in(self, folder: &Path) -> Self {
        let model = self.model.map(|model| located(model, folder, Path::is_dir));
        Self { model, reading: self.reading.located_in(folder), ..self }
    }

    /// Fills in the defaults and checks every value.
    pub(crate) fn resolve(self) -> Result<Resolved, Failure> {
        match self.reading.compat {
            Some(_) => self.or(published()).filled_in(),
            None => self.filled_in(),
        }
    }

    fn filled_in(self) -> Result<Resolved, Failure> {
        let adapter = AdapterSettings::resolve(&self)?;
        adapter.validate()?;
        let recipe = self.recipe(&adapter);
        recipe.validate()?;
        for (name, value) in [("checkpoint_every", self.checkpoint_every), ("keep_checkpoints", self.keep_checkpoints)]
        {
            if value == Some(0) {
                return Err(Failure::Usage(format!("{name} is 0, expected an integer of at least 1")));
            }
        }
        let required = |value: Option<String>, flag: &str| {
            value.ok_or_else(|| Failure::Usage(format!("--{flag} is needed, here or in the configuration file")))
        };
        let train_split = self.train_split.unwrap_or(Split::Train.into()).limited(self.limit_train);
        let validation_split = self.validation_split.unwrap_or(Split::Validation.into()).limited(self.limit_validation);
        for other in [Some(validation_split), self.report_split].into_iter().flatten() {
            if train_split.overlaps(other) {
                let message = format!("{train_split} is trained on and has items of {other}, which is to measure it");
                return Err(Failure::Usage(message));
            }
        }
        let reading = self.reading.resolve()?;
        let benchmark = Path::new(&reading.benchmark).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let method = adapter.method.as_str();
        let output =
            self.output.unwrap_or_else(|| PathBuf::from("runs").join(format!("{benchmark}-{method}-{}", recipe.seed)));
        Ok(Resolved {
            model: required(self.model, "model")?,
            reading,
            output,
            device: self.device.unwrap_or_else(|| "auto".into()),
            adapter,
            recipe,
            train_split,
            validation_split,
            report_split: self.report_split,
            checkpoint_every: self.checkpoint_every.unwrap_or(200),
            keep_checkpoints: self.keep_checkpoints.unwrap_or(2),
            version: env!("CARGO_PKG_VERSION"),
            dtype: self.dtype.unwrap_or_default(),
            quantize: self.quantize,
        })
    }

    fn recipe(&self, adapter: &AdapterSettings) -> Recipe {
        let default = Recipe::default();
        // SiRA's loss is a mean over experts, where the others' is a sum of N terms.
        let balance_coefficient = match adapter.method {
            MethodName::Sira => default.balance_coefficient * adapter.num_experts.max() as f32,
            _ => default.balance_coefficient,
        };
        Recipe {
            epochs: self.epochs.unwrap_or(default.epochs),
            batch_size: self.batch_size.unwrap_or(default.batch_size),
            micro_batch_size: self.micro_batch_size.unwrap_or(default.micro_batch_size),
            learning_rate: self.learning_rate.unwrap_or(default.learning_rate),
            warmup_steps: self.warmup_steps.unwrap_or(default.warmup_steps),
            warmup_from_zero: self.warmup_from_zero.unwrap_or(default.warmup_from_zero),
            decay: self.decay.unwrap_or(default.decay),
            accumulation: self.accumulation.unwrap_or(default.accumulation),
            weight_decay: self.weight_decay.unwrap_or(default.weight_decay),
            max_grad_norm: self.max_grad_norm.unwrap_or(default.max_grad_norm),
            balance_coefficient: self.balance_coefficient.unwrap_or(balance_coefficient),
            chain_links: self.chain_links.unwrap_or(default.chain_links),
            patience: self.patience,
            max_skipped_steps: self.max_skipped_steps.unwrap_or(default.max_skipped_steps),
            labels: self.labels.unwrap_or(default.labels),
            dropout_scope: self.dropout_scope.unwrap_or(default.dropout_scope),
            padding: self.padding.unwrap_or(default.padding),
            checkpoint_blocks: self.checkpoint_blocks.unwrap_or(default.checkpoint_blocks),
            order: self.order.unwrap_or(default.order),
            seed: self.seed.unwrap_or(default.seed),
        }
    }
}
