//! Routers: from a token's gate probabilities to the weights of its experts. A new gate is one file here.

mod adaptive;
mod sira;
mod threshold;
mod top_k;
mod top_p;

pub use adaptive::AdaptiveThreshold;
pub use sira::{Capacity, Sira};
pub use threshold::FixedThreshold;
pub use top_k::TopKExperts;
pub use top_p::TopPExperts;

use crate::{AdapterConfig, Method, Probability, Rows, Selection, load_balancing_loss};
use adamole_kernels::normalised;
use burn::tensor::Tensor;
use std::{fmt::Debug, sync::Arc};

/// What a router decides from, for T rows and N experts.
#[derive(Debug, Clone)]
pub struct RouterInput<'a> {
    /// The softmax of the gate's logits, `[T, N]`. Where [`Router::learns_threshold`] is true there is one more column,
    /// `[T, N + 1]`: the sigmoid of the threshold's logit.
    pub scores: Tensor<2>,
    /// N.
    pub num_experts: usize,
    /// `[T, N]`: 0 or 1 / (1 - p) where [`Router::gate_dropout`] asks for it; absent outside training.
    pub gate_mask: Option<Tensor<2>>,
    /// Which rows are tokens, of which sequence.
    pub rows: &'a Rows,
    /// Whether this is a training pass.
    pub training: bool,
}

impl RouterInput<'_> {
    /// The softmax of the gate's logits, `[T, N]`.
    pub fn probs(&self) -> Tensor<2> {
        if self.scores.dims()[1] == self.num_experts {
            self.scores.clone()
        } else {
            self.scores.clone().narrow(1, 0, self.num_experts)
        }
    }
}

/// What a router decided for T rows and N experts.
#[derive(Debug, Clone)]
pub struct Routing {
    /// Weight of each expert's output, `[T, N]`, non-negative. A row sums to 1 or is all 0, unless the router says
    /// otherwise.
    pub weights: Tensor<2>,
    /// 1 where the expert fires, else 0, `[T, N]`; no gradient.
    pub selected: Tensor<2>,
    /// What the balance loss counts, `[T, N]`; no gradient. It is `selected` but where a limit turned tokens away.
    pub chosen: Tensor<2>,
    /// The scores that the balance loss averages, `[T, N]`.
    pub balance: Tensor<2>,
}

impl Routing {
    /// Experts fire where `selected` is 1, with weights proportional to their probabilities.
    fn proportional(probs: Tensor<2>, selected: Tensor<2>) -> Self {
        Self {
            weights: normalised(probs.clone(), selected.clone()),
            chosen: selected.clone(),
            selected,
            balance: probs,
        }
    }
}

/// Chooses experts row by row.
pub trait Router: Debug + Send + Sync {
    /// Whether the router takes one learned threshold logit per row beside the N gate logits.
    fn learns_threshold(&self) -> bool {
        false
    }

    /// What no learned threshold exceeds.
    fn max_threshold(&self) -> f32 {
        1.0
    }

    /// The dropout that the router wants on its probabilities in training.
    fn gate_dropout(&self) -> Option<Probability> {
        None
    }

    /// Whether an expert that no token of a step fired is left alone by the optimizer in that step, as if it had no
    /// gradient. The published implementation does so where a threshold decides, and not for top-k.
    fn rests_idle_experts(&self) -> bool {
        false
    }

    /// Routes T rows.
    fn route(&self, input: &RouterInput<'_>) -> Routing;

    /// The threshold of each row, `[T, 1]`, where the router learns one.
    fn thresholds(&self, _: &RouterInput<'_>) -> Option<Tensor<2>> {
        None
    }

    /// The auxiliary loss of one site, a tensor of one element.
    fn balance_loss(&self, routing: &Routing, rows: &Rows) -> Tensor<1> {
        let chosen = rows.sum(routing.chosen.clone());
        load_balancing_loss(chosen, rows.sum(routing.balance.clone()), rows.count() as f32)
    }
}

/// The router of a method; `None` for a plain LoRA.
pub(crate) fn for_config(config: &AdapterConfig) -> Option<Arc<dyn Router>> {
    Some(match config.method {
        Method::Lora => return None,
        Method::Mole { selection: Selection::TopK(k), .. } => Arc::new(TopKExperts::new(k)),
        Method::Mole { selection: Selection::Threshold(tau), .. } => Arc::new(FixedThreshold::new(tau)),
        Method::Mole { selection: Selection::TopP(share), .. } => Arc::new(TopPExperts::new(share)),
        Method::AdaMole { num_experts, tau_max } => {
            Arc::new(AdaptiveThreshold::new(tau_max.map_or(1.0 / num_experts.get() as f32, |t| t.get())))
        }
        Method::Sira { top_k, capacity_factor, gate_dropout, renormalise, .. } => {
            Arc::new(Sira { top_k, capacity: capacity_factor.map(Capacity::Factor), gate_dropout, renormalise })
        }
    })
}
