//! LD-MoLE: a projection onto the simplex whose sparsity is learned for each token (arXiv 2509.25684).

use super::{Method, MethodKind, MethodSettings};
use crate::{
    Adapter, AdapterShape, ForwardContext, Initial, NumExperts, ParameterSpec, Rows, Setting, SettingError,
    router::{GateScores, JointLoss, Router, RouterInput, Routing, top_choices},
};
use adamole_kernels::adapter_input;
use burn::tensor::{
    Tensor,
    activation::{log_sigmoid, relu},
};
use std::sync::Arc;

/// The weights are the sparsegen projection of the gate's logits u: `max(u_i - tau, 0) / max(1 - lambda, 0.01)`, with tau
/// such that they sum to 1. A perceptron, which all linears with as many inputs share, gives each token its lambda: few
/// experts where it is near 0.99, all of them where it is far below 0.
///
/// As in the authors' code, gate, perceptron and experts see one input with one dropout mask, a single expert is a plain
/// LoRA, and the auxiliary loss is a mean over the linears: the load balancing loss, and a multiple of the sparsity loss,
/// which asks for two experts and is computed over all rows, padding included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LdMole {
    /// N.
    pub num_experts: NumExperts,
    /// Width of the perceptron's hidden layer.
    pub sparsity_hidden: usize,
    /// Weight of the sparsity loss as a multiple of the load balancing loss's; 0 for none.
    pub sparsity_loss: f32,
}

/// The largest lambda, and 1 less it.
const MAX_LAMBDA: f64 = 0.99;
const EPSILON: f64 = 0.01;

impl LdMole {
    const HIDDEN: Setting =
        Setting::new::<usize>("sparsity_hidden", "Width of the perceptron that gives a token its sparsity.", "128");

    /// The description of the method.
    pub const KIND: MethodKind = MethodKind {
        name: "ldmole",
        help: "Experts by a projection whose sparsity is learned per token",
        peft_type: "LDMOLE",
        settings: &[
            MethodSettings::NUM_EXPERTS,
            Self::HIDDEN,
            Setting::new::<f32>(
                "sparsity_loss",
                "Weight of the loss that asks for two experts a token, as a multiple of the load balancing loss's.",
                "0",
            ),
        ],
        one_of: &[],
        file_keys: &[],
        file_extensions: &[],
        build: |settings| {
            let num_experts: NumExperts = settings.required::<usize, _>(&MethodSettings::NUM_EXPERTS)?;
            let sparsity_hidden: usize = settings.required::<usize, _>(&Self::HIDDEN)?;
            let sparsity_loss: f32 = settings.read::<f32, _>("sparsity_loss")?.unwrap_or(0.0);
            if !(1..=1 << 16).contains(&sparsity_hidden) {
                return Err(SettingError::invalid("sparsity_hidden", sparsity_hidden, "an integer from 1 to 65536"));
            }
            if !(sparsity_loss.is_finite() && sparsity_loss >= 0.0) {
                return Err(SettingError::invalid("sparsity_loss", sparsity_loss, "a number of at least 0"));
            }
            if sparsity_loss > 0.0 && num_experts.get() < 3 {
                return Err(SettingError::invalid("sparsity_loss", sparsity_loss, "0 with fewer than three experts"));
            }
            Ok(Arc::new(Self { num_experts, sparsity_hidden, sparsity_loss }))
        },
    };

    /// lambda of each row, `[T, 1]`: `logsigmoid(w relu(W x + b) + c) + 0.99`.
    pub fn lambda(adapter: &Adapter, x: &Tensor<2>) -> Tensor<2> {
        let bias = |name: &str| adapter.vector(name).unsqueeze::<2>();
        let hidden = adapter_input(x.clone(), adapter.matrix("sparsity.0.weight"), None) + bias("sparsity.0.bias");
        let sparsity = adapter_input(relu(hidden), adapter.matrix("sparsity.2.weight"), None) + bias("sparsity.2.bias");
        log_sigmoid(sparsity) + MAX_LAMBDA
    }

    /// Load balancing loss and sparsity loss of a linear, the latter 0 where it has no weight. f counts activations as shares of all of
    /// them, so that uniform routing gives 1.
    pub fn losses(routing: &Routing, rows: &Rows) -> [Tensor<1>; 2] {
        let active = rows.sum(routing.active.clone());
        let experts = active.dims()[1] as f32;
        let share = active.clone() / active.sum_dim(1).clamp_min(1.0);
        let balance = (share * rows.sum(routing.balance.clone())).sum() * (experts / rows.count().max(1) as f32);
        let sparsity = match &routing.row_loss {
            Some(row_loss) => row_loss.clone().mean(),
            None => Tensor::zeros([1], &balance.device()),
        };
        [balance, sparsity]
    }

    fn loss(&self, routing: &Routing, rows: &Rows) -> Tensor<1> {
        let [balance, sparsity] = Self::losses(routing, rows);
        if self.sparsity_loss > 0.0 { balance + sparsity * self.sparsity_loss } else { balance }
    }
}

/// The sparsegen projection of logits `[T, N]` with lambda `[T, 1]`. An expert is active where its logit exceeds the
/// threshold tau that makes the weights sum to 1; equals get equal weights.
fn sparsegen(logits: &Tensor<2>, lambda: &Tensor<2>) -> Tensor<2> {
    let [rows, experts] = logits.dims();
    let (u, margin) = (logits.clone().detach(), lambda.clone().detach().neg() + 1.0);
    // Of each expert: how many logits are at least its own, and their sum.
    let others = u.clone().reshape([rows, 1, experts]).expand([rows, experts, experts]);
    let at_least = others.clone().greater_equal(u.clone().reshape([rows, experts, 1]).expand([rows, experts, experts]));
    let at_least = at_least.float();
    let count: Tensor<2> = at_least.clone().sum_dim(2).reshape([rows, experts]);
    let sum: Tensor<2> = (at_least * others).sum_dim(2).reshape([rows, experts]);
    let supported = (count * u.clone() + margin).greater(sum).float();
    // The largest is active however coarse the sums are.
    let support = supported.max_pair(u.clone().greater_equal(u.max_dim(1).expand([rows, experts])).float());
    let tau = ((logits.clone() * support.clone()).sum_dim(1) + lambda.clone() - 1.0) / support.sum_dim(1);
    relu(logits.clone() - tau) / (lambda.clone().neg() + 1.0).clamp_min(EPSILON)
}

impl Method for LdMole {
    fn kind(&self) -> &'static MethodKind {
        &Self::KIND
    }

    fn settings(&self) -> MethodSettings {
        MethodSettings::new()
            .with("num_experts", self.num_experts.get())
            .with("sparsity_hidden", self.sparsity_hidden)
            .with("sparsity_loss", self.sparsity_loss)
    }

    fn num_experts(&self) -> usize {
        self.num_experts.get()
    }

    fn router(&self) -> Option<&dyn Router> {
        (self.num_experts() > 1).then_some(self as &dyn Router)
    }

    /// Experts, gate and perceptron, under the keys of the authors' files, which hold the perceptron once for each linear.
    fn parameters(&self, shape: AdapterShape) -> Vec<ParameterSpec> {
        let (experts, hidden, d_in) = (self.num_experts(), self.sparsity_hidden, shape.d_in);
        let named = |spec: ParameterSpec| ParameterSpec { key: spec.key.replace(".{}", "{}"), ..spec };
        let mut parameters: Vec<ParameterSpec> =
            ParameterSpec::experts(shape, experts).into_iter().map(named).collect();
        if experts > 1 {
            let bias = Initial::Constant { value: -2.5 };
            let shared = |name: &'static str, shape: Vec<usize>, initial| {
                let key = name.replace("sparsity", &format!("sparsegen.mlp.proj_layers.{d_in}"));
                ParameterSpec::new(name, key, shape, initial).shared()
            };
            let gate = ParameterSpec::gate(shape, experts);
            parameters.extend([
                ParameterSpec { key: "lora_route.weight".into(), ..gate },
                shared("sparsity.0.weight", vec![hidden, d_in], Initial::of_linear(d_in)),
                shared("sparsity.0.bias", vec![hidden], bias),
                shared("sparsity.2.weight", vec![1, hidden], Initial::of_linear(hidden)),
                shared("sparsity.2.bias", vec![1], bias),
            ]);
        }
        parameters
    }

    fn inner(&self, adapter: &Adapter, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        let number = context.enter_adapter();
        let x = context.dropped(x, adapter.config().dropout, number, 0);
        let hidden = adapter_input(x.clone(), adapter.a(), None);
        adapter.weighted(hidden, &x, number, context)
    }

    fn kept_for_a_token(&self, AdapterShape { rank, .. }: AdapterShape) -> usize {
        let experts = self.num_experts();
        3 * experts * rank + (10 + 2 * experts) * experts + 3 * self.sparsity_hidden
    }
}

impl Router for LdMole {
    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let lambda = Self::lambda(input.adapter, input.x);
        let weights = sparsegen(&input.logits, &lambda);
        let active = weights.clone().detach().greater_scalar(0.0).float();
        let row_loss = (self.sparsity_loss > 0.0).then(|| {
            let logits = input.logits.clone().detach();
            let best = top_choices(logits.clone(), 3).into_iter().map(|choice| (choice * logits.clone()).sum_dim(1));
            let [first, second, third] = <[Tensor<2>; 3]>::try_from(best.collect::<Vec<_>>())
                .unwrap_or_else(|_| unreachable!("there are at least three experts"));
            relu((first + second - third * 2.0).neg() - lambda + 1.0)
        });
        Routing {
            scores: GateScores::of(weights.clone()),
            balance: weights.clone(),
            requested: active.clone(),
            active,
            weights,
            thresholds: None,
            row_loss,
        }
    }

    fn auxiliary_loss(&self, routing: &Routing, rows: &Rows) -> Option<Tensor<1>> {
        Some(self.loss(routing, rows))
    }

    fn joint_loss(&self) -> Option<&dyn JointLoss> {
        Some(self)
    }
}

/// The mean over the linears.
impl JointLoss for LdMole {
    fn contribution(&self, routing: &Routing, rows: &Rows) -> Tensor<2> {
        self.loss(routing, rows).unsqueeze()
    }

    fn of_sum(&self, sum: Tensor<2>, layers: usize) -> Tensor<1> {
        sum.reshape([1]) / layers as f32
    }
}
