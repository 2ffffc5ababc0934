#![doc = include_str!("../README.md")]

mod batch;
mod checkpoint;
mod checkpoints;
mod error;
mod evaluate;
mod memory;
mod metrics;
mod optimizer;
mod pretrain;
mod progress;
mod recipe;
mod routing;
mod run_directory;
mod schedule;
mod step;
mod trace;
mod trainer;
mod workers;

pub use batch::DeviceBatch;
pub use checkpoint::Checkpoint;
pub use checkpoints::Checkpoints;
pub use error::TrainError;
pub use evaluate::{Evaluation, Prediction, evaluate};
pub use memory::peak_memory_bytes;
pub use metrics::{Collapse, EpochMetrics, StepMetrics, TrainEvent};
pub use optimizer::{AdamW, AdamWSettings};
pub use pretrain::{PretrainRecipe, PretrainStep, pretrain, validation_loss};
pub use progress::Progress;
pub use recipe::Recipe;
pub use routing::RoutingCounts;
pub use run_directory::RunDirectory;
pub use schedule::{Decay, Schedule};
pub use step::{Accumulation, StepInput, StepOutcome, accumulate};
pub use trace::{Trace, TraceBatch, TraceOptions, TracedSite, trace};
pub use trainer::{Control, Outcome, TrainingData, train};
pub use workers::Workers;
