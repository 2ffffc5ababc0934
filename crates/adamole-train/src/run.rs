//! A run under way: its state between steps, and what a step and an epoch do to it.

use crate::{
    AdamW, Best, Checkpoint, Cost, EpochMetrics, Fitted, NotFinite, Observer, RankError, Recipe, Replicas,
    RoutingStatistics, StepInput, StepMetrics, StepOutcome, TrainError, TrainEvent, Trainer, TrainingData,
    TrainingState, Validation, adapter_values::AdapterValues, checkpoint::Restored, frozen_guard::FrozenGuard,
    optimizer::gradient_norm, step::accumulate_until,
};
use adamole_data::{Batch, Buckets, Collation};
use adamole_llama::{CausalLm, ChainOfLora};
use burn::module::Module;
use std::time::Instant;

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

    /// Does one optimizer step over these micro-batches; `false` if it was interrupted and nothing has changed.
    pub(crate) fn step(
        &mut self,
        micro_batches: &[Vec<usize>],
        observer: &mut dyn Observer,
    ) -> Result<bool, TrainError> {
        let started = Instant::now();
        let Trainer { recipe, workers, stop, .. } = self.trainer;
        let collation = Collation { pad_id: self.data.pad_id, labels: recipe.labels, layout: recipe.layout() };
        let collate = |indices: &Vec<usize>| Batch::of_texts(self.data.train, indices, collation, &self.buckets);
        let batches: Vec<Batch> = micro_batches.iter().map(collate).collect();
        let (step, learning_rate) = (self.state.step, self.learning_rate());
        let balance_coefficient = self.state.auxiliary_coefficient.unwrap_or(recipe.balance_coefficient);
        let adapted = Recipe { balance_coefficient, ..(*recipe).clone() };
        let input = StepInput { batches: &batches, step, recipe: &adapted };
        let outcome = accumulate_until(&self.model, input, workers, &self.replicas, stop)?;
        let Some(outcome) = outcome else { return Ok(false) };
        let StepOutcome { gradients, task_loss, balance_loss, routing, tokens } = outcome;
        let norm = match task_loss.is_finite() {
            true => match self.agreed(gradient_norm(&self.model, &gradients)) {
                Err(RankError::Stopped) => return Ok(false),
                agreed => agreed?,
            },
            false => Err(NotFinite { what: "task loss".into(), value: task_loss }),
        };
        self.state.step += 1;
        self.state.batch += 1;
        if FrozenGuard::is_due(self.state.step) {
            self.check_base()?;
        }
        let gradient_norm = match norm {
            Ok(norm) => norm,
            Err(NotFinite { what, .. }) if self.state.skipped < recipe.max_skipped_steps => {
                self.state.skipped += 1;
                self.skipped = Some(what.clone());
                observer.event(&TrainEvent::Skipped { step, what })?;
                return Ok(true);
            }
            Err(error) => return Err(error.in_step(step, self.state.applied)),
        };
        self.optimizer.apply(learning_rate, &mut self.model, (gradients, gradient_norm), &routing);
        self.model.update_states(routing.layers.iter().map(|layer| &layer.active_tokens[..]));
        let adapts = self.adapt_coefficient(balance_coefficient, &routing);
        let seconds = started.elapsed().as_secs_f64();
        let metrics = StepMetrics {
            step,
            epoch: self.state.epoch,
            task_loss,
            balance_loss,
            balance_coefficient: adapts.then_some(balance_coefficient),
            gradient_norm,
            learning_rate,
            mean_active_experts: routing.mean_active_experts(),
            mean_threshold: routing.mean_threshold(),
            expert_load: routing.expert_load(),
            tokens,
            operations: self.cost.of_batches(&batches),
            seconds,
            tokens_per_second: tokens as f64 / seconds,
        };
        self.state.add(&metrics);
        self.state.seconds = self.seconds();
        observer.event(&TrainEvent::Step(metrics))?;
        let watched = self.state.watch(&routing);
        let sites = watched.map(|watched| watched.collapsed(&self.model)).unwrap_or_default();
        if !sites.is_empty() {
            observer.event(&TrainEvent::Collapsed { step, sites })?;
        }
        Ok(true)
    }

    /// The norm of the gradients that all ranks clip by, that of rank 0: of two GPUs each may add squares in an order of its own.
    fn agreed(&self, norm: Result<f64, NotFinite>) -> Result<Result<f64, NotFinite>, RankError> {
        let told = self.trainer.workers.tell(norm.as_ref().ok().copied(), self.trainer.stop)?;
        let elsewhere = || NotFinite { what: "a gradient of another rank".into(), value: f64::NAN };
        Ok(norm.and_then(|_| told.first().copied().flatten().ok_or_else(elsewhere)))
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

    /// Sets the weight of the auxiliary loss in the next step; whether the method adapts it.
    fn adapt_coefficient(&mut self, coefficient: f32, routing: &RoutingStatistics) -> bool {
        let layout = self.model.layout();
        let router = layout.iter().find_map(|(_, config)| config.method.router());
        let Some((router, active)) = router.zip(routing.mean_active_experts()) else { return false };
        let next = router.next_coefficient(coefficient, active);
        let adapts = next != coefficient || self.state.auxiliary_coefficient.is_some();
        if adapts {
            self.state.auxiliary_coefficient = Some(next);
        }
        adapts
    }

    fn learning_rate(&self) -> f64 {
        let recipe = self.trainer.recipe;
        let steps = recipe.epochs * self.lengths.len().div_ceil(recipe.batch_size);
        recipe.schedule(steps.div_ceil(recipe.chain_links)).rate(self.state.step - self.state.link_start)
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

    /// Writes a checkpoint, where the run has any.
    pub(crate) fn save(&self) -> Result<(), TrainError> {
        let checkpoint = || Checkpoint::of(&self.state, (&self.model, &self.best), &self.optimizer, &self.chain);
        self.trainer.checkpoints.map_or(Ok(()), |checkpoints| checkpoints.save(checkpoint()))
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
