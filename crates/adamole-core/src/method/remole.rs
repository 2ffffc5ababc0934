//! ReMoLE: ReLU routing with an adaptive sparsity loss (ReMoE; arXiv 2412.14711), over LoRA experts.

use super::{Method, MethodKind, MethodSettings};
use crate::{
    AdapterShape, Initial, NumExperts, ParameterSpec, Rows, Setting, SettingError, TopK, load_balancing_loss,
    router::{Feedback, GateScores, Router, RouterInput, Routing},
};
use burn::tensor::{Tensor, activation::relu};
use std::sync::Arc;

/// The weights are the positive parts of the gate's logits, not normalised; a token may have no active expert, or all.
///
/// Router, loss and the adaptive weight of the loss are those of the authors' code, whose experts are whole feed-forward
/// blocks. The weight of the auxiliary loss grows by a factor in each step in which more than `top_k` experts act on a
/// token in the mean, and shrinks by it in every other one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReMole {
    /// N.
    pub num_experts: NumExperts,
    /// k, the number of active experts that is aimed at.
    pub top_k: TopK,
    /// What the weight of the auxiliary loss is multiplied or divided by in each step.
    pub coefficient_factor: f32,
}

impl ReMole {
    const TOP_K: Setting =
        Setting::new::<usize>("top_k", "Mean number of active experts that the auxiliary loss aims at.", "1");
    const FACTOR: Setting = Setting::new::<f32>(
        "coefficient_factor",
        "What balance_coefficient, which is that of the first step, is multiplied or divided by in each step.",
        "1.2",
    );

    /// The description of the method.
    pub const KIND: MethodKind = MethodKind {
        name: "remole",
        help: "Experts with a positive logit, whose number an adaptive loss steers",
        peft_type: "REMOLE",
        settings: &[MethodSettings::NUM_EXPERTS, Self::TOP_K, Self::FACTOR],
        one_of: &[],
        file_keys: &[],
        file_extensions: &[],
        build: |settings| {
            let coefficient_factor: f32 = settings.required::<f32, _>(&Self::FACTOR)?;
            if !(coefficient_factor.is_finite() && coefficient_factor >= 1.0) {
                let expected = "a number of at least 1";
                return Err(SettingError::invalid("coefficient_factor", coefficient_factor, expected));
            }
            Ok(Arc::new(Self {
                num_experts: settings.required::<usize, _>(&MethodSettings::NUM_EXPERTS)?,
                top_k: settings.required::<usize, _>(&Self::TOP_K)?,
                coefficient_factor,
            }))
        },
    };
}

impl Method for ReMole {
    fn kind(&self) -> &'static MethodKind {
        &Self::KIND
    }

    fn settings(&self) -> MethodSettings {
        MethodSettings::new()
            .with("num_experts", self.num_experts.get())
            .with("top_k", self.top_k.get())
            .with("coefficient_factor", self.coefficient_factor)
    }

    fn num_experts(&self) -> usize {
        self.num_experts.get()
    }

    fn router(&self) -> Option<&dyn Router> {
        Some(self)
    }

    /// The gate starts near 0, where about half of the experts are active, with small weights.
    fn parameters(&self, shape: AdapterShape) -> Vec<ParameterSpec> {
        let mut parameters = ParameterSpec::experts(shape, self.num_experts());
        let gate = ParameterSpec::gate(shape, self.num_experts());
        parameters.push(ParameterSpec { initial: Initial::Normal { deviation: 0.01 }, ..gate });
        parameters
    }

    /// The adaptive weight starts at 1e-8.
    fn auxiliary_loss_scale(&self) -> f32 {
        1e-5
    }
}

impl Router for ReMole {
    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let weights = relu(input.logits.clone());
        let active = weights.clone().detach().greater_scalar(0.0).float();
        Routing {
            scores: GateScores::of(weights.clone()),
            balance: weights.clone(),
            requested: active.clone(),
            active,
            weights,
            thresholds: None,
            row_loss: None,
        }
    }

    /// `N / (k T^2) sum_i n_i sum_t w_ti`, with n the tokens that activate an expert; summed over the layers.
    fn auxiliary_loss(&self, routing: &Routing, rows: &Rows) -> Option<Tensor<1>> {
        let active = rows.sum(routing.active.clone());
        let weights = rows.sum(routing.balance.clone());
        let loss = load_balancing_loss(active, weights, rows.count().max(1) as f32);
        Some(loss / self.top_k.get() as f32)
    }

    fn feedback(&self) -> Option<&dyn Feedback> {
        Some(self)
    }
}

impl Feedback for ReMole {
    fn next_coefficient(&self, coefficient: f32, mean_active_experts: f64) -> f32 {
        match mean_active_experts > self.top_k.get() as f64 {
            true => coefficient * self.coefficient_factor,
            false => coefficient / self.coefficient_factor,
        }
    }
}
