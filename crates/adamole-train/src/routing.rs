//! How many experts fired, summed over tokens.

use crate::{Collapse, Distribution};
use adamole_core::{Adapter, RowCounts, SiteRouting};
use adamole_llama::CausalLm;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// An expert that takes more than this share of what all experts of its site take has crowded them out.
const COLLAPSED: f64 = 0.99;

/// Counts per adapted linear, in the order of the forward pass. Empty for a plain LoRA.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoutingCounts {
    /// Tokens that fired each expert, per site.
    pub selected: Vec<Vec<f64>>,
    /// Sum of the thresholds, per site that learns one.
    pub threshold_sums: Vec<f64>,
    /// How the thresholds and the numbers of experts are distributed, per site; empty where only sums were kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distributions: Vec<Distribution>,
    /// Tokens counted.
    pub tokens: usize,
}

impl RoutingCounts {
    /// Reads the counts of one pass off the device, in one transfer.
    pub fn read(sites: &[SiteRouting]) -> Self {
        let Some(first) = sites.first() else { return Self::default() };
        let counts = sites.iter().map(|site| site.selected_count.clone());
        let thresholds = sites.iter().filter_map(|site| site.threshold_sum.clone());
        let rows = sites.iter().filter_map(|site| site.row_counts.as_ref());
        let rows = rows.flat_map(|rows| [Some(rows.active.clone()), rows.thresholds.clone()]).flatten();
        let tensors: Vec<Tensor<2>> = counts.chain(thresholds).chain(rows.map(|column| column.transpose())).collect();
        let widths: Vec<usize> = tensors.iter().map(|tensor| tensor.dims()[1]).collect();
        let all = floats(Tensor::cat(tensors, 1).into_data());
        let mut rest = all.as_slice();
        let mut parts = widths.into_iter().map(|width| {
            let (part, others) = rest.split_at(width);
            rest = others;
            part
        });
        let mut next = || parts.next().unwrap_or_default();
        let selected = sites.iter().map(|_| next().to_vec()).collect();
        let learned = sites.iter().filter(|site| site.threshold_sum.is_some());
        let threshold_sums = learned.flat_map(|_| next().to_vec()).collect();
        let distribution = |(site, rows): (&SiteRouting, &RowCounts)| {
            let active = next();
            let thresholds = rows.thresholds.as_ref().map(|_| (next(), f64::from(rows.max_threshold)));
            Distribution::of(active, thresholds, site.selected_count.dims()[1])
        };
        let distributions =
            sites.iter().filter_map(|site| Some((site, site.row_counts.as_ref()?))).map(distribution).collect();
        Self { selected, threshold_sums, distributions, tokens: first.rows }
    }

    /// Adds the counts of another pass over the same model.
    pub fn add(&mut self, other: &Self) {
        if self.selected.is_empty() {
            *self = other.clone();
            return;
        }
        for (mine, theirs) in self.selected.iter_mut().flatten().zip(other.selected.iter().flatten()) {
            *mine += theirs;
        }
        for (mine, theirs) in self.threshold_sums.iter_mut().zip(&other.threshold_sums) {
            *mine += theirs;
        }
        for (mine, theirs) in self.distributions.iter_mut().zip(&other.distributions) {
            mine.add(theirs);
        }
        self.tokens += other.tokens;
    }

    /// The adapters of `model`, over which this was counted, whose routers rest idle experts; and which experts rest.
    pub(crate) fn resting_experts<'m>(&self, model: &'m CausalLm) -> Vec<(&'m Adapter, Vec<bool>)> {
        let sites = model.routed().into_iter().zip(&self.selected);
        sites
            .filter(|((_, _, router), _)| router.rests_idle_experts())
            .map(|((_, adapter, _), fired)| (adapter, fired.iter().map(|tokens| *tokens == 0.0).collect()))
            .collect()
    }

    /// The sites of `model`, over which this was counted, at which no expert fired or one took nearly all there was.
    pub(crate) fn collapsed(&self, model: &CausalLm) -> Vec<Collapse> {
        let sites = model.routed().into_iter().zip(&self.selected).filter(|(_, fired)| fired.len() > 1);
        let collapse = |((linear, ..), fired): ((String, &Adapter, _), &Vec<f64>)| {
            let all: f64 = fired.iter().sum();
            let expert = fired.iter().position(|tokens| *tokens > COLLAPSED * all);
            (all == 0.0 || expert.is_some()).then_some(Collapse { linear, expert })
        };
        sites.filter_map(collapse).collect()
    }

    /// Mean number of experts that a token fires on a site; `None` where nothing is routed.
    pub fn mean_active_experts(&self) -> Option<f64> {
        let total: f64 = self.selected.iter().flatten().sum();
        (self.tokens > 0 && !self.selected.is_empty()).then(|| total / (self.tokens * self.selected.len()) as f64)
    }

    /// Mean number of experts that a token fires, per site.
    pub fn mean_active_per_site(&self) -> Vec<f64> {
        self.selected.iter().map(|site| site.iter().sum::<f64>() / self.tokens.max(1) as f64).collect()
    }

    /// Share of each expert in all that fired, over all sites; as long as the largest of them. All 0 where none fired.
    pub fn expert_load(&self) -> Vec<f64> {
        let mut fired = vec![0.0; self.selected.iter().map(Vec::len).max().unwrap_or(0)];
        for (expert, tokens) in self.selected.iter().flat_map(|site| site.iter().enumerate()) {
            fired[expert] += tokens;
        }
        shares(&fired)
    }

    /// Mean threshold over tokens and sites; `None` where no threshold is learned.
    pub fn mean_threshold(&self) -> Option<f64> {
        let sites = self.threshold_sums.len();
        (self.tokens > 0 && sites > 0).then(|| self.threshold_sums.iter().sum::<f64>() / (self.tokens * sites) as f64)
    }
}

/// Each count's share in their sum; all 0 where the sum is.
pub(crate) fn shares(counts: &[f64]) -> Vec<f64> {
    let sum: f64 = counts.iter().sum();
    counts.iter().map(|count| if sum > 0.0 { count / sum } else { 0.0 }).collect()
}

pub(crate) fn floats(data: TensorData) -> Vec<f64> {
    // Float tensors hold float32 here; another type would be a bug of this crate, seen by its tests.
    data.as_slice::<f32>().map(|values| values.iter().map(|&v| f64::from(v)).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_over_all_sites_and_as_long_as_the_largest() {
        let selected = vec![vec![3.0, 1.0], vec![2.0, 0.0, 4.0]];
        let counts = RoutingCounts { selected, tokens: 4, ..RoutingCounts::default() };
        assert_eq!(counts.expert_load(), [0.5, 0.1, 0.4]);
        assert_eq!(RoutingCounts { selected: vec![vec![0.0; 2]], ..counts }.expert_load(), [0.0; 2]);
        assert!(RoutingCounts::default().expert_load().is_empty());
    }
}
