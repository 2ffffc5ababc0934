//! A preset: with which models and how long.

use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Table;

/// With which models, on how much, and how the runs are set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    /// Heading of the report.
    pub(crate) title: String,
    /// What the report says below it.
    pub(crate) about: String,
    pub(crate) seeds: Vec<u64>,
    /// Cells side by side; 0 for as many as there are cores.
    pub(crate) jobs: usize,
    /// Matrix products in 10^9 operations a second and job, by which time is estimated until cells have been timed.
    pub(crate) gigaflops: f64,
    /// Those that are run first, in this order; the others follow in the report's.
    #[serde(default)]
    pub(crate) first: Vec<String>,
    /// Models and benchmarks that this preset does not have, with the reason.
    #[serde(default)]
    pub(crate) left_out: BTreeMap<String, String>,
    /// By the name that experiments call them: base, gemma, larger.
    pub(crate) models: BTreeMap<String, Model>,
    /// Of every run.
    pub(crate) settings: Table,
    /// By the family of the method, over those of every run.
    pub(crate) families: BTreeMap<String, Table>,
    /// Those that this preset has, with settings over those of the family.
    pub(crate) benchmarks: BTreeMap<String, Portion>,
    #[serde(default)]
    pub(crate) check: Gains,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    pub(crate) title: String,
    /// A folder of the source, or one that a preset of one's own names.
    pub(crate) folder: Option<String>,
    /// On the hub.
    pub(crate) name: Option<String>,
    /// How a model with neither is made.
    pub(crate) made_by: Option<String>,
    /// Of `model.safetensors`, where results are of one file.
    pub(crate) sha256: Option<String>,
    /// One of `shapes/`, or a folder of the source with a config.json.
    pub(crate) shape: String,
}

/// How much of a benchmark there is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Portion {
    /// Folder of the source with its files, or a name on the hub; the benchmark's own place there where absent.
    pub(crate) data: Option<String>,
    /// Items that are trained on, that choose the epoch, and that are reported, for estimates without the files.
    pub(crate) items: Option<[usize; 3]>,
    /// Tokens of an item, the mean, for the same.
    pub(crate) tokens: Option<usize>,
    #[serde(default)]
    pub(crate) settings: Table,
}

/// What training must have gained over the untuned base for the check to pass, in accuracy from 0 to 1.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gains {
    /// The mean over the benchmarks, for each of `methods`.
    #[serde(default)]
    pub(crate) mean_gain: f64,
    #[serde(default)]
    pub(crate) methods: Vec<String>,
}
