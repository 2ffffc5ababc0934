//! MoLE with a fixed number of experts.

use super::{Router, RouterInput, Routing};
use crate::TopK;
use burn::tensor::{Int, Tensor};

/// The k most probable experts fire with weights proportional to `p`; among equals the first.
#[derive(Debug, Clone, Copy)]
pub struct TopKExperts {
    top_k: TopK,
}

impl TopKExperts {
    /// The number of experts that fire; all of them where there are fewer.
    pub fn new(top_k: TopK) -> Self {
        Self { top_k }
    }
}

impl Router for TopKExperts {
    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let probs = input.probs();
        let selected = choices(probs.clone(), self.top_k).into_iter().reduce(|sum, choice| sum + choice);
        let selected = selected.unwrap_or_else(|| probs.zeros_like());
        Routing::proportional(probs, selected)
    }
}

/// The first, second, .. k-th choice of each row as ones in `[T, N]`, without gradient.
///
/// N is small, so k passes over the row are cheaper than a sort, and leave no doubt about equals.
pub(super) fn choices(scores: Tensor<2>, top_k: TopK) -> Vec<Tensor<2>> {
    let [rows, experts] = scores.dims();
    let columns = Tensor::<1, Int>::arange(0..experts as i64, &scores.device()).reshape([1, experts]);
    let columns = columns.expand([rows, experts]);
    let mut rest = scores.detach();
    (0..top_k.get().min(experts))
        .map(|_| {
            let best = rest.clone().argmax(1).expand([rows, experts]).equal(columns.clone());
            rest = rest.clone().mask_fill(best.clone(), f32::NEG_INFINITY);
            best.float()
        })
        .collect()
}
