//! SiRA: top-k of a gate that is dropped out, with a limit on the tokens of an expert (Zhu et al. 2023).
//!
//! The paper leaves settings open. Ours: an expert's capacity counts per sequence; first choices go before second ones,
//! and within a choice earlier tokens before later ones (as in GShard); a token without any expert left gets the frozen
//! layer alone. The limit holds in evaluation as in training: it turns away later tokens first, and an answer comes last,
//! so that without it the answer would be asked of experts that seldom saw one. A generation with a cache counts anew in
//! every call.

use super::{Method, MethodKind, MethodSettings};
use crate::{
    CapacityFactor, NumExperts, Probability, Rows, Setting, TopK,
    router::{Router, RouterInput, Routing, top_choices},
};
use adamole_kernels::normalised;
use burn::tensor::Tensor;
use std::sync::Arc;

/// Sparse mixture of LoRA. Weights are the dropped-out probabilities of the active experts, so a row need not sum to 1. The
/// paper's settings are not all published; the defaults are ours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sira {
    /// N.
    pub num_experts: NumExperts,
    /// k.
    pub top_k: TopK,
    /// Tokens of one sequence that an expert takes, `ceil(factor k S / N)` for a sequence of S tokens; no limit where
    /// absent.
    pub capacity_factor: Option<CapacityFactor>,
    /// Dropout on the gate's probabilities, in training.
    pub gate_dropout: Probability,
    /// Whether the weights are scaled to sum to 1; the paper does not.
    pub renormalise: bool,
}

impl Sira {
    const TOP_K: Setting = Setting::new::<usize>("top_k", "Experts that a token activates.", "2").per_layer();

    /// The description of the method.
    pub const KIND: MethodKind = MethodKind {
        name: "sira",
        help: "Top-k experts with a limited number of tokens and dropout on the gate",
        peft_type: "SIRA",
        settings: &[
            MethodSettings::NUM_EXPERTS,
            Self::TOP_K,
            Setting::new::<f32>(
                "capacity_factor",
                "Tokens that an expert takes from a sequence, as a multiple of its even share.",
                "1.25",
            ),
            Setting::new::<f32>("gate_dropout", "Dropout on the gate's probabilities.", "0.1"),
            Setting::new::<bool>("renormalise", "Whether the weights of the experts are scaled to sum to 1.", "false"),
        ],
        one_of: &[],
        file_keys: &[],
        file_extensions: &[],
        build: |settings| {
            let none = Probability::try_from(0.0)?;
            Ok(Arc::new(Self {
                num_experts: settings.required::<usize, _>(&MethodSettings::NUM_EXPERTS)?,
                top_k: settings.required::<usize, _>(&Self::TOP_K)?,
                capacity_factor: settings.read::<f32, _>("capacity_factor")?,
                gate_dropout: settings.read::<f32, _>("gate_dropout")?.unwrap_or(none),
                renormalise: settings.read::<bool, _>("renormalise")?.unwrap_or(false),
            }))
        },
    };

    /// Strikes out, from the choices `[T, N]` in order, those that come when their expert is full.
    fn within_capacity(&self, choices: Vec<Tensor<2>>, factor: CapacityFactor, rows: &Rows) -> Vec<Tensor<2>> {
        let Some(first) = choices.first() else { return choices };
        let ([_, experts], device) = (first.dims(), first.device());
        let share = factor.get() * self.top_k.get() as f32 / experts as f32;
        let limit = (rows.counts_by_sequence(&device) * share).ceil();
        let mut taken = Tensor::<3>::zeros([rows.sequences(), 1, experts], &device);
        choices
            .into_iter()
            .map(|choice| {
                let choice = rows.by_sequence(choice);
                let place = choice.clone().cumsum(1) + taken.clone();
                taken = taken.clone() + choice.clone().sum_dim(1);
                let limit = limit.clone().expand(choice.dims());
                rows.by_row(choice * place.lower_equal(limit).float())
            })
            .collect()
    }
}

impl Method for Sira {
    fn kind(&self) -> &'static MethodKind {
        &Self::KIND
    }

    fn settings(&self) -> MethodSettings {
        MethodSettings::new()
            .with("num_experts", self.num_experts.get())
            .with("top_k", self.top_k.get())
            .with("capacity_factor", self.capacity_factor.map(CapacityFactor::get))
            .with("gate_dropout", self.gate_dropout.get())
            .with("renormalise", self.renormalise)
    }

    fn num_experts(&self) -> usize {
        self.num_experts.get()
    }

    fn router(&self) -> Option<&dyn Router> {
        Some(self)
    }

    /// The loss is a mean over experts, where the others' is a sum of N terms.
    fn auxiliary_loss_scale(&self) -> f32 {
        self.num_experts.get() as f32
    }
}

impl Router for Sira {
    fn gate_dropout(&self) -> Option<Probability> {
        Some(self.gate_dropout).filter(|p| p.get() > 0.0)
    }

    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let scores = input.scores();
        let gates = match &input.gate_mask {
            Some(mask) => scores.probabilities() * mask.clone(),
            None => scores.probabilities(),
        };
        // A gate that was dropped is no choice, and padding chooses nothing.
        let open = input.rows.masked(gates.clone().detach().greater_scalar(0.0).float());
        let wanted: Vec<Tensor<2>> =
            top_choices(gates.clone(), self.top_k.get()).into_iter().map(|choice| choice * open.clone()).collect();
        let none = || gates.zeros_like().detach();
        let union = |choices: Vec<Tensor<2>>| choices.into_iter().reduce(|sum, next| sum + next).unwrap_or_else(none);
        let requested = union(wanted.clone());
        let active = match self.capacity_factor {
            Some(factor) => union(self.within_capacity(wanted, factor, input.rows)),
            None => requested.clone(),
        };
        let weights =
            if self.renormalise { normalised(gates.clone(), active.clone()) } else { gates.clone() * active.clone() };
        Routing { weights, active, requested, balance: gates, scores, thresholds: None, row_loss: None }
    }

    /// `l = (1/N) sum_i (c_i / S) m_i` within each sequence, averaged over the sequences: c counts the tokens that request
    /// expert i before the limit, m is the mean of its dropped-out gate.
    fn auxiliary_loss(&self, routing: &Routing, rows: &Rows) -> Option<Tensor<1>> {
        let experts = routing.balance.dims()[1] as f32;
        let sums = |values: &Tensor<2>| rows.by_sequence(rows.masked(values.clone())).sum_dim(1);
        let tokens = rows.counts_by_sequence(&routing.balance.device()).clamp_min(1.0);
        let products = sums(&routing.requested) * sums(&routing.balance) / tokens.square();
        Some(products.sum() / (experts * rows.sequences() as f32))
    }
}
