//! Tokens in equal bins.

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
    pub(crate) fn of(values: impl Iterator<Item = f64>, max: f64) -> Self {
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
