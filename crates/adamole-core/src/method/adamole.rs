//! AdaMoLE: a threshold learned for each token.

use super::{Method, MethodKind, MethodSettings};
use crate::{
    AdapterShape, Initial, NumExperts, ParameterSpec, Setting, TauMax,
    router::{GateScores, Router, RouterInput, Routing},
};
use adamole_kernels::{AdaptiveRouting, adaptive_routing};
use std::sync::Arc;

/// `tau = tau_max sigmoid(w x + b)`; experts with `p >= tau` are active with weights proportional to `p - tau`
/// (Liu & Luo 2024, equations 5 to 7).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaMole {
    /// N.
    pub num_experts: NumExperts,
    /// Upper end of the threshold's range; 1/N where absent.
    pub tau_max: Option<TauMax>,
}

impl AdaMole {
    /// The description of the method.
    pub const KIND: MethodKind = MethodKind {
        name: "adamole",
        help: "Experts with a threshold learned per token",
        peft_type: "ADAMOLE",
        settings: &[
            MethodSettings::NUM_EXPERTS,
            Setting::new::<f32>("tau_max", "Upper end of the threshold's range.", "1 / num_experts").common(),
        ],
        one_of: &[],
        file_keys: &[("tau_max", "max_threshold")],
        file_extensions: &[],
        build: |settings| {
            let num_experts = settings.required::<usize, _>(&MethodSettings::NUM_EXPERTS)?;
            Ok(Arc::new(Self { num_experts, tau_max: settings.read::<f32, _>("tau_max")? }))
        },
    };
}

impl Method for AdaMole {
    fn kind(&self) -> &'static MethodKind {
        &Self::KIND
    }

    fn settings(&self) -> MethodSettings {
        let settings = MethodSettings::new().with("num_experts", self.num_experts.get());
        self.tau_max.map_or(settings.clone(), |tau_max| settings.with("tau_max", tau_max.get()))
    }

    fn num_experts(&self) -> usize {
        self.num_experts.get()
    }

    fn router(&self) -> Option<&dyn Router> {
        Some(self)
    }

    fn parameters(&self, shape: AdapterShape) -> Vec<ParameterSpec> {
        let initial = Initial::of_linear(shape.d_in);
        let mut parameters = ParameterSpec::mixture(shape, self.num_experts());
        parameters.extend([
            ParameterSpec::new("threshold.weight", "lora_threshold.weight", [1, shape.d_in], initial),
            ParameterSpec::new("threshold.bias", "lora_threshold.bias", [1], initial),
        ]);
        parameters
    }

    fn gate_parameters(&self) -> &'static [&'static str] {
        &["gate", "threshold.weight"]
    }

    fn never_active(&self) -> Option<String> {
        super::mole::beyond_probabilities("tau_max", self.tau_max?.get(), self.num_experts())
    }
}

impl Router for AdaMole {
    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let bias = input.adapter.vector("threshold.bias");
        let AdaptiveRouting { scores, margins, active, weights, thresholds } =
            adaptive_routing(input.logits.clone(), bias, self.max_threshold());
        Routing {
            weights,
            requested: active.clone(),
            active,
            balance: margins,
            scores: GateScores::of_first(scores, self.num_experts()),
            thresholds: Some(thresholds),
            row_loss: None,
        }
    }

    fn max_threshold(&self) -> f32 {
        self.tau_max.map_or(1.0 / self.num_experts.get() as f32, |tau_max| tau_max.get())
    }

    fn skips_inactive_experts(&self) -> bool {
        true
    }
}
