//! The cells of a study in the order in which they run.

use crate::ExperimentError;
use crate::{
    definition::{Definitions, known},
    experiment::{Column, Experiment, Rate},
    method::Source,
};
use std::collections::BTreeSet;

/// The key of a cell: a model, a benchmark, a method and a seed. Tables and figures with the same key share the cell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) model: String,
    pub(crate) benchmark: String,
    pub(crate) method: String,
    pub(crate) seed: u64,
}

/// A selection of cells. An empty list selects all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choice {
    pub(crate) experiments: Vec<String>,
    pub(crate) benchmarks: Vec<String>,
    /// Each with the variants of all columns.
    pub(crate) methods: Vec<String>,
    pub(crate) cells: Vec<String>,
}

impl Key {
    /// The name of its files.
    pub(crate) fn id(&self) -> String {
        let Self { model, benchmark, method, seed } = self;
        format!("{model}.{benchmark}.{method}.{seed}")
    }
}

/// The selected cells: all of a seed before the next seed, and within a seed benchmark by benchmark, so that methods can be compared
/// early.
pub(crate) fn plan(definitions: &Definitions, seeds: &[u64], choice: &Choice) -> Vec<Key> {
    let mut seen = BTreeSet::new();
    let mut keys = Vec::new();
    for &seed in seeds {
        for experiment in definitions.in_running_order().filter(|known| asks(&choice.experiments, &known.id)) {
            let places = experiment.columns.iter().filter(|column| asks(&choice.benchmarks, &column.benchmark));
            let places = places.flat_map(|column| experiment.all_rows().map(move |row| (column, row)));
            keys.extend(places.filter_map(|(column, row)| {
                let key = key(definitions, experiment, column, row, seed)?;
                let asked = |name: &String| *name == key.method || name == row;
                let wanted =
                    (choice.methods.is_empty() || choice.methods.iter().any(asked)) && asks(&choice.cells, &key.id());
                (wanted && seen.insert(key.clone())).then_some(key)
            }));
        }
    }
    keys
}

/// The cell with the numbers of a row in a column; `None` if the preset does not have it.
pub(crate) fn key(
    definitions: &Definitions,
    experiment: &Experiment,
    column: &Column,
    method: &str,
    seed: u64,
) -> Option<Key> {
    let preset = &definitions.preset;
    let there = preset.models.contains_key(&experiment.model) && preset.benchmarks.contains_key(&column.benchmark);
    let key = |method: &str, seed| Key {
        model: experiment.model.clone(),
        benchmark: column.benchmark.clone(),
        method: method.to_owned(),
        seed,
    };
    match definitions.methods.get(method)?.source {
        _ if !there => None,
        // The untuned base has no seed.
        Source::Untuned | Source::Majority => Some(key("untuned", 0)),
        Source::Trained => {
            let variant = definitions.variant(experiment, &column.id, method);
            let seed = if let Rate::Trial { seed } = experiment.rate { seed } else { seed };
            Some(key(variant.map_or(method, |variant| &variant.name), seed))
        }
    }
}

impl Choice {
    /// Checks that all names are known.
    pub(crate) fn validate(&self, definitions: &Definitions, seeds: &[u64]) -> Result<(), ExperimentError> {
        let methods = definitions.methods.keys().chain(definitions.variants().map(|variant| &variant.name));
        let cells: Vec<String> = plan(definitions, seeds, &Self::default()).iter().map(Key::id).collect();
        let experiments = definitions.experiments.iter().map(|experiment| &experiment.id);
        known("--table or --figure", "experiment", &self.experiments, experiments)?;
        known("--benchmark", "benchmark", &self.benchmarks, definitions.benchmarks.keys())?;
        known("--method", "method", &self.methods, methods)?;
        known("--cell", "cell", &self.cells, &cells)
    }
}

fn asks(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|asked| asked == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(experiment: &str) -> Choice {
        Choice { experiments: vec![experiment.into()], ..Choice::default() }
    }

    #[test]
    fn every_cell_is_planned_once_and_seeds_follow_each_other() -> Result<(), crate::TestError> {
        let definitions = Definitions::read("tiny", None)?;
        let keys = plan(&definitions, &[0, 1], &Choice::default());
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
        let seeds: Vec<u64> = keys.iter().map(|key| key.seed).collect();
        assert!(seeds.is_sorted(), "one seed for all cells before a second for any");
        // An untuned base has no second seed.
        let of_seed = |seed| seeds.iter().filter(|of| **of == seed).count();
        let untuned = keys.iter().filter(|key| key.method == "untuned").count();
        assert_eq!(of_seed(0), of_seed(1) + untuned);
        assert!(untuned >= 10, "{untuned}");
        Ok(())
    }

    #[test]
    fn experiments_share_their_cells() -> Result<(), crate::TestError> {
        let definitions = Definitions::read("tiny", None)?;
        let shared = |id: &str| {
            plan(&definitions, &[0], &choice(id)).iter().any(|key| key.id() == "base.commonsense_qa.adamole.0")
        };
        for id in ["table1", "table3", "table4", "table5", "figure2", "figure3"] {
            assert!(shared(id), "{id}");
        }
        assert!(!shared("table2"));
        let one = Choice { cells: vec!["base.piqa.lora.0".into()], ..Choice::default() };
        assert_eq!(plan(&definitions, &[0], &one).len(), 1);
        let grid = Choice { methods: vec!["mole-top2".into()], ..choice("table5") };
        let cells: Vec<String> = plan(&definitions, &[0], &grid).into_iter().map(|key| key.method).collect();
        assert_eq!(cells, ["mole-top2-4x4", "mole-top2-4x8", "mole-top2", "mole-top2-8x8", "mole-top2-16x4"]);
        Ok(())
    }

    #[test]
    fn what_is_asked_for_is_known() -> Result<(), crate::TestError> {
        let definitions = Definitions::read("tiny", None)?;
        let refused = |choice: Choice| choice.validate(&definitions, &[0]).map_err(|error| error.to_string());
        assert_eq!(refused(choice("table3")), Ok(()));
        assert!(refused(choice("table9")).is_err_and(|error| error.contains("table9 is unknown; known: figure2")));
        let cell = Choice { cells: vec!["base.copa.lora.7".into()], ..Choice::default() };
        assert!(refused(cell).is_err_and(|error| error.contains("base.copa.lora.7")));
        Ok(())
    }
}
