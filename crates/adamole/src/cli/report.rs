//! The result of a training run.

use super::{
    compat::{Departure, departures},
    method_name::MethodName,
    output::{duration, percent, size},
    prepare::Inputs,
    settings::Resolved,
};
use adamole::{
    data::{Example, ReadReport, SplitPart},
    train::{Best, Fitted, MemoryEstimate, RunDirectory, peak_memory_bytes},
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The result of a run, which is printed and written as its `report.json`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) benchmark: String,
    pub(crate) method: MethodName,
    /// Choices that are not the reference implementation's.
    pub(crate) departures: Vec<Departure>,
    /// Of the best epoch, on the validation split, which also chose the epoch.
    pub(crate) accuracy: f64,
    pub(crate) accuracy_before: f64,
    pub(crate) best_epoch: usize,
    pub(crate) epochs: usize,
    /// Epochs whose task loss was nearer to that of a uniform guess over the vocabulary than to the first step's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) diverged_epochs: Vec<usize>,
    pub(crate) selected_on: SplitPart,
    pub(crate) items: usize,
    pub(crate) reported: Option<Reported>,
    pub(crate) train_items: usize,
    pub(crate) truncated_items: usize,
    /// Training items of which truncation left no answer; only the reference implementation's truncation does that.
    pub(crate) answers_lost: usize,
    pub(crate) train_rows: ReadReport,
    pub(crate) validation_rows: ReadReport,
    pub(crate) task_loss_first_epoch: Option<f64>,
    pub(crate) task_loss_last_epoch: Option<f64>,
    pub(crate) balance_loss_last_epoch: Option<f64>,
    pub(crate) mean_active_experts: Option<f64>,
    pub(crate) mean_active_experts_per_site: Vec<f64>,
    pub(crate) mean_threshold: Option<f64>,
    pub(crate) trainable_parameters: usize,
    pub(crate) steps: usize,
    pub(crate) train_tokens: usize,
    pub(crate) seconds: f64,
    pub(crate) tokens_per_second: f64,
    /// Of its matrix products.
    pub(crate) gigaflop_per_second: f64,
    /// What this reaches of what plain products reach on this machine.
    pub(crate) share_of_matmul_peak: f64,
    pub(crate) peak_memory_bytes: Option<u64>,
    /// What the peak was expected to be, before the first step.
    pub(crate) memory_estimate: MemoryEstimate,
    pub(crate) adapter: PathBuf,
}

/// The best epoch on a split that did not choose it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Reported {
    pub(crate) split: SplitPart,
    pub(crate) accuracy: f64,
    pub(crate) items: usize,
    pub(crate) majority_accuracy: f64,
}

impl Report {
    /// The report of a run that has ended. `matmul_peak` is that of the machine, in operations a second.
    pub(crate) fn new(
        config: &Resolved,
        inputs: &Inputs,
        fitted: &Fitted,
        reported: Option<Reported>,
        trainable_parameters: usize,
        matmul_peak: f64,
    ) -> Self {
        let Fitted { state, best: Best { epoch, evaluation, .. }, .. } = fitted;
        let Inputs { training, validation, .. } = inputs;
        let task_losses: Vec<f64> = state.epochs.iter().filter_map(|epoch| epoch.task_loss).collect();
        let truncated = |examples: &[Example]| examples.iter().filter(|example| example.truncated).count();
        Self {
            benchmark: inputs.items.benchmark.name().to_owned(),
            method: config.adapter.method,
            departures: departures(config),
            accuracy: evaluation.accuracy,
            accuracy_before: state.before.accuracy,
            best_epoch: *epoch,
            epochs: config.recipe.epochs,
            diverged_epochs: state.epochs.iter().filter(|epoch| epoch.diverged).map(|epoch| epoch.epoch).collect(),
            selected_on: config.validation_split,
            items: evaluation.items,
            reported,
            train_items: training.len(),
            truncated_items: truncated(training) + truncated(validation),
            answers_lost: training.iter().filter(|example| example.answer_at.is_none()).count(),
            train_rows: inputs.train_rows.clone(),
            validation_rows: inputs.validation_rows.clone(),
            task_loss_first_epoch: task_losses.first().copied(),
            task_loss_last_epoch: task_losses.last().copied(),
            balance_loss_last_epoch: state.epochs.last().and_then(|epoch| epoch.balance_loss),
            mean_active_experts: evaluation.mean_active_experts,
            mean_active_experts_per_site: evaluation.routing.mean_active_per_layer(),
            mean_threshold: evaluation.routing.mean_threshold(),
            trainable_parameters,
            steps: state.step,
            train_tokens: state.train_tokens,
            seconds: state.seconds,
            tokens_per_second: state.train_tokens as f64 / state.train_seconds,
            gigaflop_per_second: state.train_operations / state.train_seconds / 1e9,
            share_of_matmul_peak: state.train_operations / state.train_seconds / matmul_peak,
            peak_memory_bytes: peak_memory_bytes(),
            memory_estimate: inputs.memory,
            adapter: RunDirectory::adapter_of(&config.output),
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let active = self.mean_active_experts.map(|mean| format!(", {mean:.2} experts active")).unwrap_or_default();
        let reported = self
            .reported
            .as_ref()
            .map(|reported| format!("\n{} on {} {} items", percent(reported.accuracy), reported.items, reported.split));
        let reported = reported.unwrap_or_default();
        format!(
            "{}: accuracy {} on {} validation items (epoch {} of {}; {} before training){active}{reported}\n\
             {} at {:.0} tokens/s and {} of the matmul peak, peak memory {}\nadapter: {}",
            self.benchmark,
            percent(self.accuracy),
            self.items,
            self.best_epoch,
            self.epochs,
            percent(self.accuracy_before),
            duration(self.seconds),
            self.tokens_per_second,
            percent(self.share_of_matmul_peak),
            size(self.peak_memory_bytes),
            self.adapter.display(),
        )
    }
}
