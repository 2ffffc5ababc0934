//! MoLE with a fixed threshold.

use super::{Router, RouterInput, Routing};

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
    fn rests_idle_experts(&self) -> bool {
        true
    }

    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let probs = input.probs();
        let selected = probs.clone().detach().greater_equal_scalar(self.tau).float();
        Routing::proportional(probs, selected)
    }
}
