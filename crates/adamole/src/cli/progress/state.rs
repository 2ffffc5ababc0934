//! What is known of a run that goes on.

use adamole::train::{EpochMetrics, StepMetrics, TrainEvent};

/// Losses that are remembered: more than a terminal is wide.
const REMEMBERED: usize = 1024;
/// How much of a smoothed loss is what it was a step before.
const SMOOTHING: f64 = 0.9;

/// What the events so far have said.
#[derive(Default)]
pub(super) struct State {
    /// Optimizer steps in all.
    pub(super) steps: usize,
    /// Epochs in all.
    pub(super) epochs: usize,
    /// The last step.
    pub(super) step: Option<StepMetrics>,
    /// Smoothed task losses of the last steps.
    pub(super) losses: Vec<f64>,
    /// The validations so far.
    pub(super) validations: Vec<EpochMetrics>,
    /// Share of the work of the whole run that one validation is.
    validation_share: f64,
    /// The share of the work that is done, and that was done when this process took the run up.
    done: f64,
    done_before: Option<f64>,
    /// The sum from which losses are smoothed, and how much of it counts.
    sum: f64,
    weight: f64,
}

impl State {
    pub(super) fn observe(&mut self, event: &TrainEvent) {
        match event {
            TrainEvent::Start { steps, validations, validation_share, .. } => {
                (self.steps, self.epochs) = (*steps, validations.saturating_sub(1));
                self.validation_share = *validation_share;
            }
            TrainEvent::Step(step) => {
                // Epoch e begins after e validations: the first is of the model before training.
                let before = self.share(step.step, step.epoch);
                self.done_before.get_or_insert(before);
                self.done = self.share(step.step + 1, step.epoch);
                self.sum = SMOOTHING * self.sum + (1.0 - SMOOTHING) * step.task_loss;
                self.weight = SMOOTHING * self.weight + (1.0 - SMOOTHING);
                if self.losses.len() == REMEMBERED {
                    self.losses.remove(0);
                }
                self.losses.push(self.sum / self.weight);
                self.step = Some(step.clone());
            }
            TrainEvent::Epoch(epoch) => {
                let steps = self.steps * epoch.epoch / self.epochs.max(1);
                let before = self.share(steps, epoch.epoch);
                self.done_before.get_or_insert(before);
                self.done = self.share(steps, epoch.epoch + 1);
                self.validations.push(epoch.clone());
            }
            TrainEvent::Skipped { .. } | TrainEvent::Collapsed { .. } => {}
        }
    }

    /// The share of the work that is done.
    pub(super) fn done(&self) -> f64 {
        self.done.clamp(0.0, 1.0)
    }

    /// From the share of the work that was done in so many seconds; `None` before there is enough to tell, and at the
    /// end.
    pub(super) fn seconds_left(&self, seconds: f64) -> Option<f64> {
        let here = self.done() - self.done_before?;
        (here > 0.01 && self.done() < 1.0).then(|| seconds * (1.0 - self.done()) / here)
    }

    /// The work of so many steps and validations, where each has its measured weight.
    fn share(&self, steps: usize, validations: usize) -> f64 {
        let steps_share = 1.0 - self.validation_share * (self.epochs + 1) as f64;
        self.validation_share * validations as f64 + steps_share * steps as f64 / self.steps.max(1) as f64
    }
}
