//! A table or a figure.

use crate::{
    method::{Experts, Method},
    preset::Portion,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};
use toml::{Table, Value};

/// A table or a figure: methods by columns.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Experiment {
    /// The name of its file.
    #[serde(skip)]
    pub(crate) id: String,
    /// The folder to which its paths are relative.
    #[serde(skip)]
    pub(crate) folder: PathBuf,
    pub(crate) caption: String,
    #[serde(default)]
    pub(crate) about: String,
    #[serde(default)]
    pub(crate) kind: Kind,
    /// The preset's model: base, gemma or larger.
    #[serde(default = "base")]
    pub(crate) model: String,
    pub(crate) columns: Vec<Column>,
    #[serde(default)]
    pub(crate) metric: Metric,
    pub(crate) rows: Vec<String>,
    /// Rows below the line, which the paper's table does not have.
    #[serde(default)]
    pub(crate) ours: Vec<String>,
    #[serde(default)]
    pub(crate) claims: Vec<Claim>,
    /// Replaces each column by one for each value of a setting.
    pub(crate) sweep: Option<Sweep>,
    /// Further methods, beside those of `methods.toml`.
    #[serde(default)]
    pub(crate) methods: BTreeMap<String, Method>,
    /// Further benchmarks, with what the preset has for the others.
    #[serde(default)]
    pub(crate) benchmarks: BTreeMap<String, OwnBenchmark>,
    /// Where its learning rates come from.
    #[serde(skip)]
    pub(crate) rate: Rate,
}

/// The origin of the learning rates of an experiment's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Rate {
    /// The settings.
    #[default]
    Set,
    /// The settings, of which the best is chosen: a cell of this seed alone, whose accuracy is of the items that choose.
    Trial { seed: u64 },
    /// The choice of those trials.
    Chosen,
}

fn base() -> String {
    "base".into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Rows of methods by columns.
    #[default]
    Table,
    /// A figure: active experts by layer, a line for each projection.
    Projections,
    /// A figure: active experts by layer, a line for each row.
    Gatings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Metric {
    /// The accuracy on the reported items with aligned scoring.
    #[default]
    Accuracy,
    /// The same with the scoring of the reference implementation.
    Reference,
    /// The accuracy on the items that selected the epoch.
    Selection,
    /// The active experts of a token.
    Active,
}

/// A column: a benchmark with settings.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Written")]
pub(crate) struct Column {
    pub(crate) id: String,
    pub(crate) benchmark: String,
    pub(crate) experts: Experts,
    /// They override those of the method.
    pub(crate) settings: Table,
}

/// A column in the file: the name of a benchmark, or a table.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Name(String),
    Whole(Whole),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    id: String,
    benchmark: String,
    experts: Option<u32>,
    rank: Option<u32>,
    #[serde(default)]
    settings: Table,
}

impl From<Written> for Column {
    fn from(written: Written) -> Self {
        match written {
            Written::Name(name) => Self::of_benchmark(name),
            Written::Whole(Whole { id, benchmark, experts, rank, settings }) => {
                let paper = Experts::default();
                let experts = Experts { number: experts.unwrap_or(paper.number), rank: rank.unwrap_or(paper.rank) };
                Self { id, benchmark, experts, settings }
            }
        }
    }
}

/// A setting and its values.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sweep {
    pub(crate) setting: String,
    pub(crate) values: Vec<Value>,
}

/// A custom benchmark.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnBenchmark {
    pub(crate) title: String,
    /// Its TOML file, relative to the experiment's; `None` for a built-in benchmark.
    pub(crate) file: Option<PathBuf>,
    /// Its data (a folder relative to the experiment's file, or a name on the hub), sizes and settings.
    pub(crate) portion: Portion,
}

/// A claim of the paper about its table or figure, which every report checks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Claim {
    /// The method is above each other row, in the mean over the columns.
    Above { method: String },
    /// The method is above all other rows in each column.
    Best { method: String },
    /// No expert is active, and the accuracy is that of the untuned base.
    FallsToBase { method: String },
    /// Each row has fewer active experts than the one before.
    Descending,
    /// Each row has fewer active experts than the one before in each layer.
    DescendingInEveryLayer,
    /// The lower half of the layers has more active experts than the upper half.
    LowerLayers,
}

impl Claim {
    /// The method of the claim.
    pub(crate) fn method(&self) -> Option<&String> {
        match self {
            Self::Above { method } | Self::Best { method } | Self::FallsToBase { method } => Some(method),
            Self::Descending | Self::DescendingInEveryLayer | Self::LowerLayers => None,
        }
    }

    /// Whether the claim follows from the method, so that a report in which it does not hold is wrong.
    pub(crate) fn is_structural(&self) -> bool {
        matches!(self, Self::Descending | Self::FallsToBase { .. })
    }
}

impl Experiment {
    /// A table that is not defined by a file.
    pub(crate) fn overview(metric: Metric, columns: Vec<Column>, rows: Vec<String>) -> Self {
        Self {
            id: String::new(),
            folder: PathBuf::new(),
            caption: String::new(),
            about: String::new(),
            kind: Kind::Table,
            model: base(),
            columns,
            metric,
            rows,
            ours: Vec::new(),
            claims: Vec::new(),
            sweep: None,
            methods: BTreeMap::new(),
            benchmarks: BTreeMap::new(),
            rate: Rate::Set,
        }
    }

    /// The methods of all rows.
    pub(crate) fn all_rows(&self) -> impl Iterator<Item = &String> {
        self.rows.iter().chain(&self.ours)
    }

    /// The experiment with a column for each swept value.
    pub(crate) fn with_sweep(mut self) -> Self {
        if let Some(Sweep { setting, values }) = &self.sweep {
            let several = self.columns.len() > 1;
            let swept = |column: &Column, value: &Value| {
                let mut column = column.clone();
                let id = format!("{setting}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                column.id = if several { format!("{}:{id}", column.id) } else { id };
                column.settings.insert(setting.clone(), value.clone());
                column
            };
            let columns = self.columns.iter().flat_map(|column| values.iter().map(move |value| swept(column, value)));
            self.columns = columns.collect();
        }
        self
    }

    /// `Table 3` for `table3`; otherwise the id.
    pub(crate) fn name(&self) -> String {
        let is_digit = |letter: char| letter.is_ascii_digit();
        match self.id.trim_end_matches(is_digit) {
            "table" => format!("Table {}", &self.id["table".len()..]),
            "figure" => format!("Figure {}", &self.id["figure".len()..]),
            _ => self.id.clone(),
        }
    }
}

impl Column {
    /// The column of a benchmark with the preset's settings.
    pub(crate) fn of_benchmark(name: String) -> Self {
        Self { id: name.clone(), benchmark: name, experts: Experts::default(), settings: Table::new() }
    }

    /// Whether the column is a benchmark with the preset's settings.
    pub(crate) fn is_benchmark(&self) -> bool {
        self.id == self.benchmark
    }
}

impl Metric {
    /// Whether a larger value is better.
    pub(crate) fn is_ranked(self) -> bool {
        self != Self::Active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_makes_a_column_of_each_value() -> Result<(), crate::TestError> {
        let text = r#"
            caption = "Rates"
            columns = ["copa", "cb"]
            rows = ["lora"]
            sweep = { setting = "learning_rate", values = [1e-4, 3e-4] }
        "#;
        let experiment = toml::from_str::<Experiment>(text)?.with_sweep();
        let ids: Vec<&str> = experiment.columns.iter().map(|column| column.id.as_str()).collect();
        let rates = [
            "copa:learning_rate=0.0001",
            "copa:learning_rate=0.0003",
            "cb:learning_rate=0.0001",
            "cb:learning_rate=0.0003",
        ];
        assert_eq!(ids, rates);
        assert_eq!(experiment.columns[3].settings["learning_rate"].as_float(), Some(3e-4));
        Ok(())
    }

    #[test]
    fn what_is_unknown_is_refused() {
        let error = |more: &str| {
            let text = format!("caption = \"a\"\ncolumns = [\"copa\"]\nrows = [\"lora\"]\n{more}");
            toml::from_str::<Experiment>(&text).map(|_| ()).map_err(|error| error.message().to_owned())
        };
        assert!(error("").is_ok());
        for more in ["metrics = [\"accuracy\"]", "metric = \"speed\"", "[[claims]]\nkind = \"wins\""] {
            assert!(error(more).is_err(), "{more}");
        }
    }
}
