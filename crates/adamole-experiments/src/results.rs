//! The results of all cells, by the entries of tables.

use crate::{
    definition::Definitions,
    experiment::{Column, Experiment, Metric},
    method::Source,
    outcome::{End, Numbers, Outcome},
    plan::{Key, key},
    planned::{Planned, State},
};

/// The cells of a report.
#[derive(Debug)]
pub(crate) struct Results<'a> {
    pub(crate) definitions: &'a Definitions,
    pub(crate) cells: &'a [Planned],
    pub(crate) seeds: &'a [u64],
}

/// An entry of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    /// The preset does not have it.
    Absent,
    /// It has not run, or with another definition.
    Missing,
    /// It failed with every seed.
    Failed,
    Value(Score),
}

/// The result over all seeds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Score {
    pub(crate) mean: f64,
    /// The standard deviation over seeds; `None` for one seed.
    pub(crate) spread: Option<f64>,
    pub(crate) seeds: usize,
    /// The number of items of an accuracy.
    pub(crate) items: Option<u64>,
    /// The standard error: `sqrt(p (1 - p) / n)` in percent for an accuracy `p` on `n` items, that of the mean over seeds for other
    /// metrics.
    pub(crate) standard_error: Option<f64>,
}

impl Results<'_> {
    pub(crate) fn cell(&self, key: &Key) -> Option<&Planned> {
        self.cells.iter().find(|planned| planned.cell.key == *key)
    }

    /// The cells of an entry: one for each seed, or one if nothing is trained.
    pub(crate) fn of_entry(&self, experiment: &Experiment, column: &Column, method: &str) -> Vec<&Planned> {
        let keys = self.seeds.iter().filter_map(|seed| key(self.definitions, experiment, column, method, *seed));
        let mut keys: Vec<Key> = keys.collect();
        keys.dedup();
        keys.iter().filter_map(|key| self.cell(key)).collect()
    }

    pub(crate) fn entry(&self, experiment: &Experiment, column: &Column, method: &str, metric: Metric) -> Entry {
        let cells = self.of_entry(experiment, column, method);
        let source = self.definitions.methods.get(method).map(|method| method.source).unwrap_or_default();
        entry_of(&cells, source, metric)
    }

    pub(crate) fn score(
        &self,
        experiment: &Experiment,
        column: &Column,
        method: &str,
        metric: Metric,
    ) -> Option<Score> {
        match self.entry(experiment, column, method, metric) {
            Entry::Value(score) => Some(score),
            _ => None,
        }
    }

    /// The accuracy of the untuned base or of the most frequent answer in a column.
    pub(crate) fn of_base(&self, experiment: &Experiment, column: &Column, source: Source) -> Option<Score> {
        let of_base = |planned: &&Planned| {
            let key = &planned.cell.key;
            key.method == "untuned" && key.model == experiment.model && key.benchmark == column.benchmark
        };
        let cells: Vec<&Planned> = self.cells.iter().filter(of_base).collect();
        match entry_of(&cells, source, Metric::Accuracy) {
            Entry::Value(score) => Some(score),
            _ => None,
        }
    }

    /// What needs no training in a column: the most frequent answer or the untuned base, whichever is better.
    pub(crate) fn untrained(&self, experiment: &Experiment, column: &Column) -> Option<Score> {
        let both = [Source::Majority, Source::Untuned];
        let scores = both.into_iter().filter_map(|source| self.of_base(experiment, column, source));
        scores.max_by(|one, other| one.mean.total_cmp(&other.mean))
    }

    /// Failed cells with the end of their logs.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&Planned, &str)> {
        self.cells.iter().filter_map(|planned| match &planned.outcome()?.end {
            End::Failure(text) => Some((planned, text.as_str())),
            End::Result(_) => None,
        })
    }

    /// Cells without a valid result.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &Planned> {
        self.cells.iter().filter(|planned| matches!(planned.state, State::Missing | State::Outdated))
    }
}

fn entry_of(cells: &[&Planned], source: Source, metric: Metric) -> Entry {
    if cells.is_empty() {
        return Entry::Absent;
    }
    let outcomes = cells.iter().filter_map(|planned| planned.outcome());
    let failed = outcomes.clone().any(|outcome| matches!(outcome.end, End::Failure(_)));
    let numbers: Vec<&Numbers> = outcomes.filter_map(Outcome::numbers).collect();
    let values: Vec<f64> = numbers.iter().filter_map(|numbers| value(numbers, source, metric)).collect();
    match values.is_empty() {
        false => Entry::Value(Score::of(&values, numbers[0].items(metric))),
        true if !numbers.is_empty() => Entry::Absent,
        true if failed => Entry::Failed,
        true => Entry::Missing,
    }
}

/// A metric of one cell, in percent for accuracies; `None` if the cell does not have it.
fn value(numbers: &Numbers, source: Source, metric: Metric) -> Option<f64> {
    let training = numbers.training.as_ref();
    let share = match (metric, source) {
        (Metric::Active, _) => return training?.mean_active_experts,
        (Metric::Selection, _) => training?.accuracy,
        (_, Source::Majority) => numbers.majority_accuracy,
        (Metric::Accuracy, _) => numbers.accuracy,
        (Metric::Reference, _) => numbers.reference_accuracy?,
    };
    Some(100.0 * share)
}

impl Numbers {
    /// The number of items of a metric, if it is an accuracy.
    fn items(&self, metric: Metric) -> Option<u64> {
        match metric {
            Metric::Accuracy | Metric::Reference => Some(self.reported_items),
            Metric::Selection => self.training.as_ref().map(|training| training.items),
            Metric::Active => None,
        }
    }
}

impl Score {
    /// The score of one value per seed. With items, the values are percentages of them.
    pub(crate) fn of(values: &[f64], items: Option<u64>) -> Self {
        let (mean, spread) = (mean(values), spread(values));
        let standard_error = match items {
            Some(items) => Some((mean * (100.0 - mean) / items as f64).max(0.0).sqrt()),
            None => spread.map(|spread| spread / (values.len() as f64).sqrt()),
        };
        Self { mean, spread, seeds: values.len(), items, standard_error }
    }

    /// The difference to another score and its standard error.
    pub(crate) fn above(&self, other: &Self) -> (f64, f64) {
        let square = |score: &Self| score.standard_error.unwrap_or_default().powi(2);
        (self.mean - other.mean, (square(self) + square(other)).sqrt())
    }
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The middle value, or the mean of the two in the middle; NaN of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    at(sorted.len().saturating_sub(1) / 2).midpoint(at(sorted.len() / 2))
}

/// The standard deviation of a sample; `None` for fewer than two values.
pub(crate) fn spread(values: &[f64]) -> Option<f64> {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_value() {
        assert_eq!([&[3.0, 1.0, 2.0][..], &[2.0, 1.0], &[5.0]].map(median), [2.0, 1.5, 5.0]);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_score_has_the_spread_of_its_seeds_and_the_error_of_its_items() {
        let score = Score::of(&[80.0, 82.0, 84.0], Some(100));
        assert_eq!((score.mean, score.spread, score.seeds), (82.0, Some(2.0), 3));
        assert!(score.standard_error.is_some_and(|error| (error - 3.8419).abs() < 1e-3), "{score:?}");
        assert_eq!(Score::of(&[50.0], Some(100)).standard_error, Some(5.0));
        assert_eq!(Score::of(&[3.5], None).standard_error, None, "the number of active experts is no share of items");
        assert_eq!(Score::of(&[100.0], Some(8)).standard_error, Some(0.0));
    }

    #[test]
    fn a_difference_has_the_error_of_both() {
        let (above, error) = Score::of(&[50.0], Some(100)).above(&Score::of(&[50.0], Some(100)));
        assert_eq!(above, 0.0);
        assert!((error - 50.0_f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn a_row_of_the_majority_is_of_the_untuned_evaluation() {
        let numbers =
            Numbers { accuracy: 0.5, majority_accuracy: 0.25, reference_accuracy: Some(0.375), ..Numbers::default() };
        assert_eq!(value(&numbers, Source::Majority, Metric::Accuracy), Some(25.0));
        assert_eq!(value(&numbers, Source::Untuned, Metric::Accuracy), Some(50.0));
        assert_eq!(value(&numbers, Source::Untuned, Metric::Reference), Some(37.5));
        assert_eq!(value(&numbers, Source::Untuned, Metric::Selection), None);
    }
}
