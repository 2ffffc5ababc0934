//! The small world: sample items of ten benchmarks, and the corpus of the base that is tuned on them.

mod benchmarks;
mod corpus;
mod facts;
mod lessons;
mod problem;
mod random;
mod samples;
mod stories;
mod world;

pub(crate) use corpus::{THIRD_STAGE, write_corpus, write_validation_corpus};
pub(crate) use samples::write_samples;
