//! The loss of a micro-batch: task loss and auxiliary loss, with their gradients.

use crate::{
    DeviceBatch, RoutingStatistics,
    routing::{floats, plain},
    unread_routing::UnreadRouting,
};
use adamole_core::{ForwardContext, LayerRouting};
use adamole_llama::{CausalLm, frozen_cross_entropy};
use burn::{
    optim::GradientsParams,
    tensor::{Int, Tensor},
};

/// How the losses of a micro-batch enter the loss of its step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LossWeights {
    /// Divides the sum of the cross-entropy over the labels.
    pub(crate) divisor: f32,
    /// Multiplies the auxiliary loss, as it is reported.
    pub(crate) share: f32,
    /// Multiplies it once more in the total loss.
    pub(crate) coefficient: f32,
}

/// The forward pass of a micro-batch, as one graph.
pub(crate) struct Forward {
    /// The final hidden states, `[B L, hidden]`.
    pub(crate) hidden: Tensor<2>,
    /// The routed layers, in the order of the forward pass.
    pub(crate) routing: Vec<LayerRouting>,
    task: Tensor<1>,
    balance: Option<Tensor<1>>,
    coefficient: f32,
}

impl Forward {
    /// A batch on the model's device to its losses.
    pub(crate) fn new(model: &CausalLm, batch: DeviceBatch, mut context: ForwardContext, weights: LossWeights) -> Self {
        let hidden = model.hidden(&batch.tokens, &mut context);
        let task = task_loss(model, hidden.clone(), (batch.label_positions, batch.label_targets), weights.divisor);
        let balance = context.auxiliary_loss().map(|loss| loss * weights.share);
        Self { hidden, routing: context.into_layers(), task, balance, coefficient: weights.coefficient }
    }

    /// The backward pass of `task + coefficient * auxiliary`.
    pub(crate) fn gradients(&self, model: &CausalLm) -> GradientsParams {
        let total = match &self.balance {
            Some(balance) if self.coefficient != 0.0 => self.task.clone() + balance.clone() * self.coefficient,
            _ => self.task.clone(),
        };
        GradientsParams::from_grads(total.backward(), model)
    }

    /// The values of the two losses.
    pub(crate) fn losses(&self) -> (f64, Option<f64>) {
        read(side_by_side(self.task.clone(), self.balance.clone()))
    }
}

/// What a micro-batch gave.
pub(crate) struct Outcome {
    /// The gradients of the total loss, in parts where layers have graphs of their own.
    pub(crate) gradients: Vec<GradientsParams>,
    pub(crate) numbers: UnreadNumbers,
}

/// The numbers of a micro-batch. They stay on the device until they are asked for: a GPU would wait for the host otherwise.
#[derive(Debug, Clone)]
pub(crate) struct UnreadNumbers {
    /// Task loss, and auxiliary loss where there is one.
    losses: Tensor<1>,
    pub(crate) routing: UnreadRouting,
}

impl UnreadNumbers {
    /// Task loss, auxiliary loss and routing statistics.
    pub(crate) fn read(self) -> (f64, Option<f64>, RoutingStatistics) {
        let (task, balance) = read(self.losses);
        (task, balance, self.routing.read())
    }

    /// The task loss, `[1]`.
    pub(crate) fn task_loss(&self) -> Tensor<1> {
        self.losses.clone().narrow(0, 0, 1)
    }
}

/// A forward and backward pass as one graph.
pub(crate) fn at_once(model: &CausalLm, batch: DeviceBatch, context: ForwardContext, weights: LossWeights) -> Outcome {
    let forward = Forward::new(model, batch, context, weights);
    let gradients = vec![forward.gradients(model)];
    let losses = side_by_side(forward.task, forward.balance);
    Outcome { gradients, numbers: UnreadNumbers { losses, routing: UnreadRouting::new(&forward.routing) } }
}

/// [`at_once`] with activation checkpointing: a graph for each layer, one at a time. The batch is on the plain device beneath
/// the model's.
pub(crate) fn by_layers(
    model: &CausalLm,
    batch: DeviceBatch,
    mut context: ForwardContext,
    weights: LossWeights,
) -> Outcome {
    let LossWeights { divisor, share, coefficient } = weights;
    let labels = (Tensor::from_inner(batch.label_positions), Tensor::from_inner(batch.label_targets));
    let head = |hidden| task_loss(model, hidden, labels, divisor);
    let (task, gradients) = model.gradients_by_layers(&batch.tokens, &mut context, share * coefficient, head);
    let losses = side_by_side(task, context.auxiliary_loss().map(|loss| loss * share));
    Outcome { gradients, numbers: UnreadNumbers { losses, routing: UnreadRouting::new(&context.into_layers()) } }
}

/// The cross-entropy of the labels, by their positions among `[B L, hidden]` and their tokens.
fn task_loss(
    model: &CausalLm,
    hidden: Tensor<2>,
    (positions, targets): (Tensor<1, Int>, Tensor<1, Int>),
    divisor: f32,
) -> Tensor<1> {
    match positions.dims() {
        [0] => (hidden * 0.0).sum(),
        _ => {
            let cap = model.config().scores.logit_cap;
            frozen_cross_entropy(hidden.select(0, positions), model.projection(), cap, targets, divisor)
        }
    }
}

/// Task loss and auxiliary loss without their graphs.
fn side_by_side(task: Tensor<1>, balance: Option<Tensor<1>>) -> Tensor<1> {
    Tensor::cat([Some(task), balance].into_iter().flatten().map(plain).collect(), 0)
}

/// Their values.
fn read(losses: Tensor<1>) -> (f64, Option<f64>) {
    let values = floats(losses.into_data());
    (values.first().copied().unwrap_or(f64::NAN), values.get(1).copied())
}
