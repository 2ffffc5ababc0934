//! What a run is measured by: accuracy on multiple choice, or the loss of texts.

use crate::{
    DeviceBatch, Evaluation, RoutingStatistics, TrainError, Workers, evaluate::in_batches, evaluate_until,
    routing::floats,
};
use adamole_core::{ForwardContext, RoutingDetail};
use adamole_data::{Batch, Buckets, Collation, DataSet, LabelScope, Layout, Padding, text::TokenizedText};
use adamole_llama::{CausalLm, frozen_cross_entropy};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// The loss of texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextEvaluation {
    /// Mean cross-entropy of the labels, in nats.
    pub loss: f64,
    /// `e^loss`.
    pub perplexity: f64,
    /// Texts.
    pub texts: usize,
    /// Tokens that have a loss.
    pub labels: usize,
    /// Tokens, padding apart.
    pub tokens: usize,
    /// Wall time.
    pub seconds: f64,
    /// Mean number of active experts per token and routed layer; absent where nothing is routed.
    pub mean_active_experts: Option<f64>,
    /// Routing statistics.
    pub routing: RoutingStatistics,
}

/// The numbers of a validation that are recorded for every epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Score {
    /// On multiple choice.
    Choices {
        /// Share of validation items whose highest-scored choice is right.
        accuracy: f64,
        /// Mean cross-entropy of the answer among the item's choices.
        #[serde(deserialize_with = "crate::not_finite::number")]
        choice_loss: f64,
    },
    /// On texts.
    Texts {
        /// Mean cross-entropy of the labels, in nats.
        validation_loss: f64,
        /// `e^validation_loss`.
        perplexity: f64,
    },
}

/// The result of a validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Validation {
    /// On multiple choice.
    Choices(Evaluation),
    /// On texts.
    Texts(TextEvaluation),
}

impl Validation {
    /// Measures `model`, on a plain device, until `stop` says so.
    pub(crate) fn of(
        model: &CausalLm,
        data: DataSet<'_>,
        workers: &Workers,
        device: &Device,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Self, TrainError> {
        match data {
            DataSet::Choices(examples) => evaluate_until(model, examples, workers, device, stop).map(Self::Choices),
            DataSet::Texts(texts) => evaluate_texts(model, texts, workers, device, stop).map(Self::Texts),
        }
    }

    /// The numbers that are recorded.
    pub fn score(&self) -> Score {
        match self {
            Self::Choices(it) => Score::Choices { accuracy: it.accuracy, choice_loss: it.choice_loss },
            Self::Texts(it) => Score::Texts { validation_loss: it.loss, perplexity: it.perplexity },
        }
    }

    /// Whether this is better: more right answers, or as many at a lower loss; on texts a lower loss.
    pub fn is_better_than(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Choices(new), Self::Choices(old)) => {
                new.correct > old.correct || (new.correct == old.correct && new.choice_loss < old.choice_loss)
            }
            (Self::Texts(new), Self::Texts(old)) => new.loss < old.loss,
            // A run has one kind of data.
            _ => false,
        }
    }

    /// Mean number of active experts per token and routed layer; absent where nothing is routed.
    pub fn mean_active_experts(&self) -> Option<f64> {
        match self {
            Self::Choices(it) => it.mean_active_experts,
            Self::Texts(it) => it.mean_active_experts,
        }
    }

    /// Routing statistics.
    pub fn routing(&self) -> &RoutingStatistics {
        match self {
            Self::Choices(it) => &it.routing,
            Self::Texts(it) => &it.routing,
        }
    }

    /// Where the data is multiple choice.
    pub fn choices(&self) -> Option<&Evaluation> {
        match self {
            Self::Choices(it) => Some(it),
            Self::Texts(_) => None,
        }
    }
}

/// The loss of texts on `model`, which lives on a plain device, given up once `stop` says so.
///
/// # Errors
/// The loss is not finite, or [`TrainError::Interrupted`].
pub fn evaluate_texts(
    model: &CausalLm,
    texts: &[TokenizedText],
    workers: &Workers,
    device: &Device,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<TextEvaluation, TrainError> {
    let start = Instant::now();
    let lengths = DataSet::from(texts).lengths();
    let collation = Collation { pad_id: 0, labels: LabelScope::Text, layout: Layout::Padded(Padding::Right) };
    let cap = model.config().scores.logit_cap;
    let parts = in_batches(&lengths, workers, stop, |indices: &[usize], buckets: &Buckets| {
        let batch = Batch::of_texts(texts, indices, collation, buckets);
        let labels = batch.label_positions.len();
        let batch = DeviceBatch::new(&batch, device);
        let mut context = ForwardContext::evaluation().recording(RoutingDetail::Distributions);
        let hidden = model.hidden(&batch.tokens, &mut context).select(0, batch.label_positions);
        let loss = frozen_cross_entropy(hidden, model.projection(), cap, batch.label_targets, 1.0);
        (floats(loss.into_data())[0], labels, RoutingStatistics::read(&context.into_layers()))
    })?;
    let (mut sum, mut labels, mut routing) = (0.0, 0, RoutingStatistics::default());
    for (loss, count, statistics) in parts {
        sum += loss;
        labels += count;
        routing.add(&statistics);
    }
    let loss = sum / labels.max(1) as f64;
    if !loss.is_finite() {
        return Err(TrainError::NotFiniteLoss { what: "validation loss", value: loss });
    }
    Ok(TextEvaluation {
        loss,
        perplexity: loss.exp(),
        texts: texts.len(),
        labels,
        tokens: lengths.iter().sum(),
        seconds: start.elapsed().as_secs_f64(),
        mean_active_experts: routing.mean_active_experts(),
        routing,
    })
}
