//! The errors of training and evaluation.

use crate::RankError;
use adamole_core::SettingError;
use adamole_llama::ModelError;
use std::path::{Path, PathBuf};

/// Why training or evaluation ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting is not valid.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A batch contradicts itself or the model.
    #[error("{what}")]
    Batch {
        /// What is wrong, and what was expected.
        what: String,
    },
    /// A loss or gradient became infinite or not a number. The parameters are those before the step.
    #[error("{what} is {value} in step {step}; nothing of the step was applied")]
    NotFinite {
        /// The loss, or the parameter whose gradient it was.
        what: String,
        /// Its value.
        value: f64,
        /// The optimizer step, counted from 0.
        step: usize,
        /// Steps that were applied before; without any, the learning rate is not to blame.
        applied: usize,
    },
    /// No step of an epoch was applied, since a loss or gradient of each was not finite: the run no longer learns.
    #[error("no step of epoch {epoch} was applied: {what} was not finite")]
    NoStepApplied {
        /// The epoch, counted from 1.
        epoch: usize,
        /// The loss or gradient of its last step.
        what: String,
        /// Steps that were applied in earlier epochs.
        applied: usize,
    },
    /// A score is infinite or not a number, so that there is no choice with the highest one, and no accuracy.
    #[error("item {} has the score {value} for its choice {}: there is no accuracy where a score is not finite", item + 1, choice + 1)]
    NotFiniteScore {
        /// Index of the item in its split; shown counted from 1.
        item: usize,
        /// Index of the choice; shown counted from 1.
        choice: usize,
        /// The score.
        value: f64,
    },
    /// A loss of whole texts is infinite or not a number.
    #[error("the {what} is {value}")]
    NotFiniteLoss {
        /// Which loss.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// A validation after steps of training gave numbers that are not finite.
    #[error("the model has diverged in epoch {epoch}: {source}")]
    Diverged {
        /// The epoch, counted from 1.
        epoch: usize,
        /// What was not finite.
        source: Box<TrainError>,
    },
    /// The run was asked to stop. Where it has checkpoints, its state is saved.
    #[error("stopped after {steps} steps")]
    Interrupted {
        /// Steps that are done.
        steps: usize,
    },
    /// A checkpoint is not what was written, or does not fit the model.
    #[error("{}: not a checkpoint of this run: {damage}", path.display())]
    DamagedCheckpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: CheckpointDamage,
    },
    /// The adapters of the best epoch are not those of the model.
    #[error("the best epoch: {0}")]
    Best(#[from] CheckpointDamage),
    /// The model has no adapter.
    #[error("no linear of the model carries an adapter, so there is nothing to train")]
    NothingToTrain,
    /// There are no examples.
    #[error("the {what} data holds no examples")]
    NoExamples {
        /// "training" or "validation".
        what: &'static str,
    },
    /// The run directory already holds a run, or what is left of one.
    #[error("{} already holds a run: {trace} is there", path.display())]
    RunExists {
        /// The directory.
        path: PathBuf,
        /// The file or folder in it that only a run leaves behind.
        trace: &'static str,
    },
    /// Another process holds the run directory.
    #[error("{} is in use by {}", path.display(), process.map_or("another process".into(), |id| format!("process {id}")))]
    RunInUse {
        /// The directory.
        path: PathBuf,
        /// The process id, where it can be read.
        process: Option<u32>,
    },
    /// A checkpoint was written by another run.
    #[error("{}: not a checkpoint of this run: {what}", path.display())]
    ForeignCheckpoint {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// The adapter of the best epoch is missing, and no checkpoint holds it.
    #[error("{}: the adapter of the best epoch is not there, and no checkpoint holds it", path.display())]
    AdapterLost {
        /// Where it should be.
        path: PathBuf,
    },
    /// The run directory holds a finished run.
    #[error("{} holds a finished run, and other settings were given: {changes}", path.display())]
    RunFinished {
        /// The directory.
        path: PathBuf,
        /// The settings that are others.
        changes: String,
    },
    /// A file of the run directory could not be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// An adapter or a model could not be saved or loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A weight that nothing may change is another one.
    #[error(
        "step {step}: the frozen weight {parameter} has changed: the sum of its absolute values was {before} and is {now}"
    )]
    FrozenChanged {
        /// The weight.
        parameter: String,
        /// The sum when the run began.
        before: f64,
        /// The sum now.
        now: f64,
        /// Steps done.
        step: usize,
    },
    /// The ranks of the run do not work together any more.
    #[error(transparent)]
    Ranks(#[from] RankError),
}

impl TrainError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }
}

/// A loss or gradient of a step that is infinite or not a number.
#[derive(Debug, thiserror::Error)]
#[error("{what} is {value}")]
pub struct NotFinite {
    /// The loss, or the parameter whose gradient it is.
    pub what: String,
    /// Its value.
    pub value: f64,
}

impl NotFinite {
    /// The error of this step, counted from 0, before which so many were applied.
    pub fn in_step(self, step: usize, applied: usize) -> TrainError {
        TrainError::NotFinite { what: self.what, value: self.value, step, applied }
    }
}

/// What is wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointDamage {
    /// This part is missing.
    #[error("it has no {0}")]
    Missing(String),
    /// It was changed after it was written.
    #[error("its sha256 is not that of its content")]
    WrongDigest,
    /// The state or the run's identity cannot be read.
    #[error(transparent)]
    Json(serde_json::Error),
    /// These tensors are missing, unexpected, or of another shape or type than the model's parameters.
    #[error("these parameters do not fit the model: {}", _0.join(", "))]
    Unfit(Vec<String>),
}

impl CheckpointDamage {
    pub(crate) fn of(self, path: &Path) -> TrainError {
        TrainError::DamagedCheckpoint { path: path.to_owned(), damage: self }
    }
}
