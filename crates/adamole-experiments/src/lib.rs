#![doc = include_str!("../README.md")]

mod cell;
mod check;
mod claims;
mod definition;
mod differences;
mod dry_run;
mod error;
mod estimate;
mod experiment;
mod figure;
mod formula;
mod json;
mod lock;
pub mod machine;
mod method;
mod options;
mod outcome;
mod paper;
mod place;
mod plan;
mod preset;
mod report;
mod results;
mod runner;
mod shipped;
mod study;
mod table;
mod variant;

pub use error::ExperimentError;
pub use options::Options;
pub use plan::Shard;
pub use study::{Done, Host, run};

#[cfg(test)]
type TestError = Box<dyn std::error::Error>;
