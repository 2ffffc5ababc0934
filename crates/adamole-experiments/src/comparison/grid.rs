//! The answers to the reported items, by method, benchmark and seed.

use super::bootstrap::Answers;
use crate::results::{Results, mean, spread};
use std::collections::BTreeMap;

/// For each method and benchmark the answers of each seed that has run: 1 for a right answer, otherwise 0.
#[derive(Debug, Default)]
pub(crate) struct Grid(BTreeMap<(String, String), BTreeMap<u64, Vec<f64>>>);

/// The accuracy of a method on a benchmark, in percent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summary {
    pub(crate) mean: f64,
    /// The standard error of the mean over seeds; `None` of a single seed.
    pub(crate) over_seeds: Option<f64>,
    /// The standard error over items, of each item's mean over seeds.
    pub(crate) over_items: f64,
    pub(crate) seeds: usize,
    pub(crate) items: usize,
}

impl Grid {
    /// The answers of all finished cells at the chosen learning rates, the untuned base among them.
    pub(crate) fn of(results: &Results<'_>) -> Self {
        let mut grid = Self::default();
        for planned in results.cells.iter().filter(|planned| planned.cell.trial_of.is_none()) {
            let Some(numbers) = planned.outcome().and_then(|outcome| outcome.numbers()) else { continue };
            let key = &planned.cell.key;
            grid.insert(&key.method, &key.benchmark, key.seed, &numbers.answers);
        }
        grid
    }

    /// Adds the answers of a cell, as digits; those of earlier versions have none.
    pub(crate) fn insert(&mut self, method: &str, benchmark: &str, seed: u64, digits: &str) {
        if !digits.is_empty() {
            let right = digits.bytes().map(|digit| f64::from(digit == b'1')).collect();
            self.0.entry((method.to_owned(), benchmark.to_owned())).or_default().insert(seed, right);
        }
    }

    fn cells(&self, method: &str, benchmark: &str) -> Option<&BTreeMap<u64, Vec<f64>>> {
        self.0.get(&(method.to_owned(), benchmark.to_owned()))
    }

    /// The answers of these methods with the seeds that all of them have; `None` if there is no such seed.
    pub(crate) fn common(&self, methods: &[&str], benchmark: &str) -> Option<Vec<Answers>> {
        let cells: Vec<_> = methods.iter().map(|method| self.cells(method, benchmark)).collect::<Option<_>>()?;
        let seeds = cells.first()?.keys().filter(|seed| cells.iter().all(|cell| cell.contains_key(seed)));
        let seeds: Vec<&u64> = seeds.collect();
        (!seeds.is_empty()).then(|| {
            let answers = |cell: &&BTreeMap<u64, Vec<f64>>| seeds.iter().map(|seed| cell[seed].clone()).collect();
            cells.iter().map(answers).collect()
        })
    }

    /// The accuracy over all seeds that have run.
    pub(crate) fn summary(&self, method: &str, benchmark: &str) -> Option<Summary> {
        let cells = self.cells(method, benchmark)?;
        let of_seeds: Vec<f64> = cells.values().map(|items| 100.0 * mean(items)).collect();
        let items = cells.values().next()?.len();
        let of_item = |item: usize| mean(&cells.values().map(|of| 100.0 * of[item]).collect::<Vec<_>>());
        let is_alike = cells.values().all(|of| of.len() == items);
        let of_items: Vec<f64> = if is_alike { (0..items).map(of_item).collect() } else { Vec::new() };
        let error = |values: &[f64]| spread(values).map(|spread| spread / (values.len() as f64).sqrt());
        Some(Summary {
            mean: mean(&of_seeds),
            over_seeds: error(&of_seeds),
            over_items: error(&of_items).unwrap_or(f64::NAN),
            seeds: cells.len(),
            items,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accuracy_has_an_error_over_seeds_and_one_over_items() {
        let mut grid = Grid::default();
        for (seed, digits) in ["1100", "1110"].iter().enumerate() {
            grid.insert("lora", "cb", seed as u64, digits);
        }
        grid.insert("lora", "cb", 7, "");
        let summary = grid.summary("lora", "cb").unwrap_or_else(|| panic!("run"));
        assert_eq!((summary.mean, summary.seeds, summary.items), (62.5, 2, 4));
        // Of 50 and 75; of the items' 100, 100, 50 and 0.
        assert!(summary.over_seeds.is_some_and(|error| (error - 12.5).abs() < 1e-9), "{summary:?}");
        assert!((summary.over_items - 23.935677693908453).abs() < 1e-9, "{summary:?}");
        assert_eq!(grid.summary("lora", "rte"), None);
    }

    #[test]
    fn methods_are_compared_with_the_seeds_that_both_have() {
        let mut grid = Grid::default();
        for seed in [0, 1, 2] {
            grid.insert("lora", "cb", seed, "10");
        }
        grid.insert("mole", "cb", 1, "11");
        assert_eq!(grid.common(&["lora", "mole"], "cb"), Some(vec![vec![vec![1.0, 0.0]], vec![vec![1.0, 1.0]]]));
        assert_eq!(grid.common(&["lora", "sira"], "cb"), None);
    }
}
