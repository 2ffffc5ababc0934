//! HydraLoRA: one A for all experts, and a softmax gate over their heads (Tian et al. 2024).

use super::{Method, MethodKind, MethodSettings};
use crate::{
    AdapterShape, Initial, NumExperts, ParameterSpec, Rows,
    router::{Router, RouterInput, Routing, no_loss},
};
use burn::tensor::Tensor;
use std::sync::Arc;

/// One A and N heads B, all of which act on every token with the gate's probabilities as weights. As in the authors' code
/// there is no auxiliary loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HydraLora {
    /// N, the number of heads.
    pub num_experts: NumExperts,
}

impl HydraLora {
    /// The description of the method.
    pub const KIND: MethodKind = MethodKind {
        name: "hydralora",
        help: "One A for all experts, which all act with a gate's weights",
        peft_type: "HYDRALORA",
        settings: &[MethodSettings::NUM_EXPERTS],
        one_of: &[],
        file_keys: &[],
        file_extensions: &[],
        build: |settings| {
            Ok(Arc::new(Self { num_experts: settings.required::<usize, _>(&MethodSettings::NUM_EXPERTS)? }))
        },
    };
}

impl Method for HydraLora {
    fn kind(&self) -> &'static MethodKind {
        &Self::KIND
    }

    fn settings(&self) -> MethodSettings {
        MethodSettings::new().with("num_experts", self.num_experts.get())
    }

    fn num_experts(&self) -> usize {
        self.num_experts.get()
    }

    fn router(&self) -> Option<&dyn Router> {
        Some(self)
    }

    /// A `[r, d_in]`, B `[d_out, N r]` and the gate `[N, d_in]`, under the keys of the authors' files.
    fn parameters(&self, AdapterShape { rank, d_in, d_out }: AdapterShape) -> Vec<ParameterSpec> {
        let (experts, uniform) = (self.num_experts(), Initial::of_linear(d_in));
        vec![
            ParameterSpec::new("a", "lora_A.weight", [rank, d_in], uniform),
            ParameterSpec::new("b", "lora_B{}.weight", [d_out, experts * rank], Initial::Zeros).per_expert(experts, 1),
            ParameterSpec::new("gate", "lora_route.weight", [experts, d_in], uniform),
        ]
    }
}

impl Router for HydraLora {
    fn route(&self, input: &RouterInput<'_>) -> Routing {
        Routing::of_all(input.scores())
    }

    fn auxiliary_loss(&self, routing: &Routing, _rows: &Rows) -> Option<Tensor<1>> {
        Some(no_loss(routing))
    }
}
