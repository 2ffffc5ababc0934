//! CoMoL: experts as small cores between one A and one B, merged before they act (arXiv 2603.00573).

use super::{Method, MethodKind, MethodSettings};
use crate::{
    Adapter, AdapterShape, ForwardContext, Initial, NumExperts, ParameterSpec, Rows, Setting,
    router::{Router, RouterInput, Routing, no_loss},
};
use adamole_kernels::adapter_input;
use burn::tensor::Tensor;
use std::sync::Arc;

/// With `h = A x` and the gate's probabilities p, of h or of x, `C = sum_i p_i C_i` is the core of a token and
/// `y = W x + s B z` with `z_j = sum_i h_i C_ij`. All experts act; as in the authors' code there is no auxiliary loss, and
/// dropout acts on x, on the entries of C and on z.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoMol {
    /// N, the number of cores.
    pub num_experts: NumExperts,
    /// Whether the gate sees h in place of x.
    pub core_router: bool,
}

/// The dropout masks of an adapter, beside that of its input.
const CORE_MASK: usize = 2;
const RESULT_MASK: usize = 3;

impl CoMol {
    const CORE_ROUTER: Setting = Setting::new::<bool>(
        "core_router",
        "Whether the gate sees the experts' input of `rank` numbers in place of the linear's.",
        "true",
    );

    /// The description of the method.
    pub const KIND: MethodKind = MethodKind {
        name: "comol",
        help: "Experts as cores between one A and one B, merged for each token",
        peft_type: "COMOL",
        settings: &[MethodSettings::NUM_EXPERTS, Self::CORE_ROUTER],
        one_of: &[],
        file_keys: &[],
        file_extensions: &[],
        build: |settings| {
            Ok(Arc::new(Self {
                num_experts: settings.required::<usize, _>(&MethodSettings::NUM_EXPERTS)?,
                core_router: settings.required::<bool, _>(&Self::CORE_ROUTER)?,
            }))
        },
    };

    /// The merged core of each row, `[T, r r]`, row by row, for weights `[T, N]`.
    pub fn core(adapter: &Adapter, weights: Tensor<2>) -> Tensor<2> {
        let ([_, experts], rank) = (weights.dims(), adapter.config().rank.get());
        weights.matmul(adapter.matrix("cores").reshape([experts, rank * rank]))
    }
}

impl Method for CoMol {
    fn kind(&self) -> &'static MethodKind {
        &Self::KIND
    }

    fn settings(&self) -> MethodSettings {
        MethodSettings::new().with("num_experts", self.num_experts.get()).with("core_router", self.core_router)
    }

    fn num_experts(&self) -> usize {
        self.num_experts.get()
    }

    fn router(&self) -> Option<&dyn Router> {
        Some(self)
    }

    /// A `[r, d_in]`, B `[d_out, r]`, the cores `[N r, r]` and the gate, under the keys of the authors' files.
    fn parameters(&self, AdapterShape { rank, d_in, d_out }: AdapterShape) -> Vec<ParameterSpec> {
        let (experts, seen) = (self.num_experts(), if self.core_router { rank } else { d_in });
        let cores = ParameterSpec::new("cores", "lora_Cores.{}", [experts * rank, rank], Initial::of_linear(rank));
        vec![
            ParameterSpec::new("a", "lora_A.weight", [rank, d_in], Initial::of_linear(d_in)),
            ParameterSpec::new("b", "lora_B.weight", [d_out, rank], Initial::Zeros),
            cores.per_expert(experts, 0),
            ParameterSpec::new("gate", "lora_router.weight", [experts, seen], Initial::of_linear(seen)),
        ]
    }

    fn inner(&self, adapter: &Adapter, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        let (number, p, rank) = (context.enter_adapter(), adapter.config().dropout, adapter.config().rank.get());
        let dropout = context.input_dropout(p, number, 1).and_then(|dropouts| dropouts.first().copied());
        let hidden = adapter_input(x.clone(), adapter.a(), dropout);
        let seen = if self.core_router { &hidden } else { &x };
        let Some(weights) = adapter.route(seen, number, context) else { return hidden };
        let core = context.dropped(Self::core(adapter, weights), p, number, CORE_MASK);
        let rows = hidden.dims()[0];
        let products = hidden.reshape([rows, rank, 1]) * core.reshape([rows, rank, rank]);
        let mixed = products.sum_dim(1).reshape([rows, rank]);
        context.dropped(mixed, p, number, RESULT_MASK) * adapter.config().scale()
    }

    fn kept_for_a_token(&self, AdapterShape { rank, .. }: AdapterShape) -> usize {
        3 * rank * rank + 4 * rank + 5 * self.num_experts()
    }
}

impl Router for CoMol {
    fn route(&self, input: &RouterInput<'_>) -> Routing {
        Routing::of_all(input.scores())
    }

    fn auxiliary_loss(&self, routing: &Routing, _rows: &Rows) -> Option<Tensor<1>> {
        Some(no_loss(routing))
    }
}
