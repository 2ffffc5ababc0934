//! Which methods have learned a benchmark at all.
//!
//! What has not been learned tells nothing about methods: they differ there by chance, or by how far they drift from the base.

use super::{
    bootstrap::{Block, interval, resamples},
    grid::Grid,
    reported,
};
use crate::{experiment::Column, results::Results};

/// The methods that have run on a benchmark.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Learned {
    pub(crate) benchmark: String,
    /// What needs no training, in percent: the accuracy of the most frequent answer or of the untuned base, whichever is larger.
    pub(crate) untrained: f64,
    /// The methods whose interval of 95 % over items and seeds is above that.
    pub(crate) above: Vec<String>,
    /// The others that have run.
    pub(crate) others: Vec<String>,
}

impl Learned {
    /// What the methods show on `benchmark`; `None` before the untuned base or any method has run.
    pub(crate) fn of(grid: &Grid, methods: &[String], benchmark: &str, results: &Results<'_>) -> Option<Self> {
        let experiment = reported(results.definitions)?;
        let untrained = results.untrained(experiment, &Column::of_benchmark(benchmark.to_owned()))?;
        Self::beside(grid, methods, benchmark, untrained.mean)
    }

    fn beside(grid: &Grid, methods: &[String], benchmark: &str, untrained: f64) -> Option<Self> {
        let (mut above, mut others) = (Vec::new(), Vec::new());
        for method in methods {
            let Some(block) = grid.common(&[method.as_str()], benchmark).and_then(|answers| Block::new(&answers))
            else {
                continue;
            };
            let (low, _) = interval(resamples(&[block]).into_iter().map(|means| 100.0 * means[0]).collect());
            if low > untrained { above.push(method.clone()) } else { others.push(method.clone()) }
        }
        let has_run = !above.is_empty() || !others.is_empty();
        has_run.then(|| Self { benchmark: benchmark.to_owned(), untrained, above, others })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_has_learned_where_its_interval_is_above_what_needs_no_training() {
        let mut grid = Grid::default();
        for seed in 0..3 {
            // 80 and 55 % of 100 items.
            grid.insert("lora", "rte", seed, &("1".repeat(80) + &"0".repeat(20)));
            grid.insert("sira", "rte", seed, &("1".repeat(55) + &"0".repeat(45)));
        }
        let methods = ["lora", "sira", "mole"].map(str::to_owned);
        let found = Learned::beside(&grid, &methods, "rte", 52.0);
        let (above, others) = (vec!["lora".to_owned()], vec!["sira".to_owned()]);
        assert_eq!(found, Some(Learned { benchmark: "rte".into(), untrained: 52.0, above, others }));
        assert_eq!(Learned::beside(&grid, &methods, "rte", 79.0).map(|it| it.above), Some(Vec::new()));
        assert_eq!(Learned::beside(&grid, &methods, "cb", 52.0), None, "none has run");
    }
}
