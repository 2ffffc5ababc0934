#![doc = include_str!("../README.md")]

mod cell;
mod check;
mod claims;
mod comparison;
mod definition;
mod differences;
mod dry_run;
mod error;
mod estimate;
mod experiment;
mod figure;
mod files;
mod json;
mod lock;
pub mod machine;
mod method;
mod options;
mod outcome;
mod paper;
mod place;
mod plan;
mod planned;
mod preset;
mod report;
mod results;
mod runner;
mod runs;
mod slurm;
mod study;
mod table;
mod variant;

pub use dry_run::duration;
pub use error::ExperimentError;
pub use options::Options;
pub use results::median;
pub use slurm::{Job, SlurmOptions};
pub use study::{Done, Host, run};

#[cfg(test)]
type TestError = Box<dyn std::error::Error>;
