//! The choice of a method's learning rate.

use super::{Comparison, Rates};
use crate::{outcome::End, planned::Planned, results::mean};
use std::collections::BTreeMap;

/// What the trials of one method say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    /// What each value reached, in the order of the values.
    pub(crate) values: Vec<Reached>,
    /// The place of the best value; `None` before all trials have ended, or if every value failed.
    pub(crate) best: Option<usize>,
}

/// What a trial came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Trial {
    Waiting,
    Failed,
    Accuracy(f64),
}

impl Trial {
    pub(crate) fn accuracy(self) -> Option<f64> {
        match self {
            Self::Accuracy(accuracy) => Some(accuracy),
            Self::Waiting | Self::Failed => None,
        }
    }
}

/// What one value reached on each benchmark, in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reached(pub(crate) Vec<Trial>);

impl Reached {
    /// The mean over the benchmarks, once all of their trials have an accuracy.
    pub(crate) fn mean(&self) -> Trial {
        let each: Option<Vec<f64>> = self.0.iter().map(|trial| trial.accuracy()).collect();
        match each {
            Some(each) => Trial::Accuracy(mean(&each)),
            None if self.0.contains(&Trial::Waiting) => Trial::Waiting,
            None => Trial::Failed,
        }
    }
}

impl Choice {
    /// Whether the best value is the smallest or the largest of the list, so that one beyond it may be better.
    pub(crate) fn is_at_the_edge(&self) -> bool {
        self.best.is_some_and(|best| best == 0 || best + 1 == self.values.len())
    }
}

/// The choice of each method, in the order of the rows. Of values with equal accuracies the smallest is chosen.
pub(crate) fn choices(comparison: &Comparison, cells: &[Planned]) -> Vec<(String, Choice)> {
    let of_row = |method: String| {
        let choice = choice(&comparison.rates, &method, cells);
        (method, choice)
    };
    comparison.rows().into_iter().map(of_row).collect()
}

/// The chosen learning rates by method, of those whose trials have ended.
pub(crate) fn choose(comparison: &Comparison, cells: &[Planned]) -> BTreeMap<String, f64> {
    let chosen = |(method, choice): (String, Choice)| Some((method, *comparison.rates.values.get(choice.best?)?));
    choices(comparison, cells).into_iter().filter_map(chosen).collect()
}

fn choice(rates: &Rates, method: &str, cells: &[Planned]) -> Choice {
    let trial = |value: f64, benchmark: &String| {
        let is_trial = |planned: &&Planned| {
            let cell = &planned.cell;
            let rate = cell.settings.get("learning_rate").and_then(toml::Value::as_float);
            cell.trial_of.as_deref() == Some(method) && cell.key.benchmark == *benchmark && rate == Some(value)
        };
        let Some(outcome) = cells.iter().find(is_trial).and_then(Planned::outcome) else { return Trial::Waiting };
        match &outcome.end {
            End::Result(numbers) => {
                numbers.training.as_ref().map_or(Trial::Failed, |training| Trial::Accuracy(training.accuracy))
            }
            End::Failure(_) => Trial::Failed,
        }
    };
    let of_value = |value: &f64| Reached(rates.benchmarks.iter().map(|benchmark| trial(*value, benchmark)).collect());
    let values: Vec<Reached> = rates.values.iter().map(of_value).collect();
    Choice { best: best(&rates.values, &values), values }
}

/// The place of the largest accuracy, of equal ones that of the smallest value; `None` while a trial waits.
fn best(values: &[f64], reached: &[Reached]) -> Option<usize> {
    if reached.iter().any(|reached| reached.0.contains(&Trial::Waiting)) {
        return None;
    }
    let known = reached.iter().enumerate().filter_map(|(place, reached)| Some((place, reached.mean().accuracy()?)));
    let order = |one: &(usize, f64), other: &(usize, f64)| {
        one.1.total_cmp(&other.1).then(values[other.0].total_cmp(&values[one.0]))
    };
    known.max_by(order).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::{Trial::*, *};

    #[test]
    fn the_best_value_is_chosen_and_of_equals_the_smallest() {
        let best = |trials: [Trial; 3]| best(&[2e-3, 5e-4, 1e-3], &trials.map(|trial| Reached(vec![trial])));
        assert_eq!(best([Accuracy(0.8), Accuracy(0.7), Accuracy(0.75)]), Some(0));
        assert_eq!(best([Accuracy(0.8); 3]), Some(1));
        assert_eq!(best([Failed, Accuracy(0.1), Failed]), Some(1), "what failed is not chosen");
        assert_eq!(best([Failed; 3]), None);
        assert_eq!(best([Accuracy(0.8), Accuracy(0.7), Waiting]), None, "what waits may be better");
    }

    #[test]
    fn a_value_is_judged_by_its_mean_over_the_benchmarks_if_it_ran_on_all() {
        let mean = |each: [Trial; 2]| Reached(each.to_vec()).mean();
        assert_eq!(mean([Accuracy(0.75), Accuracy(0.5)]), Accuracy(0.625));
        assert_eq!(mean([Accuracy(0.75), Failed]), Failed);
        assert_eq!(mean([Waiting, Failed]), Waiting);
    }

    #[test]
    fn a_choice_at_the_edge_of_the_list_is_named() {
        let choice = |best| Choice { values: vec![Reached(vec![Failed]); 3], best };
        assert_eq!(
            [Some(0), Some(1), Some(2), None].map(|best| choice(best).is_at_the_edge()),
            [true, false, true, false]
        );
    }
}
