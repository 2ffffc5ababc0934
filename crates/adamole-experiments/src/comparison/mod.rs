//! A comparison of methods, which a preset may hold in place of the paper's tables: methods by benchmarks by seeds, each method
//! at the learning rate that did best on items that are not reported.

mod bootstrap;
mod cost_table;
mod costs;
mod grid;
mod judgement;
mod learned;
mod markdown;
mod page;
mod rates;
mod significance;

pub(crate) use costs::measure;
pub(crate) use page::write;
pub(crate) use rates::choose;

use crate::{
    ExperimentError,
    definition::Definitions,
    experiment::{Column, Experiment, Metric, Rate},
    method::Method,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The part `[comparison]` of a preset.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Comparison {
    /// In the order in which they run.
    pub(crate) benchmarks: Vec<String>,
    pub(crate) rates: Rates,
    pub(crate) groups: Vec<Group>,
    /// What else may explain a difference here, in Markdown; the report adds what may in any comparison.
    #[serde(default)]
    pub(crate) confounds: Vec<String>,
    /// Further methods, beside those of `methods.toml`.
    #[serde(default)]
    pub(crate) methods: BTreeMap<String, Method>,
}

/// How the learning rate of a method is chosen: each of the same values is tried, and the best mean accuracy on the items that
/// choose the epoch wins. No run of a reported seed takes part.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rates {
    pub(crate) values: Vec<f64>,
    /// The benchmarks on which they are tried.
    pub(crate) benchmarks: Vec<String>,
    /// The seed of the trials, which is not reported.
    pub(crate) seed: u64,
}

impl Rates {
    /// # Errors
    /// There is no rate, or one that is not above 0 or there twice.
    pub(crate) fn check(&self) -> Result<(), ExperimentError> {
        let values = &self.values;
        let is_valid = |(place, value): (usize, &f64)| *value > 0.0 && !values[..place].contains(value);
        match !values.is_empty() && values.iter().enumerate().all(is_valid) {
            true => Ok(()),
            false => Err(ExperimentError::Rates { values: values.clone() }),
        }
    }
}

/// Methods that are compared with one baseline. The p-values of a group are corrected together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) title: String,
    pub(crate) about: String,
    pub(crate) baseline: String,
    pub(crate) methods: Vec<String>,
}

impl Group {
    /// The baseline, and the methods that are compared with it.
    pub(crate) fn all(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.baseline).chain(self.methods.iter().filter(|method| **method != self.baseline))
    }
}

/// The name of the experiment of the reported cells.
const ACCURACY: &str = "accuracy";

/// The experiment of the reported cells.
fn reported(definitions: &Definitions) -> Option<&Experiment> {
    definitions.experiments.iter().find(|experiment| experiment.id == ACCURACY)
}

impl Comparison {
    /// Every compared method once, in the order of the groups.
    pub(crate) fn rows(&self) -> Vec<String> {
        let mut rows: Vec<String> = Vec::new();
        for method in self.groups.iter().flat_map(Group::all) {
            if !rows.contains(method) {
                rows.push(method.clone());
            }
        }
        rows
    }

    /// The trials of learning rates, and the cells that are reported.
    pub(crate) fn experiments(&self) -> [Experiment; 2] {
        let columns = |names: &[String]| names.iter().cloned().map(Column::of_benchmark).collect();
        let trials = Experiment {
            id: "rates".into(),
            caption: "The choice of learning rates".into(),
            columns: self.rates.benchmarks.iter().flat_map(|name| self.rates.columns(name)).collect(),
            rate: Rate::Trial { seed: self.rates.seed },
            ..Experiment::overview(Metric::Selection, Vec::new(), self.rows())
        };
        let reported = Experiment {
            id: ACCURACY.into(),
            caption: "Accuracy at the chosen learning rates".into(),
            ours: ["majority", "untuned"].map(str::to_owned).into(),
            rate: Rate::Chosen,
            ..Experiment::overview(Metric::Accuracy, columns(&self.benchmarks), self.rows())
        };
        [trials, reported]
    }
}

impl Rates {
    /// The columns in which a benchmark's rates are tried, one for each value.
    fn columns(&self, benchmark: &str) -> Vec<Column> {
        let column = |value: &f64| {
            let mut column = Column::of_benchmark(benchmark.to_owned());
            column.id = format!("{benchmark}:rate={value}");
            column.settings.insert("learning_rate".into(), (*value).into());
            column
        };
        self.values.iter().map(column).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        definition::Definitions,
        plan::{Choice, Key, plan},
    };

    #[test]
    fn the_shipped_comparison_tries_every_rate_before_it_reports_a_benchmark_at_a_time() -> Result<(), crate::TestError>
    {
        let definitions = Definitions::read("methods", None)?;
        let keys = plan(&definitions, &[0, 1, 2], &Choice::default());
        let (trials, reported): (Vec<&Key>, Vec<&Key>) = keys.iter().partition(|key| definitions.is_trial(key));
        let comparison = definitions.preset.comparison.as_ref().ok_or("no comparison")?;
        let (methods, benchmarks) = (comparison.rows().len(), comparison.benchmarks.len());
        assert_eq!((methods, benchmarks), (12, 3));
        assert_eq!(trials.len(), methods * comparison.rates.benchmarks.len() * comparison.rates.values.len());
        assert!(keys[..trials.len()].iter().all(|key| definitions.is_trial(key)), "trials come first");
        assert!(trials.iter().all(|key| Some(key.seed) == definitions.trial_seed()));
        // The untuned base has no seed.
        assert_eq!(reported.len(), 3 * methods * benchmarks + benchmarks);
        let first: Vec<&str> = reported[..=methods].iter().map(|key| key.benchmark.as_str()).collect();
        assert!(first.iter().all(|name| *name == comparison.benchmarks[0]), "{first:?}");
        Ok(())
    }
}
