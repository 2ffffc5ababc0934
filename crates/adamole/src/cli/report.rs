//! The result of a training run.

use super::{
    adapter_settings::MethodName,
    compat::{Departure, departures},
    output::{duration, percent, size},
    settings::Resolved,
};
use adamole::{
    data::{ReadReport, SplitPart},
    train::{Best, Fitted, MemoryEstimate, peak_memory_bytes},
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
    #[serde(flatten)]
    pub(crate) data: DataReport,
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

/// The data of a run.
#[derive(Serialize, Deserialize)]
pub(crate) struct DataReport {
    pub(crate) train_items: usize,
    pub(crate) truncated_items: usize,
    /// Training items of which truncation left no answer; only the reference implementation's truncation does that.
    pub(crate) answers_lost: usize,
    pub(crate) train_rows: ReadReport,
    pub(crate) validation_rows: ReadReport,
}

/// The best epoch on a split that did not choose it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Reported {
    pub(crate) split: SplitPart,
    pub(crate) accuracy: f64,
    pub(crate) items: usize,
    pub(crate) majority_accuracy: f64,
}

/// What a run computed, and how fast the machine is.
pub(crate) struct Results<'a> {
    pub(crate) fitted: &'a Fitted,
    pub(crate) reported: Option<Reported>,
    pub(crate) trainable_parameters: usize,
    /// Of the machine, in operations a second.
    pub(crate) matmul_peak: f64,
    pub(crate) memory_estimate: MemoryEstimate,
    pub(crate) adapter: PathBuf,
}

impl Report {
    /// The report of a run that has ended.
    pub(crate) fn new(config: &Resolved, benchmark: &str, data: DataReport, results: Results<'_>) -> Self {
        let Results { fitted, reported, trainable_parameters, matmul_peak, memory_estimate, adapter } = results;
        let Fitted { state, best: Best { epoch, evaluation, .. }, .. } = fitted;
        let task_losses: Vec<f64> = state.epochs.iter().filter_map(|epoch| epoch.task_loss).collect();
        Self {
            benchmark: benchmark.to_owned(),
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
            data,
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
            memory_estimate,
            adapter,
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
