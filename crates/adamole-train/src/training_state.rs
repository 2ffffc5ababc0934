//! Where a run is: all of its state but tensors.

use crate::{EpochMetrics, Evaluation, RoutingStatistics, StepMetrics};
use serde::{Deserialize, Serialize};

/// Steps over which experts are watched before they are said to have collapsed.
const WATCHED: usize = 50;

/// How far a run has come. With a model, an optimizer and the recipe this is all that the rest of a run depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingState {
    /// Optimizer steps done.
    pub step: usize,
    /// The epoch that goes on, counted from 1.
    pub epoch: usize,
    /// Batches of it that are done.
    pub batch: usize,
    /// Steps that were applied.
    #[serde(default)]
    pub applied: usize,
    /// Task loss of the first step that was applied.
    #[serde(default)]
    pub first_loss: Option<f64>,
    /// The step at which the current link of a chain began.
    pub link_start: usize,
    /// Steps in a row that were skipped because something was not finite.
    pub skipped: usize,
    /// Who fired since the experts were last looked at, and in how many steps.
    pub routing: RoutingStatistics,
    /// Steps that this was counted over.
    pub routing_steps: usize,
    /// Task losses of the steps of this epoch.
    pub task_losses: Vec<f64>,
    /// Their auxiliary losses, where there are any.
    pub balance_losses: Vec<f64>,
    /// Training tokens so far, padding apart.
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
    pub before: Evaluation,
    /// The best epoch so far and its validation.
    pub best: Option<(usize, Evaluation)>,
}

impl TrainingState {
    /// The beginning of a run, after the first validation.
    pub(crate) fn new(before: Evaluation) -> Self {
        Self {
            step: 0,
            epoch: 1,
            batch: 0,
            applied: 0,
            first_loss: None,
            link_start: 0,
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

    /// Counts who fired in a step; after every 50 steps, what they fired together.
    pub(crate) fn watch(&mut self, routing: &RoutingStatistics) -> Option<RoutingStatistics> {
        self.routing.add(routing);
        self.routing_steps += 1;
        if self.routing_steps < WATCHED {
            return None;
        }
        self.routing_steps = 0;
        Some(std::mem::take(&mut self.routing))
    }

    /// Whether this validation is better than the best so far: more right answers, or as many at a lower loss.
    pub(crate) fn is_best(&self, new: &Evaluation) -> bool {
        self.best.as_ref().is_none_or(|(_, old)| {
            new.correct > old.correct || (new.correct == old.correct && new.choice_loss < old.choice_loss)
        })
    }

    /// Epochs since the best one.
    pub(crate) fn epochs_without_gain(&self) -> usize {
        self.best.as_ref().map_or(0, |(best, _)| self.epochs.last().map_or(0, |last| last.epoch) - best)
    }
}
