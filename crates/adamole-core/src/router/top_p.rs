//! MoLE with a share of the probability (nucleus routing; Huang et al. 2024).

use super::{Router, RouterInput, Routing};
use crate::TopP;
use burn::tensor::{IndexingUpdateOp, Tensor};

/// The fewest experts whose probabilities together reach a share fire, with weights proportional to `p`.
#[derive(Debug, Clone, Copy)]
pub struct TopPExperts {
    share: TopP,
}

impl TopPExperts {
    /// The share to reach.
    pub fn new(share: TopP) -> Self {
        Self { share }
    }
}

impl Router for TopPExperts {
    fn rests_idle_experts(&self) -> bool {
        true
    }

    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let probs = input.probs();
        let (sorted, order) = probs.clone().detach().sort_descending_with_indices(1);
        // An expert is needed while those before it fall short.
        let before = sorted.clone().cumsum(1) - sorted;
        let needed = before.lower_scalar(self.share.get()).float();
        let selected = Tensor::zeros(probs.dims(), &probs.device()).scatter(1, order, needed, IndexingUpdateOp::Add);
        Routing::proportional(probs, selected)
    }
}
