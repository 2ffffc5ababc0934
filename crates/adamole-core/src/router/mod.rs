//! Routers: from a token's gate probabilities to the weights of its experts. A new gate is one file here.

mod adaptive;
mod threshold;

pub use adaptive::AdaptiveThreshold;
pub use threshold::FixedThreshold;

use crate::{AdapterConfig, Method};
use burn::tensor::Tensor;
use std::{fmt::Debug, sync::Arc};

/// What a router decided for T rows and N experts.
#[derive(Debug, Clone)]
pub struct Routing {
    /// Weight of each expert's output, `[T, N]`; a row is non-negative and sums to 1, or is all 0.
    pub weights: Tensor<2>,
    /// 1 where the expert fires, else 0, `[T, N]`; no gradient.
    pub selected: Tensor<2>,
    /// The scores that the balance loss averages, `[T, N]`.
    pub balance: Tensor<2>,
    /// The gate's softmax, `[T, N]`.
    pub probs: Tensor<2>,
    /// The threshold of each row, `[T, 1]`, where the router learns one.
    pub thresholds: Option<Tensor<2>>,
}

impl Routing {
    pub(crate) fn detach(self) -> Self {
        Self {
            weights: self.weights.detach(),
            selected: self.selected.detach(),
            balance: self.balance.detach(),
            probs: self.probs.detach(),
            thresholds: self.thresholds.map(Tensor::detach),
        }
    }
}

/// Chooses experts row by row.
pub trait Router: Debug + Send + Sync {
    /// Whether the router takes one learned threshold logit per row beside the N gate logits.
    fn learns_threshold(&self) -> bool {
        false
    }

    /// Routes T rows.
    ///
    /// - `probs` `[T, N]`: softmax of the gate's logits;
    /// - `threshold_logits` `[T, 1]`: present exactly where [`Router::learns_threshold`] is true.
    fn route(&self, probs: Tensor<2>, threshold_logits: Option<Tensor<2>>) -> Routing;
}

/// The router of a method; `None` for a plain LoRA.
pub(crate) fn for_config(config: &AdapterConfig) -> Option<Arc<dyn Router>> {
    match config.method {
        Method::Lora => None,
        Method::Mole { threshold, .. } => Some(Arc::new(FixedThreshold::new(threshold))),
        Method::AdaMole { num_experts, tau_max } => {
            Some(Arc::new(AdaptiveThreshold::new(tau_max.map_or(1.0 / num_experts.get() as f32, |t| t.get()))))
        }
    }
}

/// Divides each row of `[T, N]` by its sum; a row that sums to 0 stays 0, and nothing flows back through the
/// divisor there.
fn normalise(scores: Tensor<2>) -> Tensor<2> {
    let sum = scores.clone().sum_dim(1);
    let empty = sum.clone().equal_scalar(0.0);
    scores / sum.mask_fill(empty, 1.0)
}
