//! The results of all cells, asked for by what tables show.

use super::{
    definition::{Definitions, Experiment, Metric, Source},
    outcome::{End, Numbers, Outcome},
    plan::{Key, key},
    run::{Planned, State},
};

/// What is known of a report's cells.
#[derive(Debug)]
pub(crate) struct Results<'a> {
    pub(crate) definitions: &'a Definitions,
    pub(crate) cells: &'a [Planned],
    pub(crate) seeds: &'a [u64],
}

/// A table's entry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    /// The preset does not have it.
    Absent,
    /// It has not been run, or with another definition.
    Missing,
    /// It failed with every seed that it was run with.
    Failed,
    /// One value for each seed that it was run with.
    Values(Vec<f64>),
}

impl Results<'_> {
    pub(crate) fn cell(&self, key: &Key) -> Option<&Planned> {
        self.cells.iter().find(|planned| planned.cell.key == *key)
    }

    /// The cells of a row, one for each seed, or one in all where nothing is trained.
    pub(crate) fn of_row(&self, experiment: &Experiment, benchmark: &str, method: &str) -> Vec<&Planned> {
        let keys = self.seeds.iter().filter_map(|seed| key(self.definitions, experiment, benchmark, method, *seed));
        let mut keys: Vec<Key> = keys.collect();
        keys.dedup();
        keys.iter().filter_map(|key| self.cell(key)).collect()
    }

    pub(crate) fn entry(&self, experiment: &Experiment, benchmark: &str, method: &str, metric: Metric) -> Entry {
        let cells = self.of_row(experiment, benchmark, method);
        if cells.is_empty() {
            return Entry::Absent;
        }
        let source = self.definitions.methods.get(method).map(|method| method.source).unwrap_or_default();
        let outcomes = cells.iter().filter_map(|planned| planned.outcome());
        let failed = outcomes.clone().any(|outcome| matches!(outcome.end, End::Failure(_)));
        let numbers: Vec<&Numbers> = outcomes.filter_map(Outcome::numbers).collect();
        let values: Vec<f64> = numbers.iter().filter_map(|numbers| value(numbers, source, metric)).collect();
        match values.is_empty() {
            false => Entry::Values(values),
            true if !numbers.is_empty() => Entry::Absent,
            true if failed => Entry::Failed,
            true => Entry::Missing,
        }
    }

    /// The mean of a metric over seeds.
    pub(crate) fn mean(&self, experiment: &Experiment, benchmark: &str, method: &str, metric: Metric) -> Option<f64> {
        self.entry(experiment, benchmark, method, metric).mean()
    }

    /// Cells that failed, with what is left of their logs.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&Planned, &str)> {
        self.cells.iter().filter_map(|planned| match &planned.outcome()?.end {
            End::Failure(text) => Some((planned, text.as_str())),
            End::Result(_) => None,
        })
    }

    /// Cells without a result that counts.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &Planned> {
        self.cells.iter().filter(|planned| matches!(planned.state, State::Missing | State::Outdated))
    }
}

/// A metric of one cell, accuracies in percent; `None` where it has none.
fn value(numbers: &Numbers, source: Source, metric: Metric) -> Option<f64> {
    let training = numbers.training.as_ref();
    let share = match (metric, source) {
        (Metric::Active, _) => return training?.mean_active_experts,
        (Metric::Selection, _) => training?.accuracy,
        (_, Source::Majority) => numbers.majority_accuracy,
        (Metric::Accuracy, _) => numbers.accuracy,
        (Metric::Reference, _) => numbers.reference_accuracy,
    };
    Some(100.0 * share)
}

impl Entry {
    pub(crate) fn mean(&self) -> Option<f64> {
        match self {
            Self::Values(values) => Some(mean(values)),
            _ => None,
        }
    }
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The standard deviation of a sample; `None` of fewer than two values.
pub(crate) fn spread(values: &[f64]) -> Option<f64> {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_that_of_a_sample() {
        assert_eq!(spread(&[80.0]), None);
        assert_eq!(spread(&[80.0, 82.0, 84.0]), Some(2.0));
        assert_eq!(mean(&[80.0, 82.0, 84.0]), 82.0);
    }

    #[test]
    fn a_row_of_the_majority_is_of_the_untuned_evaluation() {
        let numbers =
            Numbers { accuracy: 0.5, majority_accuracy: 0.25, reference_accuracy: 0.375, ..Numbers::default() };
        assert_eq!(value(&numbers, Source::Majority, Metric::Accuracy), Some(25.0));
        assert_eq!(value(&numbers, Source::Untuned, Metric::Accuracy), Some(50.0));
        assert_eq!(value(&numbers, Source::Untuned, Metric::Reference), Some(37.5));
        assert_eq!(value(&numbers, Source::Untuned, Metric::Selection), None);
    }
}
