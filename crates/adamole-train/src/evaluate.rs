//! Accuracy on multiple choice: the choice whose letter scores highest after the prompt.

use crate::{DeviceBatch, RankError, RoutingStatistics, TrainError, Workers, batch::integers, routing::floats};
use adamole_core::{ForwardContext, RoutingDetail};
use adamole_data::{Batch, Buckets, Example, evaluation_batches};
use adamole_llama::CausalLm;
use burn::tensor::Device;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, time::Instant};

/// Tokens per evaluation batch, padding included.
const BATCH_TOKENS: usize = 1024;

/// What the model answered to one item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Index of the item in its split.
    pub item: usize,
    /// Index of the choice with the highest score.
    pub predicted: usize,
    /// Index of the right choice; beyond the scores where none of them is right ([`Example::answer`]).
    pub answer: Option<usize>,
    /// Logit of each choice's letter.
    #[serde(deserialize_with = "crate::not_finite::numbers")]
    pub scores: Vec<f64>,
}

/// The result of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Share of labelled items answered rightly.
    pub accuracy: f64,
    /// Mean cross-entropy of the answer among the item's own choices.
    #[serde(deserialize_with = "crate::not_finite::number")]
    pub choice_loss: f64,
    /// Labelled items.
    pub items: usize,
    /// Items answered rightly.
    pub correct: usize,
    /// Accuracy of always giving the most frequent answer.
    pub majority_accuracy: f64,
    /// Tokens scored, padding apart.
    pub tokens: usize,
    /// Wall time.
    pub seconds: f64,
    /// Mean number of active experts per token and routed layer; absent where nothing is routed.
    pub mean_active_experts: Option<f64>,
    /// In the order of the items.
    pub predictions: Vec<Prediction>,
    /// Routing statistics.
    pub routing: RoutingStatistics,
}

/// Scores every example on `model`, which lives on a plain device (`Module::valid` of one that trains).
///
/// An example is scored at the last token of its prompt, over the letters of its own choices. Only those rows of the
/// vocabulary product are computed.
///
/// # Errors
/// [`TrainError::NotFiniteScore`]: the first item of which a score is infinite or not a number.
pub fn evaluate(
    model: &CausalLm,
    examples: &[Example],
    workers: &Workers,
    device: &Device,
) -> Result<Evaluation, TrainError> {
    evaluate_until(model, examples, workers, device, &|| false)
}

/// [`evaluate`], given up once `stop` says so, which is asked before each batch.
///
/// # Errors
/// Those of [`evaluate`], and [`TrainError::Interrupted`].
pub fn evaluate_until(
    model: &CausalLm,
    examples: &[Example],
    workers: &Workers,
    device: &Device,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Evaluation, TrainError> {
    let start = Instant::now();
    let lengths: Vec<usize> = examples.iter().map(|example| example.prompt.len()).collect();
    let parts = in_batches(&lengths, workers, stop, |indices, buckets| {
        let batch = Batch::of_prompts(examples, indices, 0, buckets);
        let asked: Vec<&Example> = indices.iter().map(|&index| &examples[index]).collect();
        let mut routing = RoutingStatistics::default();
        (score(model, &batch, &asked, device, &mut routing), routing)
    })?;

    let mut routing = RoutingStatistics::default();
    let mut predictions = Vec::with_capacity(examples.len());
    for (part, counts) in parts {
        predictions.extend(part);
        routing.add(&counts);
    }
    predictions.sort_by_key(|prediction| prediction.item);
    predictions.iter().try_for_each(finite)?;
    let labelled: Vec<&Prediction> = predictions.iter().filter(|p| p.answer.is_some()).collect();
    let correct = labelled.iter().filter(|p| p.answer == Some(p.predicted)).count();
    let items = labelled.len();
    let mut frequencies = BTreeMap::new();
    for prediction in &labelled {
        *frequencies.entry(prediction.answer).or_insert(0_usize) += 1;
    }
    let majority = frequencies.into_values().max().unwrap_or(0);
    let losses: Vec<f64> = labelled.iter().filter_map(|p| choice_loss(p)).collect();
    let choice_loss = losses.iter().sum::<f64>() / losses.len().max(1) as f64;
    Ok(Evaluation {
        accuracy: correct as f64 / items.max(1) as f64,
        choice_loss,
        items,
        correct,
        majority_accuracy: majority as f64 / items.max(1) as f64,
        tokens: lengths.iter().sum(),
        seconds: start.elapsed().as_secs_f64(),
        mean_active_experts: routing.mean_active_experts(),
        predictions,
        routing,
    })
}

/// What `work` makes of each batch of texts with these lengths, side by side and on all ranks, until `stop` says so.
pub(crate) fn in_batches<R: Send + Serialize + DeserializeOwned>(
    lengths: &[usize],
    workers: &Workers,
    stop: &(dyn Fn() -> bool + Sync),
    work: impl Fn(&[usize], &Buckets) -> R + Sync,
) -> Result<Vec<R>, TrainError> {
    let buckets = Buckets::fitting(lengths, Buckets::FEW);
    let plan = evaluation_batches(lengths, &buckets, BATCH_TOKENS);
    match workers.share(&plan, stop, |indices| work(indices, &buckets)) {
        Ok(Some(parts)) => Ok(parts),
        Ok(None) | Err(RankError::Stopped) => Err(TrainError::Interrupted { steps: 0 }),
        Err(error) => Err(error.into()),
    }
}

/// Without a highest score the first choice would be the answer.
fn finite(prediction: &Prediction) -> Result<(), TrainError> {
    match prediction.scores.iter().position(|score| !score.is_finite()) {
        Some(choice) => {
            Err(TrainError::NotFiniteScore { item: prediction.item, choice, value: prediction.scores[choice] })
        }
        None => Ok(()),
    }
}

fn score(
    model: &CausalLm,
    batch: &Batch,
    asked: &[&Example],
    device: &Device,
    routing: &mut RoutingStatistics,
) -> Vec<Prediction> {
    let mut letters: Vec<u32> = asked.iter().flat_map(|example| &example.choice_ids).copied().collect();
    letters.sort_unstable();
    letters.dedup();
    let positions = integers(batch.last_positions().into_iter().map(|p| p as i32), device);
    let letter_rows = integers(letters.iter().map(|&id| id as i32), device);

    let mut context = ForwardContext::evaluation().recording(RoutingDetail::Distributions);
    let hidden = model.hidden(&DeviceBatch::new(batch, device).tokens, &mut context).select(0, positions);
    let logits = floats(model.logits_of(hidden, letter_rows).into_data());
    routing.add(&RoutingStatistics::read(&context.into_layers()));

    let predictions = asked.iter().enumerate();
    predictions
        .map(|(row, example)| {
            let logit = |id: &u32| logits[row * letters.len() + letters.partition_point(|letter| letter < id)];
            let scores: Vec<f64> = example.choice_ids.iter().map(logit).collect();
            // The first of equals, so that the result does not depend on how the maximum is searched.
            let best = |best, i| if scores[i] > scores[best] { i } else { best };
            let predicted = (1..scores.len()).fold(0, best);
            Prediction { item: example.item, predicted, answer: example.answer, scores }
        })
        .collect()
}

/// The cross-entropy of the answer among the choices, if it is one of them.
fn choice_loss(prediction: &Prediction) -> Option<f64> {
    let answer = prediction.scores.get(prediction.answer?)?;
    let max = prediction.scores.iter().copied().fold(f64::MIN, f64::max);
    let sum: f64 = prediction.scores.iter().map(|score| (score - max).exp()).sum();
    Some(sum.ln() + max - answer)
}
