//! The gradient of one optimizer step, accumulated over its micro-batches.

use crate::{DeviceBatch, RoutingCounts, Workers, routing::floats};
use adamole_core::{Detail, DropoutSeed, Pass};
use adamole_data::Batch;
use adamole_llama::{CausalLm, frozen_cross_entropy};
use burn::{
    module::Module,
    optim::{GradientsAccumulator, GradientsParams},
    tensor::{Device, Tensor},
};

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
}

/// Gradients and what was seen on the way.
pub struct StepOutcome {
    /// Of `task_loss + coefficient * balance_loss`, on the plain device.
    pub gradients: GradientsParams,
    /// Mean cross-entropy over all labels of the step.
    pub task_loss: f64,
    /// Auxiliary loss summed over sites, mean over the step's tokens; `None` where nothing is routed.
    pub balance_loss: Option<f64>,
    /// Who fired.
    pub routing: RoutingCounts,
    /// Tokens, padding apart.
    pub tokens: usize,
}

/// Runs the micro-batches of one step, forward and backward, on the model's (autodiff) device.
///
/// The task loss is the mean over all labels of the step, whichever micro-batch they are in; the auxiliary loss is
/// computed within each micro-batch and weighted by its tokens. Gradients are added in the order of the micro-batches,
/// so that the result is the same for any number of workers.
pub fn accumulate(model: &CausalLm, input: StepInput<'_>, workers: &Workers, device: &Device) -> StepOutcome {
    let labels: usize = input.batches.iter().map(|batch| batch.label_positions.len()).sum();
    let tokens: usize = input.batches.iter().flat_map(|batch| &batch.lengths).sum();
    let jobs: Vec<usize> = (0..input.batches.len()).collect();
    let parts = workers.map(&jobs, |&index| {
        let batch = DeviceBatch::new(&input.batches[index], device);
        // Leaves of their own, so that the graphs of different workers stay apart.
        let model = model.clone().fork(device);
        let seed = DropoutSeed { run: input.seed, step: input.step as u64, micro_batch: index as u64 };
        let mut pass = Pass::training(seed).recording(Detail::Counts);
        if let Some(rows) = batch.valid_rows {
            pass = pass.counting(rows);
        }
        let hidden = model.hidden(batch.ids, &batch.mask, &mut pass).select(0, batch.label_positions);
        let task = frozen_cross_entropy(hidden, model.projection(), batch.label_targets, labels as f32);
        let share = batch.tokens as f32 / tokens as f32;
        let balance = pass.balance_loss().map(|loss| loss * share);
        let losses = Tensor::cat([Some(task.clone()), balance.clone()].into_iter().flatten().collect(), 0);
        let total = match balance {
            Some(balance) if input.balance_coefficient > 0.0 => task + balance * input.balance_coefficient,
            _ => task,
        };
        let gradients = GradientsParams::from_grads(total.backward(), &model);
        (gradients, floats(losses.inner().into_data()), RoutingCounts::read(&pass.into_sites()))
    });

    let mut accumulator = GradientsAccumulator::new();
    let (mut task_loss, mut balance_loss, mut routing) = (0.0, None, RoutingCounts::default());
    for (gradients, losses, counts) in parts {
        accumulator.accumulate(model, gradients);
        task_loss += losses[0];
        if let Some(balance) = losses.get(1) {
            *balance_loss.get_or_insert(0.0) += balance;
        }
        routing.add(&counts);
    }
    StepOutcome { gradients: accumulator.grads(), task_loss, balance_loss, routing, tokens }
}
