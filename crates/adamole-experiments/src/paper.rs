//! The numbers of the paper's tables.

use crate::experiment::Experiment;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The paper's tables by their ids.
pub(crate) type Paper = BTreeMap<String, PrintedTable>;

/// One of the paper's tables.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrintedTable {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<PrintedRow>,
}

/// A row with a value for each column, in percent or a number of experts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrintedRow {
    pub(crate) model: String,
    pub(crate) gating: String,
    pub(crate) values: Vec<f64>,
}

impl PrintedTable {
    /// The value in this row and column.
    pub(crate) fn value(&self, model: &str, gating: &str, column: &str) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.model == model && row.gating == gating)?;
        let place = self.columns.iter().position(|name| name == column)?;
        row.values.get(place).copied()
    }

    /// The difference between the paper's table and an experiment with these rows; `None` if they agree.
    pub(crate) fn differences<'a>(
        &self,
        experiment: &Experiment,
        rows: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Option<String> {
        let columns: Vec<&str> = experiment.columns.iter().map(|column| column.id.as_str()).collect();
        let ours: Vec<(&str, &str)> = rows.collect();
        let theirs: Vec<(&str, &str)> = self.rows.iter().map(|row| (row.model.as_str(), row.gating.as_str())).collect();
        let whole = self.rows.iter().all(|row| row.values.len() == self.columns.len());
        if columns != self.columns {
            return Some(format!("columns are {columns:?}, the paper's are {:?}", self.columns));
        }
        if ours != theirs {
            return Some(format!("rows are {ours:?}, the paper's are {theirs:?}"));
        }
        (!whole).then(|| "a row of paper.toml has not one value for each column".into())
    }
}
