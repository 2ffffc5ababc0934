//! A preset: models, sizes and settings.

use crate::comparison::Comparison;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Table;

/// The models, the amount of data and the settings of all runs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    /// The heading of the report.
    pub(crate) title: String,
    /// The text below the heading.
    pub(crate) about: String,
    pub(crate) seeds: Vec<u64>,
    /// Parallel cells; 0 for the number of cores.
    pub(crate) jobs: usize,
    /// The speed of matrix products in 10^9 operations per second and job, from which times are estimated until cells have been timed.
    pub(crate) gigaflops: f64,
    /// Experiments that run first, in this order; the others follow in the order of the report.
    #[serde(default)]
    pub(crate) first: Vec<String>,
    /// Models and benchmarks that the preset does not have, with the reason.
    #[serde(default)]
    pub(crate) left_out: BTreeMap<String, String>,
    /// By their names in experiments: base, gemma, larger.
    pub(crate) models: BTreeMap<String, Model>,
    /// Settings of every run.
    pub(crate) settings: Table,
    /// Settings by the family of the method, which override those of every run. A comparison has none: it chooses the rates.
    #[serde(default)]
    pub(crate) families: BTreeMap<String, Table>,
    /// The benchmarks that the preset has. Their settings override those of the family.
    pub(crate) benchmarks: BTreeMap<String, Portion>,
    #[serde(default)]
    pub(crate) check: Gains,
    /// Whether adapters are also evaluated with the scoring of the reference implementation.
    #[serde(default = "yes")]
    pub(crate) reference_scoring: bool,
    /// A comparison of methods, in place of the paper's tables and figures.
    pub(crate) comparison: Option<Comparison>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    pub(crate) title: String,
    /// A folder of the source, or of a custom preset.
    pub(crate) folder: Option<String>,
    /// Its name on the hub.
    pub(crate) name: Option<String>,
    /// The command that makes a model with neither.
    pub(crate) made_by: Option<String>,
    /// The hash of `model.safetensors`, if results are valid for one file only.
    pub(crate) sha256: Option<String>,
    /// A well-known model that `adamole estimate --shape` names, or a folder of the source with a config.json.
    pub(crate) shape: String,
}

/// The part of a benchmark that is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Portion {
    /// A folder of the source, or a name on the hub; `None` for the benchmark's own place on the hub.
    pub(crate) data: Option<String>,
    /// The numbers of items that are trained on, that select the epoch and that are reported, for estimates without the files.
    pub(crate) items: Option<[usize; 3]>,
    /// The mean number of tokens of an item, for estimates without the files.
    pub(crate) tokens: Option<usize>,
    #[serde(default)]
    pub(crate) settings: Table,
}

/// The gains over the untuned base that `--check` requires, in accuracy from 0 to 1.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gains {
    /// The least mean gain over the benchmarks, for each of `methods`.
    #[serde(default)]
    pub(crate) mean_gain: f64,
    #[serde(default)]
    pub(crate) methods: Vec<String>,
}
