//! What an evaluation says of the routing, linear by linear.

use crate::{Distribution, Histogram, RoutingCounts, routing::shares};
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
    /// Experts that there are.
    pub num_experts: usize,
    /// Experts that a token fires.
    pub mean_active_experts: f64,
    /// Tokens that fired no expert, one, and so on up to all.
    pub active_histogram: Vec<u64>,
    /// Share of each expert in all that fired.
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
    /// The analysis of `routing`, which an evaluation of `model` counted; `None` where nothing is routed.
    pub fn of(benchmark: &str, model: &CausalLm, routing: &RoutingCounts) -> Option<Self> {
        let RoutingCounts { selected, threshold_sums, distributions, tokens } = routing;
        let all = (*tokens).max(1) as f64;
        let sites = model.routed().into_iter().zip(selected).zip(distributions).enumerate();
        let linears: Vec<LinearAnalysis> = sites
            .filter_map(|(site, (((linear, ..), fired), Distribution { active, thresholds }))| {
                let (layer, projection) = layer_and_target(&linear)?;
                let histogram = |histogram: &Histogram| ThresholdHistogram {
                    edges: histogram.edges(),
                    counts: histogram.counts.clone(),
                };
                Some(LinearAnalysis {
                    layer,
                    projection: projection.to_owned(),
                    num_experts: fired.len(),
                    mean_active_experts: fired.iter().sum::<f64>() / all,
                    active_histogram: active.clone(),
                    load: shares(fired),
                    mean_threshold: threshold_sums.get(site).map(|sum| sum / all),
                    threshold_histogram: thresholds.as_ref().map(histogram),
                })
            })
            .collect();
        (!linears.is_empty()).then(|| Self { benchmark: benchmark.to_owned(), tokens: *tokens, linears })
    }
}
