//! The training loop.

use crate::{
    AdamW, Checkpoint, Checkpoints, Cost, EpochMetrics, Evaluation, Recipe, Replicas, StepInput, StepMetrics,
    TrainError, TrainEvent, TrainingState, Workers,
    checkpoint::{AdapterValues, Restored, adapter_values},
    evaluate_until,
    step::accumulate_until,
};
use adamole_core::{Lora, SettingError};
use adamole_data::{Batch, Buckets, Collation, Example, LabelScope, epoch_batches};
use adamole_llama::{CausalLm, ChainOfLora, ParameterKind, parameters};
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
    /// All that is known of the run.
    pub progress: TrainingState,
    /// The best epoch, counted from 1, and its validation.
    pub best: (usize, Evaluation),
}

/// How a run is kept, how it is stopped, and who helps with it.
#[derive(Default)]
pub struct Control<'a> {
    /// Where its state is saved; nowhere without it.
    pub checkpoints: Option<&'a Checkpoints>,
    /// The state that it goes on from.
    pub resume: Option<Checkpoint>,
    /// Whether to stop, which is asked between micro-batches and between batches of a validation: the step or validation
    /// under way is given up, and the state that is saved is the one before it.
    pub stop: Option<&'a Stop<'a>>,
    /// Further autodiff devices of the same kind, which share the micro-batches of each step with the main one.
    pub devices: &'a [Device],
}

/// Says whether to stop. Once it has said yes it is to say so again.
pub type Stop<'a> = dyn Fn() -> bool + Sync + 'a;

impl std::fmt::Debug for Control<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("checkpoints", &self.checkpoints).finish_non_exhaustive()
    }
}

/// Trains the adapters of `model`, which lives on the autodiff device `device`, and keeps the epoch with the highest
/// validation accuracy (the lower choice loss among equals).
///
/// `observe` is told of every step and every validation; on a best epoch it is handed the model, to save it. The course
/// of a run depends on the recipe and the data alone, not on the number of workers, and not on whether it was stopped
/// and resumed in between: `model` is then the one that the run began with, and [`Control::resume`] its newest state.
///
/// # Errors
/// There is nothing to train or to learn from; losses, gradients or scores are not finite; no step of the last epoch was
/// applied; a checkpoint cannot be written or is of another run; [`Control::stop`] said so; or `observe` failed.
pub fn train(
    model: CausalLm,
    data: TrainingData<'_>,
    recipe: &Recipe,
    workers: &Workers,
    device: &Device,
    control: Control<'_>,
    mut observe: impl FnMut(&TrainEvent, Option<&CausalLm>) -> Result<(), TrainError>,
) -> Result<Outcome, TrainError> {
    recipe.validate()?;
    let all = parameters(&model);
    let size = |adapters_only: bool| {
        let counted = all.iter().filter(|(_, kind, ..)| !adapters_only || *kind == ParameterKind::Adapter);
        counted.map(|(.., elements)| elements).sum::<usize>()
    };
    if size(true) == 0 {
        return Err(TrainError::NothingToTrain);
    }
    if recipe.chain_links > 1 && model.layout().method().is_none_or(|method| method.name != Lora::KIND.name) {
        let expected = "1, for all but a plain LoRA";
        return Err(SettingError::invalid("chain_links", recipe.chain_links, expected).into());
    }
    let data = TrainingData { train: &learnable(data.train, recipe.labels), ..data };
    for (what, examples) in [("training", data.train), ("validation", data.validation)] {
        if examples.is_empty() {
            return Err(TrainError::NoExamples { what });
        }
    }
    observe(
        &TrainEvent::Start {
            steps: recipe.epochs * data.train.len().div_ceil(recipe.batch_size),
            validations: recipe.epochs + 1,
            trainable_parameters: size(true),
            parameters: size(false),
            validation_share: validation_share(data, recipe.epochs),
        },
        None,
    )?;

    let stop: &Stop<'_> = control.stop.unwrap_or(&|| false);
    let devices = (device, control.devices);
    let mut run = Run::begin(model, data, recipe, workers, devices, stop, control.resume, &mut observe)?;
    let saved = |run: &Run<'_>| control.checkpoints.map_or(Ok(()), |checkpoints| checkpoints.save(run.checkpoint()));
    let stopped = |run: &Run<'_>| {
        saved(run)?;
        Err(TrainError::Interrupted { steps: run.progress.step })
    };
    while !run.is_over() {
        run.begin_epoch()?;
        for micro_batches in run.plan() {
            let is_done = run.step(&micro_batches, &mut observe)?;
            if !is_done || stop() {
                return stopped(&run);
            }
            if control.checkpoints.is_some_and(|checkpoints| run.progress.step.is_multiple_of(checkpoints.every)) {
                saved(&run)?;
            }
        }
        match run.validate(&mut observe) {
            Err(TrainError::Interrupted { .. }) => return stopped(&run),
            validated => validated?,
        }
        saved(&run)?;
    }
    run.outcome()
}

/// A run that goes on.
struct Run<'a> {
    data: TrainingData<'a>,
    recipe: &'a Recipe,
    workers: &'a Workers,
    device: &'a Device,
    replicas: Replicas,
    stop: &'a Stop<'a>,
    lengths: Vec<usize>,
    buckets: Buckets,
    model: CausalLm,
    optimizer: AdamW,
    chain: ChainOfLora,
    cost: Cost,
    progress: TrainingState,
    /// The adapters of the best epoch so far.
    best: AdapterValues,
    /// What was not finite in the last step that was skipped.
    skipped: Option<String>,
    started: Instant,
    seconds_before: f64,
}

type Observe<'a> = dyn FnMut(&TrainEvent, Option<&CausalLm>) -> Result<(), TrainError> + 'a;

impl<'a> Run<'a> {
    #[allow(clippy::too_many_arguments, reason = "what a run is made of, named once more right below")]
    fn begin(
        model: CausalLm,
        data: TrainingData<'a>,
        recipe: &'a Recipe,
        workers: &'a Workers,
        (device, others): (&'a Device, &[Device]),
        stop: &'a Stop<'a>,
        resume: Option<Checkpoint>,
        observe: &mut Observe<'_>,
    ) -> Result<Self, TrainError> {
        let started = Instant::now();
        let is_new = resume.is_none();
        let Restored { progress, model, optimizer, chain, best } = match resume {
            Some(checkpoint) => checkpoint.restore(model, recipe.seed, recipe.optimizer())?,
            None => {
                let plain = device.clone().inner();
                let before = evaluate_until(&model.valid(), data.validation, workers, &plain, stop)?;
                let (chain, optimizer) = (ChainOfLora::new(&model), AdamW::new(recipe.optimizer()));
                Restored { progress: TrainingState::new(before), model, optimizer, chain, best: AdapterValues::new() }
            }
        };
        let lengths: Vec<usize> = data.train.iter().map(|example| example.text.len()).collect();
        let buckets = Buckets::fitting(&lengths, Buckets::FEW);
        let seconds_before = progress.seconds;
        let cost = Cost::of(&model);
        let replicas = Replicas::new(&model, others);
        let mut run = Self {
            data,
            recipe,
            workers,
            device,
            replicas,
            stop,
            lengths,
            buckets,
            model,
            optimizer,
            chain,
            cost,
            progress,
            best,
            skipped: None,
            started,
            seconds_before,
        };
        if is_new {
            let before = run.epoch_metrics(0, &run.progress.before, false);
            run.progress.epochs.push(before.clone());
            observe(&TrainEvent::Epoch(before), None)?;
        }
        Ok(run)
    }

    fn is_over(&self) -> bool {
        let is_patient = self.recipe.patience.is_none_or(|patience| self.progress.epochs_without_gain() < patience);
        self.progress.epoch > self.recipe.epochs || !is_patient
    }

    fn begin_epoch(&mut self) -> Result<(), TrainError> {
        // A run that was stopped in the first step of a link has begun it.
        let is_begun = self.progress.batch > 0 || self.progress.link_start == self.progress.step;
        if !is_begun && self.recipe.begins_link(self.progress.epoch) {
            self.model = self.chain.link(self.model.clone(), self.recipe.seed)?;
            self.optimizer = AdamW::new(self.recipe.optimizer());
            self.progress.link_start = self.progress.step;
        }
        Ok(())
    }

    /// The batches of this epoch that are left.
    fn plan(&self) -> Vec<Vec<Vec<usize>>> {
        let Recipe { batch_size, micro_batch_size, order, seed, .. } = *self.recipe;
        let mut plan =
            epoch_batches(&self.lengths, batch_size, micro_batch_size, order, seed, self.progress.epoch as u64);
        plan.drain(..self.progress.batch.min(plan.len()));
        plan
    }

    /// One optimizer step over the examples with these indices; `false` if it was given up and nothing has changed.
    fn step(&mut self, micro_batches: &[Vec<usize>], observe: &mut Observe<'_>) -> Result<bool, TrainError> {
        let started = Instant::now();
        let Self { data, recipe, progress, .. } = self;
        let collation = Collation { pad_id: data.pad_id, labels: recipe.labels, padding: recipe.padding };
        let collate = |indices: &Vec<usize>| Batch::of_texts(data.train, indices, collation, &self.buckets);
        let batches: Vec<Batch> = micro_batches.iter().map(collate).collect();
        let input = StepInput {
            batches: &batches,
            seed: recipe.seed,
            step: progress.step,
            balance_coefficient: recipe.balance_coefficient,
            accumulation: recipe.accumulation,
            dropout_scope: recipe.dropout_scope,
            checkpoint_blocks: recipe.checkpoint_blocks,
        };
        let devices = (self.device, &self.replicas);
        let outcome = accumulate_until(&self.model, input, self.workers, devices, self.stop);
        let Some(outcome) = outcome else { return Ok(false) };
        let steps = recipe.epochs * self.lengths.len().div_ceil(recipe.batch_size);
        let schedule = recipe.schedule(steps.div_ceil(recipe.chain_links));
        let learning_rate = schedule.rate(progress.step - progress.link_start);
        let (step, epoch, applied_before) = (progress.step, progress.epoch, progress.applied);
        let applied = match outcome.task_loss.is_finite() {
            true => self.optimizer.step(learning_rate, &mut self.model, outcome.gradients, &outcome.routing),
            false => {
                let (what, value) = ("task loss".into(), outcome.task_loss);
                Err(TrainError::NotFinite { what, value, step, applied: applied_before })
            }
        };
        progress.step += 1;
        progress.batch += 1;
        match applied {
            Ok(gradient_norm) => {
                let seconds = started.elapsed().as_secs_f64();
                let metrics = StepMetrics {
                    step,
                    epoch,
                    task_loss: outcome.task_loss,
                    balance_loss: outcome.balance_loss,
                    gradient_norm,
                    learning_rate,
                    mean_active_experts: outcome.routing.mean_active_experts(),
                    mean_threshold: outcome.routing.mean_threshold(),
                    expert_load: outcome.routing.expert_load(),
                    tokens: outcome.tokens,
                    operations: self.cost.of_batches(&batches),
                    seconds,
                    tokens_per_second: outcome.tokens as f64 / seconds,
                };
                progress.add(&metrics);
                progress.seconds = self.seconds_before + self.started.elapsed().as_secs_f64();
                let watched = progress.watch(&outcome.routing);
                observe(&TrainEvent::Step(metrics), None)?;
                let sites = watched.map(|watched| watched.collapsed(&self.model)).unwrap_or_default();
                if !sites.is_empty() {
                    observe(&TrainEvent::Collapsed { step, sites }, None)?;
                }
            }
            Err(TrainError::NotFinite { what, .. }) if progress.skipped < recipe.max_skipped_steps => {
                progress.skipped += 1;
                self.skipped = Some(what.clone());
                observe(&TrainEvent::Skipped { step, what }, None)?;
            }
            Err(TrainError::NotFinite { what, value, .. }) => {
                return Err(TrainError::NotFinite { what, value, step, applied: applied_before });
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Ends the epoch.
    fn validate(&mut self, observe: &mut Observe<'_>) -> Result<(), TrainError> {
        let epoch = self.progress.epoch;
        let plain = self.device.clone().inner();
        let evaluation = evaluate_until(&self.model.valid(), self.data.validation, self.workers, &plain, self.stop);
        let evaluation = evaluation.map_err(|error| match error {
            source @ TrainError::NotFiniteScore { .. } => TrainError::Diverged { epoch, source: Box::new(source) },
            error => error,
        })?;
        // Where no step was applied there is nothing new to keep.
        let is_best = !self.progress.task_losses.is_empty() && self.progress.is_best(&evaluation);
        let metrics = self.epoch_metrics(epoch, &evaluation, is_best);
        // A chain is kept as the one adapter that it amounts to.
        let best_model = is_best.then(|| self.chain.whole(&self.model).valid());
        observe(&TrainEvent::Epoch(metrics.clone()), best_model.as_ref())?;
        let progress = &mut self.progress;
        progress.seconds = metrics.seconds;
        progress.epochs.push(metrics);
        if let Some(model) = best_model {
            progress.best = Some((epoch, evaluation));
            self.best = adapter_values(&model).into_iter().collect();
        }
        progress.task_losses.clear();
        progress.balance_losses.clear();
        (progress.epoch, progress.batch) = (epoch + 1, 0);
        Ok(())
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint::of(&self.progress, (&self.model, &self.best), &self.optimizer, &self.chain)
    }

    /// How the run ended, which is not well where nothing was learnt in its last epoch.
    fn outcome(self) -> Result<Outcome, TrainError> {
        let Self { progress, skipped, .. } = self;
        let last = progress.epochs.last();
        match (&progress.best, last.is_some_and(|last| last.task_loss.is_some())) {
            (Some(best), true) => Ok(Outcome { best: best.clone(), progress }),
            _ => {
                let epoch = last.map_or(0, |last| last.epoch);
                let what = skipped.unwrap_or_else(|| "a loss or gradient".into());
                Err(TrainError::NoStepApplied { epoch, what, applied: progress.applied })
            }
        }
    }

    fn epoch_metrics(&self, epoch: usize, evaluation: &Evaluation, best: bool) -> EpochMetrics {
        let mean = |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let task_loss = mean(&self.progress.task_losses);
        let uniform_guess = (self.model.config().vocab_size as f64).ln();
        let first = self.progress.first_loss.unwrap_or(uniform_guess);
        let bound = first.max((first + uniform_guess) / 2.0);
        EpochMetrics {
            epoch,
            accuracy: evaluation.accuracy,
            choice_loss: evaluation.choice_loss,
            task_loss,
            balance_loss: mean(&self.progress.balance_losses),
            mean_active_experts: evaluation.mean_active_experts,
            best,
            diverged: task_loss.is_some_and(|loss| loss > bound),
            seconds: self.seconds_before + self.started.elapsed().as_secs_f64(),
        }
    }
}

/// The examples that have something to learn: where the answer alone is, those that still have it.
fn learnable(examples: &[Example], labels: LabelScope) -> Cow<'_, [Example]> {
    let has_label = |example: &&Example| labels == LabelScope::Text || example.answer_at.is_some();
    match examples.iter().all(|example| has_label(&example)) {
        true => Cow::Borrowed(examples),
        false => Cow::Owned(examples.iter().filter(has_label).cloned().collect()),
    }
}

/// A backward pass costs about twice a forward pass, so a training token counts three times a validation token.
fn validation_share(data: TrainingData<'_>, epochs: usize) -> f64 {
    let train: usize = data.train.iter().map(|example| example.text.len()).sum();
    let validation: usize = data.validation.iter().map(|example| example.prompt.len()).sum();
    let (train, validation) = (3.0 * train as f64 * epochs as f64, validation as f64);
    validation / (train + validation * (epochs + 1) as f64)
}
