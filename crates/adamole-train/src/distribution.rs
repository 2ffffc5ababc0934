//! How thresholds and numbers of experts are distributed over the tokens of one site.

use serde::{Deserialize, Serialize};

/// Bins of the thresholds.
const BINS: usize = 20;

/// Counts of tokens in equal bins over `[0, max]`. A bin holds its lower edge; the last one both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// The upper end of the last bin.
    pub max: f64,
    /// Tokens in each bin.
    pub counts: Vec<u64>,
}

impl Histogram {
    fn of(values: impl Iterator<Item = f64>, max: f64) -> Self {
        let mut counts = vec![0; BINS];
        for value in values {
            let bin = (value / max * BINS as f64) as usize;
            counts[bin.min(BINS - 1)] += 1;
        }
        Self { max, counts }
    }

    /// Where bins begin and end: one more than there are bins.
    pub fn edges(&self) -> Vec<f64> {
        let bins = self.counts.len();
        (0..=bins).map(|edge| self.max * edge as f64 / bins.max(1) as f64).collect()
    }
}

/// What the tokens of one site did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Tokens that fired no expert, one, and so on up to all N of them.
    pub active: Vec<u64>,
    /// Their thresholds, where they are learned.
    pub thresholds: Option<Histogram>,
}

impl Distribution {
    /// Bins the rows of one pass: `active` is -1 in rows that do not count; thresholds come with what none exceeds.
    pub(crate) fn of(active: &[f64], thresholds: Option<(&[f64], f64)>, num_experts: usize) -> Self {
        let counts = |active: &f64| *active > -0.5;
        let mut histogram = vec![0; num_experts + 1];
        for active in active.iter().filter(|active| counts(active)) {
            histogram[(active.round() as usize).min(num_experts)] += 1;
        }
        let thresholds = thresholds.map(|(values, max)| {
            let counted = values.iter().zip(active).filter(|(_, active)| counts(active));
            Histogram::of(counted.map(|(value, _)| *value), max)
        });
        Self { active: histogram, thresholds }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let add = |mine: &mut [u64], theirs: &[u64]| mine.iter_mut().zip(theirs).for_each(|(m, t)| *m += t);
        add(&mut self.active, &other.active);
        if let (Some(mine), Some(theirs)) = (&mut self.thresholds, &other.thresholds) {
            add(&mut mine.counts, &theirs.counts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_do_not_count_are_in_no_bin() {
        let thresholds = [0.0, 0.06, 0.125, 0.1];
        let mut found = Distribution::of(&[8.0, 0.0, 3.0, -1.0], Some((&thresholds, 0.125)), 8);
        assert_eq!(found.active, [1, 0, 0, 1, 0, 0, 0, 0, 1]);
        let histogram = found.thresholds.clone().unwrap();
        let filled: Vec<usize> = (0..BINS).filter(|bin| histogram.counts[*bin] > 0).collect();
        assert_eq!((filled, histogram.counts.iter().sum::<u64>()), (vec![0, 9, 19], 3));
        assert_eq!((histogram.edges()[10], histogram.edges().len()), (0.0625, 21));
        found.add(&found.clone());
        assert_eq!((found.active[3], found.thresholds.unwrap().counts[19]), (2, 2));
    }
}
