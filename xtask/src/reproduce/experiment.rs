//! The definition of an experiment.

use super::cell::Cell;
use crate::{Failure, root};
use serde::Deserialize;
use std::{fs, path::Path};
use toml::Table;

/// A table of methods by benchmarks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Experiment {
    /// Heading of the report.
    pub(crate) title: String,
    /// What the report says above its table.
    pub(crate) about: String,
    /// Base model, relative to the workspace.
    pub(crate) model: String,
    /// Folder of the benchmarks' folders, relative to the workspace.
    pub(crate) data: String,
    /// Rows of the report.
    pub(crate) benchmarks: Vec<String>,
    /// Columns of the report.
    pub(crate) methods: Vec<Method>,
    /// Settings of every cell, as in a configuration file of the program.
    pub(crate) settings: Table,
    /// What a cell's test accuracy must have gained over the untuned base for the report to pass.
    pub(crate) least_gain: f64,
}

/// A column.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Method {
    /// As the report calls it.
    pub(crate) name: String,
    /// Settings of its cells, over those of the experiment.
    pub(crate) settings: Table,
}

impl Experiment {
    /// Reads `xtask/experiments/NAME.toml`.
    pub(crate) fn read(name: &str) -> Result<Self, Failure> {
        let path = root().join("xtask/experiments").join(format!("{name}.toml"));
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// Every cell, row by row, with its place under `folder`.
    pub(crate) fn cells(&self, folder: &Path) -> Vec<Cell> {
        let data = root().join(&self.data);
        let pairs =
            self.benchmarks.iter().flat_map(|benchmark| self.methods.iter().map(move |method| (benchmark, method)));
        pairs
            .map(|(benchmark, method)| {
                let mut settings = self.settings.clone();
                settings.extend(method.settings.clone());
                settings.insert("model".into(), root().join(&self.model).display().to_string().into());
                settings.insert("data".into(), data.join(benchmark).display().to_string().into());
                settings.insert("benchmark".into(), benchmark.clone().into());
                Cell {
                    benchmark: benchmark.clone(),
                    method: method.name.clone(),
                    folder: folder.join(format!("{benchmark}-{}", method.name.to_lowercase())),
                    settings,
                }
            })
            .collect()
    }
}
