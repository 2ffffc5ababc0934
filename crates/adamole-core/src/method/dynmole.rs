//! DynMoLE: top-p routing with an entropy above which every expert acts (arXiv 2504.00661).

use super::{Method, MethodKind, MethodSettings};
use crate::{
    AdapterShape, NumExperts, ParameterSpec, Rows, Setting, SettingError, TopK, TopP,
    router::{JointLoss, Router, RouterInput, Routing},
    setting::recorded,
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The weights are the probabilities of the kept experts, not renormalised. Kept are the `keep_top_k` most probable, those
/// that are not beyond the share `top_p` of the probability, and all of them where the normalised entropy of the
/// probabilities is above `entropy_threshold`.
///
/// As in the authors' code, with the argument's name mended that keeps it from running: the expert that crosses `top_p` is
/// left out, where nucleus routing includes it; the load balancing loss takes the mean weight for the share of
/// activations, with its gradient; the entropy's loss is over all rows, padding included; and both are one loss over the
/// rows of all linears together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DynMole {
    /// N.
    pub num_experts: NumExperts,
    /// Share of the probability that the kept experts do not exceed.
    pub top_p: TopP,
    /// Experts that are always kept.
    pub keep_top_k: TopK,
    /// Normalised entropy above which all experts are kept; 1 or more for never.
    pub entropy_threshold: f32,
    /// Which entropy.
    pub entropy_type: EntropyType,
    /// q of the Tsallis entropy, or the order of the Renyi entropy; 1 for Shannon's.
    pub entropy_index: f32,
    /// Weight of the entropy's loss as a multiple of the load balancing loss's.
    pub entropy_loss: f32,
}

/// A generalisation of Shannon's entropy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntropyType {
    /// `(1 - sum p^q) / (q - 1)`.
    Tsallis,
    /// `ln(sum p^q) / (1 - q)`.
    Renyi,
}

/// Added to every probability in an entropy.
const EPSILON: f64 = 1e-5;

impl DynMole {
    const TOP_P: Setting =
        Setting::new::<f32>("top_p", "Share of the probability that the active experts do not exceed.", "0.75");
    const KEEP: Setting = Setting::new::<usize>("keep_top_k", "Most probable experts that are always active.", "2");
    const THRESHOLD: Setting = Setting::new::<f32>(
        "entropy_threshold",
        "Share of the largest entropy above which all experts are active; 1 for never.",
        "0.9",
    );
    const INDEX: Setting =
        Setting::new::<f32>("entropy_index", "Index of the entropy; 1 for Shannon's entropy.", "1.1");
    const TYPE: Setting = Setting::new::<EntropyType>("entropy_type", "Which entropy.", "tsallis");
    const LOSS: Setting = Setting::new::<f32>(
        "entropy_loss",
        "Weight of the loss on the entropy, as a multiple of the load balancing loss's.",
        "10",
    );

    /// The description of the method.
    pub const KIND: MethodKind = MethodKind {
        name: "dynmole",
        help: "Top-p experts, and all where the gate's entropy is high",
        peft_type: "DYNMOLE",
        settings: &[
            MethodSettings::NUM_EXPERTS,
            Self::TOP_P,
            Self::KEEP,
            Self::THRESHOLD,
            Self::TYPE,
            Self::INDEX,
            Self::LOSS,
        ],
        one_of: &[],
        file_keys: &[],
        file_extensions: &[],
        build: |settings| {
            let method = Self {
                num_experts: settings.required::<usize, _>(&MethodSettings::NUM_EXPERTS)?,
                top_p: settings.required::<f32, _>(&Self::TOP_P)?,
                keep_top_k: settings.required::<usize, _>(&Self::KEEP)?,
                entropy_threshold: settings.required::<f32, _>(&Self::THRESHOLD)?,
                entropy_type: settings.required::<EntropyType, _>(&Self::TYPE)?,
                entropy_index: settings.required::<f32, _>(&Self::INDEX)?,
                entropy_loss: settings.required::<f32, _>(&Self::LOSS)?,
            };
            for (name, value, above) in [
                ("entropy_threshold", method.entropy_threshold, false),
                ("entropy_index", method.entropy_index, true),
                ("entropy_loss", method.entropy_loss, false),
            ] {
                if !(value.is_finite() && (value > 0.0 || (value == 0.0 && !above))) {
                    let expected = if above { "a number above 0" } else { "a number of at least 0" };
                    return Err(SettingError::invalid(name, value, expected));
                }
            }
            Ok(Arc::new(method))
        },
    };

    /// The entropy of each row as a share of that of equal probabilities, `[T, N]` to `[T, 1]`. What is added to the
    /// probabilities is not normalised away, so that it may be above 1.
    fn entropy(&self, probabilities: &Tensor<2>) -> Tensor<2> {
        let (q, experts) = (f64::from(self.entropy_index), self.num_experts.get() as f64);
        let raised = probabilities.clone() + EPSILON;
        if self.num_experts.get() == 1 {
            return raised.sum_dim(1) * 0.0;
        }
        if self.entropy_index == 1.0 {
            return (raised.clone() * raised.log()).sum_dim(1) / -experts.ln();
        }
        let sum = raised.powf_scalar(q).sum_dim(1);
        match self.entropy_type {
            EntropyType::Tsallis => (sum.neg() + 1.0) / (1.0 - experts.powf(1.0 - q)),
            EntropyType::Renyi => (sum + 1e-10).log() / ((1.0 - q) * experts.ln()),
        }
    }

    /// 1 where an expert is kept, `[T, N]`; among equals the first come first.
    fn kept(&self, probabilities: Tensor<2>, entropy: Tensor<2>) -> Tensor<2> {
        let [rows, experts] = probabilities.dims();
        let all = [rows, experts, experts];
        let of_one = probabilities.clone().reshape([rows, experts, 1]).expand(all);
        let of_other = probabilities.clone().reshape([rows, 1, experts]).expand(all);
        // Whether the other one comes no later in the order of the probabilities.
        let numbers: Vec<f32> =
            (0..experts * experts).map(|at| if at % experts <= at / experts { 1.0 } else { 0.0 }).collect();
        let numbers = Tensor::<1>::from_floats(&numbers[..], &probabilities.device());
        let earlier =
            numbers.reshape([1, experts, experts]).expand(all) * of_other.clone().equal(of_one.clone()).float();
        let before = of_other.clone().greater(of_one).float() + earlier;
        let place: Tensor<2> = before.clone().sum_dim(2).reshape([rows, experts]);
        let sum: Tensor<2> = (before * of_other).sum_dim(2).reshape([rows, experts]);
        let within = sum.lower_equal_scalar(self.top_p.get()).float();
        let first = place.lower_equal_scalar(self.keep_top_k.get() as f32).float();
        let kept = within.max_pair(first);
        if self.entropy_threshold >= 1.0 {
            return kept;
        }
        kept.max_pair(entropy.greater_scalar(self.entropy_threshold).float().expand([rows, experts]))
    }

    /// Of a linear: the losses on the entropy and on the balance.
    pub fn losses(routing: &Routing, rows: &Rows) -> [Tensor<1>; 2] {
        let means = Self::means(routing, rows);
        let experts = routing.weights.dims()[1];
        [means.clone().slice([0..1, 2 * experts..2 * experts + 1]).reshape([1]), Self::balance(means)]
    }

    /// The mean weights, the mean probabilities and the mean entropy of a linear, `[1, 2 N + 1]`.
    fn means(routing: &Routing, rows: &Rows) -> Tensor<2> {
        let tokens = rows.count().max(1) as f32;
        let of_tokens = |values: &Tensor<2>| rows.sum(values.clone()) / tokens;
        let entropy = match &routing.row_loss {
            Some(entropy) => entropy.clone().mean_dim(0),
            None => Tensor::zeros([1, 1], &routing.weights.device()),
        };
        Tensor::cat(vec![of_tokens(&routing.weights), of_tokens(&routing.balance), entropy], 1)
    }

    /// `N sum_i f_i P_i` of such means.
    fn balance(means: Tensor<2>) -> Tensor<1> {
        let experts = (means.dims()[1] - 1) / 2;
        let (weights, probabilities) = (means.clone().narrow(1, 0, experts), means.narrow(1, experts, experts));
        (weights * probabilities).sum() * experts as f32
    }
}

impl Method for DynMole {
    fn kind(&self) -> &'static MethodKind {
        &Self::KIND
    }

    fn settings(&self) -> MethodSettings {
        MethodSettings::new()
            .with("num_experts", self.num_experts.get())
            .with("top_p", self.top_p.get())
            .with("keep_top_k", self.keep_top_k.get())
            .with("entropy_threshold", self.entropy_threshold)
            .with("entropy_type", recorded(&self.entropy_type))
            .with("entropy_index", self.entropy_index)
            .with("entropy_loss", self.entropy_loss)
    }

    fn num_experts(&self) -> usize {
        self.num_experts.get()
    }

    fn router(&self) -> Option<&dyn Router> {
        Some(self)
    }

    /// Experts and gate, under the keys of the authors' files.
    fn parameters(&self, shape: AdapterShape) -> Vec<ParameterSpec> {
        let authors_key = |spec: ParameterSpec| {
            let key = match spec.name {
                "a" => "experts.{}.lora_A.weight",
                "b" => "experts.{}.lora_B.weight",
                _ => "moe_gate.weight",
            };
            ParameterSpec { key: key.into(), ..spec }
        };
        ParameterSpec::mixture(shape, self.num_experts()).into_iter().map(authors_key).collect()
    }

    fn kept_for_a_token(&self, AdapterShape { rank, .. }: AdapterShape) -> usize {
        let experts = self.num_experts();
        3 * experts * rank + 14 * experts
    }
}

impl Router for DynMole {
    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let scores = input.scores();
        let probabilities = scores.probabilities();
        let entropy = self.entropy(&probabilities);
        let kept = self.kept(probabilities.clone().detach(), entropy.clone().detach());
        let weights = probabilities.clone() * kept;
        let active = weights.clone().detach().greater_scalar(0.0).float();
        Routing {
            weights,
            requested: active.clone(),
            active,
            balance: probabilities,
            scores,
            thresholds: None,
            row_loss: Some(entropy),
        }
    }

    fn auxiliary_loss(&self, routing: &Routing, rows: &Rows) -> Option<Tensor<1>> {
        Some(self.of_sum(self.contribution(routing, rows), 1))
    }

    fn joint_loss(&self) -> Option<&dyn JointLoss> {
        Some(self)
    }
}

/// One loss over the rows of all linears, whose means are those of the linears' means.
impl JointLoss for DynMole {
    fn contribution(&self, routing: &Routing, rows: &Rows) -> Tensor<2> {
        Self::means(routing, rows)
    }

    fn of_sum(&self, sum: Tensor<2>, layers: usize) -> Tensor<1> {
        let means = sum / layers as f32;
        let entropy = means.clone().narrow(1, means.dims()[1] - 1, 1).reshape([1]);
        Self::balance(means) + entropy * self.entropy_loss
    }
}
