//! Routers: from a token's gate logits to the weights of its experts.

use crate::{Adapter, Probability, Rows};
use adamole_kernels::{LoadBalance, gate_scores, load_balance, normalised};
use burn::tensor::{Tensor, TensorData};
use std::fmt::Debug;

pub use adamole_kernels::{top_choices, top_k};

/// What a router decides from, for T rows and N experts.
#[derive(Debug, Clone)]
pub struct RouterInput<'a> {
    /// The input of the linear, without dropout, `[T, d_in]`.
    pub x: &'a Tensor<2>,
    /// The products of the input with the gate's rows, `[T, N]`, and with those of
    /// [`Method::gate_parameters`](crate::Method::gate_parameters) that follow it.
    pub logits: Tensor<2>,
    /// The adapter, for a router with parameters of its own.
    pub adapter: &'a Adapter,
    /// `[T, N]`: 0 or 1 / (1 - p) where [`Router::gate_dropout`] asks for it; absent outside training.
    pub gate_mask: Option<Tensor<2>>,
    /// Which rows are tokens, of which sequence.
    pub rows: &'a Rows,
}

impl RouterInput<'_> {
    /// The softmax of the gate's logits.
    pub fn scores(&self) -> GateScores {
        GateScores::of(gate_scores(self.logits.clone()))
    }
}

/// A gate's softmax over N experts.
#[derive(Debug, Clone)]
pub struct GateScores {
    /// `[T, N]`, or more columns that are no probabilities.
    columns: Tensor<2>,
    num_experts: usize,
}

impl GateScores {
    /// The scores of all columns, `[T, N]`; a gate may have no softmax.
    pub fn of(scores: Tensor<2>) -> Self {
        Self { num_experts: scores.dims()[1], columns: scores }
    }

    /// The scores of the first N columns.
    pub(crate) fn of_first(columns: Tensor<2>, num_experts: usize) -> Self {
        Self { columns, num_experts }
    }

    /// The probabilities, `[T, N]`; the scores of a gate without a softmax.
    pub fn probabilities(&self) -> Tensor<2> {
        match self.columns.dims()[1] == self.num_experts {
            true => self.columns.clone(),
            false => self.columns.clone().narrow(1, 0, self.num_experts),
        }
    }
}

/// What a router decided for T rows and N experts.
#[derive(Debug, Clone)]
pub struct Routing {
    /// Weight of each expert's output, `[T, N]`, non-negative. A row sums to 1 or is all 0, unless the router says
    /// otherwise.
    pub weights: Tensor<2>,
    /// 1 where the expert is active, else 0, `[T, N]`; no gradient.
    pub active: Tensor<2>,
    /// 1 where the rule asks for the expert, `[T, N]`; no gradient. It differs from `active` where a limit turns tokens
    /// away.
    pub requested: Tensor<2>,
    /// What the load balancing loss averages, `[T, N]`.
    pub balance: Tensor<2>,
    /// The gate's softmax.
    pub scores: GateScores,
    /// The threshold of each row, `[T, 1]`, where the router learns one.
    pub thresholds: Option<Tensor<2>>,
    /// A loss of each row, `[T, 1]`, where the router has one for its auxiliary loss.
    pub row_loss: Option<Tensor<2>>,
}

impl Routing {
    /// The same without gradients.
    pub(crate) fn detached(&self) -> Self {
        Self {
            weights: self.weights.clone().detach(),
            active: self.active.clone().detach(),
            requested: self.requested.clone().detach(),
            balance: self.balance.clone().detach(),
            scores: GateScores { columns: self.scores.columns.clone().detach(), ..self.scores },
            thresholds: self.thresholds.clone().map(Tensor::detach),
            row_loss: self.row_loss.clone().map(Tensor::detach),
        }
    }

    /// The [load balancing loss](load_balancing_loss) over the tokens among the rows, with what is recorded of them.
    pub fn load_balance(&self, rows: &Rows) -> LoadBalance {
        let Self { requested, balance, active, .. } = self.clone();
        let factor = load_balancing_factor(active.dims()[1], rows.count() as f32);
        let thresholds = self.thresholds.clone().map(Tensor::detach);
        load_balance(requested, balance, active, thresholds, rows.mask(), factor)
    }

    /// The same sums beside an auxiliary loss of another kind.
    pub(crate) fn with_loss(&self, loss: Tensor<1>, rows: &Rows) -> LoadBalance {
        LoadBalance {
            loss,
            active_tokens: rows.sum(self.active.clone()).detach(),
            threshold_sum: self.thresholds.clone().map(|thresholds| rows.sum(thresholds.detach())),
        }
    }

    /// Experts are active where `active` is 1, with weights proportional to their probabilities.
    pub fn proportional(scores: GateScores, active: Tensor<2>) -> Self {
        let probabilities = scores.probabilities();
        Self {
            weights: normalised(probabilities.clone(), active.clone()),
            requested: active.clone(),
            active,
            balance: probabilities,
            scores,
            thresholds: None,
            row_loss: None,
        }
    }
}

impl Routing {
    /// All experts are active, with their probabilities as weights.
    pub fn of_all(scores: GateScores) -> Self {
        let weights = scores.probabilities();
        let active = weights.clone().detach().ones_like();
        Self {
            requested: active.clone(),
            active,
            balance: weights.clone(),
            weights,
            scores,
            thresholds: None,
            row_loss: None,
        }
    }
}

/// Decides, token by token, which experts act and with what weights.
pub trait Router: Debug + Send + Sync {
    /// Routes T rows.
    fn route(&self, input: &RouterInput<'_>) -> Routing;

    /// What no learned threshold exceeds.
    fn max_threshold(&self) -> f32 {
        1.0
    }

    /// The dropout that the router wants on its probabilities in training.
    fn gate_dropout(&self) -> Option<Probability> {
        None
    }

    /// Whether the optimizer leaves an expert alone in a step in which no token activated it, as if it had no gradient. The
    /// reference implementation does so where a threshold decides, and not for top-k.
    fn skips_inactive_experts(&self) -> bool {
        false
    }

    /// What the routing of a step changes for the next one; `None` where it changes nothing, so that training need not wait for
    /// it.
    fn feedback(&self) -> Option<&dyn Feedback> {
        None
    }

    /// How the layers of a pass make one auxiliary loss; `None` where it is the sum of theirs.
    fn joint_loss(&self) -> Option<&dyn JointLoss> {
        None
    }

    /// The auxiliary loss of one layer, a tensor of one element; `None` for that of [`Routing::load_balance`].
    fn auxiliary_loss(&self, _routing: &Routing, _rows: &Rows) -> Option<Tensor<1>> {
        None
    }
}

/// What the routing of a step of training changes for the next one.
pub trait Feedback: Debug + Send + Sync {
    /// The weight of the auxiliary loss in the next step, from that in a step and the mean number of active experts in it.
    fn next_coefficient(&self, coefficient: f32, _mean_active_experts: f64) -> f32 {
        coefficient
    }

    /// The values that a parameter of the adapter which is not trained, a state of the router, has after a step, and its name.
    /// `active_tokens` are the tokens that activated each expert in the step.
    fn next_state(&self, _adapter: &Adapter, _active_tokens: &[f64]) -> Option<(&'static str, TensorData)> {
        None
    }
}

/// The auxiliary loss of several layers as one, of a method whose loss is not the sum of theirs.
pub trait JointLoss: Debug + Send + Sync {
    /// What a layer contributes, `[1, K]`.
    fn contribution(&self, routing: &Routing, rows: &Rows) -> Tensor<2>;

    /// The loss of so many layers whose contributions add up to `sum`, a tensor of one element.
    fn of_sum(&self, sum: Tensor<2>, layers: usize) -> Tensor<1>;
}

/// The auxiliary loss of a router without one: 0.
pub fn no_loss(routing: &Routing) -> Tensor<1> {
    Tensor::zeros([1], &routing.active.device())
}

/// The load balancing loss `L = N sum_i f_i P_i` over the tokens (Fedus et al. 2022, as the AdaMoLE authors apply it).
///
/// - `active_tokens` `[1, N]`: tokens that request expert i; no gradient;
/// - `balance_sum` `[1, N]`: the sum over tokens of the gate's score, which is the probability p, and `p - tau`
///   (unmasked, so possibly negative) for AdaMoLE;
/// - `tokens`: the number of tokens summed over.
///
/// Uniform routing to k experts gives k, since f is not divided by k. Returns a tensor of one element.
pub fn load_balancing_loss(active_tokens: Tensor<2>, balance_sum: Tensor<2>, tokens: f32) -> Tensor<1> {
    let factor = load_balancing_factor(active_tokens.dims()[1], tokens);
    (active_tokens * balance_sum).sum() * factor
}

fn load_balancing_factor(num_experts: usize, tokens: f32) -> f32 {
    num_experts as f32 / (tokens * tokens)
}
