//! The result of a training run.

use super::{
    compat::Departure,
    method_name::MethodName,
    output::{duration, percent, size},
};
use adamole::{
    data::{ReadReport, SplitPart},
    train::MemoryEstimate,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a run prints; also its `report.json`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) benchmark: String,
    pub(crate) method: MethodName,
    /// Choices that are not the published implementation's.
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
    /// The best epoch on a split that did not choose it.
    pub(crate) reported: Option<Reported>,
    pub(crate) train_items: usize,
    pub(crate) truncated_items: usize,
    /// Training items of which truncation left no answer; only published truncation does that.
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

#[derive(Serialize, Deserialize)]
pub(crate) struct Reported {
    pub(crate) split: SplitPart,
    pub(crate) accuracy: f64,
    pub(crate) items: usize,
    pub(crate) majority_accuracy: f64,
}

impl Report {
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
