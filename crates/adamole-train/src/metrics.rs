//! The events of a run, which are the lines of `metrics.jsonl`.

use crate::Score;
use serde::{Deserialize, Serialize};

/// The metrics of one optimizer step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// Counted from 0 over the whole run.
    pub step: usize,
    /// Counted from 1.
    pub epoch: usize,
    /// Mean cross-entropy over the step's labels.
    pub task_loss: f64,
    /// Load balancing loss summed over the routed layers, before its coefficient.
    pub balance_loss: Option<f64>,
    /// The weight of the load balancing loss in this step, where the method adapts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_coefficient: Option<f32>,
    /// Before clipping.
    pub gradient_norm: f64,
    /// Of this step.
    pub learning_rate: f64,
    /// Mean number of active experts of a token in a routed layer.
    pub mean_active_experts: Option<f64>,
    /// Over tokens and routed layers.
    pub mean_threshold: Option<f64>,
    /// Share of each expert in all activations, over all routed layers; empty where nothing is routed. Where layers have
    /// different numbers of experts it is as long as the largest.
    #[serde(default)]
    pub expert_load: Vec<f64>,
    /// Valid tokens of the step.
    pub tokens: usize,
    /// Floating-point operations of the step's matrix products; see [`Cost`](crate::Cost).
    #[serde(default)]
    pub operations: f64,
    /// Wall time of the step.
    pub seconds: f64,
    /// Valid tokens of the step a second.
    #[serde(default)]
    pub tokens_per_second: f64,
}

/// The metrics of one epoch and its validation; epoch 0 is the model before training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// 0 is before training.
    pub epoch: usize,
    /// What the validation gave.
    #[serde(flatten)]
    pub score: Score,
    /// Mean task loss over the epoch's steps; `None` for epoch 0.
    pub task_loss: Option<f64>,
    /// Mean load balancing loss over the epoch's steps.
    pub balance_loss: Option<f64>,
    /// On the validation items.
    pub mean_active_experts: Option<f64>,
    /// Whether this is the best epoch so far, whose adapter is saved.
    pub best: bool,
    /// Whether the mean task loss is nearer to that of a uniform guess over the vocabulary than to that of the first step
    /// that was applied, or above both: the model has lost what it knew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub diverged: bool,
    /// Wall time since the run began.
    pub seconds: f64,
}

/// A routed layer whose experts are no mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Collapse {
    /// The linear.
    pub linear: String,
    /// The expert that took nearly all tokens, counted from 0; `None` if no expert was active at all.
    pub expert: Option<usize>,
}

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum TrainEvent {
    /// The run's size, before anything is computed.
    Start {
        /// Optimizer steps in all.
        steps: usize,
        /// Validations in all, the one before training included.
        validations: usize,
        /// Trainable elements.
        trainable_parameters: usize,
        /// All elements.
        parameters: usize,
        /// Share of the work of the whole run that one validation is, in `[0, 1]`.
        validation_share: f64,
    },
    /// A step was applied.
    Step(StepMetrics),
    /// A step was not applied, because a loss or gradient was not finite.
    Skipped {
        /// Counted from 0 over the whole run.
        step: usize,
        /// Which loss or gradient.
        what: String,
    },
    /// Over many steps, experts of some routed layers were not used as a mixture.
    Collapsed {
        /// The last of these steps, counted from 0 over the whole run.
        step: usize,
        /// The routed layers, by the linear's name, and what happened there.
        sites: Vec<Collapse>,
    },
    /// A validation was done.
    Epoch(EpochMetrics),
}
