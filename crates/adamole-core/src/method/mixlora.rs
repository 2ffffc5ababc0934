//! MixLoRA: one gate for a whole feed-forward block, whose experts are adapted blocks (arXiv 2404.15159).

use super::{Lora, Method, MethodKind, MethodSettings};
use crate::{
    AdapterShape, Initial, NumExperts, ParameterSpec, Rows, Setting, SettingError, TopK,
    router::{JointLoss, Router, RouterInput, Routing, top_k},
};
use burn::tensor::Tensor;
use std::sync::Arc;

/// The k most probable of N experts act, with probabilities that are scaled to sum to 1. An expert is the feed-forward block
/// with a low-rank pair of its own on each of its adapted linears, so that it has a hidden activation of its own; see
/// [`RoutedBlock`](crate::RoutedBlock). Adapted linears of attention have a plain LoRA.
///
/// The load balancing loss is one loss over the tokens of all layers together, as in the authors' code. Their noise on the
/// input of the gate, which is off there, is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MixLora {
    /// N.
    pub num_experts: NumExperts,
    /// k.
    pub top_k: TopK,
    /// Which of a layer's linears it is on.
    pub part: MixLoraPart,
}

/// The part of [`MixLora`] that is on a linear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MixLoraPart {
    /// A linear of attention, with a plain LoRA.
    Attention,
    /// A linear of the feed-forward block, with a pair for each expert.
    Block {
        /// Whether the block's gate is kept on it, as on the first that is adapted.
        has_gate: bool,
        /// Whether it is the block's last linear.
        is_last: bool,
    },
}

/// The linears of a feed-forward block.
const BLOCK: [&str; 3] = ["gate_proj", "up_proj", "down_proj"];

impl MixLora {
    const TOP_K: Setting = Setting::new::<usize>("top_k", "Experts that a token activates.", "2").per_layer();

    /// The description of the method.
    pub const KIND: MethodKind = MethodKind {
        name: "mixlora",
        help: "Top-k experts that are whole feed-forward blocks, and a LoRA on attention",
        peft_type: "MIXLORA",
        settings: &[MethodSettings::NUM_EXPERTS, Self::TOP_K],
        one_of: &[],
        file_keys: &[],
        file_extensions: &[],
        build: |settings| {
            Ok(Arc::new(Self {
                num_experts: settings.required::<usize, _>(&MethodSettings::NUM_EXPERTS)?,
                top_k: settings.required::<usize, _>(&Self::TOP_K)?,
                part: MixLoraPart::Block { has_gate: true, is_last: false },
            }))
        },
    };

    /// `N sum_i f_i P_i` of the mean requests f and the mean probabilities P, `[1, 2 N]`.
    fn balance(means: Tensor<2>) -> Tensor<1> {
        let experts = means.dims()[1] / 2;
        let (requests, probabilities) = (means.clone().narrow(1, 0, experts), means.narrow(1, experts, experts));
        (requests * probabilities).sum() * experts as f32
    }
}

impl Method for MixLora {
    fn kind(&self) -> &'static MethodKind {
        &Self::KIND
    }

    fn settings(&self) -> MethodSettings {
        MethodSettings::new().with("num_experts", self.num_experts.get()).with("top_k", self.top_k.get())
    }

    fn on(&self, target: &str, targets: &[&str]) -> Result<Option<Arc<dyn Method>>, SettingError> {
        if target == "gate_up_proj" {
            let expected = "gate_proj and up_proj apart, as of a block with experts; this model has them as one linear";
            return Err(SettingError::invalid("targets", target, expected));
        }
        let Some(first) = BLOCK.into_iter().find(|linear| targets.contains(linear)) else {
            let expected = format!("{} or some of them too, whose block has the experts", BLOCK.join(", "));
            return Err(SettingError::invalid("targets", targets.join(", "), expected));
        };
        let part = match BLOCK.contains(&target) {
            true => MixLoraPart::Block { has_gate: target == first, is_last: target == BLOCK[2] },
            false => MixLoraPart::Attention,
        };
        Ok(Some(Arc::new(Self { part, ..*self })))
    }

    fn num_experts(&self) -> usize {
        if self.part == MixLoraPart::Attention { 1 } else { self.num_experts.get() }
    }

    fn router(&self) -> Option<&dyn Router> {
        matches!(self.part, MixLoraPart::Block { has_gate: true, .. }).then_some(self)
    }

    fn block_choices(&self) -> Option<usize> {
        (self.part != MixLoraPart::Attention).then(|| self.top_k.get().min(self.num_experts.get()))
    }

    /// The pairs of the experts under the names of the authors' keys, and the gate on one of the block's linears. It takes
    /// the input of the block, which is as wide as the output of the last linear.
    fn parameters(&self, shape: AdapterShape) -> Vec<ParameterSpec> {
        let MixLoraPart::Block { has_gate, is_last } = self.part else { return Lora.parameters(shape) };
        let authors_key = |spec: ParameterSpec| ParameterSpec {
            key: format!("experts.{{}}.{}", spec.key.replace(".{}", "")),
            ..spec
        };
        let mut parameters: Vec<_> =
            ParameterSpec::experts(shape, self.num_experts()).into_iter().map(authors_key).collect();
        let width = if is_last { shape.d_out } else { shape.d_in };
        let gate = [self.num_experts(), width];
        let start = Initial::Normal { deviation: 0.02 };
        parameters.extend(has_gate.then(|| ParameterSpec::new("gate", "moe_gate.weight", gate, start)));
        parameters
    }

    fn times_met(&self, parameter: &ParameterSpec) -> usize {
        // Each choice has its own hidden activation: what leads to it and what takes it up is computed for each.
        let of_choices = match self.part {
            MixLoraPart::Block { is_last: false, .. } => "b",
            MixLoraPart::Block { is_last: true, .. } => "a",
            MixLoraPart::Attention => return 1,
        };
        if parameter.name == of_choices { self.top_k.get() } else { 1 }
    }

    fn kept_for_a_token(&self, AdapterShape { rank, d_in, d_out }: AdapterShape) -> usize {
        let (experts, choices) = (self.num_experts(), self.top_k.get());
        let of_choices = match self.part {
            MixLoraPart::Attention => return 3 * rank,
            // The result of each choice, one of which the frozen block has too.
            MixLoraPart::Block { is_last: false, .. } => (choices - 1) * d_out,
            // The hidden activation of each choice, and its share of their sum.
            MixLoraPart::Block { is_last: true, .. } => 2 * choices * d_in,
        };
        (1 + 2 * choices) * experts * rank + 10 * experts + of_choices
    }
}

impl Router for MixLora {
    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let scores = input.scores();
        let probabilities = scores.probabilities();
        Routing::proportional(scores, top_k(probabilities, self.top_k.get()))
    }

    fn auxiliary_loss(&self, routing: &Routing, rows: &Rows) -> Option<Tensor<1>> {
        Some(self.of_sum(self.contribution(routing, rows), 1))
    }

    fn joint_loss(&self) -> Option<&dyn JointLoss> {
        Some(self)
    }
}

/// One loss over the tokens of all layers, whose means are those of the layers' means.
impl JointLoss for MixLora {
    fn contribution(&self, routing: &Routing, rows: &Rows) -> Tensor<2> {
        let tokens = rows.count().max(1) as f32;
        let mean = |values: &Tensor<2>| rows.sum(values.clone()) / tokens;
        Tensor::cat(vec![mean(&routing.requested), mean(&routing.balance)], 1)
    }

    fn of_sum(&self, sum: Tensor<2>, layers: usize) -> Tensor<1> {
        Self::balance(sum / layers as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method() -> Result<MixLora, SettingError> {
        let part = MixLoraPart::Block { has_gate: true, is_last: false };
        Ok(MixLora { num_experts: 4.try_into()?, top_k: 2.try_into()?, part })
    }

    #[test]
    fn the_gate_is_on_the_first_linear_of_the_block_that_is_adapted() -> Result<(), SettingError> {
        let names = |target, targets: &[&str]| -> Result<Vec<(&str, Vec<usize>)>, SettingError> {
            let method = method()?.on(target, targets)?.unwrap_or_else(|| panic!("a part"));
            let specs = method.parameters(AdapterShape { rank: 3, d_in: 5, d_out: 7 });
            Ok(specs.into_iter().map(|spec| (spec.name, spec.shape)).collect())
        };
        let all = ["q_proj", "gate_proj", "up_proj", "down_proj"];
        let pairs = vec![("a", vec![12, 5]), ("b", vec![7, 12])];
        assert_eq!(names("q_proj", &all)?, [("a", vec![3, 5]), ("b", vec![7, 3])]);
        assert_eq!(names("gate_proj", &all)?, [pairs.clone(), vec![("gate", vec![4, 5])]].concat());
        assert_eq!(names("up_proj", &all)?, pairs);
        assert_eq!(names("down_proj", &["down_proj"])?, [pairs, vec![("gate", vec![4, 7])]].concat());
        Ok(())
    }

    #[test]
    fn a_layer_without_an_adapted_block_or_with_a_fused_one_is_refused() -> Result<(), SettingError> {
        let refused = |target, targets: &[&str]| method()?.on(target, targets).map(drop);
        for (target, targets) in [("q_proj", &["q_proj", "v_proj"][..]), ("gate_up_proj", &["gate_up_proj"])] {
            let error = refused(target, targets).expect_err("refused").to_string();
            assert!(error.contains("targets") && error.contains("gate_proj"), "{error}");
        }
        Ok(())
    }
}
