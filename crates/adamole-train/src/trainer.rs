//! The training loop.

use crate::{
    AdamW, EpochMetrics, Evaluation, Recipe, StepInput, StepMetrics, TrainError, TrainEvent, Workers, accumulate,
    evaluate,
};
use adamole_core::Method;
use adamole_data::{Batch, Buckets, Example, LabelScope, plan_epoch};
use adamole_llama::{CausalLm, Chain, ParameterKind, parameters};
use burn::{module::Module, tensor::Device};
use std::{borrow::Cow, time::Instant};

/// What a run learns from and is judged by.
#[derive(Debug, Clone, Copy)]
pub struct TrainingData<'a> {
    /// Labelled examples to learn from. Where the answer alone is trained on, those without one in their text are left
    /// out.
    pub train: &'a [Example],
    /// Labelled examples on which the best epoch is chosen.
    pub validation: &'a [Example],
    /// Token that fills up rows; never seen by another token.
    pub pad_id: u32,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The model before training.
    pub before: Evaluation,
    /// The best epoch, counted from 1, and its validation.
    pub best: (usize, Evaluation),
    /// The model of the best epoch, on the plain device.
    pub best_model: CausalLm,
    /// Optimizer steps.
    pub steps: usize,
    /// Training tokens, padding apart.
    pub train_tokens: usize,
    /// Wall time of the steps alone.
    pub train_seconds: f64,
    /// Wall time of the whole run.
    pub seconds: f64,
}

/// Trains the adapters of `model`, which lives on the autodiff device `device`, and keeps the epoch with the highest
/// validation accuracy (the lower choice loss among equals).
///
/// `observe` is told of every step and every validation; on a best epoch it is handed the model, to save it. The course
/// of a run depends on the recipe and the data alone, not on the number of workers.
///
/// # Errors
/// There is nothing to train or to learn from; a loss or gradient is not finite; or `observe` failed.
pub fn train(
    mut model: CausalLm,
    data: TrainingData<'_>,
    recipe: &Recipe,
    workers: &Workers,
    device: &Device,
    mut observe: impl FnMut(&TrainEvent, Option<&CausalLm>) -> Result<(), TrainError>,
) -> Result<Outcome, TrainError> {
    recipe.validate()?;
    let plain = device.clone().inner();
    let all = parameters(&model);
    let size = |adapters_only: bool| {
        let counted = all.iter().filter(|(_, kind, ..)| !adapters_only || *kind == ParameterKind::Adapter);
        counted.map(|(.., elements)| elements).sum::<usize>()
    };
    if size(true) == 0 {
        return Err(TrainError::NothingToTrain);
    }
    if recipe.chain_links > 1 && model.layout().method() != Some(Method::Lora) {
        let value = recipe.chain_links.to_string();
        return Err(TrainError::Recipe { name: "chain_links", value, expected: "1, for all but a plain LoRA" });
    }
    let data = TrainingData { train: &learnable(data.train, recipe.labels), ..data };
    for (what, examples) in [("training", data.train), ("validation", data.validation)] {
        if examples.is_empty() {
            return Err(TrainError::NoExamples { what });
        }
    }

    let started = Instant::now();
    let lengths: Vec<usize> = data.train.iter().map(|example| example.text.len()).collect();
    let buckets = Buckets::fitting(&lengths, Buckets::FEW);
    let steps = recipe.epochs * data.train.len().div_ceil(recipe.batch_size);
    observe(
        &TrainEvent::Start {
            steps,
            validations: recipe.epochs + 1,
            trainable_parameters: size(true),
            parameters: size(false),
            validation_share: validation_share(data, recipe.epochs),
        },
        None,
    )?;
    let before = evaluate(&model.valid(), data.validation, workers, &plain);
    observe(&TrainEvent::Epoch(epoch_metrics(0, &before, &[], false, started)), None)?;

    let mut optimizer = AdamW::new(recipe.optimizer());
    let (mut chain, mut link_start) = (Chain::new(&model), 0);
    let (mut step, mut train_tokens, mut train_seconds) = (0, 0, 0.0);
    let mut best: Option<(usize, Evaluation, CausalLm)> = None;
    for epoch in 1..=recipe.epochs {
        if recipe.begins_link(epoch) {
            model = chain.link(model, recipe.seed)?;
            optimizer = AdamW::new(recipe.optimizer());
            link_start = step;
        }
        let mut history = Vec::new();
        let (batch_size, micro_batch_size) = (recipe.batch_size, recipe.micro_batch_size);
        let plan = plan_epoch(&lengths, batch_size, micro_batch_size, recipe.order, recipe.seed, epoch as u64);
        for micro_batches in plan {
            let step_started = Instant::now();
            let collate =
                |indices: &Vec<usize>| Batch::of_texts(data.train, indices, data.pad_id, recipe.labels, &buckets);
            let batches: Vec<Batch> = micro_batches.iter().map(collate).collect();
            let input = StepInput {
                batches: &batches,
                seed: recipe.seed,
                step,
                balance_coefficient: recipe.balance_coefficient,
            };
            let outcome = accumulate(&model, input, workers, device);
            if !outcome.task_loss.is_finite() {
                return Err(TrainError::NotFinite { what: "task loss".into(), value: outcome.task_loss, step });
            }
            let learning_rate = recipe.schedule().rate(step - link_start);
            let gradient_norm = optimizer.step(learning_rate, &mut model, outcome.gradients, &outcome.routing)?;
            let metrics = StepMetrics {
                step,
                epoch,
                task_loss: outcome.task_loss,
                balance_loss: outcome.balance_loss,
                gradient_norm,
                learning_rate,
                mean_active_experts: outcome.routing.mean_active_experts(),
                mean_threshold: outcome.routing.mean_threshold(),
                tokens: outcome.tokens,
                seconds: step_started.elapsed().as_secs_f64(),
            };
            train_tokens += metrics.tokens;
            train_seconds += metrics.seconds;
            observe(&TrainEvent::Step(metrics.clone()), None)?;
            history.push(metrics);
            step += 1;
        }
        let valid = model.valid();
        let evaluation = evaluate(&valid, data.validation, workers, &plain);
        let is_best = best.as_ref().is_none_or(|(_, best, _)| better(&evaluation, best));
        let metrics = epoch_metrics(epoch, &evaluation, &history, is_best, started);
        // A chain is kept as the one adapter that it amounts to.
        let whole = is_best.then(|| chain.whole(&model).valid());
        observe(&TrainEvent::Epoch(metrics), whole.as_ref())?;
        if let Some(whole) = whole {
            best = Some((epoch, evaluation, whole));
        }
    }
    let (epoch, evaluation, best_model) = best.ok_or(TrainError::NoExamples { what: "training" })?;
    Ok(Outcome {
        before,
        best: (epoch, evaluation),
        best_model,
        steps: step,
        train_tokens,
        train_seconds,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// The examples that have something to learn: where the answer alone is, those that still have it.
fn learnable(examples: &[Example], labels: LabelScope) -> Cow<'_, [Example]> {
    let has_label = |example: &&Example| labels == LabelScope::Text || example.answer_at.is_some();
    match examples.iter().all(|example| has_label(&example)) {
        true => Cow::Borrowed(examples),
        false => Cow::Owned(examples.iter().filter(has_label).cloned().collect()),
    }
}

fn better(new: &Evaluation, old: &Evaluation) -> bool {
    new.correct > old.correct || (new.correct == old.correct && new.choice_loss < old.choice_loss)
}

fn epoch_metrics(
    epoch: usize,
    evaluation: &Evaluation,
    history: &[StepMetrics],
    best: bool,
    started: Instant,
) -> EpochMetrics {
    let mean = |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
    EpochMetrics {
        epoch,
        accuracy: evaluation.accuracy,
        choice_loss: evaluation.choice_loss,
        task_loss: mean(history.iter().map(|step| step.task_loss).collect()),
        balance_loss: mean(history.iter().filter_map(|step| step.balance_loss).collect()),
        mean_active_experts: evaluation.mean_active_experts,
        best,
        seconds: started.elapsed().as_secs_f64(),
    }
}

/// A backward pass costs about twice a forward pass, so a training token counts three times a validation token.
fn validation_share(data: TrainingData<'_>, epochs: usize) -> f64 {
    let train: usize = data.train.iter().map(|example| example.text.len()).sum();
    let validation: usize = data.validation.iter().map(|example| example.prompt.len()).sum();
    let (train, validation) = (3.0 * train as f64 * epochs as f64, validation as f64);
    validation / (train + validation * (epochs + 1) as f64)
}
