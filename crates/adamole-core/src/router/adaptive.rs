//! AdaMoLE: a threshold learned for each token.

use super::{Router, RouterInput, Routing};
use adamole_kernels::{margins, normalised};
use burn::tensor::Tensor;

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

    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let margins = margins(input.scores.clone(), self.tau_max);
        // Not relu: at a margin of exactly 0 an expert counts as selected and its gradient flows.
        let selected = margins.clone().detach().greater_equal_scalar(0.0).float();
        Routing {
            weights: normalised(margins.clone(), selected.clone()),
            chosen: selected.clone(),
            selected,
            balance: margins,
        }
    }

    fn thresholds(&self, input: &RouterInput<'_>) -> Option<Tensor<2>> {
        Some(input.scores.clone().narrow(1, input.num_experts, 1) * self.tau_max)
    }
}
