//! The result of a training run.

use super::{
    compat::{Departure, departures},
    method_name::MethodName,
    output::{duration, percent, size},
    prepare::Inputs,
    routing_facts::Facts,
    run_data::RunData,
    settings::Resolved,
};
use adamole::{
    data::{Example, ReadReport, SplitPart},
    train::{Best, Fitted, MemoryEstimate, RunDirectory, Validation, peak_memory_bytes},
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The result of a run, which is printed and written as its `report.json`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Report {
    /// The benchmark; absent where the data is text of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) benchmark: Option<String>,
    pub(crate) method: MethodName,
    /// Choices that are not the reference implementation's.
    pub(crate) departures: Vec<Departure>,
    #[serde(flatten)]
    pub(crate) measured: Measured,
    pub(crate) best_epoch: usize,
    /// Whether the model was better before training than in the best epoch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) base_is_better: bool,
    pub(crate) epochs: usize,
    /// Epochs whose task loss was nearer to that of a uniform guess over the vocabulary than to the first step's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) diverged_epochs: Vec<usize>,
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

/// What a run measured.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Measured {
    Choices(Box<OnChoices>),
    Texts(OnTexts),
}

/// On a benchmark.
#[derive(Serialize, Deserialize)]
pub(crate) struct OnChoices {
    /// Of the best epoch, on the validation split, which also chose the epoch.
    pub(crate) accuracy: f64,
    pub(crate) accuracy_before: f64,
    pub(crate) selected_on: SplitPart,
    pub(crate) items: usize,
    pub(crate) reported: Option<Reported>,
    pub(crate) train_items: usize,
    pub(crate) truncated_items: usize,
    /// Training items of which truncation left no answer; only the reference implementation's truncation does that.
    pub(crate) answers_lost: usize,
    pub(crate) train_rows: ReadReport,
    pub(crate) validation_rows: ReadReport,
}

/// On text of one's own.
#[derive(Serialize, Deserialize)]
pub(crate) struct OnTexts {
    pub(crate) data: String,
    /// Mean cross-entropy of the best epoch on the validation rows, which also chose the epoch, in nats.
    pub(crate) validation_loss: f64,
    pub(crate) validation_loss_before: f64,
    pub(crate) perplexity: f64,
    pub(crate) perplexity_before: f64,
    pub(crate) validation_texts: usize,
    /// Tokens that have a loss among them.
    pub(crate) validation_labels: usize,
    pub(crate) train_texts: usize,
    pub(crate) truncated_texts: usize,
    /// Rows of which truncation left no label.
    pub(crate) dropped_texts: usize,
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
        let task_losses: Vec<f64> = state.epochs.iter().filter_map(|epoch| epoch.task_loss).collect();
        Self {
            benchmark: config.reading.benchmark.is_some().then(|| inputs.data.name(config)),
            measured: Measured::of(config, inputs, fitted, reported),
            method: config.adapter.method,
            departures: departures(config),
            best_epoch: *epoch,
            base_is_better: state.lost(),
            epochs: config.recipe.epochs,
            diverged_epochs: state.epochs.iter().filter(|epoch| epoch.diverged).map(|epoch| epoch.epoch).collect(),
            task_loss_first_epoch: task_losses.first().copied(),
            task_loss_last_epoch: task_losses.last().copied(),
            balance_loss_last_epoch: state.epochs.last().and_then(|epoch| epoch.balance_loss),
            mean_active_experts: evaluation.mean_active_experts(),
            mean_active_experts_per_site: evaluation.routing().mean_active_per_layer(),
            mean_threshold: evaluation.routing().mean_threshold(),
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

    /// Data and result, for the top of a page.
    pub(crate) fn facts(&self) -> Facts {
        let name = self.benchmark.as_deref().unwrap_or_default();
        let data = match &self.measured {
            Measured::Choices(it) => {
                format!(
                    "{name}: trained on {} items, epoch chosen on {} ({})",
                    it.train_items, it.selected_on, it.items
                )
            }
            Measured::Texts(it) => {
                format!("{}: trained on {} texts, validated on {}", it.data, it.train_texts, it.validation_texts)
            }
        };
        let result = self.measured.text(name, self.best_epoch, self.epochs);
        // The name of the data is said before.
        let result = result.split_once(": ").map_or(result.clone(), |(_, result)| result.to_owned());
        vec![("Data", data), ("Result", result + &self.measured.reported().replace('\n', "; "))]
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let active = self.mean_active_experts.map(|mean| format!(", {mean:.2} experts active")).unwrap_or_default();
        format!(
            "{}{active}{}\n{} at {:.0} tokens/s and {} of the matmul peak, peak memory {}\nadapter: {}",
            self.measured.text(self.benchmark.as_deref().unwrap_or_default(), self.best_epoch, self.epochs),
            self.measured.reported(),
            duration(self.seconds),
            self.tokens_per_second,
            percent(self.share_of_matmul_peak),
            size(self.peak_memory_bytes),
            self.adapter.display(),
        )
    }
}

impl Measured {
    fn of(config: &Resolved, inputs: &Inputs, fitted: &Fitted, reported: Option<Reported>) -> Self {
        let (before, best) = (&fitted.state.before, &fitted.best.evaluation);
        match (&inputs.data, before, best) {
            (RunData::Choices(data), Validation::Choices(before), Validation::Choices(best)) => {
                let truncated = |examples: &[Example]| examples.iter().filter(|example| example.truncated).count();
                Self::Choices(Box::new(OnChoices {
                    accuracy: best.accuracy,
                    accuracy_before: before.accuracy,
                    selected_on: config.validation_split,
                    items: best.items,
                    reported,
                    train_items: data.train.len(),
                    truncated_items: truncated(&data.train) + truncated(&data.validation),
                    answers_lost: data.train.iter().filter(|example| example.answer_at.is_none()).count(),
                    train_rows: data.train_rows.clone(),
                    validation_rows: data.validation_rows.clone(),
                }))
            }
            (RunData::Texts(data), Validation::Texts(before), Validation::Texts(best)) => Self::Texts(OnTexts {
                data: config.reading.name(),
                validation_loss: best.loss,
                validation_loss_before: before.loss,
                perplexity: best.perplexity,
                perplexity_before: before.perplexity,
                validation_texts: best.texts,
                validation_labels: best.labels,
                train_texts: data.train.len(),
                truncated_texts: data.truncated,
                dropped_texts: data.dropped,
            }),
            _ => unreachable!("a run is measured on its own kind of data"),
        }
    }

    fn text(&self, benchmark: &str, best: usize, epochs: usize) -> String {
        match self {
            Self::Choices(it) => format!(
                "{benchmark}: accuracy {} on {} validation items (epoch {best} of {epochs}; {} before training)",
                percent(it.accuracy),
                it.items,
                percent(it.accuracy_before)
            ),
            Self::Texts(it) => format!(
                "{}: loss {:.4}, perplexity {:.3} on {} validation texts (epoch {best} of {epochs}; {:.4} and {:.3} before \
                 training)",
                it.data,
                it.validation_loss,
                it.perplexity,
                it.validation_texts,
                it.validation_loss_before,
                it.perplexity_before
            ),
        }
    }

    fn reported(&self) -> String {
        let Self::Choices(it) = self else { return String::new() };
        let text = |reported: &Reported| {
            format!("\n{} on {} {} items", percent(reported.accuracy), reported.items, reported.split)
        };
        it.reported.as_ref().map(text).unwrap_or_default()
    }
}
