//! The gradient of one optimizer step, accumulated over its micro-batches.

use crate::{
    DeviceBatch, Recipe, Replicas, RoutingStatistics, Workers,
    loss::{LossWeights, Outcome, at_once, by_layers},
};
use adamole_core::{DropoutSeed, ForwardContext, RoutingDetail};
use adamole_data::Batch;
use adamole_llama::CausalLm;
use burn::optim::{GradientsAccumulator, GradientsParams};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// How the losses of micro-batches make that of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accumulation {
    /// Every label counts alike, and for the auxiliary loss every token.
    #[default]
    Tokens,
    /// Every micro-batch counts alike, as in the reference implementation: the mean of their means. A label then counts for
    /// more among few.
    MicroBatches,
}

impl Accumulation {
    /// The weights of one micro-batch among all of a step.
    fn weights(self, of: &Batch, all: &[Batch], coefficient: f32) -> LossWeights {
        let labels = |batch: &Batch| batch.label_positions.len();
        let tokens = |batch: &Batch| batch.lengths.iter().sum::<usize>();
        let (divisor, share) = match self {
            Self::Tokens => {
                let (all_labels, all_tokens) = (all.iter().map(labels).sum::<usize>(), all.iter().map(tokens).sum());
                (all_labels as f32, tokens(of) as f32 / usize::max(all_tokens, 1) as f32)
            }
            Self::MicroBatches => ((labels(of).max(1) * all.len()) as f32, 1.0 / all.len() as f32),
        };
        LossWeights { divisor, share, coefficient }
    }
}

/// The input of a step.
#[derive(Debug, Clone, Copy)]
pub struct StepInput<'a> {
    /// The micro-batches.
    pub batches: &'a [Batch],
    /// Number of the step, for dropout.
    pub step: usize,
    /// The settings of the run: seed and scope of dropout, weight of the auxiliary loss, accumulation, activation
    /// checkpointing.
    pub recipe: &'a Recipe,
}

/// The gradients of a step, its losses and routing statistics.
pub struct StepOutcome {
    /// Of `task_loss + coefficient * balance_loss`, on the plain device.
    pub gradients: GradientsParams,
    /// Mean cross-entropy, as [`Recipe::accumulation`] says.
    pub task_loss: f64,
    /// Load balancing loss summed over the routed layers, mean over the micro-batches; `None` where nothing is routed.
    pub balance_loss: Option<f64>,
    /// Routing statistics.
    pub routing: RoutingStatistics,
    /// Valid tokens.
    pub tokens: usize,
}

/// Runs the micro-batches of one step forward and backward, on the model's (autodiff) device and on `replicas`.
///
/// On one device `workers` run micro-batches side by side; of several devices each has a worker, and they take the
/// micro-batches in turn. The auxiliary loss is computed within each micro-batch. Gradients are added on the model's device
/// in the order of the micro-batches, so that the result is the same for any number of workers.
pub fn accumulate(model: &CausalLm, input: StepInput<'_>, workers: &Workers, replicas: &Replicas) -> StepOutcome {
    let outcome = accumulate_until(model, input, workers, replicas, &|| false);
    outcome.unwrap_or_else(|| unreachable!("nothing asked it to stop"))
}

/// [`accumulate`] with a `stop` that is asked before each micro-batch; `None` once it is true.
pub(crate) fn accumulate_until(
    model: &CausalLm,
    input: StepInput<'_>,
    workers: &Workers,
    replicas: &Replicas,
    stop: &(dyn Fn() -> bool + Sync),
) -> Option<StepOutcome> {
    let tokens: usize = input.batches.iter().flat_map(|batch| &batch.lengths).sum();
    // The longest first, so that no worker is left with one at the end while the others wait.
    let mut order: Vec<usize> = (0..input.batches.len()).collect();
    order.sort_by_key(|&index| Reverse(input.batches[index].ids.len()));
    let unless_stopped = |device: usize, index: usize| {
        (!stop()).then(|| (index, micro_batch(&replicas.at(device, model), input, index)))
    };
    let parts: Option<Vec<_>> = match replicas.count() {
        1 => workers.map(&order, |&index| unless_stopped(0, index)).into_iter().collect(),
        // A device's micro-batches are one job: what it holds is that of one at a time.
        count => {
            let mut shares = vec![Vec::new(); count.min(order.len())];
            order.iter().enumerate().for_each(|(turn, index)| shares[turn % count].push(*index));
            let shares: Vec<(usize, Vec<usize>)> = shares.into_iter().enumerate().collect();
            let parts = workers.map(&shares, |(device, indices)| {
                indices.iter().map(|index| unless_stopped(*device, *index)).collect::<Vec<_>>()
            });
            parts.into_iter().flatten().collect()
        }
    };
    let mut parts = parts?;
    parts.sort_by_key(|(index, _)| *index);

    let (mut accumulator, plain) = (GradientsAccumulator::new(), model.device().inner());
    let (mut task_loss, mut balance_loss, mut routing) = (0.0, None, RoutingStatistics::default());
    for (_, (gradients, (task, balance), counts)) in parts {
        for gradients in gradients {
            let gradients = if replicas.count() > 1 { gradients.to_device(&plain, model) } else { gradients };
            accumulator.accumulate(model, gradients);
        }
        task_loss += task;
        if let Some(balance) = balance {
            *balance_loss.get_or_insert(0.0) += balance;
        }
        routing.add(&counts);
    }
    Some(StepOutcome { gradients: accumulator.grads(), task_loss, balance_loss, routing, tokens })
}

/// The forward and backward pass of one micro-batch, on the device of this copy of the model.
fn micro_batch(model: &CausalLm, input: StepInput<'_>, index: usize) -> Outcome {
    let StepInput { batches, step, recipe } = input;
    let seed = DropoutSeed { run: recipe.seed, step: step as u64, micro_batch: index as u64 };
    let context =
        ForwardContext::training(seed).with_dropout_scope(recipe.dropout_scope).recording(RoutingDetail::Counts);
    let (batch, device) = (&batches[index], model.device());
    let weights = recipe.accumulation.weights(batch, batches, recipe.balance_coefficient);
    match recipe.checkpoint_blocks {
        true => by_layers(model, DeviceBatch::new(batch, &device.inner()), context, weights),
        false => at_once(model, DeviceBatch::new(batch, &device), context, weights),
    }
}
