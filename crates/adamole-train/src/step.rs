//! The gradient of one optimizer step, accumulated over its micro-batches.

use crate::{
    DeviceBatch, RankError, Ranks, Recipe, Replicas, RoutingStatistics, TrainError, Workers,
    loss::{LossWeights, Outcome, UnreadNumbers, at_once, by_layers},
    shared_gradients,
    sum_tree::{Place, SumTree},
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
/// micro-batches in turn; of several ranks each has a run of neighbours. The auxiliary loss is computed within each
/// micro-batch. Gradients are added on the model's device over a fixed tree of the micro-batches, so that the result is the same
/// for any number of workers, devices and ranks.
///
/// # Errors
/// Other ranks cannot be reached.
pub fn accumulate(
    model: &CausalLm,
    input: StepInput<'_>,
    workers: &Workers,
    replicas: &Replicas,
) -> Result<StepOutcome, TrainError> {
    let step = accumulate_until(model, input, workers, replicas, &|| false)?;
    step.map(UnreadStep::read).ok_or(TrainError::Interrupted { steps: input.step })
}

/// [`StepOutcome`] whose numbers may still be on the device.
pub(crate) struct UnreadStep {
    pub(crate) gradients: GradientsParams,
    pub(crate) numbers: StepNumbers,
    pub(crate) tokens: usize,
}

/// Losses and routing of the micro-batches of a step, in their order.
pub(crate) enum StepNumbers {
    Unread(Vec<UnreadNumbers>),
    Read(Vec<Numbers>),
}

/// Task loss, load balancing loss and routing.
type Numbers = (f64, Option<f64>, RoutingStatistics);

impl UnreadStep {
    pub(crate) fn read(self) -> StepOutcome {
        let Self { gradients, numbers, tokens } = self;
        let (task_loss, balance_loss, routing) = numbers.read();
        StepOutcome { gradients, task_loss, balance_loss, routing, tokens }
    }
}

impl StepNumbers {
    /// Those of all micro-batches together.
    pub(crate) fn read(self) -> Numbers {
        let all = match self {
            Self::Unread(all) => all.into_iter().map(UnreadNumbers::read).collect(),
            Self::Read(all) => all,
        };
        let (mut task_loss, mut balance_loss, mut routing) = (0.0, None, RoutingStatistics::default());
        for (task, balance, counts) in all {
            task_loss += task;
            if let Some(balance) = balance {
                *balance_loss.get_or_insert(0.0) += balance;
            }
            routing.add(&counts);
        }
        (task_loss, balance_loss, routing)
    }
}

/// What ranks tell each other of a step, besides the gradients.
#[derive(Serialize, Deserialize)]
struct Told {
    /// Of each micro-batch.
    numbers: Vec<Numbers>,
    /// Which parameters have gradients.
    present: Vec<bool>,
}

/// [`accumulate`] with a `stop` that is asked before each micro-batch; `None` once it is true, on any rank.
pub(crate) fn accumulate_until(
    model: &CausalLm,
    input: StepInput<'_>,
    workers: &Workers,
    replicas: &Replicas,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<UnreadStep>, TrainError> {
    let (tokens, runs): (usize, _) =
        (input.batches.iter().flat_map(|batch| &batch.lengths).sum(), workers.runs(input.batches.len()));
    // The longest first, so that no worker is left with one at the end while the others wait.
    let mut order: Vec<usize> = runs[workers.ranks().map_or(0, Ranks::rank)].clone().collect();
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

    let plain = model.device().inner();
    let (mut numbers, mut tree) = (Vec::new(), SumTree::new());
    let add = |left, right| added(model, [left, right]);
    let is_whole = parts.is_some();
    let mut parts = parts.unwrap_or_default();
    parts.sort_by_key(|(index, _)| *index);
    for (index, outcome) in parts {
        let here = |gradients: GradientsParams| match replicas.count() {
            1 => gradients,
            _ => gradients.to_device(&plain, model),
        };
        tree.push(Place::leaf(index), added(model, outcome.gradients.into_iter().map(here)), add);
        numbers.push(outcome.numbers);
    }
    let Some(ranks) = workers.ranks() else {
        let gradients = tree.sum(add).unwrap_or_else(GradientsParams::new);
        return Ok(is_whole.then_some(UnreadStep { gradients, numbers: StepNumbers::Unread(numbers), tokens }));
    };
    let nodes = tree.into_nodes();
    let numbers = numbers.into_iter().map(UnreadNumbers::read).collect();
    let told = is_whole.then(|| Told { numbers, present: shared_gradients::present(model, &nodes) });
    let shared = workers.tell(told, stop).and_then(|told| {
        let Some(told) = told.into_iter().collect::<Option<Vec<Told>>>() else { return Ok(None) };
        let present = |index| told.iter().any(|told| told.present.get(index).is_some_and(|present| *present));
        let present: Vec<bool> = (0..told[0].present.len()).map(present).collect();
        let gradients = shared_gradients::sum(ranks, (model, &plain), nodes, &runs, &present, stop)?;
        let numbers = StepNumbers::Read(told.into_iter().flat_map(|told| told.numbers).collect());
        Ok(Some(UnreadStep { gradients, numbers, tokens }))
    });
    match shared {
        Err(RankError::Stopped) => Ok(None),
        shared => Ok(shared?),
    }
}

/// The sum of gradients of this model.
fn added(model: &CausalLm, gradients: impl IntoIterator<Item = GradientsParams>) -> GradientsParams {
    let mut accumulator = GradientsAccumulator::new();
    gradients.into_iter().for_each(|gradients| accumulator.accumulate(model, gradients));
    accumulator.grads()
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
