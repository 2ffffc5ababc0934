//! What can stop a training run.

use adamole_llama::ModelError;
use std::path::PathBuf;

/// Why training or evaluation ended early.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting is outside its range.
    #[error("{name} is {value}, expected {expected}")]
    Recipe {
        /// The setting, by its name in configuration files.
        name: &'static str,
        /// What was given.
        value: String,
        /// The range that would be right.
        expected: &'static str,
    },
    /// A batch that was handed over contradicts itself or the model.
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
    },
    /// The run was asked to stop. Where it has checkpoints, its state is saved.
    #[error("stopped after {steps} steps")]
    Interrupted {
        /// Steps that are done.
        steps: usize,
    },
    /// A checkpoint is not what was written, or is of another run.
    #[error("{}: not a checkpoint of this run: {what}", path.display())]
    DamagedCheckpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The model holds no adapter, so there is nothing to train.
    #[error("no linear of the model carries an adapter, so there is nothing to train")]
    NothingToTrain,
    /// There are no examples.
    #[error("the {what} data holds no examples")]
    NoExamples {
        /// "training" or "validation".
        what: &'static str,
    },
    /// The run directory already holds a run.
    #[error("{} already holds a run", path.display())]
    RunExists {
        /// The directory.
        path: PathBuf,
    },
    /// The run directory holds a run that has come to its end.
    #[error("{} holds a finished run", path.display())]
    RunFinished {
        /// The directory.
        path: PathBuf,
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
}

impl TrainError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }
}
