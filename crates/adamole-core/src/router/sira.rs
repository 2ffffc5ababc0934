//! SiRA: top-k of a gate that is dropped out, with a limit on the tokens of an expert (Zhu et al. 2023).
//!
//! The paper leaves settings open. Ours: an expert's capacity counts per sequence; first choices go before second ones,
//! and within a choice earlier tokens before later ones (as in GShard); a token without any expert left gets the frozen
//! layer alone. The limit holds in evaluation as in training: it turns away later tokens first, and an answer comes last,
//! so that without it the answer would be asked of experts that seldom saw one. A generation with a cache counts anew in
//! every call.

use super::{Router, RouterInput, Routing, top_k::choices};
use crate::{CapacityFactor, Probability, Rows, TopK};
use adamole_kernels::normalised;
use burn::tensor::Tensor;

/// How many tokens of one sequence an expert takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Capacity {
    /// So many.
    Tokens(usize),
    /// This multiple of the even share: `ceil(factor k S / N)` for a sequence of S tokens.
    Factor(CapacityFactor),
}

/// Weights are the dropped-out probabilities of the chosen experts, so a row need not sum to 1.
#[derive(Debug, Clone, Copy)]
pub struct Sira {
    /// k.
    pub top_k: TopK,
    /// Limit per expert and sequence; `None` turns nothing away.
    pub capacity: Option<Capacity>,
    /// Dropout on the gate's probabilities, in training.
    pub gate_dropout: Probability,
    /// Whether the weights are scaled to sum to 1.
    pub renormalise: bool,
}

impl Sira {
    /// Strikes out, from the choices `[T, N]` in order, those that come when their expert is full.
    fn within_capacity(&self, choices: Vec<Tensor<2>>, capacity: Capacity, rows: &Rows) -> Vec<Tensor<2>> {
        let Some(first) = choices.first() else { return choices };
        let ([total, experts], device) = (first.dims(), first.device());
        let limit = match capacity {
            Capacity::Tokens(tokens) => Tensor::full([rows.sequences(), 1, 1], tokens as f32, &device),
            Capacity::Factor(factor) => {
                let share = factor.get() * self.top_k.get() as f32 / experts as f32;
                (rows.counts_by_sequence(&device) * share).ceil()
            }
        };
        let limit = limit.expand([rows.sequences(), total / rows.sequences(), experts]);
        let mut taken = Tensor::<3>::zeros([rows.sequences(), 1, experts], &device);
        choices
            .into_iter()
            .map(|choice| {
                let choice = rows.by_sequence(choice);
                let place = choice.clone().cumsum(1) + taken.clone();
                taken = taken.clone() + choice.clone().sum_dim(1);
                (choice * place.lower_equal(limit.clone()).float()).reshape([total, experts])
            })
            .collect()
    }
}

impl Router for Sira {
    fn gate_dropout(&self) -> Option<Probability> {
        Some(self.gate_dropout).filter(|p| p.get() > 0.0)
    }

    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let gates = match &input.gate_mask {
            Some(mask) => input.probs() * mask.clone(),
            None => input.probs(),
        };
        // A gate that was dropped is no choice, and padding chooses nothing.
        let open = input.rows.masked(gates.clone().detach().greater_scalar(0.0).float());
        let wanted: Vec<Tensor<2>> =
            choices(gates.clone(), self.top_k).into_iter().map(|choice| choice * open.clone()).collect();
        let none = || gates.zeros_like().detach();
        let union = |choices: Vec<Tensor<2>>| choices.into_iter().reduce(|sum, next| sum + next).unwrap_or_else(none);
        let chosen = union(wanted.clone());
        let selected = match self.capacity {
            Some(capacity) => union(self.within_capacity(wanted, capacity, input.rows)),
            None => chosen.clone(),
        };
        let weights = if self.renormalise {
            normalised(gates.clone(), selected.clone())
        } else {
            gates.clone() * selected.clone()
        };
        Routing { weights, selected, chosen, balance: gates }
    }

    /// `l = (1/N) sum_i (c_i / S) m_i` within each sequence, averaged over the sequences: c counts the tokens that chose
    /// expert i before the limit, m is the mean of its dropped-out gate.
    fn balance_loss(&self, routing: &Routing, rows: &Rows) -> Tensor<1> {
        let experts = routing.balance.dims()[1] as f32;
        let sums = |values: &Tensor<2>| rows.by_sequence(rows.masked(values.clone())).sum_dim(1);
        let tokens = rows.counts_by_sequence(&routing.balance.device()).clamp_min(1.0);
        let products = sums(&routing.chosen) * sums(&routing.balance) / tokens.square();
        products.sum() / (experts * rows.sequences() as f32)
    }
}
