//! FlyLoRA: a frozen sparse A whose ranks are the experts (arXiv 2510.08396).

use super::{Method, MethodKind, MethodSettings};
use crate::{
    Adapter, AdapterShape, ForwardContext, Initial, ParameterSpec, Rows, Setting, SettingError, TopK,
    router::{Feedback, GateScores, Router, RouterInput, Routing, no_loss, top_k},
    setting::recorded,
};
use adamole_kernels::adapter_input;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `y = W x + (alpha / r) B (mask h)` with `h = A x`, A sparse and never trained, and the k largest entries of h kept: those
/// of `h + d`, with a bias d that moves after each step so that all ranks are used. There is no auxiliary loss.
///
/// The authors' code moves d in every forward pass, also of an evaluation; here it moves once a step of training, by
/// the tokens of all its micro-batches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlyLora {
    /// k, the ranks that act on a token.
    pub top_k: TopK,
    /// By how much the bias of a rank moves in a step.
    pub bias_rate: f32,
    /// Which of the authors' two implementations.
    pub variant: FlyLoraVariant,
}

/// The two implementations that the authors publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlyLoraVariant {
    /// That of the experiments: ranks by `h + d`; no gradient reaches the input through h; the bias of a rank rises where
    /// fewer tokens than the mean activated it, and falls where more did.
    Peft,
    /// That of the example: ranks by `|h + d|`; the bias of a rank falls once a token activated it, and rises where
    /// none did.
    Minimal,
}

impl FlyLora {
    const TOP_K: Setting = Setting::new::<usize>("top_k", "Ranks that act on a token.", "8").per_layer();
    const BIAS_RATE: Setting =
        Setting::new::<f32>("bias_rate", "By how much the bias of a rank moves in each step.", "0.001");
    const VARIANT: Setting = Setting::new::<FlyLoraVariant>(
        "variant",
        "Which of the authors' implementations: that of their experiments, or the minimal one.",
        "peft",
    );

    /// The description of the method.
    pub const KIND: MethodKind = MethodKind {
        name: "flylora",
        help: "A frozen sparse A, whose largest ranks act on a token",
        peft_type: "FLYLORA",
        settings: &[Self::TOP_K, Self::BIAS_RATE, Self::VARIANT],
        one_of: &[],
        file_keys: &[],
        file_extensions: &[],
        build: |settings| {
            let bias_rate: f32 = settings.required::<f32, _>(&Self::BIAS_RATE)?;
            if !(bias_rate.is_finite() && bias_rate >= 0.0) {
                return Err(SettingError::invalid("bias_rate", bias_rate, "a number of at least 0"));
            }
            Ok(Arc::new(Self {
                top_k: settings.required::<usize, _>(&Self::TOP_K)?,
                bias_rate,
                variant: settings.required::<FlyLoraVariant, _>(&Self::VARIANT)?,
            }))
        },
    };

    /// The entries of a row of A that are not 0.
    fn nonzeros(&self, rank: usize, d_in: usize) -> usize {
        let k = self.top_k.get().min(rank);
        match self.variant {
            FlyLoraVariant::Peft => d_in / (rank / k),
            FlyLoraVariant::Minimal => (d_in * k / rank).max(1),
        }
    }
}

impl Method for FlyLora {
    fn kind(&self) -> &'static MethodKind {
        &Self::KIND
    }

    fn settings(&self) -> MethodSettings {
        MethodSettings::new()
            .with("top_k", self.top_k.get())
            .with("bias_rate", self.bias_rate)
            .with("variant", recorded(&self.variant))
    }

    fn router(&self) -> Option<&dyn Router> {
        Some(self)
    }

    /// A `[r, d_in]` and the bias `[r]`, which are kept but not trained, and B `[d_out, r]`.
    fn parameters(&self, AdapterShape { rank, d_in, d_out }: AdapterShape) -> Vec<ParameterSpec> {
        let nonzeros = self.nonzeros(rank, d_in);
        let sparse = Initial::Sparse { row: d_in, nonzeros, deviation: 1.0 / rank as f32 };
        let kept = |spec: ParameterSpec| ParameterSpec { trained: false, ..spec };
        vec![
            kept(ParameterSpec::new("a", "lora_A.weight", [rank, d_in], sparse)),
            ParameterSpec::new("b", "lora_B.weight", [d_out, rank], Initial::Zeros),
            kept(ParameterSpec::new("bias", "lora_topk_bias", [rank], Initial::Zeros)),
        ]
    }

    fn inner(&self, adapter: &Adapter, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        let (number, p) = (context.enter_adapter(), adapter.config().dropout);
        let dropout = context.input_dropout(p, number, 1).and_then(|dropouts| dropouts.first().copied());
        let hidden = adapter_input(x.clone(), adapter.a(), dropout);
        let hidden = if self.variant == FlyLoraVariant::Peft { hidden.detach() } else { hidden };
        match adapter.decide(hidden.clone(), &x, number, context) {
            Some(mask) => hidden * mask * adapter.config().scale(),
            None => hidden,
        }
    }

    fn kept_for_a_token(&self, AdapterShape { rank, .. }: AdapterShape) -> usize {
        6 * rank
    }
}

impl Router for FlyLora {
    /// The ranks are the experts, and A's products their logits.
    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let scores = input.logits.clone().detach() + input.adapter.vector("bias").unsqueeze::<2>();
        let scores = if self.variant == FlyLoraVariant::Minimal { scores.abs() } else { scores };
        let mask = top_k(scores.clone(), self.top_k.get());
        Routing {
            weights: mask.clone(),
            requested: mask.clone(),
            balance: mask.clone(),
            active: mask,
            scores: GateScores::of(scores),
            thresholds: None,
            row_loss: None,
        }
    }

    fn auxiliary_loss(&self, routing: &Routing, _rows: &Rows) -> Option<Tensor<1>> {
        Some(no_loss(routing))
    }

    fn feedback(&self) -> Option<&dyn Feedback> {
        Some(self)
    }
}

impl Feedback for FlyLora {
    fn next_state(&self, adapter: &Adapter, active_tokens: &[f64]) -> Option<(&'static str, TensorData)> {
        let ranks = active_tokens.len() as f64;
        let expected = match self.variant {
            FlyLoraVariant::Peft => active_tokens.iter().sum::<f64>() / ranks,
            FlyLoraVariant::Minimal => (self.top_k.get() as f64).min(ranks) / ranks,
        };
        let bias = adapter.vector("bias").into_data();
        let moved = bias.iter::<f32>().zip(active_tokens).map(|(bias, tokens)| {
            let direction = if *tokens == expected { 0.0 } else { (expected - tokens).signum() };
            bias + self.bias_rate * direction as f32
        });
        Some(("bias", TensorData::new(moved.collect::<Vec<f32>>(), [active_tokens.len()])))
    }
}
