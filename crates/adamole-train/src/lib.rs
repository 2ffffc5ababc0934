#![doc = include_str!("../README.md")]

mod batch;
mod error;
mod evaluate;
mod memory;
mod metrics;
mod optimizer;
mod pretrain;
mod recipe;
mod routing;
mod run_directory;
mod step;
mod trace;
mod trainer;
mod workers;

pub use batch::DeviceBatch;
pub use error::TrainError;
pub use evaluate::{Evaluation, Prediction, evaluate};
pub use memory::peak_memory_bytes;
pub use metrics::{EpochMetrics, StepMetrics, TrainEvent};
pub use optimizer::{AdamW, AdamWSettings, Schedule};
pub use pretrain::{PretrainRecipe, PretrainStep, pretrain, validation_loss};
pub use recipe::Recipe;
pub use routing::RoutingCounts;
pub use run_directory::RunDirectory;
pub use step::{StepInput, StepOutcome, accumulate};
pub use trace::{Trace, TraceBatch, TraceOptions, TracedSite, trace};
pub use trainer::{Outcome, TrainingData, train};
pub use workers::Workers;
