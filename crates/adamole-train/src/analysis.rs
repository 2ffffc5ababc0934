//! The routing of an evaluation, linear by linear.

use crate::{RoutingStatistics, histogram::Histogram, routing::shares};
use adamole_llama::{CausalLm, layer_and_target};
use serde::{Deserialize, Serialize};

/// How the tokens of one benchmark were routed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// Name of the benchmark.
    pub benchmark: String,
    /// Tokens of its prompts, padding apart.
    pub tokens: usize,
    /// The routed linears, in the order of the forward pass.
    pub linears: Vec<LinearAnalysis>,
}

/// How tokens were routed on one linear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinearAnalysis {
    /// Counted from 0 at the bottom.
    pub layer: usize,
    /// Which linear of the layer: `q_proj` and so on.
    pub projection: String,
    /// N.
    pub num_experts: usize,
    /// Mean number of active experts per token.
    pub mean_active_experts: f64,
    /// Tokens that activated no expert, one, and so on up to all N.
    pub active_histogram: Vec<u64>,
    /// Share of each expert in all activations.
    pub load: Vec<f64>,
    /// Where a threshold is learned.
    pub mean_threshold: Option<f64>,
    /// Tokens by threshold, where one is learned.
    pub threshold_histogram: Option<ThresholdHistogram>,
}

/// Tokens by threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdHistogram {
    /// Where bins begin and end: one more than there are bins.
    pub edges: Vec<f64>,
    /// Tokens in each bin.
    pub counts: Vec<u64>,
}

impl Analysis {
    /// The analysis of `routing`, the statistics of an evaluation of `model`; `None` where nothing is routed.
    pub fn of(benchmark: &str, model: &CausalLm, routing: &RoutingStatistics) -> Option<Self> {
        let tokens = routing.tokens;
        let all = tokens.max(1) as f64;
        let histogram =
            |histogram: &Histogram| ThresholdHistogram { edges: histogram.edges(), counts: histogram.counts.clone() };
        let layers = model.routed().into_iter().zip(&routing.layers);
        let linears: Vec<LinearAnalysis> = layers
            .filter_map(|((linear, ..), statistics)| {
                let (layer, projection) = layer_and_target(&linear)?;
                let (active, distribution) = (&statistics.active_tokens, statistics.distribution.as_ref()?);
                Some(LinearAnalysis {
                    layer,
                    projection: projection.to_owned(),
                    num_experts: active.len(),
                    mean_active_experts: active.iter().sum::<f64>() / all,
                    active_histogram: distribution.active.clone(),
                    load: shares(active),
                    mean_threshold: statistics.threshold_sum.map(|sum| sum / all),
                    threshold_histogram: distribution.thresholds.as_ref().map(histogram),
                })
            })
            .collect();
        (!linears.is_empty()).then(|| Self { benchmark: benchmark.to_owned(), tokens, linears })
    }
}
