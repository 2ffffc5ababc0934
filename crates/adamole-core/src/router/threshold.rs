//! MoLE with a fixed threshold.

use super::{Router, Routing, normalise};
use burn::tensor::Tensor;

/// Experts with `p >= tau` fire with weights proportional to `p`.
#[derive(Debug, Clone, Copy)]
pub struct FixedThreshold {
    tau: f32,
}

impl FixedThreshold {
    /// The threshold that a probability has to reach; 1/N in the paper's baseline.
    pub fn new(tau: f32) -> Self {
        Self { tau }
    }
}

impl Router for FixedThreshold {
    fn route(&self, probs: Tensor<2>, _threshold_logits: Option<Tensor<2>>) -> Routing {
        let selected = probs.clone().detach().greater_equal_scalar(self.tau).float();
        Routing {
            weights: normalise(probs.clone() * selected.clone()),
            selected,
            balance: probs.clone(),
            probs,
            thresholds: None,
        }
    }
}
