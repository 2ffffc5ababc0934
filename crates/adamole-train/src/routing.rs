//! Routing statistics: how many tokens activated each expert, and how thresholds and numbers of experts are distributed.

use crate::{Collapse, histogram::Histogram, unread_routing::UnreadRouting};
use adamole_core::{Adapter, LayerRouting};
use adamole_llama::CausalLm;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// An expert with more than this share of all activations of its layer has crowded out the others.
const COLLAPSED: f64 = 0.99;

/// The routing of the routed layers of a model, in the order of a forward pass, over a number of tokens. Empty for a
/// plain LoRA.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct RoutingStatistics {
    /// The routed layers.
    pub layers: Vec<LayerStatistics>,
    /// Tokens counted.
    pub tokens: usize,
}

/// The routing of one layer with N experts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LayerStatistics {
    /// Tokens that activated each expert, `[N]`.
    pub active_tokens: Vec<f64>,
    /// Sum of the thresholds, where one is learned.
    pub threshold_sum: Option<f64>,
    /// How single tokens were routed; absent where only sums were recorded.
    pub distribution: Option<Distribution>,
}

/// Tokens by what they did on one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Tokens that activated no expert, one, and so on up to all N.
    pub active: Vec<u64>,
    /// Tokens by threshold, where one is learned.
    pub thresholds: Option<Histogram>,
}

impl RoutingStatistics {
    /// Reads the routing of one pass off the device, in one transfer.
    pub fn read(layers: &[LayerRouting]) -> Self {
        UnreadRouting::new(layers).read()
    }

    /// Adds the statistics of another pass over the same model.
    pub fn add(&mut self, other: &Self) {
        if self.layers.is_empty() {
            *self = other.clone();
            return;
        }
        for (mine, theirs) in self.layers.iter_mut().zip(&other.layers) {
            mine.add(theirs);
        }
        self.tokens += other.tokens;
    }

    /// The adapters of `model`, over which this was counted, whose routers skip inactive experts; and which are inactive.
    pub(crate) fn inactive_experts<'m>(&self, model: &'m CausalLm) -> Vec<(&'m Adapter, Vec<bool>)> {
        let layers = model.routed().into_iter().zip(&self.layers);
        layers
            .filter(|((_, _, router), _)| router.skips_inactive_experts())
            .map(|((_, adapter, _), layer)| {
                (adapter, layer.active_tokens.iter().map(|tokens| *tokens == 0.0).collect())
            })
            .collect()
    }

    /// The layers of `model`, over which this was counted, on which no expert was active or one nearly always alone.
    pub(crate) fn collapsed(&self, model: &CausalLm) -> Vec<Collapse> {
        let layers = model.routed().into_iter().zip(&self.layers).filter(|(_, layer)| layer.active_tokens.len() > 1);
        let collapse = |((linear, ..), layer): ((String, &Adapter, _), &LayerStatistics)| {
            let all: f64 = layer.active_tokens.iter().sum();
            let expert = layer.active_tokens.iter().position(|tokens| *tokens > COLLAPSED * all);
            (all == 0.0 || expert.is_some()).then_some(Collapse { linear, expert })
        };
        layers.filter_map(collapse).collect()
    }

    /// Mean number of active experts per token and layer; `None` where nothing is routed.
    pub fn mean_active_experts(&self) -> Option<f64> {
        let total: f64 = self.layers.iter().flat_map(|layer| &layer.active_tokens).sum();
        (self.tokens > 0 && !self.layers.is_empty()).then(|| total / (self.tokens * self.layers.len()) as f64)
    }

    /// Mean number of active experts per token, of each layer.
    pub fn mean_active_per_layer(&self) -> Vec<f64> {
        let mean = |layer: &LayerStatistics| layer.active_tokens.iter().sum::<f64>() / self.tokens.max(1) as f64;
        self.layers.iter().map(mean).collect()
    }

    /// Share of each expert in all activations, over all layers; as long as the largest of them. All 0 where none was
    /// active.
    pub fn expert_load(&self) -> Vec<f64> {
        let mut active = vec![0.0; self.layers.iter().map(|layer| layer.active_tokens.len()).max().unwrap_or(0)];
        for (expert, tokens) in self.layers.iter().flat_map(|layer| layer.active_tokens.iter().enumerate()) {
            active[expert] += tokens;
        }
        shares(&active)
    }

    /// Mean threshold over tokens and layers; `None` where no threshold is learned.
    pub fn mean_threshold(&self) -> Option<f64> {
        let sums: Vec<f64> = self.layers.iter().filter_map(|layer| layer.threshold_sum).collect();
        (self.tokens > 0 && !sums.is_empty()).then(|| sums.iter().sum::<f64>() / (self.tokens * sums.len()) as f64)
    }
}

impl LayerStatistics {
    fn add(&mut self, other: &Self) {
        add(&mut self.active_tokens, &other.active_tokens);
        if let (Some(mine), Some(theirs)) = (&mut self.threshold_sum, other.threshold_sum) {
            *mine += theirs;
        }
        if let (Some(mine), Some(theirs)) = (&mut self.distribution, &other.distribution) {
            add(&mut mine.active, &theirs.active);
            if let (Some(mine), Some(theirs)) = (&mut mine.thresholds, &theirs.thresholds) {
                add(&mut mine.counts, &theirs.counts);
            }
        }
    }
}

impl Distribution {
    /// Counts the rows of one pass: `active` is -1 in rows that are no tokens; thresholds come with what none exceeds.
    pub(crate) fn of(active: &[f64], thresholds: Option<(&[f64], f64)>, num_experts: usize) -> Self {
        let is_token = |active: &f64| *active > -0.5;
        let mut histogram = vec![0; num_experts + 1];
        for active in active.iter().filter(|active| is_token(active)) {
            histogram[(active.round() as usize).min(num_experts)] += 1;
        }
        let thresholds = thresholds.map(|(values, max)| {
            let of_tokens = values.iter().zip(active).filter(|(_, active)| is_token(active));
            Histogram::of(of_tokens.map(|(value, _)| *value), max)
        });
        Self { active: histogram, thresholds }
    }
}

/// The statistics as files hold them.
#[derive(Default, Serialize, Deserialize)]
struct Stored {
    selected: Vec<Vec<f64>>,
    threshold_sums: Vec<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    distributions: Vec<Distribution>,
    tokens: usize,
}

impl From<Stored> for RoutingStatistics {
    fn from(Stored { selected, threshold_sums, distributions, tokens }: Stored) -> Self {
        let (mut sums, mut distributions) = (threshold_sums.into_iter(), distributions.into_iter());
        let layer = |active_tokens| LayerStatistics {
            active_tokens,
            threshold_sum: sums.next(),
            distribution: distributions.next(),
        };
        Self { layers: selected.into_iter().map(layer).collect(), tokens }
    }
}

impl From<RoutingStatistics> for Stored {
    fn from(RoutingStatistics { layers, tokens }: RoutingStatistics) -> Self {
        let mut stored = Self { tokens, ..Self::default() };
        for LayerStatistics { active_tokens, threshold_sum, distribution } in layers {
            stored.selected.push(active_tokens);
            stored.threshold_sums.extend(threshold_sum);
            stored.distributions.extend(distribution);
        }
        stored
    }
}

fn add<T: Copy + std::ops::AddAssign>(mine: &mut [T], theirs: &[T]) {
    mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += *theirs);
}

/// Each count's share in their sum; all 0 where the sum is.
pub(crate) fn shares(counts: &[f64]) -> Vec<f64> {
    let sum: f64 = counts.iter().sum();
    counts.iter().map(|count| if sum > 0.0 { count / sum } else { 0.0 }).collect()
}

/// The same without autodiff.
pub(crate) fn plain<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.is_autodiff() { tensor.inner() } else { tensor }
}

pub(crate) fn floats(data: TensorData) -> Vec<f64> {
    // Float tensors hold float32 here; another type would be a bug of this crate, seen by its tests.
    data.as_slice::<f32>().map(|values| values.iter().map(|&v| f64::from(v)).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(active: &[&[f64]], tokens: usize) -> RoutingStatistics {
        let layer = |active: &&[f64]| LayerStatistics { active_tokens: active.to_vec(), ..LayerStatistics::default() };
        RoutingStatistics { layers: active.iter().map(layer).collect(), tokens }
    }

    #[test]
    fn the_load_is_over_all_layers_and_as_long_as_the_largest() {
        assert_eq!(statistics(&[&[3.0, 1.0], &[2.0, 0.0, 4.0]], 4).expert_load(), [0.5, 0.1, 0.4]);
        assert_eq!(statistics(&[&[0.0; 2]], 4).expert_load(), [0.0; 2]);
        assert!(RoutingStatistics::default().expert_load().is_empty());
    }

    #[test]
    fn rows_that_are_no_tokens_are_in_no_bin() {
        let thresholds = [0.0, 0.06, 0.125, 0.1];
        let found = Distribution::of(&[8.0, 0.0, 3.0, -1.0], Some((&thresholds, 0.125)), 8);
        assert_eq!(found.active, [1, 0, 0, 1, 0, 0, 0, 0, 1]);
        let histogram = found.thresholds.clone().unwrap();
        let filled: Vec<usize> = (0..20).filter(|bin| histogram.counts[*bin] > 0).collect();
        assert_eq!((filled, histogram.counts.iter().sum::<u64>()), (vec![0, 9, 19], 3));
        assert_eq!((histogram.edges()[10], histogram.edges().len()), (0.0625, 21));
        let mut layer = LayerStatistics { distribution: Some(found), ..LayerStatistics::default() };
        layer.add(&layer.clone());
        let twice = layer.distribution.unwrap();
        assert_eq!((twice.active[3], twice.thresholds.unwrap().counts[19]), (2, 2));
    }

    #[test]
    fn files_hold_the_statistics_as_they_always_did() -> Result<(), serde_json::Error> {
        let text = r#"{"selected":[[3.0,1.0],[0.0,4.0]],"threshold_sums":[0.5,0.25],"tokens":4}"#;
        let read: RoutingStatistics = serde_json::from_str(text)?;
        assert_eq!(read.layers[1].threshold_sum, Some(0.25));
        assert_eq!(serde_json::to_string(&read)?, text);
        Ok(())
    }
}
