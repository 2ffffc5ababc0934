//! The state of a run, but for its tensors.

use crate::{EpochMetrics, RoutingStatistics, StepMetrics, Validation};
use serde::{Deserialize, Serialize};

/// Steps over which experts are counted before they are said to have collapsed.
const WATCHED: usize = 50;

/// The progress of a run: step, epoch, best epoch, metrics. With the model, the optimizer and the recipe it is all that the
/// rest of the run depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrainingState {
    /// Optimizer steps done.
    pub step: usize,
    /// The current epoch, counted from 1.
    pub epoch: usize,
    /// Batches of this epoch that are done.
    pub(crate) batch: usize,
    /// Steps that were applied.
    #[serde(default)]
    pub(crate) applied: usize,
    /// Task loss of the first step that was applied.
    #[serde(default)]
    pub(crate) first_loss: Option<f64>,
    /// The step at which the current stage of a chain of LoRAs began.
    pub(crate) link_start: usize,
    /// The weight of the auxiliary loss in the next step, where the method adapts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auxiliary_coefficient: Option<f32>,
    /// Steps in a row that were skipped because something was not finite.
    pub(crate) skipped: usize,
    /// Routing statistics since experts were last checked for collapse.
    pub(crate) routing: RoutingStatistics,
    /// Steps of these statistics.
    pub(crate) routing_steps: usize,
    /// Task losses of the steps of this epoch.
    pub(crate) task_losses: Vec<f64>,
    /// Their load balancing losses, where there are any.
    pub(crate) balance_losses: Vec<f64>,
    /// Valid training tokens so far.
    pub train_tokens: usize,
    /// Floating-point operations of their matrix products.
    #[serde(default)]
    pub train_operations: f64,
    /// Wall time of the steps.
    pub train_seconds: f64,
    /// Wall time of everything.
    pub seconds: f64,
    /// The validations so far; the first is of the model before training.
    pub epochs: Vec<EpochMetrics>,
    /// The model before training.
    pub before: Validation,
    /// The best epoch so far and its validation.
    pub best: Option<(usize, Validation)>,
}

impl TrainingState {
    /// The beginning of a run, after the first validation.
    pub(crate) fn new(before: Validation) -> Self {
        Self {
            step: 0,
            epoch: 1,
            batch: 0,
            applied: 0,
            first_loss: None,
            link_start: 0,
            auxiliary_coefficient: None,
            skipped: 0,
            routing: RoutingStatistics::default(),
            routing_steps: 0,
            task_losses: Vec::new(),
            balance_losses: Vec::new(),
            train_tokens: 0,
            train_operations: 0.0,
            train_seconds: 0.0,
            seconds: 0.0,
            epochs: Vec::new(),
            before,
            best: None,
        }
    }

    /// Counts a step that was applied.
    pub(crate) fn add(&mut self, step: &StepMetrics) {
        self.task_losses.push(step.task_loss);
        self.balance_losses.extend(step.balance_loss);
        self.train_tokens += step.tokens;
        self.train_operations += step.operations;
        self.train_seconds += step.seconds;
        self.skipped = 0;
        self.applied += 1;
        self.first_loss.get_or_insert(step.task_loss);
    }

    /// Adds the routing statistics of a step; after every 50 steps, those of them together.
    pub(crate) fn watch(&mut self, routing: &RoutingStatistics) -> Option<RoutingStatistics> {
        self.routing.add(routing);
        self.routing_steps += 1;
        if self.routing_steps < WATCHED {
            return None;
        }
        self.routing_steps = 0;
        Some(std::mem::take(&mut self.routing))
    }

    /// Ends an epoch.
    pub(crate) fn end_epoch(&mut self, metrics: EpochMetrics) {
        (self.epoch, self.batch, self.seconds) = (metrics.epoch + 1, 0, metrics.seconds);
        self.epochs.push(metrics);
        self.task_losses.clear();
        self.balance_losses.clear();
    }

    /// Whether this validation is better than the best so far.
    pub(crate) fn is_best(&self, new: &Validation) -> bool {
        self.best.as_ref().is_none_or(|(_, old)| new.is_better_than(old))
    }

    /// Whether the model was better before training than in its best epoch.
    pub fn lost(&self) -> bool {
        self.best.as_ref().is_some_and(|(_, best)| self.before.is_better_than(best))
    }

    /// Epochs since the best one.
    pub(crate) fn epochs_without_gain(&self) -> usize {
        self.best.as_ref().map_or(0, |(best, _)| self.epochs.last().map_or(0, |last| last.epoch) - best)
    }
}
