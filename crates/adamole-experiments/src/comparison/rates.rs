//! The choice of a method's learning rate.

use super::{Comparison, Rates};
use crate::{outcome::End, planned::Planned, results::mean};
use std::collections::BTreeMap;

/// What the trials of one method say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    /// What each value reached, in the order of the values.
    pub(crate) values: Vec<Accuracies>,
    /// The place of the best value; `None` if every value failed.
    pub(crate) best: Option<usize>,
}

/// The accuracies of one value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Accuracies {
    /// On each benchmark, in their order; `None` where a run failed.
    pub(crate) each: Vec<Option<f64>>,
}

impl Accuracies {
    /// Over the benchmarks; `None` if a run failed.
    pub(crate) fn mean(&self) -> Option<f64> {
        let each: Option<Vec<f64>> = self.each.iter().copied().collect();
        each.map(|each| mean(&each))
    }
}

impl Choice {
    /// Whether the best value is the smallest or the largest of the list, so that one beyond it may be better.
    pub(crate) fn is_at_the_edge(&self) -> bool {
        self.best.is_some_and(|best| best == 0 || best + 1 == self.values.len())
    }
}

/// The choices of all methods whose trials have ended. Of values with equal accuracies the smallest is chosen.
pub(crate) fn choices(comparison: &Comparison, cells: &[Planned]) -> BTreeMap<String, Choice> {
    let rows = comparison.rows().into_iter();
    rows.filter_map(|method| Some((method.clone(), choice(&comparison.rates, &method, cells)?))).collect()
}

/// The chosen learning rates by method.
pub(crate) fn choose(comparison: &Comparison, cells: &[Planned]) -> BTreeMap<String, f64> {
    let chosen = |(method, choice): (String, Choice)| Some((method, *comparison.rates.values.get(choice.best?)?));
    choices(comparison, cells).into_iter().filter_map(chosen).collect()
}

/// The choice of one method; `None` before all of its trials have ended.
fn choice(rates: &Rates, method: &str, cells: &[Planned]) -> Option<Choice> {
    let accuracy = |value: f64, benchmark: &String| -> Option<Option<f64>> {
        let is_trial = |planned: &&Planned| {
            let cell = &planned.cell;
            let rate = cell.settings.get("learning_rate").and_then(toml::Value::as_float);
            cell.trial_of.as_deref() == Some(method) && cell.key.benchmark == *benchmark && rate == Some(value)
        };
        Some(match &cells.iter().find(is_trial)?.outcome()?.end {
            End::Result(numbers) => numbers.training.as_ref().map(|training| training.accuracy),
            End::Failure(_) => None,
        })
    };
    let of_value = |value: &f64| {
        let each = rates.benchmarks.iter().map(|benchmark| accuracy(*value, benchmark)).collect::<Option<_>>()?;
        Some(Accuracies { each })
    };
    let values: Vec<Accuracies> = rates.values.iter().map(of_value).collect::<Option<_>>()?;
    let means: Vec<Option<f64>> = values.iter().map(Accuracies::mean).collect();
    Some(Choice { best: best(&rates.values, &means), values })
}

/// The place of the largest accuracy; of equal ones that of the smallest value.
fn best(values: &[f64], accuracies: &[Option<f64>]) -> Option<usize> {
    let known = accuracies.iter().enumerate().filter_map(|(place, accuracy)| Some((place, (*accuracy)?)));
    let order = |one: &(usize, f64), other: &(usize, f64)| {
        one.1.total_cmp(&other.1).then(values[other.0].total_cmp(&values[one.0]))
    };
    known.max_by(order).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_value_is_chosen_and_of_equals_the_smallest() {
        let values = [2e-3, 5e-4, 1e-3];
        assert_eq!(best(&values, &[Some(0.8), Some(0.7), Some(0.75)]), Some(0));
        assert_eq!(best(&values, &[Some(0.8), Some(0.8), Some(0.8)]), Some(1));
        assert_eq!(best(&values, &[None, Some(0.1), None]), Some(1), "what failed is not chosen");
        assert_eq!(best(&values, &[None; 3]), None);
    }

    #[test]
    fn a_value_is_judged_by_its_mean_over_the_benchmarks_if_it_ran_on_all() {
        let mean = |each: &[Option<f64>]| Accuracies { each: each.to_vec() }.mean();
        assert_eq!(mean(&[Some(0.75), Some(0.5)]), Some(0.625));
        assert_eq!(mean(&[Some(0.75), None]), None);
    }

    #[test]
    fn a_choice_at_the_edge_of_the_list_is_named() {
        let choice = |best| Choice { values: vec![Accuracies { each: vec![None] }; 3], best };
        assert_eq!(
            [Some(0), Some(1), Some(2), None].map(|best| choice(best).is_at_the_edge()),
            [true, false, true, false]
        );
    }
}
