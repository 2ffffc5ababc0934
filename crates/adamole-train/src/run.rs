//! A run under way: its state between steps, and what a step and an epoch do to it.

mod steps;

use crate::{
    AdamW, Best, Checkpoint, Cost, EpochMetrics, Fitted, Observer, RankError, Recipe, Replicas, TrainError, TrainEvent,
    Trainer, TrainingData, TrainingState, Validation,
    adapter_values::AdapterValues,
    checkpoint::Restored,
    frozen_guard::FrozenGuard,
    step_record::{StepRecord, StepResults},
};
use adamole_data::Buckets;
use adamole_llama::{CausalLm, ChainOfLora};
use burn::module::Module;
use std::{panic::resume_unwind, thread::JoinHandle, time::Instant};

pub(crate) struct Run<'a> {
    pub(crate) state: TrainingState,
    trainer: &'a Trainer<'a>,
    data: TrainingData<'a>,
    lengths: Vec<usize>,
    buckets: Buckets,
    /// Without adapters, as it was when the run began.
    base: CausalLm,
    model: CausalLm,
    replicas: Replicas,
    optimizer: AdamW,
    chain: ChainOfLora,
    cost: Cost,
    /// The adapters of the best epoch so far.
    best: AdapterValues,
    /// The frozen weights as the run found them, where they are watched.
    guard: Option<FrozenGuard>,
    /// Whether steps begin before the results of those before them are read.
    runs_ahead: bool,
    /// The steps whose results are not reported yet, and when the first of them began.
    records: Vec<(StepRecord, StepResults)>,
    since: Instant,
    /// The checkpoint that is being written.
    writing: Option<JoinHandle<Result<(), TrainError>>>,
    /// What was not finite in the last step that was skipped.
    skipped: Option<String>,
    started: Instant,
    seconds_before: f64,
}

impl<'a> Run<'a> {
    /// A run at its beginning, after a validation of the model as it is, or where a checkpoint left it.
    pub(crate) fn begin(
        trainer: &'a Trainer<'a>,
        model: CausalLm,
        data: TrainingData<'a>,
        resume: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let (started, is_new, recipe) = (Instant::now(), resume.is_none(), trainer.recipe);
        let base = model.clone().without_adapters();
        let Restored { state, model, optimizer, chain, best } = match resume {
            Some(checkpoint) => checkpoint.restore(model, recipe.seed, recipe.optimizer())?,
            None => {
                let before = evaluate(trainer, &model, data)?;
                let (chain, optimizer) = (ChainOfLora::new(&model), AdamW::new(recipe.optimizer()));
                Restored { state: TrainingState::new(before), model, optimizer, chain, best: AdapterValues::default() }
            }
        };
        let lengths = data.train.lengths();
        let mut run = Self {
            trainer,
            data,
            buckets: Buckets::fitting(&lengths, Buckets::FEW),
            lengths,
            base,
            replicas: Replicas::new(&model, trainer.devices),
            cost: Cost::of(&model),
            guard: trainer.watches_base.then(|| FrozenGuard::of(&model)),
            runs_ahead: trainer.runs_ahead
                && trainer.devices.is_empty()
                && trainer.workers.ranks().is_none()
                && !has_feedback(&model),
            records: Vec::new(),
            writing: None,
            since: started,
            model,
            optimizer,
            chain,
            best,
            skipped: None,
            started,
            seconds_before: state.seconds,
            state,
        };
        if is_new {
            let before = run.epoch_metrics(0, &run.state.before, false);
            run.state.epochs.push(before.clone());
            observer.event(&TrainEvent::Epoch(before))?;
        }
        Ok(run)
    }

    /// Whether the last epoch is done, or patience with them is over.
    pub(crate) fn is_over(&self) -> bool {
        let Recipe { epochs, patience, .. } = *self.trainer.recipe;
        self.state.epoch > epochs || patience.is_some_and(|patience| self.state.epochs_without_gain() >= patience)
    }

    /// Begins the next stage of a chain of LoRAs, where one begins with this epoch.
    pub(crate) fn begin_epoch(&mut self) -> Result<(), TrainError> {
        let recipe = self.trainer.recipe;
        // A run that was stopped in the first step of a stage has begun it.
        let is_begun = self.state.batch > 0 || self.state.link_start == self.state.step;
        if !is_begun && recipe.begins_link(self.state.epoch) {
            self.model = self.chain.link(self.model.clone(), recipe.seed)?;
            self.optimizer = AdamW::new(recipe.optimizer());
            self.state.link_start = self.state.step;
        }
        Ok(())
    }

    /// The batches of this epoch that are not done: examples by their indices, in micro-batches.
    pub(crate) fn remaining_batches(&self) -> Vec<Vec<Vec<usize>>> {
        let mut batches = self.trainer.recipe.batches(&self.lengths, self.state.epoch);
        batches.drain(..self.state.batch.min(batches.len()));
        batches
    }

    /// Checks that the frozen weights are what they were, where they are watched.
    fn check_base(&self) -> Result<(), TrainError> {
        self.guard.as_ref().map_or(Ok(()), |guard| guard.check(&self.model, self.state.step))
    }

    /// Checks that all ranks have the same adapters.
    fn check_ranks(&self) -> Result<(), TrainError> {
        let Trainer { workers, stop, .. } = self.trainer;
        if workers.ranks().is_none() {
            return Ok(());
        }
        let values = AdapterValues::of(&self.model).0;
        let sum = values.values().fold(0, |sum, data| crc32c::crc32c_append(sum, data.as_bytes()));
        let told = workers.tell(sum, stop)?;
        match told.iter().position(|other| *other != told[0]) {
            Some(rank) => Err(RankError::Apart { rank }.into()),
            None => Ok(()),
        }
    }

    /// Validates the model and ends the epoch.
    pub(crate) fn validate(&mut self, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let epoch = self.state.epoch;
        self.check_base()?;
        self.check_ranks()?;
        let evaluation = evaluate(self.trainer, &self.model, self.data).map_err(|error| match error {
            source @ (TrainError::NotFiniteScore { .. } | TrainError::NotFiniteLoss { .. }) => {
                TrainError::Diverged { epoch, source: Box::new(source) }
            }
            error => error,
        })?;
        // Where no step was applied there is nothing new to keep.
        let is_best = !self.state.task_losses.is_empty() && self.state.is_best(&evaluation);
        let metrics = self.epoch_metrics(epoch, &evaluation, is_best);
        observer.event(&TrainEvent::Epoch(metrics.clone()))?;
        if is_best {
            let model = self.adapted();
            observer.best(epoch, &model)?;
            self.best = AdapterValues::of(&model);
            self.state.best = Some((epoch, evaluation));
        }
        self.state.end_epoch(metrics);
        Ok(())
    }

    /// Writes a checkpoint, where the run has any. A run that is ahead of its device goes on while the file is written.
    pub(crate) fn save(&mut self) -> Result<(), TrainError> {
        self.finish_writing()?;
        let Some(checkpoints) = self.trainer.checkpoints else { return Ok(()) };
        let checkpoint = Checkpoint::of(&self.state, (&self.model, &self.best), &self.optimizer, &self.chain);
        if self.trainer.runs_ahead {
            self.writing = Some(checkpoints.save_beside(checkpoint)?);
            return Ok(());
        }
        checkpoints.save(checkpoint)
    }

    /// Whether the checkpoint that was being written could be, once it is known.
    pub(crate) fn check_writing(&mut self) -> Result<(), TrainError> {
        if self.writing.as_ref().is_some_and(JoinHandle::is_finished) { self.finish_writing() } else { Ok(()) }
    }

    /// Waits for the checkpoint that is being written.
    pub(crate) fn finish_writing(&mut self) -> Result<(), TrainError> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        writing.join().unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// The result of the run.
    ///
    /// # Errors
    /// No step of its last epoch was applied.
    pub(crate) fn result(self) -> Result<Fitted, TrainError> {
        let (model, layout) = (self.adapted(), self.model.layout());
        let Self { state, skipped, mut base, best, .. } = self;
        let last = state.epochs.last();
        let Some((epoch, evaluation)) = state.best.clone().filter(|_| last.is_some_and(|it| it.task_loss.is_some()))
        else {
            let what = skipped.unwrap_or_else(|| "a loss or gradient".into());
            return Err(TrainError::NoStepApplied {
                epoch: last.map_or(0, |it| it.epoch),
                what,
                applied: state.applied,
            });
        };
        base.adapt_for_values(&layout);
        let best = Best { epoch, evaluation, model: best.placed_in_first(base.valid())? };
        Ok(Fitted { best, model, state })
    }

    /// The model so far, on the plain device. A chain of LoRAs is the one adapter that it amounts to.
    fn adapted(&self) -> CausalLm {
        self.chain.whole(&self.model).valid()
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    fn epoch_metrics(&self, epoch: usize, evaluation: &Validation, best: bool) -> EpochMetrics {
        let mean = |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let task_loss = mean(&self.state.task_losses);
        let uniform_guess = (self.model.config().vocab_size as f64).ln();
        let first = self.state.first_loss.unwrap_or(uniform_guess);
        let bound = first.max((first + uniform_guess) / 2.0);
        EpochMetrics {
            epoch,
            score: evaluation.score(),
            task_loss,
            balance_loss: mean(&self.state.balance_losses),
            mean_active_experts: evaluation.mean_active_experts(),
            best,
            diverged: task_loss.is_some_and(|loss| loss > bound),
            seconds: self.seconds(),
        }
    }
}

/// The validation of the model as it is.
fn evaluate(trainer: &Trainer<'_>, model: &CausalLm, data: TrainingData<'_>) -> Result<Validation, TrainError> {
    Validation::of(&model.valid(), data.validation, &trainer.workers, &model.device().inner(), trainer.stop)
}

/// Whether the routing of a step changes the next one.
fn has_feedback(model: &CausalLm) -> bool {
    model.routed().iter().any(|(_, _, router)| router.feedback().is_some())
}
