//! The steps of a run.

use super::Run;
use crate::{
    NotFinite, Observer, RankError, Recipe, RoutingStatistics, StepInput, StepMetrics, TrainError, TrainEvent, Trainer,
    frozen_guard::FrozenGuard,
    gradient_norm::{GradientNorm, clip},
    loss::UnreadNumbers,
    step::{StepNumbers, UnreadStep, accumulate_until},
    step_record::{ReadResults, StepRecord, StepResults},
    unread_routing::ActiveTokens,
};
use adamole_data::{Batch, Collation};
use burn::tensor::Tensor;
use std::time::{Duration, Instant};

/// The most steps whose results are not read.
const AHEAD: usize = 16;

/// After this long they are read: somebody may be looking.
const LONGEST_AHEAD: Duration = Duration::from_secs(1);

impl Run<'_> {
    /// Does one optimizer step over these micro-batches; `false` if it was interrupted and nothing has changed.
    pub(crate) fn step(
        &mut self,
        micro_batches: &[Vec<usize>],
        observer: &mut dyn Observer,
    ) -> Result<bool, TrainError> {
        if self.records.is_empty() {
            self.since = Instant::now();
        }
        let Trainer { recipe, workers, stop, .. } = self.trainer;
        let collation = Collation { pad_id: self.data.pad_id, labels: recipe.labels, layout: recipe.layout() };
        let collate = |indices: &Vec<usize>| Batch::of_texts(self.data.train, indices, collation, &self.buckets);
        let batches: Vec<Batch> = micro_batches.iter().map(collate).collect();
        let (step, learning_rate) = (self.state.step, self.learning_rate());
        let balance_coefficient = self.state.auxiliary_coefficient.unwrap_or(recipe.balance_coefficient);
        let adapted = Recipe { balance_coefficient, ..(*recipe).clone() };
        let input = StepInput { batches: &batches, step, recipe: &adapted };
        let Some(done) = accumulate_until(&self.model, input, workers, &self.replicas, stop)? else { return Ok(false) };
        let UnreadStep { gradients, numbers, tokens } = done;
        let (device, max_norm) = (self.model.device().inner(), recipe.optimizer().max_grad_norm);
        let norm = GradientNorm::of(&self.model, &gradients);
        let (results, clip, active) = match numbers {
            StepNumbers::Unread(numbers) if self.runs_ahead => {
                let loss = numbers.iter().map(UnreadNumbers::task_loss).reduce(|sum, loss| sum + loss);
                let clip = norm.clip_beside(loss.unwrap_or_else(|| Tensor::zeros([1], &device)), max_norm);
                let active = ActiveTokens::of_all(numbers.iter().map(|numbers| &numbers.routing));
                (StepResults::Unread(StepNumbers::Unread(numbers), Box::new(norm)), clip, active)
            }
            numbers => {
                let read = StepResults::Unread(numbers, Box::new(norm)).read();
                let Some(read) = self.agreed(read)? else { return Ok(false) };
                let factor = read.norm.as_ref().map_or(f32::NAN, |norm| clip(*norm, max_norm));
                let active = ActiveTokens::on_device(&read.routing, &device);
                (StepResults::Read(read), Tensor::from_floats([factor], &device), active)
            }
        };
        self.optimizer.apply(learning_rate, &mut self.model, gradients, clip, active);
        self.state.step += 1;
        self.state.batch += 1;
        let operations = self.cost.of_batches(&batches);
        self.records.push((StepRecord { step, learning_rate, balance_coefficient, tokens, operations }, results));
        if FrozenGuard::is_due(self.state.step) {
            self.check_base()?;
        }
        if !self.runs_ahead || self.records.len() >= AHEAD || self.since.elapsed() >= LONGEST_AHEAD {
            self.settle(observer)?;
        }
        Ok(true)
    }

    /// Reads the results of the steps since the last time, and reports them.
    ///
    /// # Errors
    /// Too many steps in a row were not finite, or the observer failed.
    pub(crate) fn settle(&mut self, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let records = std::mem::take(&mut self.records);
        let steps = records.len() as f64;
        let read: Vec<_> = records.into_iter().map(|(record, results)| (record, results.read())).collect();
        let seconds = self.since.elapsed().as_secs_f64() / steps;
        self.since = Instant::now();
        read.into_iter().try_for_each(|(record, results)| self.report(&record, results, seconds, observer))
    }

    /// Reports a step and does what its routing says for the next one.
    fn report(
        &mut self,
        record: &StepRecord,
        results: ReadResults,
        seconds: f64,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let StepRecord { step, learning_rate, balance_coefficient, tokens, operations } = *record;
        let ReadResults { task_loss, balance_loss, routing, norm } = results;
        let gradient_norm = match norm {
            Ok(norm) => norm,
            Err(NotFinite { what, .. }) if self.state.skipped < self.trainer.recipe.max_skipped_steps => {
                self.state.skipped += 1;
                self.skipped = Some(what.clone());
                return observer.event(&TrainEvent::Skipped { step, what });
            }
            Err(error) => return Err(error.in_step(step, self.state.applied)),
        };
        self.model.update_states(routing.layers.iter().map(|layer| &layer.active_tokens[..]));
        let adapts = self.adapt_coefficient(balance_coefficient, &routing);
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
            operations,
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
        Ok(())
    }

    /// The results with the norm that all ranks clip by, that of rank 0: of two GPUs each may add squares in an order of its own.
    /// `None` where a rank has stopped.
    fn agreed(&self, results: ReadResults) -> Result<Option<ReadResults>, RankError> {
        if !results.task_loss.is_finite() {
            return Ok(Some(results));
        }
        let told = match self.trainer.workers.tell(results.norm.as_ref().ok().copied(), self.trainer.stop) {
            Err(RankError::Stopped) => return Ok(None),
            told => told?,
        };
        let elsewhere = || NotFinite { what: "a gradient of another rank".into(), value: f64::NAN };
        let norm = results.norm.and_then(|_| told.first().copied().flatten().ok_or_else(elsewhere));
        Ok(Some(ReadResults { norm, ..results }))
    }

    /// Sets the weight of the auxiliary loss in the next step; whether the method adapts it.
    fn adapt_coefficient(&mut self, coefficient: f32, routing: &RoutingStatistics) -> bool {
        let layout = self.model.layout();
        let router = layout.iter().find_map(|(_, config)| config.method.router());
        let Some((router, active)) = router.zip(routing.mean_active_experts()) else { return false };
        let Some(feedback) = router.feedback() else { return false };
        let next = feedback.next_coefficient(coefficient, active);
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
}
