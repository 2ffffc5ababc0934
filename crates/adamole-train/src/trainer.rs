//! A training run from its description to its result.

use crate::{
    Checkpoint, Checkpoints, RankError, Recipe, TrainError, TrainEvent, TrainingState, Validation, Workers, run::Run,
};
use adamole_data::{DataSet, Example, LabelScope};
use adamole_llama::{CausalLm, ChainOfLora, ParameterKind};
use burn::tensor::Device;

/// The examples of a run.
#[derive(Debug, Clone, Copy)]
pub struct TrainingData<'a> {
    /// What is learned from. Where the answer alone is trained on, items without one in their text are left out.
    pub train: DataSet<'a>,
    /// What the best epoch is chosen on.
    pub validation: DataSet<'a>,
    /// Token that fills up rows; never seen by another token.
    pub pad_id: u32,
}

/// Says whether to stop. Once it has said yes it has to say so again.
pub type Stop<'a> = dyn Fn() -> bool + Sync + 'a;

/// Follows a run: a closure over [`TrainEvent`], `()` to ignore it, or a type that also saves the best model.
pub trait Observer {
    /// Something happened.
    ///
    /// # Errors
    /// Any error ends the run.
    fn event(&mut self, event: &TrainEvent) -> Result<(), TrainError>;

    /// The epoch that has just been reported is the best so far, and `model` is what it has learned, on the plain device. A
    /// chain of LoRAs is one adapter here.
    ///
    /// # Errors
    /// Any error ends the run.
    fn best(&mut self, _epoch: usize, _model: &CausalLm) -> Result<(), TrainError> {
        Ok(())
    }
}

impl<F: FnMut(&TrainEvent) -> Result<(), TrainError>> Observer for F {
    fn event(&mut self, event: &TrainEvent) -> Result<(), TrainError> {
        self(event)
    }
}

impl Observer for () {
    fn event(&mut self, _event: &TrainEvent) -> Result<(), TrainError> {
        Ok(())
    }
}

/// The best epoch of a run: the highest validation accuracy, and the lower choice loss among equals; on texts the lowest loss.
#[derive(Debug, Clone)]
pub struct Best {
    /// Counted from 1.
    pub epoch: usize,
    /// Its validation.
    pub evaluation: Validation,
    /// The base with the adapters of this epoch, on the plain device.
    pub model: CausalLm,
}

/// The result of a run.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The best epoch.
    pub best: Best,
    /// The base with the adapters of the last epoch, on the plain device.
    pub model: CausalLm,
    /// Metrics of all epochs, and how much was computed.
    pub state: TrainingState,
}

/// The description of a training run: its recipe, and where and how it runs.
pub struct Trainer<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) workers: Workers,
    pub(crate) devices: &'a [Device],
    pub(crate) checkpoints: Option<&'a Checkpoints>,
    pub(crate) resume: Option<Checkpoint>,
    pub(crate) stop: &'a Stop<'a>,
    pub(crate) watches_base: bool,
    pub(crate) runs_ahead: bool,
}

impl<'a> Trainer<'a> {
    /// A run of this recipe: one worker, no checkpoints, to its end.
    pub fn new(recipe: &'a Recipe) -> Self {
        Self {
            recipe,
            workers: Workers::new(1),
            devices: &[],
            checkpoints: None,
            resume: None,
            stop: &|| false,
            watches_base: false,
            runs_ahead: false,
        }
    }

    /// Runs micro-batches side by side.
    pub fn workers(self, workers: &Workers) -> Self {
        Self { workers: workers.clone(), ..self }
    }

    /// Shares the micro-batches of each step with further autodiff devices of the same kind.
    pub fn devices(self, devices: &'a [Device]) -> Self {
        Self { devices, ..self }
    }

    /// Checks every hundred steps and before every validation that the frozen weights are what they were: on a GPU, where a wrong
    /// kernel can overwrite them.
    pub fn watch_base(self, watches_base: bool) -> Self {
        Self { watches_base, ..self }
    }

    /// Begins steps before losses and routing of those before them are read, where nothing in a step depends on them: for a GPU,
    /// which has nothing to do while the host waits for it. They are read, and the observer hears of them, every second, after
    /// sixteen steps, and before a validation or a checkpoint. The course of the run is the same. A run on several devices
    /// or ranks is never ahead.
    pub fn run_ahead(self, runs_ahead: bool) -> Self {
        Self { runs_ahead, ..self }
    }

    /// Saves the training state.
    pub fn checkpoints(self, checkpoints: &'a Checkpoints) -> Self {
        Self { checkpoints: Some(checkpoints), ..self }
    }

    /// Continues from a checkpoint, if there is one.
    pub fn resume(self, checkpoint: Option<Checkpoint>) -> Self {
        Self { resume: checkpoint, ..self }
    }

    /// Asks between micro-batches and between batches of a validation whether to stop: the step or validation under way is
    /// given up, and the state that is saved is the one before it.
    pub fn stop(self, stop: &'a Stop<'a>) -> Self {
        Self { stop, ..self }
    }

    /// Trains the adapters of `model` on its (autodiff) device.
    ///
    /// The course of a run depends on the recipe and the data alone, not on the number of workers, and not on whether it was
    /// stopped and resumed in between: `model` is then the one that the run began with.
    ///
    /// # Errors
    /// There is nothing to train or to learn from; losses, gradients or scores are not finite; no step of the last epoch was
    /// applied; a checkpoint cannot be written or is of another run; [`Self::stop`] said so; or `observer` failed.
    pub fn fit(
        mut self,
        model: CausalLm,
        data: TrainingData<'_>,
        observer: &mut impl Observer,
    ) -> Result<Fitted, TrainError> {
        let learned = learnable(data.train, self.recipe.labels);
        let data = TrainingData { train: learned.as_deref().map_or(data.train, DataSet::from), ..data };
        observer.event(&self.start(&model, data)?)?;
        let resume = self.resume.take();
        let mut run = Run::begin(&self, model, data, resume, observer)?;
        let gone = match self.go_on(&mut run, observer) {
            // What was not done by all is done by none.
            Err(TrainError::Interrupted { .. } | TrainError::Ranks(RankError::Stopped)) => {
                run.save()?;
                Err(TrainError::Interrupted { steps: run.state.step })
            }
            Err(error @ TrainError::Ranks(_)) => {
                run.save()?;
                Err(error)
            }
            gone => gone,
        };
        let written = run.finish_writing();
        gone?;
        written?;
        run.result()
    }

    /// The steps and validations that are left.
    fn go_on(&self, run: &mut Run<'_>, observer: &mut impl Observer) -> Result<(), TrainError> {
        // Several ranks stop together: they ask each other in every step and validation.
        let stops = || self.workers.ranks().is_none() && (self.stop)();
        while !run.is_over() {
            run.begin_epoch()?;
            for micro_batches in run.remaining_batches() {
                run.check_writing()?;
                let is_done = run.step(&micro_batches, observer)?;
                if !is_done || stops() {
                    run.settle(observer)?;
                    return Err(TrainError::Interrupted { steps: run.state.step });
                }
                if self.checkpoints.is_some_and(|checkpoints| checkpoints.is_due(run.state.step)) {
                    run.settle(observer)?;
                    run.save()?;
                }
            }
            run.settle(observer)?;
            run.validate(observer)?;
            run.save()?;
        }
        Ok(())
    }

    /// Checks model and data, and sums up what the run has to do.
    fn start(&self, model: &CausalLm, data: TrainingData<'_>) -> Result<TrainEvent, TrainError> {
        let recipe = self.recipe;
        recipe.validate()?;
        let parameters = model.parameters();
        let of_adapters = parameters.iter().filter(|it| it.kind == ParameterKind::Adapter && it.trained);
        let trainable = of_adapters.map(|it| it.elements).sum();
        if trainable == 0 {
            return Err(TrainError::NothingToTrain);
        }
        if recipe.chain_links > 1 {
            ChainOfLora::validate(model)?;
        }
        for (what, examples) in [("training", data.train), ("validation", data.validation)] {
            if examples.is_empty() {
                return Err(TrainError::NoExamples { what });
            }
        }
        Ok(TrainEvent::Start {
            steps: recipe.epochs * data.train.len().div_ceil(recipe.batch_size),
            validations: recipe.epochs + 1,
            trainable_parameters: trainable,
            parameters: parameters.iter().map(|it| it.elements).sum(),
            validation_share: validation_share(data, recipe.epochs),
        })
    }
}

/// The items that have something to learn, where not all of them do: where the answer alone is learned, those that still
/// have it.
fn learnable(data: DataSet<'_>, labels: LabelScope) -> Option<Vec<Example>> {
    let DataSet::Choices(examples) = data else { return None };
    let has_label = |example: &&Example| labels == LabelScope::Text || example.answer_at.is_some();
    let all = examples.iter().all(|example| has_label(&example));
    (!all).then(|| examples.iter().filter(has_label).cloned().collect())
}

/// A backward pass costs about twice a forward pass, so a training token counts three times a validation token.
fn validation_share(data: TrainingData<'_>, epochs: usize) -> f64 {
    let train: usize = data.train.lengths().iter().sum();
    let validation: usize = match data.validation {
        DataSet::Choices(examples) => examples.iter().map(|example| example.prompt.len()).sum(),
        texts @ DataSet::Texts(_) => texts.lengths().iter().sum(),
    };
    let (train, validation) = (3.0 * train as f64 * epochs as f64, validation as f64);
    validation / (train + validation * (epochs + 1) as f64)
}
