//! The gradient of one optimizer step, accumulated over its micro-batches.

use crate::{DeviceBatch, Replicas, RoutingStatistics, Workers, routing::floats};
use adamole_core::{DropoutScope, DropoutSeed, ForwardContext, RoutingDetail};
use adamole_data::Batch;
use adamole_llama::{CausalLm, frozen_cross_entropy};
use burn::{
    optim::{GradientsAccumulator, GradientsParams},
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// How the losses of micro-batches make that of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accumulation {
    /// Every label counts alike, and for the auxiliary loss every token.
    #[default]
    Tokens,
    /// Every micro-batch counts alike, as published: the mean of their means. A label then counts for more among few.
    MicroBatches,
}

impl Accumulation {
    /// By what a micro-batch's sum over its labels is divided, and the weight of its auxiliary loss.
    fn weights(self, of: &Batch, all: &[Batch]) -> (f32, f32) {
        let labels = |batch: &Batch| batch.label_positions.len();
        let tokens = |batch: &Batch| batch.lengths.iter().sum::<usize>();
        match self {
            Self::Tokens => {
                let (all_labels, all_tokens) = (all.iter().map(labels).sum::<usize>(), all.iter().map(tokens).sum());
                (all_labels as f32, tokens(of) as f32 / usize::max(all_tokens, 1) as f32)
            }
            Self::MicroBatches => ((labels(of).max(1) * all.len()) as f32, 1.0 / all.len() as f32),
        }
    }
}

/// What a step is made of.
#[derive(Debug, Clone, Copy)]
pub struct StepInput<'a> {
    /// The micro-batches.
    pub batches: &'a [Batch],
    /// Seed of the run, for dropout.
    pub seed: u64,
    /// Number of the step, for dropout.
    pub step: usize,
    /// Weight of the auxiliary loss.
    pub balance_coefficient: f32,
    /// How the micro-batches make one loss.
    pub accumulation: Accumulation,
    /// Which experts share a dropout mask.
    pub dropout_scope: DropoutScope,
    /// Whether the layers are done again in the backward pass, instead of keeping their activations.
    pub checkpoint_blocks: bool,
}

/// Gradients and what was seen on the way.
pub struct StepOutcome {
    /// Of `task_loss + coefficient * balance_loss`, on the plain device.
    pub gradients: GradientsParams,
    /// Mean cross-entropy, as [`StepInput::accumulation`] says.
    pub task_loss: f64,
    /// Auxiliary loss summed over sites, mean over the micro-batches; `None` where nothing is routed.
    pub balance_loss: Option<f64>,
    /// Who fired.
    pub routing: RoutingStatistics,
    /// Tokens, padding apart.
    pub tokens: usize,
}

/// Runs the micro-batches of one step, forward and backward, on the model's (autodiff) device.
///
/// The auxiliary loss is computed within each micro-batch; how they are weighted says `accumulation`. Gradients are added
/// in the order of the micro-batches, so that the result is the same for any number of workers.
pub fn accumulate(model: &CausalLm, input: StepInput<'_>, workers: &Workers, device: &Device) -> StepOutcome {
    accumulate_on(model, input, workers, device, &Replicas::default())
}

/// [`accumulate`] on several devices, which take the micro-batches in turn; `workers` are as many as they, or for one device
/// any number. The gradients are on the main one.
pub fn accumulate_on(
    model: &CausalLm,
    input: StepInput<'_>,
    workers: &Workers,
    device: &Device,
    replicas: &Replicas,
) -> StepOutcome {
    let outcome = accumulate_until(model, input, workers, (device, replicas), &|| false);
    outcome.unwrap_or_else(|| unreachable!("nothing asked it to stop"))
}

/// [`accumulate_on`], given up once `stop` says so, which is asked before each micro-batch; `None` then, and nothing has
/// changed.
pub(crate) fn accumulate_until(
    model: &CausalLm,
    input: StepInput<'_>,
    workers: &Workers,
    (device, replicas): (&Device, &Replicas),
    stop: &(dyn Fn() -> bool + Sync),
) -> Option<StepOutcome> {
    let tokens: usize = input.batches.iter().flat_map(|batch| &batch.lengths).sum();
    // The longest first, so that no worker is left with one at the end while the others wait.
    let mut order: Vec<usize> = (0..input.batches.len()).collect();
    order.sort_by_key(|&index| Reverse(input.batches[index].ids.len()));
    let of_batch = |model: &CausalLm, index: usize| {
        let weights = input.accumulation.weights(&input.batches[index], input.batches);
        let seed = DropoutSeed { run: input.seed, step: input.step as u64, micro_batch: index as u64 };
        let context =
            ForwardContext::training(seed).with_dropout_scope(input.dropout_scope).recording(RoutingDetail::Counts);
        let of_batch = if input.checkpoint_blocks { by_blocks } else { at_once };
        (index, of_batch(model, &input.batches[index], context, weights, input.balance_coefficient))
    };
    let unless_stopped =
        |place: usize, index: usize| (!stop()).then(|| of_batch(&replicas.at(place, model, device), index));
    let parts: Option<Vec<(usize, OfBatch)>> = match replicas.count() {
        1 => workers.map(&order, |&index| unless_stopped(0, index)).into_iter().collect(),
        // A device's micro-batches are one job: what it holds is that of one at a time.
        count => {
            let mut shares = vec![Vec::new(); count.min(order.len())];
            order.iter().enumerate().for_each(|(turn, index)| shares[turn % count].push(*index));
            let shares: Vec<(usize, Vec<usize>)> = shares.into_iter().enumerate().collect();
            let parts = workers.map(&shares, |(place, indices)| {
                indices.iter().map(|index| unless_stopped(*place, *index)).collect::<Vec<_>>()
            });
            parts.into_iter().flatten().collect()
        }
    };
    let mut parts = parts?;
    parts.sort_by_key(|(index, _)| *index);

    let (mut accumulator, plain) = (GradientsAccumulator::new(), device.clone().inner());
    let (mut task_loss, mut balance_loss, mut routing) = (0.0, None, RoutingStatistics::default());
    for (_, (gradients, losses, counts)) in parts {
        for gradients in gradients {
            let gradients = if replicas.count() > 1 { gradients.to_device(&plain, model) } else { gradients };
            accumulator.accumulate(model, gradients);
        }
        task_loss += losses[0];
        if let Some(balance) = losses.get(1) {
            *balance_loss.get_or_insert(0.0) += balance;
        }
        routing.add(&counts);
    }
    Some(StepOutcome { gradients: accumulator.grads(), task_loss, balance_loss, routing, tokens })
}

/// Gradients, task loss and auxiliary loss, and who fired.
type OfBatch = (Vec<GradientsParams>, Vec<f64>, RoutingStatistics);

/// One graph for the whole model. `weights` are the divisor of the task loss and the factor of the auxiliary loss.
fn at_once(
    model: &CausalLm,
    batch: &Batch,
    mut context: ForwardContext,
    weights: (f32, f32),
    coefficient: f32,
) -> OfBatch {
    let (divisor, share) = weights;
    let batch = DeviceBatch::new(batch, &model.projection().device());
    let hidden = model.hidden(&batch.tokens, &mut context).select(0, batch.label_positions);
    let task = frozen_cross_entropy(hidden, model.projection(), batch.label_targets, divisor);
    let balance = context.auxiliary_loss().map(|loss| loss * share);
    let losses = [Some(task.clone()), balance.clone()].into_iter().flatten().map(Tensor::inner).collect();
    let total = match balance {
        Some(balance) if coefficient > 0.0 => task + balance * coefficient,
        _ => task,
    };
    let gradients = GradientsParams::from_grads(total.backward(), model);
    (vec![gradients], floats(Tensor::cat(losses, 0).into_data()), RoutingStatistics::read(&context.into_layers()))
}

/// [`at_once`] with a graph for each layer, one at a time.
fn by_blocks(
    model: &CausalLm,
    batch: &Batch,
    mut context: ForwardContext,
    weights: (f32, f32),
    coefficient: f32,
) -> OfBatch {
    let (divisor, share) = weights;
    let batch = DeviceBatch::new(batch, &model.projection().device().inner());
    let (positions, targets) = (batch.label_positions, batch.label_targets);
    let head = |hidden: Tensor<2>| {
        let hidden = hidden.select(0, Tensor::from_inner(positions));
        frozen_cross_entropy(hidden, model.projection(), Tensor::from_inner(targets), divisor)
    };
    let (task, gradients) = model.gradients_by_blocks(&batch.tokens, &mut context, share * coefficient, head);
    let losses = [Some(task), context.auxiliary_loss().map(|loss| loss * share)].into_iter().flatten().collect();
    (gradients, floats(Tensor::cat(losses, 0).into_data()), RoutingStatistics::read(&context.into_layers()))
}
