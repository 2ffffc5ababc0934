//! MoLE: a softmax gate and a fixed rule.

use super::{Method, MethodKind, MethodSettings};
use crate::{
    NumExperts, Setting, SettingError, TopK, TopP,
    router::{Router, RouterInput, Routing, top_k},
};
use burn::tensor::{IndexingUpdateOp, Tensor};
use std::sync::Arc;

/// How experts are chosen from the gate's probabilities. The weights of the active ones are their probabilities, scaled to
/// sum to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Selection {
    /// The k most probable; among equals the first.
    TopK(TopK),
    /// All whose probability reaches this threshold; 1/N in the paper's baseline.
    Threshold(f32),
    /// The fewest whose probabilities together reach this share (nucleus routing; Huang et al. 2024).
    TopP(TopP),
}

/// A softmax gate and a fixed rule of choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mole {
    /// N.
    pub num_experts: NumExperts,
    /// The rule.
    pub selection: Selection,
}

impl Mole {
    /// The description of the method.
    pub const KIND: MethodKind = MethodKind {
        name: "mole",
        help: "Experts chosen by a fixed rule: top-k, a threshold, or top-p",
        peft_type: "MOLE",
        settings: &[
            MethodSettings::NUM_EXPERTS,
            Setting::new::<f32>(
                "threshold",
                "The fixed threshold.",
                "1 / num_experts, where neither top_k nor top_p is given",
            ),
            Setting::new::<usize>("top_k", "Experts that a token activates.", "none").per_layer(),
            Setting::new::<f32>("top_p", "Share of the probability that the active experts reach together.", "none"),
        ],
        one_of: &["threshold", "top_k", "top_p"],
        file_keys: &[],
        file_extensions: &["top_p"],
        build: |settings| {
            let num_experts: NumExperts = settings.required::<usize, _>(&MethodSettings::NUM_EXPERTS)?;
            let threshold: Option<f32> = settings.read::<f32, _>("threshold")?;
            let rules = [
                threshold.map(Selection::Threshold),
                settings.read::<usize, _>("top_k")?.map(Selection::TopK),
                settings.read::<f32, _>("top_p")?.map(Selection::TopP),
            ];
            let mut rules = rules.into_iter().flatten();
            let selection = rules.next().unwrap_or(Selection::Threshold(1.0 / num_experts.get() as f32));
            match (rules.next(), selection) {
                (Some(_), _) => Err(SettingError::Exclusive { names: Self::KIND.one_of }),
                (None, Selection::Threshold(tau)) if !(tau.is_finite() && tau >= 0.0) => {
                    Err(SettingError::invalid("threshold", tau, "a number of at least 0"))
                }
                (None, selection) => Ok(Arc::new(Self { num_experts, selection })),
            }
        },
    };
}

impl Method for Mole {
    fn kind(&self) -> &'static MethodKind {
        &Self::KIND
    }

    fn settings(&self) -> MethodSettings {
        let settings = MethodSettings::new().with("num_experts", self.num_experts.get());
        match self.selection {
            Selection::TopK(k) => settings.with("top_k", k.get()),
            Selection::Threshold(tau) => settings.with("threshold", tau),
            Selection::TopP(share) => settings.with("top_p", share.get()),
        }
    }

    fn num_experts(&self) -> usize {
        self.num_experts.get()
    }

    fn router(&self) -> Option<&dyn Router> {
        Some(self)
    }

    fn never_active(&self) -> Option<String> {
        match self.selection {
            Selection::Threshold(tau) => beyond_probabilities("threshold", tau, self.num_experts()),
            _ => None,
        }
    }
}

impl Router for Mole {
    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let scores = input.scores();
        let probabilities = scores.probabilities();
        let active = match self.selection {
            Selection::Threshold(tau) => probabilities.detach().greater_equal_scalar(tau).float(),
            Selection::TopK(k) => top_k(probabilities, k.get()),
            Selection::TopP(share) => {
                let (sorted, order) = probabilities.clone().detach().sort_descending_with_indices(1);
                // An expert is needed while those before it fall short.
                let before = sorted.clone().cumsum(1) - sorted;
                let needed = before.lower_scalar(share.get()).float();
                let none = Tensor::zeros(probabilities.dims(), &probabilities.device());
                none.scatter(1, order, needed, IndexingUpdateOp::Add)
            }
        };
        Routing::proportional(scores, active)
    }

    fn skips_inactive_experts(&self) -> bool {
        !matches!(self.selection, Selection::TopK(_))
    }
}

/// That a threshold is one that no probability reaches.
pub(super) fn beyond_probabilities(name: &str, threshold: f32, num_experts: usize) -> Option<String> {
    (threshold >= 1.0 && num_experts > 1)
        .then(|| format!("{name} is {threshold}: no expert is active where the threshold is far above 1 / num_experts"))
}
