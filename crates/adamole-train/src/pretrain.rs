//! Training a small base model from random weights: next-token prediction with every weight trainable.

use crate::{
    AdamW, AdamWSettings, Decay, RoutingStatistics, TrainError, Workers, batch::integers, routing::floats,
    schedule::Schedule,
};
use adamole_core::{ForwardContext, SettingError};
use adamole_llama::{CausalLm, TokenBatch, Visibility, cross_entropy};
use burn::{
    module::Module,
    optim::{GradientsAccumulator, GradientsParams},
    tensor::Tensor,
};
use serde::{Deserialize, Serialize};

/// The settings of a pretraining run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainRecipe {
    /// Tokens per sequence; documents are packed one after the other.
    pub sequence_length: usize,
    /// Sequences per step.
    pub batch_size: usize,
    /// Optimizer steps.
    pub steps: usize,
    /// Peak learning rate; it falls along a cosine to a tenth.
    pub learning_rate: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: usize,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Seed of initialisation.
    pub seed: u64,
}

impl PretrainRecipe {
    /// Checks every range.
    ///
    /// # Errors
    /// The first setting that is outside its range.
    pub fn validate(&self) -> Result<(), SettingError> {
        let counts =
            [("sequence_length", self.sequence_length), ("batch_size", self.batch_size), ("steps", self.steps)];
        if let Some((name, value)) = counts.into_iter().find(|(_, value)| *value == 0) {
            return Err(SettingError::invalid(name, value, "an integer of at least 1"));
        }
        let (decay, beta) = (f64::from(self.weight_decay), f64::from(self.beta2));
        for (name, value, is_valid, expected) in [
            ("learning_rate", self.learning_rate, self.learning_rate > 0.0, "a number above 0"),
            ("weight_decay", decay, decay >= 0.0, "a number of at least 0"),
            ("beta2", beta, (0.0..1.0).contains(&beta), "a number in [0, 1)"),
        ] {
            if !(value.is_finite() && is_valid) {
                return Err(SettingError::invalid(name, value, expected));
            }
        }
        Ok(())
    }

    fn optimizer(&self) -> AdamWSettings {
        AdamWSettings { beta_2: self.beta2, weight_decay: self.weight_decay, ..AdamWSettings::default() }
    }

    fn schedule(&self) -> Schedule {
        Schedule {
            peak: self.learning_rate,
            warmup_steps: self.warmup_steps,
            starts_at_zero: true,
            decay: Decay::Cosine,
            end: self.steps,
            floor: 0.1,
        }
    }
}

/// The metrics of a pretraining step.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PretrainStep {
    /// Counted from 0.
    pub step: usize,
    /// Mean cross-entropy of the batch.
    pub loss: f64,
    /// Of this step.
    pub learning_rate: f64,
}

/// Micro-batches per step; fixed, so that the sum of gradients does not depend on the number of workers.
const SLICES: usize = 2;

/// Documents as one stream of token ids.
#[derive(Debug, Clone, Copy)]
pub struct Corpus<'a> {
    /// The documents one after the other.
    pub tokens: &'a [u32],
    /// The token that each of them begins with; its tokens see no other document. Without it all is one document.
    pub bos: Option<u32>,
}

/// Trains `model` (on an autodiff device) on a corpus, in its order and from its beginning again once it is used up, and
/// returns it on the plain device. A corpus can so be a curriculum.
///
/// # Errors
/// The recipe is not valid, the corpus is shorter than one sequence, or a gradient is not finite.
pub fn pretrain(
    mut model: CausalLm,
    corpus: Corpus<'_>,
    recipe: &PretrainRecipe,
    workers: &Workers,
    mut observe: impl FnMut(PretrainStep),
) -> Result<CausalLm, TrainError> {
    recipe.validate()?;
    let sequences = corpus.sequences(recipe.sequence_length, "training")?;
    let mut optimizer = AdamW::new(recipe.optimizer());
    let (schedule, device) = (recipe.schedule(), model.device());
    for step in 0..recipe.steps {
        let batch: Vec<&[u32]> =
            (0..recipe.batch_size).map(|i| sequences[(step * recipe.batch_size + i) % sequences.len()]).collect();
        let slices: Vec<&[&[u32]]> = batch.chunks(batch.len().div_ceil(SLICES)).collect();
        let labels = (batch.len() * recipe.sequence_length) as f32;
        let parts = workers.map(&slices, |slice| {
            let model = model.forked(&device);
            let loss = sequence_loss(&model, slice, corpus.bos, labels);
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            (gradients, floats(loss.inner().into_data())[0])
        });
        let mut accumulator = GradientsAccumulator::new();
        let mut loss = 0.0;
        for (gradients, part) in parts {
            accumulator.accumulate(&model, gradients);
            loss += part;
        }
        let learning_rate = schedule.rate(step);
        let applied = optimizer.step(learning_rate, &mut model, accumulator.grads(), &RoutingStatistics::default());
        applied.map_err(|error| error.in_step(step, step))?;
        observe(PretrainStep { step, loss, learning_rate });
    }
    Ok(model.valid())
}

/// Mean cross-entropy per token of `model` (on a plain device) on a corpus.
///
/// # Errors
/// The corpus is shorter than one sequence, or the loss is not finite.
pub fn validation_loss(
    model: &CausalLm,
    corpus: Corpus<'_>,
    sequence_length: usize,
    workers: &Workers,
) -> Result<f64, TrainError> {
    let sequences = corpus.sequences(sequence_length, "validation")?;
    let batches: Vec<&[&[u32]]> = sequences.chunks(16).collect();
    let labels = (sequences.len() * sequence_length) as f32;
    let parts = workers.map(&batches, |batch| floats(sequence_loss(model, batch, corpus.bos, labels).into_data())[0]);
    let value: f64 = parts.iter().sum();
    if value.is_finite() { Ok(value) } else { Err(TrainError::NotFiniteLoss { what: "validation loss", value }) }
}

impl<'a> Corpus<'a> {
    /// Sequences of `length` inputs and one more label each.
    fn sequences(self, length: usize, what: &'static str) -> Result<Vec<&'a [u32]>, TrainError> {
        let sequence = |i| self.tokens.get(i * length..(i + 1) * length + 1);
        let sequences: Vec<_> = (0..).map_while(sequence).collect();
        if sequences.is_empty() { Err(TrainError::NoExamples { what }) } else { Ok(sequences) }
    }
}

fn sequence_loss(model: &CausalLm, batch: &[&[u32]], bos: Option<u32>, labels: f32) -> Tensor<1> {
    let (length, device) = (batch[0].len() - 1, model.device());
    let inputs = || batch.iter().flat_map(|sequence| &sequence[..length]);
    let targets = batch.iter().flat_map(|sequence| &sequence[1..]).map(|&id| id as i32);
    let documents = inputs().scan(0, |document, &id| {
        *document += u32::from(Some(id) == bos);
        Some(*document)
    });
    let mask = Visibility::documents(&documents.collect::<Vec<_>>(), length);
    let ids = integers(inputs().map(|&id| id as i32), &device).reshape([batch.len(), length]);
    let hidden = model.hidden(&TokenBatch::new(ids, mask), &mut ForwardContext::evaluation());
    let cap = model.config().scores.logit_cap;
    cross_entropy(hidden, model.projection(), cap, integers(targets, &device), labels)
}
