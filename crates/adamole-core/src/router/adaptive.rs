//! AdaMoLE: a threshold learned for each token.

use super::{Router, RouterInput, Routing, normalise};
use burn::tensor::activation::sigmoid;

/// `tau = tau_max sigmoid(w x + b)`; experts with `p >= tau` fire with weights proportional to `p - tau`
/// (Liu & Luo 2024, equations 5 to 7).
#[derive(Debug, Clone, Copy)]
pub struct AdaptiveThreshold {
    tau_max: f32,
}

impl AdaptiveThreshold {
    /// Thresholds in `(0, tau_max)`.
    pub fn new(tau_max: f32) -> Self {
        Self { tau_max }
    }
}

impl Router for AdaptiveThreshold {
    fn learns_threshold(&self) -> bool {
        true
    }

    fn max_threshold(&self) -> f32 {
        self.tau_max
    }

    fn rests_idle_experts(&self) -> bool {
        true
    }

    fn route(&self, input: RouterInput<'_>) -> Routing {
        let logits = input.threshold_logits.expect("an adaptive router is given its threshold logits");
        let thresholds = sigmoid(logits) * self.tau_max;
        let margin = input.probs.clone() - thresholds.clone();
        // Not relu: at a margin of exactly 0 an expert counts as selected and its gradient flows.
        let selected = margin.clone().detach().greater_equal_scalar(0.0).float();
        Routing {
            weights: normalise(margin.clone() * selected.clone()),
            chosen: selected.clone(),
            selected,
            balance: margin,
            probs: input.probs,
            thresholds: Some(thresholds),
        }
    }
}
