//! What there is to reproduce, as data: tables and figures, methods, benchmarks, and presets that say with which models
//! and how long.

use crate::{Failure, root};
use serde::{Deserialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fs, path::Path};
use toml::Table;

/// The tables and figures, in the report's order.
pub(crate) const EXPERIMENTS: [&str; 9] =
    ["table1", "table2", "table3", "table4", "table5", "table6", "table7", "figure2", "figure3"];

/// Everything that the files in `xtask/experiments` say.
#[derive(Debug)]
pub(crate) struct Definitions {
    pub(crate) preset: Preset,
    pub(crate) experiments: Vec<Experiment>,
    pub(crate) methods: BTreeMap<String, Method>,
    pub(crate) benchmarks: BTreeMap<String, Benchmark>,
}

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
    /// In the order of running; all where absent.
    pub(crate) experiments: Option<Vec<String>>,
    /// All where absent.
    pub(crate) methods: Option<Vec<String>>,
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
    /// A folder of the workspace, or a name on the hub.
    pub(crate) name: String,
    /// Folder of the workspace with a config.json of its shape.
    pub(crate) shape: String,
}

/// How much of a benchmark there is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Portion {
    /// Folder of the workspace with its files; from the hub where absent.
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

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Benchmark {
    pub(crate) title: String,
    /// Where a local copy of the hub's data sets (`--data`) may have it.
    pub(crate) folders: Vec<String>,
}

/// A table or a figure.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Experiment {
    /// Its file's name.
    #[serde(skip)]
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) about: String,
    #[serde(default)]
    pub(crate) kind: Kind,
    pub(crate) model: String,
    pub(crate) benchmarks: Vec<String>,
    #[serde(default)]
    pub(crate) metrics: Vec<Metric>,
    pub(crate) rows: Vec<Row>,
    /// Methods whose experts fire less from one to the next.
    #[serde(default)]
    pub(crate) descending: Vec<String>,
    /// A method whose experts do not fire.
    pub(crate) collapsed: Option<String>,
    /// Label of the horizontal axis of a figure by methods.
    pub(crate) axis: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Rows of methods by columns of benchmarks or metrics.
    #[default]
    Table,
    /// Settings of the methods.
    Settings,
    /// A figure: experts by layer.
    Layers,
    /// A figure: experts by method.
    Methods,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Metric {
    /// On the items that are reported, with aligned scoring.
    Accuracy,
    /// The same with the published scoring.
    Reference,
    /// On the items that chose the epoch.
    Selection,
    /// Experts that a token fires.
    Active,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) method: String,
    /// In place of the method's name.
    pub(crate) label: Option<String>,
    /// What the paper prints, by column: the benchmark, or the metric where there are several; accuracy in percent.
    #[serde(default)]
    pub(crate) paper: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Method {
    pub(crate) name: String,
    /// Whether the paper does not have it.
    #[serde(default)]
    pub(crate) ours: bool,
    #[serde(default)]
    pub(crate) source: Source,
    pub(crate) family: Option<String>,
    #[serde(default)]
    pub(crate) settings: Table,
}

/// Where a row's numbers are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// A training run.
    #[default]
    Trained,
    /// An evaluation of the base alone.
    Untuned,
    /// The same evaluation's most frequent answer.
    Majority,
}

impl Definitions {
    /// Reads all files of a preset, which name each other rightly.
    pub(crate) fn read(preset: &str) -> Result<Self, Failure> {
        let folder = root().join("xtask/experiments");
        let experiment = |id: &&str| {
            let read: Experiment = read(&folder.join(format!("{id}.toml")))?;
            Ok::<_, Failure>(Experiment { id: (*id).to_owned(), ..read })
        };
        let definitions = Self {
            preset: read(&folder.join(format!("presets/{preset}.toml")))?,
            experiments: EXPERIMENTS.iter().map(experiment).collect::<Result<_, _>>()?,
            methods: read(&folder.join("methods.toml"))?,
            benchmarks: read(&folder.join("benchmarks.toml"))?,
        };
        definitions.validate()?;
        Ok(definitions)
    }

    fn validate(&self) -> Result<(), Failure> {
        let Self { preset, experiments, methods, benchmarks } = self;
        for experiment in experiments {
            let file = format!("{}.toml", experiment.id);
            known(&file, "method", experiment.rows.iter().map(|row| &row.method), methods)?;
            known(&file, "benchmark", &experiment.benchmarks, benchmarks)?;
            known(&file, "method", experiment.descending.iter().chain(&experiment.collapsed), methods)?;
            let columns: BTreeMap<String, ()> = experiment.columns().map(|column| (column.id, ())).collect();
            known(&file, "column", experiment.rows.iter().flat_map(|row| row.paper.keys()), &columns)?;
        }
        known("the preset", "method", preset.methods.iter().flatten().chain(&preset.check.methods), methods)?;
        known("the preset", "benchmark", preset.benchmarks.keys(), benchmarks)?;
        known("methods.toml", "family", methods.values().filter_map(|m| m.family.as_ref()), &preset.families)?;
        let all: BTreeMap<String, ()> = experiments.iter().map(|experiment| (experiment.id.clone(), ())).collect();
        known("the preset", "experiment", preset.experiments.iter().flatten(), &all)
    }

    /// The experiments of the preset, in the order of running.
    pub(crate) fn of_preset(&self) -> impl Iterator<Item = &Experiment> {
        let ids = self.preset.experiments.clone();
        let ids = ids.unwrap_or_else(|| EXPERIMENTS.iter().map(|id| (*id).to_owned()).collect());
        ids.into_iter().filter_map(|id| self.experiments.iter().find(|experiment| experiment.id == id))
    }

    /// How tables call a benchmark.
    pub(crate) fn benchmark_title<'a>(&'a self, benchmark: &'a str) -> &'a str {
        self.benchmarks.get(benchmark).map_or(benchmark, |known| &known.title)
    }

    /// Whether the preset has this method.
    pub(crate) fn has_method(&self, method: &str) -> bool {
        self.preset.methods.as_ref().is_none_or(|methods| methods.iter().any(|name| name == method))
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) id: String,
    pub(crate) benchmark: String,
    pub(crate) metric: Metric,
}

impl Experiment {
    pub(crate) fn columns(&self) -> impl Iterator<Item = Column> {
        let several = self.metrics.len() > 1;
        self.benchmarks.iter().flat_map(move |benchmark| {
            self.metrics.iter().map(move |&metric| Column {
                id: if several { metric.id().to_owned() } else { benchmark.clone() },
                benchmark: benchmark.clone(),
                metric,
            })
        })
    }

    /// `table3` as `Table 3`.
    pub(crate) fn name(&self) -> String {
        let (kind, number) = self.id.split_at(self.id.len() - 1);
        format!("{}{} {number}", kind[..1].to_uppercase(), &kind[1..])
    }
}

impl Metric {
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Reference => "reference",
            Self::Selection => "selection",
            Self::Active => "active",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy (%)",
            Self::Reference => "accuracy, reference scoring (%)",
            Self::Selection => "accuracy where the epoch was chosen (%)",
            Self::Active => "active experts",
        }
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn known<'a, T>(
    file: &str,
    what: &str,
    names: impl IntoIterator<Item = &'a String>,
    all: &BTreeMap<String, T>,
) -> Result<(), Failure> {
    match names.into_iter().find(|name| !all.contains_key(*name)) {
        None => Ok(()),
        Some(name) => {
            let all: Vec<&str> = all.keys().map(String::as_str).collect();
            Err(format!("{file}: {what} {name} is unknown; known: {}", all.join(", ")).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_definitions_are_whole() -> Result<(), Failure> {
        for preset in ["tiny", "smollm2", "paper"] {
            let definitions = Definitions::read(preset)?;
            for experiment in definitions.of_preset() {
                assert!(definitions.preset.models.contains_key(&experiment.model), "{preset} {}", experiment.id);
            }
        }
        Ok(())
    }

    #[test]
    fn columns_are_named_by_what_tells_them_apart() -> Result<(), Failure> {
        let definitions = Definitions::read("tiny")?;
        let columns = |id: &str| -> Vec<String> {
            let experiment = definitions.experiments.iter().find(|experiment| experiment.id == id);
            experiment.into_iter().flat_map(Experiment::columns).map(|column| column.id).collect()
        };
        assert_eq!(columns("table3"), ["boolq", "cb", "copa", "rte", "wic"]);
        assert_eq!(columns("table4"), ["accuracy", "active"]);
        Ok(())
    }

    #[test]
    fn what_is_unknown_is_refused() {
        let all = BTreeMap::from([("lora".to_owned(), ())]);
        let error = known("file", "method", [&"lore".to_owned()], &all).map_err(|error| error.to_string());
        assert_eq!(error, Err("file: method lore is unknown; known: lora".into()));
    }
}
